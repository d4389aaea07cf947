//! What is tried on each way by a channel.

use std::time::Duration;

use bytes::Bytes;
use connect_proto_tokio::connect_proto::connection::Fate;
use connect_proto_tokio::connect_proto::error::{AbortReason, CloseReason};
use connect_proto_tokio::{Channel, Code, Duplex, Receiver, RpcError, Sender};
use futures_util::future::{BoxFuture, try_join_all};
use tokio::time::sleep;

use crate::proxy::{Front, Version};
use crate::upstream::{HEADER, TRAILER, failure};
use crate::way::{Failed, Observed, Outcome, PATIENCE, Way, ensure, soon};

/// A case: its name, and the trial.
pub type Case = (&'static str, fn(&Way) -> BoxFuture<'_, Outcome>);

/// All that are tried by a channel, but for what it takes servers to go away: [`crate::shutdown`].
pub const CASES: &[Case] = &[
    ("unary, with headers and trailers", |way| Box::pin(unary(way))),
    ("unary by GET", |way| Box::pin(get(way))),
    ("error with details and metadata", |way| Box::pin(error(way))),
    ("server stream: headers before messages", |way| Box::pin(early_headers(way))),
    ("server stream, message by message", |way| Box::pin(server_stream(way))),
    ("its trailers", |way| Box::pin(trailers(way))),
    ("its error after messages", |way| Box::pin(late_error(way))),
    ("client stream, message by message", |way| Box::pin(client_stream(way))),
    ("bidi, half duplex", |way| Box::pin(half_duplex(way))),
    ("bidi, full duplex", |way| Box::pin(full_duplex(way))),
    ("16 MiB up and 3 MiB both ways", |way| Box::pin(large(way))),
    ("a slow reader slows the handler", |way| Box::pin(back_pressure(way))),
    ("200 streams at once", |way| Box::pin(many(way))),
    ("deadline", |way| Box::pin(deadline(way))),
    ("close: a stream that ends soon", |way| Box::pin(close_soon(way))),
    ("close: a silent stream", |way| Box::pin(close_silent(way))),
    ("close: a stream of too much", |way| Box::pin(close_flood(way))),
    ("abort: a unary call", |way| Box::pin(abort_unary(way))),
    ("abort: a silent server stream", |way| Box::pin(abort_server_stream(way))),
    ("abort: a client stream", |way| Box::pin(abort_client_stream(way))),
];

async fn unary(way: &Way) -> Outcome {
    let (call, _) = way.call(&way.channel()?, "Echo");
    let response = call.unary("hello").await?;
    ensure(response.message == "hello", "another message")?;
    ensure(response.headers.get(HEADER).is_some_and(|value| value == "of a response"), "no headers")?;
    ensure(response.trailers.get(TRAILER).is_some_and(|value| value == "of a response"), "no trailers")
}

async fn get(way: &Way) -> Outcome {
    let (call, observed) = way.call(&way.channel()?, "Echo");
    let message = "/?&% +".repeat(100);
    let response = call.side_effect_free().unary(message.clone()).await?;
    ensure(response.message == message, "another message")?;
    ensure(observed.seen().by_get, "came by POST")
}

fn is_failure(error: &RpcError) -> Outcome {
    let expected = failure();
    ensure(error.code() == expected.code() && error.message() == expected.message(), error.to_string())?;
    ensure(error.details() == expected.details(), "no details")?;
    ensure(error.metadata().get(TRAILER) == expected.metadata().get(TRAILER), "no metadata")
}

async fn error(way: &Way) -> Outcome {
    let (call, observed) = way.call(&way.channel()?, "Fail");
    let Err(error) = call.unary("hello").await else { return Err(Failed("succeeds".into())) };
    is_failure(&error)?;
    ensure(observed.seen().begun == 1, "is tried again") // by the proxy, since it is a 503
}

async fn early_headers(way: &Way) -> Outcome {
    let (call, observed) = way.call(&way.channel()?, "Steps");
    let mut receiver = call.server_stream("1")?;
    observed.begun().await?;
    let headers = soon(receiver.headers(), "are held back").await??;
    ensure(headers.get(HEADER).is_some(), "no headers")
}

/// The handler sends nothing before the client has what went before.
async fn server_stream(way: &Way) -> Outcome {
    let (call, observed) = way.call(&way.channel()?, "Steps");
    let mut receiver = call.server_stream("5")?;
    observed.begun().await?;
    for step in 0..5 {
        observed.permit(1);
        expect(&mut receiver, &step.to_string()).await?;
    }
    observed.permit(1);
    expect_end(&mut receiver).await
}

async fn expect(receiver: &mut Receiver, message: &str) -> Outcome {
    let received = soon(receiver.recv(), "messages are held back").await??;
    ensure(received.as_deref() == Some(message.as_bytes()), "another message")
}

