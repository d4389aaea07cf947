//! Calls of every kind between a channel and a server, case by case and over both versions of HTTP.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use connect_proto::call::{Duplex, Processed};
use connect_proto::connection::Fate;
use connect_proto::error::{AbortReason, CloseReason, Code, RpcError};

use super::{sleep, within};
use crate::{
    Address, Channel, ChannelConfig, Context, Procedure, Protocol, Receiver, Requests, Response, Responses,
    Router, Runtime, SendError, Server, ServerConfig,
};

pub(super) const BOTH: [Protocol; 2] = [Protocol::Http1, Protocol::Http2];

pub(super) fn procedure(name: &str) -> Procedure {
    Procedure::new(format!("/test.Service/{name}")).expect("a path")
}

/// What the cases call.
fn router(runtime: &Arc<dyn Runtime>) -> Router {
    let (waiting, counting, pausing) = (runtime.clone(), runtime.clone(), runtime.clone());
    Router::new(["text"])
        .unary(&procedure("Echo"), |_: Context, message: Bytes| async move { Ok(message) })
        .unary(&procedure("Fail"), |_: Context, message: Bytes| async move {
            let mut error = RpcError::new(Code::NotFound, String::from_utf8_lossy(&message));
            error.metadata_mut().insert("x-trailer", http::HeaderValue::from_static("sorry"));
            Err::<Bytes, _>(error)
        })
        .side_effect_free_unary(&procedure("Query"), |context: Context, _: Bytes| async move {
            Ok(Response::new(context.query().unwrap_or("none").to_owned()))
        })
        .unary(&procedure("Panic"), |_: Context, _: Bytes| async move {
            if true {
                panic!("as it should");
            }
            Ok(Bytes::new())
        })
        .unary(&procedure("Wait"), move |_: Context, message: Bytes| {
            let runtime = waiting.clone();
            async move {
                sleep(&*runtime, Duration::from_secs(10)).await;
                Ok(message)
            }
        })
        .unary(&procedure("Metadata"), |context: Context, _: Bytes| async move {
            let mut response = Response::new("");
            if let Some(asked) = context.metadata().get("x-asked") {
                response.headers.insert("x-header", asked.clone());
                response.trailers.insert("x-trailer", asked.clone());
            }
            Ok(response)
        })
        .client_stream(&procedure("First"), |_: Context, _: Requests| async move {
            Ok(Bytes::from_static(b"first"))
        })
        .client_stream(&procedure("Join"), |_: Context, mut requests: Requests| async move {
            let mut joined = Vec::new();
            while let Some(message) = requests.recv().await? {
                joined.extend_from_slice(&message);
            }
            Ok(Bytes::from(joined))
        })
        .server_stream(&procedure("Count"), move |_: Context, message: Bytes, mut responses: Responses| {
            let runtime = counting.clone();
            async move {
                let count: usize = String::from_utf8_lossy(&message).parse().unwrap_or(usize::MAX);
                for at in 0..count {
                    if responses.send(at.to_string()).await.is_err() {
                        return Ok(());
                    }
                    if count == usize::MAX {
                        sleep(&*runtime, Duration::from_millis(1)).await;
                    }
                }
                Ok(())
            }
        })
        .server_stream(&procedure("Pause"), move |_: Context, message: Bytes, mut responses: Responses| {
            let runtime = pausing.clone();
            async move {
                let _ = responses.send("0").await;
                let pause = String::from_utf8_lossy(&message).parse().unwrap_or(50);
                sleep(&*runtime, Duration::from_millis(pause)).await;
                let _ = responses.send("1").await;
                Ok(())
            }
        })
        .bidi(
            &procedure("Chat"),
            Duplex::Half,
            |_: Context, requests: Requests, mut responses: Responses| async move {
                responses.send_all(requests).await
            },
        )
}

pub(super) async fn serve(runtime: &Arc<dyn Runtime>, config: ServerConfig) -> Server {
    let address = Address::Tcp { host: "127.0.0.1".into(), port: 0 };
    Server::bind(runtime.clone(), &address, router(runtime), config).await.expect("a port is free")
}

pub(super) fn channel(runtime: &Arc<dyn Runtime>, server: &Server, protocol: Protocol) -> Channel {
    let address = server.local_address().expect("a server has an address");
    let mut config = ChannelConfig::new(&format!("http://{address}"), "text").expect("a URI");
    config.pool.protocol = protocol;
    Channel::new(runtime.clone(), config)
}

