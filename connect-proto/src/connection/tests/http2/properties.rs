//! The invariants, over random operations on a client and a server with several calls at once.

use http::Version;
use proptest::prelude::*;

use crate::connection::tests::properties::{ops, setup};
use crate::testing::fuzz::{Op, Setup, World, check_cuts, check_isolation};

/// Calls of every kind are open before anything happens.
fn run(calls: usize, setup: Setup, ops: &[(u8, Op)]) {
    let open = (0, Op::Open { timeout: None, refused: false });
    World::play(setup, &[&vec![open; calls], ops].concat());
}

fn http2(windows: std::ops::Range<u32>) -> impl Strategy<Value = Setup> {
    setup(Version::HTTP_2, windows)
}

proptest! {
    /// Whatever happens, in whatever order, with every fault.
    #[test]
    fn whatever_happens_the_rules_hold(calls in 1_usize..8, setup in http2(32..70_000), ops in ops(0..64)) {
        run(calls, setup, &ops);
    }

    /// Invariants 5, 7 and 11: over a transport that only delays and cuts, and while no time passes, each call ends as
    /// what was said on it alone decides, whatever becomes of the others.
    #[test]
    fn each_call_ends_as_it_decides_itself(
        calls in 1_usize..8,
        setup in http2(32..70_000),
        ops in ops((0..47).chain(49..60).chain(63..64)),
    ) {
        run(calls, setup, &ops);
    }

    /// The same without anything that spoils a call.
    #[test]
    fn talking_gets_through(
        calls in 1_usize..8,
        setup in http2(32..2_000),
        ops in ops((4..20).chain(23..36).chain(37..47).chain(50..58)),
    ) {
        run(calls, setup, &ops);
    }

    /// Invariant 1: time passes, is not told, or goes back.
    #[test]
    fn no_limit_is_extended(
        calls in 1_usize..4,
        setup in http2(32..2_000),
        ops in ops((0..4).chain(8..12).chain(18..23).chain(24..28).chain(35..50).chain(62..63)),
    ) {
        run(calls, setup, &ops);
    }

    /// Invariant 8.
    #[test]
    fn cutting_changes_nothing(setup in http2(32..5_000), ops in ops((0..4).chain(8..36))) {
        check_cuts(setup, &ops);
    }

    /// Invariant 7.
    #[test]
    fn what_happens_to_one_call_changes_no_other(setup in http2(32..5_000), ops in ops((6..37).chain(63..64))) {
        check_isolation(setup, &ops);
    }
}
