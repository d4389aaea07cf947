//! What holds after any sequence of operations on a call of either role.

use std::time::Duration;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::call::{DrainBudget, Duplex, Event, Kind, Phase, Processed};
use crate::error::{Code, LostKind, PeerMisbehaved, ResetCode, RpcError};
use crate::testing::fixture::{
    Asked, ClientRig, ClientSetup, Machine, Rig, ServerRig, ServerSetup, Told, compressed, end_stream,
    end_stream_error, envelope, prefix,
};
use crate::testing::grammar::check_timer;
use crate::time::Instant;

#[derive(Clone, Debug)]
enum Op {
    // HTTP
    Head(u16, &'static str, Option<&'static str>),
    Data(Vec<u8>),
    End,
    EndSent,
    Reset(ResetCode),
    Lost(LostKind),
    Fault(PeerMisbehaved),
    // Time
    Pass(u64),
    PassTo(Option<u64>),
    Timeout,
    // The application
    Send(usize),
    Finish(Option<Code>),
    Close,
    Abort,
    // What comes out
    Transmit(usize),
    Event,
}

fn op() -> impl Strategy<Value = Op> {
    let media = ["application/connect+proto", "application/proto", "application/json", "text/html"];
    let faults = [
        PeerMisbehaved::CorruptCompression,
        PeerMisbehaved::MalformedChunk,
        PeerMisbehaved::MalformedMessage,
    ];
    prop_oneof![
        3 => (select(vec![200, 200, 200, 404, 503]), select(media.to_vec()), select(vec![None, Some("7"), Some("150")]))
            .prop_map(|(status, media, length)| Op::Head(status, media, length)),
        8 => piece().prop_map(Op::Data),
        2 => Just(Op::End),
        3 => Just(Op::EndSent),
        1 => select(vec![ResetCode::NO_ERROR, ResetCode::CANCEL, ResetCode::REFUSED_STREAM]).prop_map(Op::Reset),
        1 => select(vec![LostKind::Eof, LostKind::WriteStalled]).prop_map(Op::Lost),
        1 => select(faults.to_vec()).prop_map(Op::Fault),
        2 => (0u64..4000).prop_map(Op::Pass),
        1 => select(vec![None, Some(1)]).prop_map(Op::PassTo),
        1 => Just(Op::Timeout),
        4 => (0usize..150).prop_map(Op::Send),
        2 => select(vec![None, None, Some(Code::NotFound)]).prop_map(Op::Finish),
        1 => Just(Op::Close),
        1 => Just(Op::Abort),
        8 => select(vec![0, 1, 20, 1 << 20]).prop_map(Op::Transmit),
        8 => Just(Op::Event),
    ]
}

/// A piece of a body that makes sense in some state, or in none.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => vec(any::<u8>(), 0..40).prop_map(|payload| envelope(0, payload)),
        1 => vec(0u8..3, 0..40).prop_map(|payload| envelope(1, compressed(payload))),
        1 => Just(envelope(1, "odd")),
        2 => Just(end_stream()),
        1 => Just(end_stream_error(Code::Aborted)),
        1 => Just(envelope(3, compressed("{}"))),
        1 => Just(envelope(2, "{")),
        1 => (0u8..6, 90u32..110).prop_map(|(flags, len)| prefix(flags, len).to_vec()),
        1 => vec(any::<u8>(), 0..12),
        1 => vec(Just(0u8), 0..120),
        1 => Just(br#"{"code":"aborted"}"#.to_vec()),
    ]
}

fn kind() -> impl Strategy<Value = Kind> {
    select(vec![
        Kind::Unary,
        Kind::ClientStream,
        Kind::ServerStream,
        Kind::Bidi(Duplex::Half),
        Kind::Bidi(Duplex::Full),
    ])
}

fn budget() -> impl Strategy<Value = DrainBudget> {
    (select(vec![0, 1, 30]), select(vec![0, 20, 100]))
        .prop_map(|(time, bytes)| DrainBudget { time: Duration::from_secs(time), bytes })
}

fn client() -> impl Strategy<Value = ClientSetup> {
    (kind(), budget(), any::<[bool; 4]>()).prop_map(|(kind, budget, [http2, timeout, compress, end_now])| {
        let mut setup = ClientSetup::new(kind).drain(budget);
        setup.config.limits.drain_http2 = budget;
        if http2 {
            setup = setup.http2();
        }
        if timeout {
            setup = setup.timeout(Duration::from_secs(3));
        }
        if compress {
            setup = setup.compress(20).get(200);
        }
        if end_now {
            setup.config.limits.end_time = Duration::ZERO;
        }
        setup
    })
}

