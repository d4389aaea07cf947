//! Field blocks in: heads and trailers.

use bytes::BytesMut;
use http::HeaderMap;

use super::super::Event;
use super::super::flow::{DEFAULT_WINDOW, RecvWindow, SendWindow};
use super::super::frame::{self, Head, StreamId, flag};
use super::super::guard::Nuisance;
use super::super::head::{Fields, Section};
use super::super::hpack::{BlockEnd, Pseudo};
use super::super::role::Role;
use super::super::stream::{Cause, Half, Input, State};
use super::super::streams::{Stream, StreamKey};
use super::Engine;
use super::life::Phase;
use crate::Instant;
use crate::call::BodySize;
use crate::error::{PeerMisbehaved, ResetCode};

/// A field block of which the end is missing (RFC 9113, section 4.3).
#[derive(Debug)]
pub(super) struct OpenBlock {
    headers: Headers,
    fragments: BytesMut,
    continuations: usize,
}

impl OpenBlock {
    pub(super) fn id(&self) -> StreamId {
        self.headers.id
    }
}

/// What the head of a HEADERS frame says.
#[derive(Clone, Copy, Debug)]
struct Headers {
    id: StreamId,
    end: bool,
    depends_on_itself: bool,
}

impl<R: Role> Engine<R> {
    /// A HEADERS frame (RFC 9113, section 6.2).
    pub(super) fn headers(
        &mut self,
        now: Instant,
        head: Head,
        id: StreamId,
        payload: &[u8],
    ) -> Result<(), PeerMisbehaved> {
        let body = frame::unpad(head, payload)?;
        if !id.is_client() {
            return Err(PeerMisbehaved::InvalidFrameStream(head.kind.name()));
        }
        let headers =
            Headers { id, end: head.has(flag::END_STREAM), depends_on_itself: body.depends_on == Some(id) };
        let fragment = payload.get(body.start..body.start + body.len).unwrap_or_default();
        self.check_block_size(fragment.len())?;
        if head.has(flag::END_HEADERS) {
            return self.block(now, headers, fragment);
        }
        self.block = Some(OpenBlock { headers, fragments: BytesMut::from(fragment), continuations: 0 });
        self.timers.await_head(now, &self.limits);
        Ok(())
    }

    /// A CONTINUATION frame (section 6.10).
    pub(super) fn continuation(
        &mut self,
        now: Instant,
        head: Head,
        payload: &[u8],
    ) -> Result<(), PeerMisbehaved> {
        let Some(mut open) = self.block.take() else { return Err(PeerMisbehaved::InterruptedFieldBlock) };
        open.continuations += 1;
        if open.continuations > self.limits.max_continuations {
            return Err(PeerMisbehaved::TooManyContinuations { limit: self.limits.max_continuations as u64 });
        }
        self.check_block_size(open.fragments.len() + payload.len())?;
        open.fragments.extend_from_slice(payload);
        if head.has(flag::END_HEADERS) {
            self.timers.head_came();
            return self.block(now, open.headers, &open.fragments);
        }
        self.block = Some(open);
        Ok(())
    }

    /// A block over the limit is not even decompressed: no honest encoder makes fields larger than they are. One frame is
    /// always allowed.
    fn check_block_size(&self, len: usize) -> Result<(), PeerMisbehaved> {
        let limit = self.limits.max_header_list.max(self.limits.frame_size());
        if len as u64 > u64::from(limit) {
            return Err(PeerMisbehaved::FieldBlockTooLarge { limit: u64::from(limit) });
        }
        Ok(())
    }

    /// A complete field block. It is decompressed in any case, so that the table stays in step.
    fn block(&mut self, now: Instant, headers: Headers, block: &[u8]) -> Result<(), PeerMisbehaved> {
        self.guard.message_frame(block.len());
        let key = self.streams.find(headers.id);
        let state = key.and_then(|key| self.streams.get(key)).map(|stream| stream.state);
        let section = match state {
            Some(State::Live { recv: Half::Head, .. }) => R::SECTION,
            Some(_) => Section::Trailers,
            None if R::IS_SERVER && self.is_idle(headers.id) => R::SECTION,
            None => {
                let ended = self.decoder.decode(block, 0, |_| {});
                let _ = ended.map_err(|_| PeerMisbehaved::CorruptFieldBlock)?;
                return self.absent_headers(now, headers);
            }
        };
        let headers_map = match section {
            Section::Trailers => HeaderMap::new(),
            Section::Request | Section::Response => self.spare_maps.pop().unwrap_or_default(),
        };
        let mut fields = Fields::new(section, self.limits.max_headers, headers_map);
        let ended =
            self.decoder.decode(block, self.limits.max_header_list as usize, |field| fields.add(field));
        let too_large = ended.map_err(|_| PeerMisbehaved::CorruptFieldBlock)? == BlockEnd::TooLarge;
        let limit = u64::from(self.limits.max_header_list);
        let fault = match fields.fault() {
            _ if headers.depends_on_itself => Some(PeerMisbehaved::SelfDependency),
            Some(fault) => Some(fault),
            None if too_large && section == Section::Trailers => {
                Some(PeerMisbehaved::TrailersTooLarge { limit })
            }
            None if too_large => Some(PeerMisbehaved::HeadTooLarge { limit }),
            None => None,
        };
        match key {
            Some(key) => self.known_headers(now, key, headers, section, fields, fault),
            None => self.new_stream(now, headers, fields, fault),
        }
    }

