//! Calls of the client under test.

use std::future::pending;
use std::time::Duration;

use bytes::Bytes;
use connect_proto::call::Duplex;
use connect_proto::client::Procedure;
use connect_proto::error::{PeerMisbehaved, RpcError};
use connect_proto::metadata::Metadata;
use connect_proto_async::{CallBuilder, Channel, Ending, Receiver, Sender};
use futures_lite::future::or;

use super::{Shared, pause};
use crate::client::{Action, CallPlan, Exchange};
use crate::convert::{self, Unsupported};
use crate::proto::ClientCompatResponse;
use crate::{CodecError, Kind};

/// Makes the call of a plan.
pub(super) async fn call(
    runtime: Shared,
    channel: Channel,
    plan: CallPlan,
) -> Result<ClientCompatResponse, Unsupported> {
    let exchange = Exchange::new(&plan);
    let call = begin(&channel, &plan)?;
    let message = plan.requests.first().cloned().unwrap_or_default();
    let (sender, receiver) = match plan.method.kind() {
        // It needs no handle, as long as nobody cancels it.
        Kind::Unary if plan.cancel.is_none() => return Ok(unary(call, message, exchange).await),
        Kind::Unary => (None, call.open_unary(message)?),
        Kind::ServerStream => (None, call.server_stream(message)?),
        Kind::ClientStream => split(call.client_stream()?),
        Kind::BidiStream => split(call.bidi(if plan.full_duplex { Duplex::Full } else { Duplex::Half })?),
    };
    let stage = Stage::Open { receiver, headers_seen: false };
    Ok(Call { runtime, exchange, sender, stage }.run().await)
}

fn begin(channel: &Channel, plan: &CallPlan) -> Result<CallBuilder, Unsupported> {
    let mut call = channel.call(&Procedure::new(plan.method.procedure())?);
    call = call.metadata(convert::to_metadata(&plan.headers)?);
    if plan.method.has_no_side_effects() {
        call = call.side_effect_free();
    }
    if let Some(timeout) = plan.timeout {
        call = call.timeout(timeout);
    }
    Ok(call)
}

fn split((sender, receiver): (Sender, Receiver)) -> (Option<Sender>, Receiver) {
    (Some(sender), receiver)
}

/// A unary call in one go.
async fn unary(call: CallBuilder, message: Bytes, mut exchange: Exchange) -> ClientCompatResponse {
    // What it would do step by step is done at once.
    while exchange.next_action() != Action::Receive {}
    match call.unary(message).await {
        Ok(response) => {
            exchange.headers(convert::from_metadata(&response.headers));
            let verdict = match exchange.message(&response.message) {
                Ok(()) => Ok(response.trailers),
                Err(error) => Err(malformed(&error)),
            };
            end(&mut exchange, verdict);
        }
        Err(error) => end(&mut exchange, Err(error)),
    }
    exchange.into_response()
}

/// A call step by step.
struct Call {
    runtime: Shared,
    exchange: Exchange,
    /// `None` if the one request went with the call, or if the sending side has ended.
    sender: Option<Sender>,
    stage: Stage,
}

enum Stage {
    Open { receiver: Receiver, headers_seen: bool },
    Cancelled(Ending),
    Over,
}

impl Call {
    async fn run(mut self) -> ClientCompatResponse {
        loop {
            match self.exchange.next_action() {
                Action::Wait(delay) => self.wait(delay).await,
                Action::Send(message) => {
                    if let Some(sender) = &mut self.sender
                        && sender.send(message).await.is_err()
                    {
                        self.exchange.send_refused();
                    }
                }
                Action::CloseSend => {
                    if let Some(sender) = self.sender.take() {
                        sender.finish().expect("the exchange sends what the method takes");
                    }
                }
                Action::Cancel => self.cancel(),
                Action::Receive => self.receive().await,
                Action::Done => return self.exchange.into_response(),
            }
        }
    }

    /// Receives for a time.
    async fn wait(&mut self, delay: Duration) {
        let runtime = self.runtime.clone();
        let receive = async {
            loop {
                self.receive().await;
            }
        };
        or(pause(&runtime, delay), receive).await;
    }

    fn cancel(&mut self) {
        self.stage = match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Open { receiver, .. } => Stage::Cancelled(receiver.abort()),
            stage => stage,
        };
    }

    /// Passes on the next thing that the call yields. Nothing is lost if this is dropped before.
    async fn receive(&mut self) {
        let verdict = match &mut self.stage {
            Stage::Open { receiver, headers_seen } => {
                if !*headers_seen {
                    // A call that fails before them says so again when it is asked for a message.
                    if let Ok(headers) = receiver.headers().await {
                        self.exchange.headers(convert::from_metadata(headers));
                    }
                    *headers_seen = true;
                }
                match receiver.recv().await {
                    Ok(Some(message)) => match self.exchange.message(&message) {
                        Ok(()) => return,
                        Err(error) => Err(malformed(&error)),
                    },
                    Ok(None) => Ok(receiver.trailers().cloned().unwrap_or_default()),
                    Err(error) => Err(error),
                }
            }
            Stage::Cancelled(ending) => {
                let end = ending.await;
                match end.verdict {
                    Some(verdict) => verdict,
                    None => {
                        self.exchange.ended(Vec::new(), Some(convert::from_close(end.closed.reason)));
                        self.stage = Stage::Over;
                        return;
                    }
                }
            }
            Stage::Over => pending().await,
        };
        end(&mut self.exchange, verdict);
        self.stage = Stage::Over;
    }
}

fn end(exchange: &mut Exchange, verdict: Result<Metadata, RpcError>) {
    match verdict {
        Ok(trailers) => exchange.ended(convert::from_metadata(&trailers), None),
        Err(error) => {
            exchange.ended(convert::from_metadata(error.metadata()), Some(convert::from_error(&error)));
        }
    }
}

fn malformed(error: &CodecError) -> RpcError {
    RpcError::new(PeerMisbehaved::MalformedMessage.code(), error.to_string())
}
