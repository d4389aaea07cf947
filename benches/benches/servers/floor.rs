//! The floor: hyper, which knows nothing of messages. It hands the body back, throws it away, or sends as many bytes as the
//! stream would have that was asked for.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper::{Request, Response, header};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};

/// What is sent at once where messages are small.
const CHUNK: usize = 16 << 10;

type Body = BoxBody<Bytes, hyper::Error>;

pub(crate) fn serve() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        crate::listens_at(listener.local_addr().expect("an address").port());
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            stream.set_nodelay(true).expect("no delay");
            tokio::spawn(connection(stream));
        }
    });
}

async fn connection(stream: TcpStream) {
    let mut first = [0];
    let is_http2 = stream.peek(&mut first).await.is_ok() && first == *b"P" && {
        let mut start = [0; 3];
        matches!(stream.peek(&mut start).await, Ok(3)) && start == *b"PRI"
    };
    let (stream, service) = (TokioIo::new(stream), service_fn(answer));
    // A client that goes is no failure.
    let _ = if is_http2 {
        hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(stream, service).await
    } else {
        hyper::server::conn::http1::Builder::new().serve_connection(stream, service).await
    };
}

async fn answer(request: Request<Incoming>) -> Result<Response<Body>, hyper::Error> {
    let content_type = request.headers().get(header::CONTENT_TYPE).cloned();
    let body = match request.uri().path() {
        "/bench.Bench/Echo" => BodyExt::boxed(request.into_body()),
        "/bench.Bench/Sink" => {
            let mut body = request.into_body();
            while let Some(frame) = body.frame().await {
                frame?;
            }
            full(Bytes::from_static(b"\0\0\0\0\x10sixteen bytes ok\x02\0\0\0\x02{}"))
        }
        _ => {
            let asked = request.into_body().collect().await?.to_bytes();
            let (messages, size) = crate::ours::asked_for(asked.get(5..).unwrap_or_default());
            let chunk = (5 + size).max(CHUNK);
            let source = Source { chunk: Bytes::from(vec![b'm'; chunk]), left: messages * (5 + size) };
            BodyExt::boxed(source.map_err(|never| match never {}))
        }
    };
    let mut response = Response::new(body);
    if let Some(content_type) = content_type {
        response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    }
    Ok(response)
}

fn full(bytes: Bytes) -> Body {
    BodyExt::boxed(Full::new(bytes).map_err(|never| match never {}))
}

struct Source {
    chunk: Bytes,
    left: usize,
}

impl hyper::body::Body for Source {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let len = self.left.min(self.chunk.len());
        self.left -= len;
        Poll::Ready((len > 0).then(|| Ok(Frame::data(self.chunk.slice(..len)))))
    }

    /// Unknown, as it is of a stream.
    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