pub(super) async fn text(receiver: &mut Receiver) -> Option<String> {
    let message = receiver.recv().await.expect("the call goes on")?;
    Some(String::from_utf8_lossy(&message).into_owned())
}

/// A unary call brings the answer, and the next one uses the same connection.
pub async fn unary_calls_share_a_connection(runtime: Arc<dyn Runtime>) {
    for protocol in BOTH {
        let server = serve(&runtime, ServerConfig::default()).await;
        let channel = channel(&runtime, &server, protocol);
        for message in ["one", "two", ""] {
            let response = channel.call(&procedure("Echo")).unary(message).await.expect("an answer");
            assert_eq!(response.message, message);
        }
        assert_eq!((channel.counters().dials, channel.counters().reuses), (1, 2), "{protocol:?}");
        assert_eq!(server.counters().calls, 3);
    }
}

/// A handler's error is the client's.
pub async fn a_handlers_error_reaches_the_client(runtime: Arc<dyn Runtime>) {
    for protocol in BOTH {
        let server = serve(&runtime, ServerConfig::default()).await;
        let channel = channel(&runtime, &server, protocol);
        let error = channel.call(&procedure("Fail")).unary("no such user").await.expect_err("it fails");
        assert_eq!((error.code(), error.message()), (Code::NotFound, "no such user"));
        let error = channel.call(&procedure("Panic")).unary("").await.expect_err("it fails");
        assert_eq!(error.code(), Code::Internal);
        let error = channel.call(&procedure("None")).unary("").await.expect_err("it fails");
        assert_eq!(error.code(), Code::Unimplemented);
    }
}

/// Metadata travels in both directions.
pub async fn metadata_travels(runtime: Arc<dyn Runtime>) {
    for protocol in BOTH {
        let server = serve(&runtime, ServerConfig::default()).await;
        let channel = channel(&runtime, &server, protocol);
        let why = http::HeaderValue::from_static("why");
        let mut metadata = connect_proto::metadata::Metadata::new();
        metadata.insert("x-asked", why.clone());
        let call = channel.call(&procedure("Metadata"));
        for call in [call.clone().metadata(metadata), call.header("x-asked", why)] {
            let response = call.unary("").await.expect("an answer");
            assert_eq!(response.headers.get("x-header").expect("a header"), "why");
            assert_eq!(response.trailers.get("x-trailer").expect("a trailer"), "why");
        }
    }
}

/// Of a failed call there is nothing but the error, which has all metadata of the response.
pub async fn a_failure_has_the_responses_metadata(runtime: Arc<dyn Runtime>) {
    for protocol in BOTH {
        let server = serve(&runtime, ServerConfig::default()).await;
        let channel = channel(&runtime, &server, protocol);
        let error = channel.call(&procedure("Fail")).unary("").await.expect_err("it fails");
        assert_eq!(error.metadata().get("content-type").expect("a header"), "application/json");
        assert_eq!(error.metadata().get("x-trailer").expect("a trailer"), "sorry");
    }
}

/// A handler sees by which query it was called.
pub async fn a_get_shows_its_query(runtime: Arc<dyn Runtime>) {
    for protocol in BOTH {
        let server = serve(&runtime, ServerConfig::default()).await;
        let channel = channel(&runtime, &server, protocol);
        let query = async |get_max_url| {
            let call = channel.call(&procedure("Query")).side_effect_free();
            call.config(|calls| calls.get_max_url = get_max_url).unary("hi").await.expect("an answer").message
        };
        assert_eq!(query(None).await, "none", "{protocol:?}: a POST");
        assert_eq!(query(Some(200)).await, "connect=v1&base64=1&encoding=text&message=aGk", "{protocol:?}");
    }
}

