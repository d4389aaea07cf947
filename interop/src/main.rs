//! These crates as a server of the service that the README tells of, or as its client.
//!
//! ```text
//! interop [--runtime tokio|smol] certificates DIRECTORY             makes them, for all programs
//! interop [--runtime tokio|smol] serve TRANSPORT DIRECTORY          prints its URL and serves until it is killed
//! interop [--runtime tokio|smol] call TRANSPORT DIRECTORY URL       prints a line for each case
//! ```
#![forbid(unsafe_code)]

mod cases;
mod message;
mod report;
mod service;
mod transport;

use std::error::Error;
use std::future::{Future, poll_fn};
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use connect_proto_async::tls::ServerTls;
use connect_proto_async::{Address, Runtime, Server, ServerConfig};
use connect_proto_smol::Smol;
use connect_proto_tokio::Tokio;

use crate::service::Renewal;
use crate::transport::{Authority, Certificates, HERE, Transport};

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
        ["certificates", directory] => {
            Certificates::make(Path::new(directory))?;
            Ok(ExitCode::SUCCESS)
        }
        ["serve", transport, directory] => {
            let (transport, shared) = (Transport::new(transport, directory)?, runtime.clone());
            wait(&runtime, async move { serve(shared, transport).await })??;
            Ok(ExitCode::SUCCESS)
        }
        ["call", transport, directory, url] => {
            let transport = Transport::new(transport, directory)?;
            let (url, shared) = (url.to_owned(), runtime.clone());
            let report = wait(&runtime, async move { cases::run(shared, transport, &url).await })?;
            Ok(report.exit_code())
        }
        _ => {
            Err("usage: interop [--runtime NAME] serve TRANSPORT DIRECTORY | call TRANSPORT DIRECTORY URL"
                .into())
        }
    }
}

/// Serves on a free port, for clients of either version of HTTP.
async fn serve(runtime: Arc<dyn Runtime>, transport: Transport) -> Result<(), Failure> {
    let mut config = ServerConfig::default();
    let (scheme, renewal) = match transport.certificates {
        None => ("http", None),
        Some(certificates) => {
            let tls = ServerTls::new(certificates.server(Authority::Known)?);
            config.tls = Some(tls.clone());
            ("https", Some(Renewal { tls, certificates }))
        }
    };
    let router = service::router(&runtime, renewal)?;
    let address = Address::Tcp { host: HERE.to_owned(), port: 0 };
    let server = Server::bind(runtime, &address, router, config).await?;
    println!("{scheme}://{}", server.local_address().ok_or("the server has no address")?);
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
