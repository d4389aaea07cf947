//! A call being served: its handler, and the answer that follows from it.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use connect_proto::error::{Code, RpcError};

use super::Outcome;
use super::handle::CallRef;
use super::router::Work;
use super::service::Permit;
use crate::trace::CallSpan;

/// A call being served. Ready when the handler has answered, or when the call has ended under it.
///
/// Dropped before that, as when a runtime stops, it answers that the server has failed.
pub(super) struct Serving {
    call: CallRef,
    /// `None` once it is done.
    work: Option<Work>,
    span: CallSpan,
    _permit: Permit,
}

impl Serving {
    /// `begin` calls the handler's function.
    pub(super) fn new(call: CallRef, permit: Permit, span: CallSpan, begin: impl FnOnce() -> Work) -> Self {
        let work = catch_unwind(AssertUnwindSafe(|| span.within(begin)))
            .unwrap_or_else(|_| Box::pin(async { Err(panicked()) }));
        Serving { call, work: Some(work), span, _permit: permit }
    }
}

impl Future for Serving {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Serving { work: Some(work), span, .. } = &mut *self else { return Poll::Ready(()) };
        let polled = catch_unwind(AssertUnwindSafe(|| span.within(|| work.as_mut().poll(cx))));
        let outcome: Outcome = match polled {
            Ok(Poll::Ready(outcome)) => outcome,
            Err(_) => Err(panicked()),
            Ok(Poll::Pending) => match self.call.poll_ended(cx) {
                Poll::Pending => return Poll::Pending,
                // The handler has had its look at it. What it would answer is of no use.
                Poll::Ready(reason) => {
                    Err(RpcError::new(reason.code().unwrap_or(Code::Canceled), "the call has ended"))
                }
            },
        };
        let outcome = self.drop_work().and(outcome);
        if let Err(error) = &outcome {
            self.span.failed(error.code());
        }
        self.call.conclude(outcome);
        Poll::Ready(())
    }
}

impl Serving {
    /// Drops the handler, whose destructors may panic as it itself may.
    fn drop_work(&mut self) -> Result<(), RpcError> {
        let Serving { work, span, .. } = self;
        catch_unwind(AssertUnwindSafe(|| span.within(|| drop(work.take())))).map_err(|_| panicked())
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if self.work.is_some() {
            let _ = self.drop_work();
            self.call.conclude(Err(RpcError::new(Code::Internal, "the handler was dropped")));
        }
    }
}

fn panicked() -> RpcError {
    RpcError::new(Code::Internal, "the handler panicked")
}
