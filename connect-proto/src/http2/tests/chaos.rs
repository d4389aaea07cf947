//! Hostile peers, in any order of calls and in any cutting of the bytes.

use proptest::prelude::*;

use super::pair::Parts;
use super::*;
use crate::error::LostKind;

/// Frames as a peer may send them, good and bad.
fn frames(server: bool) -> impl Strategy<Value = Vec<u8>> {
    let id = prop_oneof![8 => 1_u32..12, 1 => Just(0), 1 => any::<u32>()];
    let flags = prop_oneof![Just(0_u8), Just(1), Just(4), Just(5), any::<u8>()];
    prop_oneof![
        6 => (id.clone(), any::<bool>()).prop_map(move |(id, end)| {
            if server { get(id | 1, end) } else { headers(id | 1, end, &[(":status", "200")]) }
        }),
        2 => id.clone().prop_map(|id| headers(id, true, &[("a", "b")])),
        8 => (id.clone(), any::<bool>(), 0_usize..3000).prop_map(|(id, end, len)| data(id, end, len)),
        3 => (id.clone(), any::<u32>()).prop_map(|(id, by)| window_update(id, by >> 12)),
        2 => id.clone().prop_map(|id| frame(3, 0, id, &[0, 0, 0, 8])),
        1 => Just(ping()),
        1 => (1_u16..8, any::<u32>()).prop_map(|(id, value)| settings(&[(id, value >> 16)])),
        1 => Just(goaway(5, ResetCode::NO_ERROR)),
        2 => (any::<u8>(), flags, id, prop::collection::vec(any::<u8>(), 0..40))
            .prop_map(|(kind, flags, id, payload)| frame(kind % 12, flags, id, &payload)),
    ]
}

/// Everything that a machine tells and writes about these bytes in this cutting. Data is put together.
fn run<R: Describe>(
    pieces: &[&[u8]],
    open: usize,
    mut prepare: impl FnMut(&mut Peer<R>),
) -> (Vec<String>, Vec<u8>) {
    let mut peer = Peer::<R>::fresh(Limits::default());
    let (mut log, mut written) = (Vec::<String>::new(), Vec::new());
    peer.greet();
    for _ in 0..open {
        prepare(&mut peer);
    }
    let mut turn = |peer: &mut Peer<R>| {
        while let Some((key, event)) = peer.engine.poll_event() {
            let number = peer.number(key);
            let line = format!("{number} {}", describe_event::<R>(&event));
            match (event, log.last_mut()) {
                (Event::Data(data), Some(last)) if last.starts_with(&format!("{number} data")) => {
                    let before: usize = last.rsplit(' ').next().unwrap().parse().unwrap();
                    *last = format!("{number} data {}", before + data.len());
                }
                _ => log.push(line),
            }
        }
        let (bytes, len) = shown(&mut peer.engine);
        peer.engine.handle_written(peer.now, len);
        written.extend(bytes);
    };
    turn(&mut peer);
    for piece in pieces {
        peer.feed(piece);
        turn(&mut peer);
        while peer.engine.wants_read() && peer.buf.len() > (1 << 20) {
            peer.feed(b"");
        }
    }
    peer.engine.check_conservation();
    log.push(format!("{:?} {:?}", peer.engine.fault(), peer.engine.counters()));
    (log, written)
}

fn cut<'a>(bytes: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    let mut rest = bytes;
    for cut in cuts.iter().cycle().take(10_000) {
        if rest.is_empty() {
            break;
        }
        let (piece, more) = rest.split_at((cut + 1).min(rest.len()));
        pieces.push(piece);
        rest = more;
    }
    pieces.push(rest);
    pieces
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn a_server_reads_the_same_in_any_cutting(
        frames in prop::collection::vec(frames(true), 1..40),
        cuts in prop::collection::vec(prop_oneof![0_usize..20, 0_usize..4000], 1..20),
    ) {
        let bytes = frames.concat();
        let whole = run::<ServerRole>(&[&bytes], 0, |_| {});
        prop_assert_eq!(whole, run::<ServerRole>(&cut(&bytes, &cuts), 0, |_| {}));
    }

    #[test]
    fn a_client_reads_the_same_in_any_cutting(
        frames in prop::collection::vec(frames(false), 1..40),
        cuts in prop::collection::vec(prop_oneof![0_usize..20, 0_usize..4000], 1..20),
    ) {
        let open = |peer: &mut Peer<ClientRole>| {
            let key = peer.engine.open(peer.now).expect("a stream");
            peer.number(key);
            peer.engine.send_head(peer.now, key, &request_parts("POST", "/"), BodySize::Unknown);
        };
        // After a GOAWAY the last stream ends the connection, when what was sent is written: that depends on the peer.
        let frames: Vec<_> = frames.into_iter().filter(|frame| frame.get(3) != Some(&7)).collect();
        let bytes = frames.concat();
        let whole = run(&[&bytes], 5, open);
        prop_assert_eq!(whole, run(&cut(&bytes, &cuts), 5, open));
    }
}

