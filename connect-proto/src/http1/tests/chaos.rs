//! Whatever is done in whatever order: no panic, the events keep their grammar, timers end, and a closed connection
//! stays closed.

use proptest::prelude::*;

use super::*;
use crate::error::LostKind;

#[derive(Clone, Debug)]
enum Op {
    Feed(&'static str),
    Eof,
    ReadFailed,
    WriteFailed,
    Written(usize),
    Wait(u64),
    Head(BodySize),
    Data(usize),
    End,
    WantBody,
    StopReceiving,
    Abort,
    ShutDown,
}

const PIECES: &[&str] = &[
    "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
    "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\n",
    "POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ntransfer-encoding: chunked\r\n\r\n",
    "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n",
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
    "HTTP/1.0 200 OK\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\n",
    "1\r\nx\r\n",
    "0\r\n\r\n",
    "abc",
    "\r\n",
    "GET",
];

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => prop::sample::select(PIECES).prop_map(Op::Feed),
        1 => Just(Op::Eof),
        1 => Just(Op::ReadFailed),
        1 => Just(Op::WriteFailed),
        6 => prop_oneof![0_usize..40, Just(usize::MAX)].prop_map(Op::Written),
        2 => (0_u64..70).prop_map(Op::Wait),
        5 => prop_oneof![Just(BodySize::Empty), Just(BodySize::Unknown), (0_u64..9).prop_map(BodySize::Exact)]
            .prop_map(Op::Head),
        4 => prop_oneof![0_usize..5, Just(3000)].prop_map(Op::Data),
        4 => Just(Op::End),
        1 => Just(Op::WantBody),
        1 => Just(Op::StopReceiving),
        1 => Just(Op::Abort),
        1 => Just(Op::ShutDown),
    ]
}

fn count(log: &[String], entry: &str) -> usize {
    log.iter().filter(|logged| *logged == entry).count()
}

fn is_head(entry: &str) -> bool {
    !["data ", "end", "lost", "misbehaved"].iter().any(|other| entry.starts_with(other))
}

fn is_lost(log: &[String]) -> bool {
    log.last().is_some_and(|last| last.starts_with("lost") || last.starts_with("misbehaved"))
}

/// Each exchange: `Head? Data* End?`, with at most one `end sent`, and nothing behind `lost` or `misbehaved` on a
/// client.
fn check_grammar(log: &[String], is_client: bool) {
    let (mut in_message, mut lost) = (false, false);
    for entry in log {
        assert!(!lost, "an event behind the last one: {log:?}");
        match entry.split(' ').next().unwrap() {
            "data" => assert!(in_message, "{log:?}"),
            "end" if entry == "end" => assert!(std::mem::take(&mut in_message), "{log:?}"),
            "end" => {}
            "misbehaved:" => {
                in_message = false;
                lost = is_client;
            }
            "lost" => lost = true,
            _ => in_message = true,
        }
    }
}

