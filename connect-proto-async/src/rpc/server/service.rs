//! A server: its accept loop, its connections, and how it shuts down.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use connect_proto::connection::{ConnectionConfig, Server as ServerRole, ServerConnection};
use connect_proto::server as core;

use super::Router;
#[cfg(feature = "tls")]
use super::handshake::handshake;
use super::host::Host;
use crate::driver::alarm::within;
use crate::driver::pool::Protocol;
use crate::driver::runtime::{Address, BoxStream, Listener, Peer, Runtime, Timer};
use crate::driver::shared::{BACKSTOP, Shared};
use crate::driver::task::Task;
use crate::driver::traffic::{Meter, Traffic};
use crate::trace;

/// How long to wait after an accept has failed: at first, and at most.
const MIN_PAUSE: Duration = Duration::from_millis(5);
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// What a server may cost. `None` means unlimited, 0 means 0.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerConfig {
    /// The limits of each connection: how long a head may take, how long it may be idle, and so on.
    pub connection: ConnectionConfig,
    /// What the calls have in common: compressions, the limits of each call, the longest timeout.
    pub calls: core::ServerConfig,
    /// Connections at once. One more is closed as soon as it was accepted, so that its client hears of it at once, as
    /// unavailable, and can go elsewhere. 10,000.
    pub max_connections: Option<usize>,
    /// Calls at once, over all connections. What is beyond is refused with `resource_exhausted`. Unlimited.
    pub max_calls: Option<usize>,
    /// How long a connection takes new calls, so that a load balancer gets to place its clients anew. Unlimited.
    pub max_connection_age: Option<Duration>,
    /// How long the calls of such a connection may still take. 30 s.
    pub max_connection_age_grace: Duration,
    /// How TLS is spoken. Not at all by default.
    #[cfg(feature = "tls")]
    pub tls: Option<crate::tls::ServerTls>,
    /// How long the TLS handshake of a connection may take. 10 s.
    #[cfg(feature = "tls")]
    pub tls_handshake_timeout: Duration,
}

impl Default for ServerConfig {
    fn default() -> Self {
        ServerConfig {
            connection: ConnectionConfig::default(),
            calls: core::ServerConfig::default(),
            max_connections: Some(10_000),
            max_calls: None,
            max_connection_age: None,
            max_connection_age_grace: Duration::from_secs(30),
            #[cfg(feature = "tls")]
            tls: None,
            #[cfg(feature = "tls")]
            tls_handshake_timeout: Duration::from_secs(10),
        }
    }
}

/// A server that is at work: a handle, cheap to clone. Dropping it leaves the server running.
#[derive(Clone, Debug)]
pub struct Server {
    service: Arc<Service>,
}

/// What a server has done so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct ServerCounters {
    /// Connections that were taken.
    pub connections: u64,
    /// Connections that were closed at once, since there were too many.
    pub connections_shed: u64,
    /// Times that accepting failed.
    pub accept_errors: u64,
    /// TLS handshakes that failed or took too long.
    #[cfg(feature = "tls")]
    pub tls_failures: u64,
    /// Calls whose handlers were begun.
    pub calls: u64,
    /// Calls that were refused since there were too many at once.
    pub calls_shed: u64,
}

/// What a [shutdown](Server::shutdown) had to cut off.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Calls whose handlers were at work when the grace was over.
    pub calls_cut: usize,
    /// Connections that were open then.
    pub connections_cut: usize,
}

/// What the accept loop, the connections and the handles share.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) runtime: Arc<dyn Runtime>,
    pub(super) router: Router,
    pub(super) config: ServerConfig,
    /// Its `calls`, shared with each of them.
    pub(super) call_config: Arc<core::ServerConfig>,
    address: Option<Address>,
    crowd: Mutex<Crowd>,
    /// Calls whose handlers are at work.
    at_work: AtomicUsize,
    meter: Arc<Meter>,
    calls: AtomicU64,
    calls_shed: AtomicU64,
    accept_errors: AtomicU64,
    #[cfg(feature = "tls")]
    tls_failures: AtomicU64,
}

/// The connections.
#[derive(Debug, Default)]
struct Crowd {
    connections: BTreeMap<u64, Stage>,
    taken: u64,
    shed: u64,
    is_stopping: bool,
    acceptor: Acceptor,
    /// Those who wait for the last connection to end.
    watchers: Vec<Waker>,
}

