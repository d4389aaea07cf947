//! The server of the tour.

use std::future::pending;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use connect_proto::call::Duplex;
use connect_proto::compress::Compressions;
use connect_proto::error::{Code, ErrorDetail, RpcError};
use connect_proto::metadata::Metadata;
use connect_proto_async::{
    Context, Procedure, Requests, Response, Responses, Router, Runtime, Server, ServerConfig,
};
use http::HeaderValue;

use super::sleep;

/// Serves at a port of the system's choice.
pub(super) async fn start(runtime: Arc<dyn Runtime>) -> io::Result<Server> {
    let mut config = ServerConfig::default();
    config.calls.compressions = Compressions::none(); // else the flood would be a trickle
    let address = "127.0.0.1:0".parse().map_err(io::Error::other)?;
    Server::bind(runtime.clone(), &address, router(runtime), config).await
}

fn router(runtime: Arc<dyn Runtime>) -> Router {
    Router::new(["json"])
        .side_effect_free_unary(&procedure("Greet"), greet)
        .unary(&procedure("Fail"), fail)
        .unary(&procedure("Slow"), |_: Context, _: Bytes| pending::<Result<Response, RpcError>>())
        .client_stream(&procedure("Sum"), sum)
        .server_stream(&procedure("Countdown"), countdown)
        // It runs in full duplex where HTTP allows that.
        .bidi(&procedure("Echo"), Duplex::Half, echo)
        .server_stream(&procedure("AboutToEnd"), move |_: Context, _: Bytes, responses: Responses| {
            about_to_end(runtime.clone(), responses)
        })
        .server_stream(&procedure("Silent"), |_: Context, _: Bytes, mut responses: Responses| async move {
            responses.send("\"first\"").await?;
            pending::<Result<(), RpcError>>().await
        })
        .server_stream(&procedure("Flood"), flood)
        .server_stream(&procedure("NoHead"), |_: Context, _: Bytes, _: Responses| {
            pending::<Result<(), RpcError>>()
        })
}

fn procedure(method: &str) -> Procedure {
    Procedure::new(format!("/tour.v1.TourService/{method}")).expect("it is a path")
}

async fn greet(context: Context, name: Bytes) -> Result<Response, RpcError> {
    let name = String::from_utf8_lossy(&name);
    let mut response = Response::new(format!("\"Hello, {}!\"", name.trim_matches('"')));
    let method = if context.query().is_some() { "GET" } else { "POST" };
    response.headers.insert("greeted-by", HeaderValue::from_static(method));
    Ok(response)
}

async fn fail(_: Context, _: Bytes) -> Result<Response, RpcError> {
    let value = Bytes::from_static(&[10, 2, 8, 5]);
    let detail = ErrorDetail { type_name: "google.rpc.RetryInfo".into(), value };
    Err(RpcError::new(Code::ResourceExhausted, "try again in 5 s").with_detail(detail))
}

async fn sum(_: Context, mut numbers: Requests) -> Result<Response, RpcError> {
    let mut sum = 0;
    while let Some(number) = numbers.recv().await? {
        sum += read(&number)?;
    }
    Ok(Response::new(sum.to_string()))
}

async fn countdown(_: Context, from: Bytes, mut numbers: Responses) -> Result<(), RpcError> {
    for number in (1..=read(&from)?).rev() {
        numbers.send(number.to_string()).await?;
    }
    Ok(())
}

async fn echo(_: Context, requests: Requests, mut responses: Responses) -> Result<(), RpcError> {
    responses.send_all(requests).await
}

async fn about_to_end(runtime: Arc<dyn Runtime>, mut responses: Responses) -> Result<Metadata, RpcError> {
    responses.send("\"first\"").await?;
    sleep(&*runtime, Duration::from_millis(300)).await;
    responses.send("\"last\"").await?;
    let mut trailers = Metadata::new();
    trailers.insert("tour-method", HeaderValue::from_static("AboutToEnd"));
    Ok(trailers)
}

async fn flood(_: Context, _: Bytes, mut responses: Responses) -> Result<(), RpcError> {
    let drop = Bytes::from(format!("\"{}\"", "flood ".repeat(4096)));
    loop {
        responses.send(drop.clone()).await?;
    }
}

fn read(number: &Bytes) -> Result<u64, RpcError> {
    let number = std::str::from_utf8(number).ok().and_then(|number| number.trim().parse().ok());
    number.ok_or_else(|| RpcError::new(Code::InvalidArgument, "not a number"))
}