async fn expect_end(receiver: &mut Receiver) -> Outcome {
    let end = soon(receiver.recv(), "the end is held back").await??;
    ensure(end.is_none(), "one message more")
}

async fn trailers(way: &Way) -> Outcome {
    let (call, observed) = way.call(&way.channel()?, "Steps");
    observed.permit(3);
    let mut receiver = call.server_stream("2")?;
    expect(&mut receiver, "0").await?;
    expect(&mut receiver, "1").await?;
    expect_end(&mut receiver).await?;
    let trailers = receiver.trailers().and_then(|trailers| trailers.get(TRAILER));
    ensure(trailers.is_some_and(|value| value == "of a response"), "no trailers")
}

async fn late_error(way: &Way) -> Outcome {
    let (call, observed) = way.call(&way.channel()?, "Steps");
    observed.permit(2);
    let mut receiver = call.server_stream("1 fail")?;
    expect(&mut receiver, "0").await?;
    match receiver.recv().await {
        Err(error) => is_failure(&error),
        Ok(_) => Err(Failed("succeeds".into())),
    }
}

async fn client_stream(way: &Way) -> Outcome {
    let (call, observed) = way.call(&way.channel()?, "Collect");
    let (mut sender, mut receiver) = call.client_stream()?;
    for count in 1..=5 {
        sender.send("12345").await?;
        observed.received(count).await?;
    }
    sender.finish()?;
    let response = soon(receiver.response(), "no response").await??;
    ensure(response.message == "25", "another message")
}

async fn half_duplex(way: &Way) -> Outcome {
    let (call, observed) = way.call(&way.channel()?, "Half");
    let (mut sender, mut receiver) = call.bidi(Duplex::Half)?;
    for count in 1..=5 {
        sender.send(count.to_string()).await?;
        observed.received(count).await?;
    }
    sender.finish()?;
    for count in 1..=5 {
        expect(&mut receiver, &count.to_string()).await?;
    }
    expect_end(&mut receiver).await
}

async fn full_duplex(way: &Way) -> Outcome {
    let (call, _) = way.call(&way.channel()?, "Full");
    let (mut sender, mut receiver) = call.bidi(Duplex::Full)?;
    for count in 1..=5 {
        if sender.send(count.to_string()).await.is_err() {
            return Err(receiver.recv().await.map_or_else(Failed::from, |_| Failed("ends early".into())));
        }
        expect(&mut receiver, &count.to_string()).await?;
    }
    sender.finish()?;
    expect_end(&mut receiver).await
}

async fn large(way: &Way) -> Outcome {
    let channel = way.channel()?;
    let message = Bytes::from(vec![b'x'; 3 << 20]);
    let (call, _) = way.call(&channel, "Echo");
    let response = call.unary(message.clone()).await?;
    ensure(response.message == message, "another message")?;

    let (call, _) = way.call(&channel, "Collect");
    let (mut sender, mut receiver) = call.client_stream()?;
    for _ in 0..16 {
        sender.send(message.slice(..1 << 20)).await?;
    }
    sender.finish()?;
    let response = receiver.response().await?;
    ensure(response.message == (16 << 20).to_string(), "another message")?;

    let (call, _) = way.call(&channel, "Half");
    let (mut sender, mut receiver) = call.bidi(Duplex::Half)?;
    sender.send(message.clone()).await?;
    sender.finish()?;
    ensure(receiver.recv().await? == Some(message), "another message")
}

/// The handler could send a gigabyte in the time; what it gets rid of are the buffers on the way.
async fn back_pressure(way: &Way) -> Outcome {
    let (call, observed) = way.call(&way.channel()?, "Flood");
    let mut receiver = call.server_stream("")?;
    receiver.recv().await?;
    sleep(Duration::from_millis(500)).await;
    let sent = observed.seen().sent;
    sleep(Duration::from_millis(500)).await;
    ensure(observed.seen().sent == sent, "the proxy takes all")?;
    for _ in 0..sent {
        receiver.recv().await?;
    }
    observed.until(|seen| seen.sent > sent, "stays stuck").await.map(drop)
}

async fn many(way: &Way) -> Outcome {
    let channel = way.channel()?;
    let streams = try_join_all((0..200).map(|_| one_of_many(way, &channel)));
    // With a TLS handshake for each it takes a while on a busy machine.
    let streams = tokio::time::timeout(3 * PATIENCE, streams).await;
    let mut streams = streams.map_err(|_| Failed("not all of them begin".into()))??;
    streams.iter().for_each(|(_, observed)| observed.permit(1));
    for (receiver, _) in &mut streams {
        expect_end(receiver).await?;
    }
    Ok(())
}

async fn one_of_many(way: &Way, channel: &Channel) -> Result<(Receiver, Observed), Failed> {
    let (call, observed) = way.call(channel, "Steps");
    observed.permit(1);
    let mut receiver = call.server_stream("1")?;
    receiver.recv().await?;
    Ok((receiver, observed))
}

