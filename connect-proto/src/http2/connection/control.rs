//! Frames in that carry no part of a message.

use super::super::frame::{self, Head, StreamId, flag};
use super::super::guard::Nuisance;
use super::super::role::Role;
use super::super::settings::PeerSettings;
use super::super::stream::{Half, Input, State};
use super::super::streams::StreamKey;
use super::super::{Event, GoAway};
use super::Engine;
use super::read::Greeting;
use crate::Instant;
use crate::call::Processed;
use crate::error::{PeerMisbehaved, ResetCode};

/// How much of what a GOAWAY says for humans is kept.
const DEBUG_AT_MOST: usize = 256;

fn debug_text(data: &[u8]) -> Box<str> {
    let text = String::from_utf8_lossy(data.get(..DEBUG_AT_MOST).unwrap_or(data));
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

impl<R: Role> Engine<R> {
    /// SETTINGS, or their acknowledgement (RFC 9113, section 6.5).
    pub(super) fn settings(
        &mut self,
        now: Instant,
        head: Head,
        payload: &[u8],
    ) -> Result<(), PeerMisbehaved> {
        if head.has(flag::ACK) {
            return if self.own_acked {
                self.guard.count(now, Nuisance::EmptyFrame)
            } else {
                self.own_settings_apply();
                Ok(())
            };
        }
        let is_first = self.greeting == Greeting::Settings;
        if is_first {
            self.greeting = Greeting::Done;
            self.timers.head_came();
        } else {
            self.guard.count(now, Nuisance::Settings)?;
        }
        let before = self.peer;
        self.peer = before.apply(payload, is_first)?;
        if self.peer.header_table != before.header_table {
            self.encoder.set_peer_max(self.peer.header_table as usize);
        }
        self.shift_windows(before)?;
        self.output.reply(&frame::settings_ack());
        Ok(())
    }

    /// A change of the initial window changes those of all streams (section 6.9.2).
    fn shift_windows(&mut self, before: PeerSettings) -> Result<(), PeerMisbehaved> {
        let by = i64::from(self.peer.initial_window) - i64::from(before.initial_window);
        if by == 0 {
            return Ok(());
        }
        let mut opened = Vec::new();
        for (key, stream) in self.streams.iter_mut() {
            if !stream.state.is_closed() {
                stream.send.shift(by).map_err(|_| PeerMisbehaved::WindowOverflow)?;
                opened.push(key);
            }
        }
        for key in opened {
            self.schedule.window_opened(&mut self.streams, key);
        }
        Ok(())
    }

    /// The peer goes by this side's settings from here on.
    fn own_settings_apply(&mut self) {
        self.own_acked = true;
        self.timers.settings_came();
        self.decoder.set_max_table_size(self.limits.header_table as usize);
        let window = self.limits.stream_window();
        for (_, stream) in self.streams.iter_mut() {
            stream.recv.retarget(window);
            // What is consumed already may be half of a window that has become smaller.
            if let Some((id, by)) = stream.widen() {
                self.output.reply(&frame::window_update(Some(id), by));
            }
        }
    }

    /// PING (section 6.7).
    pub(super) fn ping(&mut self, now: Instant, head: Head, payload: &[u8]) -> Result<(), PeerMisbehaved> {
        let Some(payload) = payload.first_chunk::<8>() else { return Ok(()) };
        if head.has(flag::ACK) {
            self.guard.count(now, Nuisance::EmptyFrame)?;
            self.pong(*payload);
            return Ok(());
        }
        self.guard.count(now, Nuisance::Ping)?;
        self.output.reply(&frame::ping(true, *payload));
        Ok(())
    }

    /// GOAWAY (section 6.8). On a client the streams beyond the last one are not processed and never will be.
    pub(super) fn peer_goaway(&mut self, payload: &[u8]) {
        let last_stream = frame::u32_at(payload, 0) & StreamId::MAX;
        let code = ResetCode(frame::u32_at(payload, 4));
        let before = self.goaway.take();
        let last_stream = before.as_ref().map_or(last_stream, |before| before.last_stream.min(last_stream));
        let calm = before.filter(|before| before.code == ResetCode::ENHANCE_YOUR_CALM && before.code != code);
        self.goaway = Some(match calm {
            Some(calm) => GoAway { last_stream, ..calm },
            None => GoAway { code, last_stream, debug: debug_text(payload.get(8..).unwrap_or_default()) },
        });
        if R::IS_SERVER {
            return;
        }
        self.leave();
        let beyond: Vec<StreamKey> = self
            .streams
            .iter()
            .filter(|(_, stream)| stream.id.is_none_or(|id| id.get() > last_stream))
            .map(|(key, _)| key)
            .collect();
        for key in beyond {
            let state = self.streams.get(key).map(|stream| stream.state);
            if let Some(Ok(next)) = state.map(|state| match state {
                State::Idle => state.step(Input::SendReset),
                _ => state.step(Input::Reset),
            }) {
                self.enter(key, next);
                let event = Event::Reset { code: ResetCode::REFUSED_STREAM, processed: Processed::No };
                self.push(key, event);
                self.abandon(key);
            }
        }
    }

    /// WINDOW_UPDATE (section 6.9).
    pub(super) fn window_update(
        &mut self,
        now: Instant,
        id: Option<StreamId>,
        by: u32,
    ) -> Result<(), PeerMisbehaved> {
        self.guard.count(now, Nuisance::EmptyFrame)?;
        let by = by & StreamId::MAX;
        let Some(id) = id else {
            if by == 0 {
                return Err(PeerMisbehaved::ZeroWindowUpdate);
            }
            return self.send.shift(i64::from(by)).map_err(|_| PeerMisbehaved::WindowOverflow);
        };
        let Some(key) = self.streams.find(id) else {
            let refused = self.refuse_absent(id, Input::WindowUpdate);
            return self.refused(now, id, None, refused);
        };
        let Some(stream) = self.streams.get_mut(key) else { return Ok(()) };
        if let Err(refused) = stream.state.step(Input::WindowUpdate) {
            return self.refused(now, id, Some(key), refused);
        }
        if by == 0 {
            return self.stream_fault(now, id, Some(key), PeerMisbehaved::ZeroWindowUpdate);
        }
        if stream.send.shift(i64::from(by)).is_err() {
            return self.stream_fault(now, id, Some(key), PeerMisbehaved::WindowOverflow);
        }
        self.schedule.window_opened(&mut self.streams, key);
        Ok(())
    }

    /// RST_STREAM (section 6.4).
    pub(super) fn peer_reset(
        &mut self,
        now: Instant,
        id: StreamId,
        code: ResetCode,
    ) -> Result<(), PeerMisbehaved> {
        let Some(key) = self.streams.find(id) else {
            self.guard.count(now, Nuisance::EmptyFrame)?;
            let refused = self.refuse_absent(id, Input::Reset);
            return self.refused(now, id, None, refused);
        };
        let Some(stream) = self.streams.get(key) else { return Ok(()) };
        let next = match stream.state.step(Input::Reset) {
            Ok(next) => next,
            Err(refused) => return self.refused(now, id, Some(key), refused),
        };
        let is_answered = matches!(stream.state, State::Live { send: Half::Ended, .. });
        let processed = if R::IS_SERVER {
            if stream.head_at == u64::MAX { Processed::Unknown } else { Processed::Yes }
        } else if stream.answered {
            Processed::Yes
        } else if code == ResetCode::REFUSED_STREAM {
            Processed::No
        } else {
            Processed::Unknown
        };
        if R::IS_SERVER && !is_answered {
            self.guard.count(now, Nuisance::Reset)?;
        }
        self.enter(key, next);
        self.push(key, Event::Reset { code, processed });
        self.abandon(key);
        Ok(())
    }

    /// PRIORITY (section 6.3): ignored, but for a stream that depends on itself.
    pub(super) fn priority(
        &mut self,
        now: Instant,
        id: Option<StreamId>,
        payload: &[u8],
    ) -> Result<(), PeerMisbehaved> {
        self.guard.count(now, Nuisance::EmptyFrame)?;
        let depends_on = payload.first_chunk::<5>().and_then(frame::dependency);
        if id.is_some() && depends_on == id { Err(PeerMisbehaved::SelfDependency) } else { Ok(()) }
    }
}
