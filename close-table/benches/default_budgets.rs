//! The close tables on every runtime, with the default budgets: `cargo bench -p close-table --bench default_budgets`.

use close_table::budget::Budget;
use close_table::closing::{self, Setting};
use close_table::runtimes;

fn main() {
    let peers = (env!("CARGO_BIN_EXE_peer"), env!("CARGO_BIN_EXE_peer_http2"));
    for (name, runtime) in runtimes::each() {
        let setting = Setting { name, runtime: &runtime, peers };
        closing::http1(setting, Budget::default_http1());
        closing::http2(setting, Budget::default_http2());
        closing::dialling(setting, Budget::default_http1());
    }
}
