//! HTTP/2: our engine and the h2 crate on the same bytes, and calls over our engine.

use connect_proto_benches::http2::ALL;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn http2(c: &mut Criterion) {
    let mut group = c.benchmark_group("http2");
    for scenario in &ALL {
        group.throughput(Throughput::Elements(scenario.per.run() as u64));
        let mut run = (scenario.new)();
        group.bench_function(scenario.name, |b| b.iter(&mut run));
    }
    group.finish();
}

criterion_group!(benches, http2);
criterion_main!(benches);
