//! Time as the caller tells it.

use std::time::Duration;

/// A point in time: nanoseconds since an origin that the caller chose.
///
/// The core never reads a clock. Whoever drives it maps its own monotonic clock to this type: on a runtime the
/// origin is usually the moment when the connection was made; in a test it is zero. Instants of different
/// origins must not meet in one machine. All arithmetic saturates: 2^64 ns are 584 years.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Instant(u64);

impl Instant {
    /// The origin itself.
    pub const ORIGIN: Instant = Instant(0);

    /// The instant `nanos` nanoseconds after the origin.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Instant(nanos)
    }

    /// Nanoseconds since the origin.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// This instant moved later by `duration`; the last representable instant if that is too far.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        let nanos = duration.as_secs().saturating_mul(1_000_000_000);
        Instant(self.0.saturating_add(nanos).saturating_add(u64::from(duration.subsec_nanos())))
    }

    /// How long after `earlier` this instant is; zero if it is not after it.
    #[must_use]
    pub const fn saturating_duration_since(self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// The earlier of two optional points in time.
pub(crate) fn earliest(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// The shorter of two optional timeouts.
pub(crate) fn shorter(a: Option<Duration>, b: Option<Duration>) -> Option<Duration> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// Whether a point in time has come.
#[inline]
pub(crate) fn is_due(at: Option<Instant>, now: Instant) -> bool {
    at.is_some_and(|at| now >= at)
}

/// The latest time a machine was told, so that a caller's clock that runs backwards is clamped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn new(now: Instant) -> Self {
        Clock(now)
    }

    /// The latest time that was told.
    pub(crate) fn now(&self) -> Instant {
        self.0
    }

    /// Takes in the caller's `now` and returns the time to go by.
    #[inline]
    pub(crate) fn advance(&mut self, now: Instant) -> Instant {
        self.0 = self.0.max(now);
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates() {
        let late = Instant::from_nanos(u64::MAX - 1);
        assert_eq!(late.saturating_add(Duration::MAX).as_nanos(), u64::MAX);
        assert_eq!(Instant::ORIGIN.saturating_duration_since(late), Duration::ZERO);
    }

    #[test]
    fn a_clock_that_runs_backwards_is_clamped() {
        let mut clock = Clock::new(Instant::from_nanos(10));
        assert_eq!(clock.advance(Instant::from_nanos(5)).as_nanos(), 10);
        assert_eq!(clock.advance(Instant::from_nanos(12)).as_nanos(), 12);
    }
}
