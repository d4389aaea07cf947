//! All that a simulation is made of, behind one lock.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::task::Waker;

use super::Census;
use super::clock::Clock;
use super::executor::Executor;
use super::faults::Random;
use super::net::Net;
use super::trace::Trace;

pub(super) struct World {
    pub(super) random: Random,
    pub(super) clock: Clock,
    pub(super) executor: Executor,
    pub(super) net: Net,
    pub(super) trace: Trace,
    /// Who is to be woken once the lock is released.
    pub(super) woken: Vec<Waker>,
}

impl World {
    pub(super) fn census(&self) -> Census {
        Census {
            tasks: self.executor.tasks(),
            streams: self.net.streams(),
            listeners: self.net.listeners(),
            timers: self.clock.timers,
            stale_wakers: self.executor.stale_wakers(),
        }
    }

    /// Lets time jump to the next alarm; `false` if there is none.
    pub(super) fn advance(&mut self) -> bool {
        let Some(rung) = self.clock.advance() else { return false };
        self.woken.extend(rung);
        true
    }
}

pub(super) struct Shared(Mutex<World>);

impl Shared {
    pub(super) fn new(seed: u64, trace: bool) -> Self {
        Shared(Mutex::new(World {
            random: Random::new(seed),
            clock: Clock::default(),
            executor: Executor::default(),
            net: Net::default(),
            trace: Trace::new(trace),
            woken: Vec::new(),
        }))
    }

    /// Does something with the lock held, and then without it wakes whoever was woken: wakers are foreign code.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        let mut world = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let done = act(&mut world);
        let woken = std::mem::take(&mut world.woken);
        drop(world);
        woken.into_iter().for_each(Waker::wake);
        done
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with(|world| world.census()).fmt(f)
    }
}
