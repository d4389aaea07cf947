//! The service, as these crates serve it. What each procedure does is told in the README.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use connect_proto::call::Duplex;
use connect_proto::error::{CloseReason, ErrorDetail};
use connect_proto::metadata::binary_value;
use connect_proto_async::tls::ServerTls;
use connect_proto_async::{
    Code, Context, Metadata, Procedure, Requests, Response, Responses, Router, RpcError, Runtime, SendError,
};
use http::HeaderValue;

use crate::message::{Codec, TYPE_NAME};
use crate::transport::{Authority, Certificates};
use crate::{Failure, pause};

pub(crate) fn procedure(name: &str) -> Result<Procedure, Failure> {
    Ok(Procedure::new(format!("/interop.v1.InteropService/{name}"))?)
}

/// What every handler has.
#[derive(Clone)]
struct Service {
    runtime: Arc<dyn Runtime>,
    /// How calls have ended, by their `x-id`.
    outcomes: Arc<Mutex<HashMap<String, &'static str>>>,
    /// `None` in the clear.
    renewal: Option<Renewal>,
}

/// How the server's certificate is replaced at work.
#[derive(Clone)]
pub(crate) struct Renewal {
    pub(crate) tls: ServerTls,
    pub(crate) certificates: Certificates,
}

pub(crate) fn router(runtime: &Arc<dyn Runtime>, renewal: Option<Renewal>) -> Result<Router, Failure> {
    let service = Service { runtime: runtime.clone(), outcomes: Arc::default(), renewal };
    /// A handler of which each call has a service of its own.
    macro_rules! with {
        ($handler:path, $($argument:ident),+) => {{
            let service = service.clone();
            move |$($argument),+| $handler(service.clone(), $($argument),+)
        }};
    }
    Ok(Router::new(Codec::ALL.map(Codec::name))
        .unary(&procedure("Echo")?, with!(echo, context, message))
        .side_effect_free_unary(&procedure("Query")?, with!(query, context, message))
        .unary(&procedure("Fail")?, with!(fail, context, message))
        .unary(&procedure("Wait")?, with!(wait, context, message))
        .unary(&procedure("Outcome")?, with!(outcome, context, message))
        .unary(&procedure("Renew")?, with!(renew, context, message))
        .client_stream(&procedure("Join")?, with!(join, context, requests))
        .server_stream(&procedure("Count")?, with!(count, context, message, responses))
        .server_stream(&procedure("Hold")?, with!(hold, context, message, responses))
        .bidi(&procedure("Chat")?, Duplex::Half, with!(chat, context, requests, responses)))
}

async fn echo(_: Service, context: Context, message: Bytes) -> Result<Response, RpcError> {
    let (codec, (headers, trailers)) = (codec(&context), answer_metadata(&context));
    let mut response = Response::new(codec.encode(&codec.decode(&message)?));
    (response.headers, response.trailers) = (headers, trailers);
    Ok(response)
}

async fn query(_: Service, context: Context, message: Bytes) -> Result<Response, RpcError> {
    let codec = codec(&context);
    let method = if context.query().is_some() { "GET" } else { "POST" };
    Ok(Response::new(codec.encode(&format!("{method} {}", codec.decode(&message)?))))
}

async fn fail(_: Service, context: Context, message: Bytes) -> Result<Response, RpcError> {
    Err(failure(&context, &codec(&context).decode(&message)?))
}

async fn wait(service: Service, context: Context, _: Bytes) -> Result<Response, RpcError> {
    service.watch(&context);
    std::future::pending().await
}

async fn outcome(service: Service, context: Context, message: Bytes) -> Result<Response, RpcError> {
    let codec = codec(&context);
    let id = codec.decode(&message)?;
    for _ in 0..500 {
        let outcome = service.outcomes.lock().unwrap_or_else(PoisonError::into_inner).get(&id).copied();
        if let Some(outcome) = outcome {
            return Ok(Response::new(codec.encode(outcome)));
        }
        pause(&service.runtime, Duration::from_millis(10)).await;
    }
    Ok(Response::new(codec.encode("none")))
}

async fn renew(service: Service, _: Context, message: Bytes) -> Result<Response, RpcError> {
    let Some(Renewal { tls, certificates }) = service.renewal else {
        return Err(RpcError::new(Code::FailedPrecondition, "there is no TLS"));
    };
    let config = certificates.server(Authority::Other);
    tls.replace(config.map_err(|error| RpcError::new(Code::Internal, error.to_string()))?);
    Ok(Response::new(message))
}

