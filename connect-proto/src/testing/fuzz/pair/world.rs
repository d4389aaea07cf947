//! A pair that operations happen to, and what has to hold of it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Version;

use super::Op;
use super::ledger::{Played, Speaker};
use crate::Instant;
use crate::call::{Duplex, Kind, Phase};
use crate::client::{Call, CallConfig, Procedure, Request};
use crate::connection::CallId;
use crate::error::{Code, PeerMisbehaved, RpcError};
use crate::metadata::Metadata;
use crate::server::{Refusal, ServerConfig};
use crate::testing::{Heard, Pair, PairConfig, Told, client_config, method, millis, secs};

/// How many calls there may be at once.
const AT_ONCE: usize = 8;
/// What every path begins with; the number of the call follows.
const PATH: &str = "/test.Service/";
/// Before this no limit of a connection or of a call without a timeout expires.
const CALM: Duration = secs(1);

/// How a [`World`] is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(clippy::exhaustive_structs)]
pub struct Setup {
    /// HTTP/1.1, with one call after the other, or HTTP/2, with several at once.
    pub version: Version,
    /// The number of the first call's kind; the next ones follow.
    pub first_kind: usize,
    /// How many bytes of a body may wait, on either side; over HTTP/2, also about as much output.
    pub window: u32,
    /// Over HTTP/2: the calls that the server takes at once. The others wait.
    pub max_streams: u32,
}

/// A [`Pair`] that operations happen to, and what is to be expected of it.
///
/// Its applications act on what they are told and on nothing else: what there was no room for is sent when the call
/// says that it is writable, so that a notice that is lost leaves a call that does not end.
#[derive(Debug)]
pub struct World {
    pair: Pair,
    setup: Setup,
    client_config: Arc<CallConfig>,
    server_config: Arc<ServerConfig>,
    calls: Vec<Played>,
    selected: usize,
    /// How much of what the client, and the server, has told was acted on.
    acted_on: [usize; 2],
    /// The latest time there was: the clock may go back.
    latest: Instant,
    /// The transport was broken.
    broken: bool,
    /// Bytes were put on it that nobody had written.
    garbled: bool,
    /// A side was shut down: when its grace is over.
    grace: Option<Instant>,
}

