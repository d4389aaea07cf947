//! Frames (RFC 9113, sections 4 and 6): heads and payloads, read and written, their sizes checked.

use std::num::NonZeroU32;

use crate::error::{PeerMisbehaved, ResetCode};

/// Bytes of a frame's head.
pub(super) const HEAD_LEN: usize = 9;
/// What a client sends first (section 3.4).
pub(crate) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The payload that every peer accepts (section 4.2).
pub(super) const DEFAULT_FRAME_SIZE: u32 = 16 << 10;

pub(super) mod flag {
    pub(in super::super) const ACK: u8 = 0x1;
    pub(in super::super) const END_STREAM: u8 = 0x1;
    pub(in super::super) const END_HEADERS: u8 = 0x4;
    pub(in super::super) const PADDED: u8 = 0x8;
    pub(in super::super) const PRIORITY: u8 = 0x20;
}

/// The id of a stream. That of the connection, 0, is none.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct StreamId(NonZeroU32);

impl StreamId {
    /// The first one of a client.
    pub(super) const FIRST: StreamId = StreamId(NonZeroU32::MIN);
    /// The largest one there is.
    pub(super) const MAX: u32 = (1 << 31) - 1;

    pub(super) fn new(id: u32) -> Option<Self> {
        NonZeroU32::new(id & Self::MAX).map(StreamId)
    }

    pub(super) fn get(self) -> u32 {
        self.0.get()
    }

    /// The one after it of the same side, if there is one.
    pub(super) fn next(self) -> Option<Self> {
        let next = self.get() + 2;
        if next > Self::MAX { None } else { NonZeroU32::new(next).map(StreamId) }
    }

    /// Whether it is a client's.
    pub(super) fn is_client(self) -> bool {
        self.get() % 2 == 1
    }
}

/// The id on the wire of an optional stream.
pub(super) fn wire_id(id: Option<StreamId>) -> u32 {
    id.map_or(0, StreamId::get)
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Data,
    Headers,
    Priority,
    Reset,
    Settings,
    PushPromise,
    Ping,
    GoAway,
    WindowUpdate,
    Continuation,
    /// A type that is not known here: to be ignored (section 4.1).
    Unknown,
}

impl Kind {
    fn from_wire(kind: u8) -> Self {
        match kind {
            0x0 => Kind::Data,
            0x1 => Kind::Headers,
            0x2 => Kind::Priority,
            0x3 => Kind::Reset,
            0x4 => Kind::Settings,
            0x5 => Kind::PushPromise,
            0x6 => Kind::Ping,
            0x7 => Kind::GoAway,
            0x8 => Kind::WindowUpdate,
            0x9 => Kind::Continuation,
            _ => Kind::Unknown,
        }
    }

    fn to_wire(self) -> u8 {
        match self {
            Kind::Data => 0x0,
            Kind::Headers => 0x1,
            Kind::Priority => 0x2,
            Kind::Reset => 0x3,
            Kind::Settings => 0x4,
            Kind::PushPromise => 0x5,
            Kind::Ping => 0x6,
            Kind::GoAway => 0x7,
            Kind::WindowUpdate => 0x8,
            Kind::Continuation => 0x9,
            Kind::Unknown => 0xff,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Data => "DATA",
            Kind::Headers => "HEADERS",
            Kind::Priority => "PRIORITY",
            Kind::Reset => "RST_STREAM",
            Kind::Settings => "SETTINGS",
            Kind::PushPromise => "PUSH_PROMISE",
            Kind::Ping => "PING",
            Kind::GoAway => "GOAWAY",
            Kind::WindowUpdate => "WINDOW_UPDATE",
            Kind::Continuation => "CONTINUATION",
            Kind::Unknown => "unknown",
        }
    }
}

/// The head of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Head {
    /// Bytes of the payload.
    pub(super) len: usize,
    pub(super) kind: Kind,
    pub(super) flags: u8,
    pub(super) stream: Option<StreamId>,
}

