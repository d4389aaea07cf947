//! Every transition of a stream, compared with docs/snapshots.

use crate::testing::snapshot::assert_snapshot;
use std::fmt::Write;

use super::super::stream::{Cause, Half, Input, Refused, State};

const STATES: [State; 12] = [
    State::Idle,
    live(Half::Head, Half::Head),
    live(Half::Head, Half::Body),
    live(Half::Head, Half::Ended),
    live(Half::Body, Half::Head),
    live(Half::Body, Half::Body),
    live(Half::Body, Half::Ended),
    live(Half::Ended, Half::Head),
    live(Half::Ended, Half::Body),
    State::Closed(Cause::Ended),
    State::Closed(Cause::ResetHere),
    State::Closed(Cause::ResetByPeer),
];

const INPUTS: [Input; 12] = [
    Input::SendHead { end: false },
    Input::SendHead { end: true },
    Input::SendEnd,
    Input::SendReset,
    Input::Headers { end: false },
    Input::Headers { end: true },
    Input::Interim { end: false },
    Input::Interim { end: true },
    Input::Data { end: false },
    Input::Data { end: true },
    Input::WindowUpdate,
    Input::Reset,
];

const fn live(send: Half, recv: Half) -> State {
    State::Live { send, recv }
}

/// The state's name in RFC 9113.
fn rfc(state: State) -> &'static str {
    match state {
        State::Idle => "idle",
        State::Live { send: Half::Ended, .. } => "half-closed (local)",
        State::Live { recv: Half::Ended, .. } => "half-closed (remote)",
        State::Live { .. } => "open",
        State::Closed(_) => "closed",
    }
}

#[test]
fn the_transitions_of_a_stream_are_the_recorded_ones() {
    let mut text = String::from(
        "HTTP/2, a stream (RFC 9113, section 5.1)\nFor each state: what each input leads to; `-` is no change.\n",
    );
    for state in STATES {
        writeln!(text, "\n{state:?}: {}", rfc(state)).unwrap();
        for input in INPUTS {
            let next = match state.step(input) {
                Ok(next) if next == state => "-".into(),
                Ok(next) => {
                    assert!(STATES.contains(&next), "{state:?} on {input:?} leaves the table");
                    format!("{next:?}")
                }
                Err(Refused::Ignored) => "ignored".into(),
                Err(Refused::Misuse) => "does nothing".into(),
                Err(Refused::Stream(fault)) => format!("resets the stream: {fault}"),
                Err(Refused::Connection(fault)) => format!("ends the connection: {fault}"),
            };
            writeln!(text, "  {:<24} {next}", format!("{input:?}")).unwrap();
        }
    }
    assert_snapshot("http2_stream", &text);
}

#[test]
fn closed_is_final() {
    for state in STATES.into_iter().filter(|state| state.is_closed()) {
        assert!(INPUTS.into_iter().all(|input| state.step(input).is_err()));
    }
}
