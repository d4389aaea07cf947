//! The task that lets time pass for the connections of a channel.

use std::future::Future;
use std::pin::Pin;
use std::sync::Weak;
use std::task::{Context, Poll};

use super::connections::Connections;
use crate::driver::alarm::Alarm;

/// Ends with the connections.
pub(super) struct Keeper {
    connections: Weak<Connections>,
    alarm: Option<Alarm>,
}

impl Keeper {
    pub(super) fn new(connections: Weak<Connections>) -> Self {
        Keeper { connections, alarm: None }
    }
}

impl Future for Keeper {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let Some(connections) = self.connections.upgrade() else { return Poll::Ready(()) };
            let Some(due) = connections.tick(cx.waker()) else { return Poll::Pending };
            if !Alarm::poll_at(&mut self.alarm, &**connections.runtime(), due, cx) {
                return Poll::Pending;
            }
        }
    }
}