impl Head {
    /// The head at the front of `buf`, if it is there.
    pub(super) fn read(buf: &[u8]) -> Option<Head> {
        let &[a, b, c, kind, flags, d, e, f, g] = buf.first_chunk::<HEAD_LEN>()?;
        Some(Head {
            len: usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c),
            kind: Kind::from_wire(kind),
            flags,
            stream: StreamId::new(u32::from_be_bytes([d, e, f, g])),
        })
    }

    pub(super) fn write(self) -> [u8; HEAD_LEN] {
        let len = u32::try_from(self.len).unwrap_or(u32::MAX);
        let [_, a, b, c] = len.to_be_bytes();
        let [d, e, f, g] = wire_id(self.stream).to_be_bytes();
        [a, b, c, self.kind.to_wire(), self.flags, d, e, f, g]
    }

    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Checks what the head alone says: the length, and whether its type belongs on its stream.
    pub(super) fn check(&self, max_len: u32) -> Result<(), PeerMisbehaved> {
        let on_connection = self.stream.is_none();
        let (len_ok, stream_ok) = match self.kind {
            Kind::Data | Kind::Headers | Kind::Continuation => (true, !on_connection),
            Kind::PushPromise => (self.len >= 4, !on_connection),
            Kind::Priority => (self.len == 5, !on_connection),
            Kind::Reset => (self.len == 4, !on_connection),
            Kind::Settings if self.has(flag::ACK) => (self.len == 0, on_connection),
            Kind::Settings => (self.len.is_multiple_of(6), on_connection),
            Kind::Ping => (self.len == 8, on_connection),
            Kind::GoAway => (self.len >= 8, on_connection),
            Kind::WindowUpdate => (self.len == 4, true),
            Kind::Unknown => (true, true),
        };
        if !len_ok || self.len as u64 > u64::from(max_len) {
            return Err(PeerMisbehaved::InvalidFrameLength(self.kind.name()));
        }
        if stream_ok { Ok(()) } else { Err(PeerMisbehaved::InvalidFrameStream(self.kind.name())) }
    }
}

/// The payload of DATA or HEADERS, less the fields before it and the padding after it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Body {
    /// Where it begins.
    pub(super) start: usize,
    pub(super) len: usize,
    /// The stream that this one depends on.
    pub(super) depends_on: Option<StreamId>,
}

/// Finds what a payload of DATA or HEADERS carries (sections 6.1 and 6.2).
pub(super) fn unpad(head: Head, payload: &[u8]) -> Result<Body, PeerMisbehaved> {
    let mut start = 0;
    let mut padding = 0;
    if head.has(flag::PADDED) {
        padding = usize::from(*payload.first().ok_or(PeerMisbehaved::InvalidFrameLength(head.kind.name()))?);
        start = 1;
    }
    let mut depends_on = None;
    if head.kind == Kind::Headers && head.has(flag::PRIORITY) {
        let fields = payload.get(start..).and_then(|rest| rest.first_chunk::<5>());
        depends_on = dependency(fields.ok_or(PeerMisbehaved::InvalidFrameLength(head.kind.name()))?);
        start += 5;
    }
    let len = payload.len().checked_sub(start + padding).ok_or(PeerMisbehaved::InvalidPadding)?;
    Ok(Body { start, len, depends_on })
}

/// The stream that a priority names (section 6.3).
pub(super) fn dependency(fields: &[u8; 5]) -> Option<StreamId> {
    let &[a, b, c, d, _] = fields;
    StreamId::new(u32::from_be_bytes([a, b, c, d]))
}

/// The 32 bits at `at`; 0 if the payload is shorter, which the check of the head excludes.
pub(super) fn u32_at(payload: &[u8], at: usize) -> u32 {
    let bytes = payload.get(at..).and_then(|rest| rest.first_chunk::<4>());
    u32::from_be_bytes(bytes.copied().unwrap_or_default())
}

/// RST_STREAM.
pub(super) fn reset(id: StreamId, code: ResetCode) -> [u8; 13] {
    with_u32(Kind::Reset, Some(id), code.0)
}

/// WINDOW_UPDATE, of a stream or of the connection.
pub(super) fn window_update(id: Option<StreamId>, by: u32) -> [u8; 13] {
    with_u32(Kind::WindowUpdate, id, by)
}

fn with_u32(kind: Kind, stream: Option<StreamId>, value: u32) -> [u8; 13] {
    let [a, b, c, d, e, f, g, h, i] = Head { len: 4, kind, flags: 0, stream }.write();
    let [j, k, l, m] = value.to_be_bytes();
    [a, b, c, d, e, f, g, h, i, j, k, l, m]
}

