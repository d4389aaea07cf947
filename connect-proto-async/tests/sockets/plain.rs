//! Peers of plain rustls on blocking sockets, for what a channel or a server of ours would not do.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use connect_proto_async::tls::rustls::pki_types::ServerName;
use connect_proto_async::tls::rustls::{
    ClientConfig, ClientConnection, ServerConfig, ServerConnection, StreamOwned,
};
use connect_proto_async::{Address, Server};

const LIMIT: Option<Duration> = Some(Duration::from_secs(10));

pub(crate) type ClientStream = StreamOwned<ClientConnection, TcpStream>;

/// Connects to `127.0.0.1`.
pub(crate) fn connect(server: &Server, config: ClientConfig) -> ClientStream {
    let Some(Address::Tcp { port, .. }) = server.local_address() else { panic!("a server at a port") };
    let socket = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], *port))).expect("somebody listens");
    socket.set_read_timeout(LIMIT).expect("a socket");
    socket.set_write_timeout(LIMIT).expect("a socket");
    let name = ServerName::try_from("127.0.0.1").expect("a name");
    StreamOwned::new(ClientConnection::new(Arc::new(config), name).expect("a session"), socket)
}

/// Sends a unary request over HTTP/1.1.
pub(crate) fn request(stream: &mut ClientStream, procedure: &str, connection: &str) {
    let head = format!(
        "POST /test.Service/{procedure} HTTP/1.1\r\nhost: localhost\r\nconnection: {connection}\r\n\
         content-type: application/text\r\ncontent-length: 2\r\n\r\nhi"
    );
    stream.write_all(head.as_bytes()).expect("the server takes it");
}

/// Reads until `end` has come.
pub(crate) fn read_until(stream: &mut impl Read, end: &str) -> String {
    let mut read = String::new();
    let mut buf = [0; 1024];
    while !read.ends_with(end) {
        let n = stream.read(&mut buf).expect("the stream lasts");
        assert!(n > 0, "an early end after {read}");
        read.push_str(&String::from_utf8_lossy(&buf[..n]));
    }
    read
}

/// Answers one call over HTTP/1.1, in a thread. Its port.
pub(crate) fn answer_one(config: ServerConfig) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("a socket").port();
    std::thread::spawn(move || {
        let (socket, _) = listener.accept().expect("a client");
        socket.set_read_timeout(LIMIT).expect("a socket");
        let session = ServerConnection::new(Arc::new(config)).expect("a session");
        let mut stream = StreamOwned::new(session, socket);
        read_until(&mut stream, "hello");
        let answer = "HTTP/1.1 200 OK\r\ncontent-type: application/text\r\ncontent-length: 5\r\n\r\nhello";
        stream.write_all(answer.as_bytes()).expect("the client takes it");
        let _ = stream.read(&mut [0]);
    });
    port
}