async fn deadline(way: &Way) -> Outcome {
    let (call, observed) = way.call(&way.channel()?, "Stuck");
    let time = Duration::from_millis(500);
    match soon(call.timeout(time).unary("hello"), "hangs").await? {
        Err(error) => ensure(error.code() == Code::DeadlineExceeded, error.code().to_string())?,
        Ok(_) => return Err(Failed("succeeds".into())),
    }
    ensure(observed.seen().time_left.is_some_and(|left| left <= time), "the server is not told")?;
    observed.until(|seen| seen.ended.is_some(), "the handler does not hear of it").await.map(drop)
}

/// A stream of which one message has come.
async fn begun_stream(way: &Way, channel: &Channel) -> Result<(Receiver, Observed), Failed> {
    let (call, observed) = way.call(channel, "Steps");
    observed.permit(1);
    let mut receiver = call.server_stream("2")?;
    expect(&mut receiver, "0").await?;
    Ok((receiver, observed))
}

async fn close_soon(way: &Way) -> Outcome {
    let channel = way.channel()?;
    let (receiver, observed) = begun_stream(way, &channel).await?;
    let ending = receiver.close();
    observed.permit(2);
    let end = soon(ending, "does not end").await?;
    ensure(end.closed.reason == CloseReason::Drained, format!("{:?}", end.closed.reason))?;
    ensure(end.closed.fate == Fate::Reusable, format!("{:?}", end.closed.fate))?;
    let trailers = end.verdict.and_then(Result::ok);
    ensure(trailers.is_some_and(|trailers| trailers.contains_key(TRAILER)), "no trailers")?;
    next_call(way, &channel, 1).await
}

/// The channel goes on, with so many connections in all at most.
async fn next_call(way: &Way, channel: &Channel, dials: u64) -> Outcome {
    way.call(channel, "Echo").0.unary("hello").await?;
    ensure(channel.counters().dials <= dials, format!("{} connections were made", channel.counters().dials))
}

/// Connections that it takes for two calls if the first one has to be cut off.
fn after_a_cut(way: &Way) -> u64 {
    match way.route.front {
        Front::Plain(Version::Http1) | Front::Tls(Version::Http1) => 2,
        Front::Plain(Version::Http2) | Front::Tls(Version::Http2) => 1,
    }
}

async fn close_silent(way: &Way) -> Outcome {
    let channel = way.channel()?;
    let (receiver, observed) = begun_stream(way, &channel).await?;
    let end = soon(receiver.close(), "does not end").await?;
    ensure(end.closed.reason == CloseReason::DrainTimedOut, format!("{:?}", end.closed.reason))?;
    observed.canceled().await?;
    next_call(way, &channel, after_a_cut(way)).await
}

async fn close_flood(way: &Way) -> Outcome {
    let channel = way.channel()?;
    let (call, observed) = way.call(&channel, "Flood");
    let mut receiver = call.server_stream("")?;
    receiver.recv().await?;
    let end = soon(receiver.close(), "does not end").await?;
    ensure(end.closed.reason == CloseReason::DrainTooLarge, format!("{:?}", end.closed.reason))?;
    observed.canceled().await?;
    next_call(way, &channel, after_a_cut(way)).await
}

async fn abort_unary(way: &Way) -> Outcome {
    let channel = way.channel()?;
    let (call, observed) = way.call(&channel, "Stuck");
    let receiver = call.open_unary("hello")?;
    observed.begun().await?;
    aborted(way, &channel, receiver, &observed).await
}

async fn abort_server_stream(way: &Way) -> Outcome {
    let channel = way.channel()?;
    let (receiver, observed) = begun_stream(way, &channel).await?;
    aborted(way, &channel, receiver, &observed).await
}

async fn abort_client_stream(way: &Way) -> Outcome {
    let channel = way.channel()?;
    let (call, observed) = way.call(&channel, "Collect");
    let (mut sender, receiver): (Sender, Receiver) = call.client_stream()?;
    sender.send("12345").await?;
    observed.begun().await?;
    aborted(way, &channel, receiver, &observed).await
}

async fn aborted(way: &Way, channel: &Channel, receiver: Receiver, observed: &Observed) -> Outcome {
    let end = soon(receiver.abort(), "does not end").await?;
    let is_ours = end.closed.reason == CloseReason::Aborted(AbortReason::Requested);
    ensure(is_ours, format!("{:?}", end.closed.reason))?;
    observed.canceled().await?;
    next_call(way, channel, after_a_cut(way)).await
}

/// Runs a case.
pub async fn run((_, case): &Case, way: &Way) -> Outcome {
    tokio::time::timeout(4 * PATIENCE, case(way)).await.unwrap_or_else(|_| Err(Failed("hangs".into())))
}
