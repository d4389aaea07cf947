//! The machine: bytes and time in, events by stream and output out.

mod control;
mod headers;
mod life;
mod read;
mod write;

use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use http::{HeaderMap, HeaderValue};

use self::headers::OpenBlock;
use self::life::{Phase, Timers, Withheld};
use self::read::{Gather, Greeting};
use super::flow::{DEFAULT_WINDOW, RecvWindow, SendWindow};
use super::frame::{self, StreamId};
use super::guard::{Counters, Guard};
use super::head::LastTarget;
use super::hpack::{self, DEFAULT_TABLE_SIZE};
use super::limits::Limits;
use super::output::Output;
use super::role::{ClientRole, Role, ServerRole};
use super::schedule::Schedule;
use super::settings::{self, PeerSettings};
use super::streams::{StreamKey, Streams};
use super::{Event, Shutdown};
use crate::Instant;
use crate::call::{BodySize, Chunk};
use crate::error::{LostKind, PeerMisbehaved, ResetCode};
use crate::time::Clock;

/// A client's side of one HTTP/2 connection.
pub type Client = Engine<ClientRole>;
/// A server's side of one HTTP/2 connection.
pub type Server = Engine<ServerRole>;

/// How many maps of fields are kept for heads to come, and of how many fields at most.
const SPARE_MAPS: usize = 16;
const SPARE_FIELDS: usize = 32;

/// What the peer's GOAWAY said: it takes no more streams.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GoAway {
    /// Why, as it was said last; [`ResetCode::ENHANCE_YOUR_CALM`] if it was said at all. After that a new connection should
    /// not be made at once, and [ping less often](super::KeepAlive::backed_off).
    pub code: ResetCode,
    /// The last stream that the peer may have processed.
    pub last_stream: u32,
    /// What the peer said with that code, for humans; mostly empty. At most 256 bytes of it are kept, and U+FFFD stands for
    /// what is no text.
    pub debug: Box<str>,
}

/// Why a connection did not take a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// There are as many streams as the peer takes at once, or the output is full.
    #[error("connection busy")]
    Busy,
    /// The connection takes no more streams.
    #[error("connection going away")]
    GoingAway,
}