/// PING.
pub(super) fn ping(ack: bool, payload: [u8; 8]) -> [u8; 17] {
    let flags = if ack { flag::ACK } else { 0 };
    let head = Head { len: 8, kind: Kind::Ping, flags, stream: None }.write();
    let mut frame = [0; 17];
    for (to, from) in frame.iter_mut().zip(head.iter().chain(&payload)) {
        *to = *from;
    }
    frame
}

/// The acknowledgement of SETTINGS.
pub(super) fn settings_ack() -> [u8; 9] {
    Head { len: 0, kind: Kind::Settings, flags: flag::ACK, stream: None }.write()
}

/// GOAWAY: the highest stream that was or may have been processed, why, and the same for people to read.
pub(super) fn goaway(last: u32, code: ResetCode, debug: &str) -> Vec<u8> {
    let head = Head { len: 8 + debug.len(), kind: Kind::GoAway, flags: 0, stream: None };
    let mut frame = Vec::with_capacity(HEAD_LEN + head.len);
    frame.extend_from_slice(&head.write());
    frame.extend_from_slice(&last.to_be_bytes());
    frame.extend_from_slice(&code.0.to_be_bytes());
    frame.extend_from_slice(debug.as_bytes());
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_round_trip() {
        for kind in 0..=10 {
            let head =
                Head { len: 0x01_02_03, kind: Kind::from_wire(kind), flags: 5, stream: StreamId::new(7) };
            assert_eq!(Head::read(&head.write()), Some(head));
        }
        assert_eq!(Head::read(&[0; 8]), None);
        // The reserved bit is ignored.
        assert_eq!(Head::read(&[0, 0, 0, 0, 0, 0x80, 0, 0, 0]).and_then(|head| head.stream), None);
    }

    #[test]
    fn lengths_and_streams_are_checked() {
        let check = |kind, len, stream, flags| {
            Head { len, kind, flags, stream: StreamId::new(stream) }.check(DEFAULT_FRAME_SIZE)
        };
        for (kind, good, bad) in [
            (Kind::Priority, 5, 4),
            (Kind::Reset, 4, 5),
            (Kind::WindowUpdate, 4, 3),
            (Kind::Data, 16384, 16385),
            (Kind::Unknown, 16384, 16385),
        ] {
            assert_eq!(check(kind, good, 1, 0), Ok(()), "{kind:?}");
            assert_eq!(check(kind, bad, 1, 0), Err(PeerMisbehaved::InvalidFrameLength(kind.name())));
        }
        for (kind, good, bad) in [(Kind::Ping, 8, 7), (Kind::GoAway, 8, 7), (Kind::Settings, 12, 13)] {
            assert_eq!(check(kind, good, 0, 0), Ok(()), "{kind:?}");
            assert_eq!(check(kind, bad, 0, 0), Err(PeerMisbehaved::InvalidFrameLength(kind.name())));
            assert_eq!(check(kind, good, 1, 0), Err(PeerMisbehaved::InvalidFrameStream(kind.name())));
        }
        assert!(check(Kind::Settings, 6, 0, flag::ACK).is_err());
        assert!(check(Kind::Data, 1, 0, 0).is_err());
    }

    #[test]
    fn padding_is_taken_off() {
        let head = |kind, flags| Head { len: 0, kind, flags, stream: StreamId::new(1) };
        let data = head(Kind::Data, flag::PADDED);
        assert_eq!(unpad(data, &[2, b'x', 0, 0]), Ok(Body { start: 1, len: 1, depends_on: None }));
        assert_eq!(unpad(data, &[0]), Ok(Body { start: 1, len: 0, depends_on: None }));
        assert_eq!(unpad(data, &[1]), Err(PeerMisbehaved::InvalidPadding));
        assert!(unpad(data, &[]).is_err());
        let both = head(Kind::Headers, flag::PADDED | flag::PRIORITY);
        let body = unpad(both, &[1, 0x80, 0, 0, 9, 16, b'x', 0]).unwrap();
        assert_eq!(body, Body { start: 6, len: 1, depends_on: StreamId::new(9) });
        assert!(unpad(both, &[1, 0, 0, 0, 9]).is_err());
    }
}