/// The accept loop, with its listener.
#[derive(Debug)]
enum Acceptor {
    /// It waits while nobody comes.
    Open(Option<Waker>),
    Closed,
}

impl Default for Acceptor {
    fn default() -> Self {
        Acceptor::Open(None)
    }
}

impl Acceptor {
    fn take_waker(&mut self) -> Option<Waker> {
        match self {
            Acceptor::Open(waker) => waker.take(),
            Acceptor::Closed => None,
        }
    }
}

/// How far a connection is.
#[derive(Debug)]
enum Stage {
    /// There is nothing on it yet that the server would have to wait for. Its task is woken when the server stops.
    New(Option<Waker>),
    Open(Arc<Shared<ServerRole>>),
}

/// The place of a call among those at work.
#[derive(Debug)]
pub(super) struct Permit(Arc<Service>);

impl Server {
    /// Listens at an address and serves: see [`start`](Server::start).
    ///
    /// # Errors
    /// What the system says against listening there.
    pub async fn bind(
        runtime: Arc<dyn Runtime>,
        address: &Address,
        router: Router,
        config: ServerConfig,
    ) -> io::Result<Server> {
        let listener = runtime.listen(address).await?;
        Ok(Server::start(runtime, listener, router, config))
    }

    /// Serves what a listener accepts, in tasks of the runtime, until it is [shut down](Server::shutdown). Over HTTP/1.1
    /// and, by prior knowledge, HTTP/2: the client's first bytes tell, if it has not been agreed on with TLS.
    pub fn start(
        runtime: Arc<dyn Runtime>,
        listener: Box<dyn Listener>,
        router: Router,
        config: ServerConfig,
    ) -> Server {
        let service = Arc::new(Service {
            address: listener.local_address().ok(),
            runtime,
            router,
            call_config: Arc::new(config.calls.clone()),
            config,
            crowd: Mutex::default(),
            at_work: AtomicUsize::new(0),
            meter: Arc::default(),
            calls: AtomicU64::new(0),
            calls_shed: AtomicU64::new(0),
            accept_errors: AtomicU64::new(0),
            #[cfg(feature = "tls")]
            tls_failures: AtomicU64::new(0),
        });
        let accept = Accept { listener, pause: None, service: AcceptorMembership(service.clone()) };
        service.runtime.spawn(Box::pin(accept));
        Server { service }
    }

    /// The address that it listens at, with the port that was chosen if none was given; `None` if the system does not say.
    #[must_use]
    pub fn local_address(&self) -> Option<&Address> {
        self.service.address.as_ref()
    }

    /// What it has done so far.
    #[must_use]
    pub fn counters(&self) -> ServerCounters {
        let service = &self.service;
        let (connections, connections_shed) = {
            let crowd = service.crowd();
            (crowd.taken, crowd.shed)
        };
        ServerCounters {
            connections,
            connections_shed,
            accept_errors: service.accept_errors.load(Ordering::Relaxed),
            #[cfg(feature = "tls")]
            tls_failures: service.tls_failures.load(Ordering::Relaxed),
            calls: service.calls.load(Ordering::Relaxed),
            calls_shed: service.calls_shed.load(Ordering::Relaxed),
        }
    }

    /// What its connections have carried so far.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.service.meter.traffic()
    }

    /// Connections that are open.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.service.crowd().connections.len()
    }

    /// Calls whose handlers are at work.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.service.at_work.load(Ordering::Relaxed)
    }

    /// Stops: accepts no more connections and no more calls, waits until the calls under way have ended, for `grace` at
    /// most, cuts off what is left then, and says how much that was. The listener is closed when it returns.
    ///
    /// Clients over HTTP/2 are told first, so that no call is lost that was on its way; over HTTP/1.1 a connection closes
    /// after its call. Calls that are cut off end with a reset. A dropped future has stopped the server all the same, and
    /// what is left is then cut off a second late.
    pub async fn shutdown(&self, grace: Duration) -> ShutdownReport {
        let service = &self.service;
        service.stop(grace.saturating_add(BACKSTOP));
        let emptied = poll_fn(|cx| service.poll_ended(cx));
        if within(&*service.runtime, grace, emptied).await.is_some() {
            return ShutdownReport::default();
        }
        let calls_cut = service.at_work.load(Ordering::Relaxed);
        let cut = service.crowd().open();
        cut.iter().for_each(|connection| connection.sever());
        // Nothing is left that could take long: no socket, no handler.
        poll_fn(|cx| service.poll_ended(cx)).await;
        ShutdownReport { calls_cut, connections_cut: cut.len() }
    }

    /// Ready when the server has been shut down and its last connection has ended.
    pub async fn ended(&self) {
        poll_fn(|cx| self.service.poll_ended(cx)).await;
    }
}

