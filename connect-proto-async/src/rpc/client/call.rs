//! A call that is about to be made.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use connect_proto::Instant;
use connect_proto::call::{Duplex, Kind, Processed};
use connect_proto::client::{Call, CallConfig, Procedure, Request};
use connect_proto::connection::CallClosed;
use connect_proto::error::{CloseReason, Code, LostKind, ResetCode, RpcError};
use connect_proto::message::Outbound;
use connect_proto::metadata::Metadata;
use http::HeaderValue;
use http::header::IntoHeaderName;

use super::connections::Connections;
use super::{Receiver, Sender};
use crate::driver::pool::Protocol;
use crate::rpc::{OpenError, Response};
use crate::trace::CallSpan;

/// A call that is about to be made: how it is to be, and then, by the last method, of which kind.
#[derive(Clone, Debug)]
#[must_use = "a call is made by saying of which kind it is"]
pub struct CallBuilder {
    connections: Arc<Connections>,
    config: Arc<CallConfig>,
    request: Request,
}

impl CallBuilder {
    pub(super) fn new(connections: Arc<Connections>, config: Arc<CallConfig>, procedure: Procedure) -> Self {
        CallBuilder { connections, config, request: Request::new(procedure, Kind::Unary) }
    }

    /// How long the call may take, all in all: waiting for a connection, sending, receiving and draining. The server is
    /// told what is left of it when the call goes out.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.request.timeout = Some(timeout);
        self
    }

    /// Adds a header to the metadata to send.
    ///
    /// ```
    /// # use connect_proto_async::{CallBuilder, HeaderValue};
    /// # fn example(call: CallBuilder) -> CallBuilder {
    /// call.header("x-tenant", HeaderValue::from_static("acme")).header("x-attempt", 2)
    /// # }
    /// ```
    ///
    /// # Panics
    /// If the name is a `&'static str` that is not one of a header, in lower case. A name that is made at run time goes
    /// through [`HeaderName`](http::HeaderName).
    pub fn header(mut self, name: impl IntoHeaderName, value: impl Into<HeaderValue>) -> Self {
        self.request.metadata.append(name, value.into());
        self
    }

    /// Metadata to send, in place of what was given before.
    pub fn metadata(mut self, metadata: Metadata) -> Self {
        self.request.metadata = metadata;
        self
    }

    /// The procedure is free of side effects, so that a unary call may be a GET, if the channel's
    /// [`get_max_url`](CallConfig::get_max_url) says so.
    pub fn side_effect_free(mut self) -> Self {
        self.request.side_effect_free = true;
        self
    }

    /// Changes what the channel's calls have in common, for this one: compression, limits, drain budgets.
    pub fn config(mut self, change: impl FnOnce(&mut CallConfig)) -> Self {
        change(Arc::make_mut(&mut self.config));
        self
    }

    /// Makes a unary call, and waits for its response. Dropped before that, it aborts the call.
    ///
    /// A call that certainly was not processed, as on a connection that was just going away, is made once more.
    ///
    /// # Errors
    /// Why the call failed: the server's verdict, with the response's headers and trailers, or this side's. A request that
    /// cannot be made is [`Code::InvalidArgument`].
    pub async fn unary(self, message: impl Into<Bytes>) -> Result<Response, RpcError> {
        let message = message.into();
        let deadline = self.request.timeout.map(|timeout| self.connections.now().saturating_add(timeout));
        let mut receiver = self.attempt(deadline, message.clone())?;
        let failed = match receiver.response().await {
            Ok(response) => return Ok(response),
            Err(error) => error,
        };
        // A call that the server has answered may take longer to its end, and was processed anyway.
        let is_candidate = failed.code() == Code::Unavailable && receiver.is_over();
        if !is_candidate || !may_try_again(receiver.ended().await.closed) {
            return Err(failed);
        }
        self.attempt(deadline, message)?.response().await
    }

    /// Makes a unary call of which the receiver is held: to close it instead of dropping it, or to have its headers first.
    /// [`Receiver::response`] waits for the response. Other than by [`unary`](CallBuilder::unary), it is made once only.
    ///
    /// # Errors
    /// What is wrong with the call itself. All else is told by the receiver.
    pub fn open_unary(self, message: impl Into<Bytes>) -> Result<Receiver, OpenError> {
        let request = self.request.clone();
        self.open_with_message(request, message.into())
    }

    fn attempt(&self, deadline: Option<Instant>, message: Bytes) -> Result<Receiver, RpcError> {
        let mut request = self.request.clone();
        request.timeout = deadline.map(|deadline| deadline.saturating_duration_since(self.connections.now()));
        Ok(self.open_with_message(request, message)?)
    }

    /// Makes a call with one message, which a stream of messages answers.
    ///
    /// # Errors
    /// What is wrong with the call itself. All else is told by the receiver.
    pub fn server_stream(mut self, message: impl Into<Bytes>) -> Result<Receiver, OpenError> {
        self.request.kind = Kind::ServerStream;
        let request = self.request.clone();
        self.open_with_message(request, message.into())
    }

    /// Makes a call with a stream of messages, which one message answers: [`Receiver::response`].
    ///
    /// # Errors
    /// What is wrong with the call itself. All else is told by the receiver.
    pub fn client_stream(mut self) -> Result<(Sender, Receiver), OpenError> {
        self.request.kind = Kind::ClientStream;
        self.open_stream()
    }

    /// Makes a call with a stream of messages in both directions. With [`Duplex::Full`] it needs HTTP/2; with
    /// [`Duplex::Half`] the server answers when the sending side has ended, as far as it matters to this side.
    ///
    /// # Errors
    /// What is wrong with the call itself, [`OpenError::FullDuplexOverHttp1`] among it. All else is told by the receiver.
    pub fn bidi(mut self, duplex: Duplex) -> Result<(Sender, Receiver), OpenError> {
        if duplex == Duplex::Full && self.connections.target().expected() == Protocol::Http1 {
            return Err(OpenError::FullDuplexOverHttp1);
        }
        self.request.kind = Kind::Bidi(duplex);
        self.open_stream()
    }

    fn open_stream(self) -> Result<(Sender, Receiver), OpenError> {
        let span = self.span();
        let call = Call::new(self.connections.now(), &self.config, self.request)?;
        let slot = self.connections.place(call);
        Ok((Sender::new(slot.clone()), Receiver::new(slot, span)))
    }

    fn span(&self) -> CallSpan {
        CallSpan::client(self.request.procedure.as_str(), &self.connections.target().address)
    }

    /// The message is in the call before anybody else sees it: there is nothing to wait for.
    fn open_with_message(&self, request: Request, message: Bytes) -> Result<Receiver, OpenError> {
        let now = self.connections.now();
        let mut call = Call::new(now, &self.config, request)?;
        let outbound = Outbound::encode(&call.encoding(), message);
        match call.send(now, outbound) {
            Ok(()) => call.finish(now)?,
            Err(connect_proto::call::SendError::TooLarge { len, limit }) => {
                return Err(OpenError::TooLarge { len, limit });
            }
            Err(connect_proto::call::SendError::Misuse(misuse)) => return Err(misuse.into()),
            // Its time was up before it began: the receiver says so. The first message finds the queue empty.
            Err(_) => {}
        }
        Ok(Receiver::new(self.connections.place(call), self.span()))
    }
}

/// Whether a call that has failed was certainly not processed, and not for want of a connection.
fn may_try_again(closed: CallClosed) -> bool {
    closed.processed == Processed::No
        && match closed.reason {
            CloseReason::PeerReset(ResetCode::REFUSED_STREAM) => true,
            CloseReason::TransportLost(kind) => kind != LostKind::ConnectFailed,
            _ => false,
        }
}
