//! What goes over the wire, what is refused when there is too much of it, and what is counted.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use connect_proto::compress::{Compression, Compressions, DecompressError};
use connect_proto::error::Code;
use connect_proto::metadata::Metadata;

use super::rpc::{BOTH, channel, procedure, serve};
use super::{sleep, spawn, within};
use crate::{Channel, Protocol, Runtime, Server, ServerConfig, Traffic};

/// Runs of zeros, as their length in eight bytes.
#[derive(Debug)]
struct Zeros;

impl Compression for Zeros {
    fn name(&self) -> &'static str {
        "x-zeros"
    }

    fn compress(&self, input: &[u8]) -> Option<Bytes> {
        let is_zeros = input.iter().all(|byte| *byte == 0);
        is_zeros.then(|| Bytes::copy_from_slice(&(input.len() as u64).to_be_bytes()))
    }

    fn decompress(&self, input: &[u8], limit: usize) -> Result<Bytes, DecompressError> {
        let len = input.try_into().map(u64::from_be_bytes).map_err(|_| DecompressError::Corrupt)?;
        let len = usize::try_from(len).ok().filter(|len| *len <= limit).ok_or(DecompressError::TooLarge)?;
        Ok(vec![0; len].into())
    }
}

fn zeros() -> Compressions {
    Compressions::new(vec![Arc::new(Zeros)])
}

async fn serve_zeros(runtime: &Arc<dyn Runtime>) -> Server {
    let mut config = ServerConfig::default();
    config.calls.compressions = zeros();
    serve(runtime, config).await
}

const LEN: usize = 20_000;

/// Echoes so many zeros, and says how many bytes went out and came back for it.
async fn echo_zeros(channel: &Channel, compress_from: usize) -> (u64, u64) {
    let before = channel.traffic();
    let call = channel.call(&procedure("Echo")).config(|calls| calls.compress_from = compress_from);
    let answer = call.unary(vec![0; LEN]).await.expect("an answer");
    assert!(answer.message == vec![0; LEN]);
    let Traffic { bytes_read, bytes_written, .. } = channel.traffic();
    (bytes_written - before.bytes_written, bytes_read - before.bytes_read)
}

/// Each side compresses what it sends by what the other one accepts, and only that.
pub async fn a_compression_of_ones_own_is_negotiated(runtime: Arc<dyn Runtime>) {
    for protocol in BOTH {
        let server = serve_zeros(&runtime).await;
        let channel = channel(&runtime, &server, protocol);
        let sends = channel.with_calls(|calls| calls.compression = Some(Arc::new(Zeros)));
        let both = sends.with_calls(|calls| calls.accept = zeros());
        for (channel, is_sent, is_received) in
            [(&channel, false, false), (&sends, true, false), (&both, true, true)]
        {
            let (sent, received) = echo_zeros(channel, 1).await;
            assert_eq!(
                (sent < 1000, received < 1000),
                (is_sent, is_received),
                "{protocol:?}: {sent} {received}"
            );
        }

        // One that the server does not know, and what it does know.
        let stranger = serve(&runtime, ServerConfig::default()).await;
        let channel = self::channel(&runtime, &stranger, protocol);
        let call = channel.call(&procedure("Echo")).config(|calls| {
            calls.compression = Some(Arc::new(Zeros));
        });
        let error = call.unary(vec![0; LEN]).await.expect_err("nobody knows it");
        assert_eq!(error.code(), Code::Unimplemented, "{protocol:?}: {error}");
    }
}

/// From which size on a message is compressed is said for all calls, and for each.
pub async fn each_call_has_its_threshold(runtime: Arc<dyn Runtime>) {
    for protocol in BOTH {
        let server = serve_zeros(&runtime).await;
        let channel = channel(&runtime, &server, protocol);
        let channel = channel.with_calls(|calls| calls.compression = Some(Arc::new(Zeros)));
        for (threshold, is_small) in [(LEN, true), (LEN + 1, false), (0, true)] {
            let (sent, _) = echo_zeros(&channel, threshold).await;
            assert_eq!(sent < 1000, is_small, "{protocol:?}, from {threshold}: {sent}");
        }
    }
}

/// Before anything is sent: no call is made twice for it.
pub async fn what_does_not_fit_a_get_goes_by_post(runtime: Arc<dyn Runtime>) {
    for protocol in BOTH {
        let server = serve(&runtime, ServerConfig::default()).await;
        let channel = channel(&runtime, &server, protocol).with_calls(|calls| calls.get_max_url = Some(200));
        let query = async |message: &'static str| {
            channel
                .call(&procedure("Query"))
                .side_effect_free()
                .unary(message)
                .await
                .expect("an answer")
                .message
        };
        assert!(query("fits").await.starts_with(b"connect=v1&"));
        let long: &'static str = "does not fit; ".repeat(20).leak();
        assert_eq!(query(long).await, "none", "{protocol:?}: a POST");
        assert_eq!((server.counters().calls, channel.counters().calls), (2, 2));
    }
}

