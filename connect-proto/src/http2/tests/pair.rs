//! A client and a server of this engine, and hostile peers, in any order of calls and in any cutting of the bytes.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::error::LostKind;

/// One side, with an application that sends what it is told to and remembers what it gets.
struct Side<R: Role> {
    engine: Engine<R>,
    input: BytesMut,
    streams: BTreeMap<StreamKey, App>,
    /// Streams that were released, by number.
    done: BTreeMap<u32, App>,
}

#[derive(Debug, Default)]
struct App {
    number: u32,
    head: Option<bool>,
    /// Bytes to send, and whether the end follows.
    queued: usize,
    finished: bool,
    trailers: bool,
    sent: usize,
    end_taken: bool,
    end_sent: bool,
    received: usize,
    uncredited: usize,
    got_head: bool,
    ended: bool,
    /// Reset by this side, or told the last event.
    over: bool,
    reset_here: bool,
}

/// Byte `at` of the body of stream `number`.
fn pattern(number: u32, at: usize) -> u8 {
    (at as u32).wrapping_mul(31).wrapping_add(number) as u8
}

trait Parts: Role {
    fn head(number: u32) -> Self::Out;
    fn number(parts: &Self::In) -> Option<u32>;
}

impl Parts for ClientRole {
    fn head(number: u32) -> request::Parts {
        request_parts("POST", &format!("http://host/{number}"))
    }
    fn number(_: &response::Parts) -> Option<u32> {
        None
    }
}

impl Parts for ServerRole {
    fn head(_: u32) -> response::Parts {
        response_parts(200)
    }
    fn number(parts: &request::Parts) -> Option<u32> {
        parts.uri.path()[1..].parse().ok()
    }
}

impl<R: Parts> Side<R> {
    fn new(limits: Limits) -> Self {
        Side {
            engine: Engine::new(Instant::ORIGIN, Arc::new(limits)),
            input: BytesMut::new(),
            streams: BTreeMap::new(),
            done: BTreeMap::new(),
        }
    }

    fn pick(&self, which: usize) -> Option<StreamKey> {
        self.streams.keys().copied().nth(which % self.streams.len().max(1))
    }

    fn events(&mut self) {
        while let Some((key, event)) = self.engine.poll_event() {
            let app = self.streams.entry(key).or_default();
            assert!(!app.over, "an event after the last one: {event:?}");
            match event {
                Event::Head { parts, .. } => {
                    assert!(!app.got_head && !app.ended);
                    app.got_head = true;
                    if let Some(number) = R::number(&parts) {
                        app.number = number;
                    }
                }
                Event::Data(data) => {
                    assert!(app.got_head && !app.ended && !data.is_empty());
                    for (at, byte) in data.iter().enumerate() {
                        assert_eq!(*byte, pattern(app.number, app.received + at), "bytes in order");
                    }
                    app.received += data.len();
                    app.uncredited += data.len();
                }
                Event::End(_) => {
                    assert!(app.got_head && !app.ended);
                    app.ended = true;
                }
                Event::EndSent => {
                    assert!(app.end_taken && !app.end_sent);
                    app.end_sent = true;
                }
                Event::Reset { .. } | Event::Lost { .. } | Event::Misbehaved(_) => app.over = true,
            }
        }
    }

    /// Gives everybody a turn who wants one.
    fn write(&mut self, now: Instant) {
        for _ in 0..10_000 {
            let Some((key, max)) = self.engine.poll_writable() else { return };
            let Some(app) = self.streams.get_mut(&key) else { continue };
            if app.head == Some(false) {
                app.head = Some(true);
                self.engine.send_head(now, key, &R::head(app.number), BodySize::Unknown);
            }
            if app.head != Some(true) {
                continue;
            }
            let len = app.queued.min(max);
            if len > 0 {
                let data: Vec<u8> = (0..len).map(|at| pattern(app.number, app.sent + at)).collect();
                self.engine.send_data(now, key, Bytes::from(data).into());
                app.sent += len;
                app.queued -= len;
                if app.queued > 0 {
                    self.engine.want_write(key);
                }
            }
            if app.queued == 0 && app.finished && !app.end_taken {
                app.end_taken = true;
                let trailers = app.trailers.then(|| map(&[("t", "v")]));
                self.engine.send_end(now, key, trailers);
            }
        }
        panic!("turns without end");
    }

    fn credit(&mut self, now: Instant, key: StreamKey, n: usize) {
        if let Some(app) = self.streams.get_mut(&key) {
            let n = n.min(app.uncredited);
            app.uncredited -= n;
            self.engine.add_credit(now, key, n);
        }
    }

    fn release(&mut self, now: Instant, key: StreamKey) {
        self.engine.release(now, key);
        if let Some(app) = self.streams.remove(&key) {
            self.done.insert(app.number, app);
        }
    }

    /// Bytes to the other side, at most `n`.
    fn take_output(&mut self, now: Instant, n: usize) -> Vec<u8> {
        let (mut bytes, _) = shown(&mut self.engine);
        bytes.truncate(n);
        self.engine.handle_written(now, bytes.len());
        bytes
    }

