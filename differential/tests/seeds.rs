//! Some thousands of runs. `SEED=n` runs one alone, `SEEDS=n..m` others.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use connect_proto_differential::{Report, run};

fn seeds() -> std::ops::Range<u64> {
    let number = |text: &str| text.parse().expect("a number");
    if let Ok(seed) = std::env::var("SEED") {
        return number(&seed)..number(&seed) + 1;
    }
    match std::env::var("SEEDS") {
        Ok(range) => {
            let (first, end) = range.split_once("..").expect("a range");
            number(first)..number(end)
        }
        // Unoptimized, they take ten times as long.
        Err(_) => 0..if cfg!(debug_assertions) { 600 } else { 3000 },
    }
}

#[test]
fn both_engines_see_the_same() {
    let mut all = Report::default();
    let seeds = seeds();
    let count = seeds.end - seeds.start;
    for seed in seeds {
        let ran = catch_unwind(AssertUnwindSafe(|| run(&seed.to_le_bytes())));
        let report = ran.unwrap_or_else(|panic| {
            eprintln!("replay: SEED={seed} cargo test -p connect-proto-differential");
            resume_unwind(panic)
        });
        all.calls += report.calls;
        all.complete += report.complete;
        all.steps += report.steps;
        all.bytes += report.bytes;
    }
    println!("{all:?}");
    assert!(count < 500 || 3 * all.complete > all.calls, "too little is tested: {all:?}");
}

/// What `fuzz/` begins with.
#[test]
fn the_corpus_runs() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/differential");
    for seed in std::fs::read_dir(corpus).expect("a folder") {
        run(&std::fs::read(seed.expect("a file").path()).expect("bytes"));
    }
}
