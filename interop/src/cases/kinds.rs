//! Calls of each kind, in both codecs.

use std::future::{Future, poll_fn};
use std::task::Poll;

use connect_proto::call::Duplex;
use connect_proto_async::{Code, Protocol};
use futures_lite::future::try_zip;

use super::{Peer, failed};
use crate::Failure;
use crate::message::Codec;
use crate::report::{Report, holds, same};

/// What a default limit on messages lets through, and no window or queue does at once.
const LARGE: usize = 3 << 20;

pub(super) async fn run(peer: &Peer, report: &mut Report) {
    for codec in Codec::ALL {
        let name = |case: &str| format!("{case}-{}", codec.name());
        report.case(&name("unary"), unary(peer, codec)).await;
        report.case(&name("server-stream"), server_stream(peer, codec)).await;
        report.case(&name("client-stream"), client_stream(peer, codec)).await;
        match peer.protocol {
            Protocol::Http2 => {
                report.case(&name("bidi-half"), bidi_half(peer, codec)).await;
                report.case(&name("bidi-full"), bidi_full(peer, codec)).await;
            }
            // These servers take none.
            _ => report.case(&name("bidi-refused"), bidi_refused(peer, codec)).await,
        }
    }
    report.case("large-unary", large_unary(peer)).await;
    report.case("large-server-stream", large_server_stream(peer)).await;
    report.case("large-client-stream", large_client_stream(peer)).await;
    if peer.protocol == Protocol::Http2 {
        report.case("large-bidi", large_bidi(peer)).await;
    }
    report.case("crowd", crowd(peer)).await;
    report.case("one-connection", one_connection(peer)).await;
}

async fn unary(peer: &Peer, codec: Codec) -> Result<(), Failure> {
    let client = peer.client(codec)?;
    for text in ["hello", "", "größer \"than\" ☃\n"] {
        client.echo(text).await?;
    }
    Ok(())
}

async fn server_stream(peer: &Peer, codec: Codec) -> Result<(), Failure> {
    let client = peer.client(codec)?;
    for count in [0, 1, 100] {
        let mut receiver = client.call("Count")?.server_stream(client.encode(&count.to_string()))?;
        let expected: Vec<_> = (0..count).map(|at| at.to_string()).collect();
        same("the messages", client.texts(&mut receiver).await?, expected)?;
    }
    Ok(())
}

async fn client_stream(peer: &Peer, codec: Codec) -> Result<(), Failure> {
    let client = peer.client(codec)?;
    for texts in [&[][..], &["a"], &["a", "", "c"]] {
        let (mut sender, mut receiver) = client.call("Join")?.client_stream()?;
        for text in texts {
            sender.send(client.encode(text)).await?;
        }
        sender.finish()?;
        let response = receiver.response().await?;
        same("the answer", client.decode(&response.message)?, texts.join(","))?;
    }
    Ok(())
}

async fn bidi_half(peer: &Peer, codec: Codec) -> Result<(), Failure> {
    let client = peer.client(codec)?;
    let (mut sender, mut receiver) = client.call("Chat")?.bidi(Duplex::Half)?;
    for text in ["a", "b", "c"] {
        sender.send(client.encode(text)).await?;
    }
    sender.finish()?;
    same("the messages", client.texts(&mut receiver).await?.join(","), "a,b,c".to_owned())
}

async fn bidi_full(peer: &Peer, codec: Codec) -> Result<(), Failure> {
    let client = peer.client(codec)?;
    let (mut sender, mut receiver) = client.call("Chat")?.bidi(Duplex::Full)?;
    for text in ["a", "b", "c"] {
        sender.send(client.encode(text)).await?;
        same("the answer", client.text(&mut receiver).await?.as_deref(), Some(text))?;
    }
    sender.finish()?;
    same("the end", client.text(&mut receiver).await?, None)
}

