//! A client against a server: random operations, cuts, time and faults.

use bytes::Bytes;

use super::Reader;
use crate::call::{Duplex, Kind, Phase};
use crate::connection::{CallId, Fate};
use crate::error::{Code, RpcError};
use crate::metadata::Metadata;
use crate::testing::{Heard, Pair, PairConfig, millis, secs};

/// Something that happens to a [`Pair`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // The names of the methods of `Pair`, `Endpoint` and `Wire`.
pub enum Op {
    Open { timeout: Option<u16> },
    ClientSend(u16),
    ClientFinish,
    ClientClose,
    ClientAbort,
    ServerHeaders,
    ServerSend(u16),
    ServerFinish(bool),
    ServerAbort,
    ClientTurn,
    ServerTurn,
    Run,
    Advance(u16),
    Elapse(u16),
    HandleTimeout,
    ClientListens(bool),
    ServerListens(bool),
    CutToClient(u16),
    CutToServer(u16),
    StallToClient(bool),
    StallToServer(bool),
    CapacityToClient(u16),
    CapacityToServer(u16),
    Reset,
    HalfCloseToClient,
    HalfCloseToServer,
    FeedClient(u8),
    FeedServer(u8),
    ShutDownClient(u16),
    ShutDownServer(u16),
}

impl Op {
    /// Some operation for any numbers. What breaks a connection is rare.
    #[must_use]
    pub fn from_numbers(code: u8, arg: u16) -> Op {
        let flag = arg.is_multiple_of(2);
        match code % 64 {
            0..=7 => Op::Open { timeout: flag.then_some(arg) },
            8..=15 => Op::ClientSend(arg),
            16..=19 => Op::ClientFinish,
            20 | 21 => Op::ClientClose,
            22 => Op::ClientAbort,
            23 => Op::ServerHeaders,
            24..=31 => Op::ServerSend(arg),
            32..=35 => Op::ServerFinish(flag),
            36 => Op::ServerAbort,
            37..=39 => Op::ClientTurn,
            40..=42 => Op::ServerTurn,
            43..=46 => Op::Run,
            47 => Op::Advance(arg),
            48 => Op::Elapse(arg),
            49 => Op::HandleTimeout,
            50 => Op::ClientListens(flag),
            51 => Op::ServerListens(flag),
            52 => Op::CutToClient(arg),
            53 => Op::CutToServer(arg),
            54 => Op::StallToClient(flag),
            55 => Op::StallToServer(flag),
            56 => Op::CapacityToClient(arg),
            57 => Op::CapacityToServer(arg),
            58 => Op::ShutDownClient(arg),
            59 => Op::ShutDownServer(arg),
            60 => [Op::Reset, Op::HalfCloseToClient, Op::HalfCloseToServer][usize::from(arg % 3)],
            61 => [Op::FeedClient(arg as u8), Op::FeedServer(arg as u8)][usize::from(flag)],
            _ => Op::Run,
        }
    }

    /// Whether the time, faults or what the application looks at play no part in it: the same operations then give
    /// the same story, however the bytes are cut.
    fn is_cut_blind(self) -> bool {
        matches!(
            self,
            Op::Open { timeout: None }
                | Op::ClientSend(_)
                | Op::ClientFinish
                | Op::ClientClose
                | Op::ServerHeaders
                | Op::ServerSend(_)
                | Op::ServerFinish(_)
        )
    }
}

/// What was sent on a call.
#[derive(Debug, Default)]
struct Sent {
    client: Option<CallId>,
    server: Option<CallId>,
    by_client: Vec<Bytes>,
    by_server: Vec<Bytes>,
    left: bool,
    succeeded: bool,
    aborted: bool,
}

/// A [`Pair`] that operations happen to, and what is to be expected of it.
#[derive(Debug)]
pub struct World {
    pair: Pair,
    calls: Vec<Sent>,
    incoming: usize,
    /// Whether the transport or the bytes on it were meddled with.
    broken: bool,
    /// Whether a side was shut down.
    ending: bool,
}

