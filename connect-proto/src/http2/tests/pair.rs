//! A client and a server of this engine, in any order of calls: flow control is conserved and everything arrives.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

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

pub(super) trait Parts: Role {
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
                Event::Reset { .. } | Event::Lost { .. } => app.over = true,
                Event::Misbehaved(fault) => panic!("neither side ever breaks a rule: {fault}"),
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
            limits.client_connection_window = 65_535;
            limits.server_connection_window = 65_535;
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
