//! A crowd of calls at once on a runtime, with the server in a process of its own.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use connect_proto_async::testing::suite::{spawn, within};
use connect_proto_async::{Channel, ChannelConfig, Ending, Protocol, Receiver, Runtime};
use smol::block_on;

use crate::budget::median;
use crate::process::{Process, resident};
use crate::server;
use crate::text::show;

/// Addresses that the server listens at: a pair of addresses has one port for each connection.
const HOSTS: usize = 5;
/// Streams that are opened at the same time.
const RAMP: usize = 100;
/// Streams of a connection over HTTP/2. A server allows 250.
const PER_CONNECTION: usize = 200;

/// How long to wait for a stream's first message.
const PATIENCE: Duration = Duration::from_secs(10);

/// The crowd.
#[derive(Clone, Copy, Debug)]
pub struct Crowd {
    /// What is spoken.
    pub protocol: Protocol,
    /// How many streams.
    pub streams: usize,
    /// How long a closed one is drained; the default if none is given.
    pub drain: Option<Duration>,
}

/// What it came to.
#[derive(Clone, Debug)]
pub struct Report {
    crowd: Crowd,
    /// Connections that were made.
    pub connections: u64,
    opened: Duration,
    /// Resident memory before, with all streams open and after, in KiB.
    client: [u64; 3],
    server: [u64; 3],
    /// The durations of all `close()`.
    closes: Vec<Duration>,
    /// From the first `close()` to the first and to the last end.
    ended: (Duration, Duration),
    /// How long a closed call may take.
    pub limit: Duration,
    /// How many calls ended for which reason.
    pub reasons: BTreeMap<String, usize>,
    /// Handlers that the server still has a while later.
    pub left: usize,
}

impl Crowd {
    /// Starts a server process by a program and its arguments, which is to end in [`server::run`] with the hosts that follow;
    /// opens the streams, waits for the first message of each, and closes all.
    ///
    /// # Panics
    /// If a stream cannot be opened.
    #[must_use]
    pub fn run(self, runtime: &Arc<dyn Runtime>, program: &str, arguments: &[&str]) -> Report {
        let hosts: Vec<String> = (1..=HOSTS).map(|host| format!("127.0.0.{host}")).collect();
        let arguments: Vec<&str> =
            arguments.iter().copied().chain(hosts.iter().map(String::as_str)).collect();
        let mut server = Process::start(program, &arguments);
        let channels: Vec<Channel> =
            server.line().split(' ').map(|address| self.channel(runtime, address)).collect();
        let before = (resident(), number(&mut server, "resident"));
        let begun = Instant::now();
        let receivers = self.open(runtime, &channels);
        let opened = begun.elapsed();
        let open = (resident(), number(&mut server, "resident"));
        assert_eq!(number(&mut server, "work"), self.streams as u64, "all have a handler");

        let begun = Instant::now();
        let (endings, closes): (Vec<Ending>, Vec<Duration>) = receivers.into_iter().map(close).unzip();
        let (mut reasons, mut first) = (BTreeMap::new(), None);
        for ending in endings {
            let end = block_on(ending);
            first.get_or_insert(begun.elapsed());
            *reasons.entry(format!("{:?}", end.closed.reason)).or_insert(0) += 1;
        }
        let ended = (first.unwrap_or_default(), begun.elapsed());
        let left = until_idle(&mut server);
        let after = (resident(), number(&mut server, "resident"));
        Report {
            crowd: self,
            connections: channels.iter().map(|channel| channel.counters().dials).sum(),
            opened,
            client: [before.0, open.0, after.0],
            server: [before.1, open.1, after.1],
            closes,
            ended,
            limit: self.limit(),
            reasons,
            left,
        }
    }

    fn limit(self) -> Duration {
        let limits = connect_proto::call::Limits::default();
        self.drain.unwrap_or(match self.protocol {
            Protocol::Http2 => limits.drain_http2.time,
            _ => limits.drain_http1.time,
        })
    }

