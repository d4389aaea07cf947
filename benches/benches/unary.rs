//! Unary calls of 128 B each way: a server's call alone, either side of a connection alone, and both.

use connect_proto_benches::BareServer;
use connect_proto_benches::scenario::{ALL, Per};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};

fn unary(c: &mut Criterion) {
    let bare = BareServer::default();
    c.bench_function("unary_bare_server", |b| {
        b.iter_batched(|| bare.head(), |head| bare.call(head), BatchSize::SmallInput);
    });
    let calls = ALL.iter().filter(|scenario| scenario.per == Per::Call);
    for scenario in calls.filter(|scenario| scenario.name != "unary_bare_server") {
        let mut run = (scenario.new)();
        c.bench_function(scenario.name, |b| b.iter(&mut run));
    }
}

criterion_group!(benches, unary);
criterion_main!(benches);
