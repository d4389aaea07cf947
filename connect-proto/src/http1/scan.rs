//! Finds the end of a head while it trickles in.

use crate::error::PeerMisbehaved;

/// What a head may cost, and whether its first line is a request's.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeadBounds {
    pub(super) head: usize,
    pub(super) headers: usize,
    pub(super) first_line: usize,
}

/// The end of a head.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct FoundHead {
    /// Bytes of the head, with the empty line.
    pub(super) len: usize,
    /// Lines between the first one and the empty one.
    pub(super) fields: usize,
}

/// Looks for the empty line that ends a head. It looks at each byte once, however the head is cut.
///
/// A line ends with CRLF and nothing else (RFC 9112, section 2.2 allows a lone LF; two parties that disagree on it
/// are how requests are smuggled), so a CR or LF anywhere else is a fault.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HeadScan {
    scanned: usize,
    line_start: usize,
    lines: usize,
    #[cfg(test)]
    pub(super) examined: usize,
}

impl HeadScan {
    /// Goes on with a head that stands at the front of `buf`, of which the bytes seen before are unchanged.
    ///
    /// `Ok(None)` if the end is not there yet.
    pub(super) fn find(
        &mut self,
        buf: &[u8],
        bounds: HeadBounds,
    ) -> Result<Option<FoundHead>, PeerMisbehaved> {
        let within = buf.get(..bounds.head).unwrap_or(buf);
        while let Some(rest) = within.get(self.scanned..) {
            let lf = find_byte(b'\n', rest).map(|at| self.scanned + at);
            #[cfg(test)]
            {
                self.examined += lf.map_or(rest.len(), |lf| lf + 1 - self.scanned);
            }
            let line_len = lf.unwrap_or(within.len()).saturating_sub(self.line_start);
            // One more for the CR, whether it is there yet or not.
            if self.lines == 0 && line_len > bounds.first_line.saturating_add(1) {
                return Err(PeerMisbehaved::RequestLineTooLong { limit: bounds.first_line as u64 });
            }
            let Some(lf) = lf else {
                self.scanned = within.len();
                break;
            };
            if line_len == 0 || within.get(lf - 1) != Some(&b'\r') {
                return Err(PeerMisbehaved::MalformedHead);
            }
            self.scanned = lf + 1;
            self.line_start = lf + 1;
            self.lines += 1;
            if line_len == 1 {
                return self.ended(within);
            }
            if self.lines > bounds.headers.saturating_add(1) {
                return Err(PeerMisbehaved::TooManyHeaders { limit: bounds.headers as u64 });
            }
        }
        if buf.len() >= bounds.head {
            return Err(PeerMisbehaved::HeadTooLarge { limit: bounds.head as u64 });
        }
        Ok(None)
    }

    fn ended(self, buf: &[u8]) -> Result<Option<FoundHead>, PeerMisbehaved> {
        let head = buf.get(..self.scanned).unwrap_or(buf);
        // Every LF has a CR before it; were there more CRs than LFs, one of them would stand alone.
        if count_byte(b'\r', head) != self.lines || self.lines < 2 {
            return Err(PeerMisbehaved::MalformedHead);
        }
        Ok(Some(FoundHead { len: self.scanned, fields: self.lines - 2 }))
    }
}

/// The position of the first `needle`, eight bytes at a time.
fn find_byte(needle: u8, haystack: &[u8]) -> Option<usize> {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let pattern = LOW * u64::from(needle);
    let (words, tail) = haystack.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let differing = u64::from_le_bytes(*word) ^ pattern;
        // The lowest bit set marks the first zero byte; higher ones may be false.
        let zero = differing.wrapping_sub(LOW) & !differing & HIGH;
        if zero != 0 {
            return Some(index * 8 + zero.trailing_zeros() as usize / 8);
        }
    }
    let at = tail.iter().position(|byte| *byte == needle)?;
    Some(words.len() * 8 + at)
}

/// How many of these bytes are `needle`, counted in pieces that the compiler can take many bytes of at once.
fn count_byte(needle: u8, haystack: &[u8]) -> usize {
    let in_piece = |piece: &[u8]| piece.iter().map(|byte| u8::from(*byte == needle)).sum::<u8>();
    haystack.chunks(usize::from(u8::MAX)).map(|piece| usize::from(in_piece(piece))).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_counted_beyond_a_piece() {
        for len in [0, 1, 254, 255, 256, 1000] {
            assert_eq!(count_byte(b'\r', &vec![b'\r'; len]), len);
            assert_eq!(count_byte(b'\r', &vec![b'\n'; len]), 0);
        }
    }

    #[test]
    fn find_byte_agrees_with_a_plain_search() {
        for len in 0..40 {
            for at in 0..len {
                let mut bytes = vec![b'\x0b'; len];
                bytes[at] = b'\n';
                bytes[len - 1] = b'\n';
                assert_eq!(find_byte(b'\n', &bytes), bytes.iter().position(|b| *b == b'\n'));
            }
            assert_eq!(find_byte(b'\n', &vec![0x8a; len]), None);
        }
    }
}
