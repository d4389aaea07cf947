//! Envelopes alone, of 16 B, 1 KiB, 64 KiB and 1 MiB: cut out of a body, and written.

use std::hint::black_box;

use bytes::{BufMut, Bytes, BytesMut};
use connect_proto::call::Chunk;
use connect_proto::wire::envelope::{Admit, Decoded, Decoder, Flags, PREFIX_LEN, Prefix};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const SIZES: [usize; 4] = [16, 1 << 10, 64 << 10, 1 << 20];
/// What one read brings.
const READ: usize = 16 << 10;

fn prefix(len: usize) -> [u8; PREFIX_LEN] {
    Prefix { flags: Flags::NONE, len: len as u32 }.write()
}

/// Envelopes of `len` bytes that fill a read, or one.
fn body(len: usize) -> (usize, Bytes) {
    let count = (READ / (PREFIX_LEN + len)).max(1);
    let mut body = BytesMut::new();
    for _ in 0..count {
        body.put_slice(&prefix(len));
        body.put_bytes(7, len);
    }
    (count, body.freeze())
}

fn drain(decoder: &mut Decoder, mut data: Bytes) -> usize {
    let mut found = 0;
    while let Ok(Some(Decoded::Envelope(envelope))) = decoder.decode(&mut data, |_| Ok::<_, ()>(Admit::Keep))
    {
        black_box(envelope);
        found += 1;
    }
    found
}

fn decode(c: &mut Criterion) {
    let mut group = c.benchmark_group("envelope_decode");
    for len in SIZES {
        let (count, body) = body(len);
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(BenchmarkId::new("whole", len), |b| {
            let mut decoder = Decoder::new();
            b.iter(|| assert_eq!(drain(&mut decoder, body.clone()), count));
        });
        group.bench_function(BenchmarkId::new("cut", len), |b| {
            // Reads that end inside of envelopes.
            let at = body.len() - len / 2;
            let mut decoder = Decoder::new();
            b.iter(|| {
                let found = drain(&mut decoder, body.slice(..at)) + drain(&mut decoder, body.slice(at..));
                assert_eq!(found, count);
            });
        });
    }
    group.finish();
}

fn encode(c: &mut Criterion) {
    let mut group = c.benchmark_group("envelope_encode");
    for len in SIZES {
        let payload = Bytes::from(vec![7; len]);
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::new("shared", len), |b| {
            b.iter(|| Chunk::with_prefix(prefix(black_box(len)), payload.clone()));
        });
        group.bench_function(BenchmarkId::new("copied", len), |b| {
            let mut out = Vec::new();
            b.iter(|| {
                out.clear();
                out.extend_from_slice(&prefix(black_box(len)));
                out.extend_from_slice(&payload);
                black_box(out.len())
            });
        });
    }
    group.finish();
}

criterion_group!(benches, decode, encode);
criterion_main!(benches);
