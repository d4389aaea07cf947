//! Every transition of both machines, compared with docs/snapshots.

use crate::testing::snapshot::assert_snapshot;
use std::fmt::{Debug, Write};

use super::super::link::After;
use super::super::{client, server};

fn matrix<S: Debug + Copy + PartialEq, I: Debug + Copy>(
    title: &str,
    states: &[S],
    inputs: &[I],
    step: impl Fn(S, I) -> S,
) -> String {
    let mut text = format!("{title}\nFor each state: what each input leads to; `-` is no change.\n");
    for state in states {
        writeln!(text, "\n{state:?}").unwrap();
        for input in inputs {
            let next = step(*state, *input);
            let next = if next == *state { "-".into() } else { format!("{next:?}") };
            writeln!(text, "  {:<24} {next}", format!("{input:?}")).unwrap();
        }
    }
    text
}

const AFTERS: [After; 3] = [After::Reuse, After::Linger, After::Close];

#[test]
fn the_servers_transitions_are_the_recorded_ones() {
    use server::{Input, Recv, Send, State};
    let mut states = vec![State::Idle, State::Head];
    for recv in [Recv::Body, Recv::Ended, Recv::Discard] {
        for send in [Send::Head, Send::Body, Send::Ending, Send::Sent] {
            // Complete on both sides, or unread behind a complete response, is not a state of its own.
            if send != Send::Sent || recv == Recv::Body {
                states.push(State::Exchange(recv, send));
            }
        }
    }
    states.extend([State::Refusing, State::Lingering, State::Closed]);
    let mut inputs =
        vec![Input::Byte, Input::Head { body: true }, Input::Head { body: false }, Input::Refuse];
    inputs.extend(AFTERS.map(Input::BodyEnd));
    inputs.extend([
        Input::Discard,
        Input::SendHead { end: false },
        Input::SendHead { end: true },
        Input::SendEnd,
    ]);
    inputs.extend(AFTERS.map(Input::Flushed));
    inputs.extend([Input::Eof, Input::Quit, Input::LingerOver, Input::Lost]);
    for state in &states {
        for input in &inputs {
            assert!(states.contains(&state.step(*input)), "{state:?} on {input:?} leaves the table");
        }
    }
    assert_snapshot("http1_server", &matrix("HTTP/1.1, server", &states, &inputs, State::step));
}

#[test]
fn the_clients_transitions_are_the_recorded_ones() {
    use client::{Input, Recv, Send, State};
    let mut states = vec![State::Idle];
    for send in [Send::Body, Send::Ending, Send::Sent, Send::Dead] {
        for recv in [Recv::Head, Recv::Body, Recv::Ended] {
            // With the response complete, a request that is sent or cannot be sent leaves nothing to do.
            if recv != Recv::Ended || matches!(send, Send::Body | Send::Ending) {
                states.push(State::Exchange(send, recv));
            }
        }
    }
    states.push(State::Closed);
    let mut inputs = vec![Input::SendHead { end: false }, Input::SendHead { end: true }, Input::SendEnd];
    inputs.extend(AFTERS.map(Input::Flushed));
    inputs.push(Input::Head);
    inputs.extend(AFTERS.map(Input::BodyEnd));
    inputs.extend([Input::Recall, Input::WriteFailed, Input::Quit, Input::Lost]);
    for state in &states {
        for input in &inputs {
            assert!(states.contains(&state.step(*input)), "{state:?} on {input:?} leaves the table");
        }
    }
    assert_snapshot("http1_client", &matrix("HTTP/1.1, client", &states, &inputs, State::step));
}
