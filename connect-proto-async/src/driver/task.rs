//! The task of a connection: it alone touches the socket and the timer.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::BytesMut;
use connect_proto::Instant;
use connect_proto::connection::{CallId, Notice, Role};
use connect_proto::error::LostKind;
use connect_proto::http1::Shutdown;
use tokio::io::{AsyncReadExt, AsyncWrite};

use super::alarm::{Alarm, within};
use super::runtime::BoxStream;
use super::shared::{Shared, State};
use crate::trace;

/// Turns of one poll, after which other tasks have their turn: before what is to be handled piles up.
const MAX_TURNS: usize = 2;
/// Slices of one vectored write.
const SLICES: usize = 32;
/// Bytes to make room for before a read: at first, and at most when reads fill what there is. So many make for few calls of
/// the system, and for large messages that lie whole in what was read.
const MIN_READ: usize = 8 << 10;
const MAX_READ: usize = 256 << 10;

/// How long a stream that is closed may take to get out what was written.
const FAREWELL: Duration = Duration::from_secs(5);

/// What a role does with its connection, beside what the handles of calls do.
pub(crate) trait Attendant<R: Role>: Send + Unpin {
    /// A turn of the task begins, under the lock.
    fn begin_turn(&mut self, _: &mut State<R>, _: Instant) {}

    /// Acts on a notice, under the lock.
    fn notice(&mut self, state: &mut State<R>, now: Instant, notice: Notice);

    /// The connection was severed, whether or not all of its calls were looked at to their ends.
    fn severed(&mut self) {}

    /// Passes on what it noted, outside of the lock, before anybody is woken.
    fn report(&mut self) {}

    /// Goes on with what it does outside of the lock.
    fn attend(&mut self, _: &Arc<Shared<R>>, _: &mut Context<'_>) {}

    /// Whether there is something left to [attend](Self::attend) to.
    fn has_work(&self) -> bool {
        false
    }

    /// When [`on_time`](Self::on_time) wants to be called.
    fn due(&self) -> Option<Instant> {
        None
    }

    /// Acts on the passage of time, under the lock.
    fn on_time(&mut self, _: &mut State<R>, _: Instant) {}
}

/// Drives a connection to its end.
pub(crate) struct Task<R: Role, A: Attendant<R>> {
    shared: Arc<Shared<R>>,
    /// `None` once it is closed.
    stream: Option<BoxStream>,
    /// What was read and not used yet. Empty and without memory while the connection is silent.
    unread: BytesMut,
    read_size: usize,
    /// Whether the last read took far less than that.
    read_little: bool,
    /// What the last read has brought, if it was not handed in yet.
    arrived: Read,
    input: Input,
    output: Output,
    /// Whether the stream may hold back some of what was written.
    unflushed: bool,
    alarm: Option<Alarm>,
    attendant: A,
    /// Calls whose ends are to be told; empty between turns.
    ends: Vec<CallId>,
    /// Those to be woken after unlocking; empty between turns.
    wakers: Vec<Waker>,
    is_over: bool,
}

/// The reading side of the stream.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Input {
    /// Reading would lead somewhere.
    Wanted,
    /// The connection has enough for now.
    Held,
    Ended,
}

/// The writing side of the stream.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Output {
    Open,
    /// The FIN is on its way.
    Ending,
    Ended,
}

/// What a read has brought.
enum Read {
    Nothing,
    Bytes,
    Eof,
    Failed(LostKind),
}

impl<R: Role, A: Attendant<R>> Task<R, A> {
    pub(crate) fn new(shared: Arc<Shared<R>>, stream: BoxStream, attendant: A) -> Self {
        Task {
            shared,
            stream: Some(stream),
            unread: BytesMut::new(),
            read_size: MIN_READ,
            read_little: false,
            arrived: Read::Nothing,
            input: Input::Wanted,
            output: Output::Open,
            unflushed: false,
            alarm: None,
            attendant,
            ends: Vec::new(),
            wakers: Vec::new(),
            is_over: false,
        }
    }

    /// One turn: bytes in, notices, handlers, bytes out. True if there is more to do at once.
    fn turn(&mut self, cx: &mut Context<'_>) -> bool {
        self.take_in();
        self.tell();
        self.attendant.attend(&self.shared, cx);
        let moved = self.put_out(cx);
        self.tell();
        moved
    }

    /// Tells what there is to tell. Whoever waits for the end of a call may want its connection for the next one, and comes
    /// after those who give it out.
    fn tell(&mut self) {
        self.attendant.report();
        if !self.ends.is_empty() {
            let mut state = self.shared.lock();
            self.ends.drain(..).for_each(|id| state.tell(id, &mut self.wakers));
        }
        self.wakers.drain(..).for_each(Waker::wake);
    }