impl World {
    /// A pair whose calls are of this kind.
    #[must_use]
    pub fn new(kind: Kind, receive_window: u64) -> Self {
        let mut config = PairConfig::new(kind);
        config.client_connection.receive_window = receive_window;
        config.server_connection.receive_window = receive_window;
        World { pair: Pair::new(config), calls: Vec::new(), incoming: 0, broken: false, ending: false }
    }

    /// Does it, if it can be done now, and checks the rules.
    ///
    /// # Panics
    /// If a rule is broken.
    pub fn apply(&mut self, op: Op) {
        self.act(op);
        self.match_calls();
        self.check();
    }

    fn act(&mut self, op: Op) {
        let p = &mut self.pair;
        match op {
            Op::Open { timeout } => self.open(timeout),
            Op::ClientSend(len) => self.client_send(usize::from(len)),
            Op::ClientFinish => _ = p.client.finish(),
            Op::ClientClose => {
                p.client.close();
                self.leave(false);
            }
            Op::ClientAbort => {
                p.client.abort();
                self.leave(true);
            }
            Op::ServerHeaders => _ = p.server.send_headers(Metadata::new()),
            Op::ServerSend(len) => self.server_send(usize::from(len)),
            Op::ServerFinish(success) => self.server_finish(success),
            Op::ServerAbort => {
                p.server.abort();
                if let Some(sent) = self.of_server() {
                    sent.aborted = true;
                }
            }
            Op::ClientTurn => _ = p.client.turn(&mut p.to_client, &mut p.to_server),
            Op::ServerTurn => _ = p.server.turn(&mut p.to_server, &mut p.to_client),
            Op::Run => p.run(),
            Op::Advance(by) => p.advance(millis(by.into())),
            Op::Elapse(by) => p.elapse(millis(by.into())),
            Op::HandleTimeout => self.handle_timeout(),
            Op::ClientListens(does) => p.client.listening = does,
            Op::ServerListens(does) => p.server.listening = does,
            Op::CutToClient(piece) => p.to_client.cut(&[usize::from(piece % 200), usize::from(piece / 200)]),
            Op::CutToServer(piece) => p.to_server.cut(&[usize::from(piece % 200), usize::from(piece / 200)]),
            Op::StallToClient(true) => p.to_client.stall(),
            Op::StallToClient(false) => p.to_client.resume(),
            Op::StallToServer(true) => p.to_server.stall(),
            Op::StallToServer(false) => p.to_server.resume(),
            Op::CapacityToClient(bytes) => p.to_client.set_capacity(usize::from(bytes)),
            Op::CapacityToServer(bytes) => p.to_server.set_capacity(usize::from(bytes)),
            Op::Reset | Op::HalfCloseToClient | Op::HalfCloseToServer => self.break_transport(op),
            Op::FeedClient(byte) => {
                self.broken = true;
                p.feed_client(&[byte]);
            }
            Op::FeedServer(byte) => {
                self.broken = true;
                p.feed_server(&[byte]);
            }
            Op::ShutDownClient(grace) => {
                self.ending = true;
                p.client.connection.shut_down(p.client.now, millis(grace.into()));
            }
            Op::ShutDownServer(grace) => {
                self.ending = true;
                p.server.connection.shut_down(p.server.now, millis(grace.into()));
            }
        }
    }

    fn open(&mut self, timeout: Option<u16>) {
        if self.pair.client.connection.is_free() {
            self.pair.call(timeout.map(|timeout| millis(timeout.into())));
            self.calls.push(Sent { client: self.pair.client.call_id(), ..Sent::default() });
        }
    }

    fn client_send(&mut self, len: usize) {
        let live = self.pair.client.state() != Phase::Closed;
        let Some(sent) = self.calls.last_mut() else { return };
        let message = Bytes::from(vec![sent.by_client.len() as u8; len]);
        if live && self.pair.client.send(message.clone()).is_ok() {
            sent.by_client.push(message);
        }
    }

