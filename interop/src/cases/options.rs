//! What goes beside the messages of a call: compression, metadata, errors, GET.

use std::sync::Arc;

use connect_proto::compress::Gzip;
use connect_proto::metadata::{binary_value, read_binary};
use connect_proto_async::{CallBuilder, Code, Metadata, RpcError};

use super::{Client, Peer, failed, metadata, values};
use crate::Failure;
use crate::message::{Codec, TYPE_NAME};
use crate::report::{Report, holds, same};

pub(super) async fn run(peer: &Peer, report: &mut Report) {
    report.case("gzip-unary", gzip_unary(peer)).await;
    report.case("gzip-server-stream", gzip_server_stream(peer)).await;
    report.case("gzip-client-stream", gzip_client_stream(peer)).await;
    report.case("metadata-unary", metadata_unary(peer)).await;
    report.case("metadata-stream", metadata_stream(peer)).await;
    report.case("error-unary", error_unary(peer)).await;
    report.case("error-stream", error_stream(peer)).await;
    report.case("error-unknown-procedure", error_unknown_procedure(peer)).await;
    report.case("get", get(peer)).await;
    report.case("get-too-long", get_too_long(peer)).await;
}

/// With every message compressed.
fn gzipped(client: &Client, name: &str) -> Result<CallBuilder, Failure> {
    Ok(client.call(name)?.config(|calls| {
        calls.compression = Some(Arc::new(Gzip::default()));
        calls.compress_from = 0;
    }))
}

async fn gzip_unary(peer: &Peer) -> Result<(), Failure> {
    let client = peer.client(Codec::Json)?;
    let text = "again ".repeat(1000);
    let response = gzipped(&client, "Echo")?.unary(client.encode(&text)).await?;
    same("the request's encoding", values(&response.headers, "x-encoding"), vec!["gzip".into()])?;
    same("the response's encoding", values(&response.headers, "content-encoding"), vec!["gzip".into()])?;
    same("the answer", client.decode(&response.message)?, text)
}

async fn gzip_server_stream(peer: &Peer) -> Result<(), Failure> {
    let client = peer.client(Codec::Proto)?;
    let mut receiver = gzipped(&client, "Count")?.server_stream(client.encode("10x5000"))?;
    let headers = receiver.headers().await?;
    same("the request's encoding", values(headers, "x-encoding"), vec!["gzip".into()])?;
    same("the response's encoding", values(headers, "connect-content-encoding"), vec!["gzip".into()])?;
    let lengths: Vec<_> = client.texts(&mut receiver).await?.iter().map(String::len).collect();
    same("the messages' lengths", lengths, vec![5000; 10])
}

async fn gzip_client_stream(peer: &Peer) -> Result<(), Failure> {
    let client = peer.client(Codec::Proto)?;
    let (mut sender, mut receiver) = gzipped(&client, "Join")?.client_stream()?;
    let text = "again ".repeat(1000);
    for _ in 0..3 {
        sender.send(client.encode(&text)).await?;
    }
    sender.finish()?;
    let response = receiver.response().await?;
    same("the request's encoding", values(&response.headers, "x-encoding"), vec!["gzip".into()])?;
    same("the answer", client.decode(&response.message)?, [text.as_str(); 3].join(","))
}

const BYTES: &[u8] = &[0x00, 0xff, 0x10];

fn asking() -> Result<Metadata, Failure> {
    let mut asking = metadata(&[("x-ask", "one"), ("x-ask", "two")])?;
    asking.insert("x-ask-bin", binary_value(BYTES));
    Ok(asking)
}

/// Everything that was asked for is there. HTTP lets values be joined.
fn answered(metadata: &Metadata, name: &str) -> Result<(), Failure> {
    same(name, values(metadata, name).join(", ").as_str(), "one, two")?;
    let binary = format!("{name}-bin");
    let value = metadata.get(&binary).ok_or_else(|| format!("no {binary}"))?;
    same(&binary, read_binary(value)?, vec![BYTES.into()])
}

async fn metadata_unary(peer: &Peer) -> Result<(), Failure> {
    let client = peer.client(Codec::Proto)?;
    let response = client.call("Echo")?.metadata(asking()?).unary(client.encode("")).await?;
    answered(&response.headers, "x-header")?;
    answered(&response.trailers, "x-trailer")
}

async fn metadata_stream(peer: &Peer) -> Result<(), Failure> {
    let client = peer.client(Codec::Proto)?;
    let mut receiver = client.call("Count")?.metadata(asking()?).server_stream(client.encode("2"))?;
    answered(receiver.headers().await?, "x-header")?;
    same("the messages", client.texts(&mut receiver).await?.len(), 2)?;
    answered(receiver.trailers().ok_or("there are no trailers")?, "x-trailer")
}

fn has_detail(error: &RpcError) -> Result<(), Failure> {
    same("the code", error.code(), Code::FailedPrecondition)?;
    let detail = error.details().first().ok_or("the error has no detail")?;
    same("the detail's type", detail.type_name.as_str(), TYPE_NAME)?;
    same("the detail", Codec::Proto.decode(&detail.value)?.as_str(), "detail")
}

async fn error_unary(peer: &Peer) -> Result<(), Failure> {
    for codec in Codec::ALL {
        let client = peer.client(codec)?;
        let call = client.call("Fail")?.metadata(asking()?);
        let error = failed(call.unary(client.encode("nö, \"☃\"")).await)?;
        has_detail(&error)?;
        same("the message", error.message(), "nö, \"☃\"")?;
        answered(error.metadata(), "x-trailer")?;
    }
    Ok(())
}

async fn error_stream(peer: &Peer) -> Result<(), Failure> {
    let client = peer.client(Codec::Proto)?;
    let mut receiver = client.call("Hold")?.metadata(asking()?).server_stream(client.encode("fail"))?;
    same("the message before it", client.text(&mut receiver).await?.as_deref(), Some("first"))?;
    let error = failed(receiver.recv().await)?;
    has_detail(&error)?;
    same("the message", error.message(), "after a message")?;
    answered(error.metadata(), "x-trailer")
}

async fn error_unknown_procedure(peer: &Peer) -> Result<(), Failure> {
    let client = peer.client(Codec::Proto)?;
    let error = failed(client.call("Nothing")?.unary(client.encode("")).await)?;
    same("the code", error.code(), Code::Unimplemented)
}

async fn query(client: &Client, text: &str) -> Result<String, Failure> {
    let call = client.call("Query")?.side_effect_free().config(|calls| calls.get_max_url = Some(1000));
    Ok(client.decode(&call.unary(client.encode(text)).await?.message)?)
}

async fn get(peer: &Peer) -> Result<(), Failure> {
    for codec in Codec::ALL {
        let client = peer.client(codec)?;
        for text in ["", "plain", "?&=+/ %ö☃"] {
            same("the answer", query(&client, text).await?, format!("GET {text}"))?;
        }
    }
    Ok(())
}

/// What does not fit into a URL goes by POST.
async fn get_too_long(peer: &Peer) -> Result<(), Failure> {
    let client = peer.client(Codec::Proto)?;
    let answer = query(&client, &"x".repeat(2000)).await?;
    holds(answer.starts_with("POST x"), || format!("{:.20} instead of a POST", answer))
}
