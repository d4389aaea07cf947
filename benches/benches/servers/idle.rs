//! What connections cost in memory while nothing happens on them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::process::Process;

const CONNECTIONS: usize = 5_000;

/// How long the server has to get to rest.
const REST: Duration = Duration::from_millis(500);

const REQUEST: &[u8] =
    b"POST /bench.Bench/Echo HTTP/1.1\r\nhost: bench\r\ncontent-type: application/proto\r\n\
    connect-protocol-version: 1\r\ncontent-length: 128\r\n\r\n";

/// Resident bytes of the server for each connection.
pub(crate) struct Measured {
    /// Accepted, with nothing received.
    pub(crate) fresh: u64,
    /// After a call over HTTP/1.1.
    pub(crate) used: u64,
}

pub(crate) fn measure(server: &Process) -> Measured {
    // What is there once, however many connections there are.
    call(&mut connect(server));
    std::thread::sleep(REST);
    let before = server.resident();
    let per_connection = || {
        std::thread::sleep(REST);
        server.resident().saturating_sub(before) / CONNECTIONS as u64
    };
    let mut connections: Vec<TcpStream> = (0..CONNECTIONS).map(|_| connect(server)).collect();
    let fresh = per_connection();
    connections.iter_mut().for_each(call);
    Measured { fresh, used: per_connection() }
}

fn connect(server: &Process) -> TcpStream {
    TcpStream::connect(("127.0.0.1", server.port)).expect("a connection; is the limit of open files too low?")
}

fn call(connection: &mut TcpStream) {
    let request = [REQUEST, &[b'm'; 128]].concat();
    connection.write_all(&request).expect("a request that goes out");
    let mut response = [0; 1024];
    let read = connection.read(&mut response).expect("a response");
    assert!(response[..read].starts_with(b"HTTP/1.1 200 "));
}
