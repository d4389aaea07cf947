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
        let from = self.scanned;
        let (words, tail) = within.get(from..).unwrap_or_default().as_chunks::<8>();
        for (index, word) in words.iter().enumerate() {
            let mut lfs = lf_mask(u64::from_le_bytes(*word));
            while lfs != 0 {
                let lf = from + index * 8 + lfs.trailing_zeros() as usize / 8;
                if self.line(within, lf, bounds)? {
                    return self.ended(within);
                }
                lfs &= lfs - 1;
            }
        }
        for (index, byte) in tail.iter().enumerate() {
            if *byte == b'\n' && self.line(within, from + words.len() * 8 + index, bounds)? {
                return self.ended(within);
            }
        }
        self.note_scanned(within.len().max(from));
        self.first_line_fits(within.len(), bounds)?;
        if buf.len() >= bounds.head {
            return Err(PeerMisbehaved::HeadTooLarge { limit: bounds.head as u64 });
        }
        Ok(None)
    }

    /// Takes in a line that ends with the LF at `lf`. Whether it is the empty one.
    #[inline]
    fn line(&mut self, within: &[u8], lf: usize, bounds: HeadBounds) -> Result<bool, PeerMisbehaved> {
        self.first_line_fits(lf, bounds)?;
        let len = lf - self.line_start;
        if len == 0 || within.get(lf - 1) != Some(&b'\r') {
            return Err(PeerMisbehaved::MalformedHead);
        }
        self.lines += 1;
        self.line_start = lf + 1;
        if len == 1 {
            self.note_scanned(lf + 1);
            return Ok(true);
        }
        if self.lines > bounds.headers.saturating_add(1) {
            return Err(PeerMisbehaved::TooManyHeaders { limit: bounds.headers as u64 });
        }
        Ok(false)
    }

    /// Whether the first line is not too long, seen up to `end`. The CR is not counted.
    #[inline]
    fn first_line_fits(&self, end: usize, bounds: HeadBounds) -> Result<(), PeerMisbehaved> {
        if self.lines == 0 && end > bounds.first_line.saturating_add(1) {
            return Err(PeerMisbehaved::RequestLineTooLong { limit: bounds.first_line as u64 });
        }
        Ok(())
    }

    fn note_scanned(&mut self, scanned: usize) {
        #[cfg(test)]
        {
            self.examined += scanned - self.scanned;
        }
        self.scanned = scanned;
    }

    fn ended(self, buf: &[u8]) -> Result<Option<FoundHead>, PeerMisbehaved> {
        let head = buf.get(..self.scanned).unwrap_or(buf);
        // Every LF has a CR before it; were there more CRs than LFs, one of them would stand alone.
        if count_crs(head) != self.lines || self.lines < 2 {
            return Err(PeerMisbehaved::MalformedHead);
        }
        Ok(Some(FoundHead { len: self.scanned, fields: self.lines - 2 }))
    }
}

/// The highest bit of each byte that is an LF.
#[inline]
fn lf_mask(word: u64) -> u64 {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const SEVEN: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    let differing = word ^ (LOW * b'\n' as u64);
    !(((differing & SEVEN) + SEVEN) | differing | SEVEN)
}

/// Counted in bytes, and so sixteen at a time.
fn count_crs(bytes: &[u8]) -> usize {
    bytes
        .chunks(255)
        .map(|some| usize::from(some.iter().map(|byte| u8::from(*byte == b'\r')).sum::<u8>()))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_lf_is_found_wherever_it_is() {
        for other in [0x0b, 0x8a, 0x00, 0xff, b'\r', 0x09] {
            for pattern in 0..=255_u8 {
                let bytes: [u8; 8] =
                    std::array::from_fn(|i| if pattern >> i & 1 == 1 { b'\n' } else { other });
                let mask = lf_mask(u64::from_le_bytes(bytes)).to_le_bytes();
                let expected = bytes.map(|byte| if byte == b'\n' { 0x80 } else { 0 });
                assert_eq!(mask, expected);
            }
        }
    }

    #[test]
    fn a_line_ends_with_crlf_and_nothing_else() {
        let bounds = HeadBounds { head: 100, headers: 10, first_line: 100 };
        let find = |head: &str| HeadScan::default().find(head.as_bytes(), bounds);
        assert_eq!(find("a\r\nb\r\n\r\n"), Ok(Some(FoundHead { len: 8, fields: 1 })));
        assert_eq!(find("a\r\n\r\n"), Ok(Some(FoundHead { len: 5, fields: 0 })));
        for head in [
            "a\nb\r\n\r\n",
            "a\r\nb\n\r\n",
            "a\r\nb\r\n\n",
            "a\r\nb\rc\r\n\r\n",
            "a\r\nb\r\r\n\r\n",
            "a\r\nbb\nc\r\r\n\r\n",
            "\r\n",
            "\r\n\r\n",
            "\n",
        ] {
            assert_eq!(find(head), Err(PeerMisbehaved::MalformedHead), "{head:?}");
        }
    }

    #[test]
    fn crs_are_counted_in_any_number() {
        for len in [0, 1, 254, 255, 256, 600] {
            assert_eq!(count_crs(&vec![b'\r'; len]), len);
            assert_eq!(count_crs(&vec![b'\n'; len]), 0);
        }
    }
}
