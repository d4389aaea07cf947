//! A soak on loopback: calls of every kind that end in every way, over connections of which some are cut, for as long as is
//! wanted. Fails if memory, sockets or handlers are left over, or if the books of client and server do not agree.
//!
//!     soak RUNTIME SECONDS [SEED]

use std::fs;
use std::future::poll_fn;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use close_table::{process, runtimes};
use connect_proto::call::Duplex;
use connect_proto_async::testing::suite::{sleep, spawn, within};
use connect_proto_async::{
    Address, Channel, ChannelConfig, Context, Procedure, Protocol, Requests, Responses, Router, RpcError,
    Runtime, Server, ServerConfig,
};
use smol::block_on;

/// Tasks that make calls, for each channel.
const CALLERS: usize = 8;
/// How often to look.
const INTERVAL: Duration = Duration::from_secs(10);
/// What the resident memory may grow by after the first third, in KiB: what an allocator keeps back is no leak.
const SLACK: u64 = 16 << 10;

/// Handlers that are not dropped.
static HANDLERS: AtomicUsize = AtomicUsize::new(0);
/// Calls that were begun.
static BEGUN: AtomicU64 = AtomicU64::new(0);

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let runtime = arguments.next().and_then(|name| runtimes::named(&name));
    let seconds = arguments.next().and_then(|seconds| seconds.parse().ok());
    let (Some(runtime), Some(seconds)) = (runtime, seconds) else {
        eprintln!("soak tokio|smol SECONDS [SEED]");
        return ExitCode::FAILURE;
    };
    let seed = arguments.next().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    block_on(soak(&runtime, Duration::from_secs(seconds), seed))
}

