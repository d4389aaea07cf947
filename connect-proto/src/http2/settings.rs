//! SETTINGS (RFC 9113, section 6.5): this side's, sent once, and the peer's.

use super::flow::{DEFAULT_WINDOW, MAX_WINDOW};
use super::frame::{DEFAULT_FRAME_SIZE, HEAD_LEN, Head, Kind};
use super::limits::Limits;
use crate::error::PeerMisbehaved;

const HEADER_TABLE_SIZE: u16 = 0x1;
const ENABLE_PUSH: u16 = 0x2;
const MAX_CONCURRENT_STREAMS: u16 = 0x3;
const INITIAL_WINDOW_SIZE: u16 = 0x4;
const MAX_FRAME_SIZE: u16 = 0x5;
const MAX_HEADER_LIST_SIZE: u16 = 0x6;

/// Streams that are opened before the peer has said how many it takes; section 6.5.2 recommends that it be no fewer.
const UNTIL_SETTINGS: u32 = 100;
/// The dynamic table of a peer that says nothing.
const DEFAULT_TABLE: u32 = 4096;

/// What the peer takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct PeerSettings {
    pub(super) header_table: u32,
    pub(super) max_streams: u32,
    pub(super) initial_window: u32,
    pub(super) max_header_list: Option<u32>,
}

impl Default for PeerSettings {
    fn default() -> Self {
        PeerSettings {
            header_table: DEFAULT_TABLE,
            max_streams: UNTIL_SETTINGS,
            initial_window: DEFAULT_WINDOW,
            max_header_list: None,
        }
    }
}

impl PeerSettings {
    /// Applies the payload of a SETTINGS frame in the order of its values. `first`: it is the first one.
    ///
    /// The largest frame is checked and not kept: none larger than the smallest limit is ever sent.
    pub(super) fn apply(mut self, payload: &[u8], first: bool) -> Result<Self, PeerMisbehaved> {
        if first {
            self.max_streams = u32::MAX;
        }
        let (pairs, _) = payload.as_chunks::<6>();
        for &[a, b, c, d, e, f] in pairs {
            let id = u16::from_be_bytes([a, b]);
            let value = u32::from_be_bytes([c, d, e, f]);
            let ok = match id {
                ENABLE_PUSH => value <= 1,
                INITIAL_WINDOW_SIZE => value <= MAX_WINDOW,
                MAX_FRAME_SIZE => (DEFAULT_FRAME_SIZE..1 << 24).contains(&value),
                _ => true,
            };
            if !ok {
                return Err(PeerMisbehaved::InvalidSetting(id));
            }
            match id {
                HEADER_TABLE_SIZE => self.header_table = value,
                MAX_CONCURRENT_STREAMS => self.max_streams = value,
                INITIAL_WINDOW_SIZE => self.initial_window = value,
                MAX_HEADER_LIST_SIZE => self.max_header_list = Some(value),
                _ => {}
            }
        }
        Ok(self)
    }
}

/// This side's settings as a frame.
pub(super) fn own(limits: &Limits, is_server: bool) -> Vec<u8> {
    let mut pairs = Vec::with_capacity(6);
    if is_server {
        pairs.push((MAX_CONCURRENT_STREAMS, limits.max_concurrent_streams));
    } else {
        pairs.push((ENABLE_PUSH, 0));
    }
    let mut unless = |id, value, default| {
        if value != default {
            pairs.push((id, value));
        }
    };
    unless(HEADER_TABLE_SIZE, limits.header_table, DEFAULT_TABLE);
    unless(INITIAL_WINDOW_SIZE, limits.stream_window(), DEFAULT_WINDOW);
    unless(MAX_FRAME_SIZE, limits.frame_size(), DEFAULT_FRAME_SIZE);
    pairs.push((MAX_HEADER_LIST_SIZE, limits.max_header_list));
    let head = Head { len: pairs.len() * 6, kind: Kind::Settings, flags: 0, stream: None };
    let mut frame = Vec::with_capacity(HEAD_LEN + head.len);
    frame.extend_from_slice(&head.write());
    for (id, value) in pairs {
        frame.extend_from_slice(&id.to_be_bytes());
        frame.extend_from_slice(&value.to_be_bytes());
    }
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(pairs: &[(u16, u32)]) -> Vec<u8> {
        pairs
            .iter()
            .flat_map(|(id, value)| [id.to_be_bytes().to_vec(), value.to_be_bytes().to_vec()].concat())
            .collect()
    }

    #[test]
    fn the_last_value_counts_and_unknown_ids_do_not() {
        let known = PeerSettings::default();
        let settings = known.apply(&payload(&[(4, 1), (0xff, 7), (4, 2), (3, 9)]), true).unwrap();
        assert_eq!(settings, PeerSettings { initial_window: 2, max_streams: 9, ..known });
        assert_eq!(known.apply(&[], true).unwrap().max_streams, u32::MAX);
        assert_eq!(settings.apply(&[], false).unwrap(), settings);
    }

    #[test]
    fn values_out_of_range_are_refused() {
        for (id, value) in [(2, 2), (4, 1 << 31), (5, 16383), (5, 1 << 24)] {
            let refused = PeerSettings::default().apply(&payload(&[(id, value)]), true);
            assert_eq!(refused, Err(PeerMisbehaved::InvalidSetting(id)));
        }
    }

    #[test]
    fn what_is_sent_can_be_read() {
        for is_server in [true, false] {
            let frame = own(&Limits::default(), is_server);
            let head = Head::read(&frame).unwrap();
            assert_eq!(head.check(DEFAULT_FRAME_SIZE), Ok(()));
            let settings = PeerSettings::default().apply(&frame[HEAD_LEN..], true).unwrap();
            assert_eq!(settings.initial_window, 256 << 10);
            assert_eq!(settings.max_streams, if is_server { 250 } else { u32::MAX });
        }
    }
}
