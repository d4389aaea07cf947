//! The invariants, over random operations on a client and a server.

use std::ops::Range;

use http::Version;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::testing::fuzz::{self, Op, Setup, World};

pub(super) fn setup(version: Version, windows: Range<u32>) -> impl Strategy<Value = Setup> {
    let max_streams = prop_oneof![3 => Just(100_u32), 1 => Just(2)];
    (0_usize..4, windows, max_streams).prop_map(move |(first_kind, window, max_streams)| Setup {
        version,
        first_kind,
        window,
        max_streams,
    })
}

/// Operations by the numbers that [`Op::from_numbers`] gives them, each on one of the calls.
pub(super) fn ops(codes: impl Iterator<Item = u8>) -> impl Strategy<Value = Vec<(u8, Op)>> {
    let op = (0_u8..8, select(codes.collect::<Vec<u8>>()), any::<u16>());
    vec(op.prop_map(|(call, code, arg)| (call, Op::from_numbers(code, arg))), 0..60)
}

fn run(setup: Setup, ops: &[(u8, Op)]) {
    let open = (0, Op::Open { timeout: None, refused: false });
    World::play(setup, &[&[open], ops].concat());
}

fn http1(windows: Range<u32>) -> impl Strategy<Value = Setup> {
    setup(Version::HTTP_11, windows)
}

proptest! {
    /// Whatever happens, in whatever order, with every fault.
    #[test]
    fn whatever_happens_the_rules_hold(setup in http1(1..70_000), ops in ops(0..64)) {
        run(setup, &ops);
    }

    /// Over a transport that only delays and cuts, everything comes to an end at once, and nothing is lost.
    #[test]
    fn without_faults_nothing_is_lost(setup in http1(1..70_000), ops in ops(0..58)) {
        run(setup, &ops);
    }

    /// Both sides only talk, over any transport.
    #[test]
    fn talking_gets_through(setup in http1(1..2_000), ops in ops((8..20).chain(23..36).chain(37..47))) {
        run(setup, &ops);
    }

    #[test]
    fn cutting_changes_nothing(bytes in vec(any::<u8>(), 0..120), first in 0x80u8..0x84) {
        let mut data = vec![first];
        data.extend(bytes);
        fuzz::pair(&data);
    }
}