    /// HEADERS on a stream that is not there any more, or was never opened.
    fn absent_headers(&mut self, now: Instant, headers: Headers) -> Result<(), PeerMisbehaved> {
        if R::IS_SERVER && self.streams.closed(headers.id).is_none() {
            // Section 5.1.1: ids only go up.
            return Err(PeerMisbehaved::StreamIdOutOfOrder);
        }
        let refused = self.refuse_absent(headers.id, Input::Headers { end: headers.end });
        self.refused(now, headers.id, None, refused)
    }

    /// A request (server).
    fn new_stream(
        &mut self,
        now: Instant,
        headers: Headers,
        fields: Fields,
        fault: Option<PeerMisbehaved>,
    ) -> Result<(), PeerMisbehaved> {
        let id = headers.id;
        self.last_id = Some(id);
        let is_full = self.active >= self.limits.max_concurrent_streams as usize
            || self.streams.len() >= self.limits.max_unreleased_streams;
        if is_full || self.phase == Phase::Leaving {
            self.guard.count(now, Nuisance::Refused)?;
            self.streams.remember(id, Cause::ResetHere);
            self.output.reply(&frame::reset(id, ResetCode::REFUSED_STREAM));
            return Ok(());
        }
        let read = match fault {
            Some(fault) => Err(fault),
            None => R::read_head(fields, &mut self.last_target),
        };
        let read = read.and_then(|head| {
            let left = left_of_body(head.content_length, headers.end, false)?;
            Ok((head, left))
        });
        let (head, left) = match read {
            Ok(read) => read,
            Err(fault) => return self.refuse_head(now, headers, fault),
        };
        self.taken_id = Some(id);
        let key = self.insert(Some(id));
        if let Some(stream) = self.streams.get_mut(key) {
            stream.recv_left = left;
            if let Ok(next) = stream.state.step(Input::Headers { end: headers.end }) {
                self.enter(key, next);
            }
        }
        self.push(key, Event::Head { parts: head.parts, body: body_size(left, headers.end) });
        if headers.end {
            self.received_end(key, None);
        }
        Ok(())
    }

    /// A request that is none, of which the application does not hear: one too large is answered by 431 (RFC 6585,
    /// section 5), any other by a reset.
    fn refuse_head(
        &mut self,
        now: Instant,
        headers: Headers,
        fault: PeerMisbehaved,
    ) -> Result<(), PeerMisbehaved> {
        self.guard.count(now, Nuisance::Fault)?;
        let id = headers.id;
        let too_large =
            matches!(fault, PeerMisbehaved::HeadTooLarge { .. } | PeerMisbehaved::TooManyHeaders { .. });
        if too_large {
            let encoder = &mut self.encoder;
            self.output.headers(id, true, |to| encoder.block(to).pseudo(Pseudo::Status, b"431"));
            self.output.replied();
        }
        let code = if too_large { ResetCode::NO_ERROR } else { fault.reset_code() };
        let cause = if too_large && headers.end { Cause::Ended } else { Cause::ResetHere };
        if cause == Cause::ResetHere {
            self.output.reply(&frame::reset(id, code));
        }
        self.streams.remember(id, cause);
        Ok(())
    }

