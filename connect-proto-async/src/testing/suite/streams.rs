//! Streams of messages of every kind, over both versions of HTTP.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use bytes::Bytes;
use connect_proto::call::Duplex;
use connect_proto::error::{Code, RpcError};
use futures_core::Stream;

use super::rpc::{BOTH, channel, procedure, serve, text};
use super::{sleep, spawn, within};
use crate::{OpenError, Protocol, Receiver, Runtime, ServerConfig};

/// A stream whose messages are ready, and which then ends or never does.
struct Ready<I> {
    messages: I,
    is_endless: bool,
}

impl<I: Iterator<Item = Result<String, RpcError>> + Unpin> Stream for Ready<I> {
    type Item = Result<String, RpcError>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<Option<Self::Item>> {
        match self.messages.next() {
            None if self.is_endless => Poll::Pending,
            next => Poll::Ready(next),
        }
    }
}

fn numbers(count: usize) -> impl Iterator<Item = Result<String, RpcError>> + Unpin {
    (0..count).map(|at| Ok(at.to_string()))
}

/// All kinds of streams.
pub async fn streams_of_every_kind(runtime: Arc<dyn Runtime>) {
    for protocol in BOTH {
        let server = serve(&runtime, ServerConfig::default()).await;
        let channel = channel(&runtime, &server, protocol);

        let mut count = channel.call(&procedure("Count")).server_stream("1000").expect("a call");
        for at in 0..1000 {
            assert_eq!(text(&mut count).await, Some(at.to_string()));
        }
        assert_eq!(text(&mut count).await, None);
        assert!(count.trailers().is_some());

        let (mut sender, mut receiver) = channel.call(&procedure("Join")).client_stream().expect("a call");
        for at in 0..1000 {
            sender.send(at.to_string()).await.expect("the call goes on");
        }
        sender.finish().expect("once");
        let joined = receiver.response().await.expect("an answer").message;
        assert_eq!(joined.len(), 10 + 90 * 2 + 900 * 3);

        let (mut sender, mut receiver) = channel.call(&procedure("Chat")).bidi(Duplex::Half).expect("a call");
        for _ in 0..3 {
            sender.send("over").await.expect("the call goes on");
            if protocol == Protocol::Http2 {
                assert_eq!(text(&mut receiver).await.as_deref(), Some("over"), "at once");
            }
        }
        sender.finish().expect("once");
        let mut left = if protocol == Protocol::Http2 { 0 } else { 3 };
        while text(&mut receiver).await.is_some() {
            left -= 1;
        }
        assert_eq!(left, 0);
    }
}

/// Full duplex over HTTP/1.1 is an error at once, not a hang.
pub async fn full_duplex_needs_http2(runtime: Arc<dyn Runtime>) {
    let server = serve(&runtime, ServerConfig::default()).await;
    let channel = channel(&runtime, &server, Protocol::Http1);
    let refused = channel.call(&procedure("Chat")).bidi(Duplex::Full).expect_err("it cannot be");
    assert_eq!(refused, OpenError::FullDuplexOverHttp1);
}

/// A message of several MiB passes the windows and the queues.
pub async fn large_messages_pass(runtime: Arc<dyn Runtime>) {
    for protocol in BOTH {
        let server = serve(&runtime, ServerConfig::default()).await;
        let channel = channel(&runtime, &server, protocol);
        let large = Bytes::from(vec![7; 3 << 20]);
        let response = channel.call(&procedure("Echo")).unary(large.clone()).await.expect("an answer");
        assert!(response.message == large, "{protocol:?}");
    }
}

/// The messages of a stream are all sent, in order: those that are ready at once, and those of another call.
pub async fn a_stream_is_passed_on(runtime: Arc<dyn Runtime>) {
    const COUNT: usize = 5000;
    for protocol in BOTH {
        let server = serve(&runtime, ServerConfig::default()).await;
        let channel = channel(&runtime, &server, protocol);
        let expected: String = (0..COUNT).map(|at| at.to_string()).collect();

        let (mut sender, mut receiver) = channel.call(&procedure("Join")).client_stream().expect("a call");
        let ready = Ready { messages: numbers(COUNT), is_endless: false };
        sender.send_all(ready).await.expect("the call goes on");
        sender.finish().expect("once");
        assert_eq!(receiver.response().await.expect("an answer").message, expected);

        let count = channel.call(&procedure("Count")).server_stream(COUNT.to_string()).expect("a call");
        let (mut sender, mut receiver) = channel.call(&procedure("Join")).client_stream().expect("a call");
        sender.send_all(count).await.expect("the call goes on");
        sender.finish().expect("once");
        assert_eq!(receiver.response().await.expect("an answer").message, expected);
    }
}

/// The error of a stream comes back after the messages before it, and the call goes on.
pub async fn a_streams_error_comes_back(runtime: Arc<dyn Runtime>) {
    for protocol in BOTH {
        let server = serve(&runtime, ServerConfig::default()).await;
        let channel = channel(&runtime, &server, protocol);
        let (mut sender, mut receiver) = channel.call(&procedure("Join")).client_stream().expect("a call");
        let messages = numbers(3).chain([Err(RpcError::new(Code::DataLoss, "a gap"))]).chain(numbers(1));
        let failed = sender.send_all(Ready { messages, is_endless: false }).await.expect_err("it fails");
        assert_eq!(failed.code(), Code::DataLoss);
        sender.send("!").await.expect("the call goes on");
        sender.finish().expect("once");
        assert_eq!(receiver.response().await.expect("an answer").message, "012!");
    }
}

/// Who passes on a stream that has no messages is told that the call has ended, in whatever way.
pub async fn a_stream_that_waits_is_given_up_at_the_end(runtime: Arc<dyn Runtime>) {
    let leave: [fn(Receiver); 3] =
        [drop, |receiver| drop(receiver.close()), |receiver| drop(receiver.abort())];
    for (protocol, leave) in BOTH.into_iter().flat_map(|protocol| leave.map(|leave| (protocol, leave))) {
        let server = serve(&runtime, ServerConfig::default()).await;
        let channel = channel(&runtime, &server, protocol);
        let (mut sender, receiver) = channel.call(&procedure("Join")).client_stream().expect("a call");
        let sending = spawn(&*runtime, async move {
            sender.send_all(Ready { messages: numbers(3), is_endless: true }).await.map(|()| sender)
        });
        sleep(&*runtime, Duration::from_millis(50)).await;
        leave(receiver);
        let told = within(&*runtime, Duration::from_secs(2), sending).await.expect("the sender is told");
        assert!(told.is_err(), "{protocol:?}");

        // The server answers without looking at more than the head.
        let (mut sender, mut receiver) = channel.call(&procedure("First")).client_stream().expect("a call");
        let sending = spawn(&*runtime, async move {
            sender.send_all(Ready { messages: numbers(3), is_endless: true }).await.map(|()| sender)
        });
        assert_eq!(receiver.response().await.expect("an answer").message, Bytes::from_static(b"first"));
        let told = within(&*runtime, Duration::from_secs(2), sending).await.expect("the sender is told");
        assert!(told.is_err(), "{protocol:?}");
    }
}
