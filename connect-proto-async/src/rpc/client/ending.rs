//! The end of a call that nobody reads any more.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

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
    /// The verdict, if one came that the receiver has not told: the trailers, or the server's error.
    pub verdict: Option<Result<Metadata, RpcError>>,
}

/// The end of a call: ready when the call is over, with how it ended and what became of its connection.
///
/// The call gets to its end by itself, within its limits. Dropping this changes nothing about that.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled; the call ends all the same"]
pub struct Ending {
    slot: Arc<Slot>,
    /// The verdict, if it came before the receiver was left.
    verdict: Option<Result<Metadata, RpcError>>,
}

impl Ending {
    pub(super) fn new(slot: Arc<Slot>, verdict: Option<Result<Metadata, RpcError>>) -> Self {
        Ending { slot, verdict }
    }
}

impl Future for Ending {
    type Output = CallEnd;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<CallEnd> {
        let mut end = ready!(self.slot.poll_end(cx));
        end.verdict = end.verdict.or_else(|| self.verdict.take());
        Poll::Ready(end)
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.slot.leave();
    }
}
