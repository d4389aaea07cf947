//! Events on their way from a call to whoever reads them: a batch for each lock.

use connect_proto::call::Event;

/// What one lock takes at most: events, and bytes of messages. What is taken is not held back by flow control any more.
const MAX_EVENTS: usize = 64;
const MAX_BYTES: usize = 64 << 10;

/// Takes a batch of events. True if one of them was for the sender: that there is room again.
pub(super) fn fill(mut poll_event: impl FnMut() -> Option<Event>, mut take: impl FnMut(Event)) -> bool {
    let (mut is_writable, mut events, mut bytes) = (false, 0, 0);
    while events < MAX_EVENTS && bytes < MAX_BYTES {
        match poll_event() {
            Some(Event::Writable) => is_writable = true,
            Some(event) => {
                if let Event::Message(message) = &event {
                    bytes += message.wire_len();
                }
                events += 1;
                take(event);
            }
            None => break,
        }
    }
    is_writable
}
