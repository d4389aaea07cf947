//! Closing while a hundred streams contend for their connection.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use connect_proto::call::Duplex;
use connect_proto::error::CloseReason;
use connect_proto_async::testing::suite::spawn;
use connect_proto_async::{Channel, ChannelConfig, Protocol, Runtime};
use smol::block_on;

use crate::process::Process;
use crate::server;
use crate::text::show;

/// Streams that send and receive as fast as they can.
const STREAMS: usize = 100;
/// Messages that a stream receives before it is closed and another takes its place.
const MESSAGES: usize = 50;

/// What was measured.
#[derive(Clone, Debug)]
pub struct Contended {
    /// The durations of all `close()`, the shortest first.
    pub closes: Vec<Duration>,
    /// From a `close()` to the end of its call, the shortest first.
    pub ends: Vec<Duration>,
    messages: u64,
    took: Duration,
}

/// What the streams share.
struct Work {
    channel: Channel,
    runtime: Arc<dyn Runtime>,
    until: Instant,
    messages: AtomicU64,
    measured: Mutex<Vec<(Duration, Duration)>>,
}

/// Starts a server process by a program and its arguments; keeps the streams going for a time, all on one connection, and
/// measures every `close()` in the midst of it.
///
/// # Panics
/// If a call fails, or ends in another way than drained.
#[must_use]
pub fn run(runtime: &Arc<dyn Runtime>, program: &str, arguments: &[&str], time: Duration) -> Contended {
    let mut server = Process::start(program, arguments);
    let mut config = ChannelConfig::new(&format!("http://{}", server.line()), "proto").expect("a URI");
    config.pool.protocol = Protocol::Http2;
    // Whatever is on its way when a stream is closed.
    config.calls.limits.drain_http2.bytes = 1 << 20;
    config.calls.limits.drain_http2.time = Duration::from_secs(30);
    let begun = Instant::now();
    let work = Arc::new(Work {
        channel: Channel::new(runtime.clone(), config),
        runtime: runtime.clone(),
        until: begun + time,
        messages: AtomicU64::new(0),
        measured: Mutex::default(),
    });
    let streams: Vec<_> = (0..STREAMS).map(|_| spawn(&**runtime, work.clone().repeat())).collect();
    streams.into_iter().for_each(block_on);
    let took = begun.elapsed();
    assert_eq!(work.channel.counters().dials, 1, "one connection for all");
    let measured = std::mem::take(&mut *work.measured.lock().unwrap_or_else(PoisonError::into_inner));
    let (mut closes, mut ends): (Vec<_>, Vec<_>) = measured.into_iter().unzip();
    closes.sort_unstable();
    ends.sort_unstable();
    Contended { closes, ends, messages: work.messages.load(Ordering::Relaxed), took }
}

impl Work {
    async fn repeat(self: Arc<Self>) {
        while Instant::now() < self.until {
            let measured = self.stream().await;
            self.measured.lock().unwrap_or_else(PoisonError::into_inner).push(measured);
        }
    }

    /// A stream, closed while its sender is at work.
    async fn stream(&self) -> (Duration, Duration) {
        let call = self.channel.call(&server::echo()).bidi(Duplex::Full);
        let (mut sender, mut receiver) = call.expect("a call");
        let message = Bytes::from(vec![7; 1024]);
        let sending =
            spawn(&*self.runtime, async move { while sender.send(message.clone()).await.is_ok() {} });
        for _ in 0..MESSAGES {
            let message = receiver.recv().await.expect("the stream goes on");
            assert!(message.is_some(), "it is not over");
        }
        let before = Instant::now();
        let ending = receiver.close();
        let in_close = before.elapsed();
        let end = ending.await;
        let until_end = before.elapsed();
        sending.await;
        assert_eq!(end.closed.reason, CloseReason::Drained);
        self.messages.fetch_add(MESSAGES as u64, Ordering::Relaxed);
        (in_close, until_end)
    }
}

impl Contended {
    /// The one that so many of a thousand are not longer than.
    fn quantile(all: &[Duration], of_thousand: usize) -> Duration {
        let at = (all.len() * of_thousand / 1000).min(all.len().saturating_sub(1));
        all.get(at).copied().unwrap_or_default()
    }
}

impl fmt::Display for Contended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "  {STREAMS} streams on one HTTP/2 connection, {} messages of 1 KiB in each direction in {}, {} closes",
            self.messages,
            show(self.took),
            self.closes.len(),
        )?;
        for (what, all) in [("close()", &self.closes), ("until the end", &self.ends)] {
            let [median, most, longest] = [500, 990, 1000].map(|of| show(Contended::quantile(all, of)));
            writeln!(f, "  {what}: median {median}, 99 of 100 within {most}, longest {longest}")?;
        }
        Ok(())
    }
}
