//! What a [`Runtime`] promises, case by case.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use connect_proto::Instant;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::{sleep, spawn, within};
use crate::{Address, BoxStream, Listener, Peer, Runtime};

fn loopback(port: u16) -> Address {
    Address::Tcp { host: "127.0.0.1".into(), port }
}

fn port_of(address: &Address) -> u16 {
    match address {
        Address::Tcp { port, .. } => *port,
        Address::Unix(path) => panic!("{} has no port", path.display()),
    }
}

async fn listen(runtime: &dyn Runtime) -> (Box<dyn Listener>, Address) {
    let listener = runtime.listen(&loopback(0)).await.expect("a port is free");
    let address = listener.local_address().expect("a listener has an address");
    (listener, address)
}

async fn accept(listener: &mut dyn Listener) -> (BoxStream, Peer) {
    poll_fn(|cx| listener.poll_accept(cx)).await.expect("a connection comes in")
}

async fn pair(runtime: &dyn Runtime) -> (BoxStream, BoxStream) {
    let (mut listener, address) = listen(runtime).await;
    let client = runtime.connect(&address).await.expect("somebody listens");
    let (server, _) = accept(&mut *listener).await;
    (client, server)
}

/// A listener at port 0 tells which one it got, and who connects.
pub async fn accepts_at_a_port_of_its_choice(runtime: Arc<dyn Runtime>) {
    let (mut listener, address) = listen(&*runtime).await;
    assert_ne!(port_of(&address), 0);
    assert_ne!(address, listen(&*runtime).await.1);
    let _client = runtime.connect(&address).await.expect("somebody listens");
    let (_server, peer) = accept(&mut *listener).await;
    let from = peer.address.expect("TCP has addresses");
    assert!(from.ip().is_loopback() && from.port() != 0, "{from}");
}

/// A port is listened at once, and the error says where.
pub async fn a_taken_port_is_refused_by_name(runtime: Arc<dyn Runtime>) {
    let (_listener, address) = listen(&*runtime).await;
    let error = runtime.listen(&address).await.err().expect("the port is taken");
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}

/// Every address of a name is tried: `localhost` may be `::1` first.
pub async fn connects_by_host_name(runtime: Arc<dyn Runtime>) {
    let (mut listener, address) = listen(&*runtime).await;
    let by_name = Address::Tcp { host: "localhost".into(), port: port_of(&address) };
    let _client = runtime.connect(&by_name).await.expect("somebody listens");
    accept(&mut *listener).await;
}

/// A listener that is dropped has gone, and the error says where.
pub async fn connecting_where_nobody_listens_is_refused(runtime: Arc<dyn Runtime>) {
    let (listener, address) = listen(&*runtime).await;
    drop(listener);
    let error = runtime.connect(&address).await.err().expect("nobody listens");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}

/// More bytes than any buffer holds go both ways at once, unchanged.
pub async fn echoes_a_megabyte(runtime: Arc<dyn Runtime>) {
    let (client, server) = pair(&*runtime).await;
    let echo = spawn(&*runtime, async move {
        let (mut from, mut to) = tokio::io::split(server);
        tokio::io::copy(&mut from, &mut to).await.expect("the stream lasts");
        to.shutdown().await.expect("the stream lasts");
    });
    let sent: Vec<u8> = (0..1_000_003_u32).map(|i| (i % 251) as u8).collect();
    let (mut from, mut to) = tokio::io::split(client);
    let expected = sent.clone();
    let send = spawn(&*runtime, async move {
        to.write_all(&sent).await.expect("the stream lasts");
        to.shutdown().await.expect("the stream lasts");
    });
    let mut echoed = Vec::new();
    from.read_to_end(&mut echoed).await.expect("the stream lasts");
    assert!(echoed == expected, "{} bytes came back of {}", echoed.len(), expected.len());
    send.await;
    echo.await;
}

