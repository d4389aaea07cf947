//! The client's machine, as its users see it.

mod machine;
mod state;
#[cfg(test)]
pub(super) use state::{Input, Recv, Send, State};

use std::io::IoSlice;
use std::sync::Arc;

use bytes::BytesMut;
use http::{request, response};

use self::machine::Machine;
use super::limits::Limits;
use super::{Event, NotReusable, Shutdown};
use crate::Instant;
use crate::call::{BodySize, Chunk};
use crate::error::{LostKind, PeerMisbehaved};

/// What [`Client::abort`] took back.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Recalled {
    /// Everything: no byte of the request was acknowledged. The peer has certainly not processed it, and the
    /// connection is as it was before the request.
    Everything,
    /// What was not acknowledged, if anything. The peer has a part of the request at least; the connection closes.
    Rest,
}

/// The client's side of one HTTP/1.1 connection.
///
/// One request at a time: a second one is taken when both the first one and its response are complete.
///
/// ```text
/// Idle -> Exchange(send: Body | Ending | Sent | Dead, recv: Head | Body | Ended) -> Idle
///   '------------------------------'-> Closed
/// ```
///
/// - A, getters: [`wants_read`](Self::wants_read), [`room`](Self::room), [`reuse`](Self::reuse),
///   [`is_idle`](Self::is_idle), [`is_receiving`](Self::is_receiving), [`is_closed`](Self::is_closed),
///   [`fault`](Self::fault)
/// - B, the wire and time: `handle_*`. They never fail.
/// - C, commands: [`send_head`](Self::send_head), [`send_data`](Self::send_data), [`send_end`](Self::send_end),
///   [`abort`](Self::abort), [`shut_down`](Self::shut_down). A command that the state does not allow changes
///   nothing.
/// - D, outputs: [`poll_event`](Self::poll_event), [`output`](Self::output), [`poll_timeout`](Self::poll_timeout),
///   [`poll_shutdown`](Self::poll_shutdown), in any order and at any time.
///
/// Of the events, an exchange shows either all of `Head Data* End` and, anywhere among them, `EndSent`; or a part
/// of them and then `Misbehaved` or `Lost`; or a part of them and nothing after [`abort`](Self::abort).
///
/// The response may be complete before the request is. The application may then still end the request, which keeps
/// the connection, or abort it.
///
/// The drive loop is the same as that of [`Server`](super::Server).
#[derive(Debug)]
pub struct Client(Machine);

impl Client {
    /// A client on a connection that was made at `now`.
    #[must_use]
    pub fn new(now: Instant, limits: Arc<Limits>) -> Self {
        Client(Machine::new(now, limits))
    }

    // A: getters.

    /// Whether bytes of the peer are of use now. Reading never depends on the progress of writing.
    ///
    /// False while an event of the response waits to be polled. While idle it is true, so that the end of the peer
    /// is noticed.
    #[must_use]
    pub fn wants_read(&self) -> bool {
        self.0.wants_read()
    }

    /// Bytes of output that should still be queued at most: [`Limits::max_output`] less what is unacknowledged; 0
    /// when the transport takes no more. Nothing is refused for being more.
    #[must_use]
    pub fn room(&self) -> usize {
        self.0.room()
    }

    /// Whether the connection can carry another exchange after this one, as far as is known now.
    ///
    /// # Errors
    /// The first reason found why it cannot. It stays.
    pub fn reuse(&self) -> Result<(), NotReusable> {
        self.0.link.reuse()
    }

