//! Commands of the application, and what they put into the output.

use bytes::Bytes;
use http::HeaderMap;

use super::super::frame::{self, HEAD_LEN, Head, Kind, StreamId, flag};
use super::super::head::write_fields;
use super::super::role::Role;
use super::super::schedule::TURN;
use super::super::stream::{Half, Input, State};
use super::super::streams::StreamKey;
use super::super::{Event, OpenError};
use super::life::Phase;
use super::{Client, Engine};
use crate::call::{BodySize, Chunk, Processed};
use crate::error::{LostKind, ResetCode};

/// Data in smaller pieces does not allow for the window updates that make it so small (CVE-2019-9511).
const DRIBBLE: usize = 16;
/// A client takes no more streams when fewer ids than these are left.
const LAST_IDS: u32 = 1 << 16;

impl Client {
    pub(super) fn check_open(&self) -> Result<(), OpenError> {
        let spent = self.next_id.is_none_or(|next| next.get() > StreamId::MAX - LAST_IDS);
        if self.phase != Phase::Open || self.output.is_dead() || self.input_over.is_some() || spent {
            return Err(OpenError::GoingAway);
        }
        // Opening and resetting while the peer reads nothing must not fill the output either.
        if self.active >= self.peer.max_streams.min(LAST_IDS / 4) as usize || self.room() == 0 {
            return Err(OpenError::Busy);
        }
        Ok(())
    }
}

impl<R: Role> Engine<R> {
    pub(super) fn put_head(&mut self, key: StreamKey, parts: &R::Out, body: BodySize) {
        let Some(stream) = self.streams.get(key) else { return };
        let end = body == BodySize::Empty;
        let Ok(next) = stream.state.step(Input::SendHead { end }) else { return };
        if R::is_forbidden(parts) || self.phase.is_ending() {
            return;
        }
        let id = match stream.id {
            Some(id) => id,
            None => {
                let Some(id) = self.next_id else { return };
                self.next_id = id.next();
                self.streams.assign(key, id);
                id
            }
        };
        let head_at = self.output.end();
        let (encoder, date) = (&mut self.encoder, self.date.as_ref());
        let mark =
            self.output.headers(id, end, |to| R::write_head(&mut encoder.block(to), parts, body, date));
        if let Some(stream) = self.streams.get_mut(key) {
            stream.head_at = head_at;
            stream.last_frame = Some(mark);
            stream.to_head = R::is_head_request(parts);
            stream.send_left = if let BodySize::Exact(len) = body { Some(len) } else { None };
        }
        self.guard.message_frame(0);
        self.enter(key, next);
        if end {
            self.ended(key, id);
        }
    }

    pub(super) fn put_data(&mut self, key: StreamKey, chunk: Chunk) {
        let Some(stream) = self.streams.get_mut(key) else { return };
        let is_open = matches!(stream.state, State::Live { send: Half::Body, .. });
        if !is_open || stream.pending_end.is_some() || chunk.is_empty() {
            return;
        }
        if let Some(left) = stream.send_left {
            let Some(left) = left.checked_sub(chunk.len() as u64) else { return self.mismatch(key) };
            stream.send_left = Some(left);
        }
        if stream.backlog.is_empty() {
            let prefix = chunk.prefix();
            let room = self.body_room(key);
            let rest = if prefix.len() <= room {
                self.write_data(key, prefix, chunk.payload().clone(), room)
            } else {
                Bytes::from([prefix, chunk.payload()].concat())
            };
            self.keep(key, rest);
        } else {
            self.keep(key, Bytes::copy_from_slice(chunk.prefix()));
            self.keep(key, chunk.into_payload());
        }
    }

    /// Keeps data until there is room for it.
    fn keep(&mut self, key: StreamKey, data: Bytes) {
        if data.is_empty() {
            return;
        }
        if let Some(stream) = self.streams.get_mut(key) {
            stream.backlog.push_back(data);
            self.schedule.ready(&mut self.streams, key);
        }
    }

    /// Bytes of a body that the windows and the output have room for.
    fn body_room(&self, key: StreamKey) -> usize {
        let window = self.streams.get(key).map_or(0, |stream| stream.send.available());
        window.min(self.send.available()).min(self.room().saturating_sub(HEAD_LEN))
    }

