//! What a server does with its handlers, whatever its clients do.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use connect_proto::Instant;
use connect_proto::error::{CloseReason, Code, RpcError};

use super::host::MAX_BEGUN;
use crate::testing::Sim;
use crate::testing::suite::{sleep, spawn};
use crate::{
    Address, BoxFuture, BoxStream, Channel, ChannelConfig, Context, Listener, Procedure, Protocol, Router,
    Runtime, Server, ServerConfig, Timer,
};

const BOTH: [Protocol; 2] = [Protocol::Http1, Protocol::Http2];

fn procedure(name: &str) -> Procedure {
    Procedure::new(format!("/test.Service/{name}")).expect("a path")
}

async fn serve(runtime: &Arc<dyn Runtime>, router: Router, config: ServerConfig) -> Server {
    let address = Address::Tcp { host: "server.example".into(), port: 80 };
    Server::bind(runtime.clone(), &address, router, config).await.expect("a free port")
}

fn channel(runtime: &Arc<dyn Runtime>, protocol: Protocol, codec: &str) -> Channel {
    let mut config = ChannelConfig::new("http://server.example", codec).expect("a URI");
    config.pool.protocol = protocol;
    Channel::new(runtime.clone(), config)
}

/// Whoever keeps the context may ask when the answer has long gone out, and nobody has asked before.
#[test]
fn a_call_that_is_gone_has_ended_as_it_did() {
    for protocol in BOTH {
        let sim = Sim::new(7);
        let runtime = sim.handle();
        sim.run(async {
            let ends = Arc::new(Mutex::new(Vec::new()));
            let (tells, clock) = (ends.clone(), runtime.clone());
            let router =
                Router::new(["text"]).unary(&procedure("Leave"), move |context: Context, _: Bytes| {
                    let (tells, runtime) = (tells.clone(), clock.clone());
                    clock.spawn(Box::pin(async move {
                        sleep(&*runtime, Duration::from_secs(1)).await;
                        let ended = context.ended().await;
                        tells.lock().expect("no panic").push(ended);
                    }));
                    async { Ok(Bytes::new()) }
                });
            let server = serve(&runtime, router, ServerConfig::default()).await;
            let channel = channel(&runtime, protocol, "text");
            channel.call(&procedure("Leave")).unary("").await.expect("an answer");
            sleep(&*runtime, Duration::from_secs(2)).await;
            assert_eq!(*ends.lock().expect("no panic"), [CloseReason::Complete], "{protocol:?}");
            drop(server);
        });
    }
}

/// What never gets to a handler is no call that was begun, nor one too many.
#[test]
fn a_bad_request_takes_no_place_of_a_call() {
    for protocol in BOTH {
        let sim = Sim::new(7);
        let runtime = sim.handle();
        sim.run(async {
            let router = Router::new(["text"])
                .unary(&procedure("Echo"), |_: Context, message: Bytes| async move { Ok(message) });
            let mut config = ServerConfig::default();
            config.max_calls = Some(0);
            let server = serve(&runtime, router, config).await;
            let bad = channel(&runtime, protocol, "unknown");
            let error = bad.call(&procedure("Echo")).unary("").await.expect_err("it is bad");
            assert_ne!(error.code(), Code::ResourceExhausted, "{protocol:?}: {error:?}");
            let good = channel(&runtime, protocol, "text");
            let error = good.call(&procedure("Echo")).unary("").await.expect_err("it is one too many");
            assert_eq!(error.code(), Code::ResourceExhausted, "{protocol:?}");
            let counters = server.counters();
            assert_eq!((counters.calls, counters.calls_shed), (0, 1), "{protocol:?}");
        });
    }
}

/// What a handler leaves behind is its own as much as what it does.
#[test]
fn a_destructor_that_panics_costs_its_call_alone() {
    struct Panics;
    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("as it should");
        }
    }
    for protocol in BOTH {
        let sim = Sim::new(7);
        let runtime = sim.handle();
        sim.run(async {
            let router = Router::new(["text"])
                .unary(&procedure("Echo"), |_: Context, message: Bytes| async move { Ok(message) })
                .unary(&procedure("Wait"), |_: Context, _: Bytes| async move {
                    let _panics = Panics;
                    std::future::pending::<Result<Bytes, RpcError>>().await
                });
            let mut config = ServerConfig::default();
            config.calls.max_timeout = Some(Duration::from_secs(1));
            let server = serve(&runtime, router, config).await;
            let channel = channel(&runtime, protocol, "text");
            let error = channel.call(&procedure("Wait")).unary("").await.expect_err("it takes too long");
            assert_eq!(error.code(), Code::DeadlineExceeded, "{protocol:?}");
            channel.call(&procedure("Echo")).unary("").await.expect("an answer");
            assert_eq!(server.counters().connections, 1, "{protocol:?}");
        });
    }
}

/// Tells each poll of a task from the others.
#[derive(Debug)]
struct Counting {
    inner: Arc<dyn Runtime>,
    polls: Arc<AtomicUsize>,
}

impl Runtime for Counting {
    fn now(&self) -> Instant {
        self.inner.now()
    }

    fn timer(&self, at: Instant) -> Pin<Box<dyn Timer>> {
        self.inner.timer(at)
    }

    fn spawn(&self, mut task: BoxFuture<()>) {
        let polls = self.polls.clone();
        self.inner.spawn(Box::pin(poll_fn(move |cx| {
            polls.fetch_add(1, Ordering::Relaxed);
            task.as_mut().poll(cx)
        })));
    }

    fn connect(&self, address: &Address) -> BoxFuture<io::Result<BoxStream>> {
        self.inner.connect(address)
    }

    fn listen(&self, address: &Address) -> BoxFuture<io::Result<Box<dyn Listener>>> {
        self.inner.listen(address)
    }
}

/// However many calls come at once, other tasks have their turns in between.
#[test]
fn a_crowd_of_calls_does_not_hold_up_other_tasks() {
    let sim = Sim::new(7);
    let polls = Arc::new(AtomicUsize::new(0));
    let runtime: Arc<dyn Runtime> = Arc::new(Counting { inner: sim.handle(), polls: polls.clone() });
    sim.run(async {
        // How many handlers began in each poll.
        let begun = Arc::new(Mutex::new(BTreeMap::<usize, usize>::new()));
        let notes = begun.clone();
        let router = Router::new(["text"]).unary(&procedure("Echo"), move |_: Context, message: Bytes| {
            *notes.lock().expect("no panic").entry(polls.load(Ordering::Relaxed)).or_default() += 1;
            async move { Ok(message) }
        });
        let server = serve(&runtime, router, ServerConfig::default()).await;
        let channel = channel(&runtime, Protocol::Http2, "text");
        // So that the server has told how many streams it takes.
        channel.call(&procedure("Echo")).unary("").await.expect("an answer");
        let calls: Vec<_> = (0..200)
            .map(|_| {
                let call = channel.call(&procedure("Echo"));
                spawn(&*runtime, async move { call.unary("").await })
            })
            .collect();
        for call in calls {
            call.await.expect("an answer");
        }
        let begun = begun.lock().expect("no panic");
        assert_eq!(begun.values().sum::<usize>(), 201);
        let most = begun.values().max().copied().unwrap_or_default();
        assert!(most <= 2 * MAX_BEGUN, "{most} at once");
        drop(server);
    });
}
