//! The service under test.

use bytes::Bytes;
use connect_proto::call::Duplex;
use connect_proto::client::Procedure;
use connect_proto::error::{Code, RpcError};
use connect_proto::metadata::Metadata;
use connect_proto_async::{Context, Requests, Response, Responses, Router};

use super::{Shared, pause};
use crate::convert::{self, Unsupported};
use crate::service::{Action, Handler, RequestHead};
use crate::{Codec, CodecError, Method, metadata};

/// The methods of the service, each with its handler.
pub(super) fn router(runtime: &Shared) -> Result<Router, Unsupported> {
    let mut router = Router::new(Codec::ALL.map(Codec::name));
    for method in Method::ALL {
        let procedure = Procedure::new(method.procedure())?;
        let runtime = runtime.clone();
        router = match method {
            Method::Unary => router.unary(&procedure, move |context, message| {
                unary(runtime.clone(), handler(method, &context), message)
            }),
            Method::IdempotentUnary => router.side_effect_free_unary(&procedure, move |context, message| {
                unary(runtime.clone(), handler(method, &context), message)
            }),
            Method::Unimplemented => router.unary(&procedure, |_: Context, _: Bytes| async {
                Err::<Response, _>(RpcError::new(Code::Unimplemented, "not implemented"))
            }),
            Method::ClientStream => router.client_stream(&procedure, move |context, requests| {
                client_stream(runtime.clone(), handler(method, &context), requests)
            }),
            Method::ServerStream => router.server_stream(&procedure, move |context, message, responses| {
                server_stream(runtime.clone(), handler(method, &context), message, responses)
            }),
            Method::BidiStream => {
                router.bidi(&procedure, Duplex::Half, move |context, requests, responses| {
                    stream(runtime.clone(), handler(method, &context), Some(requests), responses)
                })
            }
        };
    }
    Ok(router)
}

fn handler(method: Method, context: &Context) -> Handler {
    let head = RequestHead {
        headers: convert::from_metadata(context.metadata()),
        timeout: context.time_left(),
        query_params: context.query().map(metadata::query_params),
    };
    Handler::new(method, Codec::from_name(context.codec()).unwrap_or(Codec::Proto), head)
}

async fn unary(runtime: Shared, mut handler: Handler, message: Bytes) -> Result<Response, RpcError> {
    handler.request(&message).map_err(invalid)?;
    respond(runtime, handler).await
}

async fn client_stream(
    runtime: Shared,
    mut handler: Handler,
    mut requests: Requests,
) -> Result<Response, RpcError> {
    while let Some(message) = requests.recv().await? {
        handler.request(&message).map_err(invalid)?;
    }
    respond(runtime, handler).await
}

async fn server_stream(
    runtime: Shared,
    mut handler: Handler,
    message: Bytes,
    responses: Responses,
) -> Result<Metadata, RpcError> {
    handler.request(&message).map_err(invalid)?;
    stream(runtime, handler, None, responses).await
}

/// Answers with one message, now that all requests have come.
async fn respond(runtime: Shared, mut handler: Handler) -> Result<Response, RpcError> {
    handler.requests_ended().map_err(internal)?;
    let mut response = Response::default();
    loop {
        match handler.next_action() {
            Action::Receive => return Err(internal("the handler has no answer")),
            Action::SendHeaders(headers) => {
                response.headers = convert::to_metadata(&headers).map_err(internal)?
            }
            Action::Wait(delay) => pause(&runtime, delay).await,
            Action::Send(message) => response.message = message,
            Action::Finish { trailers, error: None } => {
                response.trailers = convert::to_metadata(&trailers).map_err(internal)?;
                return Ok(response);
            }
            Action::Finish { trailers, error: Some(error) } => {
                // An error has one set of metadata only.
                let mut metadata = response.headers;
                for (name, value) in &convert::to_metadata(&trailers).map_err(internal)? {
                    metadata.append(name, value.clone());
                }
                return Err(convert::to_error(error).with_metadata(metadata));
            }
        }
    }
}

/// Answers with a stream of messages. Without `requests`, all of them have come.
async fn stream(
    runtime: Shared,
    mut handler: Handler,
    mut requests: Option<Requests>,
    mut responses: Responses,
) -> Result<Metadata, RpcError> {
    loop {
        match handler.next_action() {
            Action::Receive => {
                let message = match &mut requests {
                    Some(requests) => requests.recv().await?,
                    None => None,
                };
                match message {
                    Some(message) => handler.request(&message).map_err(invalid)?,
                    None => handler.requests_ended().map_err(internal)?,
                }
            }
            Action::SendHeaders(headers) => {
                responses
                    .send_headers(convert::to_metadata(&headers).map_err(internal)?)
                    .map_err(internal)?;
            }
            Action::Wait(delay) => pause(&runtime, delay).await,
            Action::Send(message) => responses.send(message).await.map_err(internal)?,
            Action::Finish { trailers, error } => {
                let trailers = convert::to_metadata(&trailers).map_err(internal)?;
                return match error {
                    None => Ok(trailers),
                    Some(error) => Err(convert::to_error(error).with_metadata(trailers)),
                };
            }
        }
    }
}

fn invalid(error: CodecError) -> RpcError {
    RpcError::new(Code::InvalidArgument, error.to_string())
}

fn internal(error: impl ToString) -> RpcError {
    RpcError::new(Code::Internal, error.to_string())
}