/// A unary call that is held tells how it ended, and can be closed, which over HTTP/1.1 saves the connection, as dropping it
/// would not.
pub async fn a_unary_call_can_be_held(runtime: Arc<dyn Runtime>) {
    for protocol in BOTH {
        let server = serve(&runtime, ServerConfig::default()).await;
        let channel = channel(&runtime, &server, protocol);
        let mut call = channel.call(&procedure("Echo")).open_unary("hello").expect("a call");
        assert!(call.headers().await.expect("an answer").contains_key("content-type"));
        assert_eq!(call.response().await.expect("an answer").message, "hello");

        let mut call = channel.call(&procedure("Fail")).open_unary("no").expect("a call");
        assert_eq!(call.response().await.expect_err("it fails").code(), Code::NotFound);
        assert_eq!(call.ended().await.closed.processed, Processed::Yes);

        let mut call = channel.call(&procedure("Echo")).open_unary("hello").expect("a call");
        call.headers().await.expect("an answer");
        let closed = call.close().await.closed;
        assert_eq!((closed.processed, closed.fate), (Processed::Yes, Fate::Reusable), "{protocol:?}");
    }
}

/// A deadline ends a call on both sides.
pub async fn a_deadline_ends_a_call(runtime: Arc<dyn Runtime>) {
    for protocol in BOTH {
        let server = serve(&runtime, ServerConfig::default()).await;
        let channel = channel(&runtime, &server, protocol);
        let begun = runtime.now();
        let wait = channel.call(&procedure("Wait")).timeout(Duration::from_millis(100));
        let error = wait.unary("").await.expect_err("it takes longer");
        assert_eq!(error.code(), Code::DeadlineExceeded);
        let took = runtime.now().saturating_duration_since(begun);
        // The server is told whole milliseconds, and may be first.
        assert!(took >= Duration::from_millis(99) && took < Duration::from_secs(5), "{took:?}");
    }
}

/// `close` returns at once in whatever phase, and says later how it went; the connection lives on where it can.
pub async fn closing_never_waits(runtime: Arc<dyn Runtime>) {
    for protocol in BOTH {
        let server = serve(&runtime, ServerConfig::default()).await;
        let channel = channel(&runtime, &server, protocol);

        // As soon as it is opened: mostly before there is a connection.
        let call = channel.call(&procedure("Pause")).server_stream("").expect("a call");
        let closed = call.close().await.closed;
        match closed.reason {
            CloseReason::Unsent => assert_eq!(closed.processed, Processed::No),
            reason => assert_eq!(reason, CloseReason::Drained, "{protocol:?}"),
        }

        // In the middle of a response that is about to end, or after its end, if that came with the message.
        let mut call = channel.call(&procedure("Pause")).server_stream("").expect("a call");
        assert_eq!(text(&mut call).await.as_deref(), Some("0"));
        let end = call.close().await;
        let closed = end.closed;
        assert!(matches!(end.verdict, Some(Ok(_))), "the trailers have come: {end:?}");
        assert!(
            matches!(closed.reason, CloseReason::Drained | CloseReason::Complete),
            "{protocol:?}: {closed:?}"
        );
        assert_eq!(closed.fate, Fate::Reusable, "{protocol:?}");

        // Of one that never ends.
        let endless = channel.call(&procedure("Count")).config(|config| {
            config.limits.drain_http1.time = Duration::from_millis(50);
            config.limits.drain_http2.time = Duration::from_millis(50);
        });
        let mut call = endless.server_stream("endless").expect("a call");
        assert_eq!(text(&mut call).await.as_deref(), Some("0"));
        let closed =
            within(&*runtime, Duration::from_secs(5), call.close()).await.expect("it ends in time").closed;
        assert_eq!(closed.reason, CloseReason::DrainTimedOut, "{protocol:?}");
        assert_eq!(closed.fate == Fate::Reusable, protocol == Protocol::Http2);

        let response = channel.call(&procedure("Echo")).unary("still there").await.expect("an answer");
        assert_eq!(response.message, "still there");
    }
}

/// Once a closed call has ended well, the next one goes on its connection.
pub async fn an_end_comes_when_the_connection_is_free(runtime: Arc<dyn Runtime>) {
    for protocol in BOTH {
        let server = serve(&runtime, ServerConfig::default()).await;
        let channel = channel(&runtime, &server, protocol);
        for _ in 0..200 {
            let mut call = channel.call(&procedure("Pause")).server_stream("1").expect("a call");
            assert_eq!(text(&mut call).await.as_deref(), Some("0"));
            assert_eq!(call.close().await.closed.fate, Fate::Reusable);
            assert_eq!(channel.counters().dials, 1, "{protocol:?}");
        }
    }
}

