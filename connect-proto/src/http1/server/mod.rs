//! The server's machine, as its users see it.

mod machine;
mod state;
#[cfg(test)]
pub(super) use state::{Input, Recv, Send, State};

use std::io::IoSlice;
use std::sync::Arc;

use bytes::BytesMut;
use http::{HeaderValue, request, response};

use self::machine::Machine;
use super::limits::Limits;
use super::{Event, NotReusable, Shutdown};
use crate::Instant;
use crate::call::{BodySize, Chunk};
use crate::error::{LostKind, PeerMisbehaved};

/// The server's side of one HTTP/1.1 connection.
///
/// Requests come out one after the other; the next one is parsed when the response to the one before is acknowledged
/// to its last byte and the request was read to its end. Until then the bytes of a pipelined request stay in the
/// caller's buffer.
///
/// ```text
/// Idle -> Head -> Exchange(recv: Body | Ended | Discard, send: Head | Body | Ending | Sent) -> Idle
///           '-> Refusing (a broken head is answered) -> Lingering (FIN told, input discarded) -> Closed
/// ```
///
/// - A, getters: [`wants_read`](Self::wants_read), [`room`](Self::room), [`reuse`](Self::reuse),
///   [`is_idle`](Self::is_idle), [`is_receiving`](Self::is_receiving), [`is_closed`](Self::is_closed),
///   [`fault`](Self::fault)
/// - B, the wire and time: `handle_*`. They never fail.
/// - C, commands: [`set_date`](Self::set_date), [`send_head`](Self::send_head), [`send_data`](Self::send_data),
///   [`send_end`](Self::send_end),
///   [`want_body`](Self::want_body), [`stop_receiving`](Self::stop_receiving), [`abort`](Self::abort),
///   [`shut_down`](Self::shut_down). A command that the state does not allow changes nothing.
/// - D, outputs: [`poll_event`](Self::poll_event), [`output`](Self::output), [`poll_timeout`](Self::poll_timeout),
///   [`poll_shutdown`](Self::poll_shutdown), in any order and at any time.
///
/// Of the events, an exchange that is not aborted shows: `Head`, then `Data* End` and `EndSent`, interleaved. If the
/// request is not read to its end ([`is_receiving`](Self::is_receiving) is false before `End` came), there is no
/// `End`, and `EndSent` is the last event. `Lost` is the last event where it comes.
///
/// There is no limit of time on a request's body and on the application: those belong to the call.
///
/// The drive loop: after each read call [`handle_read`](Self::handle_read) and [`poll_event`](Self::poll_event) by
/// turns until neither moves, and do the same with what is left in the buffer after each
/// [`handle_written`](Self::handle_written) and each command.
#[derive(Debug)]
pub struct Server(Machine);

impl Server {
    /// A server on a connection that was accepted at `now`.
    #[must_use]
    pub fn new(now: Instant, limits: Arc<Limits>) -> Self {
        Server(Machine::new(now, limits))
    }

    // A: getters.

    /// Whether bytes of the peer are of use now. Reading never depends on the progress of writing.
    ///
    /// False while an event of the request waits to be polled, and while [`Limits::max_head`] bytes of pipelined
    /// requests wait in the buffer (as the last [`handle_read`](Self::handle_read) saw it). While the application
    /// works on a request that is complete it stays true, so that the end of the peer is noticed.
    #[must_use]
    pub fn wants_read(&self) -> bool {
        self.0.wants_read()
    }

    /// Bytes of output that should still be queued at most: [`Limits::max_output`] less what is unacknowledged; 0
    /// when no response will be sent any more. Nothing is refused for being more.
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