async fn join(service: Service, context: Context, mut requests: Requests) -> Result<Response, RpcError> {
    service.watch(&context);
    let codec = codec(&context);
    let mut texts = Vec::new();
    while let Some(message) = requests.recv().await? {
        texts.push(codec.decode(&message)?);
    }
    let mut response = Response::new(codec.encode(&texts.join(",")));
    (response.headers, response.trailers) = answer_metadata(&context);
    Ok(response)
}

async fn count(
    _: Service,
    context: Context,
    message: Bytes,
    mut responses: Responses,
) -> Result<Metadata, RpcError> {
    let (codec, (headers, trailers)) = (codec(&context), answer_metadata(&context));
    let asked = codec.decode(&message)?;
    let (count, size) = asked.split_once('x').unwrap_or((&asked, "0"));
    let invalid = |_| RpcError::new(Code::InvalidArgument, "not a number");
    let (count, size): (usize, usize) = (count.parse().map_err(invalid)?, size.parse().map_err(invalid)?);
    responses.send_headers(headers).map_err(SendError::from)?;
    for at in 0..count {
        let mut text = at.to_string();
        text.extend(std::iter::repeat_n('x', size.saturating_sub(text.len())));
        responses.send(codec.encode(&text)).await?;
    }
    Ok(trailers)
}

async fn hold(
    service: Service,
    context: Context,
    message: Bytes,
    mut responses: Responses,
) -> Result<Metadata, RpcError> {
    service.watch(&context);
    let (codec, (headers, trailers)) = (codec(&context), answer_metadata(&context));
    let how = codec.decode(&message)?;
    if how != "mute" {
        responses.send_headers(headers).map_err(SendError::from)?;
        responses.send(codec.encode("first")).await?;
    }
    match how.as_str() {
        "soon" => {
            pause(&service.runtime, Duration::from_millis(200)).await;
            responses.send(codec.encode("second")).await?;
            Ok(trailers)
        }
        "silent" | "mute" => std::future::pending().await,
        "flood" => loop {
            responses.send(codec.encode(&"x".repeat(1000))).await?;
        },
        "fail" => Err(failure(&context, "after a message")),
        "cancel" => Err(RpcError::new(Code::Canceled, "by the server")),
        _ => Err(RpcError::new(Code::InvalidArgument, "no such way to hold a stream")),
    }
}

async fn chat(
    service: Service,
    context: Context,
    mut requests: Requests,
    mut responses: Responses,
) -> Result<Metadata, RpcError> {
    service.watch(&context);
    let (headers, trailers) = answer_metadata(&context);
    responses.send_headers(headers).map_err(SendError::from)?;
    while let Some(message) = requests.recv().await? {
        responses.send(message).await?;
    }
    Ok(trailers)
}

impl Service {
    /// Notes how the call ends, if it has an id.
    fn watch(&self, context: &Context) {
        let Some(id) = context.metadata().get("x-id").and_then(|id| id.to_str().ok()) else { return };
        let (id, ended, outcomes) = (id.to_owned(), context.ended(), self.outcomes.clone());
        self.runtime.spawn(Box::pin(async move {
            let outcome = match ended.await {
                CloseReason::PeerReset(_) | CloseReason::TransportLost(_) => "canceled",
                reason => reason.code().map_or("done", Code::as_str),
            };
            outcomes.lock().unwrap_or_else(PoisonError::into_inner).insert(id, outcome);
        }));
    }
}

fn codec(context: &Context) -> Codec {
    Codec::of_name(context.codec())
}

/// What goes before an answer, and after it.
fn answer_metadata(context: &Context) -> (Metadata, Metadata) {
    let (mut headers, mut trailers) = (Metadata::new(), Metadata::new());
    let asked = context.metadata();
    for value in asked.get_all("x-ask") {
        headers.append("x-header", value.clone());
        trailers.append("x-trailer", value.clone());
    }
    if let Some(value) = asked.get("x-ask-bin") {
        headers.insert("x-header-bin", value.clone());
        trailers.insert("x-trailer-bin", value.clone());
    }
    let encoding = asked.get("content-encoding").or_else(|| asked.get("connect-content-encoding"));
    headers.insert("x-encoding", encoding.cloned().unwrap_or(HeaderValue::from_static("identity")));
    if let Some(certificate) = context.peer().certificates.first() {
        headers.insert("x-certificate-bin", binary_value(certificate));
    }
    if let Some(left) = context.time_left() {
        headers.insert("x-time-left", HeaderValue::from(left.as_millis() as u64));
    }
    (headers, trailers)
}

fn failure(context: &Context, message: &str) -> RpcError {
    let (_, trailers) = answer_metadata(context);
    let detail = ErrorDetail { type_name: TYPE_NAME.to_owned(), value: Codec::Proto.encode("detail") };
    RpcError::new(Code::FailedPrecondition, message).with_detail(detail).with_metadata(trailers)
}
