//! Asking a connection that has nothing to say: without a call, and with one that waits for the peer.

use connect_proto_benches::idle;
use criterion::{Criterion, criterion_group, criterion_main};

fn idle_poll(c: &mut Criterion) {
    let mut group = c.benchmark_group("idle_poll");
    let (mut client, mut server) = (idle::client(), idle::server());
    group.bench_function("client", |b| b.iter(|| idle::poll(&mut client)));
    group.bench_function("server", |b| b.iter(|| idle::poll(&mut server)));
    let (mut client, mut server) = (idle::waiting_client(), idle::waiting_server());
    group.bench_function("client_waiting", |b| b.iter(|| idle::poll(&mut client)));
    group.bench_function("server_waiting", |b| b.iter(|| idle::poll(&mut server)));
    group.finish();
}

criterion_group!(benches, idle_poll);
criterion_main!(benches);
