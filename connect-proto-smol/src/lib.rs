//! Clients and servers of the Connect RPC protocol, on smol.
//!
//! [`Smol`] is the [`Runtime`] that a [`Channel`] or a [`Server`] is given. All else is that of
//! [`connect_proto_async`], and the same on every runtime.
//!
//! ```
//! use std::sync::Arc;
//!
//! use bytes::Bytes;
//! use connect_proto_smol::{
//!     Channel, ChannelConfig, Context, Procedure, Router, Server, ServerConfig, Smol,
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! smol::block_on(async {
//!     let runtime = Arc::new(Smol::global());
//!     let echo = Procedure::new("/acme.v1.EchoService/Echo")?;
//!     let router = Router::new(["json"]).unary(&echo, |_: Context, message: Bytes| async move { Ok(message) });
//!     let address = "127.0.0.1:0".parse()?;
//!     let server = Server::bind(runtime.clone(), &address, router, ServerConfig::default()).await?;
//!
//!     let url = format!("http://{}", server.local_address().ok_or("the server has an address")?);
//!     let channel = Channel::new(runtime, ChannelConfig::new(&url, "json")?);
//!     assert_eq!(channel.call(&echo).unary("\"hello\"").await?.message, "\"hello\"");
//!     Ok(())
//! })
//! # }
//! ```
#![forbid(unsafe_code)]

pub use connect_proto_async::*;

mod net;

use std::fmt;
use std::future::Future;
use std::io;
use std::net::TcpListener;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};
use std::time::{Duration, Instant as StdInstant};

use smol::{Async, Executor};

pub use net::SmolListener;

/// smol, with the executor that tasks are spawned on.
///
/// Time begins when this value is made; a clone has the same origin.
#[derive(Clone)]
pub struct Smol {
    executor: Option<Arc<Executor<'static>>>,
    origin: StdInstant,
}

impl Smol {
    /// Spawns on smol's global executor, as [`smol::spawn`] does: it has its own threads, as many as `SMOL_THREADS` says.
    #[must_use]
    pub fn global() -> Self {
        Smol { executor: None, origin: StdInstant::now() }
    }

    /// Spawns on an executor, which the caller runs. A task that panics does so in the thread that runs it.
    #[must_use]
    pub fn on(executor: Arc<Executor<'static>>) -> Self {
        Smol { executor: Some(executor), ..Smol::global() }
    }

    /// Takes a listener of smol's.
    #[must_use]
    pub fn listener(&self, listener: Async<TcpListener>) -> SmolListener {
        SmolListener(listener)
    }

    /// Takes a listening socket that was made elsewhere, for instance by a service manager.
    ///
    /// # Errors
    /// What the system says.
    pub fn std_listener(&self, listener: TcpListener) -> io::Result<SmolListener> {
        Async::new(listener).map(SmolListener)
    }
}

impl fmt::Debug for Smol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Smol").field("global", &self.executor.is_none()).finish_non_exhaustive()
    }
}

impl Runtime for Smol {
    fn now(&self) -> Instant {
        Instant::ORIGIN.saturating_add(self.origin.elapsed())
    }

    fn timer(&self, at: Instant) -> Pin<Box<dyn Timer>> {
        Box::pin(SmolTimer { timer: smol::Timer::at(std_instant(self.origin, at)), origin: self.origin })
    }

    fn spawn(&self, task: BoxFuture<()>) {
        match &self.executor {
            Some(executor) => executor.spawn(task).detach(),
            None => smol::spawn(task).detach(),
        }
    }

    fn connect(&self, address: &Address) -> BoxFuture<io::Result<BoxStream>> {
        Box::pin(net::connect(self.clone(), address.clone()))
    }

    fn listen(&self, address: &Address) -> BoxFuture<io::Result<Box<dyn Listener>>> {
        Box::pin(net::listen(address.clone()))
    }
}

fn std_instant(origin: StdInstant, at: Instant) -> StdInstant {
    origin + Duration::from_nanos(at.as_nanos())
}

struct SmolTimer {
    timer: smol::Timer,
    origin: StdInstant,
}

impl Timer for SmolTimer {
    fn reset(mut self: Pin<&mut Self>, at: Instant) {
        let at = std_instant(self.origin, at);
        self.timer.set_at(at);
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<()> {
        // smol's timer is ready once only.
        if !self.timer.will_fire() {
            return Poll::Ready(());
        }
        Pin::new(&mut self.timer).poll(cx).map(|_| ())
    }
}

/// The README's code, compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
