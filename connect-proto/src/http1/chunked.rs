//! The chunked coding, received (RFC 9112, section 7.1).

use super::limits::Limits;
use crate::error::PeerMisbehaved;

/// Where in a chunked body the input stands.
///
/// ```text
/// Size -> (Blank -> Extension)? -> SizeLf -> Data -> DataCr -> DataLf -> Size
///                                     '- 0 -> Line -> EndLf -> Done
///                                              '-> Name -> Value -> ValueLf -> Line
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum At {
    /// In the digits of a chunk's size.
    Size { value: u64, digits: u8 },
    /// After blanks that follow the size: only an extension may follow.
    Blank { value: u64 },
    /// In extensions.
    Extension { value: u64 },
    /// Before the LF of the size's line.
    SizeLf { value: u64 },
    /// Before so many bytes of data; never none.
    Data { left: u64 },
    /// Before the CR after the data.
    DataCr,
    /// Before the LF after the data.
    DataLf,
    /// At the begin of a line of the trailer section.
    Line,
    /// In the name of a trailer field.
    Name,
    /// In the value of a trailer field.
    Value,
    /// Before the LF of a trailer field.
    ValueLf,
    /// Before the last LF.
    EndLf,
    /// Behind the body.
    Done,
}

/// More hexadecimal digits would overflow, or be zeros that mean nothing.
const MAX_DIGITS: u8 = 16;

/// Decodes the framing of a chunked body, byte by byte, so that it keeps no input.
///
/// Lines end with CRLF and nothing else. Extensions are skipped, trailers are checked and skipped.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunked {
    at: At,
    extensions: usize,
    trailers: usize,
}

impl Chunked {
    pub(super) fn new() -> Self {
        Chunked { at: At::Size { value: 0, digits: 0 }, extensions: 0, trailers: 0 }
    }

    /// Bytes of data that come next; 0 if framing comes next, or nothing more.
    pub(super) fn data_left(&self) -> u64 {
        match self.at {
            At::Data { left } => left,
            _ => 0,
        }
    }

    /// Whether the body is complete.
    pub(super) fn is_done(&self) -> bool {
        self.at == At::Done
    }

    /// Takes note of `n` bytes of data that the caller took.
    pub(super) fn take_data(&mut self, n: u64) {
        if let At::Data { left } = self.at {
            self.at = match left.saturating_sub(n) {
                0 => At::DataCr,
                left => At::Data { left },
            };
        }
    }

    /// Goes over the framing at the front of `input` up to the next data, and says how many bytes that was.
    pub(super) fn skip_framing(&mut self, input: &[u8], limits: &Limits) -> Result<usize, PeerMisbehaved> {
        for (index, byte) in input.iter().enumerate() {
            if matches!(self.at, At::Data { .. } | At::Done) {
                return Ok(index);
            }
            self.at = self.step(*byte, limits)?;
        }
        Ok(input.len())
    }

    fn step(&mut self, byte: u8, limits: &Limits) -> Result<At, PeerMisbehaved> {
        const FAULT: PeerMisbehaved = PeerMisbehaved::MalformedChunk;
        Ok(match (self.at, byte) {
            (At::Size { value, digits }, b'\r') if digits > 0 => At::SizeLf { value },
            (At::Size { value, digits }, b';' | b' ' | b'\t') if digits > 0 => {
                self.count_extension(limits)?;
                if byte == b';' { At::Extension { value } } else { At::Blank { value } }
            }
            (At::Size { value, digits }, _) if digits < MAX_DIGITS => {
                let digit = char::from(byte).to_digit(16).ok_or(FAULT)?;
                At::Size { value: value << 4 | u64::from(digit), digits: digits + 1 }
            }
            (At::Blank { value }, b';' | b' ' | b'\t') => {
                self.count_extension(limits)?;
                if byte == b';' { At::Extension { value } } else { self.at }
            }
            (At::Extension { value }, b'\r') => At::SizeLf { value },
            (At::Extension { .. }, _) if is_text(byte) => {
                self.count_extension(limits)?;
                self.at
            }
            (At::SizeLf { value: 0 }, b'\n') => At::Line,
            (At::SizeLf { value }, b'\n') => At::Data { left: value },
            (At::DataCr, b'\r') => At::DataLf,
            (At::DataLf, b'\n') => At::Size { value: 0, digits: 0 },
            (At::Line | At::Name | At::Value | At::ValueLf | At::EndLf, _) => self.trailer(byte, limits)?,
            _ => return Err(FAULT),
        })
    }

    fn trailer(&mut self, byte: u8, limits: &Limits) -> Result<At, PeerMisbehaved> {
        let next = match (self.at, byte) {
            (At::Line, b'\r') => return Ok(At::EndLf),
            (At::EndLf, b'\n') => return Ok(At::Done),
            (At::Line | At::Name, _) if is_token(byte) => At::Name,
            (At::Name, b':') => At::Value,
            (At::Value, b'\r') => At::ValueLf,
            (At::Value, _) if is_text(byte) => At::Value,
            (At::ValueLf, b'\n') => At::Line,
            _ => return Err(PeerMisbehaved::MalformedTrailer),
        };
        self.trailers = self.trailers.saturating_add(1);
        if self.trailers > limits.max_trailers {
            return Err(PeerMisbehaved::TrailersTooLarge { limit: limits.max_trailers as u64 });
        }
        Ok(next)
    }

    fn count_extension(&mut self, limits: &Limits) -> Result<(), PeerMisbehaved> {
        self.extensions = self.extensions.saturating_add(1);
        if self.extensions > limits.max_chunk_extensions {
            return Err(PeerMisbehaved::ChunkExtensionsTooLong { limit: limits.max_chunk_extensions as u64 });
        }
        Ok(())
    }
}

/// What a field's value may hold: no control characters but the tab.
fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