    /// Writes up to `room` bytes in as many frames as it takes, and says what is left. The prefix has to fit.
    fn write_data(&mut self, key: StreamKey, prefix: &[u8], mut payload: Bytes, mut room: usize) -> Bytes {
        let mut prefix = prefix;
        while room > 0 && prefix.len() + payload.len() > 0 {
            let Some(stream) = self.streams.get_mut(key) else { break };
            let Some(id) = stream.id else { break };
            let len = room.min(TURN).min(prefix.len() + payload.len());
            let part = payload.split_to(len.saturating_sub(prefix.len()).min(payload.len()));
            stream.send.take(len);
            self.send.take(len);
            stream.last_frame = Some(self.output.data(id, stream.last_frame, prefix, part));
            if len >= DRIBBLE {
                self.guard.message_frame(len);
            }
            prefix = &[];
            room -= len;
        }
        payload
    }

    pub(super) fn put_end(&mut self, key: StreamKey, trailers: Option<Box<HeaderMap>>) {
        let Some(stream) = self.streams.get_mut(key) else { return };
        if !matches!(stream.state, State::Live { send: Half::Body, .. }) || stream.pending_end.is_some() {
            return;
        }
        if stream.send_left.is_some_and(|left| left > 0) {
            return self.mismatch(key);
        }
        let trailers = trailers.filter(|trailers| !trailers.is_empty());
        if stream.backlog.is_empty() {
            self.write_end(key, trailers);
        } else {
            stream.pending_end = Some(trailers);
        }
    }

    fn write_end(&mut self, key: StreamKey, trailers: Option<Box<HeaderMap>>) {
        let Some(stream) = self.streams.get(key) else { return };
        let (Some(id), Ok(next)) = (stream.id, stream.state.step(Input::SendEnd)) else { return };
        if let Some(trailers) = trailers {
            let encoder = &mut self.encoder;
            self.output.headers(id, true, |to| write_fields(&mut encoder.block(to), &trailers));
        } else if !self.output.end_with(stream.last_frame) {
            let head = Head { len: 0, kind: Kind::Data, flags: flag::END_STREAM, stream: Some(id) };
            self.output.frame(&head.write());
        }
        self.enter(key, next);
        self.ended(key, id);
    }

    /// The end of this side's message is in the output.
    fn ended(&mut self, key: StreamKey, id: StreamId) {
        let Some(stream) = self.streams.get_mut(key) else { return };
        stream.end_unwritten = true;
        self.ends.push_back((self.output.end(), key));
        if stream.stop_after_end {
            self.stop(key, id);
        }
    }

    /// Tells the peer to stop sending. It has the whole of this side's message by then.
    fn stop(&mut self, key: StreamKey, id: StreamId) {
        let Some(stream) = self.streams.get(key) else { return };
        if stream.state.is_receiving()
            && let Ok(next) = stream.state.step(Input::SendReset)
        {
            self.output.frame(&frame::reset(id, ResetCode::NO_ERROR));
            self.enter(key, next);
        }
    }

    /// The application's body is not what its head announced.
    fn mismatch(&mut self, key: StreamKey) {
        let processed = self.processed(key);
        self.push(key, Event::Lost { kind: LostKind::Failed, processed });
        self.close(key, ResetCode::INTERNAL_ERROR);
    }

    pub(super) fn put_reset(&mut self, key: StreamKey, code: ResetCode) {
        if self.streams.get(key).is_some() {
            self.guard.counters.own_resets += 1;
            self.close(key, code);
        }
        if let Some(stream) = self.streams.get_mut(key) {
            stream.silent = true;
        }
    }

    /// Resets a stream that is not closed.
    fn close(&mut self, key: StreamKey, code: ResetCode) {
        let Some(stream) = self.streams.get(key) else { return };
        if let Ok(next) = stream.state.step(Input::SendReset) {
            if let Some(id) = stream.id {
                self.output.frame(&frame::reset(id, code));
            }
            self.enter(key, next);
        }
        self.abandon(key);
    }

    /// Forgets what a stream had to send, and gives back what was received on it and not consumed.
    pub(super) fn abandon(&mut self, key: StreamKey) {
        let Some(stream) = self.streams.get_mut(key) else { return };
        stream.backlog.clear();
        stream.pending_end = None;
        let held = stream.recv.held();
        self.consume(key, held);
    }

