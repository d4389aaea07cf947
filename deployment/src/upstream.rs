//! The servers behind the proxies, and what is known of the calls that reach them.

use std::collections::HashMap;
use std::future::pending;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use connect_proto_tokio::connect_proto::error::{CloseReason, ErrorDetail};
use connect_proto_tokio::{
    Address, Code, Context, Duplex, Metadata, Procedure, Requests, Response, Responses, Router, RpcError,
    SendError, Server, ServerConfig, Tokio,
};
use tokio::sync::{Semaphore, watch};

/// The request header that says which call it is.
pub const CALL: &str = "test-call";
/// A header of every response, and a trailer of every one that has trailers.
pub const HEADER: &str = "test-header";
/// See [`HEADER`].
pub const TRAILER: &str = "test-trailer";

/// What a server has seen of a call.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Times that its handler was begun.
    pub begun: usize,
    /// The server that it came to, the last time.
    pub server: usize,
    /// Whether it came by GET.
    pub by_get: bool,
    /// The time it had left when it came.
    pub time_left: Option<Duration>,
    /// Messages that came.
    pub received: usize,
    /// Messages that the handler got rid of.
    pub sent: usize,
    /// Why it ended.
    pub ended: Option<CloseReason>,
}

/// A call, as the client and the handler share it behind the proxy's back.
#[derive(Debug)]
pub struct Call {
    /// What the server has seen of it.
    pub seen: watch::Sender<Seen>,
    /// The messages that the handler may send. A call without is silent.
    pub permits: Semaphore,
}

impl Default for Call {
    fn default() -> Self {
        Call { seen: watch::Sender::default(), permits: Semaphore::new(0) }
    }
}

/// All calls, by their number.
#[derive(Clone, Debug, Default)]
pub struct CallBoard(Arc<Mutex<HashMap<u64, Arc<Call>>>>);

impl CallBoard {
    /// The call of a number.
    pub fn call(&self, number: u64) -> Arc<Call> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(number).or_default().clone()
    }

    /// The call of a handler that begins.
    fn begin(&self, server: usize, context: &Context) -> Result<Arc<Call>, RpcError> {
        let number = context.metadata().get(CALL).and_then(|value| value.to_str().ok()?.parse().ok());
        let number = number.ok_or_else(|| RpcError::new(Code::InvalidArgument, "a call without a number"))?;
        let call = self.call(number);
        call.seen.send_modify(|seen| {
            seen.begun += 1;
            seen.server = server;
            seen.by_get = context.query().is_some();
            seen.time_left = context.time_left();
        });
        let (ended, witness) = (context.ended(), call.clone());
        tokio::spawn(async move {
            let reason = ended.await;
            witness.seen.send_modify(|seen| seen.ended = Some(reason));
        });
        Ok(call)
    }
}

impl Call {
    fn received(&self) {
        self.seen.send_modify(|seen| seen.received += 1);
    }

    fn sent(&self) {
        self.seen.send_modify(|seen| seen.sent += 1);
    }

    async fn permit(&self) {
        if let Ok(permit) = self.permits.acquire().await {
            permit.forget();
        }
    }
}

/// Metadata of one field.
pub fn metadata(name: &'static str, value: &str) -> Metadata {
    let mut metadata = Metadata::new();
    if let Ok(value) = value.parse() {
        metadata.insert(name, value);
    }
    metadata
}

/// A procedure of the test service.
pub fn procedure(name: &str) -> Procedure {
    Procedure::new(format!("/test.v1.Service/{name}")).expect("it is a path")
}

/// An error that has all that an error can have.
pub fn failure() -> RpcError {
    let value = Bytes::from_static(&[10, 2, 8, 5]);
    RpcError::new(Code::Unavailable, "not today")
        .with_detail(ErrorDetail { type_name: "google.rpc.RetryInfo".into(), value })
        .with_metadata(metadata(TRAILER, "of an error"))
}

/// A server at a port of loopback.
pub async fn serve(port: u16, server: usize, board: &CallBoard) -> io::Result<Server> {
    let address = Address::Tcp { host: "127.0.0.1".into(), port };
    let router = router(server, board);
    Server::bind(Arc::new(Tokio::current()), &address, router, ServerConfig::default()).await
}

fn router(server: usize, board: &CallBoard) -> Router {
    let begin = {
        let board = board.clone();
        move |context: &Context| board.begin(server, context)
    };
    let begin = Arc::new(begin);
    macro_rules! handler {
        (|$call:ident $(, $argument:ident: $type:ty)*| $body:expr) => {{
            let begin = begin.clone();
            move |context: Context $(, $argument: $type)*| {
                let $call = begin(&context);
                async move {
                    let ($call, _context) = ($call?, context);
                    $body
                }
            }
        }};
    }
    Router::new(["text"])
        .side_effect_free_unary(&procedure("Echo"), handler!(|_call, message: Bytes| Ok(echo(message))))
        .unary(&procedure("Fail"), handler!(|_call, _message: Bytes| Err::<Response, _>(failure())))
        .unary(&procedure("Stuck"), handler!(|_call, _message: Bytes| Ok(pending::<Response>().await)))
        .server_stream(
            &procedure("Steps"),
            handler!(|call, message: Bytes, responses: Responses| steps(&call, message, responses).await),
        )
        .server_stream(
            &procedure("Flood"),
            handler!(|call, _message: Bytes, responses: Responses| flood(&call, responses).await),
        )
        .client_stream(
            &procedure("Collect"),
            handler!(|call, requests: Requests| collect(&call, requests).await),
        )
        .bidi(
            &procedure("Half"),
            Duplex::Half,
            handler!(|call, requests: Requests, responses: Responses| talk(&call, requests, responses).await),
        )
        .bidi(
            &procedure("Full"),
            Duplex::Full,
            handler!(|call, requests: Requests, responses: Responses| talk(&call, requests, responses).await),
        )
}

fn echo(message: Bytes) -> Response {
    let mut response = Response::new(message);
    response.headers = metadata(HEADER, "of a response");
    response.trailers = metadata(TRAILER, "of a response");
    response
}

/// Sends its headers at once, and then a message for each permit: as many as the request says, and at the end what else it
/// says: `fail`, or trailers.
async fn steps(call: &Call, request: Bytes, mut responses: Responses) -> Result<Metadata, RpcError> {
    let request = String::from_utf8_lossy(&request).into_owned();
    let (count, end) = request.split_once(' ').unwrap_or((&request, ""));
    responses.send_headers(metadata(HEADER, "of a response")).map_err(SendError::from)?;
    for step in 0..count.parse().unwrap_or(usize::MAX) {
        call.permit().await;
        responses.send(step.to_string()).await?;
        call.sent();
    }
    call.permit().await;
    if end == "fail" { Err(failure()) } else { Ok(metadata(TRAILER, "of a response")) }
}

async fn flood(call: &Call, mut responses: Responses) -> Result<(), RpcError> {
    let message = Bytes::from(vec![b'x'; 64 << 10]);
    loop {
        responses.send(message.clone()).await?;
        call.sent();
    }
}

async fn collect(call: &Call, mut requests: Requests) -> Result<Response, RpcError> {
    let mut bytes = 0;
    while let Some(message) = requests.recv().await? {
        bytes += message.len();
        call.received();
    }
    Ok(Response::new(bytes.to_string()))
}

async fn talk(call: &Call, mut requests: Requests, mut responses: Responses) -> Result<Metadata, RpcError> {
    while let Some(message) = requests.recv().await? {
        call.received();
        responses.send(message).await?;
    }
    Ok(metadata(TRAILER, "of a response"))
}