fn settled<R: Role>(peer: &mut Peer<R>, wants_read: bool, is_closed: bool) {
    assert!(peer.machine.due().is_none_or(|due| due > peer.now), "a timer is due and nothing happens");
    if is_closed {
        assert!(peer.shown().is_empty() && peer.machine.due().is_none() && !wants_read);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn a_server_survives_anything(ops in prop::collection::vec(op(), 1..40)) {
        let mut peer = Peer::<Server>::new();
        let (mut was_closed, mut spoiled, mut aborted) = (false, None, false);
        for op in ops {
            let now = peer.now;
            let machine = &mut peer.machine;
            match op {
                Op::Feed(bytes) => peer.feed(bytes),
                Op::Eof => peer.eof(),
                Op::ReadFailed => machine.handle_io_failed(now, LostKind::Reset),
                Op::WriteFailed => machine.handle_write_failed(now, LostKind::Reset),
                Op::Written(n) => machine.handle_written(now, n),
                Op::Wait(by) => peer.wait(secs(by)),
                Op::Head(body) => machine.send_head(now, &parts(&Response::new(())), body),
                Op::Data(len) => machine.send_data(now, Bytes::from(vec![b'x'; len]).into()),
                Op::End => machine.send_end(now),
                Op::WantBody => machine.want_body(now),
                Op::StopReceiving => machine.stop_receiving(now),
                Op::Abort => {
                    aborted = true;
                    machine.abort(now, NotReusable::Aborted);
                }
                Op::ShutDown => machine.shut_down(now),
            }
            peer.pump();
            check_grammar(&peer.log, false);
            let (wants_read, closed) = (peer.machine.wants_read(), peer.machine.is_closed());
            settled(&mut peer, wants_read, closed);
            prop_assert!(closed || !was_closed, "closed is final");
            prop_assert!(spoiled.is_none() || peer.reuse().err() == spoiled, "the first reason stays");
            prop_assert!(!closed || peer.reuse().is_err(), "a closed connection says why");
            if !aborted && (closed || peer.machine.is_idle()) {
                let heads = peer.log.iter().filter(|entry| is_head(entry)).count();
                prop_assert!(heads == count(&peer.log, "end sent") || is_lost(&peer.log), "{:?}", peer.log);
            }
            (was_closed, spoiled) = (closed, peer.reuse().err());
        }
        // With nobody doing anything any more but the transport, it comes to an end.
        peer.machine.shut_down(peer.now);
        peer.machine.abort(peer.now, NotReusable::Aborted);
        prop_assert!(peer.machine.is_closed());
        peer.machine.poll_shutdown();
        prop_assert_eq!(peer.machine.poll_shutdown(), None);
    }

    #[test]
    fn a_client_survives_anything(ops in prop::collection::vec(op(), 1..40)) {
        let mut peer = Peer::<Client>::new();
        let (mut was_closed, mut spoiled, mut aborted, mut asked) = (false, None, false, 0);
        for op in ops {
            let now = peer.now;
            let machine = &mut peer.machine;
            match op {
                Op::Feed(bytes) => peer.feed(bytes),
                Op::Eof => peer.eof(),
                Op::ReadFailed => machine.handle_io_failed(now, LostKind::Reset),
                Op::WriteFailed => machine.handle_write_failed(now, LostKind::Reset),
                Op::Written(n) => machine.handle_written(now, n),
                Op::Wait(by) => peer.wait(secs(by)),
                Op::Head(body) => {
                    asked += usize::from(machine.is_idle());
                    machine.send_head(now, &request_parts(&post()), body);
                }
                Op::Data(len) => machine.send_data(now, Bytes::from(vec![b'x'; len]).into()),
                Op::End => machine.send_end(now),
                Op::Abort => {
                    aborted = true;
                    machine.abort(now);
                }
                Op::ShutDown => machine.shut_down(now),
                Op::WantBody | Op::StopReceiving => {}
            }
            peer.pump();
            check_grammar(&peer.log, true);
            let (wants_read, closed) = (peer.machine.wants_read(), peer.machine.is_closed());
            settled(&mut peer, wants_read, closed);
            prop_assert!(closed || !was_closed, "closed is final");
            prop_assert!(spoiled.is_none() || peer.reuse().err() == spoiled, "the first reason stays");
            prop_assert!(!closed || peer.reuse().is_err(), "a closed connection says why");
            if !aborted && (closed || peer.machine.is_idle()) {
                let complete = count(&peer.log, "end sent") == asked && count(&peer.log, "end") == asked;
                prop_assert!(complete || is_lost(&peer.log), "{asked} asked, {:?}", peer.log);
            }
            (was_closed, spoiled) = (closed, peer.reuse().err());
        }
    }

    #[test]
    fn no_bytes_make_either_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        Peer::<Server>::new().feed(&bytes);
        Peer::asking().feed(&bytes);
        let mut peer = Peer::serving("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
        peer.feed(&bytes);
    }
}