async fn soak(runtime: &Arc<dyn Runtime>, length: Duration, seed: u64) -> ExitCode {
    let fds_before = open_fds();
    let address = Address::Tcp { host: "127.0.0.1".into(), port: 0 };
    let server = Server::bind(runtime.clone(), &address, router(runtime), ServerConfig::default());
    let server = server.await.expect("a port is free");
    let direct = server.local_address().expect("it has an address").clone();
    let cut = cutting_forwarder(runtime, direct.clone(), seed).await;
    let channels: Vec<Channel> = [
        (&direct, Protocol::Http1),
        (&direct, Protocol::Http2),
        (&cut, Protocol::Http1),
        (&cut, Protocol::Http2),
    ]
    .into_iter()
    .map(|(address, protocol)| {
        let mut config = ChannelConfig::new(&format!("http://{address}"), "text").expect("a URI");
        config.pool.protocol = protocol;
        config.calls.limits.drain_http1.time = Duration::from_millis(500);
        config.calls.limits.drain_http2.time = Duration::from_millis(200);
        Channel::new(runtime.clone(), config)
    })
    .collect();

    let begun = Instant::now();
    let callers: Vec<_> = channels
        .iter()
        .flat_map(|channel| (0..CALLERS).map(move |_| channel))
        .zip(seed..)
        .map(|(channel, seed)| {
            let caller =
                Caller { runtime: runtime.clone(), channel: channel.clone(), random: Random::new(seed) };
            spawn(&**runtime, caller.run(begun + length))
        })
        .collect();
    let mut memory = Vec::new();
    while begun.elapsed() < length {
        sleep(&**runtime, INTERVAL.min(length)).await;
        memory.push(process::resident());
        println!(
            "{:>5} s  {:>9} calls  {:>6} KiB  {:>4} fds  {:>3} handlers  {:>3} connections",
            begun.elapsed().as_secs(),
            BEGUN.load(Ordering::Relaxed),
            process::resident(),
            open_fds(),
            HANDLERS.load(Ordering::Relaxed),
            server.connections()
        );
    }
    for caller in callers {
        caller.await;
    }
    for channel in &channels {
        channel.shutdown(Duration::from_secs(3)).await;
    }
    let report = server.shutdown(Duration::from_secs(5)).await;
    // The other ends of what was cut.
    sleep(&**runtime, Duration::from_secs(3)).await;

    let closed: u64 = channels.iter().map(|channel| channel.traffic().closes.total()).sum();
    let (calls, handled) = (server.counters().calls, server.traffic().closes);
    let mut failures = Vec::new();
    let mut check = |holds: bool, what: String| {
        println!("{} {what}", if holds { "ok  " } else { "FAIL" });
        if !holds {
            failures.push(what);
        }
    };
    let begun = BEGUN.load(Ordering::Relaxed);
    check(closed == begun, format!("every call has ended: {closed} of {begun}"));
    check(
        handled.total() >= calls,
        format!("the server has closed {} calls, of which {calls} had handlers", handled.total()),
    );
    check(calls <= begun, format!("no handler without a call: {calls} of {begun}"));
    let handlers = HANDLERS.load(Ordering::Relaxed);
    check(handlers == 0, format!("{handlers} handlers left"));
    check(report == Default::default(), format!("nothing was left to cut off: {report:?}"));
    // The listener of the forwarder, and what a runtime opens at its first use.
    let fds = open_fds();
    check(fds <= fds_before + 8, format!("{fds} file descriptors, {fds_before} before"));
    let (early, late) = (peak(&memory[..memory.len().div_ceil(3)]), peak(&memory));
    check(late <= early + SLACK, format!("memory: {late} KiB at most, {early} KiB in the first third"));
    println!("server {handled:?}");
    for channel in &channels {
        println!("{:?} {:?}", channel.counters(), channel.traffic().closes);
    }
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One that makes a call after the other.
struct Caller {
    runtime: Arc<dyn Runtime>,
    channel: Channel,
    random: Random,
}

impl Caller {
    async fn run(mut self, until: Instant) {
        while Instant::now() < until {
            BEGUN.fetch_add(1, Ordering::Relaxed);
            // How far to go, and then how to end.
            let steps = self.random.below(20);
            let limit = if self.random.below(3) == 0 { self.millis(200) } else { Duration::from_secs(5) };
            match self.random.below(4) {
                0 => {
                    let call = self.channel.call(&procedure("Echo")).timeout(limit);
                    let Ok(mut receiver) = call.open_unary(self.message()) else { continue };
                    if self.random.below(4) == 0 {
                        let _ = within(&*self.runtime, limit / 8, receiver.response()).await;
                        self.end(receiver).await;
                    } else {
                        let _ = receiver.response().await;
                    }
                }
                1 => {
                    let call = self.channel.call(&procedure("Count")).timeout(limit);
                    let Ok(mut receiver) = call.server_stream(self.message()) else { continue };
                    for _ in 0..steps {
                        self.dawdle().await;
                        if !matches!(receiver.recv().await, Ok(Some(_))) {
                            break;
                        }
                    }
                    self.end(receiver).await;
                }
                2 => {
                    let call = self.channel.call(&procedure("Join")).timeout(limit);
                    let Ok((mut sender, mut receiver)) = call.client_stream() else { continue };
                    for _ in 0..steps {
                        self.dawdle().await;
                        if sender.send(self.message()).await.is_err() {
                            break;
                        }
                    }
                    if self.random.below(3) > 0 {
                        let _ = sender.finish();
                        let _ = receiver.response().await;
                    } else {
                        self.end(receiver).await;
                    }
                }
                _ => {
                    let call = self.channel.call(&procedure("Chat")).timeout(limit);
                    let Ok((mut sender, mut receiver)) = call.bidi(Duplex::Half) else { continue };
                    for _ in 0..steps {
                        if sender.send(self.message()).await.is_err() {
                            break;
                        }
                    }
                    if self.random.below(2) == 0 {
                        let _ = sender.finish();
                    }
                    for _ in 0..self.random.below(20) {
                        self.dawdle().await;
                        let patience = self.millis(50);
                        let next = within(&*self.runtime, patience, receiver.recv()).await;
                        if !matches!(next, Some(Ok(Some(_)))) {
                            break;
                        }
                    }
                    self.end(receiver).await;
                }
            }
        }
    }

    /// Ends a call in one of the ways there are.
    async fn end(&mut self, mut receiver: connect_proto_async::Receiver) {
        match self.random.below(5) {
            0 => drop(receiver.close().await),
            1 => drop(receiver.close()),
            2 => drop(receiver.abort().await),
            3 => drop(receiver),
            _ => while matches!(receiver.recv().await, Ok(Some(_))) {},
        }
    }

    /// A reader or writer that is slow now and then.
    async fn dawdle(&mut self) {
        if self.random.below(10) == 0 {
            let pause = self.millis(20);
            sleep(&*self.runtime, pause).await;
        }
    }

    fn millis(&mut self, below: usize) -> Duration {
        Duration::from_millis(self.random.below(below) as u64)
    }

    /// Mostly small, at times larger than any window.
    fn message(&mut self) -> Bytes {
        let len = match self.random.below(50) {
            0 => 300_000,
            1..5 => 20_000,
            _ => self.random.below(200),
        };
        Bytes::from(vec![b'0' + self.random.below(10) as u8; len])
    }
}

fn procedure(name: &str) -> Procedure {
    Procedure::new(format!("/soak.v1.Soak/{name}")).expect("a path")
}

/// Counts a handler as long as it is there.
struct Handling;

impl Handling {
    fn begin() -> Self {
        HANDLERS.fetch_add(1, Ordering::Relaxed);
        Handling
    }
}

impl Drop for Handling {
    fn drop(&mut self) {
        HANDLERS.fetch_sub(1, Ordering::Relaxed);
    }
}

fn router(runtime: &Arc<dyn Runtime>) -> Router {
    let runtime = runtime.clone();
    Router::new(["text"])
        .unary(&procedure("Echo"), |_: Context, message: Bytes| async move {
            let _handling = Handling::begin();
            Ok(message)
        })
        .server_stream(&procedure("Count"), move |_: Context, message: Bytes, mut responses: Responses| {
            let runtime = runtime.clone();
            async move {
                let _handling = Handling::begin();
                for at in 0..100 {
                    if responses.send(message.clone()).await.is_err() {
                        break;
                    }
                    if at % 10 == 9 {
                        sleep(&*runtime, Duration::from_millis(1)).await;
                    }
                }
                Ok(())
            }
        })
        .client_stream(&procedure("Join"), |_: Context, mut requests: Requests| async move {
            let _handling = Handling::begin();
            let mut len = 0;
            while let Some(message) = requests.recv().await? {
                len += message.len();
            }
            Ok(Bytes::from(len.to_string()))
        })
        .bidi(
            &procedure("Chat"),
            Duplex::Half,
            |_: Context, mut requests: Requests, mut responses: Responses| async move {
                let _handling = Handling::begin();
                while let Some(message) = requests.recv().await? {
                    if responses.send(message).await.is_err() {
                        break;
                    }
                }
                Ok::<(), RpcError>(())
            },
        )
}

/// Forwards to a server, and cuts each connection after a while.
async fn cutting_forwarder(runtime: &Arc<dyn Runtime>, server: Address, seed: u64) -> Address {
    let mut listener =
        runtime.listen(&Address::Tcp { host: "127.0.0.1".into(), port: 0 }).await.expect("a port is free");
    let address = listener.local_address().expect("it has an address");
    let (accepting, mut random) = (runtime.clone(), Random::new(seed ^ 0xf0));
    runtime.spawn(Box::pin(async move {
        while let Ok((mut client, _)) = poll_fn(|cx| listener.poll_accept(cx)).await {
            let (runtime, server) = (accepting.clone(), server.clone());
            let life = Duration::from_millis(50 + random.below(3000) as u64);
            accepting.spawn(Box::pin(async move {
                if let Ok(mut upstream) = runtime.connect(&server).await {
                    let _ =
                        within(&*runtime, life, tokio::io::copy_bidirectional(&mut client, &mut upstream))
                            .await;
                }
            }));
        }
    }));
    address
}

fn open_fds() -> usize {
    fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

fn peak(memory: &[u64]) -> u64 {
    memory.iter().copied().max().unwrap_or_default()
}

/// Numbers that look random (xorshift).
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 16) % bound.max(1) as u64) as usize
    }
}
