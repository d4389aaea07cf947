//! The service of the examples `server` and `client`: one procedure of each kind. Its messages are JSON, written by hand.

use std::sync::Arc;

use bytes::Bytes;
use connect_proto_tokio::{
    Address, Code, Context, Duplex, Procedure, Requests, Response, Responses, Router, RpcError, Server,
    ServerConfig, Tokio,
};

/// Serves at an address.
pub(crate) async fn serve(address: &Address) -> std::io::Result<Server> {
    let router = Router::new(["json"])
        .side_effect_free_unary(&procedure("Factor"), factor)
        .server_stream(&procedure("Multiples"), multiples)
        .client_stream(&procedure("Mean"), mean)
        .bidi(&procedure("Sum"), Duplex::Half, sum);
    Server::bind(Arc::new(Tokio::current()), address, router, ServerConfig::default()).await
}

/// The name of a procedure.
pub(crate) fn procedure(method: &str) -> Procedure {
    Procedure::new(format!("/example.v1.ArithmeticService/{method}")).expect("it is a path")
}

/// One message, one answer: the prime factors of a number.
async fn factor(_: Context, number: Bytes) -> Result<Response, RpcError> {
    let mut left = read(&number)?;
    let mut factors = Vec::new();
    let mut candidate = 2;
    while candidate * candidate <= left {
        if left.is_multiple_of(candidate) {
            factors.push(candidate);
            left /= candidate;
        } else {
            candidate += 1;
        }
    }
    factors.extend((left > 1).then_some(left));
    Ok(Response::new(format!("{factors:?}")))
}

/// One message, many answers: the multiples of a number, until the client has had enough.
async fn multiples(_: Context, number: Bytes, mut responses: Responses) -> Result<(), RpcError> {
    let number = read(&number)?;
    for multiple in std::iter::successors(Some(number), |multiple| multiple.checked_add(number)) {
        // It waits while the client reads too slowly, and fails once the call is over.
        responses.send(multiple.to_string()).await?;
    }
    Ok(())
}

/// Many messages, one answer: the mean of all numbers.
async fn mean(_: Context, mut numbers: Requests) -> Result<Response, RpcError> {
    let (mut sum, mut count) = (0, 0);
    while let Some(number) = numbers.recv().await? {
        sum += u128::from(read(&number)?);
        count += 1;
    }
    if count == 0 {
        return Err(RpcError::new(Code::FailedPrecondition, "no number has no mean"));
    }
    Ok(Response::new((sum as f64 / f64::from(count)).to_string()))
}

/// Many messages, many answers: after each number the sum so far. Over HTTP/2 it comes before the next number goes out.
async fn sum(_: Context, mut numbers: Requests, mut responses: Responses) -> Result<(), RpcError> {
    let mut sum = 0;
    while let Some(number) = numbers.recv().await? {
        sum += u128::from(read(&number)?);
        responses.send(sum.to_string()).await?;
    }
    Ok(())
}

fn read(number: &Bytes) -> Result<u64, RpcError> {
    let number = std::str::from_utf8(number).ok().and_then(|text| text.trim().parse().ok());
    number
        .filter(|number| (1..=1_000_000_000_000).contains(number))
        .ok_or_else(|| RpcError::new(Code::InvalidArgument, "not a number between 1 and 10^12"))
}
