//! Connections driven on a runtime: tasks, wakers, timers, the pool and the accept loop.

pub mod runtime;