/// A call that times out while its connection says nothing at all for so long that it is suspect takes that out, before
/// the next call comes.
pub async fn a_mute_connection_gets_no_more_calls(runtime: Arc<dyn Runtime>) {
    let address = Address::Tcp { host: "127.0.0.1".into(), port: 0 };
    let mut listener = runtime.listen(&address).await.expect("a port is free");
    let mut config = ChannelConfig::new(
        &format!("http://{}", listener.local_address().expect("a listener has an address")),
        "text",
    )
    .expect("a URI");
    config.pool.protocol = Protocol::Http2;
    config.connection.suspect_after = Some(Duration::from_millis(100));
    let channel = Channel::new(runtime.clone(), config);
    for dials in 1..=5 {
        let patient = channel.call(&procedure("Count")).server_stream("").expect("a call");
        let _mute = std::future::poll_fn(|cx| listener.poll_accept(cx)).await.expect("a connection");
        sleep(&*runtime, Duration::from_millis(1)).await;
        let call = channel.call(&procedure("Echo")).timeout(Duration::from_millis(200));
        let error = call.unary("").await.expect_err("nobody answers");
        assert_eq!(error.code(), Code::DeadlineExceeded);
        assert_eq!((channel.counters().dials, channel.counters().evictions), (dials, dials));
        drop(patient);
    }
}

/// A dropped handle aborts its call: the sender's too, which is no clean end.
pub async fn dropping_aborts(runtime: Arc<dyn Runtime>) {
    for protocol in BOTH {
        let server = serve(&runtime, ServerConfig::default()).await;
        let channel = channel(&runtime, &server, protocol);
        let (sender, mut receiver) = channel.call(&procedure("Join")).client_stream().expect("a call");
        drop(sender);
        let error = receiver.recv().await.expect_err("it was given up");
        assert_eq!(error.code(), Code::Canceled);
        assert_eq!(
            receiver.ended().await.closed.reason.initiator(),
            CloseReason::Aborted(AbortReason::Dropped).initiator()
        );

        let (mut sender, receiver) = channel.call(&procedure("Join")).client_stream().expect("a call");
        drop(receiver);
        assert!(matches!(sender.send("late").await, Err(SendError::Closed(_))));
    }
}

/// A sender that is dropped after the call was closed leaves the drain alone: closing has ended its side.
pub async fn a_sender_may_go_after_a_close(runtime: Arc<dyn Runtime>) {
    for protocol in BOTH {
        let server = serve(&runtime, ServerConfig::default()).await;
        let channel = channel(&runtime, &server, protocol);
        let (mut sender, receiver) = channel.call(&procedure("Chat")).bidi(Duplex::Half).expect("a call");
        sender.send("over").await.expect("the call goes on");
        while server.counters().calls == 0 {
            sleep(&*runtime, Duration::from_millis(5)).await;
        }
        let ending = receiver.close();
        sender.send("late").await.expect_err("it is closed");
        drop(sender);
        let closed = ending.await.closed;
        assert_eq!((closed.reason, closed.fate), (CloseReason::Drained, Fate::Reusable), "{protocol:?}");
    }
}

/// A sender that waits for room is told when its receiver has gone, in whatever way.
pub async fn a_waiting_sender_hears_of_the_end(runtime: Arc<dyn Runtime>) {
    let leave: [fn(Receiver); 3] =
        [drop, |receiver| drop(receiver.close()), |receiver| drop(receiver.abort())];
    for (protocol, leave) in BOTH.into_iter().flat_map(|protocol| leave.map(|leave| (protocol, leave))) {
        let idle = runtime.clone();
        let ignore = move |_: Context, requests: Requests| {
            let runtime = idle.clone();
            async move {
                // As long as nobody reads, nobody sees that the client has gone.
                sleep(&*runtime, Duration::from_secs(3)).await;
                drop(requests);
                Ok(Bytes::new())
            }
        };
        let router = Router::new(["text"]).client_stream(&procedure("Ignore"), ignore);
        let address = Address::Tcp { host: "127.0.0.1".into(), port: 0 };
        let server =
            Server::bind(runtime.clone(), &address, router, ServerConfig::default()).await.expect("a port");
        let channel = channel(&runtime, &server, protocol);
        let call = channel.call(&procedure("Ignore")).config(|config| config.compression = None);
        let (mut sender, receiver) = call.client_stream().expect("a call");
        let sending = super::spawn(&*runtime, async move {
            while sender.send(Bytes::from_static(&[7; 60_000])).await.is_ok() {}
        });
        sleep(&*runtime, Duration::from_millis(200)).await;
        leave(receiver);
        within(&*runtime, Duration::from_secs(2), sending).await.expect("the sender is told");
    }
}

