//! What a peer may do that costs more to take than to send: each kind has its rate, and a count to look at.

use crate::Instant;
use crate::error::PeerMisbehaved;

/// How often something may happen: `burst` times at once, and `per_second` more times every second.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// How often at once.
    pub burst: u32,
    /// How many more every second, up to `burst`.
    pub per_second: u32,
}

impl Rate {
    /// A rate.
    #[must_use]
    pub const fn new(burst: u32, per_second: u32) -> Self {
        Rate { burst, per_second }
    }
}

/// The rates of what a peer may do. One that goes beyond ends the connection with ENHANCE_YOUR_CALM.
///
/// What this side resets on its own account is not counted: cancelling calls never costs the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Guards {
    /// Server: streams that the client resets before their response is complete: rapid reset (CVE-2023-44487,
    /// CVE-2019-9514). 1,000 and 100 a second.
    pub resets: Rate,
    /// Streams that have to be reset because of what the peer does on them: made you reset (CVE-2025-8671). 100 and 10 a
    /// second.
    pub faults: Rate,
    /// Server: streams that are refused, being too many at once. 1,000 and 100 a second.
    pub refused: Rate,
    /// Pings (CVE-2019-9512). Frames that carry a message, in either direction, allow for more. 200 and 10 a second.
    pub pings: Rate,
    /// SETTINGS frames (CVE-2019-9515). 50 and 1 a second.
    pub settings: Rate,
    /// Frames that carry nothing: empty DATA (CVE-2019-9518), PRIORITY (CVE-2019-9513), window updates (CVE-2019-9511),
    /// frames of an unknown type or on closed streams. Frames that carry a message, in either direction, allow for
    /// more. 1,000 and 100 a second.
    pub empty_frames: Rate,
}

impl Default for Guards {
    fn default() -> Self {
        Guards {
            resets: Rate::new(1000, 100),
            faults: Rate::new(100, 10),
            refused: Rate::new(1000, 100),
            pings: Rate::new(200, 10),
            settings: Rate::new(50, 1),
            empty_frames: Rate::new(1000, 100),
        }
    }
}

/// How often it has happened on this connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Counters {
    /// Streams that were opened, by either side.
    pub streams: u64,
    /// Streams that the peer reset before the response was complete.
    pub resets: u64,
    /// Streams that were reset because of what the peer did on them.
    pub faults: u64,
    /// Streams that were refused.
    pub refused: u64,
    /// Streams that this side's application reset.
    pub own_resets: u64,
    /// Pings received, without acknowledgements.
    pub pings: u64,
    /// SETTINGS frames received, without acknowledgements.
    pub settings: u64,
    /// Frames received that carried nothing.
    pub empty_frames: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Nuisance {
    Reset,
    Fault,
    Refused,
    Ping,
    Settings,
    EmptyFrame,
}

/// Frames that carry nothing and are allowed for one that does,
const EMPTY_FRAMES_FOR_A_MESSAGE: u32 = 4;
/// and for so many bytes in it: Go widens both windows with every 4 KiB that its application reads.
const BYTES_FOR_AN_EMPTY_FRAME: usize = 512;

#[derive(Debug)]
pub(super) struct Guard {
    rates: Guards,
    buckets: [Bucket; 6],
    pub(super) counters: Counters,
}

impl Guard {
    pub(super) fn new(now: Instant, rates: Guards) -> Self {
        let buckets =
            [rates.resets, rates.faults, rates.refused, rates.pings, rates.settings, rates.empty_frames];
        Guard {
            rates,
            buckets: buckets.map(|rate| Bucket { level: rate.burst, at: now }),
            counters: Counters::default(),
        }
    }

