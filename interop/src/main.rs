//! These crates as a server of the service that the README tells of, or as its client.
//!
//! ```text
//! interop [--runtime tokio|smol] serve TRANSPORT       prints its URL and serves until it is killed
//! interop [--runtime tokio|smol] call TRANSPORT URL    prints a line for each case
//! ```
#![forbid(unsafe_code)]

mod cases;
mod message;
mod report;
mod service;

use std::error::Error;
use std::future::{Future, poll_fn};
use std::process::ExitCode;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use connect_proto_async::{Address, Protocol, Runtime, Server, ServerConfig};
use connect_proto_smol::Smol;
use connect_proto_tokio::Tokio;

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<ExitCode, Failure> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut name = "tokio".to_owned();
    if arguments.first().is_some_and(|first| first == "--runtime") && arguments.len() > 1 {
        name = arguments.drain(..2).nth(1).unwrap_or_default();
    }
    let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let runtime: Arc<dyn Runtime> = match name.as_str() {
        "tokio" => Arc::new(Tokio::on(tokio.handle().clone())),
        "smol" => Arc::new(Smol::global()),
        _ => return Err(format!("unknown runtime {name}").into()),
    };
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", transport] => {
            protocol(transport)?;
            let shared = runtime.clone();
            wait(&runtime, async move { serve(shared).await })??;
            Ok(ExitCode::SUCCESS)
        }
        ["call", transport, url] => {
            let (protocol, url, shared) = (protocol(transport)?, url.to_owned(), runtime.clone());
            let report = wait(&runtime, async move { cases::run(shared, protocol, &url).await })?;
            Ok(report.exit_code())
        }
        _ => Err("usage: interop [--runtime NAME] serve TRANSPORT | call TRANSPORT URL".into()),
    }
}

fn protocol(transport: &str) -> Result<Protocol, Failure> {
    match transport {
        "h1" => Ok(Protocol::Http1),
        "h2c" => Ok(Protocol::Http2),
        _ => Err(format!("unknown transport {transport}").into()),
    }
}

/// Serves on a free port, for clients of either version.
async fn serve(runtime: Arc<dyn Runtime>) -> Result<(), Failure> {
    let router = service::router(&runtime)?;
    let address: Address = "127.0.0.1:0".parse()?;
    let server = Server::bind(runtime, &address, router, ServerConfig::default()).await?;
    println!("http://{}", server.local_address().ok_or("the server has no address")?);
    server.ended().await;
    Ok(())
}

/// Runs a future in a task, and blocks until it is done.
fn wait<T: Send + 'static>(
    runtime: &Arc<dyn Runtime>,
    future: impl Future<Output = T> + Send + 'static,
) -> Result<T, Failure> {
    let (done, result) = mpsc::sync_channel(1);
    runtime.spawn(Box::pin(async move {
        // Somebody waits for it.
        let _ = done.send(future.await);
    }));
    result.recv().map_err(|_| "the task has panicked".into())
}

/// Lets a time pass.
async fn pause(runtime: &Arc<dyn Runtime>, delay: Duration) {
    let mut timer = runtime.timer(runtime.now().saturating_add(delay));
    poll_fn(|cx| timer.as_mut().poll(cx)).await;
}
