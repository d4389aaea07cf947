//! What is asked of each server, and by whom: `h2load`, which shares no code with any of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::ROUNDS;
use crate::process::{Process, pinned};

/// A load.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    kind: Kind,
    /// Bytes of a message.
    pub(crate) size: usize,
    /// Messages of a call, in the direction that is measured.
    pub(crate) messages: usize,
    calls: usize,
    connections: usize,
    /// Calls at once on a connection: over HTTP/1.1 it is 1.
    streams: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Unary,
    ServerStream,
    ClientStream,
}

/// What is spoken to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Connect,
    Grpc,
}

pub(crate) const CASES: [Case; 12] = [
    Case::unary("unary/128/h1", 128, 40_000, 64, 1),
    Case::unary("unary/128/h2", 128, 60_000, 4, 16),
    Case::unary("unary/16k/h1", 16 << 10, 20_000, 64, 1),
    Case::unary("unary/16k/h2", 16 << 10, 20_000, 4, 16),
    Case::stream("server_stream/16/h1", Kind::ServerStream, 16, 10_000, 200, 1),
    Case::stream("server_stream/16/h2", Kind::ServerStream, 16, 10_000, 200, 4),
    Case::stream("server_stream/64k/h1", Kind::ServerStream, 64 << 10, 100, 60, 1),
    Case::stream("server_stream/64k/h2", Kind::ServerStream, 64 << 10, 100, 60, 4),
    Case::stream("client_stream/16/h1", Kind::ClientStream, 16, 10_000, 200, 1),
    Case::stream("client_stream/16/h2", Kind::ClientStream, 16, 10_000, 200, 4),
    Case::stream("client_stream/64k/h1", Kind::ClientStream, 64 << 10, 100, 60, 1),
    Case::stream("client_stream/64k/h2", Kind::ClientStream, 64 << 10, 100, 60, 4),
];

/// What a server did in the median round.
pub(crate) struct Measured {
    pub(crate) server: &'static str,
    pub(crate) cpu_per_call: Duration,
    pub(crate) calls_per_second: f64,
}

impl Case {
    const fn unary(
        name: &'static str,
        size: usize,
        calls: usize,
        connections: usize,
        streams: usize,
    ) -> Self {
        Case { name, kind: Kind::Unary, size, messages: 1, calls, connections, streams }
    }

    /// Eight calls at once.
    const fn stream(
        name: &'static str,
        kind: Kind,
        size: usize,
        messages: usize,
        calls: usize,
        streams: usize,
    ) -> Self {
        Case { name, kind, size, messages, calls, connections: 8 / streams, streams }
    }

    pub(crate) fn is_unary(&self) -> bool {
        self.kind == Kind::Unary
    }

    pub(crate) fn is_http1(&self) -> bool {
        self.name.ends_with("h1")
    }

    fn path(&self) -> &'static str {
        match self.kind {
            Kind::Unary => "/bench.Bench/Echo",
            Kind::ServerStream => "/bench.Bench/Source",
            Kind::ClientStream => "/bench.Bench/Sink",
        }
    }

    fn request(&self, protocol: Protocol) -> Vec<u8> {
        let message = vec![b'm'; self.size];
        match self.kind {
            Kind::Unary if protocol == Protocol::Connect => message,
            Kind::Unary => enveloped(&message),
            Kind::ServerStream => enveloped(format!("{} {}", self.messages, self.size).as_bytes()),
            Kind::ClientStream => enveloped(&message).repeat(self.messages),
        }
    }

    fn headers(&self, protocol: Protocol) -> [&'static str; 2] {
        match (protocol, self.kind) {
            (Protocol::Connect, Kind::Unary) => {
                ["content-type: application/proto", "connect-protocol-version: 1"]
            }
            (Protocol::Connect, _) => {
                ["content-type: application/connect+proto", "connect-protocol-version: 1"]
            }
            (Protocol::Grpc, _) => ["content-type: application/grpc", "te: trailers"],
        }
    }

    /// Runs the load once: calls per second.
    fn run(&self, server: &Process, request: &Path) -> f64 {
        let mut h2load = pinned(1, "h2load");
        h2load.arg(format!("--requests={}", self.calls)).arg(format!("--clients={}", self.connections));
        h2load.arg(format!("--max-concurrent-streams={}", self.streams));
        h2load.arg(if self.is_http1() { "--no-tls-proto=http/1.1" } else { "--no-tls-proto=h2c" });
        h2load.args(self.headers(server.protocol()).map(|header| format!("--header={header}")));
        h2load.arg("--data").arg(request).arg(format!("http://127.0.0.1:{}{}", server.port, self.path()));
        let output = h2load.output().expect("h2load, of Debian's package nghttp2-client");
        let said = String::from_utf8_lossy(&output.stdout);
        let all_went_well = format!("status codes: {} 2xx", self.calls);
        assert!(
            said.contains(&all_went_well),
            "{}: {said}{}",
            self.name,
            String::from_utf8_lossy(&output.stderr)
        );
        let rate = said.lines().find_map(|line| line.strip_prefix("finished in ")?.split(", ").nth(1));
        rate.and_then(|rate| rate.strip_suffix(" req/s")?.parse().ok()).expect("a rate")
    }
}

/// Puts a load on each of the servers in turn, and that for some rounds.
pub(crate) fn measure(case: &Case, servers: &[Process]) -> Vec<Measured> {
    let servers: Vec<&Process> = servers.iter().filter(|server| server.has(case)).collect();
    let requests = [Protocol::Connect, Protocol::Grpc].map(|protocol| RequestFile::new(case, protocol));
    // The round before the first one counts is there to warm up.
    let mut rounds: Vec<Vec<_>> = (0..=ROUNDS)
        .map(|_| {
            let run = |server: &&Process| {
                let before = server.cpu();
                let rate = case.run(server, &requests[server.protocol() as usize].0);
                (server.cpu() - before, rate)
            };
            servers.iter().map(run).collect()
        })
        .collect();
    rounds.remove(0);
    let of_server = |(at, server): (usize, &&Process)| {
        let cpu = median(rounds.iter().map(|round| round[at].0.as_secs_f64()));
        Measured {
            server: server.name,
            cpu_per_call: Duration::from_secs_f64(cpu / case.calls as f64),
            calls_per_second: median(rounds.iter().map(|round| round[at].1)),
        }
    };
    servers.iter().enumerate().map(of_server).collect()
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// What the calls of a case send, in a file, as `h2load` wants it.
struct RequestFile(PathBuf);

impl RequestFile {
    fn new(case: &Case, protocol: Protocol) -> Self {
        let name = case.name.replace('/', "-");
        let name = format!("connect-proto-bench-{}-{name}-{protocol:?}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::write(&path, case.request(protocol)).expect("a file");
        RequestFile(path)
    }
}

impl Drop for RequestFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn enveloped(message: &[u8]) -> Vec<u8> {
    let len = u32::try_from(message.len()).expect("a message's length");
    [&[0], len.to_be_bytes().as_slice(), message].concat()
}