/// One side of one HTTP/2 connection.
///
/// - A, getters: [`is_closed`](Self::is_closed), [`wants_read`](Self::wants_read), [`room`](Self::room),
///   [`streams`](Self::streams), [`goaway`](Self::goaway), [`fault`](Self::fault), [`lost`](Self::lost), [`counters`](Self::counters),
///   [`last_heard`](Self::last_heard), [`peer_max_header_list`](Self::peer_max_header_list); of a client
///   [`can_open`](Client::can_open)
/// - B, the wire and time: `handle_*`. They never fail.
/// - C, commands: [`send_head`](Self::send_head), [`send_data`](Self::send_data), [`send_end`](Self::send_end),
///   [`reset`](Self::reset), [`stop_receiving`](Self::stop_receiving), [`add_credit`](Self::add_credit),
///   [`want_write`](Self::want_write), [`release`](Self::release), [`shut_down`](Self::shut_down); of a client
///   [`open`](Client::open), of a server [`set_date`](Server::set_date). A command that the state of its stream does not
///   allow changes nothing.
/// - D, outputs: [`poll_event`](Self::poll_event), [`poll_writable`](Self::poll_writable), [`output`](Self::output),
///   [`poll_timeout`](Self::poll_timeout), [`poll_shutdown`](Self::poll_shutdown), in any order and at any time.
///
/// # Streams
/// A client's stream begins with [`open`](Client::open) and gets its id when its head is sent; a server's begins with
/// [`Event::Head`]. Either lasts until [`release`](Self::release), which every stream needs, however it ended: what is
/// released with something left to do is reset.
///
/// # Writing
/// Whoever has something to send on a stream says so by [`want_write`](Self::want_write) and sends when
/// [`poll_writable`](Self::poll_writable) names the stream, at most as many bytes as it says. Then all streams get on,
/// and what waits to be written stays within [`Limits::max_output`]. Heads and ends need no window, so a turn may come
/// with 0 bytes. Whoever used up a turn and has more says `want_write` again; whoever was stopped by a window
/// (a turn of 0 bytes) need not: the stream has another turn when there is room.
///
/// # The drive loop
/// 1. *Read* while [`wants_read`](Self::wants_read): hand the bytes to [`handle_read`](Self::handle_read), which takes
///    what it can use. Leave the rest, and add to it.
/// 2. *Events*: [`poll_event`](Self::poll_event) until `None`, and [`add_credit`](Self::add_credit) for what is consumed.
/// 3. *Write*: [`poll_writable`](Self::poll_writable) until `None`; write what [`output`](Self::output) shows and tell
///    [`handle_written`](Self::handle_written).
/// 4. *Time*: [`handle_timeout`](Self::handle_timeout) at [`poll_timeout`](Self::poll_timeout).
/// 5. *Shutdown*: what [`poll_shutdown`](Self::poll_shutdown) says.
#[derive(Debug)]
pub struct Engine<R: Role> {
    limits: Arc<Limits>,
    clock: Clock,
    phase: Phase,
    timers: Timers,
    greeting: Greeting,
    /// A field block of which the end is missing.
    block: Option<OpenBlock>,
    decoder: hpack::Decoder,
    encoder: hpack::Encoder,
    /// Server: what responses have for a date, if somebody told the time.
    pub(crate) date: Option<HeaderValue>,
    last_target: LastTarget,
    /// Empty maps that have served for heads that were sent.
    spare_maps: Vec<HeaderMap>,
    streams: Streams,
    /// Streams that are not closed.
    active: usize,
    schedule: Schedule,
    output: Output,
    send: SendWindow,
    recv: RecvWindow,
    withheld: Withheld,
    peer: PeerSettings,
    /// Whether the peer has acknowledged this side's settings.
    own_acked: bool,
    events: VecDeque<(StreamKey, Event<R::In>)>,
    /// Where in the output the ends of streams are.
    ends: VecDeque<(u64, StreamKey)>,
    gather: Gather,
    guard: Guard,
    fault: Option<PeerMisbehaved>,
    /// How the connection was lost, if it did not end in order.
    lost: Option<LostKind>,
    /// Client: the id of the next stream; none when they are used up.
    next_id: Option<StreamId>,
    /// Server: the highest id of the client's.
    last_id: Option<StreamId>,
    /// Server: the highest id of a stream that was not refused: what GOAWAY says.
    taken_id: Option<StreamId>,
    goaway: Option<GoAway>,
    /// How the input ended, if what is left in the buffer has to be read first.
    input_over: Option<LostKind>,
    /// Bytes that the last `handle_read` left in the buffer.
    left: usize,
    told: Option<Shutdown>,
}

impl<R: Role> Engine<R> {
    /// A connection that was made at `now`. What it has to say first is in the output.
    #[must_use]
    pub fn new(now: Instant, limits: Arc<Limits>) -> Self {
        let mut output = Output::default();
        if !R::IS_SERVER {
            output.frame(frame::PREFACE);
        }
        output.frame(&settings::own(&limits, R::IS_SERVER));
        let connection_window = limits.connection_window(R::IS_SERVER);
        if connection_window > DEFAULT_WINDOW {
            output.frame(&frame::window_update(None, connection_window - DEFAULT_WINDOW));
        }
        let mut engine = Engine {
            clock: Clock::new(now),
            phase: Phase::Open,
            timers: Timers::new(now, &limits, R::IS_SERVER),
            greeting: if R::IS_SERVER { Greeting::Preface } else { Greeting::Settings },
            block: None,
            decoder: hpack::Decoder::new(DEFAULT_TABLE_SIZE),
            encoder: hpack::Encoder::new(limits.encoder_table as usize),
            date: None,
            last_target: LastTarget::default(),
            spare_maps: Vec::new(),
            streams: Streams::default(),
            active: 0,
            schedule: Schedule::default(),
            output,
            send: SendWindow::new(DEFAULT_WINDOW),
            recv: RecvWindow::new(connection_window),
            withheld: Withheld::default(),
            peer: PeerSettings::default(),
            own_acked: false,
            events: VecDeque::new(),
            ends: VecDeque::new(),
            gather: Gather::default(),
            guard: Guard::new(now, limits.guards),
            fault: None,
            lost: None,
            next_id: Some(StreamId::FIRST),
            last_id: None,
            taken_id: None,
            goaway: None,
            input_over: None,
            left: 0,
            told: None,
            limits,
        };
        engine.settle(now);
        engine
    }

