//! Many calls at once on every runtime, with the server in a process of its own: a small version of what `crowd` runs.
//!
//! `cargo test -p close-table --test crowd -- --nocapture` shows the figures; `cargo run --release -p close-table --bin crowd`
//! those of ten thousand.

use std::time::Duration;

use close_table::budget::COMMAND;
use close_table::contended;
use close_table::crowd::Crowd;
use close_table::runtimes;
use connect_proto_async::Protocol;

const PROGRAM: &str = env!("CARGO_BIN_EXE_crowd");

fn crowds(protocol: Protocol, streams: usize, connections: u64) {
    for (name, runtime) in runtimes::each() {
        let crowd = Crowd { protocol, streams, drain: Some(Duration::from_millis(500)) };
        let report = crowd.run(&runtime, PROGRAM, &["serve", name]);
        println!("\n{name}:\n{report}");
        report.check();
        assert_eq!(report.connections, connections);
    }
}

#[test]
fn a_thousand_silent_streams_over_http2_end_within_the_drain_limit() {
    crowds(Protocol::Http2, 1000, 5);
}

/// As few as leave room in a usual limit of open files.
#[test]
fn hundreds_of_silent_streams_over_http1_end_within_the_drain_limit() {
    crowds(Protocol::Http1, 500, 500);
}

#[test]
fn closing_does_not_wait_while_a_hundred_streams_contend() {
    for (name, runtime) in runtimes::each() {
        let time = Duration::from_secs(1);
        let contended = contended::run(&runtime, PROGRAM, &["serve", name, "127.0.0.1"], time);
        println!("\n{name}:\n{contended}");
        let (median, longest) = (contended.closes[contended.closes.len() / 2], contended.closes.last());
        assert!(median < COMMAND, "{median:?}");
        assert!(longest.is_some_and(|longest| *longest < Duration::from_millis(500)), "{longest:?}");
    }
}
