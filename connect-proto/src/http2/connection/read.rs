//! Bytes in: frames, and the data in them.

use bytes::{Buf, Bytes, BytesMut};

use super::super::Event;
use super::super::frame::{self, HEAD_LEN, Head, Kind, PREFACE, StreamId, flag};
use super::super::guard::Nuisance;
use super::super::role::Role;
use super::super::stream::{Cause, Input, Refused, State};
use super::super::streams::StreamKey;
use super::Engine;
use crate::Instant;
use crate::error::{PeerMisbehaved, ResetCode};

/// Data up to this many bytes is copied out of any read buffer.
const COPY_AT_MOST: usize = 1 << 10;
/// Data is copied out of a read buffer that is this many times larger.
const COPY_OUT_OF: usize = 8;
/// Small data of one stream is put together up to this many bytes.
const GATHER_AT_MOST: usize = 16 << 10;

/// How far the beginning of the connection is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Greeting {
    /// The preface is to come.
    Preface,
    /// The first SETTINGS are to come.
    Settings,
    Done,
}

/// Small data of one stream, until something else comes. Little of it is put into a buffer of [`COPY_AT_MOST`] bytes, one
/// behind the other, so that copying allocates nothing once nobody holds what was there before.
#[derive(Debug, Default)]
pub(super) struct Gather {
    key: Option<StreamKey>,
    bytes: BytesMut,
}

impl Gather {
    fn push(&mut self, data: &[u8]) {
        if self.bytes.capacity() < self.bytes.len() + data.len() {
            self.bytes.reserve(data.len().max(COPY_AT_MOST));
        }
        self.bytes.extend_from_slice(data);
    }

    fn take(&mut self) -> Bytes {
        let data = self.bytes.split().freeze();
        if data.len() > COPY_AT_MOST {
            // Small data is not to hold the rest of a large buffer.
            self.bytes = BytesMut::new();
        }
        data
    }
}

impl<R: Role> Engine<R> {
    /// Whether the peer has to read before anything is read of it.
    pub(super) fn is_reading_paused(&self) -> bool {
        self.output.replies() > self.limits.max_unwritten_replies
    }

    /// Reads frames as long as there are whole ones.
    pub(super) fn read(&mut self, now: Instant, buf: &mut BytesMut) {
        if buf.len() > self.left {
            self.timers.hear(now);
        }
        while !self.phase.is_ending() && !self.is_reading_paused() {
            match self.read_next(now, buf) {
                Ok(true) => {}
                Ok(false) => break,
                Err(fault) => self.fail(fault),
            }
        }
        self.flush_gathered();
        if self.phase.is_ending() {
            buf.clear();
        }
        self.left = buf.len();
        if !self.is_reading_paused()
            && let Some(kind) = self.input_over
        {
            self.lose_connection(kind);
        }
    }