    fn check(&self, now: Instant) {
        self.engine.check_conservation();
        assert!(self.engine.poll_timeout().is_none_or(|due| due > now));
        assert_eq!(self.engine.fault(), None, "neither side ever breaks a rule");
    }
}

#[derive(Clone, Debug)]
enum Op {
    Open,
    Send(bool, usize, usize),
    /// The server's head, or nothing.
    Respond(usize),
    Finish(bool, usize, bool),
    Write(bool),
    Carry(bool, usize),
    Credit(bool, usize, usize),
    Reset(bool, usize),
    Stop(usize),
    Release(bool, usize),
    ShutDown(bool),
}

fn op() -> impl Strategy<Value = Op> {
    let len = prop_oneof![1_usize..40, 1000_usize..3000, Just(20_000)];
    let n = prop_oneof![0_usize..30, Just(5000), Just(usize::MAX)];
    prop_oneof![
        4 => Just(Op::Open),
        6 => (any::<bool>(), any::<usize>(), len).prop_map(|(c, s, l)| Op::Send(c, s, l)),
        3 => any::<usize>().prop_map(Op::Respond),
        4 => (any::<bool>(), any::<usize>(), any::<bool>()).prop_map(|(c, s, t)| Op::Finish(c, s, t)),
        6 => any::<bool>().prop_map(Op::Write),
        12 => (any::<bool>(), n.clone()).prop_map(|(c, n)| Op::Carry(c, n)),
        6 => (any::<bool>(), any::<usize>(), n).prop_map(|(c, s, n)| Op::Credit(c, s, n)),
        1 => (any::<bool>(), any::<usize>()).prop_map(|(c, s)| Op::Reset(c, s)),
        1 => any::<usize>().prop_map(Op::Stop),
        1 => (any::<bool>(), any::<usize>()).prop_map(|(c, s)| Op::Release(c, s)),
    ]
}

fn limits() -> impl Strategy<Value = Limits> {
    let window = prop_oneof![40_u32..100, Just(1000), Just(65_535), Just(256 << 10)];
    let output = prop_oneof![Just(100_usize), Just(2000), Just(64 << 10)];
    (window, output, 1_u32..20).prop_map(|(window, output, streams)| {
        limits_with(|limits| {
            limits.initial_stream_window = window;
            limits.connection_window = 65_535;
            limits.max_output = output;
            limits.max_concurrent_streams = streams;
            limits.guards.empty_frames = Rate::new(u32::MAX, 0);
        })
    })
}

struct Pair {
    client: Side<ClientRole>,
    server: Side<ServerRole>,
    now: Instant,
    opened: u32,
}

macro_rules! on {
    ($pair:ident, $is_client:expr, |$side:ident| $do:expr) => {
        if $is_client {
            let $side = &mut $pair.client;
            $do
        } else {
            let $side = &mut $pair.server;
            $do
        }
    };
}

impl Pair {
    fn new(client: Limits, server: Limits) -> Self {
        Pair { client: Side::new(client), server: Side::new(server), now: Instant::ORIGIN, opened: 0 }
    }

    fn carry(&mut self, from_client: bool, n: usize) -> bool {
        let now = self.now;
        if from_client {
            let bytes = self.client.take_output(now, n);
            self.server.input.extend_from_slice(&bytes);
            self.server.engine.handle_read(now, &mut self.server.input);
            self.server.events();
            !bytes.is_empty()
        } else {
            let bytes = self.server.take_output(now, n);
            self.client.input.extend_from_slice(&bytes);
            self.client.engine.handle_read(now, &mut self.client.input);
            self.client.events();
            !bytes.is_empty()
        }
    }

    fn apply(&mut self, op: Op) {
        let now = self.now;
        match op {
            Op::Open => {
                if let Ok(key) = self.client.engine.open(now) {
                    let app = App { number: self.opened, head: Some(false), ..App::default() };
                    self.opened += 1;
                    self.client.streams.insert(key, app);
                    self.client.engine.want_write(key);
                }
            }
            Op::Send(client, which, len) => on!(self, client, |side| {
                let Some(key) = side.pick(which) else { return };
                let app = side.streams.get_mut(&key).expect("a stream");
                if !app.finished {
                    app.queued += len;
                    side.engine.want_write(key);
                }
            }),
            Op::Respond(which) => {
                let side = &mut self.server;
                let Some(key) = side.pick(which) else { return };
                let app = side.streams.get_mut(&key).expect("a stream");
                app.head.get_or_insert(false);
                side.engine.want_write(key);
            }
            Op::Finish(client, which, trailers) => on!(self, client, |side| {
                let Some(key) = side.pick(which) else { return };
                let app = side.streams.get_mut(&key).expect("a stream");
                if !app.finished {
                    (app.finished, app.trailers) = (true, trailers);
                    side.engine.want_write(key);
                }
            }),
            Op::Write(client) => on!(self, client, |side| side.write(now)),
            Op::Carry(client, n) => {
                self.carry(client, n);
            }
            Op::Credit(client, which, n) => on!(self, client, |side| {
                if let Some(key) = side.pick(which) {
                    side.credit(now, key, n);
                }
            }),
            Op::Reset(client, which) => on!(self, client, |side| {
                if let Some(key) = side.pick(which) {
                    side.engine.reset(now, key, ResetCode::CANCEL);
                    let app = side.streams.get_mut(&key).expect("a stream");
                    (app.over, app.reset_here) = (true, true);
                }
            }),
            Op::Stop(which) => {
                let side = &mut self.server;
                if let Some(key) = side.pick(which) {
                    side.engine.stop_receiving(now, key);
                    let app = side.streams.get_mut(&key).expect("a stream");
                    // What comes after that is not seen.
                    app.reset_here = true;
                }
            }
            Op::Release(client, which) => on!(self, client, |side| {
                if let Some(key) = side.pick(which) {
                    let app = side.streams.get_mut(&key).expect("a stream");
                    app.reset_here |= !(app.end_sent && app.ended);
                    side.release(now, key);
                }
            }),
            Op::ShutDown(client) => on!(self, client, |side| side.engine.shut_down(now, secs(60))),
        }
    }