    /// Counts one.
    ///
    /// # Errors
    /// It was one too many.
    pub(super) fn count(&mut self, now: Instant, what: Nuisance) -> Result<(), PeerMisbehaved> {
        let [resets, faults, refused, pings, settings, empty_frames] = &mut self.buckets;
        let counters = &mut self.counters;
        let (bucket, rate, counter, name) = match what {
            Nuisance::Reset => (resets, self.rates.resets, &mut counters.resets, "resets"),
            Nuisance::Fault => (faults, self.rates.faults, &mut counters.faults, "faulty streams"),
            Nuisance::Refused => (refused, self.rates.refused, &mut counters.refused, "streams"),
            Nuisance::Ping => (pings, self.rates.pings, &mut counters.pings, "pings"),
            Nuisance::Settings => (settings, self.rates.settings, &mut counters.settings, "settings"),
            Nuisance::EmptyFrame => {
                (empty_frames, self.rates.empty_frames, &mut counters.empty_frames, "empty frames")
            }
        };
        *counter += 1;
        if bucket.take(now, rate) { Ok(()) } else { Err(PeerMisbehaved::Flood(name)) }
    }

    /// A frame with `len` bytes of a message came or went: honest peers ping and widen windows the more there are.
    #[inline]
    pub(super) fn message_frame(&mut self, len: usize) {
        let [.., pings, _, empty_frames] = &mut self.buckets;
        pings.give(1, self.rates.pings);
        let for_bytes = u32::try_from(len / BYTES_FOR_AN_EMPTY_FRAME).unwrap_or(u32::MAX);
        let tokens = EMPTY_FRAMES_FOR_A_MESSAGE.saturating_add(for_bytes);
        empty_frames.give(tokens, self.rates.empty_frames);
    }
}

/// Tokens that come back over time.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    level: u32,
    /// Until when tokens were given back.
    at: Instant,
}

impl Bucket {
    fn take(&mut self, now: Instant, rate: Rate) -> bool {
        if self.level == 0 {
            self.refill(now, rate);
        }
        let Some(level) = self.level.checked_sub(1) else { return false };
        self.level = level;
        true
    }

    #[inline]
    fn give(&mut self, tokens: u32, rate: Rate) {
        self.level = self.level.saturating_add(tokens).min(rate.burst);
    }

    fn refill(&mut self, now: Instant, rate: Rate) {
        let Some(nanos_each) = 1_000_000_000_u64.checked_div(u64::from(rate.per_second)) else { return };
        let passed = now.as_nanos().saturating_sub(self.at.as_nanos());
        let tokens = passed.checked_div(nanos_each).unwrap_or(u64::MAX);
        self.give(u32::try_from(tokens).unwrap_or(u32::MAX), rate);
        self.at = now;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::ORIGIN.saturating_add(Duration::from_millis(millis))
    }

    fn taken(guard: &mut Guard, now: Instant, what: Nuisance) -> usize {
        (0..10_000).take_while(|_| guard.count(now, what).is_ok()).count()
    }

    #[test]
    fn a_burst_and_then_so_many_a_second() {
        let mut guard = Guard::new(at(0), Guards { faults: Rate::new(5, 2), ..Guards::default() });
        assert_eq!(taken(&mut guard, at(0), Nuisance::Fault), 5);
        assert_eq!(taken(&mut guard, at(1000), Nuisance::Fault), 2);
        assert_eq!(taken(&mut guard, at(1499), Nuisance::Fault), 0);
        assert_eq!(taken(&mut guard, at(99_000), Nuisance::Fault), 5, "never more than a burst");
        assert_eq!(guard.counters.faults, 16);
        assert_eq!(guard.count(at(99_000), Nuisance::Fault), Err(PeerMisbehaved::Flood("faulty streams")));
    }

    #[test]
    fn messages_allow_for_pings_and_window_updates() {
        let mut guard = Guard::new(at(0), Guards::default());
        let mut pass = |what| {
            for _ in 0..5000 {
                guard.message_frame(0);
                guard.count(at(0), what)?;
            }
            Ok::<_, PeerMisbehaved>(())
        };
        assert_eq!(pass(Nuisance::Ping), Ok(()));
        assert_eq!(pass(Nuisance::EmptyFrame), Ok(()));
        assert!(pass(Nuisance::Settings).is_err());
    }

    #[test]
    fn a_rate_of_nothing_allows_nothing() {
        let mut guard = Guard::new(at(0), Guards { pings: Rate::new(0, 0), ..Guards::default() });
        assert_eq!(taken(&mut guard, at(10_000), Nuisance::Ping), 0);
    }
}