fn server() -> impl Strategy<Value = ServerSetup> {
    (kind(), budget(), any::<[bool; 6]>()).prop_map(
        |(kind, budget, [http2, timeout, compress, stall, get, length])| {
            let mut setup = ServerSetup::new(kind);
            if get && kind == Kind::Unary {
                setup = ServerSetup::get("connect=v1&encoding=proto&message=hi");
            }
            if http2 {
                setup = setup.http2();
            }
            if timeout {
                setup = setup.header("connect-timeout-ms", "3000");
            }
            if compress {
                setup = setup
                    .header("connect-accept-encoding", "rle")
                    .header("accept-encoding", "rle")
                    .header("connect-content-encoding", "rle");
                setup.config.compress_from = 20;
            }
            if length {
                setup = setup.header("content-length", "90");
            }
            setup.config.limits.drain_http1 = budget;
            setup.config.limits.drain_http2 = budget;
            if stall {
                setup.config.limits.write_stall = Duration::from_nanos(1);
            }
            setup
        },
    )
}

/// What the two roles do differently.
trait Role: Machine {
    fn head(rig: &mut Rig<Self>, status: u16, media: &str, length: Option<&str>)
    where
        Self: Sized;
    /// Ends the own side: a client's request, or the response with an error or without.
    fn finish(rig: &mut Rig<Self>, error: Option<Code>)
    where
        Self: Sized;
    fn close(rig: &mut Rig<Self>)
    where
        Self: Sized;
    /// What must have happened by now if the call has a deadline.
    fn deadline(&self) -> Option<Instant>;
}

impl Role for crate::client::Call {
    fn head(rig: &mut ClientRig, status: u16, media: &str, length: Option<&str>) {
        let fields = [("content-type", media), ("connect-content-encoding", "rle"), ("trailer-x", "1")];
        let length = length.map(|length| ("content-length", length));
        rig.head(status, &fields.into_iter().chain(length).collect::<Vec<_>>());
    }
    fn finish(rig: &mut ClientRig, _: Option<Code>) {
        let _ = rig.call.finish(rig.now);
    }
    fn close(rig: &mut ClientRig) {
        rig.close();
    }
    fn deadline(&self) -> Option<Instant> {
        None // seen by the timer while the call lives
    }
}

impl Role for crate::server::Call {
    fn head(_: &mut ServerRig, _: u16, _: &str, _: Option<&str>) {}
    fn finish(rig: &mut ServerRig, error: Option<Code>) {
        let _ = rig.answer(error.map_or(Ok(()), |code| Err(RpcError::new(code, "no"))));
    }
    fn close(rig: &mut ServerRig) {
        let _ = rig.call.send_headers(rig.now, http::HeaderMap::new());
    }
    fn deadline(&self) -> Option<Instant> {
        self.deadline()
    }
}

fn apply<M: Role>(rig: &mut Rig<M>, op: Op) {
    match op {
        Op::Head(status, media, length) => M::head(rig, status, media, length),
        Op::Data(data) => rig.data(data),
        Op::End => rig.end(),
        Op::EndSent if rig.transmits.is_ended() => rig.end_sent(),
        Op::EndSent => {}
        Op::Reset(code) => rig.reset(code, Processed::Unknown),
        Op::Lost(kind) => rig.lost(kind, Processed::Unknown),
        Op::Fault(fault) => rig.reject(fault),
        Op::Pass(millis) => rig.pass(Duration::from_millis(millis)),
        Op::PassTo(early) => {
            let early = early.unwrap_or(0);
            if let Some(timer) = rig.call.timer() {
                rig.now = rig.now.max(Instant::from_nanos(timer.as_nanos() - early));
            }
        }
        Op::Timeout => rig.wait(Duration::ZERO),
        Op::Send(len) => drop(rig.send(vec![7; len])),
        Op::Finish(error) => M::finish(rig, error),
        Op::Close => M::close(rig),
        Op::Abort => rig.abort(),
        Op::Transmit(max) => drop(rig.ask(max)),
        Op::Event => drop(rig.tell()),
    }
}

/// Whether an operation tells the call the time.
fn takes_now(op: &Op) -> bool {
    !matches!(op, Op::Pass(_) | Op::PassTo(_) | Op::Transmit(_) | Op::Event | Op::EndSent)
}