/// A vectored write takes more than its first slice, in order.
pub async fn writes_many_slices_at_once(runtime: Arc<dyn Runtime>) {
    let (mut client, mut server) = pair(&*runtime).await;
    assert!(client.is_write_vectored() && server.is_write_vectored());
    for stream in [&mut client, &mut server] {
        let mut left = 40;
        // A stream may cut a write where it likes, but not always after the first slice.
        let mut most_at_once = 0;
        while left > 0 {
            let bytes: Vec<u8> = (40 - left..40).collect();
            let slices: Vec<_> = bytes.chunks(4).map(IoSlice::new).collect();
            let written = poll_fn(|cx| Pin::new(&mut *stream).poll_write_vectored(cx, &slices)).await;
            let written = written.expect("the stream lasts");
            assert!(written > 0);
            most_at_once = most_at_once.max(written);
            left -= u8::try_from(written).expect("at most what was given");
        }
        assert!(most_at_once > 4);
    }
    for stream in [&mut server, &mut client] {
        let mut read = [0; 40];
        stream.read_exact(&mut read).await.expect("the stream lasts");
        assert!(read.iter().copied().eq(0..40), "{read:?}");
    }
}

/// Shutting down ends one direction: the peer reads the end and can still answer.
pub async fn a_half_closed_stream_still_receives(runtime: Arc<dyn Runtime>) {
    let (mut client, mut server) = pair(&*runtime).await;
    client.write_all(b"question").await.expect("the stream lasts");
    client.shutdown().await.expect("the stream lasts");
    let mut read = Vec::new();
    server.read_to_end(&mut read).await.expect("an orderly end");
    assert_eq!(read, b"question");
    server.write_all(b"answer").await.expect("the other direction is open");
    server.shutdown().await.expect("the other direction is open");
    read.clear();
    client.read_to_end(&mut read).await.expect("an orderly end");
    assert_eq!(read, b"answer");
    assert!(client.write_all(b"more").await.is_err(), "its sending side has ended");
}

/// A stream that is dropped with nothing unread ends for the peer, after what was written.
pub async fn dropping_a_stream_ends_it(runtime: Arc<dyn Runtime>) {
    let (mut client, mut server) = pair(&*runtime).await;
    client.write_all(b"last words").await.expect("the stream lasts");
    drop(client);
    let mut read = Vec::new();
    server.read_to_end(&mut read).await.expect("an orderly end");
    assert_eq!(read, b"last words");
    // Nobody is there to read: in the end a write fails.
    while server.write_all(b"anybody?").await.is_ok() {
        sleep(&*runtime, Duration::from_millis(1)).await;
    }
}

/// Who waits to accept is woken by a connection.
pub async fn a_waiting_accept_is_woken(runtime: Arc<dyn Runtime>) {
    let (mut listener, address) = listen(&*runtime).await;
    let accepted = spawn(&*runtime, async move { accept(&mut *listener).await });
    sleep(&*runtime, Duration::from_millis(20)).await;
    let mut client = runtime.connect(&address).await.expect("somebody listens");
    client.write_all(b"!").await.expect("the stream lasts");
    let (mut server, _) = accepted.await;
    assert_eq!(server.read_u8().await.expect("the stream lasts"), b'!');
}

/// A task runs to its end though nobody keeps a handle, and tasks may spawn more.
pub async fn spawned_tasks_run_unwatched(runtime: Arc<dyn Runtime>) {
    let (client, mut server) = pair(&*runtime).await;
    let inner = Arc::clone(&runtime);
    runtime.spawn(Box::pin(async move {
        let mut client = client;
        sleep(&*inner, Duration::from_millis(5)).await;
        inner.spawn(Box::pin(async move { client.write_all(b"done").await.expect("the stream lasts") }));
    }));
    let mut read = Vec::new();
    server.read_to_end(&mut read).await.expect("an orderly end");
    assert_eq!(read, b"done");
    let many: Vec<_> = (0..100).map(|i| spawn(&*runtime, async move { i })).collect();
    for (i, task) in many.into_iter().enumerate() {
        assert_eq!(task.await, i);
    }
}

