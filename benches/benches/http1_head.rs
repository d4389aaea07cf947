//! From the bytes of a request's head to the call it starts.

use std::hint::black_box;
use std::sync::Arc;

use bytes::BytesMut;
use connect_proto::call::Kind;
use connect_proto::connection::{ConnectionConfig, Notice, ServerConnection};
use connect_proto::http1;
use connect_proto::server::{MethodSpec, ServerConfig};
use connect_proto_benches::{CODEC, NOW};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};

const SEVEN_FIELDS: &str = "POST /connectrpc.eliza.v1.ElizaService/Say HTTP/1.1\r\n\
    host: 127.0.0.1:8080\r\n\
    content-type: application/proto\r\n\
    connect-protocol-version: 1\r\n\
    connect-timeout-ms: 10000\r\n\
    accept-encoding: gzip\r\n\
    user-agent: connect-go/1.21.1 (go1.26)\r\n\
    content-length: 128\r\n\r\n";

const BROWSER: &str = "POST /connectrpc.eliza.v1.ElizaService/Say HTTP/1.1\r\n\
    Host: api.example.com\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0\r\n\
    Accept: */*\r\n\
    Accept-Language: en-US,en;q=0.5\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Referer: https://app.example.com/\r\n\
    connect-protocol-version: 1\r\n\
    content-type: application/proto\r\n\
    Content-Length: 128\r\n\
    Origin: https://app.example.com\r\n\
    Sec-GPC: 1\r\n\
    Connection: keep-alive\r\n\
    Sec-Fetch-Dest: empty\r\n\
    Sec-Fetch-Mode: cors\r\n\
    Sec-Fetch-Site: same-site\r\n\
    Priority: u=4\r\n\r\n";

fn head(c: &mut Criterion) {
    let (config, server) = (ConnectionConfig::default(), Arc::new(ServerConfig::default()));
    let spec = MethodSpec::new(Kind::Unary, &Arc::from([CODEC.to_owned()]));
    let mut group = c.benchmark_group("http1_head");
    for (name, head) in [("7_fields", SEVEN_FIELDS), ("browser", BROWSER)] {
        let read = || {
            let mut read = BytesMut::with_capacity(16 << 10);
            read.extend_from_slice(head.as_bytes());
            read
        };
        group.bench_function(format!("{name}/event"), |b| {
            let setup = || (http1::Server::new(NOW, Arc::new(config.http1.clone())), read());
            let run = |(machine, read): &mut (http1::Server, BytesMut)| {
                machine.handle_read(NOW, read);
                black_box(machine.poll_event()).is_some()
            };
            b.iter_batched_ref(setup, run, BatchSize::SmallInput);
        });
        group.bench_function(format!("{name}/call"), |b| {
            let setup = || (ServerConnection::new(NOW, &config), read());
            let run = |(connection, read): &mut (ServerConnection, BytesMut)| {
                connection.handle_read(NOW, read);
                let Some(Notice::Incoming(id)) = connection.poll_ready() else { panic!("no head") };
                assert!(connection.start(NOW, id, &server, &spec));
            };
            b.iter_batched_ref(setup, run, BatchSize::SmallInput);
        });
    }
    group.finish();
}

criterion_group!(benches, head);
criterion_main!(benches);
