//! The runtimes that the tables are measured on.

use std::future::pending;
use std::sync::Arc;
use std::thread;

use connect_proto_async::Runtime;
use connect_proto_smol::Smol;
use connect_proto_tokio::Tokio;
use smol::Executor;

/// What they are called.
pub const NAMES: [&str; 2] = ["tokio", "smol"];

/// Threads of each. More than most machines for a test have cores, so that a lock may be taken from whoever holds it.
const THREADS: usize = 4;

/// A runtime by its name, which runs as long as the program; `None` if there is no such.
///
/// # Panics
/// If the system has no threads to give.
#[must_use]
pub fn named(name: &str) -> Option<Arc<dyn Runtime>> {
    match name {
        "tokio" => Some(tokio()),
        "smol" => Some(smol()),
        _ => None,
    }
}

/// Each with its name.
pub fn each() -> impl Iterator<Item = (&'static str, Arc<dyn Runtime>)> {
    NAMES.into_iter().filter_map(|name| Some((name, named(name)?)))
}

fn tokio() -> Arc<dyn Runtime> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let tokio = Tokio::on(runtime.handle().clone());
    thread::spawn(move || runtime.block_on(pending::<()>()));
    Arc::new(tokio)
}

fn smol() -> Arc<dyn Runtime> {
    let executor = Arc::new(Executor::new());
    for _ in 0..THREADS {
        let executor = executor.clone();
        thread::spawn(move || smol::block_on(executor.run(pending::<()>())));
    }
    Arc::new(Smol::on(executor))
}