    /// Reads one frame, or the preface; false if it is not there as a whole.
    fn read_next(&mut self, now: Instant, buf: &mut BytesMut) -> Result<bool, PeerMisbehaved> {
        if self.greeting == Greeting::Preface {
            return self.read_preface(buf);
        }
        let Some(head) = Head::read(buf) else { return Ok(false) };
        if self.greeting == Greeting::Settings && !R::IS_SERVER && buf.starts_with(b"HTTP/1.") {
            return Err(PeerMisbehaved::Http1Response);
        }
        if self.greeting == Greeting::Settings && (head.kind != Kind::Settings || head.has(flag::ACK)) {
            return Err(PeerMisbehaved::InvalidPreface);
        }
        head.check(self.limits.frame_size())?;
        if let Some(block) = &self.block
            && (head.kind != Kind::Continuation || head.stream != Some(block.id()))
        {
            return Err(PeerMisbehaved::InterruptedFieldBlock);
        }
        let Some(payload) = buf.get(HEAD_LEN..HEAD_LEN + head.len) else { return Ok(false) };
        match (head.kind, head.stream) {
            (Kind::Data, Some(id)) => {
                self.data(now, head, id, buf)?;
                return Ok(true);
            }
            (Kind::Headers, Some(id)) => self.headers(now, head, id, payload)?,
            (Kind::Continuation, _) => self.continuation(now, head, payload)?,
            (Kind::Reset, Some(id)) => self.peer_reset(now, id, ResetCode(frame::u32_at(payload, 0)))?,
            (Kind::WindowUpdate, id) => self.window_update(now, id, frame::u32_at(payload, 0))?,
            (Kind::Settings, _) => self.settings(now, head, payload)?,
            (Kind::Ping, _) => self.ping(now, head, payload)?,
            (Kind::GoAway, _) => self.peer_goaway(payload),
            (Kind::Priority, id) => self.priority(now, id, payload)?,
            (Kind::PushPromise, _) => return Err(PeerMisbehaved::UnexpectedPush),
            (Kind::Unknown | Kind::Data | Kind::Headers | Kind::Reset, _) => {
                self.guard.count(now, Nuisance::EmptyFrame)?;
            }
        }
        buf.advance(HEAD_LEN + head.len);
        Ok(true)
    }

    fn read_preface(&mut self, buf: &mut BytesMut) -> Result<bool, PeerMisbehaved> {
        let len = buf.len().min(PREFACE.len());
        if buf.get(..len) != PREFACE.get(..len) {
            return Err(PeerMisbehaved::InvalidPreface);
        }
        if len < PREFACE.len() {
            return Ok(false);
        }
        buf.advance(len);
        self.greeting = Greeting::Settings;
        Ok(true)
    }

    /// A DATA frame (RFC 9113, section 6.1). All of its payload counts for flow control.
    fn data(
        &mut self,
        now: Instant,
        head: Head,
        id: StreamId,
        buf: &mut BytesMut,
    ) -> Result<(), PeerMisbehaved> {
        let payload = buf.get(HEAD_LEN..HEAD_LEN + head.len).unwrap_or_default();
        let body = frame::unpad(head, payload)?;
        let end = head.has(flag::END_STREAM);
        let len = u32::try_from(head.len).unwrap_or(u32::MAX);
        self.recv.receive(len).map_err(|_| PeerMisbehaved::WindowExceeded)?;
        if body.len == 0 && !end {
            self.guard.count(now, Nuisance::EmptyFrame)?;
        } else {
            self.guard.message_frame(body.len);
        }
        let key = match self.take_data(id, len, body.len as u64, end) {
            Ok(key) => key,
            Err((key, refused)) => {
                buf.advance(HEAD_LEN + head.len);
                self.give_back(len);
                return self.refused(now, id, key, refused);
            }
        };
        self.consume(key, len - u32::try_from(body.len).unwrap_or(len));
        if self.streams.get(key).is_some_and(|stream| stream.recv_muted) {
            self.consume(key, u32::try_from(body.len).unwrap_or(len));
            buf.advance(HEAD_LEN + head.len);
        } else {
            buf.advance(HEAD_LEN + body.start);
            self.deliver_data(key, body.len, buf);
            buf.advance(head.len - body.start - body.len);
        }
        if end {
            self.received_end(key, None);
        }
        Ok(())
    }

    /// Whether data fits the state, the window and the announced length of its stream, and the stream.
    fn take_data(
        &mut self,
        id: StreamId,
        len: u32,
        body: u64,
        end: bool,
    ) -> Result<StreamKey, (Option<StreamKey>, Refused)> {
        let input = Input::Data { end };
        let Some(key) = self.streams.find(id) else { return Err((None, self.refuse_absent(id, input))) };
        let Some(stream) = self.streams.get_mut(key) else { return Err((None, Refused::Ignored)) };
        let next = stream.state.step(input).map_err(|refused| (Some(key), refused))?;
        let fault = |fault| (Some(key), Refused::Stream(fault));
        if let Some(left) = stream.recv_left {
            let left = left.checked_sub(body).filter(|left| !end || *left == 0);
            stream.recv_left = Some(left.ok_or(fault(PeerMisbehaved::ContentLengthMismatch))?);
        }
        stream.recv.receive(len).map_err(|_| fault(PeerMisbehaved::WindowExceeded))?;
        self.enter(key, next);
        Ok(key)
    }

