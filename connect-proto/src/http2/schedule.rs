//! Which stream writes next: round robin.

use std::collections::VecDeque;

use super::streams::{StreamKey, Streams};

/// Bytes of a body that a stream may give in one turn.
pub(super) const TURN: usize = 16 << 10;

/// What a stream waits for before it writes again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Turn {
    /// It has nothing to write.
    None,
    /// Its turn.
    Ready,
    /// The window of the connection.
    Connection,
    /// Its own window.
    Stream,
}

/// The queues of the streams that want to write. Each stream stands in each of them at most once.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    ready: VecDeque<StreamKey>,
    waiting: VecDeque<StreamKey>,
}

impl Schedule {
    /// Puts a stream at the end of the queue, unless it is in it.
    #[inline]
    pub(super) fn ready(&mut self, streams: &mut Streams, key: StreamKey) {
        if let Some(stream) = streams.get_mut(key)
            && stream.turn != Turn::Ready
        {
            stream.turn = Turn::Ready;
            self.ready.push_back(key);
        }
    }

    /// A stream has had its turn and is stopped by a window. It is ready again when that opens.
    pub(super) fn park(&mut self, streams: &mut Streams, key: StreamKey) {
        let Some(stream) = streams.get_mut(key) else { return };
        if stream.send.available() == 0 {
            stream.turn = Turn::Stream;
            return;
        }
        stream.turn = Turn::Connection;
        if !stream.in_waiting {
            stream.in_waiting = true;
            self.waiting.push_back(key);
        }
    }

    /// A stream's window has opened.
    pub(super) fn window_opened(&mut self, streams: &mut Streams, key: StreamKey) {
        if streams.get(key).is_some_and(|stream| stream.turn == Turn::Stream && stream.send.available() > 0) {
            self.ready(streams, key);
        }
    }

    /// Whether [`next`](Self::next) may find one.
    #[inline]
    pub(super) fn is_empty(&self, connection_open: bool) -> bool {
        self.ready.is_empty() && (self.waiting.is_empty() || !connection_open)
    }

    /// The stream whose turn it is. Those that have waited for the connection's window come first when it is open.
    #[inline]
    pub(super) fn next(&mut self, streams: &mut Streams, connection_open: bool) -> Option<StreamKey> {
        while connection_open && let Some(key) = self.waiting.pop_front() {
            if let Some(stream) = streams.get_mut(key) {
                stream.in_waiting = false;
                if stream.turn == Turn::Connection {
                    stream.turn = Turn::None;
                    return Some(key);
                }
            }
        }
        while let Some(key) = self.ready.pop_front() {
            if let Some(stream) = streams.get_mut(key) {
                stream.turn = Turn::None;
                return Some(key);
            }
        }
        None
    }

    /// Gives back what an idle connection does not need.
    pub(super) fn trim(&mut self) {
        if self.ready.is_empty() && self.waiting.is_empty() {
            self.ready.shrink_to(16);
            self.waiting.shrink_to(16);
        }
    }
}
