//! What becomes of a stream at its end.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use crate::testing::{Sim, suite};
use crate::{
    Address, BoxStream, Context as CallContext, Listener, Peer, Procedure, Router, Runtime, Server,
    ServerConfig, Timer,
};

/// Takes whatever is written, and passes it on only when its time has come.
struct Hesitant {
    inner: BoxStream,
    held: Vec<u8>,
    timer: Pin<Box<dyn Timer>>,
}

impl AsyncRead for Hesitant {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for Hesitant {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.held.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.timer.as_mut().poll(cx));
        let Hesitant { inner, held, .. } = &mut *self;
        while !held.is_empty() {
            let written = ready!(Pin::new(&mut *inner).poll_write(cx, held))?;
            held.drain(..written);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(cx))?;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// Accepts streams that hesitate for a time.
struct Acceptor {
    inner: Box<dyn Listener>,
    runtime: Arc<dyn Runtime>,
    hesitation: Duration,
}

impl Listener for Acceptor {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(BoxStream, Peer)>> {
        let (inner, peer) = ready!(self.inner.poll_accept(cx))?;
        let timer = self.runtime.timer(self.runtime.now().saturating_add(self.hesitation));
        Poll::Ready(Ok((Box::new(Hesitant { inner, held: Vec::new(), timer }), peer)))
    }

    fn local_address(&self) -> io::Result<Address> {
        self.inner.local_address()
    }
}

/// What a client reads of an answer after which the connection closes. Then nothing may be left.
fn answer_of_a_server_that_hesitates(hesitation: Duration) -> String {
    let sim = Sim::new(7);
    let runtime = sim.handle();
    let read = sim.run(async {
        let address = Address::Tcp { host: "server.example".into(), port: 80 };
        let inner = runtime.listen(&address).await.expect("a free port");
        let acceptor = Acceptor { inner, runtime: runtime.clone(), hesitation };
        let echo = Procedure::new("/test.Service/Echo").expect("a path");
        let router = Router::new(["text"]).unary(&echo, |_: CallContext, message| async move { Ok(message) });
        let server = Server::start(runtime.clone(), Box::new(acceptor), router, ServerConfig::default());
        let mut client = runtime.connect(&address).await.expect("a listener");
        let request = "POST /test.Service/Echo HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\
                       content-type: application/text\r\ncontent-length: 5\r\n\r\nhello";
        client.write_all(request.as_bytes()).await.expect("a peer");
        let mut read = String::new();
        client.read_to_string(&mut read).await.expect("an end");
        server.shutdown(Duration::ZERO).await;
        read
    });
    sim.run(suite::sleep(&*runtime, Duration::from_secs(1)));
    sim.assert_nothing_left();
    read
}

#[test]
fn what_a_closed_stream_holds_back_still_goes_out() {
    let read = answer_of_a_server_that_hesitates(super::FAREWELL - Duration::from_secs(1));
    assert!(read.starts_with("HTTP/1.1 200") && read.ends_with("hello"), "{read}");
}

#[test]
fn a_stream_that_holds_back_for_too_long_is_dropped() {
    assert_eq!(answer_of_a_server_that_hesitates(super::FAREWELL + Duration::from_secs(1)), "");
}
