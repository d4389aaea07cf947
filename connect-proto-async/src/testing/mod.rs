//! What tests of an async user of `connect-proto` need (feature `testing`): [`Sim`], a runtime that is simulated, and the
//! [`suite`] that every runtime passes.
//!
//! [`Sim`] has no threads, no sockets and no clock of its own. Which of the ready tasks runs next, how bytes are cut and
//! which connection breaks follows from a seed, so that a failure can be had again; time jumps to the next timer when
//! nothing is ready, so that a test of an hour takes no time.
//!
//! ```
//! use std::time::Duration;
//! use connect_proto_async::testing::{Sim, suite};
//!
//! let sim = Sim::new(7);
//! let runtime = sim.handle();
//! sim.run(suite::sleep(&*runtime, Duration::from_secs(3600)));
//! sim.assert_nothing_left();
//! ```

mod clock;
mod executor;
mod faults;
mod link;
mod net;
mod runtime;
pub mod suite;
mod trace;
pub mod workload;
mod world;

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use connect_proto::Instant;

use crate::Runtime;
use executor::Next;
use runtime::SimRuntime;
use world::Shared;

pub use faults::{Dial, Fault, Faults, Side};
pub use net::Connection;

/// A simulated runtime: seeded, single-threaded, on a virtual clock that begins at [`Instant::ORIGIN`].
///
/// The same seed gives the same run, if what runs on it is deterministic too: it must not read a clock, draw random numbers
/// elsewhere or let the order of a hash map show.
#[derive(Debug)]
pub struct Sim {
    seed: u64,
    shared: Arc<Shared>,
}

/// How much virtual time one [`Sim::run`] may take.
const MAX_TIME: Duration = Duration::from_secs(24 * 3600);
/// How many times tasks may be polled while no time passes.
const MAX_POLLS: u32 = 1_000_000;

