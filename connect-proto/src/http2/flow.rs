//! Flow control (RFC 9113, section 5.2): what may still be sent, in both directions.

/// The largest window there is (section 6.9.1).
pub(super) const MAX_WINDOW: u32 = (1 << 31) - 1;
/// The window of a connection, and of a stream before any SETTINGS (section 6.9.2).
pub(super) const DEFAULT_WINDOW: u32 = 65_535;

/// What fills a frame: less room than that is hardly any.
const FRAME: u32 = 16 << 10;

/// A window became larger than [`MAX_WINDOW`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Overflow;

/// The peer sent more than its window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Exceeded;

/// What this side may send. A setting can make it negative (section 6.9.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct SendWindow(i64);

impl SendWindow {
    pub(super) fn new(size: u32) -> Self {
        SendWindow(i64::from(size.min(MAX_WINDOW)))
    }

    /// Bytes that may be sent now.
    pub(super) fn available(self) -> usize {
        usize::try_from(self.0).unwrap_or(0)
    }

    /// Notes that `n` bytes, which were available, are sent.
    pub(super) fn take(&mut self, n: usize) {
        debug_assert!(n <= self.available());
        self.0 = self.0.saturating_sub(i64::try_from(n).unwrap_or(i64::MAX));
    }

    /// A WINDOW_UPDATE, or a change of the setting.
    pub(super) fn shift(&mut self, by: i64) -> Result<(), Overflow> {
        self.0 = self.0.saturating_add(by);
        if self.0 > i64::from(MAX_WINDOW) { Err(Overflow) } else { Ok(()) }
    }
}

/// What the peer may send, and where the rest of the window is.
///
/// `open + held + owed = target` always: a byte that comes in moves from `open` to `held`, when the application has
/// consumed it to `owed`, and when a WINDOW_UPDATE is sent for it back to `open`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct RecvWindow {
    target: u32,
    /// Negative after the target was made smaller.
    open: i64,
    held: u32,
    owed: u32,
}

impl RecvWindow {
    pub(super) fn new(target: u32) -> Self {
        RecvWindow { target, open: i64::from(target), held: 0, owed: 0 }
    }

    /// Bytes that came in and were not consumed.
    pub(super) fn held(&self) -> u32 {
        self.held
    }

    /// The peer has sent `n` bytes. None need no window, even where it is negative (section 6.9.1).
    pub(super) fn receive(&mut self, n: u32) -> Result<(), Exceeded> {
        if n > 0 && i64::from(n) > self.open {
            return Err(Exceeded);
        }
        self.open -= i64::from(n);
        self.held += n;
        Ok(())
    }

    /// `n` bytes are consumed, or all if fewer are held. Says how many those were.
    pub(super) fn consume(&mut self, n: u32) -> u32 {
        let n = n.min(self.held);
        self.held -= n;
        self.owed += n;
        n
    }

    /// The WINDOW_UPDATE to send, if it is worth one: when half of the window is owed.
    pub(super) fn update(&mut self) -> Option<u32> {
        self.update_from(self.target / 2)
    }

    /// The same for a window that many share: when half of what the others leave of it is owed, but a frame at least. Else
    /// it would be closed to all of them as soon as more than half of it is held.
    pub(super) fn update_shared(&mut self) -> Option<u32> {
        let left = self.target.saturating_sub(self.held);
        self.update_from((left / 2).max(FRAME).min(self.target / 2))
    }

    fn update_from(&mut self, least: u32) -> Option<u32> {
        if self.owed == 0 || self.owed < least {
            return None;
        }
        self.open += i64::from(self.owed);
        Some(std::mem::take(&mut self.owed))
    }

    /// Whether what is not consumed leaves the peer next to nothing.
    pub(super) fn is_used_up(&self) -> bool {
        self.target.saturating_sub(self.held) < FRAME
    }

    /// Changes the target, as the peer does on its side.
    pub(super) fn retarget(&mut self, target: u32) {
        self.open += i64::from(target) - i64::from(self.target);
        self.target = target;
    }

    #[cfg(any(feature = "testing", test))]
    pub(super) fn is_conserved(&self) -> bool {
        self.open + i64::from(self.held) + i64::from(self.owed) == i64::from(self.target)
    }

    #[cfg(any(feature = "testing", test))]
    pub(super) fn open(&self) -> i64 {
        self.open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_send_window_can_be_negative_but_not_too_large() {
        let mut window = SendWindow::new(100);
        window.take(60);
        assert_eq!(window.shift(-80), Ok(()));
        assert_eq!(window.available(), 0);
        assert_eq!(window.shift(50), Ok(()));
        assert_eq!(window.available(), 10);
        assert_eq!(window.shift(i64::from(MAX_WINDOW) - 10), Ok(()));
        assert_eq!(window.shift(1), Err(Overflow));
    }

    #[test]
    fn a_received_byte_is_always_somewhere() {
        let mut window = RecvWindow::new(100);
        assert_eq!(window.receive(101), Err(Exceeded));
        window.receive(70).unwrap();
        assert_eq!(window.consume(40), 40);
        assert_eq!(window.update(), None, "less than half");
        assert_eq!(window.consume(1000), 30);
        assert_eq!(window.update(), Some(70));
        assert_eq!(window.update(), None);
        window.receive(100).unwrap();
        window.retarget(50);
        assert!(window.is_conserved());
        assert_eq!(window.receive(1), Err(Exceeded));
        assert_eq!(window.consume(100), 100);
        assert_eq!(window.update(), Some(100));
        assert_eq!(window.open(), 50);
    }
}