    /// Whether no exchange is under way and no byte of a next one was seen.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.0.is_idle()
    }

    /// Whether a part of a request's head was received, and the rest is still to come.
    #[must_use]
    pub fn is_receiving_head(&self) -> bool {
        self.0.is_receiving_head()
    }

    /// Whether bytes of the current request's body may still come out. False when its `End` was made, and when it
    /// is not read to its end: after a fault, after [`stop_receiving`](Self::stop_receiving), and when a final head
    /// was sent to a client that waits for `100 Continue`.
    #[must_use]
    pub fn is_receiving(&self) -> bool {
        self.0.is_receiving()
    }

    /// Whether the connection is over.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// The rule that the peer broke, if one. A broken head makes no event: it is answered here, with
    /// [`PeerMisbehaved::http_status`] and `connection: close`.
    #[must_use]
    pub fn fault(&self) -> Option<PeerMisbehaved> {
        self.0.link.fault
    }

    // B: the wire and time.

    /// Takes what is of use from the front of `buf` and leaves the rest, which the caller keeps as it is and adds to.
    ///
    /// Stops when an event waits to be polled. Small data is copied out (1 KiB or an eighth of the buffer's
    /// capacity), larger data shares the buffer.
    pub fn handle_read(&mut self, now: Instant, buf: &mut BytesMut) {
        self.0.handle_read(now, buf);
    }

    /// The peer ended its side. All bytes before it were handed to [`handle_read`](Self::handle_read).
    ///
    /// A response whose end is queued is still written, all else is lost: a client that ends its side before it has
    /// the response is taken for gone. Bytes of the body that are left in the buffer count first.
    pub fn handle_eof(&mut self, now: Instant) {
        self.0.handle_eof(now);
    }

    /// The transport failed in reading: the connection is over.
    pub fn handle_io_failed(&mut self, now: Instant, kind: LostKind) {
        self.0.handle_io_failed(now, kind);
    }

    /// The transport failed in writing: the connection is over, since no response can be sent.
    pub fn handle_write_failed(&mut self, now: Instant, kind: LostKind) {
        self.0.handle_io_failed(now, kind);
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

    /// Says what the time is: the `date` of the responses that follow, as RFC 9110, section 6.6.1, asks of a server that has
    /// a clock, unless the application gives one itself. The machine has no clock: whoever has tells it once a second.
    pub fn set_date(&mut self, date: Option<HeaderValue>) {
        self.0.date = date;
    }

    pub(crate) fn date(&self) -> Option<&HeaderValue> {
        self.0.date.as_ref()
    }

    /// Sends the final head of the response; with [`BodySize::Empty`] it is the end as well.
    ///
    /// The machine writes `content-length`, `transfer-encoding` and `connection` itself and drops these and the
    /// other hop-by-hop fields; of the application's `connection`, `close` is heeded. Without a known length the
    /// body is chunked, or towards HTTP/1.0 delimited by close. To HEAD and with 204 and 304 no body is sent: data is
    /// dropped, and the end is still to be sent.
    ///
    /// Does nothing without a request that waits for its head, and with an interim (1xx) status.
    pub fn send_head(&mut self, now: Instant, parts: &response::Parts, body: BodySize) {
        self.0.send_head(now, parts, body);
    }

    /// Takes the map of a head that was sent: it then serves for a head that comes in.
    pub(crate) fn recycle(&mut self, headers: http::HeaderMap) {
        self.0.link.kept.recycle(headers);
    }

    /// Sends a piece of the body. An empty one is ignored.
    ///
    /// A body of announced length must not get longer: the piece is not sent, the connection is closed and the
    /// exchange [`Lost`](Event::Lost), so that the client does not take it for complete.
    pub fn send_data(&mut self, now: Instant, chunk: Chunk) {
        self.0.send_data(now, chunk);
    }

    /// Ends the body. If it is shorter than announced: as with [`send_data`](Self::send_data).
    pub fn send_end(&mut self, now: Instant) {
        self.0.send_end(now);
    }

    /// The application will read the body: a client that waits for it is sent `100 Continue` (RFC 9110, section
    /// 10.1.1).
    ///
    /// If the final head goes out before, the body may or may not come; then it is discarded and the connection
    /// ends after the response.
    pub fn want_body(&mut self, now: Instant) {
        self.0.want_body(now);
    }

    /// What is left of the request is of no use: it is discarded. After the response's end: FIN, then linger.
    /// Nothing happens if the request is complete.
    pub fn stop_receiving(&mut self, now: Instant) {
        self.0.stop_receiving(now);
    }

    /// Closes at once. Unacknowledged output and events that wait are dropped, none will come. `why` is what
    /// [`reuse`](Self::reuse) says, if there is no earlier reason.
    pub fn abort(&mut self, now: Instant, why: NotReusable) {
        self.0.abort(now, why);
    }

    /// Ends the connection after the current exchange. If there is none, a request that comes within
    /// [`Limits::shutdown_notice`] is the last one: the client has sent it before it could know.
    pub fn shut_down(&mut self, now: Instant) {
        self.0.shut_down(now);
    }

    /// Bytes that the output holds on to.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.0.link.output.held()
    }

    // D: outputs.

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event<request::Parts>> {
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
        self.0.poll_timeout()
    }

    /// What to do with the transport. Each is told once.
    pub fn poll_shutdown(&mut self) -> Option<Shutdown> {
        self.0.poll_shutdown()
    }
}