    fn read(&mut self, cx: &mut Context<'_>) -> Read {
        let (Some(stream), Input::Wanted) = (&mut self.stream, self.input) else { return Read::Nothing };
        if self.unread.capacity() - self.unread.len() < self.read_size / 2 {
            self.unread.reserve(self.read_size);
        }
        let room = self.unread.capacity() - self.unread.len();
        match pin!(stream.read_buf(&mut self.unread)).poll(cx) {
            Poll::Ready(Ok(0)) => {
                self.input = Input::Ended;
                Read::Eof
            }
            Poll::Ready(Ok(read)) => {
                self.resize(read, room);
                self.shared.meter().read(read);
                Read::Bytes
            }
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => Read::Bytes,
            Poll::Ready(Err(error)) => {
                self.input = Input::Ended;
                Read::Failed(lost(&error))
            }
            Poll::Pending => {
                if self.unread.is_empty() {
                    self.unread = BytesMut::new();
                }
                Read::Nothing
            }
        }
    }

    /// Sizes the next reads by what the last one took of its room. What is left of a message after a full read says nothing
    /// of the next one: it takes two small reads to go back.
    fn resize(&mut self, read: usize, room: usize) {
        let is_little = read < self.read_size / 2;
        if read == room {
            self.read_size = (2 * self.read_size).min(MAX_READ);
        } else if is_little && self.read_little {
            self.read_size = (self.read_size / 2).max(MIN_READ);
        }
        self.read_little = is_little && read < room;
    }

    /// Hands in what was read, and acts on the notices.
    fn take_in(&mut self) {
        let shared = self.shared.clone();
        let mut state = shared.lock();
        state.unpark();
        let now = state.look_at(shared.runtime());
        state.connection.handle_timeout(now);
        self.attendant.begin_turn(&mut state, now);
        if self.attendant.due().is_some_and(|due| due <= now) {
            self.attendant.on_time(&mut state, now);
        }
        self.use_bytes(&mut state, now);
        // What came before goes first: the body of a request is taken once its head was looked at.
        while self.heed_notices(&mut state, now) {
            self.use_bytes(&mut state, now);
        }
        match std::mem::replace(&mut self.arrived, Read::Nothing) {
            Read::Eof => state.connection.handle_eof(now),
            Read::Failed(kind) => state.connection.handle_io_failed(now, kind),
            Read::Nothing | Read::Bytes => {}
        }
        self.is_wanted(&state);
        self.heed_notices(&mut state, now);
    }

    /// Hands in what was read, if the connection wants it.
    fn use_bytes(&mut self, state: &mut State<R>, now: Instant) {
        if !self.unread.is_empty() && state.connection.wants_read() {
            state.connection.handle_read(now, &mut self.unread);
        }
    }

    /// Takes note of whether reading leads somewhere. True if that has become so.
    fn is_wanted(&mut self, state: &State<R>) -> bool {
        let before = self.input;
        if before != Input::Ended {
            self.input = if state.connection.wants_read() { Input::Wanted } else { Input::Held };
        }
        before == Input::Held && self.input == Input::Wanted
    }

    /// Acts on the notices that there are; true if there are any.
    fn heed_notices(&mut self, state: &mut State<R>, now: Instant) -> bool {
        let mut moved = false;
        while let Some(notice) = state.connection.poll_ready() {
            moved = true;
            match notice {
                Notice::Readable(id) if state.rouse(id, &mut self.wakers) => {}
                Notice::Readable(id) => state.pass_events(id, now),
                Notice::Closed(id, closed) => {
                    self.shared.meter().closed(&closed);
                    if state.close(id, closed, &mut self.wakers) {
                        self.ends.push(id);
                    }
                }
                Notice::Ended(_) => {
                    self.is_over = true;
                    if let Some(fault) = state.connection.fault() {
                        trace::connection_failed(&fault);
                    }
                }
                _ => {}
            }
            self.attendant.notice(state, now, notice);
        }
        moved
    }

