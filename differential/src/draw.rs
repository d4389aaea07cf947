//! Where the choices come from.

/// Choices: from the input while it lasts, then pseudo-random ones that the input decides (xorshift64*).
#[derive(Debug)]
pub(crate) struct Draw {
    input: Vec<u8>,
    at: usize,
    state: u64,
}

impl Draw {
    pub(crate) fn new(input: &[u8]) -> Self {
        let hash = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        Draw { input: input.to_vec(), at: 0, state: input.iter().fold(0xcbf2_9ce4_8422_2325, hash) | 1 }
    }

    fn byte(&mut self) -> u8 {
        if let Some(byte) = self.input.get(self.at) {
            self.at += 1;
            return *byte;
        }
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        (self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 56) as u8
    }

    /// A number below `bound`, or 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let mut number = usize::from(self.byte());
        let mut reach = 256;
        while reach < bound {
            number = number << 8 | usize::from(self.byte());
            reach <<= 8;
        }
        number % bound.max(1)
    }

    /// True once in `n` times.
    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == n - 1
    }

    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// A length: often small, sometimes up to `max`.
    pub(crate) fn length(&mut self, max: usize) -> usize {
        let reach = self.pick(&[1, 20, 600, 20_000, 70_000, 200 << 10]);
        self.below(reach.min(max) + 1)
    }
}
