//! A connection with its read buffer.

use std::io::IoSlice;

use bytes::BytesMut;
use connect_proto::connection::{Connection, Role};

use crate::NOW;

/// Bytes of a read buffer, and of what one read brings at most.
const READ: usize = 16 << 10;

/// A connection, and what was read and not used yet.
pub struct Wire<R: Role> {
    /// The connection, for its commands.
    pub connection: Connection<R>,
    unread: BytesMut,
}

impl<R: Role> Wire<R> {
    /// A connection with an empty read buffer.
    #[must_use]
    pub fn new(connection: Connection<R>) -> Self {
        Wire { connection, unread: BytesMut::with_capacity(READ) }
    }

    /// Reads as a socket is read: as far as the connection wants it and the read buffer reaches. Returns what is left.
    pub fn read<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        self.go_on();
        if bytes.is_empty() || !self.connection.wants_read() {
            return bytes;
        }
        self.unread.reserve(READ.saturating_sub(self.unread.len()));
        let room = self.unread.capacity() - self.unread.len();
        let (now, later) = bytes.split_at(bytes.len().min(room));
        self.unread.extend_from_slice(now);
        self.connection.handle_read(NOW, &mut self.unread);
        later
    }

    /// Goes on with what was read before and could not be used then.
    pub fn go_on(&mut self) {
        if !self.unread.is_empty() && self.connection.wants_read() {
            self.connection.handle_read(NOW, &mut self.unread);
        }
    }

    /// Writes all output to `sink` and says how many bytes that was.
    pub fn write(&mut self, sink: &mut impl FnMut(&[u8])) -> usize {
        let mut total = 0;
        loop {
            let mut slices = [IoSlice::new(&[]); 16];
            let filled = self.connection.output(NOW, &mut slices);
            let shown = slices.get(..filled).unwrap_or_default();
            let written = shown.iter().map(|slice| slice.len()).sum();
            shown.iter().for_each(|slice| sink(slice));
            if written == 0 {
                return total;
            }
            self.connection.handle_written(NOW, written);
            total += written;
        }
    }
}
