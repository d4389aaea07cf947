//! A graceful shutdown on Ctrl-C, or by itself after a second.
//!
//! The server has two calls then: one that ends when it is told that the server stops, and one that does not listen. The
//! first ends well within the grace, the second is cut off when the grace is over.

use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use connect_proto_tokio::{
    Channel, ChannelConfig, Code, Context, Procedure, Protocol, Receiver, Responses, Router, RpcError,
    Server, ServerConfig, Tokio,
};
use tokio::sync::watch;
use tokio::time::sleep;

type Error = Box<dyn std::error::Error>;

const GRACE: Duration = Duration::from_secs(1);

#[tokio::main]
async fn main() -> Result<(), Error> {
    let (stop, stopping) = watch::channel(false);
    let router = Router::new(["json"])
        .server_stream(&procedure("Polite"), move |_: Context, _: Bytes, ticks: Responses| {
            tick(stopping.clone(), ticks)
        })
        .server_stream(&procedure("Stubborn"), |_: Context, _: Bytes, mut ticks: Responses| async move {
            ticks.send("0").await?;
            pending::<Result<(), RpcError>>().await
        });
    let runtime = Arc::new(Tokio::current());
    let server =
        Server::bind(runtime.clone(), &"127.0.0.1:0".parse()?, router, ServerConfig::default()).await?;

    let url = format!("http://{}", server.local_address().ok_or("the server has an address")?);
    let mut config = ChannelConfig::new(&url, "json")?;
    config.pool.protocol = Protocol::Http2;
    let channel = Channel::new(runtime, config);
    let mut polite = channel.call(&procedure("Polite")).server_stream("\"go\"")?;
    let mut stubborn = channel.call(&procedure("Stubborn")).server_stream("\"go\"")?;
    stubborn.recv().await?;
    let polite = tokio::spawn(async move { count(&mut polite).await });

    println!("serving; Ctrl-C to stop, or wait a second");
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed?,
        () = sleep(Duration::from_secs(1)) => {}
    }

    println!("stopping, within {GRACE:?}");
    let begun = Instant::now();
    stop.send(true)?;
    let report = server.shutdown(GRACE).await;
    println!("stopped after {:?}: {report:?}", begun.elapsed());

    println!("the polite call has ended well after {} ticks", polite.await??);
    let error = count(&mut stubborn).await.expect_err("it was cut off");
    println!("the stubborn call has failed: {error}");
    assert_eq!((report.calls_cut, report.connections_cut), (1, 1));
    assert_eq!(error.code(), Code::Unavailable);
    Ok(())
}

/// Ticks until the server stops.
async fn tick(mut stopping: watch::Receiver<bool>, mut ticks: Responses) -> Result<(), RpcError> {
    for number in 0.. {
        ticks.send(number.to_string()).await?;
        tokio::select! {
            _ = stopping.wait_for(|stopping| *stopping) => break,
            () = sleep(Duration::from_millis(100)) => {}
        }
    }
    Ok(())
}

/// Counts messages until the last one.
async fn count(receiver: &mut Receiver) -> Result<usize, RpcError> {
    let mut messages = 0;
    while receiver.recv().await?.is_some() {
        messages += 1;
    }
    Ok(messages)
}

fn procedure(method: &str) -> Procedure {
    Procedure::new(format!("/example.v1.ClockService/{method}")).expect("it is a path")
}