    /// What a frame means on a stream that is not there: it was closed, or never opened.
    pub(super) fn refuse_absent(&self, id: StreamId, input: Input) -> Refused {
        let state = if self.is_idle(id) {
            State::Idle
        } else {
            State::Closed(self.streams.closed(id).unwrap_or(Cause::ResetHere))
        };
        state.step(input).err().unwrap_or(Refused::Connection(PeerMisbehaved::IdleStream))
    }

    /// Whether no stream of that id was ever opened.
    pub(super) fn is_idle(&self, id: StreamId) -> bool {
        let beyond = if R::IS_SERVER {
            self.last_id.is_none_or(|last| id > last)
        } else {
            self.next_id.is_some_and(|next| id >= next)
        };
        beyond || !id.is_client()
    }

    /// Does what a refused frame asks for.
    pub(super) fn refused(
        &mut self,
        now: Instant,
        id: StreamId,
        key: Option<StreamKey>,
        refused: Refused,
    ) -> Result<(), PeerMisbehaved> {
        match refused {
            Refused::Ignored | Refused::Misuse => Ok(()),
            Refused::Stream(fault) => self.stream_fault(now, id, key, fault),
            Refused::Connection(fault) => Err(fault),
        }
    }

    /// Makes an event of the first `len` bytes of the buffer.
    fn deliver_data(&mut self, key: StreamKey, len: usize, buf: &mut BytesMut) {
        if len == 0 {
            return;
        }
        let is_small = len <= COPY_AT_MOST || len < buf.capacity() / COPY_OUT_OF;
        if !is_small {
            self.flush_gathered();
            let data = buf.split_to(len.min(buf.len())).freeze();
            self.events.push_back((key, Event::Data(data)));
            return;
        }
        if self.gather.key != Some(key) || self.gather.bytes.len() + len > GATHER_AT_MOST {
            self.flush_gathered();
            self.gather.key = Some(key);
        }
        self.gather.push(buf.get(..len).unwrap_or_default());
        buf.advance(len.min(buf.len()));
    }

    /// Makes an event of the data that was gathered.
    pub(super) fn flush_gathered(&mut self) {
        if let Some(key) = self.gather.key.take() {
            let data = self.gather.take();
            self.events.push_back((key, Event::Data(data)));
        }
    }

    /// Gives back what an idle connection does not need.
    pub(super) fn trim(&mut self) {
        if self.events.is_empty() {
            self.events.shrink_to(8);
        }
        self.ends.shrink_to(8);
        self.spare_maps.truncate(1);
        self.output.trim();
        self.schedule.trim();
    }

    /// Bytes of the connection's window that no stream has to account for.
    pub(super) fn give_back(&mut self, n: u32) {
        self.recv.consume(n);
        self.widen_connection();
    }

    /// Bytes of a stream's data that are consumed, or that nobody will consume.
    pub(super) fn consume(&mut self, key: StreamKey, n: u32) {
        if n == 0 {
            return;
        }
        let Some(stream) = self.streams.get_mut(key) else { return };
        let n = stream.recv.consume(n);
        if let Some((id, by)) = stream.widen() {
            self.output.reply(&frame::window_update(Some(id), by));
        }
        self.give_back(n);
    }

    fn widen_connection(&mut self) {
        if !self.phase.is_ending()
            && let Some(by) = self.recv.update_shared()
        {
            self.output.reply(&frame::window_update(None, by));
        }
    }
}
