//! Servers of other RPC crates with the procedures of `benches/servers`, which measures them: `others tonic|connectrpc`.
//!
//! They run on tokio's current-thread runtime with what their crates have as defaults. Their messages are plain bytes, so
//! that no Protobuf library is measured. The port is printed; the server ends when the standard input does.

mod connectrpc;
mod tonic;

use bytes::Bytes;
use tokio::net::TcpListener;

/// What a client stream is answered.
const ANSWER: Bytes = Bytes::from_static(b"sixteen bytes ok");

fn main() {
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        println!("{}", listener.local_addr().expect("an address").port());
        match std::env::args().nth(1).as_deref() {
            Some("tonic") => tonic::serve(listener).await,
            Some("connectrpc") => connectrpc::serve(listener).await,
            _ => panic!("usage: others tonic|connectrpc"),
        }
    });
}

/// The messages that a request for a server stream wants: so many of so many bytes.
fn source(request: &[u8]) -> impl Iterator<Item = Bytes> + Send + 'static {
    let asked = std::str::from_utf8(request).ok().and_then(|text| text.split_once(' '));
    let (messages, size): (usize, usize) = asked
        .and_then(|(messages, size)| Some((messages.parse().ok()?, size.parse().ok()?)))
        .expect("two numbers");
    std::iter::repeat_n(Bytes::from(vec![b'm'; size]), messages)
}