/// A sender that is dropped once the server has given its verdict takes nothing away from the answer.
pub async fn a_late_dropped_sender_takes_nothing_away(runtime: Arc<dyn Runtime>) {
    for protocol in BOTH {
        let server = serve(&runtime, ServerConfig::default()).await;
        let channel = channel(&runtime, &server, protocol);
        let (mut sender, mut receiver) = channel.call(&procedure("First")).client_stream().expect("a call");
        receiver.headers().await.expect("an answer");
        while sender.send("more").await.is_ok() {
            sleep(&*runtime, Duration::from_millis(1)).await;
        }
        drop(sender);
        assert_eq!(text(&mut receiver).await.as_deref(), Some("first"), "{protocol:?}");
        assert_eq!(text(&mut receiver).await, None);
    }
}

/// Whoever gets the streams of a handler hears of the call's end, and so does a sender of its receiver's.
pub async fn whoever_waits_hears_of_the_end(runtime: Arc<dyn Runtime>) {
    for protocol in BOTH {
        let heir = Arc::new(std::sync::Mutex::new(None));
        let (inner, bequest) = (runtime.clone(), heir.clone());
        let chat = move |_: Context, mut requests: Requests, _: Responses| {
            let (runtime, bequest) = (inner.clone(), bequest.clone());
            async move {
                let heir = super::spawn(&*runtime, async move { requests.recv().await.is_err() });
                *bequest.lock().expect("no panic") = Some(heir);
                sleep(&*runtime, Duration::from_millis(20)).await;
                Err::<(), _>(RpcError::new(Code::Aborted, "enough"))
            }
        };
        let router = Router::new(["text"]).bidi(&procedure("Chat"), Duplex::Half, chat);
        let address = Address::Tcp { host: "127.0.0.1".into(), port: 0 };
        let server =
            Server::bind(runtime.clone(), &address, router, ServerConfig::default()).await.expect("a port");
        let channel = channel(&runtime, &server, protocol);
        let call = channel.call(&procedure("Chat"));
        let (sender, mut receiver) = call.clone().bidi(Duplex::Half).expect("a call");
        assert_eq!(receiver.recv().await.expect_err("enough").code(), Code::Aborted, "{protocol:?}");
        let heir = heir.lock().expect("no panic").take().expect("a handler");
        assert!(within(&*runtime, Duration::from_secs(5), heir).await.expect("it hears of it"));
        drop(sender);

        let (mut sender, receiver) = call.bidi(Duplex::Half).expect("a call");
        let sending =
            super::spawn(&*runtime, async move { while sender.send(vec![0; 60 << 10]).await.is_ok() {} });
        sleep(&*runtime, Duration::from_millis(5)).await;
        drop(receiver);
        within(&*runtime, Duration::from_secs(5), sending).await.expect("it hears of it");
    }
}

/// A handler is dropped when its client has given up, and whoever works for it is told why.
pub async fn a_handler_sees_its_client_go(runtime: Arc<dyn Runtime>) {
    for protocol in BOTH {
        let (ended, told) = (Arc::new(std::sync::Mutex::new(None)), runtime.clone());
        let saw = ended.clone();
        let router = Router::new(["text"]).unary(&procedure("Wait"), move |context: Context, _: Bytes| {
            let (runtime, saw) = (told.clone(), saw.clone());
            async move {
                let watched = context.ended();
                runtime.spawn(Box::pin(async move {
                    let reason = watched.await;
                    *saw.lock().expect("no panic") = Some(reason);
                }));
                std::future::pending::<()>().await;
                Ok(Bytes::new())
            }
        });
        let address = Address::Tcp { host: "127.0.0.1".into(), port: 0 };
        let server =
            Server::bind(runtime.clone(), &address, router, ServerConfig::default()).await.expect("a port");
        let channel = channel(&runtime, &server, protocol);
        let mut call = Box::pin(channel.call(&procedure("Wait")).unary(""));
        while server.counters().calls == 0 {
            let answer = within(&*runtime, Duration::from_millis(10), call.as_mut()).await;
            assert!(answer.is_none(), "it has no end");
        }
        drop(call);
        for _ in 0..100 {
            if ended.lock().expect("no panic").is_some() {
                break;
            }
            sleep(&*runtime, Duration::from_millis(10)).await;
        }
        let reason = ended.lock().expect("no panic").take();
        assert!(
            matches!(reason, Some(CloseReason::PeerReset(_) | CloseReason::TransportLost(_))),
            "{protocol:?}: {reason:?}"
        );
    }
}

