//! A connection as its driver holds it, on an in-memory transport.

use std::collections::HashSet;
use std::io::IoSlice;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::checker::{self, Side};
use super::wire::{Read, Wire};
use crate::Instant;
use crate::call::{Event, Phase, SendError};
use crate::client::Call;
use crate::connection::{
    CallClosed, CallId, Client, Connection, ConnectionConfig, Notice, OpenRefused, Role, Server,
};
use crate::error::{AbortReason, ApiMisuse, PeerMisbehaved, RpcError};
use crate::http1::{NotReusable, Shutdown};
use crate::message::Outbound;
use crate::metadata::Metadata;
use crate::server::{MethodSpec, Refusal, ServerConfig};

/// Something that a connection told its application.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Heard {
    /// [`Notice::Incoming`].
    Incoming,
    /// [`Event::Headers`].
    Headers(Metadata),
    /// [`Event::Message`], decoded.
    Message(Bytes),
    /// [`Event::Message`] that could not be decoded and was handed to `reject`.
    Undecodable(PeerMisbehaved),
    /// [`Event::Writable`].
    Writable,
    /// [`Event::PeerHalfClosed`].
    PeerHalfClosed,
    /// [`Event::Finished`].
    Finished(Result<Metadata, RpcError>),
    /// [`Notice::Closed`].
    Closed(CallClosed),
    /// [`Notice::Ended`].
    Ended(NotReusable),
}

/// Something that was heard: when, and of which call.
#[derive(Clone, Debug)]
pub struct Told {
    /// When.
    pub at: Instant,
    /// Of which call; `None` if of the connection.
    pub call: Option<CallId>,
    /// What.
    pub what: Heard,
}

/// A command that an application gave, as far as the rules of what may be told afterwards depend on it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Command {
    /// How much had been told before.
    pub(super) after: usize,
    pub(super) call: CallId,
    pub(super) what: Did,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Did {
    Opened,
    Closed,
    Aborted,
    Answered,
    Refused,
}

/// A connection with its application and its driver: what it tells is written down, and commands go to the latest
/// call.
#[derive(Debug)]
pub struct Endpoint<R: Role> {
    /// The connection itself.
    pub connection: Connection<R>,
    /// Everything that it told so far.
    pub told: Vec<Told>,
    /// Whether the application looks at the events of calls. Notices are always looked at.
    pub listening: bool,
    /// Calls whose events it does not look at all the same.
    pub deaf_to: HashSet<CallId>,
    /// How many events of a call it takes at one look.
    pub appetite: usize,
    /// Server: how requests are started; `None` leaves them to the test.
    pub serves: Option<(Arc<ServerConfig>, MethodSpec)>,
    /// The time that the connection is told.
    pub now: Instant,
    did: Vec<Command>,
    call: Option<CallId>,
    /// Calls whose events were announced since they were looked at.
    readable: Vec<CallId>,
    unread: BytesMut,
    reading: bool,
}

/// What [`Endpoint`] needs to know of a role.
pub trait Calls: Role {
    const SIDE: Side;
    fn poll_event(connection: &mut Connection<Self>, now: Instant, id: CallId) -> Option<Event>;
    fn reject(connection: &mut Connection<Self>, now: Instant, id: CallId, fault: PeerMisbehaved);
    fn start(
        connection: &mut Connection<Self>,
        now: Instant,
        id: CallId,
        serves: Option<&(Arc<ServerConfig>, MethodSpec)>,
    );
}

impl Calls for Client {
    const SIDE: Side = Side::Client;

    fn poll_event(connection: &mut Connection<Client>, now: Instant, id: CallId) -> Option<Event> {
        connection.call(id)?.poll_event(now)
    }

    fn reject(connection: &mut Connection<Client>, now: Instant, id: CallId, fault: PeerMisbehaved) {
        if let Some(mut call) = connection.call(id) {
            call.reject(now, fault);
        }
    }

