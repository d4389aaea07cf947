//! The end of a call that nobody reads any more.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use connect_proto::connection::CallClosed;

use super::slot::Slot;

/// The end of a call: ready when the call is over, with how it ended and what became of its connection.
///
/// The call gets to its end by itself, within its limits. Dropping this changes nothing about that.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled; the call ends all the same"]
pub struct Ending(Arc<Slot>);

impl Ending {
    pub(super) fn new(slot: Arc<Slot>) -> Self {
        Ending(slot)
    }
}

impl Future for Ending {
    type Output = CallClosed;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<CallClosed> {
        self.0.poll_end(cx)
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.leave();
    }
}