/// Whoever works for a handler is told that its time was up, also if they ask when the answer has long gone out.
pub async fn a_handlers_end_by_the_deadline_stays_one(runtime: Arc<dyn Runtime>) {
    for protocol in BOTH {
        let (told, clock) = (Arc::new(std::sync::Mutex::new(None)), runtime.clone());
        let tells = told.clone();
        let router = Router::new(["text"]).unary(&procedure("Wait"), move |context: Context, _: Bytes| {
            let (ended, runtime, tells) = (context.ended(), clock.clone(), tells.clone());
            clock.spawn(Box::pin(async move {
                sleep(&*runtime, Duration::from_millis(200)).await;
                let reason = ended.await;
                *tells.lock().expect("no panic") = Some(reason);
            }));
            std::future::pending::<Result<Bytes, RpcError>>()
        });
        let mut config = ServerConfig::default();
        config.calls.max_timeout = Some(Duration::from_millis(20));
        let address = Address::Tcp { host: "127.0.0.1".into(), port: 0 };
        let server = Server::bind(runtime.clone(), &address, router, config).await.expect("a port");
        let channel = channel(&runtime, &server, protocol);
        let error = channel.call(&procedure("Wait")).unary("").await.expect_err("it takes too long");
        assert_eq!(error.code(), Code::DeadlineExceeded);
        for _ in 0..100 {
            if told.lock().expect("no panic").is_some() {
                break;
            }
            sleep(&*runtime, Duration::from_millis(10)).await;
        }
        assert_eq!(told.lock().expect("no panic").take(), Some(CloseReason::Deadline), "{protocol:?}");
    }
}

/// A shutdown lets calls end, refuses new ones and ends within its grace.
pub async fn a_shutdown_ends_within_its_grace(runtime: Arc<dyn Runtime>) {
    for protocol in BOTH {
        let server = serve(&runtime, ServerConfig::default()).await;
        let channel = channel(&runtime, &server, protocol);
        channel.call(&procedure("Echo")).unary("").await.expect("an answer");
        let report = within(&*runtime, Duration::from_secs(5), server.shutdown(Duration::from_secs(3))).await;
        assert_eq!(report.expect("in time"), Default::default(), "{protocol:?}: nothing is under way");
        // The listener is closed by then.
        let address = server.local_address().expect("a server has an address");
        runtime.listen(address).await.expect("the port is free again");
        let error = channel.call(&procedure("Echo")).unary("").await.expect_err("nobody is there");
        assert_eq!(error.code(), Code::Unavailable);

        let server = serve(&runtime, ServerConfig::default()).await;
        let channel = self::channel(&runtime, &server, protocol);
        let mut call = channel.call(&procedure("Count")).server_stream("endless").expect("a call");
        assert_eq!(text(&mut call).await.as_deref(), Some("0"));
        let begun = runtime.now();
        let report = server.shutdown(Duration::from_millis(200)).await;
        let took = runtime.now().saturating_duration_since(begun);
        assert!(took >= Duration::from_millis(200) && took < Duration::from_secs(2), "{took:?}");
        assert_eq!((report.calls_cut, report.connections_cut), (1, 1), "{protocol:?}");
        server.ended().await;
        loop {
            match call.recv().await {
                Ok(message) => assert!(message.is_some(), "what was cut off never looks complete"),
                Err(error) => break assert_eq!(error.code(), Code::Unavailable, "{protocol:?}"),
            }
        }
    }
}