    // A: getters.

    /// Whether the connection is over.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// Whether new streams are taken, as far as this side is concerned.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// Whether bytes of the peer are of use now. Reading depends on the progress of writing only when the peer has made
    /// this side answer more than [`Limits::max_unwritten_replies`] of its frames and reads nothing.
    #[must_use]
    pub fn wants_read(&self) -> bool {
        self.phase != Phase::Closed && self.input_over.is_none() && !self.is_reading_paused()
    }

    /// Bytes of output that should still be queued at most: [`Limits::max_output`] less what is unacknowledged.
    #[must_use]
    pub fn room(&self) -> usize {
        if self.output.is_dead() || self.phase.is_ending() {
            return 0;
        }
        self.limits.max_output.saturating_sub(self.output.len())
    }

    /// Streams that are not released.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.streams.len()
    }

    /// What the peer's GOAWAY said, if one came.
    #[must_use]
    pub fn goaway(&self) -> Option<&GoAway> {
        self.goaway.as_ref()
    }

    /// The rule that the peer broke and that ended the connection, if one.
    #[must_use]
    pub fn fault(&self) -> Option<PeerMisbehaved> {
        self.fault
    }

    /// How the connection was lost, if it was before it had begun to end.
    #[must_use]
    pub fn lost(&self) -> Option<LostKind> {
        self.lost
    }

    /// How often the peer has done what is guarded.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.guard.counters
    }

    /// The latest time that it was told.
    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// When bytes of the peer came last; when the connection was made, if none did.
    #[must_use]
    pub fn last_heard(&self) -> Instant {
        self.timers.heard()
    }

    /// The largest head that the peer takes, counted as [`Limits::max_header_list`]; `None` if it has not said.
    #[must_use]
    pub fn peer_max_header_list(&self) -> Option<u32> {
        self.peer.max_header_list
    }

    // B: the wire and time.

    /// Takes what is of use from the front of `buf` and leaves the rest, which the caller keeps as it is and adds to.
    ///
    /// Frames are taken whole, so up to [`Limits::max_frame_size`] and 9 bytes have to fit. Data of up to 1 KiB, or an
    /// eighth of the buffer's capacity, is copied out, and what lies together in one piece; larger data shares the
    /// buffer. Copies of up to 1 KiB may share a buffer of 1 KiB with one another.
    pub fn handle_read(&mut self, now: Instant, buf: &mut BytesMut) {
        let now = self.expire(now);
        self.read(now, buf);
        self.settle(now);
    }

    /// The peer ended its side. All bytes before it were handed to [`handle_read`](Self::handle_read).
    ///
    /// Streams that are not complete are lost with it, and on a server also those whose response is still to come.
    pub fn handle_eof(&mut self, now: Instant) {
        self.handle_io_failed(now, LostKind::Eof);
    }

    /// The transport failed in reading, or as a whole. Complete responses stay what they are.
    pub fn handle_io_failed(&mut self, now: Instant, kind: LostKind) {
        let now = self.expire(now);
        self.end_of_input(kind);
        self.settle(now);
    }

    /// The transport failed in writing. On a client, responses that are on their way may still be read for
    /// [`Limits::linger`]; a server's connection is over.
    pub fn handle_write_failed(&mut self, now: Instant, kind: LostKind) {
        let now = self.expire(now);
        self.end_of_output(now, kind);
        self.settle(now);
    }

    /// The first `n` bytes that [`output`](Self::output) has shown are written. More than it has shown counts as all of
    /// those.
    pub fn handle_written(&mut self, now: Instant, n: usize) {
        let now = self.expire(now);
        self.written(n);
        self.settle(now);
    }

    /// Time has passed. Calling it early, late or needlessly does no harm.
    pub fn handle_timeout(&mut self, now: Instant) {
        let now = self.expire(now);
        self.settle(now);
    }

    // C: commands.

    /// Sends the head of the stream's message; with [`BodySize::Empty`] it is the end as well. Once a stream.
    ///
    /// The engine writes the pseudo-headers and `content-length` itself, the authority from the URI or else from the
    /// application's `host`, and drops the fields that HTTP/2 does not have. CONNECT and interim responses are not sent.
    pub fn send_head(&mut self, now: Instant, key: StreamKey, parts: &R::Out, body: BodySize) {
        let now = self.expire(now);
        self.put_head(key, parts, body);
        self.settle(now);
    }

    /// Takes a head that was sent: the map of its fields then serves for a head that comes in.
    pub(crate) fn recycle(&mut self, parts: R::Out) {
        let mut headers = R::into_fields(parts);
        if self.spare_maps.len() < SPARE_MAPS && headers.capacity() <= SPARE_FIELDS {
            headers.clear();
            self.spare_maps.push(headers);
        }
    }

    /// Sends a piece of the body. An empty one is ignored. What the windows or the output have no room for is kept and
    /// sent before the stream's next turn.
    ///
    /// A body of announced length must not get longer: the stream is reset and [`Lost`](Event::Lost).
    pub fn send_data(&mut self, now: Instant, key: StreamKey, chunk: Chunk) {
        let now = self.expire(now);
        self.put_data(key, chunk);
        self.settle(now);
    }

    /// Ends the body, with trailers if there are any. If it is shorter than announced: as with
    /// [`send_data`](Self::send_data).
    pub fn send_end(&mut self, now: Instant, key: StreamKey, trailers: Option<HeaderMap>) {
        let now = self.expire(now);
        self.put_end(key, trailers.map(Box::new));
        self.settle(now);
    }

    /// Gives the stream up in both directions: the peer is told, events that wait are dropped, none will come. What of it
    /// is in the output already goes out before that. What was received and not consumed is given back.
    pub fn reset(&mut self, now: Instant, key: StreamKey, code: ResetCode) {
        let now = self.expire(now);
        self.put_reset(key, code);
        self.settle(now);
    }

    /// The peer's message is of no use any more: events of it are dropped, and what was received and not consumed is
    /// given back. When this side's message has ended, the peer is told to stop, by RST_STREAM with NO_ERROR (RFC 9113,
    /// section 8.1). [`Event::EndSent`] comes all the same.
    pub fn stop_receiving(&mut self, now: Instant, key: StreamKey) {
        let now = self.expire(now);
        self.mute(key);
        self.settle(now);
    }

    /// `n` more bytes of the stream's [`Data`](Event::Data) are consumed: the peer may send as many again. No more than
    /// were received and not consumed yet.
    pub fn add_credit(&mut self, now: Instant, key: StreamKey, n: usize) {
        let now = self.expire(now);
        self.credit(key, n);
        self.settle(now);
    }

    /// There is something to send on the stream that was not there before, or more than its last turn took.
    pub fn want_write(&mut self, key: StreamKey) {
        self.schedule.ready(&mut self.streams, key);
    }

    /// The application has done with the stream: its key is of no use any more. If the stream is not closed it is reset
    /// first, with NO_ERROR if this side's message is complete and CANCEL if not.
    pub fn release(&mut self, now: Instant, key: StreamKey) {
        let now = self.expire(now);
        self.let_go(key);
        self.settle(now);
    }

    /// Takes no more streams, and closes when those that there are have ended, or after `grace`, which they are lost by.
    ///
    /// A server says GOAWAY twice: first that it is going, and when the client knows that, or after
    /// [`Limits::shutdown_notice`], which stream was the last that it takes. Until then it takes all that come. A second
    /// call can shorten the grace.
    pub fn shut_down(&mut self, now: Instant, grace: Duration) {
        let now = self.expire(now);
        self.begin_shutdown(now, grace);
        self.settle(now);
    }

    // D: outputs.

    /// The next event, and the stream that it is of.
    pub fn poll_event(&mut self) -> Option<(StreamKey, Event<R::In>)> {
        self.next_event()
    }

    /// Whose turn it is to write, and how many bytes of a body it may send: 0 if a window is closed. `None` if nobody
    /// wants to write or the output is full.
    pub fn poll_writable(&mut self) -> Option<(StreamKey, usize)> {
        self.next_writable()
    }

    /// Fills `slices` with what is to be written and says how many it filled. It shows the same bytes, and further ones
    /// behind them, until [`handle_written`](Self::handle_written) acknowledges them: what was shown once does not change.
    #[must_use]
    pub fn output<'a>(&'a mut self, slices: &mut [IoSlice<'a>]) -> usize {
        self.output.slices(slices)
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.next_timeout()
    }

    /// What to do with the transport; each is told once.
    pub fn poll_shutdown(&mut self) -> Option<Shutdown> {
        let wanted = match self.phase {
            Phase::Lingering => Shutdown::Write,
            Phase::Closed => Shutdown::Close,
            _ => return None,
        };
        if self.told == Some(wanted) {
            return None;
        }
        self.told = Some(wanted);
        self.told
    }
}

