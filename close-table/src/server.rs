//! A server on a runtime, for what needs one that behaves.

use std::fmt;
use std::future::pending;
use std::io::{self, BufRead};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use connect_proto::call::Duplex;
use connect_proto::error::RpcError;
use connect_proto_async::{
    Address, Context, Procedure, Requests, Responses, Router, Runtime, Server, ServerConfig,
};
use smol::block_on;

use crate::process::resident;

/// The answer of this one is the request.
#[must_use]
pub fn unary() -> Procedure {
    procedure("Unary")
}

/// One message, and then silence.
#[must_use]
pub fn silent() -> Procedure {
    procedure("Silent")
}

/// Every message comes back.
#[must_use]
pub fn echo() -> Procedure {
    procedure("Echo")
}

fn procedure(name: &str) -> Procedure {
    Procedure::new(format!("/close.Server/{name}")).expect("a procedure")
}

/// Handlers that are at work.
#[derive(Clone, Debug, Default)]
struct AtWork(Arc<AtomicUsize>);

impl AtWork {
    fn begin(&self) -> Busy {
        self.0.fetch_add(1, Ordering::SeqCst);
        Busy(self.clone())
    }
}

/// One of them.
struct Busy(AtWork);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn router(at_work: &AtWork) -> Router {
    let at_work = at_work.clone();
    Router::new(["proto"])
        .unary(&unary(), |_: Context, message: Bytes| async move { Ok(message) })
        .server_stream(&silent(), move |_: Context, _: Bytes, mut responses: Responses| {
            let busy = at_work.begin();
            async move {
                let _busy = busy;
                let _ = responses.send("hello").await;
                pending::<Result<(), RpcError>>().await
            }
        })
        .bidi(
            &echo(),
            Duplex::Full,
            |_: Context, mut requests: Requests, mut responses: Responses| async move {
                while let Some(message) = requests.recv().await? {
                    if responses.send(message).await.is_err() {
                        break;
                    }
                }
                Ok(())
            },
        )
}

/// Serves at a free port of each address.
///
/// # Panics
/// If there is none.
pub fn serve(runtime: &Arc<dyn Runtime>, hosts: &[String]) -> Vec<Server> {
    serve_counted(runtime, hosts, &AtWork::default())
}

fn serve_counted(runtime: &Arc<dyn Runtime>, hosts: &[String], at_work: &AtWork) -> Vec<Server> {
    let bind = |host: &String| {
        let address = Address::Tcp { host: host.clone(), port: 0 };
        let mut config = ServerConfig::default();
        config.max_connections = None;
        block_on(Server::bind(runtime.clone(), &address, router(at_work), config)).expect("a port is free")
    };
    hosts.iter().map(bind).collect()
}

/// A program that serves: it prints its addresses in a line, and then, as stdin asks, its `resident` memory in KiB or how
/// many handlers are at `work`. The end of stdin ends it.
///
/// # Errors
/// If stdin cannot be read.
pub fn run(runtime: &Arc<dyn Runtime>, hosts: &[String]) -> io::Result<()> {
    let at_work = AtWork::default();
    let servers = serve_counted(runtime, hosts, &at_work);
    let addresses = servers.iter().filter_map(Server::local_address);
    say(addresses.map(ToString::to_string).collect::<Vec<_>>().join(" "));
    for line in io::stdin().lock().lines() {
        match line?.as_str() {
            "resident" => say(resident()),
            "work" => say(at_work.0.load(Ordering::SeqCst)),
            other => say(format_args!("unknown command {other}")),
        }
    }
    Ok(())
}

fn say(what: impl fmt::Display) {
    println!("{what}");
}