    fn channel(self, runtime: &Arc<dyn Runtime>, address: &str) -> Channel {
        let streams = self.streams.div_ceil(HOSTS);
        let mut config = ChannelConfig::new(&format!("http://{address}"), "proto").expect("a URI");
        config.pool.protocol = self.protocol;
        config.pool.max_http1_connections = streams;
        config.pool.http2_connections = streams.div_ceil(PER_CONNECTION);
        config.calls.limits.drain_http1.time = self.limit();
        config.calls.limits.drain_http2.time = self.limit();
        Channel::new(runtime.clone(), config)
    }

    /// Opens the streams, some at a time.
    fn open(self, runtime: &Arc<dyn Runtime>, channels: &[Channel]) -> Vec<Receiver> {
        let mut receivers = Vec::with_capacity(self.streams);
        while receivers.len() < self.streams {
            let batch: Vec<_> = channels
                .iter()
                .cycle()
                .take(RAMP.min(self.streams - receivers.len()))
                .map(|channel| {
                    let call = channel.call(&server::silent()).server_stream("a request");
                    let clock = runtime.clone();
                    spawn(&**runtime, async move {
                        let mut receiver = call.expect("a call");
                        // It waits in vain if the server has no file descriptor left for it.
                        let message =
                            within(&*clock, PATIENCE, receiver.recv()).await.expect("a message in time");
                        assert!(message.expect("the stream goes on").is_some(), "the stream has a message");
                        receiver
                    })
                })
                .collect();
            receivers.extend(batch.into_iter().map(block_on));
        }
        receivers
    }
}

fn close(receiver: Receiver) -> (Ending, Duration) {
    let begun = Instant::now();
    let ending = receiver.close();
    (ending, begun.elapsed())
}

fn number(process: &mut Process, what: &str) -> u64 {
    process.ask(what).parse().expect("a number")
}

/// The server learns of the ends a moment later.
fn until_idle(server: &mut Process) -> usize {
    let begun = Instant::now();
    loop {
        let left = number(server, "work");
        if left == 0 || begun.elapsed() > Duration::from_secs(5) {
            return left as usize;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

impl Report {
    /// Asserts that all calls were closed within their limit, and that nothing is left of them.
    ///
    /// # Panics
    /// If that is not so.
    pub fn check(&self) {
        assert_eq!(self.reasons, BTreeMap::from([("DrainTimedOut".to_owned(), self.crowd.streams)]));
        assert_eq!(self.left, 0, "handlers are left");
        let (first, last) = self.ended;
        assert!(first >= self.limit, "the first has ended after {first:?}");
        let slack = Duration::from_secs(1) + Duration::from_micros(500) * self.crowd.streams as u32;
        assert!(last < self.limit + slack, "the last has ended after {last:?}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { crowd: Crowd { protocol, streams, .. }, connections, opened, closes, .. } = self;
        writeln!(
            f,
            "  {streams} silent server streams over {protocol:?} on {connections} connections to {HOSTS} addresses, opened in \
             {}, {RAMP} at a time",
            show(*opened),
        )?;
        for (side, [before, open, after]) in [("client", self.client), ("server", self.server)] {
            let each = open.saturating_sub(before) as f64 / *streams as f64;
            writeln!(
                f,
                "  {side}: {each:.2} KiB of resident memory for each call ({before} KiB before, {open} KiB open, {after} KiB \
                 after)"
            )?;
        }
        let longest = closes.iter().max().copied().unwrap_or_default();
        writeln!(
            f,
            "  close(): {} for all, median {}, longest {}",
            show(closes.iter().sum()),
            show(median(closes.clone())),
            show(longest),
        )?;
        writeln!(
            f,
            "  ended after {} to {}, with a drain limit of {}: {:?}, handlers left: {}",
            show(self.ended.0),
            show(self.ended.1),
            show(self.limit),
            self.reasons,
            self.left,
        )
    }
}
