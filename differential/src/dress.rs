//! What h2 never does, done to its frames on their way to us: padding, priorities, blocks and bodies in more pieces than
//! they need, frames that mean nothing. It changes nothing of what they say.
//!
//! Padding counts for flow control, of which h2 knows nothing. So a part of each window that our side opens is kept from h2
//! and spent on padding.

use std::collections::HashMap;

use crate::draw::Draw;

const HEAD: usize = 9;
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// What our side takes at least.
const MAX_FRAME: usize = 16_384;
/// What of the connection's window is kept for padding.
const RESERVE: usize = 1000;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const UNKNOWN: u8 = 0xbe;

const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const WITH_PRIORITY: u8 = 0x20;

/// A frame: its kind, flags and stream, and what it carries.
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Frame {
    /// Takes one from the front, if it is there as a whole.
    fn take(from: &mut Vec<u8>) -> Option<Frame> {
        let &[a, b, c, kind, flags, ref stream @ ..] = from.first_chunk::<HEAD>()?;
        let len = u32::from_be_bytes([0, a, b, c]) as usize;
        let stream = u32::from_be_bytes(*stream);
        let payload = from.get(HEAD..HEAD + len)?.to_vec();
        from.drain(..HEAD + len);
        Some(Frame { kind, flags, stream, payload })
    }

    fn write(self, to: &mut Vec<u8>) {
        to.extend(&(self.payload.len() as u32).to_be_bytes()[1..]);
        to.extend([self.kind, self.flags]);
        to.extend(self.stream.to_be_bytes());
        to.extend(self.payload);
    }

    /// Splits off what is behind `at` as a frame of `kind`. What ends with the frame ends with that.
    fn split(&mut self, at: usize, kind: u8, ends: u8) -> Frame {
        let payload = self.payload.split_off(at);
        let flags = self.flags & ends;
        self.flags &= !ends;
        Frame { kind, flags, stream: self.stream, payload }
    }

    fn pad(&mut self, by: u8) {
        self.flags |= PADDED;
        self.payload.insert(0, by);
        self.payload.resize(self.payload.len() + usize::from(by), 0);
    }
}

/// Frames one way, of which the last may be incomplete.
#[derive(Debug, Default)]
struct Way {
    bytes: Vec<u8>,
    /// Of the preface, if there is one, what has not passed.
    preface: usize,
}

impl Way {
    fn new(has_preface: bool) -> Self {
        Way { bytes: Vec::new(), preface: if has_preface { PREFACE.len() } else { 0 } }
    }

    /// Passes on what is to be passed on as it is, and takes a frame of the rest.
    fn next(&mut self, to: &mut Vec<u8>) -> Option<Frame> {
        let n = self.preface.min(self.bytes.len());
        to.extend(self.bytes.drain(..n));
        self.preface -= n;
        Frame::take(&mut self.bytes)
    }
}

/// Both ways of a connection on which h2's frames are dressed up.
#[derive(Debug)]
pub(crate) struct Dress {
    draw: Draw,
    from_theirs: Way,
    from_ours: Way,
    /// What is kept for padding, by stream; 0 is the connection.
    reserves: HashMap<u32, usize>,
    /// What is to be kept of a stream's window.
    reserve: usize,
}

impl Dress {
    /// `stream_window`: our side's.
    pub(crate) fn new(seed: usize, is_ours_client: bool, stream_window: u32) -> Self {
        Dress {
            draw: Draw::new(&seed.to_le_bytes()),
            from_theirs: Way::new(!is_ours_client),
            from_ours: Way::new(is_ours_client),
            reserves: HashMap::new(),
            // A window update comes when half of it is consumed: something has to be left for h2.
            reserve: stream_window as usize / 4,
        }
    }

    /// What our side gets for what h2 has written.
    pub(crate) fn towards_ours(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.from_theirs.bytes.extend(bytes);
        let mut out = Vec::new();
        while let Some(frame) = self.from_theirs.next(&mut out) {
            match frame.kind {
                DATA => self.data(frame, &mut out),
                HEADERS => self.headers(frame, &mut out),
                _ => frame.write(&mut out),
            }
        }
        out
    }

    /// What h2 gets for what our side has written.
    pub(crate) fn towards_theirs(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.from_ours.bytes.extend(bytes);
        let mut out = Vec::new();
        while let Some(mut frame) = self.from_ours.next(&mut out) {
            if frame.kind == WINDOW_UPDATE {
                let by = u32::from_be_bytes(*frame.payload.first_chunk().expect("four bytes")) as usize;
                let enough = if frame.stream == 0 { RESERVE } else { self.reserve };
                let reserve = self.reserves.entry(frame.stream).or_default();
                let kept = by.min(enough - *reserve);
                *reserve += kept;
                if kept == by {
                    continue;
                }
                frame.payload = ((by - kept) as u32).to_be_bytes().to_vec();
            }
            frame.write(&mut out);
        }
        out
    }

    fn data(&mut self, mut frame: Frame, out: &mut Vec<u8>) {
        self.meaningless(frame.stream, out);
        if self.draw.one_in(4) {
            let at = self.draw.below(frame.payload.len() + 1);
            let rest = frame.split(at, DATA, END_STREAM);
            self.padded_data(frame, out);
            frame = rest;
        }
        self.padded_data(frame, out);
    }

    fn padded_data(&mut self, mut frame: Frame, out: &mut Vec<u8>) {
        let reserve = |stream| self.reserves.get(stream).copied().unwrap_or_default();
        let room = reserve(&0).min(reserve(&frame.stream)).min(256);
        if room > 0 && frame.payload.len() + room <= MAX_FRAME && self.draw.one_in(2) {
            let by = self.draw.below(room);
            for stream in [0, frame.stream] {
                *self.reserves.entry(stream).or_default() -= by + 1;
            }
            frame.pad(by as u8);
        }
        frame.write(out);
    }

    fn headers(&mut self, mut frame: Frame, out: &mut Vec<u8>) {
        self.meaningless(frame.stream, out);
        let mut rest = None;
        if self.draw.one_in(3) {
            let at = self.draw.below(frame.payload.len() + 1);
            rest = Some(frame.split(at, CONTINUATION, END_HEADERS));
        }
        let fits = frame.payload.len() + 5 + 256 <= MAX_FRAME;
        if fits && self.draw.one_in(3) {
            frame.flags |= WITH_PRIORITY;
            frame.payload.splice(..0, [0, 0, 0, 0, 15]);
        }
        if fits && self.draw.one_in(3) {
            frame.pad(self.draw.below(256) as u8);
        }
        frame.write(out);
        if let Some(rest) = rest {
            rest.write(out);
        }
    }

    /// A frame that is to be ignored, now and then.
    fn meaningless(&mut self, stream: u32, out: &mut Vec<u8>) {
        match self.draw.below(12) {
            0 => Frame { kind: PRIORITY, flags: 0, stream, payload: vec![0, 0, 0, 0, 1] }.write(out),
            1 => Frame { kind: UNKNOWN, flags: 0xff, stream, payload: vec![7; 30] }.write(out),
            _ => {}
        }
    }
}
