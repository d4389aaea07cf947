//! Virtual time, and the alarms that make it move.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use connect_proto::Instant;

use super::world::Shared;
use crate::Timer;

#[derive(Default)]
pub(super) struct Clock {
    now: Instant,
    alarms: BTreeMap<(Instant, u64), Waker>,
    last_id: u64,
    /// How many timers are there that have not ended.
    pub(super) timers: usize,
}

impl Clock {
    pub(super) fn now(&self) -> Instant {
        self.now
    }

    /// Jumps to the time of the first alarm and takes all of that time; `None` if there is no alarm.
    pub(super) fn advance(&mut self) -> Option<Vec<Waker>> {
        let (&(first, _), _) = self.alarms.first_key_value()?;
        self.now = self.now.max(first);
        let later = self.alarms.split_off(&(self.now, u64::MAX));
        Some(std::mem::replace(&mut self.alarms, later).into_values().collect())
    }

    /// Sets an alarm, instead of what it was set to.
    pub(super) fn set(&mut self, alarm: &mut Alarm, at: Instant, waker: Waker) {
        self.clear(alarm);
        self.last_id += 1;
        *alarm = Alarm(Some((at, self.last_id)));
        self.alarms.insert((at, self.last_id), waker);
    }

    pub(super) fn clear(&mut self, alarm: &mut Alarm) -> Option<Waker> {
        self.alarms.remove(&alarm.0.take()?)
    }
}

/// Wakes somebody at a time, once. It is cleared by whoever drops it.
#[derive(Default)]
pub(super) struct Alarm(Option<(Instant, u64)>);

pub(super) struct SimTimer {
    shared: Arc<Shared>,
    at: Instant,
    alarm: Alarm,
    ended: bool,
}

impl SimTimer {
    pub(super) fn new(shared: Arc<Shared>, at: Instant) -> Self {
        shared.with(|world| world.clock.timers += 1);
        SimTimer { shared, at, alarm: Alarm::default(), ended: false }
    }
}

impl Timer for SimTimer {
    fn reset(mut self: Pin<&mut Self>, at: Instant) {
        let this = &mut *self;
        this.at = at;
        this.shared.with(|world| {
            // An alarm that has rung is gone with its waker: who resets a timer after its time polls it again.
            if let Some(waker) = world.clock.clear(&mut this.alarm) {
                world.clock.set(&mut this.alarm, at, waker);
            }
            world.clock.timers += usize::from(std::mem::take(&mut this.ended));
        });
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        this.shared.with(|world| {
            let clock = &mut world.clock;
            if clock.now() < this.at {
                clock.set(&mut this.alarm, this.at, cx.waker().clone());
                return Poll::Pending;
            }
            clock.clear(&mut this.alarm);
            clock.timers -= usize::from(!std::mem::replace(&mut this.ended, true));
            Poll::Ready(())
        })
    }
}

impl Drop for SimTimer {
    fn drop(&mut self) {
        self.shared.with(|world| {
            world.clock.clear(&mut self.alarm);
            world.clock.timers -= usize::from(!self.ended);
        });
    }
}