#[derive(Clone, Debug)]
enum Wild {
    Feed(Vec<u8>),
    Written(usize),
    Wait(u64),
    Open,
    Head(usize, bool),
    Data(usize, usize),
    End(usize),
    Reset(usize),
    Stop(usize),
    Credit(usize, usize),
    Want(usize),
    Turn,
    Release(usize),
    ShutDown,
    WriteFailed,
    Eof,
}

fn wild(server: bool) -> impl Strategy<Value = Wild> {
    let which = 0_usize..12;
    prop_oneof![
        20 => frames(server).prop_map(Wild::Feed),
        6 => prop_oneof![0_usize..50, Just(usize::MAX)].prop_map(Wild::Written),
        2 => (0_u64..40).prop_map(Wild::Wait),
        4 => Just(Wild::Open),
        6 => (which.clone(), any::<bool>()).prop_map(|(s, end)| Wild::Head(s, end)),
        6 => (which.clone(), 0_usize..90_000).prop_map(|(s, n)| Wild::Data(s, n)),
        4 => which.clone().prop_map(Wild::End),
        2 => which.clone().prop_map(Wild::Reset),
        2 => which.clone().prop_map(Wild::Stop),
        4 => (which.clone(), 0_usize..90_000).prop_map(|(s, n)| Wild::Credit(s, n)),
        4 => which.clone().prop_map(Wild::Want),
        8 => Just(Wild::Turn),
        3 => which.prop_map(Wild::Release),
        1 => Just(Wild::ShutDown),
        1 => Just(Wild::WriteFailed),
        1 => Just(Wild::Eof),
    ]
}

/// Whatever is done in whatever order: no panic, windows are conserved, timers end, the end is final.
fn survive<R: Describe + Parts>(ops: Vec<Wild>, open: impl Fn(&mut Engine<R>, Instant) -> Option<StreamKey>) {
    let mut peer = Peer::<R>::new(Limits::default());
    let mut keys = Vec::new();
    let mut was_closed = false;
    for op in ops {
        let now = peer.now;
        let key = |which: usize| -> Option<StreamKey> { keys.get(which).copied() };
        let engine = &mut peer.engine;
        match op {
            Wild::Feed(bytes) => peer.feed(&bytes),
            Wild::Written(n) => {
                shown(engine);
                engine.handle_written(now, n);
            }
            Wild::Wait(by) => peer.wait(secs(by)),
            Wild::Open => keys.extend(open(engine, now)),
            Wild::Head(s, end) => {
                let body = if end { BodySize::Empty } else { BodySize::Unknown };
                key(s).into_iter().for_each(|key| engine.send_head(now, key, &R::head(1), body));
            }
            Wild::Data(s, n) => key(s).into_iter().for_each(|key| engine.send_data(now, key, chunk(n))),
            Wild::End(s) => key(s).into_iter().for_each(|key| engine.send_end(now, key, None)),
            Wild::Reset(s) => key(s).into_iter().for_each(|key| engine.reset(now, key, ResetCode::CANCEL)),
            Wild::Stop(s) => key(s).into_iter().for_each(|key| engine.stop_receiving(now, key)),
            Wild::Credit(s, n) => key(s).into_iter().for_each(|key| engine.add_credit(now, key, n)),
            Wild::Want(s) => key(s).into_iter().for_each(|key| engine.want_write(key)),
            Wild::Turn => {
                let _ = engine.poll_writable();
            }
            Wild::Release(s) => key(s).into_iter().for_each(|key| engine.release(now, key)),
            Wild::ShutDown => engine.shut_down(now, secs(10)),
            Wild::WriteFailed => engine.handle_write_failed(now, LostKind::Reset),
            Wild::Eof => engine.handle_eof(now),
        }
        while let Some((key, _)) = peer.engine.poll_event() {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        peer.engine.check_conservation();
        let engine = &mut peer.engine;
        assert!(engine.poll_timeout().is_none_or(|due| due > peer.now));
        assert!(engine.is_closed() || !was_closed, "closed is final");
        was_closed = engine.is_closed();
        if was_closed {
            assert!(shown(engine).1 == 0 && engine.poll_timeout().is_none() && engine.room() == 0);
        }
    }
    for key in keys {
        peer.engine.release(peer.now, key);
    }
    assert_eq!(peer.engine.streams(), 0);
    peer.engine.shut_down(peer.now, secs(1));
    for _ in 0..40 {
        peer.wait(secs(10));
    }
    assert!(peer.engine.is_closed(), "with nobody doing anything, it comes to an end");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn a_server_survives_anything(ops in prop::collection::vec(wild(true), 1..60)) {
        survive::<ServerRole>(ops, |_, _| None);
    }

    #[test]
    fn a_client_survives_anything(ops in prop::collection::vec(wild(false), 1..60)) {
        survive::<ClientRole>(ops, |engine, now| engine.open(now).ok());
    }
}