    fn start(_: &mut Connection<Client>, _: Instant, _: CallId, _: Option<&(Arc<ServerConfig>, MethodSpec)>) {
    }
}

impl Calls for Server {
    const SIDE: Side = Side::Server;

    fn poll_event(connection: &mut Connection<Server>, now: Instant, id: CallId) -> Option<Event> {
        connection.call(id)?.poll_event(now)
    }

    fn reject(connection: &mut Connection<Server>, now: Instant, id: CallId, fault: PeerMisbehaved) {
        if let Some(mut call) = connection.call(id) {
            call.reject(now, fault);
        }
    }

    fn start(
        connection: &mut Connection<Server>,
        now: Instant,
        id: CallId,
        serves: Option<&(Arc<ServerConfig>, MethodSpec)>,
    ) {
        if let Some((config, spec)) = serves {
            connection.start(now, id, config, spec);
        }
    }
}

impl<R: Calls> Endpoint<R> {
    fn new(connection: Connection<R>) -> Self {
        Endpoint {
            connection,
            told: Vec::new(),
            listening: true,
            deaf_to: HashSet::new(),
            appetite: usize::MAX,
            serves: None,
            now: Instant::ORIGIN,
            did: Vec::new(),
            call: None,
            readable: Vec::new(),
            unread: BytesMut::new(),
            reading: true,
        }
    }

    /// The latest call, whether it is over or not.
    #[must_use]
    pub fn call_id(&self) -> Option<CallId> {
        self.call
    }

    /// Makes another call the one that commands go to, and that is asked about, as if it were the latest.
    pub fn select(&mut self, call: CallId) {
        self.call = Some(call);
    }

    /// Whether the connection carries several calls at once.
    fn carries_many(&self) -> bool {
        #[cfg(feature = "http2")]
        return self.connection.http2_counters().is_some();
        #[cfg(not(feature = "http2"))]
        false
    }

    /// The messages of the latest call.
    #[must_use]
    pub fn messages(&self) -> Vec<Bytes> {
        self.of_latest()
            .filter_map(|what| match what {
                Heard::Message(message) => Some(message.clone()),
                _ => None,
            })
            .collect()
    }

    /// The verdict of the latest call, if it was told.
    #[must_use]
    pub fn verdict(&self) -> Option<&Result<Metadata, RpcError>> {
        self.of_latest().find_map(|what| match what {
            Heard::Finished(verdict) => Some(verdict),
            _ => None,
        })
    }

    /// How the latest call ended.
    ///
    /// # Panics
    /// If it has not.
    #[must_use]
    pub fn closed(&self) -> CallClosed {
        self.try_closed().unwrap_or_else(|| panic!("the call is not closed: {:#?}", self.told))
    }

    /// How the latest call ended, if it has.
    #[must_use]
    pub fn try_closed(&self) -> Option<CallClosed> {
        self.of_latest().find_map(|what| match what {
            Heard::Closed(closed) => Some(*closed),
            _ => None,
        })
    }

    /// When the end of the latest call was told; `None` if it was not.
    #[must_use]
    pub fn closed_at(&self) -> Option<Instant> {
        let closed = |told: &&Told| told.call == self.call && matches!(told.what, Heard::Closed(_));
        self.told.iter().find(closed).map(|told| told.at)
    }

    /// Why the connection ended, if it has.
    #[must_use]
    pub fn ended(&self) -> Option<NotReusable> {
        self.told.iter().find_map(|told| match told.what {
            Heard::Ended(why) => Some(why),
            _ => None,
        })
    }

    /// What the latest call told, but for [`Heard::Writable`]: what must not depend on how the bytes were cut.
    #[must_use]
    pub fn story(&self) -> Vec<String> {
        self.of_latest()
            .filter(|what| !matches!(what, Heard::Writable))
            .map(|what| format!("{what:?}"))
            .collect()
    }