    /// HEADERS on a stream that is there: a response's head, or trailers.
    fn known_headers(
        &mut self,
        now: Instant,
        key: StreamKey,
        headers: Headers,
        section: Section,
        fields: Fields,
        fault: Option<PeerMisbehaved>,
    ) -> Result<(), PeerMisbehaved> {
        let end = headers.end;
        let is_interim = fields.is_interim();
        let input = if is_interim { Input::Interim { end } } else { Input::Headers { end } };
        let Some(stream) = self.streams.get(key) else { return Ok(()) };
        let (to_head, recv_left) = (stream.to_head, stream.recv_left);
        let next = match stream.state.step(input) {
            Ok(next) => next,
            Err(refused) => return self.refused(now, headers.id, Some(key), refused),
        };
        if let Some(fault) = fault {
            return self.stream_fault(now, headers.id, Some(key), fault);
        }
        if is_interim {
            return self.interim(now, key, headers.id);
        }
        if section == Section::Trailers {
            let trailers = match fields.into_trailers() {
                Ok(_) if recv_left.is_some_and(|left| left > 0) => Err(PeerMisbehaved::ContentLengthMismatch),
                other => other,
            };
            match trailers {
                Ok(trailers) => {
                    self.enter(key, next);
                    self.received_end(key, trailers);
                }
                Err(fault) => return self.stream_fault(now, headers.id, Some(key), fault),
            }
            return Ok(());
        }
        let read = R::read_head(fields, &mut self.last_target).and_then(|head| {
            let bodiless = to_head || R::is_bodiless(&head.parts);
            let left = left_of_body(head.content_length, end, bodiless)?;
            Ok((head, left))
        });
        let (head, left) = match read {
            Ok(read) => read,
            Err(fault) => return self.stream_fault(now, headers.id, Some(key), fault),
        };
        if let Some(stream) = self.streams.get_mut(key) {
            stream.recv_left = left;
            stream.answered = true;
        }
        self.enter(key, next);
        self.push(key, Event::Head { parts: head.parts, body: body_size(left, end) });
        if end {
            self.received_end(key, None);
        }
        Ok(())
    }

    /// An interim response (section 8.1): skipped.
    fn interim(&mut self, now: Instant, key: StreamKey, id: StreamId) -> Result<(), PeerMisbehaved> {
        let Some(stream) = self.streams.get_mut(key) else { return Ok(()) };
        stream.interim += 1;
        if stream.interim as usize > self.limits.max_interim {
            let limit = self.limits.max_interim as u64;
            return self.stream_fault(now, id, Some(key), PeerMisbehaved::TooManyInterimResponses { limit });
        }
        Ok(())
    }

    /// The peer's message is complete.
    pub(super) fn received_end(&mut self, key: StreamKey, trailers: Option<Box<HeaderMap>>) {
        self.push(key, Event::End(trailers));
    }

    /// A stream that is to be opened, or that the peer has opened.
    pub(super) fn insert(&mut self, id: Option<StreamId>) -> StreamKey {
        let window = self.limits.stream_window();
        // Until it has seen the settings the peer goes by the default.
        let window = if self.own_acked { window } else { window.max(DEFAULT_WINDOW) };
        let (send, recv) = (SendWindow::new(self.peer.initial_window), RecvWindow::new(window));
        self.active += 1;
        self.guard.counters.streams += 1;
        self.streams.insert(Stream::new(id, send, recv))
    }

    /// The one place where the state of a stream is set.
    pub(super) fn enter(&mut self, key: StreamKey, next: State) {
        if let Some(stream) = self.streams.get_mut(key) {
            if next.is_closed() && !stream.state.is_closed() {
                self.active = self.active.saturating_sub(1);
            }
            stream.state = next;
        }
    }

    /// Queues an event, unless the application wants no more of them.
    pub(super) fn push(&mut self, key: StreamKey, event: Event<R::In>) {
        self.flush_gathered();
        let Some(stream) = self.streams.get_mut(key) else { return };
        let is_last = matches!(event, Event::Misbehaved(_) | Event::Reset { .. } | Event::Lost { .. });
        if stream.over || stream.silent {
            return;
        }
        stream.over = is_last;
        self.events.push_back((key, event));
    }

    /// The peer broke a rule on one stream, which is reset.
    pub(super) fn stream_fault(
        &mut self,
        now: Instant,
        id: StreamId,
        key: Option<StreamKey>,
        fault: PeerMisbehaved,
    ) -> Result<(), PeerMisbehaved> {
        self.guard.count(now, Nuisance::Fault)?;
        self.output.reply(&frame::reset(id, fault.reset_code()));
        let Some(key) = key else { return Ok(()) };
        let state = self.streams.get(key).map(|stream| stream.state);
        if let Some(Ok(next)) = state.map(|state| state.step(Input::SendReset)) {
            self.enter(key, next);
            self.push(key, Event::Misbehaved(fault));
            self.abandon(key);
        }
        Ok(())
    }
}

/// What is still to come of a body of announced length (section 8.1.1).
fn left_of_body(
    content_length: Option<u64>,
    end: bool,
    bodiless: bool,
) -> Result<Option<u64>, PeerMisbehaved> {
    match content_length {
        _ if bodiless => Ok(None),
        Some(length) if end && length > 0 => Err(PeerMisbehaved::ContentLengthMismatch),
        length => Ok(length),
    }
}

fn body_size(left: Option<u64>, end: bool) -> BodySize {
    match left {
        _ if end => BodySize::Empty,
        Some(length) => BodySize::Exact(length),
        None => BodySize::Unknown,
    }
}