/// Drives a call through the operations, checks after each, and then drives it to its end.
fn live<M: Role>(mut rig: Rig<M>, ops: Vec<Op>) -> Rig<M> {
    for op in ops {
        let was = rig.phase();
        let told_time = takes_now(&op)
            && !(M::ROLE == crate::testing::grammar::Role::Server && matches!(op, Op::Head(..)));
        apply(&mut rig, op);
        if was == Phase::Closed {
            assert_eq!((rig.phase(), rig.call.timer()), (Phase::Closed, None), "what is over is over");
        }
        if told_time {
            // A limit that has passed was noticed.
            check_timer(
                rig.now,
                rig.call.timer().filter(|&timer| timer != rig.now || rig.phase() == Phase::Active),
            );
            if rig.call.deadline().is_some_and(|deadline| deadline <= rig.now) {
                assert!(rig.phase() != Phase::Active);
            }
        }
        let credit = rig.call.credit();
        rig.credit.credited(credit, u64::MAX);
    }
    finish(&mut rig);
    rig
}

/// The transport does all it is asked for, the application leaves, and time passes: the call must end.
fn finish<M: Role>(rig: &mut Rig<M>) {
    M::finish(rig, Some(Code::Aborted));
    M::close(rig);
    for _ in 0..8 {
        rig.flush();
        rig.skip();
        let credit = rig.call.credit();
        rig.credit.credited(credit, 0); // nothing waits, so that nothing is kept
        if rig.phase() == Phase::Closed {
            break;
        }
        let Some(timer) = rig.call.timer() else {
            // Only the peer can go on: a request or a response that does not end.
            rig.end();
            continue;
        };
        rig.now = rig.now.max(timer);
        rig.call.timeout(rig.now);
        check_timer(rig.now, rig.call.timer());
    }
    rig.assert_quiescent();
    rig.data("late");
    rig.end();
    let credit = rig.call.credit();
    rig.credit.credited(credit, 0);
    rig.assert_quiescent();
}

/// Everything that can be seen of a call from outside.
#[derive(PartialEq, Debug)]
struct Seen {
    told: Vec<String>,
    body: Vec<u8>,
    asked: Vec<Asked>,
    phase: Phase,
    credit: u64,
    timer: Option<Instant>,
}

/// Feeds a body in pieces of these lengths, and polls in between if `eager`.
fn feed<M: Role>(mut rig: Rig<M>, body: &[u8], cuts: &[usize], end: bool, eager: bool) -> Seen {
    let (mut rest, mut cuts) = (Bytes::copy_from_slice(body), cuts.iter().cycle());
    let (mut asked, mut credit) = (Vec::new(), 0);
    while !rest.is_empty() {
        rig.data(rest.split_to((*cuts.next().unwrap()).min(rest.len())));
        if eager {
            asked.extend(rig.asked());
            rig.skip();
            credit += rig.call.credit();
        }
    }
    if end {
        rig.end();
    }
    asked.extend(rig.asked());
    rig.skip();
    credit += rig.call.credit();
    let body = asked.iter().filter_map(|asked| match asked {
        Asked::Data(data) => Some(data.as_slice()),
        _ => None,
    });
    let told = rig.told.iter().map(|event| match event {
        Event::Message(message) => format!("{:?}", message.clone().decode()),
        event => format!("{event:?}"),
    });
    Seen {
        told: told.collect(),
        body: body.collect::<Vec<_>>().concat(),
        phase: rig.phase(),
        timer: rig.call.timer(),
        // Whether a request that ends was stopped before depends on who polls when.
        asked: asked.into_iter().filter(|asked| !matches!(asked, Asked::Data(_) | Asked::Stop)).collect(),
        credit,
    }
}

