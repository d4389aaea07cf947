//! The bodies over the checked-in corpus and over pseudo-random input.

use std::fs;

use super::TARGETS;
use super::seeds::corpus;

/// Runs a body and says which input failed it.
fn run(name: &str, body: fn(&[u8]), input: &[u8], origin: &str) {
    if let Err(panic) = std::panic::catch_unwind(|| body(input)) {
        eprintln!("{name} fails over {origin}: {input:?}");
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn the_corpus_runs() {
    for (name, body) in TARGETS.iter().copied() {
        let mut count = 0;
        for seed in fs::read_dir(corpus(name)).unwrap() {
            let path = seed.unwrap().path();
            run(name, body, &fs::read(&path).unwrap(), &path.display().to_string());
            count += 1;
        }
        assert!(count > 0, "no seeds for {name}");
    }
}

/// The simplest generator that will do (xorshift64*).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 33) as usize % bound.max(1)
    }
}

/// Fresh bytes, and seeds with some of their bytes changed.
#[test]
fn random_input_runs() {
    for (name, body) in TARGETS.iter().copied() {
        // One run of a pair is a hundred operations.
        let runs = if name == "pair" { 300 } else { 3000 };
        let seeds: Vec<Vec<u8>> =
            fs::read_dir(corpus(name)).unwrap().map(|seed| fs::read(seed.unwrap().path()).unwrap()).collect();
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        for round in 0..runs {
            let mut input = if round % 2 == 0 {
                seeds[random.below(seeds.len())].clone()
            } else {
                (0..random.below(200)).map(|_| random.next() as u8).collect()
            };
            for _ in 0..random.below(8) {
                let at = random.below(input.len());
                if let Some(byte) = input.get_mut(at) {
                    *byte = random.next() as u8;
                }
            }
            input.truncate(random.below(2 * input.len() + 1).max(1));
            run(name, body, &input, "random input");
        }
    }
}