    /// Whether a request can be sent now: the exchange before is complete, its events were polled, and the connection
    /// is reusable.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.0.is_idle()
    }

    /// Whether a response is still to come, or the rest of one.
    #[must_use]
    pub fn is_receiving(&self) -> bool {
        self.0.is_receiving()
    }

    /// Whether the connection is over.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// The rule that the peer broke, if one.
    #[must_use]
    pub fn fault(&self) -> Option<PeerMisbehaved> {
        self.0.link.fault
    }

    // B: the wire and time.

    /// Takes what is of use from the front of `buf` and leaves the rest, which the caller keeps as it is and adds to.
    ///
    /// Stops when an event waits to be polled. Small data is copied out (1 KiB or an eighth of the buffer's
    /// capacity), larger data shares the buffer. Bytes that answer no request end an idle connection.
    pub fn handle_read(&mut self, now: Instant, buf: &mut BytesMut) {
        self.0.handle_read(now, buf);
    }

    /// The peer ended its side. All bytes before it were handed to [`handle_read`](Self::handle_read).
    ///
    /// It ends a response that has no length, and is the loss of any other. What is left in the buffer counts first.
    pub fn handle_eof(&mut self, now: Instant) {
        self.0.handle_input_over(now, LostKind::Eof);
    }

    /// The transport failed in reading. What is left in the buffer counts first: a complete response stays one.
    pub fn handle_io_failed(&mut self, now: Instant, kind: LostKind) {
        self.0.handle_input_over(now, kind);
    }

    /// The transport failed in writing. A response that is still to come, or to be read, is not lost by that: a
    /// server may answer early and close. So this ends the request alone, and reading goes on to the response's end
    /// or the transport's.
    pub fn handle_write_failed(&mut self, now: Instant, kind: LostKind) {
        self.0.handle_write_failed(now, kind);
    }

    /// The first `n` bytes that [`output`](Self::output) shows are written. More than it shows counts as all of it.
    pub fn handle_written(&mut self, now: Instant, n: usize) {
        self.0.handle_written(now, n);
    }

    /// Time has passed. Calling it early, late or needlessly does no harm.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.0.handle_timeout(now);
    }

    // C: commands.

    /// Sends the head of a request; with [`BodySize::Empty`] it is the end as well.
    ///
    /// The target is written in origin-form, `host` from the URI's authority (without one, from the application's
    /// own `host` field, else empty). The machine writes `content-length`, `transfer-encoding` and `connection`
    /// itself and drops these and the other hop-by-hop fields; of the application's `connection`, `close` is heeded.
    ///
    /// Does nothing unless [`is_idle`](Self::is_idle), and for CONNECT.
    pub fn send_head(&mut self, now: Instant, parts: &request::Parts, body: BodySize) {
        self.0.send_head(now, parts, body);
    }

    /// Takes the map of a head that was sent: it then serves for a head that comes in.
    pub(crate) fn recycle(&mut self, headers: http::HeaderMap) {
        self.0.link.kept.recycle(headers);
    }

    /// Sends a piece of the body. An empty one is ignored.
    ///
    /// A body of announced length must not get longer: the piece is not sent, the connection is closed and the
    /// exchange [`Lost`](Event::Lost), so that the server does not take it for complete.
    pub fn send_data(&mut self, now: Instant, chunk: Chunk) {
        self.0.send_data(now, chunk);
    }

    /// Ends the body. If it is shorter than announced: as with [`send_data`](Self::send_data).
    pub fn send_end(&mut self, now: Instant) {
        self.0.send_end(now);
    }

    /// Gives the exchange up: unacknowledged output and events that wait are dropped, none will come.
    ///
    /// If not a byte of the request was acknowledged, everything is taken back and the connection stays; else it is
    /// closed at once. Without an exchange it does nothing.
    pub fn abort(&mut self, now: Instant) -> Recalled {
        self.0.abort(now)
    }

    /// Ends the connection after the current exchange, or at once if there is none.
    pub fn shut_down(&mut self, now: Instant) {
        self.0.shut_down(now);
    }

    // D: outputs.

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event<response::Parts>> {
        self.0.link.events.poll()
    }

    /// Fills `slices` with what is to be written and says how many it filled. It shows the same bytes until
    /// [`handle_written`](Self::handle_written) acknowledges them.
    #[must_use]
    pub fn output<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        self.0.link.output.slices(slices)
    }

    /// Whether [`handle_timeout`](Self::handle_timeout) would do anything.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.0.is_due(now)
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.0.link.stall()
    }

    /// What to do with the transport. A client only ever closes, and is told so once.
    pub fn poll_shutdown(&mut self) -> Option<Shutdown> {
        self.0.poll_shutdown()
    }
}