    /// What all calls told, but for [`Heard::Writable`].
    #[must_use]
    pub fn whole_story(&self) -> Vec<String> {
        let heard = self.told.iter().filter(|told| !matches!(told.what, Heard::Writable));
        heard.map(|told| format!("{:?} {:?}", told.call, told.what)).collect()
    }

    /// Bytes that were read from the transport and not used by the connection.
    #[must_use]
    pub fn unread(&self) -> usize {
        self.unread.len()
    }

    /// Whether there is something to be written.
    pub fn wants_write(&mut self) -> bool {
        self.connection.output(self.now, &mut [IoSlice::new(&[])]) > 0
    }

    fn of_latest(&self) -> impl Iterator<Item = &Heard> {
        self.told.iter().filter(|told| told.call.is_some() && told.call == self.call).map(|told| &told.what)
    }

    fn tell(&mut self, call: Option<CallId>, what: Heard) {
        self.told.push(Told { at: self.now, call, what });
    }

    // The parts of a drive loop. Each says whether anything moved.

    pub(super) fn read(&mut self, incoming: &mut Wire) -> bool {
        let before = self.unread.len();
        if before > 0 && self.connection.wants_read() {
            self.connection.handle_read(self.now, &mut self.unread);
        }
        let mut moved = self.unread.len() != before;
        if !self.reading || !self.connection.wants_read() {
            return moved;
        }
        match incoming.read(&mut self.unread) {
            Read::Nothing => return moved,
            Read::Bytes => self.connection.handle_read(self.now, &mut self.unread),
            Read::End(kind) => {
                self.reading = false;
                moved = true;
                if kind == crate::error::LostKind::Eof {
                    self.connection.handle_eof(self.now);
                } else {
                    self.connection.handle_io_failed(self.now, kind);
                }
            }
        }
        true | moved
    }

    pub(super) fn write(&mut self, outgoing: &mut Wire) -> bool {
        let mut slices = [IoSlice::new(&[]); 16];
        let filled = self.connection.output(self.now, &mut slices);
        if filled == 0 {
            return false;
        }
        match outgoing.write(slices.get(..filled).unwrap_or_default()) {
            Ok(0) => return false,
            Ok(written) => self.connection.handle_written(self.now, written),
            Err(kind) => {
                let kind =
                    if kind == crate::error::LostKind::Eof { crate::error::LostKind::Reset } else { kind };
                self.connection.handle_write_failed(self.now, kind);
            }
        }
        true
    }

    pub(super) fn shut_down(&mut self, incoming: &mut Wire, outgoing: &mut Wire) -> bool {
        let Some(shutdown) = self.connection.poll_shutdown() else { return false };
        outgoing.half_close();
        if shutdown == Shutdown::Close {
            // Whoever writes to a closed socket gets a reset.
            incoming.fail(crate::error::LostKind::Reset);
            self.reading = false;
        }
        true
    }

    /// Looks at notices, and at events if it is listening. True if there were any.
    pub fn listen(&mut self) -> bool {
        let before = self.told.len();
        loop {
            if self.listening {
                let (deaf_to, readable) = (&self.deaf_to, &mut self.readable);
                let looked_at: Vec<CallId> = readable.extract_if(.., |id| !deaf_to.contains(id)).collect();
                looked_at.into_iter().for_each(|id| self.take_events(id));
            }
            let Some(notice) = self.connection.poll_ready() else { break };
            match notice {
                Notice::Incoming(id) => {
                    self.call = Some(id);
                    self.tell(Some(id), Heard::Incoming);
                    R::start(&mut self.connection, self.now, id, self.serves.as_ref());
                }
                Notice::Readable(id) => {
                    let is_there = self.carries_many() || self.call == Some(id);
                    assert!(is_there, "events of a call that is gone");
                    self.readable.push(id);
                }
                Notice::Closed(id, closed) => self.tell(Some(id), Heard::Closed(closed)),
                Notice::Suspect => {}
                Notice::Ended(why) => self.tell(None, Heard::Ended(why)),
            }
        }
        self.told.len() != before
    }