impl Sim {
    /// A runtime whose choices follow from `seed`. Connections have no faults at first.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let trace = std::env::var_os("SIM_TRACE").is_some();
        Sim { seed, shared: Arc::new(Shared::new(seed, trace)) }
    }

    /// The runtime as a channel or a server takes it.
    #[must_use]
    pub fn handle(&self) -> Arc<dyn Runtime> {
        Arc::new(SimRuntime(Arc::clone(&self.shared)))
    }

    /// Runs everything until `future` is done. Tasks that it leaves behind stay where they are, until the next run.
    ///
    /// # Panics
    /// With the seed, if `future` can never be done, since nothing is ready and no timer runs; if it takes more than a day of
    /// virtual time, or a million polls at one time. A panic of any task goes through.
    pub fn run<T>(&self, future: impl Future<Output = T>) -> T {
        let _hint = ReplayHint(self);
        let mut future = pin!(future);
        let root = self.shared.with(|world| world.start_root());
        let limit = self.now().saturating_add(MAX_TIME);
        let mut polls = 0;
        loop {
            let next = self.shared.with(|world| world.next_task());
            match next {
                // Of an earlier run that panicked.
                Next::Root(id, _) if id != root => {}
                Next::Root(_, waker) => {
                    if let Poll::Ready(done) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                        drop(waker);
                        self.shared.with(|world| world.end_task(root));
                        return done;
                    }
                }
                Next::Task(mut task) => {
                    // A task that is done is dropped here, without the lock.
                    if task.poll() {
                        let id = task.id;
                        drop(task);
                        self.shared.with(|world| world.end_task(id));
                    } else {
                        self.shared.with(|world| world.put_back(task));
                    }
                }
                Next::Idle => {
                    polls = 0;
                    let advanced = self.shared.with(|world| world.advance());
                    assert!(advanced, "deadlock of {self:?}: nothing is ready and no timer runs");
                    assert!(self.now() < limit, "{self:?} takes longer than {MAX_TIME:?}");
                }
            }
            polls += 1;
            assert!(polls < MAX_POLLS, "livelock of {self:?}: {MAX_POLLS} polls and no time passes");
        }
    }

    /// The virtual time.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.shared.with(|world| world.clock.now())
    }

    /// What the network does to connections that are dialled from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.shared.with(|world| world.net.faults = faults);
    }

    /// How the next attempts to connect go, in this order; those after them go as the [`Faults`] say.
    pub fn script_dials(&self, dials: impl IntoIterator<Item = Dial>) {
        self.shared.with(|world| world.net.scripted_dials.extend(dials));
    }

    /// Lets the next calls of `poll_accept`, on whatever listener, fail with these errors.
    pub fn script_accept_errors(&self, errors: impl IntoIterator<Item = io::ErrorKind>) {
        self.shared.with(|world| world.net.scripted_accept_errors.extend(errors));
    }

    /// The connections of which an end is open, in the order in which they were dialled.
    #[must_use]
    pub fn connections(&self) -> Vec<Connection> {
        let ids = self.shared.with(|world| world.net.connection_ids());
        ids.into_iter().map(|id| Connection::new(Arc::clone(&self.shared), id)).collect()
    }

    /// How many tasks were spawned and have not ended.
    #[must_use]
    pub fn live_tasks(&self) -> usize {
        self.census().tasks
    }

    /// What is there at this moment.
    #[must_use]
    pub fn census(&self) -> Census {
        self.shared.with(|world| world.census())
    }

    /// Checks that nothing is left: whatever the code under test had, it has given back.
    ///
    /// # Panics
    /// If something is left, with the seed.
    pub fn assert_nothing_left(&self) {
        let _hint = ReplayHint(self);
        assert_eq!(self.census(), Census::default(), "something is left");
    }

    /// Keeps a trace from now on, for [`Sim::trace`].
    pub fn keep_trace(&self) {
        self.shared.with(|world| world.trace.keep());
    }

    /// What happened, one event a line, since [`Sim::keep_trace`]. With the variable `SIM_TRACE` set a trace is kept from the
    /// start, and printed when a run panics.
    #[must_use]
    pub fn trace(&self) -> String {
        self.shared.with(|world| world.trace.to_string())
    }

    /// How many faults have come so far: of connections, and attempts to connect that failed for no other reason.
    #[must_use]
    pub fn faults(&self) -> u64 {
        self.shared.with(|world| world.trace.faults())
    }

    /// A number that two runs share if and only if (but for a freak of chance) the same happened in both.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        self.shared.with(|world| world.trace.fingerprint())
    }
}

impl Drop for Sim {
    /// Drops the tasks, which own handles of the runtime that owns them. What they spawn when they are dropped goes too.
    fn drop(&mut self) {
        loop {
            let tasks = self.shared.with(|world| world.take_tasks());
            if tasks.is_empty() {
                return;
            }
        }
    }
}

/// What there is on a [`Sim`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Census {
    /// Tasks that were spawned and have not ended.
    pub tasks: usize,
    /// Streams that somebody holds; a connection has two. One that was not accepted yet does not count.
    pub streams: usize,
    /// Listeners.
    pub listeners: usize,
    /// Timers that somebody holds and that have not ended.
    pub timers: usize,
    /// Wakers of tasks that have ended, which somebody still holds.
    pub stale_wakers: usize,
}

/// The seeds for a test that tries many: `0..count`, or the one in the variable `SIM_SEED`.
///
/// # Panics
/// If the variable is not a number.
pub fn seeds(count: u64) -> impl Iterator<Item = u64> {
    let only = std::env::var("SIM_SEED").ok().map(|seed| seed.parse().expect("SIM_SEED is a number"));
    only.map_or(0..count, |seed: u64| seed..seed.saturating_add(1))
}

/// Says how to have a run again, if it panics.
struct ReplayHint<'a>(&'a Sim);

impl Drop for ReplayHint<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Sim { seed, .. } = self.0;
            eprint!("{}", self.0.trace());
            eprintln!(
                "The simulation had seed {seed}: run the test with SIM_SEED={seed}, and SIM_TRACE=1 for what happens"
            );
        }
    }
}

#[cfg(test)]
mod tests;