impl Client {
    /// Whether a stream could be [opened](Self::open) now.
    ///
    /// # Errors
    /// Why it could not.
    pub fn can_open(&self) -> Result<(), OpenError> {
        self.check_open()
    }

    /// Opens a stream. Nothing of it is sent before its head.
    ///
    /// Before the peer's SETTINGS have come, 100 streams may be open.
    ///
    /// # Errors
    /// The peer takes no more streams at once or the output is full; or it takes none at all any more.
    pub fn open(&mut self, now: Instant) -> Result<StreamKey, OpenError> {
        let now = self.expire(now);
        self.check_open()?;
        let key = self.insert(None);
        self.settle(now);
        Ok(key)
    }
}

impl Server {
    /// Says what the time is: the `date` of the responses that follow, as RFC 9110, section 6.6.1, asks of a server that has
    /// a clock, unless the application gives one itself. The engine has no clock: whoever has tells it once a second.
    pub fn set_date(&mut self, date: Option<HeaderValue>) {
        self.date = date;
    }
}

#[cfg(any(feature = "testing", test))]
impl<R: Role> Engine<R> {
    /// Every byte of every window is somewhere: what the connection holds is what its streams hold.
    pub(crate) fn check_conservation(&self) {
        assert!(self.recv.is_conserved());
        let mut held = 0;
        for (_, stream) in self.streams.iter() {
            assert!(stream.recv.is_conserved());
            held += stream.recv.held();
        }
        assert_eq!(self.recv.held(), held, "bytes of the connection's window that no stream holds");
    }

