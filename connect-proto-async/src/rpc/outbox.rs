//! Messages on their way to a call, one by one or a batch for each lock.

use std::collections::VecDeque;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use connect_proto::call;
use connect_proto::error::RpcError;
use connect_proto::message::{Encoding, Outbound};
use futures_core::Stream;

use super::SendError;
use super::inbox::{MAX_BYTES, MAX_EVENTS};

/// Messages that are to be sent.
pub(super) trait Outbox {
    fn pop(&mut self) -> Option<Outbound>;
    /// There is no room for it yet.
    fn put_back(&mut self, message: Outbound);
}

impl Outbox for Option<Outbound> {
    fn pop(&mut self) -> Option<Outbound> {
        self.take()
    }

    fn put_back(&mut self, message: Outbound) {
        *self = Some(message);
    }
}

impl Outbox for VecDeque<Outbound> {
    fn pop(&mut self) -> Option<Outbound> {
        self.pop_front()
    }

    fn put_back(&mut self, message: Outbound) {
        self.push_front(message);
    }
}

/// What came of the messages that were taken out of the outbox. Pending if there was no room for the last of them.
pub(super) fn sent(
    outbox: &mut impl Outbox,
    sent: Result<(), call::SendError>,
) -> Poll<Result<(), SendError>> {
    match SendError::from_core(sent) {
        Ok(done) => Poll::Ready(done),
        Err(full) => {
            outbox.put_back(full);
            Poll::Pending
        }
    }
}

/// The sending side of a call.
pub(super) trait Sending {
    fn encoding(&self) -> &Encoding;

    /// Sends what is in the outbox. Pending, with a waker left, if there is no room for all of it.
    fn poll_send(&self, outbox: &mut impl Outbox, cx: &Context<'_>) -> Poll<Result<(), SendError>>;

    /// Ready once the call takes no more messages.
    fn poll_closed(&self, cx: &Context<'_>) -> Poll<SendError>;
}

/// Sends messages as they come, and those together that are ready together.
pub(super) async fn send_all<M: Into<Bytes>>(
    call: &impl Sending,
    messages: impl Stream<Item = Result<M, RpcError>>,
) -> Result<(), RpcError> {
    let mut messages = pin!(messages);
    let (mut outbox, mut end) = (VecDeque::new(), None);
    std::future::poll_fn(|cx| {
        loop {
            // Otherwise there is no room yet.
            if outbox.is_empty() && end.is_none() {
                end = fill(&mut outbox, call.encoding(), messages.as_mut(), cx);
            }
            if outbox.is_empty() {
                return match end.take() {
                    Some(end) => Poll::Ready(end),
                    None => call.poll_closed(cx).map(|error| Err(error.into())),
                };
            }
            ready!(call.poll_send(&mut outbox, cx))?;
        }
    })
    .await
}

/// Takes what is ready of the messages, as far as one lock is to carry it. Their end, if it has come.
fn fill<M: Into<Bytes>>(
    outbox: &mut VecDeque<Outbound>,
    encoding: &Encoding,
    mut messages: Pin<&mut impl Stream<Item = Result<M, RpcError>>>,
    cx: &mut Context<'_>,
) -> Option<Result<(), RpcError>> {
    let mut bytes = 0;
    while outbox.len() < MAX_EVENTS && bytes < MAX_BYTES {
        match messages.as_mut().poll_next(cx) {
            Poll::Ready(Some(Ok(message))) => {
                let message = Outbound::encode(encoding, message.into());
                bytes += message.len();
                outbox.push_back(message);
            }
            Poll::Ready(Some(Err(error))) => return Some(Err(error)),
            Poll::Ready(None) => return Some(Ok(())),
            Poll::Pending => break,
        }
    }
    None
}
