//! Bombs over sockets: a message of what a message may have, which expands to gigabytes, is refused by a server and by a
//! channel with the default limits, and costs no more memory than these allow.

#![cfg(target_os = "linux")]

#[path = "../../connect-proto/tests/bombs/bomb.rs"]
#[allow(dead_code, reason = "each test uses some of it")]
mod bomb;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use bomb::{MIB, alone, bomb, peak};
use bytes::Bytes;
use connect_proto_tokio::{
    Address, Channel, ChannelConfig, Code, Context, Procedure, Router, Server, ServerConfig, Tokio,
};

/// What a message may have by default, compressed or not.
const LIMIT: usize = 4 * MIB;
/// The message as it came; what came out of it, in a buffer that grows; a window; and what the rest of it takes.
const COST: usize = LIMIT + 4 * LIMIT + 4 * MIB;

fn echo() -> Procedure {
    Procedure::new("/test.Service/Echo").expect("a path")
}

/// Sends a bomb as a request. What is answered, until the server has no more to say.
fn send(port: u16, name: &str, bomb: &[u8]) -> String {
    let mut stream = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).expect("a server");
    let head = format!(
        "POST /test.Service/Echo HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-type: application/text\r\ncontent-encoding: {name}\r\ncontent-length: {}\r\n\r\n",
        bomb.len()
    );
    stream.write_all(head.as_bytes()).expect("the server takes it");
    stream.write_all(bomb).expect("the server takes it");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer in text");
    answer
}

/// Answers a call with a bomb, whatever it asks for. The port.
fn answer(name: &'static str, bomb: Arc<[u8]>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("a socket").port();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let mut asked = Vec::new();
        while !asked.ends_with(b"hello") {
            let mut read = [0; 1024];
            let len = stream.read(&mut read).expect("a request");
            asked.extend_from_slice(&read[..len]);
        }
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/text\r\ncontent-encoding: {name}\r\n\
             content-length: {}\r\n\r\n",
            bomb.len()
        );
        stream.write_all(head.as_bytes()).expect("the client takes it");
        stream.write_all(&bomb).expect("the client takes it");
        let _ = stream.read(&mut [0]);
    });
    port
}

/// A bomb, after it was made sure what it is worth.
fn worth(name: &str, at_least: u64) -> Arc<[u8]> {
    let (bomb, expanded) = bomb(name, LIMIT, 10 << 30);
    println!("{name}: {} B for {expanded} B", bomb.len());
    assert!(expanded >= at_least);
    bomb.into()
}

async fn server(name: &'static str, bomb: Arc<[u8]>) {
    let router =
        Router::new(["text"]).unary(&echo(), |_: Context, message: Bytes| async move { Ok(message) });
    let address: Address = "127.0.0.1:0".parse().expect("an address");
    let server = Server::bind(Arc::new(Tokio::current()), &address, router, ServerConfig::default()).await;
    let server = server.expect("a port is free");
    let Some(Address::Tcp { port, .. }) = server.local_address().cloned() else { panic!("a port") };
    let sending = tokio::task::spawn_blocking(move || send(port, name, &bomb));
    let answer = sending.await.expect("no panic");
    assert!(answer.starts_with("HTTP/1.1 429 ") && answer.contains("resource_exhausted"), "{answer}");
}

async fn channel(name: &'static str, bomb: Arc<[u8]>) {
    let url = format!("http://127.0.0.1:{}", answer(name, bomb));
    let config = ChannelConfig::new(&url, "text").expect("a URL");
    let channel = Channel::new(Arc::new(Tokio::current()), config);
    let error = channel.call(&echo()).unary("hello").await.expect_err("it is too much");
    assert_eq!(error.code(), Code::ResourceExhausted, "{error}");
}

fn cost_of(exchange: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let before = peak();
    runtime.block_on(exchange);
    let cost = peak() - before;
    println!("it costs {cost} B");
    assert!(cost <= COST, "{cost} B");
}

/// Tests of who is sent a bomb, in each compression, that is worth so much.
macro_rules! bombs {
    ($who:ident: $($name:ident $at_least:expr),*) => {
        mod $who {
            $(#[test]
            fn $name() {
                super::alone(concat!(stringify!($who), "::", stringify!($name)), || {
                    let bomb = super::worth(stringify!($name), $at_least);
                    super::cost_of(super::$who(stringify!($name), bomb));
                });
            })*
        }
    };
}

bombs!(server: gzip 4 << 30, deflate 4 << 30, br 10 << 30, zstd 10 << 30, snappy 80 << 20);
bombs!(channel: gzip 4 << 30, deflate 4 << 30, br 10 << 30, zstd 10 << 30, snappy 80 << 20);
