//! What can go wrong on a connection, by the seed or by script.

use std::ops::Range;
use std::time::Duration;

use connect_proto::Instant;

/// An end of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Side {
    /// The one that connected.
    Dialer,
    /// The one that listened.
    Acceptor,
}

impl Side {
    /// The other end.
    #[must_use]
    pub fn peer(self) -> Side {
        match self {
            Side::Dialer => Side::Acceptor,
            Side::Acceptor => Side::Dialer,
        }
    }
}

/// A fault of one direction of a connection, for what an end writes from then on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing arrives for a while; then all of it does.
    Stall(Duration),
    /// Nothing ever arrives: no byte, no end and no reset. The buffer fills up.
    BlackHole,
    /// The direction ends in an orderly way (a FIN), and what is written afterwards vanishes: a proxy that gave up on it.
    HalfClose,
    /// Both ends lose the connection at once; what they have not read yet is gone.
    Reset,
}

/// How an attempt to connect goes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Dial {
    /// It is answered after a while: by the listener, or by a refusal if there is none.
    Answered(Duration),
    /// It is refused, whoever listens.
    Refused,
    /// Nobody ever answers.
    Unanswered,
}

/// What the network does by itself, as the seed chooses. Chances are out of 1000.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Faults {
    /// How many unread bytes a direction of a connection holds.
    pub capacity: usize,
    /// Whether reads and writes are cut short at any byte, and sometimes not ready at first.
    pub cut: bool,
    /// How long what is written takes to arrive.
    pub delay: Range<Duration>,
    /// Chance that a connection has faults of `kinds`, each after any number of bytes of either direction.
    pub faulty: u32,
    /// The faults of a faulty connection; it has one or two of them.
    pub kinds: Vec<Fault>,
    /// Chance that an attempt to connect is refused.
    pub refused: u32,
    /// Chance that an attempt to connect is never answered.
    pub unanswered: u32,
}

impl Faults {
    /// A perfect network: all at once, in one piece.
    #[must_use]
    pub fn none() -> Self {
        Faults {
            capacity: 64 * 1024,
            cut: false,
            delay: Duration::ZERO..Duration::ZERO,
            faulty: 0,
            kinds: Vec::new(),
            refused: 0,
            unanswered: 0,
        }
    }

    /// What any network does and no protocol may mind: small buffers, cut reads and writes, delays, short stalls.
    #[must_use]
    pub fn harmless() -> Self {
        Faults {
            capacity: 4 * 1024,
            cut: true,
            delay: Duration::ZERO..Duration::from_millis(20),
            faulty: 250,
            kinds: vec![Fault::Stall(Duration::from_millis(50)), Fault::Stall(Duration::from_millis(300))],
            ..Faults::none()
        }
    }

    /// Everything: a third of the connections have a fault, most of which break them.
    #[must_use]
    pub fn any() -> Self {
        Faults {
            faulty: 333,
            kinds: vec![
                Fault::Stall(Duration::from_secs(10)),
                Fault::BlackHole,
                Fault::HalfClose,
                Fault::Reset,
                Fault::Reset,
            ],
            refused: 50,
            unanswered: 20,
            ..Faults::harmless()
        }
    }

    pub(super) fn dial(&self, random: &mut Random) -> Dial {
        match random.below(1000) {
            chance if chance < self.refused as usize => Dial::Refused,
            chance if chance < (self.refused + self.unanswered) as usize => Dial::Unanswered,
            _ => Dial::Answered(random.within(&self.delay)),
        }
    }

    /// The faults of a new connection: whose writing, after how many bytes, which.
    pub(super) fn plan(&self, random: &mut Random) -> Vec<(Side, u64, Fault)> {
        if self.kinds.is_empty() || random.below(1000) >= self.faulty as usize {
            return Vec::new();
        }
        (0..=random.below(2))
            .map(|_| {
                let side = if random.below(2) == 0 { Side::Dialer } else { Side::Acceptor };
                // As likely within the first bytes as far into the stream.
                let magnitude = random.below(18);
                let after = random.below(1 << magnitude) as u64;
                let kind = random.below(self.kinds.len());
                (side, after, self.kinds[kind])
            })
            .collect()
    }
}

/// How a direction of a connection fares: what is written now arrives when?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Path {
    Open,
    /// Not before this time.
    Stalled(Instant),
    /// Never, though there is still somebody who should get it.
    BlackHole,
    /// Never, and the reader has seen the end.
    HalfClosed,
}

/// A small generator of random numbers (SplitMix64), the same on every machine.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Random(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number under `end`, which is not 0.
    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// A duration of a range; its start if it is empty.
    pub(super) fn within(&mut self, range: &Range<Duration>) -> Duration {
        let width = range.end.saturating_sub(range.start);
        if width.is_zero() {
            return range.start;
        }
        range.start + Duration::from_nanos(self.next() % u64::try_from(width.as_nanos()).unwrap_or(u64::MAX))
    }
}
