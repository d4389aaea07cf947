//! Making a connection.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use connect_proto::connection::{Client, ClientConnection, ConnectionConfig};

use super::connections::Connections;
use super::steward::Steward;
use crate::driver::pool::{ConnectionId, Protocol};
use crate::driver::runtime::{BoxFuture, BoxStream};
use crate::driver::shared::Shared;
use crate::driver::task::Task;

/// Makes a connection, unless it is given up first.
pub(super) struct Dial {
    connections: Weak<Connections>,
    id: ConnectionId,
    backed_off: u32,
    abandon: Arc<Abandon>,
    connecting: BoxFuture<io::Result<(BoxStream, Protocol)>>,
    is_done: bool,
}

/// A connection that was made.
pub(super) struct Dialled {
    pub(super) shared: Arc<Shared<Client>>,
    pub(super) protocol: Protocol,
}

/// Gives a dial up.
#[derive(Debug, Default)]
pub(super) struct Abandon(Mutex<Stage>);

#[derive(Debug, Default)]
enum Stage {
    #[default]
    New,
    Dialling(Waker),
    Abandoned,
}

impl Dial {
    pub(super) fn new(
        connections: &Arc<Connections>,
        id: ConnectionId,
        backed_off: u32,
        abandon: Arc<Abandon>,
    ) -> Self {
        let connecting = connections.target().connect(&**connections.runtime());
        Dial { connections: Arc::downgrade(connections), id, backed_off, abandon, connecting, is_done: false }
    }
}

impl Future for Dial {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.abandon.is_abandoned(cx) {
            self.is_done = true;
            return Poll::Ready(());
        }
        let Poll::Ready(dialled) = self.connecting.as_mut().poll(cx) else { return Poll::Pending };
        self.is_done = true;
        if let Some(connections) = self.connections.upgrade() {
            let dialled = dialled.map(|(stream, protocol)| {
                let shared = begin(&connections, self.id, self.backed_off, stream, protocol);
                Dialled { shared, protocol }
            });
            connections.dialled(self.id, dialled);
        }
        Poll::Ready(())
    }
}

/// A dial that is dropped with its runtime has failed, and so would any other: it would be dropped as it is spawned.
impl Drop for Dial {
    fn drop(&mut self) {
        if !self.is_done
            && let Some(connections) = self.connections.upgrade()
        {
            connections.dial_dropped(self.id);
        }
    }
}

/// Drives a connection that was just made, in a task of its own.
fn begin(
    connections: &Arc<Connections>,
    id: ConnectionId,
    backed_off: u32,
    stream: BoxStream,
    protocol: Protocol,
) -> Arc<Shared<Client>> {
    let now = connections.now();
    let connection = match protocol {
        Protocol::Http1 => ClientConnection::http1(now, connections.config()),
        Protocol::Http2 => ClientConnection::http2(now, &back_off(connections.config(), backed_off)),
    };
    let shared = Shared::new(connections.runtime().clone(), connections.meter().clone(), connection);
    let task = Task::new(shared.clone(), stream, Steward::new(Arc::downgrade(connections), id));
    connections.runtime().spawn(Box::pin(task));
    shared
}

/// The peer has asked for calm so many times.
fn back_off(config: &ConnectionConfig, steps: u32) -> ConnectionConfig {
    let mut config = config.clone();
    if steps > 0 && config.http2.keep_alive.is_some() {
        let limits = &mut config.http2;
        for _ in 0..steps {
            limits.keep_alive = limits.keep_alive.map(|keep_alive| keep_alive.backed_off());
        }
    }
    config
}

impl Abandon {
    pub(super) fn abandon(&self) {
        let stage =
            std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), Stage::Abandoned);
        if let Stage::Dialling(waker) = stage {
            waker.wake();
        }
    }

    fn is_abandoned(&self, cx: &Context<'_>) -> bool {
        let mut stage = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*stage, Stage::Abandoned) {
            return true;
        }
        *stage = Stage::Dialling(cx.waker().clone());
        false
    }
}
