//! What tokio's runtime does beyond what every runtime does.

use std::future::{Future, poll_fn};
use std::net::TcpListener;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use connect_proto::Instant;
use connect_proto_async::testing::suite::{sleep, spawn};
use connect_proto_async::{Listener, Runtime};
use connect_proto_tokio::Tokio;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// An executor that knows nothing of tokio.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(done) => return done,
            Poll::Pending => thread::park(),
        }
    }
}

/// Everything works for who awaits it outside of tokio, with a listener that comes from outside too.
#[test]
fn it_serves_other_executors() {
    let driver = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let tokio = Tokio::on(driver.handle().clone());
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let mut listener = tokio.std_listener(socket).expect("it listens");
    block_on(async {
        sleep(&tokio, Duration::from_millis(1)).await;
        let address = listener.local_address().expect("it has an address");
        let mut client = tokio.connect(&address).await.expect("somebody listens");
        let (mut server, _) = poll_fn(|cx| listener.poll_accept(cx)).await.expect("a connection comes in");
        let written = spawn(&tokio, async move { client.write_all(b"hello").await });
        let mut read = String::new();
        server.read_to_string(&mut read).await.expect("the stream lasts");
        assert_eq!(read, "hello");
        written.await.expect("the stream lasts");
        tokio.listen(&address).await.err().expect("the port is taken");
    });
}

/// One thread is enough, which the tasks share with who waits.
#[test]
fn it_runs_on_the_current_thread() {
    let driver = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    driver.block_on(async {
        let tokio = Tokio::current();
        let inner = tokio.clone();
        spawn(&tokio, async move { sleep(&inner, Duration::from_millis(5)).await }).await;
        assert!(
            tokio.now() >= Instant::ORIGIN.saturating_add(Duration::from_millis(5)),
            "its time begins with it"
        );
    });
}
