use super::super::seeds;
use super::*;

#[test]
fn whatever_may_happen_leaves_the_calls_in_order() {
    let mut tally = Tally::default();
    for seed in seeds(200) {
        tally += run(seed).tally;
    }
    println!("{tally}");
}

#[test]
fn a_run_can_be_had_again() {
    for seed in seeds(10) {
        assert_eq!(run(seed), run(seed));
    }
}