    fn take_events(&mut self, id: CallId) {
        for _ in 0..self.appetite {
            let Some(event) = R::poll_event(&mut self.connection, self.now, id) else { break };
            let what = match event {
                Event::Headers(headers) => Heard::Headers(headers),
                Event::Message(message) => match message.decode() {
                    Ok(message) => Heard::Message(message),
                    Err(fault) => {
                        R::reject(&mut self.connection, self.now, id, fault);
                        Heard::Undecodable(fault)
                    }
                },
                Event::Writable => Heard::Writable,
                Event::PeerHalfClosed => Heard::PeerHalfClosed,
                Event::Finished(verdict) => Heard::Finished(verdict),
                Event::Closed(closed) => panic!("the end of a call is a notice: {closed:?}"),
            };
            self.tell(Some(id), what);
        }
    }

    /// Everything once.
    pub(super) fn turn(&mut self, incoming: &mut Wire, outgoing: &mut Wire) -> bool {
        let read = self.read(incoming);
        let wrote = self.write(outgoing);
        let heard = self.listen();
        let shut = self.shut_down(incoming, outgoing);
        read || wrote || heard || shut
    }

    pub(super) fn handle_timeout(&mut self) {
        self.connection.handle_timeout(self.now);
    }

    /// Nothing is left to do: no output, no notice, no shutdown, no timer but that of an idle server; and every call
    /// has told its end exactly once, as the last of it.
    ///
    /// # Panics
    /// If that is not so.
    pub fn assert_quiescent(&mut self) {
        assert!(!self.wants_write(), "output is left");
        assert_eq!(self.connection.poll_ready(), None, "a notice is left");
        assert_eq!(self.connection.poll_shutdown(), None, "a shutdown is left");
        self.assert_no_timer();
        checker::check(R::SIDE, self.carries_many(), &self.told, &self.did, true);
    }

    /// What was told so far keeps the rules: the order of events, and one end for each call at most.
    ///
    /// # Panics
    /// If that is not so.
    pub fn assert_orderly(&self) {
        checker::check(R::SIDE, self.carries_many(), &self.told, &self.did, false);
    }

    fn note(&mut self, what: Did) {
        if let Some(call) = self.call {
            self.did.push(Command { after: self.told.len(), call, what });
        }
    }

    fn assert_no_timer(&self) {
        let timer = self.connection.poll_timeout();
        let idle = R::SIDE == Side::Server && !self.connection.is_closed();
        assert!(timer.is_none() || idle, "a timer is left: {timer:?}");
    }
}

impl Endpoint<Client> {
    /// A client's end.
    #[must_use]
    pub fn client(config: &ConnectionConfig) -> Self {
        Endpoint::new(Connection::<Client>::http1(Instant::ORIGIN, config))
    }

    /// A client's end that speaks HTTP/2.
    #[cfg(feature = "http2")]
    #[must_use]
    pub fn http2_client(config: &ConnectionConfig) -> Self {
        Endpoint::new(Connection::<Client>::http2(Instant::ORIGIN, config))
    }

    /// Opens a call, which commands go to from now on.
    ///
    /// # Errors
    /// Those of [`Connection::open`].
    pub fn open(&mut self, call: Call) -> Result<CallId, OpenRefused> {
        let id = self.connection.open(self.now, call)?;
        self.call = Some(id);
        self.note(Did::Opened);
        Ok(id)
    }

    /// Where the latest call is in its life.
    #[must_use]
    pub fn state(&mut self) -> Phase {
        let call = self.call.and_then(|id| self.connection.call(id));
        call.map_or(Phase::Closed, |call| call.state())
    }

