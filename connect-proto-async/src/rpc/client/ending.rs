//! The end of a call that nobody reads any more.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use connect_proto::connection::CallClosed;
use connect_proto::error::RpcError;
use connect_proto::metadata::Metadata;

use super::slot::Slot;

/// How a call ended.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct CallEnd {
    /// Why, what was drained, whether the server may have processed the call, and what became of the connection.
    pub closed: CallClosed,
    /// The verdict, if it came after the call was closed: the trailers, or the server's error. `None` if none came, or if
    /// the receiver has told it before.
    pub verdict: Option<Result<Metadata, RpcError>>,
}

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
    type Output = CallEnd;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<CallEnd> {
        self.0.poll_end(cx)
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.leave();
    }
}
