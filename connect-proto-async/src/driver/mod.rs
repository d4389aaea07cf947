//! Connections driven on a runtime: tasks, wakers, timers, the pool and the accept loop.

pub(crate) mod alarm;
pub(crate) mod eyeballs;
pub(crate) mod pool;
pub(crate) mod runtime;
pub(crate) mod shared;
pub(crate) mod task;
pub(crate) mod traffic;