    pub(super) fn mute(&mut self, key: StreamKey) {
        let Some(stream) = self.streams.get_mut(key) else { return };
        stream.recv_muted = true;
        let held = stream.recv.held();
        let id = stream.id;
        match stream.state {
            State::Live { send: Half::Ended, .. } => {
                if let Some(id) = id {
                    self.stop(key, id);
                }
            }
            _ => stream.stop_after_end = true,
        }
        self.consume(key, held);
    }

    pub(super) fn credit(&mut self, key: StreamKey, n: usize) {
        self.consume(key, u32::try_from(n).unwrap_or(u32::MAX));
    }

    pub(super) fn let_go(&mut self, key: StreamKey) {
        let Some(stream) = self.streams.get(key) else { return };
        let code = match stream.state {
            State::Live { send: Half::Ended, .. } if R::IS_SERVER => ResetCode::NO_ERROR,
            _ => ResetCode::CANCEL,
        };
        if !stream.state.is_closed() {
            self.guard.counters.own_resets += 1;
        }
        self.close(key, code);
        self.streams.remove(key);
        if self.streams.len() == 0 {
            self.trim();
        }
    }

    /// Whether the peer may have processed the stream's request; on a server, whether a response had begun.
    pub(super) fn processed(&self, key: StreamKey) -> Processed {
        match self.streams.get(key) {
            Some(stream) if R::IS_SERVER && stream.head_at == u64::MAX => Processed::Unknown,
            Some(stream) if R::IS_SERVER || stream.answered => Processed::Yes,
            Some(stream) if stream.head_at < self.output.written() => Processed::Unknown,
            _ => Processed::No,
        }
    }

    /// Takes an acknowledgement of output.
    pub(super) fn written(&mut self, n: usize) {
        if self.output.acknowledge(n) == 0 {
            return;
        }
        self.timers.output_moved();
        let written = self.output.written();
        while let Some((_, key)) = self.ends.pop_front_if(|(end, _)| *end <= written) {
            if let Some(stream) = self.streams.get_mut(key) {
                stream.end_unwritten = false;
                self.push(key, Event::EndSent);
            }
        }
    }

    pub(super) fn next_event(&mut self) -> Option<(StreamKey, Event<R::In>)> {
        while let Some((key, event)) = self.events.pop_front() {
            let Some(stream) = self.streams.get(key) else { continue };
            let is_input = matches!(event, Event::Head { .. } | Event::Data(_) | Event::End(_));
            if stream.silent || (stream.recv_muted && is_input) {
                continue;
            }
            return Some((key, event));
        }
        None
    }

    pub(super) fn next_writable(&mut self) -> Option<(StreamKey, usize)> {
        loop {
            let turn = TURN.min(self.limits.max_output / 2);
            let is_open = self.send.available() > 0;
            if self.schedule.is_empty(is_open) || self.room() < turn + HEAD_LEN {
                return None;
            }
            let key = self.schedule.next(&mut self.streams, is_open)?;
            let Some(stream) = self.streams.get(key) else { continue };
            // Whoever has ended its message may still want to say that it receives no more.
            if stream.state.is_closed() {
                continue;
            }
            let mut max = self.body_room(key).min(turn);
            if !stream.backlog.is_empty() {
                max = self.write_backlog(key, max);
                let Some(stream) = self.streams.get_mut(key) else { continue };
                if stream.backlog.is_empty()
                    && let Some(end) = stream.pending_end.take()
                {
                    self.write_end(key, end);
                    continue;
                }
                if !stream.backlog.is_empty() || stream.pending_end.is_some() {
                    if self.body_room(key) == 0 {
                        self.schedule.park(&mut self.streams, key);
                    } else {
                        self.schedule.ready(&mut self.streams, key);
                    }
                    continue;
                }
            }
            if max == 0 {
                self.schedule.park(&mut self.streams, key);
            }
            return Some((key, max));
        }
    }

    /// Writes what was kept, up to `max` bytes, and says how many of those are left.
    fn write_backlog(&mut self, key: StreamKey, mut max: usize) -> usize {
        while max > 0 {
            let Some(stream) = self.streams.get_mut(key) else { break };
            let Some(data) = stream.backlog.pop_front() else { break };
            let len = data.len();
            let rest = self.write_data(key, &[], data, max);
            max -= len - rest.len();
            if !rest.is_empty()
                && let Some(stream) = self.streams.get_mut(key)
            {
                stream.backlog.push_front(rest);
            }
        }
        max
    }
}
