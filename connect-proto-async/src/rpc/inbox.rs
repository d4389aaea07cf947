//! Events on their way from a call to whoever reads them: a batch for each lock.

use std::ops::ControlFlow;

use connect_proto::call::Event;

/// What one lock takes at most: events, and bytes of messages. What is taken is not held back by flow control any more.
pub(super) const MAX_EVENTS: usize = 64;
pub(super) const MAX_BYTES: usize = 64 << 10;

/// Counts what is taken under one lock.
#[derive(Default)]
pub(super) struct Batch {
    events: usize,
    bytes: usize,
    /// Whether one of the events was for the sender: that there is room again.
    pub(super) is_writable: bool,
}

impl Batch {
    /// Counts an event. Breaks when there are enough.
    #[inline]
    pub(super) fn count(&mut self, event: &Event) -> ControlFlow<()> {
        match event {
            Event::Writable => self.is_writable = true,
            Event::Message(message) => {
                self.events += 1;
                self.bytes += message.wire_len();
            }
            _ => self.events += 1,
        }
        if self.events < MAX_EVENTS && self.bytes < MAX_BYTES {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    }
}
