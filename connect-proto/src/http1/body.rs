//! Takes the body of a message out of the read buffer.

use bytes::{Buf, Bytes, BytesMut};

use super::chunked::Chunked;
use super::copy::Copier;
use super::framing::Framing;
use super::limits::Limits;
use crate::error::PeerMisbehaved;

/// The data of chunks up to this size is moved together, so that many small chunks make one piece.
const GATHER_AT_MOST: usize = 4 << 10;

/// Decodes one body.
#[derive(Clone, Copy, Debug)]
pub(super) enum Decoder {
    /// So many bytes are left.
    Exact(u64),
    Chunked(Chunked),
    UntilClose,
}

/// What came out of the buffer: first data, which may be empty, then how it goes on.
#[derive(Debug)]
pub(super) struct Decoded {
    pub(super) data: Bytes,
    pub(super) then: Then,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Then {
    /// There will be more.
    More,
    /// The body is complete.
    End,
    /// The peer broke a rule.
    Fault(PeerMisbehaved),
}

impl Decoder {
    pub(super) fn new(framing: Framing) -> Self {
        match framing {
            Framing::Exact(len) => Decoder::Exact(len),
            Framing::Chunked => Decoder::Chunked(Chunked::new()),
            Framing::UntilClose => Decoder::UntilClose,
        }
    }

    /// Takes one piece of data from the front of `buf`, and the framing around it.
    ///
    /// With nothing left in `buf`, more input is needed.
    pub(super) fn decode(&mut self, buf: &mut BytesMut, copier: &mut Copier, limits: &Limits) -> Decoded {
        match self {
            Decoder::Exact(left) => {
                let n = usize::try_from(*left).unwrap_or(usize::MAX).min(buf.len());
                *left -= n as u64;
                let then = if *left == 0 { Then::End } else { Then::More };
                Decoded { data: copier.take(buf, n), then }
            }
            Decoder::UntilClose => {
                let n = buf.len();
                Decoded { data: copier.take(buf, n), then: Then::More }
            }
            Decoder::Chunked(chunked) => decode_chunked(chunked, buf, copier, limits),
        }
    }
}

/// The data of one chunk, or of several small ones, moved together at the front of the buffer.
fn decode_chunked(
    chunked: &mut Chunked,
    buf: &mut BytesMut,
    copier: &mut Copier,
    limits: &Limits,
) -> Decoded {
    let (mut data, mut read) = (0, 0);
    let then = loop {
        match chunked.skip_framing(buf.get(read..).unwrap_or_default(), limits) {
            Ok(n) => read += n,
            Err(fault) => break Then::Fault(fault),
        }
        if chunked.is_done() {
            break Then::End;
        }
        let here = buf.len().saturating_sub(read);
        let n = usize::try_from(chunked.data_left()).unwrap_or(usize::MAX).min(here);
        if n == 0 {
            break Then::More;
        }
        if data == 0 {
            buf.advance(read);
            (data, read) = (n, n);
        } else if n <= GATHER_AT_MOST {
            buf.copy_within(read..read + n, data);
            data += n;
            read += n;
        } else {
            break Then::More;
        }
        chunked.take_data(n as u64);
    };
    let taken = copier.take(buf, data);
    buf.advance(read.saturating_sub(data).min(buf.len()));
    Decoded { data: taken, then }
}
