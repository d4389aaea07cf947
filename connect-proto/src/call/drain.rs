//! The budget of a call whose application has lost interest, or whose verdict is known.

use crate::call::DrainBudget;
use crate::error::CloseReason;
use crate::time::Instant;

/// What is left of a drain budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Drain {
    until: Instant,
    left: u64,
    drained: u64,
}

impl Drain {
    pub(crate) fn new(now: Instant, budget: DrainBudget) -> Self {
        Drain { until: now.saturating_add(budget.time), left: budget.bytes, drained: 0 }
    }

    pub(crate) fn until(&self) -> Instant {
        self.until
    }

    /// Bytes thrown away so far.
    pub(crate) fn drained(&self) -> u64 {
        self.drained
    }

    /// Takes note of bytes that were thrown away. What goes beyond the budget is not counted: how much came along
    /// in one piece must not show.
    pub(crate) fn absorb(&mut self, bytes: u64) -> Result<(), CloseReason> {
        let within = bytes.min(self.left);
        self.drained = self.drained.saturating_add(within);
        self.left -= within;
        if within < bytes { Err(CloseReason::DrainTooLarge) } else { Ok(()) }
    }

    /// Refuses as soon as the peer announces more than is left.
    pub(crate) fn admit(&self, announced: u64) -> Result<(), CloseReason> {
        if announced > self.left { Err(CloseReason::DrainTooLarge) } else { Ok(()) }
    }
}
