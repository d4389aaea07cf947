//! The sending half of a call.

use std::sync::Arc;

use bytes::Bytes;
use connect_proto::error::{ApiMisuse, RpcError};
use connect_proto::message::Outbound;
use futures_core::Stream;

use super::slot::Slot;
use crate::rpc::SendError;
use crate::rpc::outbox::{self, Sending};

/// The sending half of a client's call.
///
/// [`finish`](Sender::finish) ends it. Dropped without that it aborts the call: an end that nobody has asked for must not
/// look like one to the server. If the server has given its verdict before, or the receiver has closed the call, there is
/// nothing left to abort, and dropping it changes nothing.
#[derive(Debug)]
pub struct Sender {
    slot: Arc<Slot>,
    is_finished: bool,
}

impl Sender {
    pub(super) fn new(slot: Arc<Slot>) -> Self {
        Sender { slot, is_finished: false }
    }

    /// Sends a message: compressed, if the channel says so, and queued until the server takes it. Waits while the queue is
    /// full, also for a connection.
    ///
    /// Dropped before it is done, it has not sent the message.
    ///
    /// # Errors
    /// [`SendError::Closed`] once the call has ended, in whatever way: the [receiver](super::Receiver) has the verdict.
    /// [`ApiMisuse::AlreadyFinished`] while it is drained, after the receiver has closed it.
    pub async fn send(&mut self, message: impl Into<Bytes>) -> Result<(), SendError> {
        let mut message = Some(Outbound::encode(self.slot.encoding(), message.into()));
        std::future::poll_fn(|cx| self.slot.poll_send(&mut message, cx)).await
    }

    /// Sends the messages of a stream as they come, such as those of a [`Receiver`](super::Receiver) that are to be passed on:
    /// cheaper than one by one where several are ready. The sending side stays open.
    ///
    /// Dropped before it is done, or after an error, some of what the stream gave may not have been sent.
    ///
    /// # Errors
    /// The first error of the stream, or that of [`send`](Sender::send); also when the call ends while the stream has nothing.
    pub async fn send_all<M: Into<Bytes>>(
        &mut self,
        messages: impl Stream<Item = Result<M, RpcError>>,
    ) -> Result<(), RpcError> {
        outbox::send_all(&*self.slot, messages).await
    }

    /// Ends the sending side: there are no more messages. Does not wait.
    ///
    /// # Errors
    /// [`ApiMisuse::NoMessage`] if the call takes exactly one message and got none: it is aborted then.
    pub fn finish(mut self) -> Result<(), ApiMisuse> {
        let finished = self.slot.finish();
        self.is_finished = finished.is_ok();
        finished
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        if !self.is_finished {
            self.slot.drop_sender();
        }
    }
}
