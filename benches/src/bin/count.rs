//! `count SCENARIO RUNS` runs a scenario so many times, for callgrind; `count` alone lists the scenarios.

use connect_proto_benches::{http2, scenario};

fn main() -> Result<(), String> {
    let all = || scenario::ALL.iter().chain(&http2::ALL);
    let mut args = std::env::args().skip(1);
    let Some(name) = args.next() else {
        all().for_each(|scenario| println!("{} {}", scenario.name, scenario.per.run()));
        return Ok(());
    };
    let scenario = all().find(|scenario| scenario.name == name).ok_or("no such scenario")?;
    let runs: usize = args.next().and_then(|runs| runs.parse().ok()).ok_or("how many runs?")?;
    let mut run = (scenario.new)();
    (0..runs).for_each(|_| run());
    Ok(())
}