    /// Sends a message on the latest call. Does nothing if the call is gone.
    ///
    /// # Errors
    /// Those of [`Call::send`].
    pub fn send(&mut self, message: impl Into<Bytes>) -> Result<(), SendError> {
        let now = self.now;
        let Some(mut call) = self.call.and_then(|id| self.connection.call(id)) else { return Ok(()) };
        let message = Outbound::encode(&call.encoding(), message.into());
        call.send(now, message)
    }

    /// Ends the sending side of the latest call. Does nothing if the call is gone.
    ///
    /// # Errors
    /// Those of [`Call::finish`].
    pub fn finish(&mut self) -> Result<(), ApiMisuse> {
        let now = self.now;
        self.call.and_then(|id| self.connection.call(id)).map_or(Ok(()), |mut call| call.finish(now))
    }

    /// Closes the latest call. Does nothing if the call is gone.
    pub fn close(&mut self) {
        let now = self.now;
        if let Some(mut call) = self.call.and_then(|id| self.connection.call(id)) {
            call.close(now);
            self.note(Did::Closed);
        }
    }

    /// Aborts the latest call. Does nothing if the call is gone.
    pub fn abort(&mut self) {
        let now = self.now;
        if let Some(mut call) = self.call.and_then(|id| self.connection.call(id)) {
            call.abort(now, AbortReason::Requested);
            self.note(Did::Aborted);
        }
    }
}

impl Endpoint<Server> {
    /// A server's end, which starts requests as `serves` says.
    #[must_use]
    pub fn server(config: &ConnectionConfig, serves: Option<(Arc<ServerConfig>, MethodSpec)>) -> Self {
        let mut end = Endpoint::new(Connection::new(Instant::ORIGIN, config));
        end.serves = serves;
        end
    }

    /// Where the latest call is in its life.
    #[must_use]
    pub fn state(&mut self) -> Phase {
        let call = self.call.and_then(|id| self.connection.call(id));
        call.map_or(Phase::Closed, |call| call.state())
    }

    /// Sends the headers of the latest call. Does nothing if the call is gone.
    ///
    /// # Errors
    /// Those of [`send_headers`](crate::server::Call::send_headers).
    pub fn send_headers(&mut self, headers: Metadata) -> Result<(), ApiMisuse> {
        let now = self.now;
        let call = self.call.and_then(|id| self.connection.call(id));
        call.map_or(Ok(()), |mut call| call.send_headers(now, headers))
    }

    /// Sends a message on the latest call. Does nothing if the call is gone.
    ///
    /// # Errors
    /// Those of [`send`](crate::server::Call::send).
    pub fn send(&mut self, message: impl Into<Bytes>) -> Result<(), SendError> {
        let now = self.now;
        let Some(mut call) = self.call.and_then(|id| self.connection.call(id)) else { return Ok(()) };
        let message = Outbound::encode(&call.encoding(), message.into());
        call.send(now, message)
    }

    /// Answers the latest call. Does nothing if the call is gone.
    ///
    /// # Errors
    /// Those of [`finish`](crate::server::Call::finish).
    pub fn finish(&mut self, verdict: Result<(), RpcError>) -> Result<(), ApiMisuse> {
        let now = self.now;
        let Some(mut call) = self.call.and_then(|id| self.connection.call(id)) else { return Ok(()) };
        call.finish(now, Metadata::new(), verdict)?;
        self.note(Did::Answered);
        Ok(())
    }

    /// Refuses the latest request, which was not started: without `serves`.
    pub fn refuse(&mut self, config: &Arc<ServerConfig>, refusal: Refusal) -> bool {
        let refused = self.call.is_some_and(|id| self.connection.refuse(self.now, id, config, refusal));
        if refused {
            self.note(Did::Refused);
        }
        refused
    }

    /// Aborts the latest call. Does nothing if the call is gone.
    pub fn abort(&mut self) {
        let now = self.now;
        if let Some(mut call) = self.call.and_then(|id| self.connection.call(id)) {
            call.abort(now, AbortReason::Requested);
            self.note(Did::Aborted);
        }
    }
}
