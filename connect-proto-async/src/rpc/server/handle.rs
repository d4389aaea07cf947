//! A server's call, as its handler holds it.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use connect_proto::call::{self, Event};
use connect_proto::connection::{CallId, Server};
use connect_proto::error::{ApiMisuse, CloseReason, Code, LostKind, RpcError};
use connect_proto::message::{Encoding, Inbound, Outbound};
use connect_proto::metadata::Metadata;
use futures_core::Stream;

use super::{Conclusion, Outcome};
use crate::driver::shared::{Shared, Wait};
use crate::rpc::SendError;
use crate::rpc::inbox::Batch;
use crate::rpc::outbox::{self, Outbox, Sending};

/// Names a call on its connection, from anywhere.
#[derive(Clone, Debug)]
pub(crate) struct CallRef {
    shared: Arc<Shared<Server>>,
    id: CallId,
}

impl CallRef {
    pub(crate) fn new(shared: Arc<Shared<Server>>, id: CallId) -> Self {
        CallRef { shared, id }
    }

    /// Whoever might have asked for the call's end has gone.
    pub(super) fn forget(&self) {
        self.shared.lock().forget(self.id);
    }

    pub(super) fn now(&self) -> connect_proto::Instant {
        self.shared.now()
    }

    /// Answers, all in one.
    pub(super) fn conclude(&self, outcome: Outcome) {
        let left = self.shared.command(|state, now| {
            // An answer to a call that has ended meanwhile is of no use to anybody.
            let Some(mut call) = state.connection.call(self.id) else { return state.leave(self.id, now) };
            let (trailers, verdict) = match outcome {
                Ok(Conclusion { headers, message: Some(message), trailers }) => {
                    let headers = if headers.is_empty() { Ok(()) } else { call.send_headers(now, headers) };
                    let sent = headers.map_err(call::SendError::from).and_then(|()| call.send(now, message));
                    (trailers, sent.map_err(|error| internal(&error)))
                }
                Ok(Conclusion { trailers, .. }) => (trailers, Ok(())),
                Err(error) => (Metadata::new(), Err(error)),
            };
            if let Err(misuse) = call.finish(now, trailers, verdict) {
                // With trailers that cannot be sent; this answer has none.
                let _ = call.finish(now, Metadata::new(), Err(internal(&misuse)));
            }
            state.leave(self.id, now)
        });
        // The handler may have given its streams to others.
        if let Some(mut left) = left {
            left.take().for_each(Waker::wake);
        }
    }

    /// Why the call has ended under its handler; `None` while it goes on. Then whoever asks is woken by its end.
    pub(super) fn poll_ended(&self, cx: &Context<'_>) -> Poll<CloseReason> {
        let mut state = self.shared.lock();
        let ended = match state.connection.call(self.id) {
            Some(call) => call.ended(),
            None => Some(state.why(self.id).unwrap_or(GONE)),
        };
        match ended {
            Some(reason) => Poll::Ready(reason),
            None => {
                state.wait(self.id, Wait::End, cx);
                Poll::Pending
            }
        }
    }
}

/// Why a call has ended of which nothing is known any more.
const GONE: CloseReason = CloseReason::TransportLost(LostKind::Failed);

fn internal(error: &dyn std::error::Error) -> RpcError {
    RpcError::new(Code::Internal, format!("the handler's answer cannot be sent: {error}"))
}

/// The messages of a client, as they come.
///
/// Dropping it stops the reading: what the client still sends waits, and is drained once the handler has answered.
#[derive(Debug)]
pub struct Requests {
    call: CallRef,
    /// Messages that were taken and not returned yet.
    inbox: VecDeque<Inbound>,
    /// What comes after them.
    end: Option<Result<(), RpcError>>,
    /// As a stream: whether the error was returned.
    is_over: bool,
}

impl Requests {
    pub(super) fn new(call: CallRef) -> Self {
        Requests { call, inbox: VecDeque::new(), end: None, is_over: false }
    }

