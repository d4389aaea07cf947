//! A runtime of one thread and of nothing but std: it polls what was woken, and every millisecond whatever waits for a socket
//! or for a time. An event loop that somebody already has would tell what is ready instead of having everything looked at.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker, ready};
use std::thread::{self, Thread};
use std::time::{Duration, Instant as StdInstant};

use connect_proto::Instant;
use connect_proto_async::{Address, BoxFuture, BoxStream, Listener, Peer, Runtime, Timer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const TICK: Duration = Duration::from_millis(1);

/// The runtime; a clone is the same one.
#[derive(Clone)]
pub(crate) struct Mini(Arc<Shared>);

struct Shared {
    origin: StdInstant,
    thread: Thread,
    /// Tasks to poll.
    ready: Mutex<Vec<Arc<Task>>>,
    /// Those who wait for a socket or for a time.
    waiting: Mutex<Vec<Waker>>,
}

impl Mini {
    /// A runtime, to be [run](Self::run) on this thread.
    pub(crate) fn new() -> Self {
        Mini(Arc::new(Shared {
            origin: StdInstant::now(),
            thread: thread::current(),
            ready: Mutex::default(),
            waiting: Mutex::default(),
        }))
    }

    /// Runs everything until a future is done. What was spawned stops with it.
    pub(crate) fn run<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> T {
        let Mini(shared) = self;
        let result = Arc::new(Mutex::new(None));
        let place = result.clone();
        self.spawn(Box::pin(async move {
            let done = future.await;
            *lock(&place) = Some(done);
        }));
        loop {
            for task in take(&shared.ready) {
                task.poll();
            }
            if let Some(done) = lock(&result).take() {
                return done;
            }
            if lock(&shared.ready).is_empty() {
                thread::park_timeout(TICK);
            }
            take(&shared.waiting).into_iter().for_each(Waker::wake);
        }
    }
}

impl Runtime for Mini {
    fn now(&self) -> Instant {
        Instant::ORIGIN.saturating_add(self.0.origin.elapsed())
    }

    fn timer(&self, at: Instant) -> Pin<Box<dyn Timer>> {
        Box::pin(MiniTimer { at, runtime: self.clone() })
    }

    fn spawn(&self, task: BoxFuture<()>) {
        let (shared, work) = (self.0.clone(), Mutex::new(Some(task)));
        Arc::new(Task { work, is_ready: AtomicBool::new(false), shared }).wake();
    }

    fn connect(&self, address: &Address) -> BoxFuture<io::Result<BoxStream>> {
        let (shared, address) = (self.0.clone(), address.clone());
        let connected = Arc::new(Mutex::new(None));
        let place = connected.clone();
        // Without blocking, std can neither resolve a name nor connect.
        thread::spawn(move || {
            let stream = host_and_port(&address).and_then(TcpStream::connect);
            let stream = stream.map_err(|error| with_context("connect to", &address, &error));
            *lock(&place) = Some(stream);
        });
        Box::pin(async move {
            let stream = poll_fn(|cx| shared.poll(cx, || lock(&connected).take())).await?;
            Ok(Box::new(Socket::<TcpStream>::new(shared, stream)?) as BoxStream)
        })
    }

    fn listen(&self, address: &Address) -> BoxFuture<io::Result<Box<dyn Listener>>> {
        let listening = host_and_port(address).and_then(TcpListener::bind);
        let listening = listening.map_err(|error| with_context("listen at", address, &error));
        let shared = self.0.clone();
        Box::pin(async move {
            let socket = listening?;
            socket.set_nonblocking(true)?;
            Ok(Box::new(Socket { socket, shared }) as Box<dyn Listener>)
        })
    }
}

impl fmt::Debug for Mini {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mini")
    }
}

/// A future that runs by itself.
struct Task {
    /// `None` once it is done.
    work: Mutex<Option<BoxFuture<()>>>,
    /// Whether it is among those to poll.
    is_ready: AtomicBool,
    shared: Arc<Shared>,
}

impl Task {
    fn poll(self: Arc<Self>) {
        // From here on it may be woken anew.
        self.is_ready.store(false, Ordering::SeqCst);
        let waker = Waker::from(self.clone());
        let mut work = lock(&self.work);
        if let Some(future) = &mut *work
            && future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready()
        {
            *work = None;
        }
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        if !self.is_ready.swap(true, Ordering::SeqCst) {
            let shared = self.shared.clone();
            lock(&shared.ready).push(self);
            shared.thread.unpark();
        }
    }
}

impl Shared {
    /// Tries until it has something, once in each round of the loop.
    fn poll<T>(&self, cx: &Context<'_>, attempt: impl FnOnce() -> Option<T>) -> Poll<T> {
        attempt().map_or_else(
            || {
                lock(&self.waiting).push(cx.waker().clone());
                Poll::Pending
            },
            Poll::Ready,
        )
    }
}

struct MiniTimer {
    at: Instant,
    runtime: Mini,
}

impl Timer for MiniTimer {
    fn reset(mut self: Pin<&mut Self>, at: Instant) {
        self.at = at;
    }

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.runtime.0.poll(cx, || (self.runtime.now() >= self.at).then_some(()))
    }
}

/// A socket that does not block.
struct Socket<S> {
    socket: S,
    shared: Arc<Shared>,
}

impl Socket<TcpStream> {
    fn new(shared: Arc<Shared>, socket: TcpStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        Ok(Socket { socket, shared })
    }
}

impl<S> Socket<S> {
    fn poll<T>(&self, cx: &Context<'_>, attempt: impl FnOnce(&S) -> io::Result<T>) -> Poll<io::Result<T>> {
        self.shared.poll(cx, || match attempt(&self.socket) {
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                None
            }
            done => Some(done),
        })
    }
}

impl AsyncRead for Socket<TcpStream> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = ready!(Socket::poll(&self, cx, |mut socket| socket.read(buf.initialize_unfilled())))?;
        buf.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket<TcpStream> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Socket::poll(&self, cx, |mut socket| socket.write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Socket::poll(&self, cx, |mut socket| socket.write_vectored(slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.socket.shutdown(Shutdown::Write))
    }
}

impl Listener for Socket<TcpListener> {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(BoxStream, Peer)>> {
        let (stream, address) = ready!(self.poll(cx, TcpListener::accept))?;
        let stream = Socket::<TcpStream>::new(self.shared.clone(), stream)?;
        Poll::Ready(Ok((Box::new(stream), Peer::at(address))))
    }

    fn local_address(&self) -> io::Result<Address> {
        self.socket.local_addr().map(Address::from)
    }
}

fn host_and_port(address: &Address) -> io::Result<(&str, u16)> {
    match address {
        Address::Tcp { host, port } => Ok((host, *port)),
        _ => Err(io::ErrorKind::Unsupported.into()),
    }
}

fn with_context(deed: &str, address: &Address, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot {deed} {address}: {error}"))
}

fn take<T>(list: &Mutex<Vec<T>>) -> Vec<T> {
    std::mem::take(&mut *lock(list))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