/// A channel that is shut down lets its calls end, takes no more, and cuts off what does not end within the grace.
pub async fn a_channel_shuts_down(runtime: Arc<dyn Runtime>) {
    for protocol in BOTH {
        let server = serve(&runtime, ServerConfig::default()).await;
        let channel = self::channel(&runtime, &server, protocol);
        let mut call = channel.call(&procedure("Pause")).server_stream("").expect("a call");
        assert_eq!(text(&mut call).await.as_deref(), Some("0"));
        let shutdown = channel.clone();
        let cut = super::spawn(&*runtime, async move { shutdown.shutdown(Duration::from_secs(5)).await });
        assert_eq!(text(&mut call).await.as_deref(), Some("1"));
        assert_eq!(text(&mut call).await, None);
        assert_eq!(cut.await, 0, "{protocol:?}");
        let error = channel.call(&procedure("Echo")).unary("").await.expect_err("it is shut down");
        assert_eq!(error.code(), Code::Unavailable);

        let channel = self::channel(&runtime, &server, protocol);
        let mut call = channel.call(&procedure("Count")).server_stream("endless").expect("a call");
        assert_eq!(text(&mut call).await.as_deref(), Some("0"));
        // However long the application takes to read what has come.
        let shutdown = channel.shutdown(Duration::from_millis(50));
        assert_eq!(within(&*runtime, Duration::from_secs(5), shutdown).await, Some(1), "{protocol:?}");
        while let Ok(message) = call.recv().await {
            assert!(message.is_some(), "what was cut off never looks complete");
        }
    }
}

/// One call more than the limit is refused at once, and the next is welcome.
pub async fn too_many_calls_are_shed(runtime: Arc<dyn Runtime>) {
    for protocol in BOTH {
        let mut config = ServerConfig::default();
        config.max_calls = Some(1);
        let server = serve(&runtime, config).await;
        let channel = channel(&runtime, &server, protocol);
        let mut call = channel.call(&procedure("Count")).server_stream("endless").expect("a call");
        assert_eq!(text(&mut call).await.as_deref(), Some("0"));
        let error = channel.call(&procedure("Echo")).unary("").await.expect_err("it is one too many");
        assert_eq!(error.code(), Code::ResourceExhausted);
        let _ = call.abort().await;
        let mut answered = false;
        for _ in 0..100 {
            answered |= channel.call(&procedure("Echo")).unary("").await.is_ok();
            sleep(&*runtime, Duration::from_millis(if answered { 0 } else { 10 })).await;
        }
        assert!(answered);
        assert!(server.counters().calls_shed >= 1);
    }
}

/// What was carried is counted on both sides alike, and every call's end by its reason.
pub async fn traffic_is_counted(runtime: Arc<dyn Runtime>) {
    for protocol in BOTH {
        let server = serve(&runtime, ServerConfig::default()).await;
        let channel = channel(&runtime, &server, protocol);
        for _ in 0..3 {
            channel.call(&procedure("Echo")).unary("hello").await.expect("an answer");
        }
        let mut call = channel.call(&procedure("Pause")).server_stream("").expect("a call");
        assert_eq!(text(&mut call).await.as_deref(), Some("0"));
        let drained = call.close().await.closed;
        channel.shutdown(Duration::from_secs(5)).await;
        server.shutdown(Duration::from_secs(5)).await;

        let (ours, theirs) = (channel.traffic(), server.traffic());
        assert_eq!(
            (ours.closes.complete, ours.closes.drained, ours.closes.total()),
            (3, 1, 4),
            "{protocol:?}"
        );
        assert_eq!((theirs.closes.complete, theirs.closes.total()), (4, 4), "{protocol:?}");
        assert_eq!(ours.bytes_drained, drained.drained);
        assert_eq!((ours.bytes_written, ours.bytes_read), (theirs.bytes_read, theirs.bytes_written));
    }
}

/// Many calls at once, more than the server has streams for.
pub async fn a_crowd_of_calls(runtime: Arc<dyn Runtime>) {
    for protocol in BOTH {
        let server = serve(&runtime, ServerConfig::default()).await;
        let channel = channel(&runtime, &server, protocol);
        let calls: Vec<_> = (0..600)
            .map(|at| {
                let call = channel.call(&procedure("Echo"));
                super::spawn(&*runtime, async move { call.unary(at.to_string()).await })
            })
            .collect();
        for (at, call) in calls.into_iter().enumerate() {
            assert_eq!(call.await.expect("an answer").message, at.to_string());
        }
        assert!(channel.counters().dials <= if protocol == Protocol::Http2 { 1 } else { 256 });
    }
}