    /// The next message; `None` once the client has sent its last one.
    ///
    /// Cancel safe: a message that was not returned stays for the next call.
    ///
    /// # Errors
    /// The verdict, if the call has ended under its handler: [`Code::Canceled`] if the client has given up or its
    /// connection was lost, [`Code::DeadlineExceeded`], or what was wrong with its request. It is repeated.
    pub async fn recv(&mut self) -> Result<Option<Bytes>, RpcError> {
        std::future::poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// The one message that a client sends to a procedure which takes no more.
    pub(super) async fn only(&mut self) -> Result<Bytes, RpcError> {
        // That there is one, and no second, is for the call itself to say.
        self.recv().await?.ok_or_else(|| RpcError::new(Code::InvalidArgument, "request message missing"))
    }

    fn poll_recv(&mut self, cx: &Context<'_>) -> Poll<Result<Option<Bytes>, RpcError>> {
        loop {
            let message = match (self.inbox.pop_front(), &self.end) {
                (None, Some(end)) => return Poll::Ready(end.clone().map(|()| None)),
                (None, None) => ready!(self.poll_fill(cx)),
                (message, _) => message,
            };
            match message.map(Inbound::decode) {
                Some(Ok(message)) => return Poll::Ready(Ok(Some(message))),
                Some(Err(fault)) => self.call.shared.command(|state, now| {
                    if let Some(mut call) = state.connection.call(self.call.id) {
                        call.reject(now, fault);
                    }
                }),
                None => {}
            }
        }
    }

    /// Takes a batch, and returns the first message of it: a call that has no more needs no inbox. `None` if there is only the
    /// end.
    fn poll_fill(&mut self, cx: &Context<'_>) -> Poll<Option<Inbound>> {
        let Requests { call: CallRef { shared, id }, inbox, end, .. } = self;
        let gone = || Err(RpcError::new(Code::Canceled, "the call has ended"));
        let mut first = None;
        let sender = shared.command(|state, now| {
            let Some(mut call) = state.connection.call(*id) else {
                *end = Some(gone());
                return None;
            };
            let mut batch = Batch::default();
            call.poll_events(now, |event| {
                let more = batch.count(&event);
                match event {
                    Event::Message(message) if first.is_none() => first = Some(message),
                    Event::Message(message) => inbox.push_back(message),
                    Event::PeerHalfClosed => _ = end.get_or_insert(Ok(())),
                    Event::Finished(verdict) => _ = end.get_or_insert(verdict.map(drop)),
                    _ => {}
                }
                more
            });
            if first.is_none() && end.is_none() {
                if state.is_looked_at(*id) {
                    state.wait(*id, Wait::Receive, cx);
                } else {
                    // The handler has answered.
                    *end = Some(gone());
                }
            }
            if batch.is_writable { state.take_sender(*id) } else { None }
        });
        if let Some(sender) = sender {
            sender.wake();
        }
        if first.is_none() && end.is_none() { Poll::Pending } else { Poll::Ready(first) }
    }
}

impl Stream for Requests {
    type Item = Result<Bytes, RpcError>;

    /// As [`recv`](Requests::recv), but an error is the last item.
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let next = ready!(self.poll_recv(cx));
        self.is_over = next.is_err();
        Poll::Ready(next.transpose())
    }
}

/// The messages of a server, to be sent.
#[derive(Debug)]
pub struct Responses {
    call: CallRef,
    encoding: Encoding,
}

impl Responses {
    pub(super) fn new(call: CallRef, encoding: Encoding) -> Self {
        Responses { call, encoding }
    }

    /// Sends the response's headers, at once. Without it they go, empty, with the first message.
    ///
    /// # Errors
    /// [`ApiMisuse::HeadersAlreadySent`] after the first time or the first message; [`ApiMisuse::ReservedHeader`] for a
    /// name that the protocol or HTTP itself uses.
    pub fn send_headers(&mut self, headers: Metadata) -> Result<(), ApiMisuse> {
        self.call.shared.command(|state, now| match state.connection.call(self.call.id) {
            Some(mut call) => call.send_headers(now, headers),
            None => Ok(()),
        })
    }

    /// Sends a message: compressed, if that was agreed on, and queued until the client takes it. Waits while the queue is
    /// full.
    ///
    /// Dropped before it is done, it has not sent the message.
    ///
    /// # Errors
    /// [`SendError::Closed`] once the call has ended.
    pub async fn send(&mut self, message: impl Into<Bytes>) -> Result<(), SendError> {
        let mut message = Some(Outbound::encode(&self.encoding, message.into()));
        std::future::poll_fn(|cx| self.poll_send(&mut message, cx)).await
    }

    /// Sends the messages of a stream as they come, such as the [`Requests`] of an echo or those of another call: cheaper
    /// than one by one where several are ready.
    ///
    /// Dropped before it is done, or after an error, some of what the stream gave may not have been sent.
    ///
    /// # Errors
    /// The first error of the stream, or that of [`send`](Responses::send); also when the call ends while the stream has
    /// nothing.
    pub async fn send_all<M: Into<Bytes>>(
        &mut self,
        messages: impl Stream<Item = Result<M, RpcError>>,
    ) -> Result<(), RpcError> {
        outbox::send_all(self, messages).await
    }
}

impl Sending for Responses {
    fn encoding(&self) -> &Encoding {
        &self.encoding
    }

    fn poll_send(&self, outbox: &mut impl Outbox, cx: &Context<'_>) -> Poll<Result<(), SendError>> {
        let CallRef { shared, id } = &self.call;
        shared.command(|state, now| {
            let Some(mut call) = state.connection.call(*id) else {
                return Poll::Ready(Err(SendError::Closed(state.why(*id).unwrap_or(GONE))));
            };
            let sent = call.send_each(now, || outbox.pop());
            let sent = outbox::sent(outbox, sent);
            if sent.is_pending() {
                state.wait(*id, Wait::Send, cx);
            }
            sent
        })
    }

    fn poll_closed(&self, cx: &Context<'_>) -> Poll<SendError> {
        self.call.poll_ended(cx).map(SendError::Closed)
    }
}

/// The end of a call, as [`Context::ended`](super::Context::ended) gives it out.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Ended(CallRef);

impl Ended {
    pub(super) fn new(call: &CallRef) -> Self {
        call.shared.lock().join(call.id);
        Ended(call.clone())
    }
}

impl Future for Ended {
    type Output = CloseReason;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<CloseReason> {
        self.0.poll_ended(cx)
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.forget();
    }
}
