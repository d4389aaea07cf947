//! The close tables on every runtime, with small budgets.
//!
//! `cargo test -p close-table --test runtimes -- --nocapture` shows them; `cargo bench -p close-table --bench
//! default_budgets` those with the default budgets.

use std::pin::pin;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use close_table::budget::{Budget, all_at_once};
use close_table::closing::{self, Setting};
use close_table::{runtimes, server};
use connect_proto::error::CloseReason;
use connect_proto_async::{Channel, ChannelConfig};
use connect_proto_smol::Smol;
use smol::{Executor, block_on, future};

/// One test, since a machine of few cores runs few at a time, and these wait for most of theirs.
#[test]
fn close_tables() {
    let peers = (env!("CARGO_BIN_EXE_peer"), env!("CARGO_BIN_EXE_peer_http2"));
    let runtimes: Vec<_> = runtimes::each().collect();
    type Table = fn(Setting<'_>, Budget);
    let tables: [(Table, Budget); 3] = [
        (closing::http1, Budget::small_http1()),
        (closing::http2, Budget::small_http2()),
        (closing::dialling, Budget::small_http1()),
    ];
    let all: Vec<_> = runtimes.iter().flat_map(|runtime| tables.map(|table| (runtime, table))).collect();
    all_at_once(&all, |((name, runtime), (run, budget))| run(Setting { name, runtime, peers }, *budget));
}

/// The connection's task is woken and then does not get to run, as on a machine that is busy.
#[test]
fn a_drain_counts_from_the_close_also_when_the_connections_task_is_late() {
    let runtime = runtimes::named("tokio").expect("a runtime");
    let server = server::serve(&runtime, &["127.0.0.1".to_owned()]).remove(0);
    let drain = Duration::from_millis(300);

    let executor = Arc::new(Executor::new());
    let address = server.local_address().expect("a server has an address");
    let mut config = ChannelConfig::new(&format!("http://{address}"), "proto").expect("a URI");
    config.calls.limits.drain_http1.time = drain;
    let channel = Channel::new(Arc::new(Smol::on(executor.clone())), config);
    let mut receiver = channel.call(&server::silent()).server_stream("a request").expect("a call");
    let message = block_on(executor.run(receiver.recv())).expect("the stream goes on");
    assert!(message.is_some());

    // Wakes the task.
    assert!(block_on(future::poll_once(pin!(receiver.recv()))).is_none(), "the stream is silent");
    thread::sleep(Duration::from_millis(200));
    let begun = Instant::now();
    let end = block_on(executor.run(receiver.close()));
    assert_eq!(end.closed.reason, CloseReason::DrainTimedOut);
    let took = begun.elapsed();
    assert!(took >= drain, "{took:?}");
}