    /// Writes what there is, does what else the connection asks for, and arms the timer. True if that leaves more to do.
    fn put_out(&mut self, cx: &mut Context<'_>) -> bool {
        let shared = self.shared.clone();
        let mut state = shared.lock();
        // Handlers may have taken their time.
        let now = state.look_at(shared.runtime());
        state.settle(now);
        self.write(&mut state, now, cx);
        if state.take_severed() {
            self.stream = None;
            state.connection.handle_io_failed(now, LostKind::ShutDown);
            self.attendant.severed();
        }
        let mut moved = false;
        // A handle may have been busy meanwhile, and what was written may have ended a call.
        if self.heed_notices(&mut state, now) {
            state.settle(now);
            self.write(&mut state, now, cx);
            moved = self.heed_notices(&mut state, now) || !self.unread.is_empty();
        }
        moved |= self.attendant.has_work();
        while let Some(shutdown) = state.connection.poll_shutdown() {
            moved = true;
            match shutdown {
                Shutdown::Write if self.output == Output::Open => self.output = Output::Ending,
                Shutdown::Write => {}
                Shutdown::Close => self.hang_up(cx),
            }
        }
        moved |= self.is_wanted(&state);
        if !moved {
            state.park(cx);
        }
        let due = earliest(state.connection.poll_timeout(), self.attendant.due());
        drop(state);
        self.end_output(cx);
        moved | self.poll_alarm(due, cx)
    }

    fn write(&mut self, state: &mut State<R>, now: Instant, cx: &mut Context<'_>) {
        let Some(stream) = &mut self.stream else { return };
        loop {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let filled = state.connection.output(now, &mut slices);
            let Some(slices) = slices.get(..filled).filter(|slices| !slices.is_empty()) else { break };
            match Pin::new(&mut *stream).poll_write_vectored(cx, slices) {
                Poll::Ready(Ok(written)) if written > 0 => {
                    self.shared.meter().wrote(written);
                    state.connection.handle_written(now, written);
                }
                Poll::Ready(Ok(_)) => state.connection.handle_write_failed(now, LostKind::Failed),
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Poll::Ready(Err(error)) => state.connection.handle_write_failed(now, lost(&error)),
                Poll::Pending => return,
            }
            self.unflushed = true;
        }
        if self.unflushed {
            // A failure is that of the next write or read.
            self.unflushed = Pin::new(stream).poll_flush(cx).is_pending();
        }
    }

    /// Ends the sending side of the stream, after all was written.
    fn end_output(&mut self, cx: &mut Context<'_>) {
        if let (Some(stream), Output::Ending) = (&mut self.stream, self.output)
            && Pin::new(stream).poll_shutdown(cx).is_ready()
        {
            // A socket that the peer has reset cannot be shut down any more, which is as good.
            self.output = Output::Ended;
        }
    }

    /// Closes the stream. One that holds back some of what was written, as TLS may, still gets it out.
    fn hang_up(&mut self, cx: &mut Context<'_>) {
        let Some(mut stream) = self.stream.take().filter(|_| self.output != Output::Ended) else { return };
        if Pin::new(&mut stream).poll_shutdown(cx).is_pending() {
            let runtime = self.shared.runtime().clone();
            self.shared.runtime().spawn(Box::pin(async move {
                let ended = poll_fn(|cx| Pin::new(&mut stream).poll_shutdown(cx));
                within(&*runtime, FAREWELL, ended).await;
            }));
        }
    }

    /// True if the time has come.
    fn poll_alarm(&mut self, due: Option<Instant>, cx: &mut Context<'_>) -> bool {
        due.is_some_and(|due| Alarm::poll_at(&mut self.alarm, &**self.shared.runtime(), due, cx))
    }
}

impl<R: Role, A: Attendant<R>> Future for Task<R, A> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if matches!(self.arrived, Read::Nothing) {
            self.arrived = self.read(cx);
        }
        for _ in 0..MAX_TURNS {
            let moved = self.turn(cx);
            if self.is_over {
                return Poll::Ready(());
            }
            self.arrived = self.read(cx);
            if !moved && matches!(self.arrived, Read::Nothing) {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Whoever waits for a call must not wait for a task that is gone: it was dropped with its runtime, or it has panicked.
impl<R: Role, A: Attendant<R>> Drop for Task<R, A> {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let now = self.shared.now();
        let wakers = self.shared.lock().abandon(now);
        wakers.into_iter().for_each(Waker::wake);
    }
}

fn earliest(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    a.into_iter().chain(b).min()
}

/// How a connection was lost, by what the system says.
pub(crate) fn lost(error: &io::Error) -> LostKind {
    #[cfg(feature = "tls")]
    if let Some(alert) = crate::tls::alert(error) {
        return LostKind::TlsAlert(alert);
    }
    match error.kind() {
        // A stream that ends where it must not, as TLS without a close_notify, is no better than one that was reset: what
        // came before may have been cut off.
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof => LostKind::Reset,
        _ => LostKind::Failed,
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests;
