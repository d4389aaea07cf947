//! Streams of 10,000 messages of 16 B: sent and received by either side of a connection alone, and by both.

use connect_proto_benches::scenario::{ALL, Per};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn stream(c: &mut Criterion) {
    let mut group = c.benchmark_group("stream");
    for scenario in ALL.iter().filter(|scenario| scenario.per == Per::Message) {
        group.throughput(Throughput::Elements(scenario.per.run() as u64));
        let mut run = (scenario.new)();
        group.bench_function(scenario.name, |b| b.iter(&mut run));
    }
    group.finish();
}

criterion_group!(benches, stream);
criterion_main!(benches);