    /// Bytes that came in and were not consumed.
    pub(crate) fn held_bytes(&self) -> u64 {
        self.recv.held().into()
    }

    /// What this side may send, and what it may be sent, on each stream that is not closed and, without an id, in all.
    pub(crate) fn windows(&self) -> Vec<(Option<u32>, [usize; 2])> {
        let window = |send: SendWindow, recv: &RecvWindow| {
            [send.available(), usize::try_from(recv.open()).unwrap_or(0)]
        };
        let live = self.streams.iter().filter(|(_, stream)| !stream.state.is_closed());
        let of_streams =
            live.filter_map(|(_, stream)| Some((Some(stream.id?.get()), window(stream.send, &stream.recv))));
        of_streams.chain([(None, window(self.send, &self.recv))]).collect()
    }
}

#[cfg(test)]
impl<R: Role> Engine<R> {
    /// Whether nothing is under way.
    pub(super) fn is_quiet(&self) -> bool {
        self.active == 0
            && self.output.is_empty()
            && self.events.is_empty()
            && self.ends.is_empty()
            && self.schedule.is_empty(true)
            && self.recv.held() == 0
    }

    /// Bytes of memory that an idle connection keeps, but for HPACK's.
    pub(super) fn held(&self) -> usize {
        self.streams.held()
            + self.output.held()
            + self.events.capacity() * size_of::<(StreamKey, Event<R::In>)>()
            + self.ends.capacity() * size_of::<(u64, StreamKey)>()
    }
}
