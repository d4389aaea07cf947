//! The close tables: what closing costs and leaves behind while the other side, a process of its own that shares no
//! code with this project, misbehaves over a real socket. Once with the default budgets and once with small ones.
//!
//! `cargo test -p close-table --test close_table -- --nocapture` shows them. The rows run at the same time, so the
//! whole takes little more than the default budget of 30 s.

#[allow(dead_code)]
#[path = "../../../connect-proto/examples/blocking.rs"]
mod blocking;
mod client;
mod client_http2;
mod server;

use close_table::budget::{Budget, all_at_once};

/// One test, since a machine of few cores runs few at a time, and these wait for most of theirs.
#[test]
fn close_tables() {
    let tables: [(fn(Budget), Budget); 6] = [
        (client::run, Budget::small_http1()),
        (server::run, Budget::small_http1()),
        (client::run, Budget::default_http1()),
        (server::run, Budget::default_http1()),
        (client_http2::run, Budget::small_http2()),
        (client_http2::run, Budget::default_http2()),
    ];
    all_at_once(&tables, |&(run, budget)| run(budget));
}
