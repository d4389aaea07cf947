//! The receiving half of a call.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use connect_proto::call::Event;
use connect_proto::error::{AbortReason, Code, RpcError};
use connect_proto::metadata::Metadata;
use futures_core::Stream;

use super::Ending;
use super::slot::Slot;
use crate::rpc::Response;
use crate::trace::CallSpan;

/// The receiving half of a client's call, which is the call itself: dropped before the verdict, it aborts the call.
///
/// [`close`](Receiver::close) is for whoever has had enough and wants the connection to live on.
#[derive(Debug)]
pub struct Receiver {
    slot: Arc<Slot>,
    /// Events that were taken and not looked at yet.
    inbox: VecDeque<Event>,
    headers: Option<Metadata>,
    stage: Stage,
    span: CallSpan,
}

#[derive(Debug)]
enum Stage {
    Open,
    /// The verdict: the trailers, or why the call failed.
    Decided(Result<Metadata, RpcError>),
    /// The call was left to an [`Ending`].
    Left,
}

impl Receiver {
    pub(super) fn new(slot: Arc<Slot>, span: CallSpan) -> Self {
        Receiver { slot, inbox: VecDeque::new(), headers: None, stage: Stage::Open, span }
    }

    /// The response's headers, once they have come.
    ///
    /// # Errors
    /// The verdict, if the call fails before that.
    pub async fn headers(&mut self) -> Result<&Metadata, RpcError> {
        std::future::poll_fn(|cx| self.poll_headers(cx)).await?;
        Ok(self.headers.get_or_insert_default())
    }

    /// The next message; `None` after the last one, when the server has said that all went well.
    ///
    /// Cancel safe: a message that was not returned stays for the next call.
    ///
    /// # Errors
    /// Why the call failed. It is repeated.
    pub async fn recv(&mut self) -> Result<Option<Bytes>, RpcError> {
        std::future::poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// The trailers, after [`recv`](Receiver::recv) has returned `None`. Those of a failure are in its error.
    #[must_use]
    pub fn trailers(&self) -> Option<&Metadata> {
        match &self.stage {
            Stage::Decided(Ok(trailers)) => Some(trailers),
            _ => None,
        }
    }

    /// The whole response of a call that has exactly one message, to be asked for once. Afterwards [`ended`](Self::ended) tells
    /// how the call ended, such as whether one that failed may have been processed.
    ///
    /// # Errors
    /// Why the call failed, with the response's headers and trailers as its metadata.
    pub async fn response(&mut self) -> Result<Response, RpcError> {
        let message = match self.only().await {
            Ok(message) => message,
            Err(error) => {
                let mut metadata = self.headers.take().unwrap_or_default();
                for (name, value) in error.metadata() {
                    metadata.append(name, value.clone());
                }
                return Err(error.with_metadata(metadata));
            }
        };
        let trailers = match &mut self.stage {
            Stage::Decided(Ok(trailers)) => std::mem::take(trailers),
            _ => Metadata::new(),
        };
        Ok(Response { headers: self.headers.take().unwrap_or_default(), message, trailers })
    }

    async fn only(&mut self) -> Result<Bytes, RpcError> {
        // That there is one message, and no second, is for the call itself to say.
        let message = self.recv().await?.unwrap_or_default();
        while self.recv().await?.is_some() {}
        Ok(message)
    }

    /// Closes the call without waiting, in whatever phase it is, and says later how it went.
    ///
    /// The sending side ends if it is open. What the server still sends is discarded, for as long and as much as the drain
    /// budget of the channel's limits allows; then the call is aborted. Over HTTP/1.1 a drain that succeeds saves the
    /// connection. A call that has no connection yet never gets one.
    pub fn close(mut self) -> Ending {
        self.slot.close();
        self.leave()
    }

    /// Aborts the call without waiting: over HTTP/2 by a reset, over HTTP/1.1 by closing the connection.
    pub fn abort(mut self) -> Ending {
        self.slot.abort(AbortReason::Requested);
        self.leave()
    }

    /// Lets the call go on to its end, and drops what still comes. For after the verdict, to learn what became of the
    /// connection.
    pub fn ended(mut self) -> Ending {
        self.slot.ignore_events();
        self.leave()
    }

    /// Whether the call is over, so that its end waits for nobody.
    pub(super) fn is_over(&self) -> bool {
        self.slot.is_over()
    }

    fn leave(&mut self) -> Ending {
        self.stage = Stage::Left;
        // The verdict may have been taken together with a message, and not been looked at.
        let verdict = self.inbox.drain(..).find_map(|event| match event {
            Event::Finished(verdict) => Some(verdict),
            _ => None,
        });
        Ending::new(self.slot.clone(), verdict)
    }

    fn decide(&mut self, verdict: Result<Metadata, RpcError>) {
        if let Err(error) = &verdict {
            self.span.failed(error.code());
        }
        self.stage = Stage::Decided(verdict);
    }

    fn poll_headers(&mut self, cx: &Context<'_>) -> Poll<Result<(), RpcError>> {
        loop {
            match (&self.headers, &self.stage) {
                (None, Stage::Decided(Err(error))) => return Poll::Ready(Err(error.clone())),
                (None, Stage::Open) => {}
                _ => return Poll::Ready(Ok(())),
            }
            // Nothing comes before the headers but a verdict.
            match self.inbox.pop_front() {
                Some(Event::Headers(headers)) => self.headers = Some(headers),
                Some(Event::Finished(verdict)) => self.decide(verdict),
                Some(_) => {}
                None => ready!(self.poll_fill(cx)),
            }
        }
    }

    fn poll_recv(&mut self, cx: &Context<'_>) -> Poll<Result<Option<Bytes>, RpcError>> {
        loop {
            match &self.stage {
                Stage::Open => {}
                Stage::Decided(Err(error)) => return Poll::Ready(Err(error.clone())),
                Stage::Decided(Ok(_)) | Stage::Left => return Poll::Ready(Ok(None)),
            }
            match self.inbox.pop_front() {
                Some(Event::Headers(headers)) => self.headers = Some(headers),
                Some(Event::Message(message)) => match message.decode() {
                    Ok(message) => return Poll::Ready(Ok(Some(message))),
                    Err(fault) => {
                        // What came after it does not count.
                        self.inbox.clear();
                        self.decide(Err(RpcError::new(fault.code(), fault.to_string())));
                        self.slot.reject(fault);
                    }
                },
                Some(Event::Finished(verdict)) => self.decide(verdict),
                Some(_) => {}
                None => ready!(self.poll_fill(cx)),
            }
        }
    }

    fn poll_fill(&mut self, cx: &Context<'_>) -> Poll<()> {
        if !ready!(self.slot.poll_fill(&mut self.inbox, cx)) {
            // Without a verdict: the sender was dropped, or the runtime has stopped.
            let code = self.slot.reason().and_then(|reason| reason.code()).unwrap_or(Code::Canceled);
            self.decide(Err(RpcError::new(code, "the call was given up")));
        }
        Poll::Ready(())
    }
}

impl Stream for Receiver {
    type Item = Result<Bytes, RpcError>;

    /// As [`recv`](Receiver::recv), but an error is the last item.
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if matches!(self.stage, Stage::Decided(Err(_))) {
            return Poll::Ready(None);
        }
        self.poll_recv(cx).map(Result::transpose)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        match self.stage {
            Stage::Open => self.slot.abort(AbortReason::Dropped),
            Stage::Decided(_) => {}
            Stage::Left => return,
        }
        self.slot.leave();
    }
}