/// No timer ends before its time, and one whose time is past is ready, each time it is asked.
pub async fn timers_end_in_order_and_not_early(runtime: Arc<dyn Runtime>) {
    let start = runtime.now();
    let tasks: Vec<_> = [30, 0, 10]
        .map(|millis| {
            let at = start.saturating_add(Duration::from_millis(millis));
            let inner = Arc::clone(&runtime);
            spawn(&*runtime, async move {
                let mut timer = inner.timer(at);
                poll_fn(|cx| timer.as_mut().poll(cx)).await;
                assert!(inner.now() >= at, "it ended early");
                assert!(timer.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
                inner.now()
            })
        })
        .into();
    let mut ended = Vec::new();
    for task in tasks {
        ended.push(task.await);
    }
    assert!(ended[1] <= ended[2] && ended[2] <= ended[0], "{ended:?}");
}

/// A timer is moved to later and to earlier, while it runs and after it has ended; who waits for it is woken then.
pub async fn a_timer_can_be_moved(runtime: Arc<dyn Runtime>) {
    let millis = Duration::from_millis;
    let start = runtime.now();
    let mut timer = runtime.timer(start.saturating_add(millis(5)));
    let mut polled = 0;
    poll_fn(|cx| {
        polled += 1;
        if timer.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if polled == 1 {
            timer.as_mut().reset(start.saturating_add(millis(40)));
        }
        Poll::Pending
    })
    .await;
    let ended = runtime.now();
    assert!(ended >= start.saturating_add(millis(40)), "it was moved to later");

    timer.as_mut().reset(ended.saturating_add(Duration::from_secs(3600)));
    let mut moved = false;
    poll_fn(|cx| {
        let ready = timer.as_mut().poll(cx);
        if !std::mem::replace(&mut moved, true) {
            assert!(ready.is_pending(), "it was moved after its end");
            timer.as_mut().reset(ended.saturating_add(millis(5)));
        }
        ready
    })
    .await;
    assert!(runtime.now() >= ended.saturating_add(millis(5)), "it was moved to earlier");
}

/// A timer may be as far away as time goes, and be moved back.
pub async fn a_timer_at_the_end_of_time_waits(runtime: Arc<dyn Runtime>) {
    let mut timer = runtime.timer(Instant::from_nanos(u64::MAX));
    let waited = within(&*runtime, Duration::from_millis(10), poll_fn(|cx| timer.as_mut().poll(cx))).await;
    assert_eq!(waited, None);
    timer.as_mut().reset(runtime.now());
    poll_fn(|cx| timer.as_mut().poll(cx)).await;
}

/// Who polled before and has lost interest does not stand in the way of who polls now.
pub async fn the_last_to_wait_is_woken(runtime: Arc<dyn Runtime>) {
    let nobody = || Context::from_waker(Waker::noop());
    let (mut listener, address) = listen(&*runtime).await;
    assert!(listener.poll_accept(&mut nobody()).is_pending());
    let accepted = spawn(&*runtime, async move { accept(&mut *listener).await.0 });
    sleep(&*runtime, Duration::from_millis(5)).await;
    let mut client = runtime.connect(&address).await.expect("somebody listens");
    let mut server = accepted.await;

    assert!(Pin::new(&mut server).poll_read(&mut nobody(), &mut ReadBuf::new(&mut [0])).is_pending());
    let read = spawn(&*runtime, async move { server.read_u8().await });
    sleep(&*runtime, Duration::from_millis(5)).await;
    client.write_all(b"!").await.expect("the stream lasts");
    assert_eq!(read.await.expect("the stream lasts"), b'!');

    let mut timer = runtime.timer(runtime.now().saturating_add(Duration::from_millis(5)));
    assert!(timer.as_mut().poll(&mut nobody()).is_pending());
    spawn(&*runtime, async move { poll_fn(|cx| timer.as_mut().poll(cx)).await }).await;
}
