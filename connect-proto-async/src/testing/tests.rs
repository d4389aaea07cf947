//! Tests of the simulation itself.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::suite::{self, Case, sleep, spawn, within};
use super::*;
use crate::{Address, BoxStream};

fn run(case: Case) {
    for seed in seeds(20) {
        for faults in [Faults::none(), Faults::harmless()] {
            let sim = Sim::new(seed);
            sim.set_faults(faults);
            sim.run(suite::run(sim.handle(), case));
            sim.run(sleep(&*sim.handle(), SETTLING));
            // A server that is dropped goes on accepting, in one task. Nothing else is left.
            let listeners = sim.census().listeners;
            assert_eq!(
                sim.census(),
                Census { tasks: listeners, listeners, ..Census::default() },
                "seed {seed}"
            );
        }
    }
}

/// How long connections may take to end when nobody needs them any more.
const SETTLING: Duration = Duration::from_secs(300);

crate::runtime_suite!(crate::testing::tests::run);

fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn at(n: u64) -> Instant {
    Instant::ORIGIN.saturating_add(millis(n))
}

fn somewhere(port: u16) -> Address {
    Address::Tcp { host: "server.example".into(), port }
}

async fn pair(runtime: &dyn Runtime) -> (BoxStream, BoxStream) {
    let mut listener = runtime.listen(&somewhere(0)).await.unwrap();
    let dialer = runtime.connect(&listener.local_address().unwrap()).await.unwrap();
    let (acceptor, _) = std::future::poll_fn(|cx| listener.poll_accept(cx)).await.unwrap();
    (dialer, acceptor)
}

/// What a panic says.
fn panic_of(act: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(act)).expect_err("it panics");
    panic.downcast_ref::<String>().cloned().unwrap_or_default()
}

/// Some tasks that echo, chat and wait on a network that has everything; the trace of it.
fn workload(seed: u64) -> (String, u64) {
    let sim = Sim::new(seed);
    sim.keep_trace();
    sim.set_faults(Faults::any());
    let runtime = sim.handle();
    sim.run(async {
        let mut listener = runtime.listen(&somewhere(80)).await.unwrap();
        let inner = Arc::clone(&runtime);
        runtime.spawn(Box::pin(async move {
            loop {
                let (mut stream, _) = std::future::poll_fn(|cx| listener.poll_accept(cx)).await.unwrap();
                inner.spawn(Box::pin(async move {
                    let mut buf = [0; 300];
                    while let Ok(read @ 1..) = stream.read(&mut buf).await {
                        if stream.write_all(&buf[..read]).await.is_err() {
                            return;
                        }
                    }
                }));
            }
        }));
        let clients: Vec<_> = (0..20)
            .map(|i| {
                let inner = Arc::clone(&runtime);
                let exchange = async move {
                    let mut stream = inner.connect(&somewhere(80)).await?;
                    stream.write_all(&vec![i; 5000]).await?;
                    stream.read_exact(&mut [0; 5000]).await
                };
                let inner = Arc::clone(&runtime);
                spawn(&*runtime, async move { within(&*inner, millis(20_000), exchange).await })
            })
            .collect();
        for client in clients {
            client.await;
        }
    });
    (sim.trace(), sim.fingerprint())
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..20 {
        assert_eq!(workload(seed), workload(seed));
    }
}

/// What runs on it is deterministic too: the order of no hash map shows in how a channel and a server work.
#[test]
fn the_same_seed_gives_the_same_calls() {
    let cases: [Case; 3] = [
        |runtime| Box::pin(suite::rpc::a_crowd_of_calls(runtime)),
        |runtime| Box::pin(suite::rpc::a_shutdown_ends_within_its_grace(runtime)),
        |runtime| Box::pin(suite::rpc::closing_never_waits(runtime)),
    ];
    for (seed, case) in (0..3).flat_map(|seed| cases.map(|case| (seed, case))) {
        let fingerprint = || {
            let sim = Sim::new(seed);
            sim.set_faults(Faults::harmless());
            sim.run(suite::run(sim.handle(), case));
            sim.fingerprint()
        };
        assert_eq!(fingerprint(), fingerprint(), "seed {seed}");
    }
}

#[test]
fn another_seed_gives_another_run() {
    let mut fingerprints: Vec<_> = (0..100).map(|seed| workload(seed).1).collect();
    fingerprints.sort_unstable();
    fingerprints.dedup();
    assert_eq!(fingerprints.len(), 100);
}