/// It takes both: that the procedure has no side effects, and a longest URL, which a channel or a call may have.
pub async fn get_is_off_unless_it_is_asked_for(runtime: Arc<dyn Runtime>) {
    let server = serve(&runtime, ServerConfig::default()).await;
    let plain = channel(&runtime, &server, Protocol::Http1);
    let gets = plain.with_calls(|calls| calls.get_max_url = Some(200));
    let query = procedure("Query");
    let on_call = plain.call(&query).config(|calls| calls.get_max_url = Some(200));
    let off_call = gets.call(&query).side_effect_free().config(|calls| calls.get_max_url = None);
    for (call, is_get) in [
        (plain.call(&query), false),
        (plain.call(&query).side_effect_free(), false),
        (gets.call(&query), false),
        (gets.call(&query).side_effect_free(), true),
        (on_call.side_effect_free(), true),
        (off_call, false),
    ] {
        let shown = call.unary("hi").await.expect("an answer").message;
        assert_eq!(shown != "none", is_get, "{shown:?}");
    }
}

/// Those that wait for a connection are so many at most, and wait no longer than their deadline.
pub async fn too_many_waiting_calls_are_refused(runtime: Arc<dyn Runtime>) {
    let server = serve(&runtime, ServerConfig::default()).await;
    let address = server.local_address().expect("a server has an address");
    let mut config = crate::ChannelConfig::new(&format!("http://{address}"), "text").expect("a URI");
    config.pool.max_http1_connections = 1;
    config.pool.max_waiting = 1;
    let channel = Channel::new(runtime.clone(), config);
    let busy = channel.call(&procedure("Count")).server_stream("endless").expect("a call");
    while server.calls() == 0 {
        sleep(&*runtime, Duration::from_millis(1)).await;
    }
    let call = channel.call(&procedure("Echo"));
    let patient = call.clone().timeout(Duration::from_millis(200));
    let waits = spawn(&*runtime, async move { patient.unary("").await });
    while channel.counters().calls < 2 {
        sleep(&*runtime, Duration::from_millis(1)).await;
    }
    let refused = within(&*runtime, Duration::from_millis(100), call.unary("")).await.expect("at once");
    assert_eq!(refused.expect_err("one too many").code(), Code::ResourceExhausted);
    assert_eq!(waits.await.expect_err("it waits in vain").code(), Code::DeadlineExceeded);
    drop(busy);
}

/// A connection more than the limit is closed at once, which fails its calls as unavailable, and the next is welcome.
pub async fn too_many_connections_are_closed(runtime: Arc<dyn Runtime>) {
    for protocol in BOTH {
        let mut config = ServerConfig::default();
        config.max_connections = Some(1);
        let server = serve(&runtime, config).await;
        let first = channel(&runtime, &server, protocol);
        first.call(&procedure("Echo")).unary("").await.expect("an answer");
        let second = channel(&runtime, &server, protocol);
        let refused =
            within(&*runtime, Duration::from_secs(5), second.call(&procedure("Echo")).unary("")).await;
        let error = refused.expect("no hang").expect_err("it is one too many");
        assert_eq!(error.code(), Code::Unavailable, "{protocol:?}");
        assert!(server.counters().connections_shed >= 1);
        assert_eq!((server.counters().connections, server.connections()), (1, 1));

        first.shutdown(Duration::from_secs(5)).await;
        while server.connections() > 0 {
            sleep(&*runtime, Duration::from_millis(1)).await;
        }
        second.call(&procedure("Echo")).unary("").await.expect("there is a place now");
    }
}

/// What was made and has not ended is under way, on both sides.
pub async fn calls_under_way_are_counted(runtime: Arc<dyn Runtime>) {
    for protocol in BOTH {
        let server = serve(&runtime, ServerConfig::default()).await;
        let channel = channel(&runtime, &server, protocol);
        let under_way = || channel.counters().calls - channel.traffic().closes.total();
        channel.call(&procedure("Echo")).unary("").await.expect("an answer");
        assert_eq!((channel.counters().calls, under_way()), (1, 0), "{protocol:?}");

        let mut stream = channel.call(&procedure("Count")).server_stream("endless").expect("a call");
        stream.recv().await.expect("a message");
        assert_eq!((under_way(), channel.connections()), (1, 1));
        assert_eq!((server.calls(), server.connections()), (1, 1));

        let _ = stream.abort().await;
        while server.calls() > 0 {
            sleep(&*runtime, Duration::from_millis(1)).await;
        }
        assert_eq!((channel.counters().calls, under_way()), (2, 0));
        // It waits for nothing, and is over before it was sent.
        channel.shutdown(Duration::from_secs(5)).await;
        channel.call(&procedure("Echo")).unary("").await.expect_err("it is shut down");
        assert_eq!((channel.counters().calls, under_way(), channel.connections()), (3, 0, 0));
        assert_eq!(channel.traffic().closes.aborted, 1);
    }
}

/// Responses say when they were made, also those that are refusals.
pub async fn responses_have_a_date(runtime: Arc<dyn Runtime>) {
    let now = || runtime.wall_clock().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let stamp = |headers: &Metadata| {
        let date = headers.get(http::header::DATE).and_then(|date| date.to_str().ok()).expect("a date");
        let date = httpdate::parse_http_date(date).expect("a date as HTTP writes it");
        date.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
    };
    for protocol in BOTH {
        let server = serve(&runtime, ServerConfig::default()).await;
        let channel = channel(&runtime, &server, protocol);
        for _ in 0..2 {
            let before = now();
            let answered = channel.call(&procedure("Echo")).unary("").await.expect("an answer");
            assert!((before..=now()).contains(&stamp(&answered.headers)), "{protocol:?}");
            sleep(&*runtime, Duration::from_millis(1100)).await;
        }
        let before = now();
        let refused =
            channel.call(&procedure("Nowhere")).unary("").await.expect_err("there is no such procedure");
        assert!((before..=now()).contains(&stamp(refused.metadata())), "{protocol:?}");
    }
}
