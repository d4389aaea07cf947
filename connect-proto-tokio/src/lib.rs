//! Clients and servers of the Connect RPC protocol, on tokio.
//!
//! [`Tokio`] is the [`Runtime`] that a [`Channel`] or a [`Server`] is given. All else is that of
//! [`connect_proto_async`], and the same on every runtime.
//!
//! ```
//! use std::sync::Arc;
//!
//! use bytes::Bytes;
//! use connect_proto_tokio::{
//!     Channel, ChannelConfig, Context, Procedure, Router, Server, ServerConfig, Tokio,
//! };
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let runtime = Arc::new(Tokio::current());
//! let echo = Procedure::new("/acme.v1.EchoService/Echo")?;
//! let router = Router::new(["json"]).unary(&echo, |_: Context, message: Bytes| async move { Ok(message) });
//! let address = "127.0.0.1:0".parse()?;
//! let server = Server::bind(runtime.clone(), &address, router, ServerConfig::default()).await?;
//!
//! let url = format!("http://{}", server.local_address().ok_or("the server has an address")?);
//! let channel = Channel::new(runtime, ChannelConfig::new(&url, "json")?);
//! assert_eq!(channel.call(&echo).unary("\"hello\"").await?.message, "\"hello\"");
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

pub use connect_proto_async::*;

#[cfg(unix)]
mod unix;

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{self, Poll, ready};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream, lookup_host};
use tokio::runtime::Handle;
use tokio::time::{Instant as TokioInstant, Sleep, sleep_until};

/// A tokio runtime, with its time and its I/O enabled.
///
/// Its futures, streams and timers may be awaited on another executor, as long as the tokio runtime runs. Time begins when
/// this value is made; a clone has the same origin.
#[derive(Clone, Debug)]
pub struct Tokio {
    handle: Handle,
    origin: TokioInstant,
}

impl Tokio {
    /// The runtime that the caller runs on.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn current() -> Self {
        Tokio::on(Handle::current())
    }

    /// The runtime of a handle.
    #[must_use]
    pub fn on(handle: Handle) -> Self {
        Tokio { handle, origin: TokioInstant::now() }
    }

    /// Takes a listener of tokio's.
    #[must_use]
    pub fn listener(&self, listener: TcpListener) -> TokioListener {
        TokioListener { listener, handle: self.handle.clone() }
    }

    /// Takes a listening socket that was made elsewhere, for instance by a service manager.
    ///
    /// # Errors
    /// What the system says.
    pub fn std_listener(&self, listener: std::net::TcpListener) -> io::Result<TokioListener> {
        listener.set_nonblocking(true)?;
        let _context = self.handle.enter();
        TcpListener::from_std(listener).map(|listener| self.listener(listener))
    }

    async fn listen_at(&self, address: &Address) -> io::Result<Box<dyn Listener>> {
        match address {
            Address::Tcp { host, port } => {
                let listener = TcpListener::bind((host.as_str(), *port)).await?;
                Ok(Box::new(self.listener(listener)))
            }
            #[cfg(unix)]
            Address::Unix(path) => unix::listen(path, &self.handle),
            _ => Err(unsupported()),
        }
    }

    /// Polls a future in the context of the runtime, whoever awaits it.
    fn inside<T>(&self, future: impl Future<Output = T> + Send + 'static) -> BoxFuture<T> {
        let handle = self.handle.clone();
        let mut future = Box::pin(future);
        Box::pin(poll_fn(move |cx| {
            let _context = handle.enter();
            future.as_mut().poll(cx)
        }))
    }
}

impl Runtime for Tokio {
    fn now(&self) -> Instant {
        Instant::ORIGIN.saturating_add(self.origin.elapsed())
    }

    fn timer(&self, at: Instant) -> Pin<Box<dyn Timer>> {
        let _context = self.handle.enter();
        Box::pin(TokioTimer { sleep: sleep_until(tokio_instant(self.origin, at)), origin: self.origin })
    }

    fn spawn(&self, task: BoxFuture<()>) {
        self.handle.spawn(task);
    }

    fn connect(&self, address: &Address) -> BoxFuture<io::Result<BoxStream>> {
        let (tokio, address) = (self.clone(), address.clone());
        self.inside(async move {
            connect(&tokio, &address).await.map_err(|error| with_context("connect to", &address, &error))
        })
    }

    fn listen(&self, address: &Address) -> BoxFuture<io::Result<Box<dyn Listener>>> {
        let (tokio, address) = (self.clone(), address.clone());
        self.inside(async move {
            tokio.listen_at(&address).await.map_err(|error| with_context("listen at", &address, &error))
        })
    }
}

fn tokio_instant(origin: TokioInstant, at: Instant) -> TokioInstant {
    origin + Duration::from_nanos(at.as_nanos())
}

async fn connect(tokio: &Tokio, address: &Address) -> io::Result<BoxStream> {
    match address {
        Address::Tcp { host, port } => {
            let addresses = lookup_host((host.as_str(), *port)).await?;
            let stream = connect_to_first(tokio, addresses, TcpStream::connect).await?;
            configure(&stream)?;
            Ok(Box::new(stream))
        }
        #[cfg(unix)]
        Address::Unix(path) => unix::connect(path).await,
        _ => Err(unsupported()),
    }
}

/// The silence after which a peer is probed, first and again: as Go has it.
const PROBE_AFTER: Duration = Duration::from_secs(15);

/// No delay of small writes, and probes that notice a peer whose machine is gone while the stream is silent.
fn configure(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let probes = TcpKeepalive::new().with_time(PROBE_AFTER).with_interval(PROBE_AFTER);
    SockRef::from(stream).set_tcp_keepalive(&probes)
}

fn unsupported() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "there are no such addresses here")
}

/// Says in the error what failed: the system names neither the deed nor the address.
fn with_context(deed: &str, address: &Address, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot {deed} {address}: {error}"))
}

pin_project_lite::pin_project! {
    struct TokioTimer {
        #[pin]
        sleep: Sleep,
        origin: TokioInstant,
    }
}

impl Timer for TokioTimer {
    fn reset(self: Pin<&mut Self>, at: Instant) {
        let this = self.project();
        this.sleep.reset(tokio_instant(*this.origin, at));
    }

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<()> {
        self.project().sleep.poll(cx)
    }
}

/// A TCP listener on tokio.
#[derive(Debug)]
pub struct TokioListener {
    listener: TcpListener,
    handle: Handle,
}

impl Listener for TokioListener {
    fn poll_accept(&mut self, cx: &mut task::Context<'_>) -> Poll<io::Result<(BoxStream, Peer)>> {
        let _context = self.handle.enter();
        let (stream, address) = ready!(self.listener.poll_accept(cx))?;
        // It fails for a peer that has gone already, which whoever reads will learn.
        let _ = configure(&stream);
        Poll::Ready(Ok((Box::new(stream), Peer::at(address))))
    }

    fn local_address(&self) -> io::Result<Address> {
        self.listener.local_addr().map(Address::from)
    }
}

/// The code of the documents, compiled with the tests.
#[cfg(doctest)]
mod documents {
    #[doc = include_str!("../../README.md")]
    struct Readme;

    #[doc = include_str!("../README.md")]
    struct CrateReadme;

    #[doc = include_str!("../../docs/guide.md")]
    struct Guide;

    #[doc = include_str!("../../docs/limits.md")]
    struct Limits;
}
