//! Connections driven on a runtime: tasks, wakers, timers, the pool and the accept loop.

// Until the channel uses it.
#[allow(dead_code, unreachable_pub, unused_imports)]
mod pool;
pub mod runtime;
