//! How often the core allocates. The bounds are what was reached: they are to be lowered, not raised.

use allocation_counter::measure;
use connect_proto::connection::{Connection, Role};
use connect_proto_benches::scenario::{ALL, Per};
use connect_proto_benches::{http2, idle};

#[test]
fn idle_polls_allocate_nothing() {
    fn check<R: Role>(mut connection: Connection<R>) {
        let allocated = measure(|| (0..10).for_each(|_| idle::poll(&mut connection)));
        assert_eq!((allocated.count_total, allocated.count_current), (0, 0));
    }
    check(idle::client());
    check(idle::server());
    check(idle::waiting_client());
    check(idle::waiting_server());
}

/// Allocations per unary call, or per stream of 10,000 messages.
const BOUNDS: [(&str, u64); 9] = [
    ("unary_bare_server", 1),
    ("unary_server", 3),
    ("unary_client", 5),
    ("unary_pair", 8),
    ("send_server", 43),
    ("receive_client", 137),
    ("send_client", 42),
    ("receive_server", 147),
    ("stream_pair", 180),
];

#[test]
fn calls_and_messages_allocate_within_bounds() {
    const RUNS: u64 = 100;
    for (scenario, (name, bound)) in ALL.iter().zip(BOUNDS) {
        assert_eq!(scenario.name, name);
        let mut run = (scenario.new)();
        (0..4).for_each(|_| run());
        let runs = if scenario.per == Per::Call { RUNS } else { 1 };
        let allocated = measure(|| (0..runs).for_each(|_| run()));
        let count = allocated.count_total.div_ceil(runs);
        println!("{name}: {count} allocations, {} B", allocated.bytes_total / runs);
        assert!(count <= bound, "{name}: {count} allocations, at most {bound} expected");
        // A run may use up what was made before it.
        assert!(allocated.count_current <= 0, "{name}: something is kept");
    }
}

/// Allocations per exchange, or per stream of 10,000 messages. h2's are for comparison.
const HTTP2_BOUNDS: [(&str, u64); 15] = [
    ("http2_server_128", 4),
    ("h2_server_128", 16),
    ("http2_server_16k", 4),
    ("h2_server_16k", 22),
    ("http2_client_128", 4),
    ("h2_client_128", 20),
    ("http2_client_16k", 4),
    ("h2_client_16k", 26),
    ("http2_send_stream", 18),
    ("h2_send_stream", 16),
    ("http2_send_merged", 4),
    ("h2_send_merged", 6),
    ("http2_receive_stream", 4),
    ("h2_receive_stream", 72),
    ("unary_server_http2", 4),
];

#[test]
fn http2_allocates_within_bounds() {
    const RUNS: u64 = 100;
    for (scenario, (name, bound)) in http2::ALL.iter().zip(HTTP2_BOUNDS) {
        assert_eq!(scenario.name, name);
        let mut run = (scenario.new)();
        (0..4).for_each(|_| run());
        let allocated = measure(|| (0..RUNS).for_each(|_| run()));
        let count = allocated.count_total.div_ceil(RUNS);
        println!("{name}: {count} allocations, {} B", allocated.bytes_total / RUNS);
        assert!(count <= bound, "{name}: {count} allocations, at most {bound} expected");
    }
}
