//! The invariants, over random operations on a client and a server.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::call::{Duplex, Kind};
use crate::testing::fuzz::{self, Op, World};

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![
        Just(Kind::Unary),
        Just(Kind::ClientStream),
        Just(Kind::ServerStream),
        Just(Kind::Bidi(Duplex::Half))
    ]
}

fn ops(codes: std::ops::Range<u8>) -> impl Strategy<Value = Vec<Op>> {
    vec((codes, any::<u16>()).prop_map(|(code, arg)| Op::from_numbers(code, arg)), 0..60)
}

fn run(kind: Kind, window: u64, ops: &[Op]) {
    let mut world = World::new(kind, window);
    world.apply(Op::Open { timeout: None });
    for op in ops {
        world.apply(*op);
    }
    world.finish();
}

proptest! {
    /// Whatever happens, in whatever order, with every fault.
    #[test]
    fn whatever_happens_the_rules_hold(kind in kinds(), window in 1u64..70_000, ops in ops(0..64)) {
        run(kind, window, &ops);
    }

    /// Over a transport that only delays and cuts, everything comes to an end at once, and nothing is lost.
    #[test]
    fn without_faults_nothing_is_lost(kind in kinds(), window in 1u64..70_000, ops in ops(0..58)) {
        run(kind, window, &ops);
    }

    /// Both sides only talk, over any transport.
    #[test]
    fn talking_gets_through(kind in kinds(), window in 1u64..2_000, ops in ops(8..20)) {
        run(kind, window, &ops);
    }

    #[test]
    fn cutting_changes_nothing(bytes in vec(any::<u8>(), 0..120), first in 0x80u8..0x84) {
        let mut data = vec![first];
        data.extend(bytes);
        fuzz::pair(&data);
    }
}
