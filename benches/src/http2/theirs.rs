//! The h2 crate, polled by hand.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use h2::{RecvStream, SendStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::record::{Peer, request, response};
use super::{Work, merge};
use crate::scenario::Run;
use crate::stream_message;

const STREAM_WINDOW: u32 = 256 << 10;
const CLIENT_CONNECTION_WINDOW: u32 = 16 << 20;
const SERVER_CONNECTION_WINDOW: u32 = 4 << 20;

#[derive(Default)]
struct Pipe {
    unread: Vec<u8>,
    at: usize,
    written: usize,
}

/// A socket that takes all that is written.
struct Socket(Rc<RefCell<Pipe>>);

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let pipe = &mut *self.0.borrow_mut();
        let n = buf.remaining().min(pipe.unread.len() - pipe.at);
        if n == 0 {
            return Poll::Pending;
        }
        buf.put_slice(&pipe.unread[pipe.at..pipe.at + n]);
        pipe.at += n;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.0.borrow_mut().written += buf.len();
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = slices.iter().map(|slice| slice.len()).sum();
        self.0.borrow_mut().written += written;
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

fn refill(pipe: &Rc<RefCell<Pipe>>, bytes: &[u8]) {
    let mut pipe = pipe.borrow_mut();
    assert!(pipe.at == pipe.unread.len(), "something is unread");
    pipe.unread.clear();
    pipe.unread.extend_from_slice(bytes);
    (pipe.at, pipe.written) = (0, 0);
}

type ServerConnection = h2::server::Connection<Socket, Bytes>;

pub(crate) fn server(work: Work) -> Run {
    let pipe = Rc::new(RefCell::new(Pipe::default()));
    let mut peer = Peer::client(work);
    refill(&pipe, &peer.begin[0]);
    let mut handshake = Box::pin(
        h2::server::Builder::new()
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(SERVER_CONNECTION_WINDOW)
            .max_concurrent_streams(250)
            .handshake::<_, Bytes>(Socket(pipe.clone())),
    );
    let Poll::Ready(Ok(mut connection)) = handshake.as_mut().poll(&mut context()) else {
        panic!("no handshake")
    };
    for exchange in &peer.begin[1..] {
        assert!(connection.poll_accept(&mut context()).is_pending());
        refill(&pipe, exchange);
        serve(&mut connection, work);
    }
    Box::new(move || {
        refill(&pipe, peer.next(work.response));
        serve(&mut connection, work);
        assert!(pipe.borrow().written > work.response);
    })
}

/// Serves one request.
fn serve(connection: &mut ServerConnection, work: Work) {
    let mut cx = context();
    let Poll::Ready(Some(Ok((request, mut respond)))) = connection.poll_accept(&mut cx) else {
        panic!("no request")
    };
    let mut body = request.into_body();
    let mut message = Bytes::new();
    loop {
        match body.poll_data(&mut cx) {
            Poll::Ready(Some(data)) => {
                message = data.expect("data");
                body.flow_control().release_capacity(message.len()).expect("what came");
            }
            Poll::Ready(None) => break,
            Poll::Pending => assert!(connection.poll_accept(&mut cx).is_pending()),
        }
    }
    let mut answer = response();
    if work.messages == 1 {
        answer.headers_mut().insert("content-length", work.response.into());
    }
    let mut stream = respond.send_response(answer, false).expect("an open stream");
    if work.messages == 1 {
        stream.send_data(message, true).expect("an open stream");
    } else {
        send_stream(connection, &mut stream, work);
    }
    drop((stream, respond, body));
    assert!(connection.poll_accept(&mut cx).is_pending());
}

/// Sends the messages of a stream; h2 makes a frame of each piece.
fn send_stream(connection: &mut ServerConnection, stream: &mut SendStream<Bytes>, work: Work) {
    let mut left = work.messages;
    while left > 0 {
        let n = left.min((16 << 10) / 16);
        left -= n;
        if work.is_merged {
            stream.send_data(merge(n), left == 0).expect("an open stream");
        } else {
            for at in (0..n).rev() {
                stream.send_data(stream_message(), left + at == 0).expect("an open stream");
            }
        }
        assert!(connection.poll_accept(&mut context()).is_pending());
    }
}

type Sender = h2::client::SendRequest<Bytes>;
type ClientConnection = h2::client::Connection<Socket, Bytes>;

pub(crate) fn client(work: Work) -> Run {
    let pipe = Rc::new(RefCell::new(Pipe::default()));
    let mut peer = Peer::server(work);
    let mut handshake = Box::pin(
        h2::client::Builder::new()
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CLIENT_CONNECTION_WINDOW)
            .enable_push(false)
            .handshake::<_, Bytes>(Socket(pipe.clone())),
    );
    let Poll::Ready(Ok((mut sender, mut connection))) = handshake.as_mut().poll(&mut context()) else {
        panic!("no handshake")
    };
    let (head, body) = (request(), Bytes::from(vec![b'q'; work.request]));
    let first = ask(&mut sender, &mut connection, &head, &body);
    let second = ask(&mut sender, &mut connection, &head, &body);
    refill(&pipe, &peer.begin.concat());
    take(&mut connection, first);
    take(&mut connection, second);
    Box::new(move || {
        let response = ask(&mut sender, &mut connection, &head, &body);
        refill(&pipe, peer.next(work.request));
        assert_eq!(take(&mut connection, response), work.response);
    })
}

fn ask(
    sender: &mut Sender,
    connection: &mut ClientConnection,
    head: &http::Request<()>,
    body: &Bytes,
) -> h2::client::ResponseFuture {
    let mut cx = context();
    assert!(matches!(sender.poll_ready(&mut cx), Poll::Ready(Ok(()))));
    let mut head = head.clone();
    head.headers_mut().insert("content-length", body.len().into());
    let (response, mut stream) = sender.send_request(head, false).expect("a stream");
    stream.send_data(body.clone(), true).expect("an open stream");
    assert!(Pin::new(connection).poll(&mut cx).is_pending());
    response
}

fn take(connection: &mut ClientConnection, mut response: h2::client::ResponseFuture) -> usize {
    let mut cx = context();
    assert!(Pin::new(&mut *connection).poll(&mut cx).is_pending());
    let Poll::Ready(Ok(response)) = Pin::new(&mut response).poll(&mut cx) else { panic!("no response") };
    let mut body: RecvStream = response.into_body();
    let mut taken = 0;
    loop {
        match body.poll_data(&mut cx) {
            Poll::Ready(Some(data)) => {
                let data = data.expect("data");
                taken += data.len();
                body.flow_control().release_capacity(data.len()).expect("what came");
            }
            Poll::Ready(None) => break,
            Poll::Pending => assert!(Pin::new(&mut *connection).poll(&mut cx).is_pending()),
        }
    }
    drop(body);
    assert!(Pin::new(connection).poll(&mut cx).is_pending());
    taken
}
