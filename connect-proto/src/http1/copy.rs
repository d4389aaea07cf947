//! Takes bytes out of the read buffer so that they do not pin it.

use bytes::{Buf, Bytes, BytesMut};

/// Bytes are copied out of a read buffer that is this many times larger.
const COPY_OUT_OF: usize = 8;
/// So few are copied out of any buffer: a copy costs no more than sharing would.
const COPY_AT_MOST: usize = 1 << 10;

/// Copies small pieces one behind the other into a buffer of [`COPY_AT_MOST`] bytes. When it is full it serves again if
/// nobody holds any of them any more: then a copy allocates nothing.
#[derive(Debug, Default)]
pub(super) struct Copier(BytesMut);

impl Copier {
    /// Takes `n` bytes from the front of `buf`: a copy if they are few, or few for the buffer.
    pub(super) fn take(&mut self, buf: &mut BytesMut, n: usize) -> Bytes {
        let n = n.min(buf.len());
        let Some(bytes) = buf.get(..n).filter(|_| n <= COPY_AT_MOST || n < buf.capacity() / COPY_OUT_OF)
        else {
            return buf.split_to(n).freeze();
        };
        let taken = if n <= COPY_AT_MOST { self.copy(bytes) } else { Bytes::copy_from_slice(bytes) };
        buf.advance(n);
        taken
    }

    fn copy(&mut self, bytes: &[u8]) -> Bytes {
        if self.0.capacity() < bytes.len() {
            self.0.reserve(COPY_AT_MOST);
        }
        self.0.extend_from_slice(bytes);
        self.0.split().freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_buffer_serves_again_once_nobody_holds_it() {
        let mut copier = Copier::default();
        let mut copy = |byte| {
            let mut read = BytesMut::from(&[byte; 600][..]);
            copier.take(&mut read, 600)
        };
        let first = copy(b'a').as_ptr();
        let second = copy(b'b');
        assert_eq!(second.as_ptr(), first);
        let third = copy(b'c');
        assert_eq!((second, third), (Bytes::from(vec![b'b'; 600]), Bytes::from(vec![b'c'; 600])));
    }
}