/// Of the seeds' runs each kind of fault is a part, each at the opening of a stream and further in.
#[test]
fn the_seeds_reach_every_fault() {
    let traces: String = (0..60).map(|seed| workload(seed).0).collect();
    for event in ["Stall", "BlackHole", "HalfClose", "Reset)", "Refused", "Unanswered"] {
        assert!(traces.matches(event).count() > 3, "{event}");
    }
}

/// Tasks that are ready together run in any order.
#[test]
fn the_seed_chooses_among_ready_tasks() {
    let mut orders = std::collections::HashSet::new();
    for seed in 0..200 {
        let sim = Sim::new(seed);
        let order = Arc::new(Mutex::new(Vec::new()));
        for i in 0..3 {
            let order = Arc::clone(&order);
            sim.handle().spawn(Box::pin(async move { order.lock().unwrap().push(i) }));
        }
        sim.run(sleep(&*sim.handle(), millis(1)));
        orders.insert(order.lock().unwrap().clone());
    }
    assert_eq!(orders.len(), 6);
}

#[test]
fn time_passes_only_while_nothing_is_ready() {
    let sim = Sim::new(1);
    let runtime = sim.handle();
    sim.run(async {
        assert_eq!(runtime.now(), Instant::ORIGIN);
        let long = spawn(&*runtime, {
            let runtime = Arc::clone(&runtime);
            async move { sleep(&*runtime, millis(7_200_000)).await }
        });
        sleep(&*runtime, millis(10)).await;
        assert_eq!(runtime.now(), at(10));
        long.await;
        assert_eq!(runtime.now(), at(7_200_000));
    });
    sim.assert_nothing_left();
}

#[test]
fn a_deadlock_panics_with_the_seed() {
    let sim = Sim::new(42);
    let message = panic_of(|| sim.run(std::future::pending()));
    assert!(message.contains("deadlock") && message.contains("seed: 42"), "{message}");
}

#[test]
fn a_livelock_panics_with_the_seed() {
    let sim = Sim::new(43);
    let message = panic_of(|| {
        sim.run(std::future::poll_fn(|cx| {
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        }));
    });
    assert!(message.contains("livelock") && message.contains("seed: 43"), "{message}");
}

#[test]
fn time_without_end_panics_with_the_seed() {
    let sim = Sim::new(44);
    let runtime = sim.handle();
    let message = panic_of(|| {
        sim.run(async {
            loop {
                sleep(&*runtime, millis(3_600_000)).await;
            }
        });
    });
    assert!(message.contains("longer") && message.contains("seed: 44"), "{message}");
}

#[test]
fn the_census_counts_what_is_there() {
    let sim = Sim::new(3);
    let runtime = sim.handle();
    let kept = Arc::new(Mutex::new(None));
    let (listener, streams, timer) = sim.run(async {
        let listener = runtime.listen(&somewhere(80)).await.unwrap();
        let streams = pair(&*runtime).await;
        let mut timer = runtime.timer(at(1000));
        let keep = Arc::clone(&kept);
        runtime.spawn(Box::pin(std::future::poll_fn(move |cx| {
            *keep.lock().unwrap() = Some(cx.waker().clone());
            Poll::Ready(())
        })));
        runtime.spawn(Box::pin(std::future::pending()));
        std::future::poll_fn(|cx| {
            assert!(timer.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        sleep(&*runtime, millis(1)).await;
        (listener, streams, timer)
    });
    let expected = Census { tasks: 1, streams: 2, listeners: 1, timers: 1, stale_wakers: 2 };
    assert_eq!(sim.census(), expected);
    assert!(panic_of(|| sim.assert_nothing_left()).contains("something is left"));
    drop((listener, streams, timer, kept.lock().unwrap().take()));
    assert_eq!(sim.census(), Census { tasks: 1, ..Census::default() });
}

/// A task that owns the runtime goes with the simulation.
#[test]
fn dropping_the_simulation_drops_its_tasks() {
    let sim = Sim::new(5);
    let alive = Arc::new(());
    let (held, runtime) = (Arc::clone(&alive), sim.handle());
    sim.handle().spawn(Box::pin(async move {
        let _held = held;
        sleep(&*runtime, millis(1_000_000)).await;
    }));
    sim.run(sleep(&*sim.handle(), millis(1)));
    drop(sim);
    assert_eq!(Arc::strong_count(&alive), 1);
}

mod faults;