    /// Everybody finishes and consumes, and all bytes are carried, until nothing moves.
    fn finish(&mut self) {
        for round in 0.. {
            assert!(round < 200_000, "it never ends");
            let mut moved = false;
            let now = self.now;
            for client in [true, false] {
                on!(self, client, |side| {
                    let keys: Vec<_> = side.streams.keys().copied().collect();
                    for key in keys {
                        let app = side.streams.get_mut(&key).expect("a stream");
                        let uncredited = app.uncredited;
                        // Told once: nobody has to ask again for what a window or the output stops.
                        if app.head.is_none() || !app.finished {
                            app.head.get_or_insert(false);
                            app.finished = true;
                            side.engine.want_write(key);
                        }
                        if uncredited > 0 {
                            side.credit(now, key, usize::MAX);
                        }
                    }
                    side.write(now);
                });
                moved |= self.carry(client, usize::MAX);
            }
            self.client.check(now);
            self.server.check(now);
            if !moved {
                return;
            }
        }
    }

    /// What was not reset has arrived as a whole.
    fn check_complete(&mut self) {
        fn all<R: Role>(side: &Side<R>) -> BTreeMap<u32, &App> {
            side.done.values().chain(side.streams.values()).map(|app| (app.number, app)).collect()
        }
        let (client, server) = (all(&self.client), all(&self.server));
        for (number, sent) in &client {
            let Some(got) = server.get(number) else {
                assert!(sent.over || sent.reset_here, "stream {number} never arrived: {sent:?}");
                continue;
            };
            if [*sent, *got].iter().all(|app| !app.over && !app.reset_here) {
                for (from, to) in [(sent, got), (got, sent)] {
                    assert!(from.end_sent && to.ended, "stream {number}: {from:?} to {to:?}");
                    assert_eq!(from.sent, to.received);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Flow control is conserved at every step, nothing stalls, and what was not reset arrives as a whole.
    #[test]
    fn both_roles_agree(
        client in limits(),
        server in limits(),
        ops in prop::collection::vec(op(), 1..120),
    ) {
        let mut pair = Pair::new(client, server);
        for op in ops {
            pair.apply(op);
            pair.client.check(pair.now);
            pair.server.check(pair.now);
        }
        pair.finish();
        pair.check_complete();
        for client in [true, false] {
            on!(pair, client, |side| {
                for key in side.streams.keys().copied().collect::<Vec<_>>() {
                    side.release(pair.now, key);
                }
                assert_eq!(side.engine.streams(), 0);
            });
        }
        pair.finish();
        for client in [true, false] {
            on!(pair, client, |side| assert!(side.engine.is_quiet(), "something is left"));
        }
    }

    /// A shutdown, of whichever side and whenever, ends with both transports closed.
    #[test]
    fn a_shutdown_ends(
        ops in prop::collection::vec(op(), 0..60),
        by_client: bool,
    ) {
        let mut pair = Pair::new(Limits::default(), Limits::default());
        for op in ops {
            pair.apply(op);
        }
        pair.apply(Op::ShutDown(by_client));
        pair.finish();
        for _ in 0..200 {
            pair.now = pair.now.saturating_add(secs(1));
            let now = pair.now;
            on!(pair, true, |side| side.engine.handle_timeout(now));
            on!(pair, false, |side| side.engine.handle_timeout(now));
            pair.client.events();
            pair.server.events();
            pair.finish();
            if pair.client.engine.poll_shutdown().is_some() {
                pair.server.engine.handle_eof(now);
            }
            if pair.server.engine.poll_shutdown().is_some() {
                pair.client.engine.handle_eof(now);
            }
        }
        assert!(pair.client.engine.is_closed() && pair.server.engine.is_closed());
        assert!(pair.client.engine.poll_timeout().is_none() && pair.server.engine.poll_timeout().is_none());
    }
}

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
            Wild::Written(n) => engine.handle_written(now, n),
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
    for _ in 0..400 {
        peer.wait(secs(1));
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