proptest! {
    #[test]
    fn a_clients_call_keeps_its_rules(setup in client(), ops in vec(op(), 0..40)) {
        live(setup.unsent(), ops);
    }

    #[test]
    fn a_servers_call_keeps_its_rules(setup in server(), ops in vec(op(), 0..40)) {
        let mut rig = setup.active();
        if rig.phase() == Phase::Answered {
            rig.events.leave(); // a request that does not fit has been answered
        }
        live(rig, ops);
    }

    /// With a life that begins well, more of the operations meet a call in the middle of it.
    #[test]
    fn a_call_in_the_middle_of_its_life_keeps_its_rules(setup in client(), ops in vec(op(), 0..30), closed: bool) {
        let mut setup = setup;
        setup.config.limits.end_time = Duration::from_secs(5);
        let mut rig = setup.responding_without_deadline();
        if closed {
            rig.close();
        }
        live(rig, ops);
    }

    /// A timer that is served late, or never, changes nothing of what is told.
    #[test]
    fn a_late_timer_changes_nothing(setup in client(), ops in vec(op(), 0..40)) {
        let (mut punctual, mut late) = (setup.clone().unsent(), setup.unsent());
        for op in ops {
            apply(&mut punctual, op.clone());
            while let Some(timer) = punctual.call.timer().filter(|timer| *timer <= punctual.now) {
                let now = std::mem::replace(&mut punctual.now, timer);
                punctual.call.timeout(timer);
                punctual.now = now;
            }
            if matches!(op, Op::Transmit(_)) {
                // What has gone out by now cannot be the same: the late one does not know the time.
                late.call.timeout(late.now);
            }
            apply(&mut late, op);
        }
        late.call.timeout(late.now);
        for rig in [&mut punctual, &mut late] {
            rig.asked();
            rig.skip();
        }
        prop_assert_eq!(format!("{:?}", punctual.told), format!("{:?}", late.told));
    }

    #[test]
    fn cutting_a_response_changes_nothing(
        setup in client(),
        pieces in vec(piece(), 0..8),
        cuts in vec(1usize..30, 1..20),
        (status, media, closed, end, eager) in (
            select(vec![200, 200, 200, 503]),
            select(vec!["proto", "proto", "html"]),
            any::<bool>(),
            any::<bool>(),
            any::<bool>(),
        ),
    ) {
        let body = pieces.concat();
        let run = |cuts: &[usize], eager| {
            let mut rig = setup.clone().requested();
            if closed {
                rig.close();
            }
            match (status, media) {
                (200, "proto") => rig.ok_head_with(&[("connect-content-encoding", "rle"), ("content-encoding", "rle")]),
                (status, "proto") => rig.head(status, &[("content-type", "application/json")]),
                (status, _) => rig.head(status, &[]),
            }
            feed(rig, &body, cuts, end, eager)
        };
        let mut whole = run(&[usize::MAX], false);
        let mut cut = run(&cuts, eager);
        // Reading in between may open the window earlier.
        (whole.credit, cut.credit) = (0, 0);
        prop_assert_eq!(whole, cut);
    }

    #[test]
    fn cutting_a_request_changes_nothing(
        setup in server(),
        pieces in vec(piece(), 0..8),
        cuts in vec(1usize..30, 1..20),
        (answered, end, eager) in any::<(bool, bool, bool)>(),
    ) {
        let body = pieces.concat();
        let run = |cuts: &[usize], eager| {
            let mut rig = setup.clone().active();
            if answered {
                let _ = rig.answer(Err(RpcError::new(Code::NotFound, "no")));
            }
            feed(rig, &body, cuts, end, eager)
        };
        let mut whole = run(&[usize::MAX], false);
        let mut cut = run(&cuts, eager);
        (whole.credit, cut.credit) = (0, 0);
        prop_assert_eq!(whole, cut);
    }

    /// Whatever is read when: in the end, every byte was credited.
    #[test]
    fn every_byte_is_credited(setup in client(), pieces in vec(piece(), 0..12), reads in vec(0usize..3, 12)) {
        let mut rig = setup.requested();
        rig.ok_head_with(&[("connect-content-encoding", "rle")]);
        let mut total = 0;
        let mut credited = 0;
        for (piece, reads) in pieces.iter().zip(reads) {
            total += piece.len() as u64;
            rig.data(piece);
            for _ in 0..reads {
                rig.tell();
            }
            credited += rig.call.credit();
            prop_assert!(credited <= total);
        }
        rig.end();
        rig.asked();
        rig.skip();
        prop_assert_eq!(credited + rig.call.credit(), total);
    }
}

#[test]
fn a_verdict_is_told_at_most_once_whatever_comes() {
    let mut rig = ClientSetup::new(Kind::Bidi(Duplex::Full)).responding();
    rig.data(end_stream());
    rig.data(end_stream_error(Code::Aborted));
    rig.end();
    rig.asked();
    let verdicts = rig.tell_all().into_iter().filter(|told| matches!(told, Told::Success | Told::Failure(_)));
    assert_eq!(verdicts.collect::<Vec<_>>(), [Told::Success]);
}