impl World {
    /// A pair without a call.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        let mut config = PairConfig::new(Kind::Unary);
        config.version = setup.version;
        for connection in [&mut config.client_connection, &mut config.server_connection] {
            connection.receive_window = setup.window.into();
            #[cfg(feature = "http2")]
            {
                connection.http2 = crate::http2::Limits {
                    initial_stream_window: setup.window,
                    max_concurrent_streams: setup.max_streams,
                    max_output: (setup.window as usize).clamp(500, 64 << 10),
                    ..crate::http2::Limits::default()
                };
            }
        }
        let mut pair = Pair::new(config);
        // The world starts the calls, each by its own kind.
        pair.server.serves = None;
        let (mut client_config, mut server_config) = (client_config(), ServerConfig::default());
        client_config.limits.send_queue = setup.window as usize;
        server_config.limits.send_queue = setup.window as usize;
        World {
            pair,
            setup,
            client_config: Arc::new(client_config),
            server_config: Arc::new(server_config),
            calls: Vec::new(),
            selected: 0,
            acted_on: [0; 2],
            latest: Instant::ORIGIN,
            broken: false,
            garbled: false,
            grace: None,
        }
    }

    /// All of these, each on its call, and then the end.
    ///
    /// # Panics
    /// If a rule is broken.
    pub fn play(setup: Setup, ops: &[(u8, Op)]) {
        let mut world = World::new(setup);
        for (call, op) in ops {
            world.select(*call);
            world.apply(*op);
        }
        world.finish();
    }

    fn is_http2(&self) -> bool {
        self.setup.version == Version::HTTP_2
    }

    /// Chooses the call that operations are done to; over HTTP/1.1 it is always the latest.
    pub fn select(&mut self, call: u8) {
        let latest = self.calls.len().saturating_sub(1);
        // The others are over, or more than there may be at once.
        let first = (latest + 1).saturating_sub(AT_ONCE);
        self.selected =
            if self.is_http2() { (first + usize::from(call) % AT_ONCE).min(latest) } else { latest };
    }

    /// Does it, if it can be done now, and checks the rules.
    ///
    /// # Panics
    /// If a rule is broken.
    pub fn apply(&mut self, op: Op) {
        match op {
            Op::Open { timeout, refused } => {
                self.open(timeout.map(|timeout| millis(timeout.into())), refused)
            }
            Op::Run => self.run(),
            Op::Elapse(by) => self.elapse(millis(by.into())),
            Op::Trickle(by) => self.trickle(millis((by % 4_000).into())),
            _ => {
                self.act_on_transport(op);
                self.act_on_clock(op);
                self.act_on_call(op);
                self.react();
            }
        }
        self.check();
    }

    fn act_on_transport(&mut self, op: Op) {
        let p = &mut self.pair;
        let pieces = |piece: u16| [usize::from(piece % 200), usize::from(piece / 200)];
        match op {
            Op::ClientTurn => _ = p.client.turn(&mut p.to_client, &mut p.to_server),
            Op::ServerTurn => _ = p.server.turn(&mut p.to_server, &mut p.to_client),
            Op::ClientListens(does) => p.client.listening = does,
            Op::ServerListens(does) => p.server.listening = does,
            Op::ClientAppetite(events) => p.client.appetite = usize::from(events % 3) + 1,
            Op::ServerAppetite(events) => p.server.appetite = usize::from(events % 3) + 1,
            Op::CutToClient(piece) => p.to_client.cut(&pieces(piece)),
            Op::CutToServer(piece) => p.to_server.cut(&pieces(piece)),
            Op::StallToClient(true) => p.to_client.stall(),
            Op::StallToClient(false) => p.to_client.resume(),
            Op::StallToServer(true) => p.to_server.stall(),
            Op::StallToServer(false) => p.to_server.resume(),
            Op::CapacityToClient(bytes) => p.to_client.set_capacity(usize::from(bytes)),
            Op::CapacityToServer(bytes) => p.to_server.set_capacity(usize::from(bytes)),
            Op::Reset | Op::HalfCloseToClient | Op::HalfCloseToServer => self.break_transport(op),
            Op::FeedClient(byte) => {
                (self.broken, self.garbled) = (true, true);
                p.feed_client(&[byte]);
            }
            Op::FeedServer(byte) => {
                (self.broken, self.garbled) = (true, true);
                p.feed_server(&[byte]);
            }
            _ => {}
        }
    }

    fn break_transport(&mut self, op: Op) {
        self.broken = true;
        let p = &mut self.pair;
        match op {
            Op::HalfCloseToClient => p.to_client.half_close(),
            Op::HalfCloseToServer => p.to_server.half_close(),
            _ => {
                p.to_client.reset();
                p.to_server.reset();
            }
        }
    }

    fn act_on_clock(&mut self, op: Op) {
        let p = &mut self.pair;
        match op {
            Op::Advance(by) => p.advance(millis(by.into())),
            Op::Rewind(by) => {
                let past = p.now().saturating_duration_since(p.start).saturating_sub(millis(by.into()));
                p.client.now = p.start.saturating_add(past);
                p.server.now = p.client.now;
            }
            Op::HandleTimeout => self.handle_timeout(),
            Op::ShutDownClient(grace) => {
                p.client.connection.shut_down(p.client.now, millis(grace.into()));
                self.leave_within(grace);
            }
            Op::ShutDownServer(grace) => {
                p.server.connection.shut_down(p.server.now, millis(grace.into()));
                self.leave_within(grace);
            }
            _ => {}
        }
        self.latest = self.latest.max(self.pair.now());
    }

    fn leave_within(&mut self, grace: u16) {
        let end = self.pair.now().saturating_add(millis(grace.into()));
        self.grace = Some(self.grace.map_or(end, |grace| grace.min(end)));
    }

    fn handle_timeout(&mut self) {
        let p = &mut self.pair;
        p.client.handle_timeout();
        p.server.handle_timeout();
        for timer in [p.client.connection.poll_timeout(), p.server.connection.poll_timeout()] {
            assert!(timer.is_none_or(|timer| timer > p.client.now), "a timer that has gone off stays");
        }
        self.check_limits();
    }

    /// The server says little by little, and nobody is told the time but by what comes.
    fn trickle(&mut self, by: Duration) {
        for _ in 0..20 {
            self.server_says(self.selected, 1);
            let p = &mut self.pair;
            p.advance(by / 20);
            p.server.turn(&mut p.to_server, &mut p.to_client);
            p.client.turn(&mut p.to_client, &mut p.to_server);
        }
        self.latest = self.latest.max(self.pair.now());
        self.react();
        self.check_limits();
    }

    fn act_on_call(&mut self, op: Op) {
        let n = self.selected;
        let Some(call) = self.calls.get_mut(n) else { return };
        let p = &mut self.pair;
        p.client.select(call.client);
        match op {
            Op::ClientSend(len) => self.client_says(n, len.into()),
            Op::ClientFinish => self.client_ends(n),
            Op::ClientClose => self.client_closes(n),
            Op::ClientAbort => {
                p.client.abort();
                (call.left, call.spoilt) = (true, true);
            }
            Op::ClientReject => {
                call.spoilt = true;
                if let Some(mut live) = p.client.connection.call(call.client) {
                    live.reject(p.client.now, PeerMisbehaved::MalformedMessage);
                }
            }
            Op::ClientHears(true) => _ = p.client.deaf_to.remove(&call.client),
            Op::ClientHears(false) => _ = p.client.deaf_to.insert(call.client),
            _ => {}
        }
        let Some(call) = self.calls.get_mut(n) else { return };
        let (Some(server), p) = (call.server, &mut self.pair) else { return };
        p.server.select(server);
        match op {
            Op::ServerHeaders => _ = p.server.send_headers(Metadata::new()),
            Op::ServerSend(len) => self.server_says(n, len.into()),
            Op::ServerFinish(success) => self.server_ends(n, success),
            Op::ServerAbort => {
                p.server.abort();
                call.spoilt = true;
            }
            Op::ServerReject => {
                call.spoilt = true;
                if let Some(mut live) = p.server.connection.call(server) {
                    live.reject(p.server.now, PeerMisbehaved::MalformedMessage);
                }
            }
            Op::ServerHears(true) => _ = p.server.deaf_to.remove(&server),
            Op::ServerHears(false) => _ = p.server.deaf_to.insert(server),
            _ => {}
        }
    }

    fn kind(&self, number: usize) -> Kind {
        let duplex = if self.is_http2() { Duplex::Full } else { Duplex::Half };
        let kinds = [Kind::Unary, Kind::ClientStream, Kind::ServerStream, Kind::Bidi(duplex)];
        kinds[(self.setup.first_kind + number) % kinds.len()]
    }

    fn open(&mut self, timeout: Option<Duration>, refused: bool) {
        let connection = &mut self.pair.client.connection;
        let live = self.calls.iter().filter(|call| connection.call(call.client).is_some()).count();
        if live >= AT_ONCE || (!self.is_http2() && !self.pair.client.connection.is_free()) {
            return;
        }
        let number = self.calls.len();
        let kind = self.kind(number);
        let procedure = Procedure::new(format!("{PATH}{number}")).expect("a valid path");
        let mut request = Request::new(procedure, kind);
        request.timeout = timeout;
        let now = self.pair.now();
        let call = Call::new(now, &self.client_config, request).expect("no metadata");
        if let Ok(id) = self.pair.client.open(call) {
            let mut played = Played::new(kind, id);
            played.refused = refused;
            played.early = self.pair.to_client.written().len() == self.pair.to_client.in_flight();
            played.spoilt = timeout.is_some();
            played.until = timeout.map(|timeout| self.latest.saturating_add(timeout));
            self.calls.push(played);
        }
    }

    /// A message that only this call has, as far as its length allows, which goes up to somewhat more than the window.
    fn message(&self, number: usize, from: u8, nth: usize, len: usize) -> Bytes {
        let len = len % (3 * self.setup.window as usize + 100);
        [number as u8, from, nth as u8].into_iter().cycle().take(len).collect()
    }

    fn client_says(&mut self, n: usize, len: usize) {
        let nth = self.calls.get(n).map_or(0, |call| call.request.len());
        let message = self.message(n, b'>', nth, len);
        if let Some(call) = self.calls.get_mut(n) {
            call.request.add(message);
        }
        self.client_goes_on(n);
    }

    fn client_ends(&mut self, n: usize) {
        if let Some(call) = self.calls.get_mut(n) {
            call.request.end(());
        }
        self.client_goes_on(n);
    }

    fn client_goes_on(&mut self, n: usize) {
        let (Some(call), client) = (self.calls.get_mut(n), &mut self.pair.client) else { return };
        client.select(call.client);
        if let Some(()) = call.request.go_on(client) {
            client.finish().ok();
        }
    }

    fn client_closes(&mut self, n: usize) {
        let (Some(call), client) = (self.calls.get_mut(n), &mut self.pair.client) else { return };
        let limits = &self.client_config.limits;
        let drain = match client.phase() {
            // The verdict is known, and the end of HTTP may lag behind it.
            Phase::Ending => limits.end_time,
            _ if self.setup.version == Version::HTTP_2 => limits.drain_http2.time,
            _ => limits.drain_http1.time,
        };
        client.close();
        if !call.left {
            let until = self.latest.saturating_add(drain);
            call.until = Some(call.until.map_or(until, |before| before.min(until)));
        }
        call.left = true;
    }

    fn server_says(&mut self, n: usize, len: usize) {
        let nth = self.calls.get(n).map_or(0, |call| call.response.len());
        let message = self.message(n, b'<', nth, len);
        if let Some(call) = self.calls.get_mut(n) {
            call.response.add(message);
        }
        self.server_goes_on(n);
    }

    fn server_ends(&mut self, n: usize, success: bool) {
        if let Some(call) = self.calls.get_mut(n) {
            call.response.end(success);
        }
        self.server_goes_on(n);
    }

    fn server_goes_on(&mut self, n: usize) {
        let (Some(call), server) = (self.calls.get_mut(n), &mut self.pair.server) else { return };
        let Some(id) = call.server else { return };
        server.select(id);
        let Some(success) = call.response.go_on(server) else { return };
        let is_awaited = server.state() == Phase::Active;
        let answer = if success { Ok(()) } else { Err(Code::Aborted) };
        if server.finish(answer.map_err(|code| RpcError::new(code, ""))).is_ok() && is_awaited {
            let is_missing = call.has_one_response() && call.response.said.is_empty();
            call.answer = Some(answer.and(if is_missing { Err(Code::Internal) } else { Ok(()) }));
        }
    }

    /// Moves bytes and notices, and acts on those, until nothing moves any more.
    fn run(&mut self) {
        loop {
            self.pair.run();
            if !self.react() {
                break;
            }
        }
        self.check_limits();
    }

    fn elapse(&mut self, by: Duration) {
        self.pair.elapse(by);
        self.latest = self.latest.max(self.pair.now());
        self.react();
        self.run();
    }

    /// Acts on what was told since the last time; false if that was nothing of interest.
    fn react(&mut self) -> bool {
        let mut acted = false;
        while let Some(Told { call: Some(id), what, .. }) = self.pair.client.told.get(self.acted_on[0]) {
            self.acted_on[0] += 1;
            let (id, is_writable) = (*id, matches!(what, Heard::Writable));
            if let Some(n) = self.calls.iter().position(|call| is_writable && call.client == id) {
                self.client_goes_on(n);
                acted = true;
            }
        }
        while let Some(Told { call: Some(id), what, .. }) = self.pair.server.told.get(self.acted_on[1]) {
            self.acted_on[1] += 1;
            let (id, is_writable, is_new) =
                (*id, matches!(what, Heard::Writable), matches!(what, Heard::Incoming));
            if is_new {
                self.arrives(id);
                acted = true;
            } else if let Some(n) = self.calls.iter().position(|call| is_writable && call.server == Some(id))
            {
                self.server_goes_on(n);
                acted = true;
            }
        }
        acted
    }

    /// A request has come, which says itself which call's it is.
    fn arrives(&mut self, id: CallId) {
        let server = &mut self.pair.server;
        server.select(id);
        let Some(incoming) = server.connection.incoming(id) else { return };
        let number = incoming.procedure().strip_prefix(PATH).and_then(|number| number.parse::<usize>().ok());
        let Some((n, call)) = number.and_then(|n| Some((n, self.calls.get_mut(n)?))) else {
            assert!(self.garbled, "a request that nobody has made");
            server.refuse(&self.server_config, Refusal::NotFound);
            return;
        };
        assert!(self.garbled || call.server.is_none(), "a request came twice: {call:?}");
        call.server = Some(id);
        if call.refused {
            server.refuse(&self.server_config, Refusal::NotFound);
        } else {
            server.connection.start(server.now, id, &self.server_config, &method(call.kind));
            self.server_goes_on(n);
        }
    }

    fn check(&self) {
        self.pair.client.assert_orderly();
        self.pair.server.assert_orderly();
        self.held();
        if !self.garbled {
            self.calls.iter().for_each(|call| call.check(&self.pair, self.is_http2()));
        }
    }

    /// To be checked when both sides were told the time.
    fn check_limits(&mut self) {
        let p = &mut self.pair;
        for call in &self.calls {
            let is_due = call.until.is_some_and(|until| until <= p.client.now);
            if let Some(live) = p.client.connection.call(call.client) {
                assert!(!is_due || live.state() == Phase::Closed, "beyond its limit: {call:?}");
            }
            if let Some(live) = call.server.and_then(|id| p.server.connection.call(id)) {
                let is_due = live.deadline().is_some_and(|deadline| deadline <= p.server.now);
                assert!(!is_due || live.state() != Phase::Active, "beyond its deadline: {call:?}");
            }
        }
    }

    /// Bytes of bodies that wait at the client and at the server.
    fn held(&self) -> [u64; 2] {
        [self.pair.client.connection.held_bytes(), self.pair.server.connection.held_bytes()]
    }

    /// Whether nothing but what was said decides how calls end.
    fn is_calm(&self) -> bool {
        let calm = self.pair.start.saturating_add(CALM);
        !self.broken && self.latest < self.grace.map_or(calm, |grace| grace.min(calm))
    }

    /// Lets everything come to its end, and checks that it does: at once if nothing was broken.
    ///
    /// # Panics
    /// If a rule is broken.
    pub fn finish(mut self) {
        self.unhinder();
        self.run();
        self.check();
        self.check_windows();
        while self.say_the_last() {
            self.run();
            self.check();
        }
        self.check_windows();
        if !self.broken {
            self.check_all_closed();
            self.probe();
        }
        self.elapse(secs(7200));
        self.check();
        // A server without a call may be waiting for the rest of a head that was fed to it, but not that long.
        self.pair.assert_quiescent();
    }

    fn unhinder(&mut self) {
        let p = &mut self.pair;
        for wire in [&mut p.to_client, &mut p.to_server] {
            wire.resume();
            wire.cut(&[]);
            wire.set_capacity(usize::MAX);
        }
        (p.client.listening, p.server.listening) = (true, true);
        p.client.deaf_to.clear();
        p.server.deaf_to.clear();
        p.client.now = self.latest;
        p.server.now = self.latest;
    }

    /// Both sides of every call say what they have not said, the servers after the clients. False if there was nothing.
    fn say_the_last(&mut self) -> bool {
        for n in 0..self.calls.len() {
            if self.calls[n].has_one_request() && self.calls[n].request.len() == 0 {
                self.client_says(n, 1);
            }
            self.client_ends(n);
        }
        self.run();
        if self.is_calm() {
            self.calls.iter().for_each(|call| call.check_request(&self.pair));
        }
        let answers: Vec<bool> = self.calls.iter().map(|call| call.answer.is_some()).collect();
        for n in 0..self.calls.len() {
            if self.calls[n].has_one_response() && self.calls[n].response.len() == 0 {
                self.server_says(n, 1);
            }
            self.server_ends(n, true);
        }
        answers.iter().zip(&self.calls).any(|(before, call)| *before != call.answer.is_some())
    }

    /// What the applications have taken is given back, and both sides agree on what may be sent.
    fn check_windows(&mut self) {
        assert_eq!(self.held(), [0, 0], "flow control is not conserved");
        let p = &mut self.pair;
        let is_moving = p.to_client.in_flight() + p.to_server.in_flight() > 0
            || p.client.wants_write()
            || p.server.wants_write();
        if self.broken || is_moving || p.client.connection.is_closed() || p.server.connection.is_closed() {
            return;
        }
        let server = p.server.connection.windows();
        for (stream, [sends, receives]) in p.client.connection.windows() {
            if let Some((_, there)) = server.iter().find(|(there, _)| *there == stream) {
                assert_eq!([receives, sends], *there, "the windows of {stream:?} differ");
            }
        }
    }

    fn check_all_closed(&mut self) {
        let (calm, leaving) = (self.is_calm(), self.grace.is_some());
        for call in &self.calls {
            let p = &mut self.pair;
            let is_open = p.client.connection.call(call.client).is_some()
                || call.server.is_some_and(|id| p.server.connection.call(id).is_some());
            assert!(!is_open, "it does not come to an end: {call:?}\n{p:#?}");
            if calm {
                call.check_outcome(p, leaving);
            }
        }
    }

    /// A connection that calls itself reusable is.
    fn probe(&mut self) {
        if !self.pair.client.connection.is_free() {
            return;
        }
        let n = self.calls.len();
        self.open(None, false);
        self.run();
        while self.say_the_last() {
            self.run();
        }
        self.check();
        self.calls[n].check_outcome(&self.pair, false);
    }

    /// What each call has told on both sides, but for when it was writable.
    #[must_use]
    pub fn stories(&self) -> Vec<Vec<String>> {
        let of = |told: &[Told], id: Option<CallId>| -> Vec<String> {
            let told = told.iter().filter(|told| told.call.is_some() && told.call == id);
            told.filter(|told| !matches!(told.what, Heard::Writable))
                .map(|told| format!("{:?}", told.what))
                .collect()
        };
        let both = |call: &Played| {
            [of(&self.pair.client.told, Some(call.client)), of(&self.pair.server.told, call.server)].concat()
        };
        self.calls.iter().map(both).collect()
    }

    /// Cuts what is delivered to the client, and to the server, into pieces of these sizes.
    pub fn cut(&mut self, to_client: &[usize], to_server: &[usize]) {
        self.pair.to_client.cut(to_client);
        self.pair.to_server.cut(to_server);
    }

    /// All that was written to the client, and to the server.
    #[must_use]
    pub fn written(&self) -> [&[u8]; 2] {
        [self.pair.to_client.written(), self.pair.to_server.written()]
    }
}
