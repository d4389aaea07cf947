//! A client that gives up one call after the other, with data on its way both ways, keeps its connection to the h2 crate.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use connect_proto::Instant;
use connect_proto::call::{Duplex, Event, Kind};
use connect_proto::client::{Call, CallConfig, Procedure, Request};
use connect_proto::connection::{CallId, ClientConnection, ConnectionConfig, Fate, Notice};
use connect_proto::error::{AbortReason, CloseReason};
use connect_proto::message::Outbound;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const CALLS: usize = 5000;

type Pipe = Rc<RefCell<VecDeque<u8>>>;

/// h2's end of the connection.
struct End {
    from_client: Pipe,
    to_client: Pipe,
}

impl AsyncRead for End {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut pipe = self.from_client.borrow_mut();
        let n = pipe.len().min(buf.remaining());
        if n == 0 {
            return Poll::Pending;
        }
        buf.put_slice(&pipe.drain(..n).collect::<Vec<u8>>());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for End {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.to_client.borrow_mut().extend(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Answers every request with a head and the beginning of a message that never ends, and reads nothing.
async fn serve(end: End) -> Result<(), h2::Error> {
    let mut connection = h2::server::handshake(end).await?;
    let mut streams = VecDeque::new();
    while let Some(accepted) = connection.accept().await {
        let (request, mut respond) = accepted?;
        let head = http::Response::builder().header("content-type", "application/connect+text").body(());
        let mut body = respond.send_response(head.expect("a head"), false)?;
        let mut message = vec![0, 0, 0x20, 0, 0];
        message.resize(20 << 10, b'x');
        body.send_data(Bytes::from(message), false)?;
        streams.push_back((request, body));
        if streams.len() > 10 {
            streams.pop_front();
        }
    }
    Ok(())
}

struct Client {
    connection: ClientConnection,
    to_server: Pipe,
    from_server: Pipe,
    unread: BytesMut,
}

impl Client {
    fn exchange(&mut self, now: Instant) {
        loop {
            let mut slices = [IoSlice::new(&[]); 16];
            let filled = self.connection.output(now, &mut slices);
            let len = slices[..filled].iter().map(|slice| slice.len()).sum();
            slices[..filled].iter().for_each(|slice| self.to_server.borrow_mut().extend(slice.iter()));
            self.connection.handle_written(now, len);
            if len == 0 {
                break;
            }
        }
        self.unread.extend(self.from_server.borrow_mut().drain(..));
        self.connection.handle_read(now, &mut self.unread);
    }

    fn open(&mut self, now: Instant, config: &Arc<CallConfig>) -> CallId {
        let procedure = Procedure::new("/test.Service/Method").expect("a path");
        let request = Request::new(procedure, Kind::Bidi(Duplex::Full));
        let id =
            self.connection.open(now, Call::new(now, config, request).expect("a call")).expect("a stream");
        let mut call = self.connection.call(id).expect("a call");
        let message = Outbound::encode(&call.encoding(), Bytes::from(vec![b'y'; 2000]));
        call.send(now, message).expect("room");
        id
    }
}

#[test]
fn five_thousand_aborted_calls_leave_the_connection_alive() {
    let (there, back) = (Pipe::default(), Pipe::default());
    let mut server = pin!(serve(End { from_client: there.clone(), to_client: back.clone() }));
    let mut context = Context::from_waker(Waker::noop());
    let mut poll = || assert!(server.as_mut().poll(&mut context).is_pending(), "h2 has ended the connection");

    let config = CallConfig::new("http".parse().unwrap(), "test".parse().unwrap(), "text").unwrap();
    let config = Arc::new(config);
    let connection = ClientConnection::http2(Instant::ORIGIN, &ConnectionConfig::default());
    let mut client = Client { connection, to_server: there, from_server: back, unread: BytesMut::new() };

    for n in 0..=CALLS {
        let now = Instant::from_nanos(n as u64 * 1_000_000);
        let id = client.open(now, &config);
        let mut answered = false;
        while !answered {
            client.exchange(now);
            poll();
            while let Some(notice) = client.connection.poll_ready() {
                let Notice::Readable(at) = notice else { panic!("{notice:?}") };
                let mut call = client.connection.call(at).expect("a call");
                while let Some(event) = call.poll_event(now) {
                    answered |= matches!(event, Event::Headers(_));
                }
            }
        }
        // Both the rest of the answer and this message are on their way.
        let mut call = client.connection.call(id).expect("a call");
        let message = Outbound::encode(&call.encoding(), Bytes::from(vec![b'z'; 2000]));
        call.send(now, message).expect("room");
        call.abort(now, AbortReason::Requested);
        let Some(Notice::Closed(at, closed)) = client.connection.poll_ready() else { panic!("not closed") };
        assert_eq!((at, closed.reason), (id, CloseReason::Aborted(AbortReason::Requested)));
        assert_eq!(closed.fate, Fate::Reusable, "after {n} calls");
    }
    assert!(client.connection.is_free());
}
