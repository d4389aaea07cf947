//! Calls that end before they are done: by a deadline, by their client, by their server.

use std::time::Duration;

use connect_proto::call::Duplex;
use connect_proto_async::{Code, Protocol};

use super::{Client, Peer, failed, metadata, values};
use crate::message::Codec;
use crate::report::{Report, holds, same};
use crate::{Failure, pause};

pub(super) async fn run(peer: &Peer, report: &mut Report) {
    report.case("deadline-told", deadline_told(peer)).await;
    report.case("deadline-unary", deadline_unary(peer)).await;
    report.case("deadline-stream", deadline_stream(peer)).await;
    report.case("cancel-unary", cancel_unary(peer)).await;
    report.case("cancel-server-stream", cancel_server_stream(peer)).await;
    report.case("cancel-client-stream", cancel_client_stream(peer)).await;
    if peer.protocol == Protocol::Http2 {
        report.case("cancel-bidi", cancel_bidi(peer)).await;
    }
    report.case("server-cancels", server_cancels(peer)).await;
    report.case("server-breaks-off", server_breaks_off(peer)).await;
}

async fn deadline_told(peer: &Peer) -> Result<(), Failure> {
    let client = peer.client(Codec::Proto)?;
    let call = client.call("Echo")?.timeout(Duration::from_secs(60));
    let headers = call.unary(client.encode("")).await?.headers;
    let left: u64 = values(&headers, "x-time-left").concat().parse()?;
    holds((50_000..=60_000).contains(&left), || format!("{left} ms left of 60,000"))
}

/// What a server may have seen of a call whose time was up: the client's going is a race with its own clock.
fn timed_out(outcome: &str) -> Result<(), Failure> {
    holds(["deadline_exceeded", "canceled"].contains(&outcome), || format!("the server saw {outcome}"))
}

async fn deadline_unary(peer: &Peer) -> Result<(), Failure> {
    let (client, id) = (peer.client(Codec::Proto)?, "ours-deadline-unary");
    let begun = peer.runtime.now();
    let call = client.call("Wait")?.timeout(Duration::from_millis(200)).metadata(metadata(&[("x-id", id)])?);
    let error = failed(call.unary(client.encode("")).await)?;
    same("the code", error.code(), Code::DeadlineExceeded)?;
    let took = peer.runtime.now().saturating_duration_since(begun);
    holds(took >= Duration::from_millis(199) && took < Duration::from_secs(5), || format!("took {took:?}"))?;
    timed_out(&client.outcome(id).await?)
}

async fn deadline_stream(peer: &Peer) -> Result<(), Failure> {
    let (client, id) = (peer.client(Codec::Proto)?, "ours-deadline-stream");
    let call = client.call("Hold")?.timeout(Duration::from_millis(200)).metadata(metadata(&[("x-id", id)])?);
    let mut receiver = call.server_stream(client.encode("silent"))?;
    same("the message before it", client.text(&mut receiver).await?.as_deref(), Some("first"))?;
    same("the code", failed(receiver.recv().await)?.code(), Code::DeadlineExceeded)?;
    timed_out(&client.outcome(id).await?)
}

async fn canceled(client: &Client, id: &str) -> Result<(), Failure> {
    same("what the server saw", client.outcome(id).await?.as_str(), "canceled")
}

async fn cancel_unary(peer: &Peer) -> Result<(), Failure> {
    let (client, id) = (peer.client(Codec::Proto)?, "ours-cancel-unary");
    let call = client.call("Wait")?.metadata(metadata(&[("x-id", id)])?);
    let receiver = call.open_unary(client.encode(""))?;
    pause(&peer.runtime, Duration::from_millis(200)).await;
    drop(receiver);
    canceled(&client, id).await
}

async fn cancel_server_stream(peer: &Peer) -> Result<(), Failure> {
    let (client, id) = (peer.client(Codec::Proto)?, "ours-cancel-server-stream");
    let call = client.call("Hold")?.metadata(metadata(&[("x-id", id)])?);
    let mut receiver = call.server_stream(client.encode("silent"))?;
    same("the message before it", client.text(&mut receiver).await?.as_deref(), Some("first"))?;
    let _ = receiver.abort().await;
    canceled(&client, id).await
}

async fn cancel_client_stream(peer: &Peer) -> Result<(), Failure> {
    let (client, id) = (peer.client(Codec::Proto)?, "ours-cancel-client-stream");
    let (mut sender, receiver) = client.call("Join")?.metadata(metadata(&[("x-id", id)])?).client_stream()?;
    sender.send(client.encode("a")).await?;
    pause(&peer.runtime, Duration::from_millis(200)).await;
    drop((sender, receiver));
    canceled(&client, id).await
}

async fn cancel_bidi(peer: &Peer) -> Result<(), Failure> {
    let (client, id) = (peer.client(Codec::Proto)?, "ours-cancel-bidi");
    let (mut sender, mut receiver) =
        client.call("Chat")?.metadata(metadata(&[("x-id", id)])?).bidi(Duplex::Full)?;
    sender.send(client.encode("a")).await?;
    same("the answer", client.text(&mut receiver).await?.as_deref(), Some("a"))?;
    let _ = receiver.abort().await;
    canceled(&client, id).await?;
    same("the connections", client.channel.counters().dials, 1)
}

async fn server_cancels(peer: &Peer) -> Result<(), Failure> {
    let client = peer.client(Codec::Proto)?;
    let mut receiver = client.call("Hold")?.server_stream(client.encode("cancel"))?;
    same("the message before it", client.text(&mut receiver).await?.as_deref(), Some("first"))?;
    let error = failed(receiver.recv().await)?;
    same("the code", error.code(), Code::Canceled)?;
    same("the message", error.message(), "by the server")
}

/// What is broken off never looks complete.
async fn server_breaks_off(peer: &Peer) -> Result<(), Failure> {
    let client = peer.client(Codec::Proto)?;
    let mut receiver = client.call("Hold")?.server_stream(client.encode("break"))?;
    same("the message before it", client.text(&mut receiver).await?.as_deref(), Some("first"))?;
    let error = failed(receiver.recv().await)?;
    holds([Code::Unavailable, Code::Internal].contains(&error.code()), || format!("the code: {error}"))?;
    client.echo("the next one").await
}
