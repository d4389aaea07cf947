//! The close tables on every runtime, with small budgets.
//!
//! `cargo test -p close-table --test runtimes -- --nocapture` shows them; `cargo bench -p close-table` those with the
//! default budgets.

use close_table::budget::Budget;
use close_table::closing::{self, Setting};
use close_table::runtimes;

/// One test, since a machine of few cores runs few at a time.
#[test]
fn close_tables() {
    let peers = (env!("CARGO_BIN_EXE_peer"), env!("CARGO_BIN_EXE_peer_http2"));
    for (name, runtime) in runtimes::each() {
        let setting = Setting { name, runtime: &runtime, peers };
        closing::http1(setting, Budget::small_http1());
        closing::http2(setting, Budget::small_http2());
        closing::dialling(setting, Budget::small_http1());
    }
}