    fn server_send(&mut self, len: usize) {
        let live = self.pair.server.state() != Phase::Closed;
        let Some(at) = self.index_of_server() else { return };
        let Some(sent) = self.calls.get_mut(at) else { return };
        let message = Bytes::from(vec![128 + sent.by_server.len() as u8 % 128; len]);
        if live && self.pair.server.send(message.clone()).is_ok() {
            sent.by_server.push(message);
        }
    }

    fn server_finish(&mut self, success: bool) {
        let live = self.pair.server.state() == Phase::Active;
        let verdict = if success { Ok(()) } else { Err(RpcError::new(Code::Aborted, "")) };
        let finished = self.pair.server.finish(verdict).is_ok();
        if let Some(sent) = self.of_server() {
            sent.succeeded |= live && finished && success;
        }
    }

    fn leave(&mut self, aborted: bool) {
        if let Some(sent) = self.calls.last_mut() {
            sent.left = true;
            sent.aborted |= aborted;
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

    fn handle_timeout(&mut self) {
        let p = &mut self.pair;
        p.client.handle_timeout();
        p.server.handle_timeout();
        for timer in [p.client.connection.poll_timeout(), p.server.connection.poll_timeout()] {
            assert!(timer.is_none_or(|timer| timer > p.client.now), "a timer that has gone off stays");
        }
    }

    /// Finds out which call of the server is which of the client: the latest one when it came in, since a client
    /// opens the next call only when the one before is complete.
    fn match_calls(&mut self) {
        let incoming = self.pair.server.told.iter().filter(|told| matches!(told.what, Heard::Incoming));
        let count = incoming.count();
        if count > self.incoming {
            assert!(self.broken || count == self.incoming + 1, "two requests at once");
            self.incoming = count;
            if let Some(sent) = self.calls.last_mut() {
                assert!(self.broken || sent.server.is_none(), "a request came twice");
                sent.server = self.pair.server.call_id();
            }
        }
    }

    fn index_of_server(&self) -> Option<usize> {
        let id = self.pair.server.call_id()?;
        self.calls.iter().position(|sent| sent.server == Some(id))
    }

    fn of_server(&mut self) -> Option<&mut Sent> {
        self.index_of_server().and_then(|at| self.calls.get_mut(at))
    }

    fn check(&self) {
        self.pair.client.assert_orderly();
        self.pair.server.assert_orderly();
        if self.broken {
            return;
        }
        for sent in &self.calls {
            sent.check(&self.pair);
        }
    }

    /// Lets everything come to its end, and checks that it does: at once if nothing was broken.
    ///
    /// # Panics
    /// If a rule is broken.
    pub fn finish(mut self) {
        for wire in [&mut self.pair.to_client, &mut self.pair.to_server] {
            wire.resume();
            wire.cut(&[]);
            wire.set_capacity(usize::MAX);
        }
        self.pair.client.listening = true;
        self.pair.server.listening = true;
        self.pair.run();
        self.match_calls();
        self.check();
        self.check_windows();
        self.client_send(1);
        let _ = self.pair.client.finish();
        self.pair.run();
        self.match_calls();
        self.server_finish(true);
        self.pair.run();
        self.check();
        if !self.broken {
            self.check_all_closed();
        }
        self.pair.elapse(secs(7200));
        self.check();
        // A server without a call may be waiting for the rest of a head that was fed to it, but not that long.
        self.pair.assert_quiescent();
        self.probe();
    }

    /// What the application has taken is given back.
    fn check_windows(&self) {
        let held = [self.pair.client.connection.held_bytes(), self.pair.server.connection.held_bytes()];
        assert_eq!(held, [0, 0], "flow control is not conserved");
    }

    fn check_all_closed(&mut self) {
        let p = &mut self.pair;
        let states = [p.client.state(), p.server.state()];
        assert_eq!(states, [Phase::Closed; 2], "it does not come to an end: {p:#?}");
    }

    /// A connection that calls itself reusable is.
    fn probe(&mut self) {
        let free = self.pair.client.connection.is_free();
        if self.broken || !free {
            return;
        }
        self.pair.call(None);
        self.pair.request("probe");
        assert_eq!(self.pair.server.messages(), ["probe"]);
        self.pair.answer("answer");
        assert_eq!(self.pair.client_messages(), ["answer"]);
        assert_eq!(self.pair.client_closed().fate, Fate::Reusable);
    }

    /// What both sides heard, and what was written on both wires.
    fn story(&self) -> (Vec<String>, Vec<String>, &[u8], &[u8]) {
        let p = &self.pair;
        (p.client.whole_story(), p.server.whole_story(), p.to_client.written(), p.to_server.written())
    }
}

impl Sent {
    /// Nothing is lost, doubled or reordered, and nothing that was cut off looks complete.
    fn check(&self, pair: &Pair) {
        let (mut heard, mut verdict) = (Vec::new(), None);
        for told in pair.client.told.iter().filter(|told| told.call == self.client) {
            match &told.what {
                Heard::Message(message) => heard.push(message.clone()),
                Heard::Finished(told) => verdict = Some(told.is_ok()),
                _ => {}
            }
        }
        assert!(self.by_server.starts_with(&heard), "{self:?} is not what the client heard: {heard:?}");
        if verdict == Some(true) {
            assert!(self.succeeded, "a success out of nowhere: {self:?}");
            assert!(self.left || heard == self.by_server, "a success that misses messages: {self:?}");
        }
        let (mut heard, mut ended) = (Vec::new(), false);
        for told in pair.server.told.iter().filter(|told| told.call.is_some() && told.call == self.server) {
            match &told.what {
                Heard::Message(message) => heard.push(message.clone()),
                Heard::PeerHalfClosed => ended = true,
                _ => {}
            }
        }
        assert!(self.by_client.starts_with(&heard), "{self:?} is not what the server heard: {heard:?}");
        if ended && !self.aborted {
            assert_eq!(heard, self.by_client, "an end that misses messages");
        }
    }
}

/// Operations on a client and a server, made of the fuzzer's bytes: the first one chooses the kind of the calls, the
/// second one the window, then three make an operation.
///
/// # Panics
/// If a rule is broken.
pub fn pair(data: &[u8]) {
    let mut reader = Reader::new(data);
    let first = reader.u8();
    let kinds = [Kind::Unary, Kind::ClientStream, Kind::ServerStream, Kind::Bidi(Duplex::Half)];
    let kind = kinds[usize::from(first % 4)];
    let window = [1, 100, 5_000, 64 << 10][usize::from(reader.u8() % 4)];
    let mut ops = Vec::new();
    while !reader.is_empty() && ops.len() < 200 {
        ops.push(Op::from_numbers(reader.u8(), reader.u16()));
    }
    if first & 0x80 != 0 {
        return check_cuts(kind, window, &ops);
    }
    let mut world = World::new(kind, window);
    for op in ops {
        world.apply(op);
    }
    world.finish();
}

/// The same operations over whole and over cut bytes.
fn check_cuts(kind: Kind, window: u64, ops: &[Op]) {
    let (mut whole, mut cut) = (World::new(kind, window), World::new(kind, window));
    let piece = ops.first().map_or(1, |op| format!("{op:?}").len());
    cut.pair.to_client.cut(&[piece, 1, 3]);
    cut.pair.to_server.cut(&[1, piece]);
    for op in ops.iter().filter(|op| op.is_cut_blind()) {
        for world in [&mut whole, &mut cut] {
            world.apply(*op);
            world.apply(Op::Run);
        }
        assert_eq!(whole.story(), cut.story(), "cutting changes something");
    }
    whole.finish();
    cut.finish();
}
