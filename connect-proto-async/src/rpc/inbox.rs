//! Events on their way from a call to whoever reads them: a batch for each lock.

use std::ops::ControlFlow;

use connect_proto::call::Event;

/// What one lock takes at most: events, and bytes of messages. What is taken is not held back by flow control any more.
const MAX_EVENTS: usize = 64;
const MAX_BYTES: usize = 64 << 10;

/// Counts what is taken under one lock.
#[derive(Default)]
pub(super) struct Batch {
    events: usize,
    bytes: usize,
    /// Whether one of the events was for the sender: that there is room again.
    pub(super) is_writable: bool,
}

impl Batch {
    /// Passes an event on to `keep`, unless it is for the sender. Breaks when there are enough.
    pub(super) fn take(&mut self, event: Event, keep: impl FnOnce(Event)) -> ControlFlow<()> {
        match event {
            Event::Writable => self.is_writable = true,
            event => {
                if let Event::Message(message) = &event {
                    self.bytes += message.wire_len();
                }
                self.events += 1;
                keep(event);
            }
        }
        if self.events < MAX_EVENTS && self.bytes < MAX_BYTES {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    }
}