impl Service {
    fn crowd(&self) -> MutexGuard<'_, Crowd> {
        self.crowd.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a call in; `None` if there are too many.
    pub(super) fn admit(self: &Arc<Self>) -> Option<Permit> {
        let at_work = self.at_work.fetch_add(1, Ordering::Relaxed);
        // Gives its place back if it is one too many.
        let permit = Permit(self.clone());
        let admitted = self.config.max_calls.is_none_or(|max| at_work < max);
        let counter = if admitted { &self.calls } else { &self.calls_shed };
        counter.fetch_add(1, Ordering::Relaxed);
        admitted.then_some(permit)
    }

    /// Serves a connection in a task of its own, or closes it if there are too many.
    fn serve(self: &Arc<Self>, stream: BoxStream, peer: Peer) {
        let Some(membership) = self.enter() else {
            trace::connection_shed(&peer);
            return;
        };
        #[cfg(feature = "tls")]
        if let Some(tls) = self.config.tls.clone() {
            self.runtime.spawn(Box::pin(async move {
                let Some(secured) = handshake(&membership, &tls, stream).await else { return };
                let peer = Peer { certificates: secured.certificates, ..peer };
                if let Some(task) = membership.begin(secured.stream, peer, secured.protocol) {
                    task.await;
                }
            }));
            return;
        }
        let Some(task) = membership.begin(stream, peer, None) else { return };
        self.runtime.spawn(Box::pin(async move {
            let _membership = membership;
            task.await;
        }));
    }

    fn enter(self: &Arc<Self>) -> Option<Membership> {
        let mut crowd = self.crowd();
        if self.config.max_connections.is_some_and(|max| crowd.connections.len() >= max) {
            crowd.shed += 1;
            return None;
        }
        crowd.taken += 1;
        let key = crowd.taken;
        crowd.connections.insert(key, Stage::New(None));
        Some(Membership { service: self.clone(), key })
    }

    #[cfg(feature = "tls")]
    pub(super) fn runtime(&self) -> &dyn Runtime {
        &*self.runtime
    }

    #[cfg(feature = "tls")]
    pub(super) fn handshake_failed(&self) {
        self.tls_failures.fetch_add(1, Ordering::Relaxed);
    }

    fn stop(&self, grace: Duration) {
        let (wakers, connections) = {
            let mut crowd = self.crowd();
            crowd.is_stopping = true;
            let mut wakers: Vec<Waker> = crowd.acceptor.take_waker().into_iter().collect();
            wakers.extend(crowd.connections.values_mut().filter_map(|stage| match stage {
                Stage::New(waker) => waker.take(),
                Stage::Open(_) => None,
            }));
            (wakers, crowd.open())
        };
        wakers.into_iter().for_each(Waker::wake);
        for connection in connections {
            connection.command(|state, now| state.connection.shut_down(now, grace));
        }
    }