async fn bidi_refused(peer: &Peer, codec: Codec) -> Result<(), Failure> {
    let client = peer.client(codec)?;
    let (mut sender, mut receiver) = client.call("Chat")?.bidi(Duplex::Half)?;
    // The refusal may be there before it.
    let _ = sender.send(client.encode("a")).await;
    let _ = sender.finish();
    // By status 505, which says no more.
    same("the code", failed(receiver.recv().await)?.code(), Code::Unknown)
}

async fn large_unary(peer: &Peer) -> Result<(), Failure> {
    let client = peer.client(Codec::Proto)?;
    let large = "x".repeat(LARGE);
    let response = client.call("Echo")?.unary(client.encode(&large)).await?;
    holds(client.decode(&response.message)? == large, || "the answer is another one".into())
}

async fn large_server_stream(peer: &Peer) -> Result<(), Failure> {
    let client = peer.client(Codec::Proto)?;
    let mut receiver = client.call("Count")?.server_stream(client.encode(&format!("4x{LARGE}")))?;
    for at in 0..4 {
        let text = client.text(&mut receiver).await?.ok_or("a message is missing")?;
        same("the message's length", text.len(), LARGE)?;
        holds(text.starts_with(&format!("{at}x")), || format!("message {at} is another one"))?;
    }
    same("the end", client.text(&mut receiver).await?, None)
}

async fn large_client_stream(peer: &Peer) -> Result<(), Failure> {
    let client = peer.client(Codec::Proto)?;
    let (mut sender, mut receiver) = client.call("Join")?.client_stream()?;
    let large = "x".repeat(1 << 20);
    for _ in 0..3 {
        sender.send(client.encode(&large)).await?;
    }
    sender.finish()?;
    let response = receiver.response().await?;
    let expected = [large.as_str(); 3].join(",");
    holds(client.decode(&response.message)? == expected, || "the answer is another one".into())
}

async fn large_bidi(peer: &Peer) -> Result<(), Failure> {
    let client = peer.client(Codec::Proto)?;
    let (mut sender, mut receiver) = client.call("Chat")?.bidi(Duplex::Full)?;
    let large = "x".repeat(LARGE);
    let send = async {
        for _ in 0..4 {
            sender.send(client.encode(&large)).await?;
        }
        Ok::<_, Failure>(sender.finish()?)
    };
    let receive = async { Ok(client.texts(&mut receiver).await?) };
    let ((), texts) = try_zip(send, receive).await?;
    holds(texts.len() == 4 && texts.iter().all(|text| *text == large), || "they come back changed".into())
}

async fn crowd(peer: &Peer) -> Result<(), Failure> {
    let client = peer.client(Codec::Proto)?;
    let (client, texts) = (&client, (0..300).map(|at| at.to_string()));
    let mut calls: Vec<_> = texts.map(|text| Box::pin(async move { client.echo(&text).await })).collect();
    poll_fn(|cx| {
        let mut ended = Ok(());
        calls.retain_mut(|call| match call.as_mut().poll(cx) {
            Poll::Ready(end) => {
                ended = std::mem::replace(&mut ended, Ok(())).and(end);
                false
            }
            Poll::Pending => true,
        });
        if ended.is_err() || calls.is_empty() { Poll::Ready(ended) } else { Poll::Pending }
    })
    .await
}

/// One call after the other, whatever its kind and end, goes on the same connection.
async fn one_connection(peer: &Peer) -> Result<(), Failure> {
    let client = peer.client(Codec::Proto)?;
    for _ in 0..20 {
        client.echo("again").await?;
        let mut receiver = client.call("Count")?.server_stream(client.encode("3"))?;
        same("the messages", client.texts(&mut receiver).await?.len(), 3)?;
        let _ = receiver.ended().await;
        let error = failed(client.call("Fail")?.unary(client.encode("no")).await)?;
        same("the code", error.code(), Code::FailedPrecondition)?;
    }
    same("the connections", client.channel.counters().dials, 1)
}
