//! Closes, and what becomes of the connection.

use std::time::Duration;

use connect_proto::call::Duplex;
use connect_proto::connection::{CallClosed, Fate};
use connect_proto::error::CloseReason;
use connect_proto_async::{CallBuilder, CallEnd, Ending, Protocol};

use super::{Client, Peer, metadata, values};
use crate::message::Codec;
use crate::report::{Report, holds, same};
use crate::{Failure, pause};

/// A time that a test can wait for.
const DRAIN_TIME: Duration = Duration::from_millis(500);
/// More time than it takes.
const ENOUGH: Duration = Duration::from_secs(10);
const DRAIN_BYTES: u64 = 100_000;

pub(super) async fn run(peer: &Peer, report: &mut Report) {
    report.case("close-soon", close_soon(peer)).await;
    report.case("close-silent", close_silent(peer, "silent")).await;
    report.case("close-mute", close_silent(peer, "mute")).await;
    report.case("close-unary", close_unary(peer)).await;
    report.case("close-flood", close_flood(peer)).await;
    report.case("close-client-stream", close_client_stream(peer)).await;
    if peer.protocol == Protocol::Http2 {
        report.case("close-bidi", close_bidi(peer)).await;
    }
}

/// A call with an id, and so much time to drain.
fn call(client: &Client, name: &str, id: &str, drain: Duration) -> Result<CallBuilder, Failure> {
    let call = client.call(name)?.metadata(metadata(&[("x-id", id), ("x-ask", "yes")])?);
    Ok(call.config(|calls| {
        for budget in [&mut calls.limits.drain_http1, &mut calls.limits.drain_http2] {
            (budget.time, budget.bytes) = (drain, DRAIN_BYTES);
        }
    }))
}

/// The next call goes on the same connection.
async fn lives(client: &Client, closed: &CallClosed) -> Result<(), Failure> {
    same("the connection's fate", closed.fate, Fate::Reusable)?;
    client.echo("on the same connection").await?;
    same("the connections", client.channel.counters().dials, 1)
}

/// Over HTTP/2 the connection lives on; over HTTP/1.1 it was given up for this.
async fn lives_if_http2(peer: &Peer, client: &Client, closed: &CallClosed) -> Result<(), Failure> {
    if peer.protocol == Protocol::Http2 {
        return lives(client, closed).await;
    }
    holds(closed.fate != Fate::Reusable, || "the connection is said to live".into())?;
    client.echo("on another connection").await?;
    same("the connections", client.channel.counters().dials, 2)
}

async fn drained(client: &Client, end: CallEnd) -> Result<(), Failure> {
    same("the reason", end.closed.reason, CloseReason::Drained)?;
    let trailers = end.verdict.ok_or("no trailers came")??;
    same("the trailers", values(&trailers, "x-trailer"), vec!["yes".into()])?;
    lives(client, &end.closed).await
}

async fn close_soon(peer: &Peer) -> Result<(), Failure> {
    let (client, id) = (peer.client(Codec::Proto)?, "ours-close-soon");
    let mut receiver = call(&client, "Hold", id, ENOUGH)?.server_stream(client.encode("soon"))?;
    same("the message before it", client.text(&mut receiver).await?.as_deref(), Some("first"))?;
    drained(&client, receiver.close().await).await?;
    same("what the server saw", client.outcome(id).await?.as_str(), "done")
}

/// Takes the drain's time, no less and not much more.
async fn timed_out(peer: &Peer, ending: Ending) -> Result<CallEnd, Failure> {
    let begun = peer.runtime.now();
    let end = ending.await;
    let took = peer.runtime.now().saturating_duration_since(begun);
    same("the reason", end.closed.reason, CloseReason::DrainTimedOut)?;
    let almost = DRAIN_TIME - Duration::from_millis(5);
    holds(took >= almost && took < 3 * DRAIN_TIME, || format!("the close took {took:?}"))?;
    Ok(end)
}

async fn close_silent(peer: &Peer, how: &str) -> Result<(), Failure> {
    let (client, id) = (peer.client(Codec::Proto)?, &format!("ours-close-{how}"));
    let mut receiver = call(&client, "Hold", id, DRAIN_TIME)?.server_stream(client.encode(how))?;
    if how == "silent" {
        same("the message before it", client.text(&mut receiver).await?.as_deref(), Some("first"))?;
    } else {
        pause(&peer.runtime, Duration::from_millis(100)).await;
    }
    let end = timed_out(peer, receiver.close()).await?;
    lives_if_http2(peer, &client, &end.closed).await?;
    same("what the server saw", client.outcome(id).await?.as_str(), "canceled")
}

async fn close_unary(peer: &Peer) -> Result<(), Failure> {
    let (client, id) = (peer.client(Codec::Proto)?, "ours-close-unary");
    let receiver = call(&client, "Wait", id, DRAIN_TIME)?.open_unary(client.encode(""))?;
    pause(&peer.runtime, Duration::from_millis(100)).await;
    let end = timed_out(peer, receiver.close()).await?;
    lives_if_http2(peer, &client, &end.closed).await?;
    same("what the server saw", client.outcome(id).await?.as_str(), "canceled")
}

async fn close_flood(peer: &Peer) -> Result<(), Failure> {
    let (client, id) = (peer.client(Codec::Proto)?, "ours-close-flood");
    let mut receiver = call(&client, "Hold", id, ENOUGH)?.server_stream(client.encode("flood"))?;
    same("the message before it", client.text(&mut receiver).await?.as_deref(), Some("first"))?;
    let end = receiver.close().await;
    same("the reason", end.closed.reason, CloseReason::DrainTooLarge)?;
    holds(end.closed.drained <= DRAIN_BYTES, || format!("{} bytes were drained", end.closed.drained))?;
    lives_if_http2(peer, &client, &end.closed).await?;
    let outcome = client.outcome(id).await?;
    holds(["canceled", "broken"].contains(&outcome.as_str()), || format!("the server saw {outcome}"))
}

/// A close ends the sending side in order: the server answers, and the trailers come.
async fn close_client_stream(peer: &Peer) -> Result<(), Failure> {
    let (client, id) = (peer.client(Codec::Proto)?, "ours-close-client-stream");
    let (mut sender, receiver) = call(&client, "Join", id, ENOUGH)?.client_stream()?;
    sender.send(client.encode("a")).await?;
    pause(&peer.runtime, Duration::from_millis(100)).await;
    drained(&client, receiver.close().await).await?;
    same("what the server saw", client.outcome(id).await?.as_str(), "done")
}

async fn close_bidi(peer: &Peer) -> Result<(), Failure> {
    let (client, id) = (peer.client(Codec::Proto)?, "ours-close-bidi");
    let (mut sender, mut receiver) = call(&client, "Chat", id, ENOUGH)?.bidi(Duplex::Full)?;
    sender.send(client.encode("a")).await?;
    same("the answer", client.text(&mut receiver).await?.as_deref(), Some("a"))?;
    drained(&client, receiver.close().await).await?;
    same("what the server saw", client.outcome(id).await?.as_str(), "done")
}
