//! A server of this project's on blocking sockets, for the table of hostile clients.
//!
//! It prints its port. An argument says after how many seconds a write that moves nothing is given up. `peak` on stdin prints the most memory it has ever held, in KiB, and `ends` how its calls and
//! connections have ended, in order. The end of stdin ends it.

#[allow(dead_code)]
#[path = "../../../connect-proto/examples/blocking.rs"]
mod blocking;

use std::io::{self, BufRead};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use blocking::Driver;
use bytes::Bytes;
use connect_proto::call::{Event, Kind};
use connect_proto::connection::{CallId, ConnectionConfig, Notice, Server};
use connect_proto::message::Outbound;
use connect_proto::metadata::Metadata;
use connect_proto::server::{MethodSpec, Refusal, ServerConfig};

static ENDS: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?.port());
    thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            thread::spawn(move || serve(socket));
        }
    });
    for line in io::stdin().lock().lines() {
        match line?.as_str() {
            "peak" => println!("{}", peak()?),
            "ends" => println!("{}", ENDS.lock().unwrap_or_else(PoisonError::into_inner).join(", ")),
            other => println!("unknown command {other}"),
        }
    }
    Ok(())
}

/// The high-water mark of resident memory, in KiB. It is Linux that tells; elsewhere it is 0.
fn peak() -> io::Result<u64> {
    if !cfg!(target_os = "linux") {
        return Ok(0);
    }
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.strip_suffix("kB")?.trim().parse().ok());
    peak.ok_or(io::ErrorKind::InvalidData.into())
}

fn serve(socket: TcpStream) -> io::Result<()> {
    let mut connection = ConnectionConfig::default();
    if let Some(seconds) = std::env::args().nth(1).and_then(|seconds| seconds.parse().ok()) {
        connection.http2.write_stall = Some(Duration::from_secs(seconds));
    }
    let mut driver = Driver::accept(socket, &connection)?;
    let config = Arc::new(ServerConfig::default());
    while let Some(notice) = driver.turn(None) {
        let now = driver.now();
        match notice {
            Notice::Incoming(id) => {
                let path = driver.connection.incoming(id).map(|incoming| incoming.procedure().to_owned());
                let kind = match path.as_deref() {
                    Some("/hostile.Table/Unary") => Kind::Unary,
                    Some("/hostile.Table/Stream") => Kind::ClientStream,
                    _ => {
                        driver.connection.refuse(now, id, &config, Refusal::NotFound);
                        continue;
                    }
                };
                let spec = MethodSpec::new(kind, &Arc::from(["proto".to_owned()]));
                driver.connection.start(now, id, &config, &spec);
            }
            Notice::Readable(id) => handle(&mut driver, id),
            Notice::Closed(_, closed) => note(format!("call {:?}", closed.reason)),
            Notice::Ended(why) => note(format!("connection {why:?}")),
            _ => {}
        }
    }
    Ok(())
}

fn note(end: String) {
    ENDS.lock().unwrap_or_else(PoisonError::into_inner).push(end);
}

/// Decodes what comes, and answers when all of it has come.
fn handle(driver: &mut Driver<Server>, id: CallId) {
    let now = driver.now();
    let Some(mut call) = driver.connection.call(id) else { return };
    while let Some(event) = call.poll_event(now) {
        match event {
            Event::Message(message) => {
                if let Err(fault) = message.decode() {
                    call.reject(now, fault);
                }
            }
            Event::PeerHalfClosed => {
                // A call that was rejected is answered already, which makes these say so or do nothing.
                call.send(now, Outbound::encode(&call.encoding(), Bytes::from_static(b"fine"))).ok();
                call.finish(now, Metadata::new(), Ok(())).ok();
            }
            _ => {}
        }
    }
}