    /// Ready when the server has stopped, its listener is closed and its last connection has ended.
    fn poll_ended(&self, cx: &Context<'_>) -> Poll<()> {
        let mut crowd = self.crowd();
        if crowd.has_ended() {
            return Poll::Ready(());
        }
        if !crowd.watchers.iter().any(|watcher| watcher.will_wake(cx.waker())) {
            crowd.watchers.push(cx.waker().clone());
        }
        Poll::Pending
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.at_work.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Crowd {
    /// The connections that may carry calls.
    fn open(&self) -> Vec<Arc<Shared<ServerRole>>> {
        let open = self.connections.values().filter_map(|stage| match stage {
            Stage::New(_) => None,
            Stage::Open(shared) => Some(shared.clone()),
        });
        open.collect()
    }

    fn has_ended(&self) -> bool {
        self.is_stopping && self.connections.is_empty() && matches!(self.acceptor, Acceptor::Closed)
    }

    /// Those who wait for the end, if it has come.
    fn take_watchers(&mut self) -> Vec<Waker> {
        if self.has_ended() { std::mem::take(&mut self.watchers) } else { Vec::new() }
    }
}

/// The place of a connection among those that are there. It is given up with the connection's task, however that ends.
pub(super) struct Membership {
    pub(super) service: Arc<Service>,
    key: u64,
}

impl Membership {
    /// Whether the server stops. If not, whoever asks is woken when it does.
    #[cfg(feature = "tls")]
    pub(super) fn is_stopping(&self, cx: &Context<'_>) -> bool {
        let mut crowd = self.service.crowd();
        if let Some(Stage::New(waker)) = crowd.connections.get_mut(&self.key) {
            *waker = Some(cx.waker().clone());
        }
        crowd.is_stopping
    }

    /// What drives the connection, by what it speaks if that is known. `None` if the server stops.
    fn begin(
        &self,
        stream: BoxStream,
        peer: Peer,
        protocol: Option<Protocol>,
    ) -> Option<Task<ServerRole, Host>> {
        let service = &self.service;
        let (now, config) = (service.runtime.now(), &service.config);
        let connection = match protocol {
            None => ServerConnection::new(now, &config.connection),
            Some(Protocol::Http1) => ServerConnection::http1(now, &config.connection),
            Some(Protocol::Http2) => ServerConnection::http2(now, &config.connection),
        };
        let shared = Shared::new(service.runtime.clone(), service.meter.clone(), connection);
        {
            let mut crowd = service.crowd();
            if crowd.is_stopping {
                return None;
            }
            crowd.connections.insert(self.key, Stage::Open(shared.clone()));
        }
        trace::accepted(&peer);
        let retires = config.max_connection_age.map(|age| now.saturating_add(age));
        Some(Task::new(shared, stream, Host::new(service.clone(), peer, retires)))
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let wakers: Vec<Waker> = {
            let mut crowd = self.service.crowd();
            crowd.connections.remove(&self.key);
            crowd.take_watchers()
        };
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// The accept loop.
struct Accept {
    listener: Box<dyn Listener>,
    pause: Option<Pause>,
    /// Fields are dropped in their order: by then the listener is closed.
    service: AcceptorMembership,
}

/// The place of the accept loop in its service. It is given up with the loop's task, however that ends.
struct AcceptorMembership(Arc<Service>);

impl Drop for AcceptorMembership {
    fn drop(&mut self) {
        let watchers = {
            let mut crowd = self.0.crowd();
            crowd.acceptor = Acceptor::Closed;
            crowd.take_watchers()
        };
        watchers.into_iter().for_each(Waker::wake);
    }
}

/// The wait after a failure.
struct Pause {
    timer: Pin<Box<dyn Timer>>,
    length: Duration,
    is_over: bool,
}

impl Future for Accept {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match self.poll_next(cx) {
                Poll::Ready(true) => {}
                Poll::Ready(false) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl Accept {
    /// False when the server stops, which closes the listener.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        {
            let mut crowd = self.service.0.crowd();
            if crowd.is_stopping {
                return Poll::Ready(false);
            }
            crowd.acceptor = Acceptor::Open(Some(cx.waker().clone()));
        }
        if let Some(pause) = &mut self.pause
            && !pause.is_over
        {
            match pause.timer.as_mut().poll(cx) {
                Poll::Ready(()) => pause.is_over = true,
                Poll::Pending => return Poll::Pending,
            }
        }
        match self.listener.poll_accept(cx) {
            Poll::Ready(Ok((stream, peer))) => {
                self.pause = None;
                self.service.0.serve(stream, peer);
            }
            Poll::Ready(Err(error)) => {
                trace::accept_failed(&error);
                self.service.0.accept_errors.fetch_add(1, Ordering::Relaxed);
                if !is_of_one_connection(&error) {
                    self.pause();
                }
            }
            Poll::Pending => return Poll::Pending,
        }
        Poll::Ready(true)
    }

    /// The machine has run out of something, such as file descriptors: to try again at once would be to spin.
    fn pause(&mut self) {
        let length = self.pause.as_ref().map_or(MIN_PAUSE, |pause| (2 * pause.length).min(MAX_PAUSE));
        let runtime = &self.service.0.runtime;
        let timer = runtime.timer(runtime.now().saturating_add(length));
        self.pause = Some(Pause { timer, length, is_over: false });
    }
}

/// Whether a failure to accept is that of a client which has gone away meanwhile.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
