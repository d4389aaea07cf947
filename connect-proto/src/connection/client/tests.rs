use std::io::IoSlice;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::*;
use crate::call::Processed;
use crate::client::{CallConfig, Procedure, Request};
use crate::connection::Fate;
use crate::error::CloseReason;

const NOW: Instant = Instant::ORIGIN;

/// A connection with a server stream whose request has gone out.
fn streaming() -> (Connection<Client>, CallId) {
    let config = CallConfig::new("http".parse().unwrap(), "localhost".parse().unwrap(), "proto").unwrap();
    let request = Request::new(Procedure::new("/test.Service/Method").unwrap(), Kind::ServerStream);
    let mut connection = Connection::<Client>::http1(NOW, &ConnectionConfig::default());
    let id = connection.open(NOW, Call::new(NOW, &Arc::new(config), request).unwrap()).unwrap();
    let mut call = connection.call(id).unwrap();
    call.send(NOW, Outbound::encode(&call.encoding(), Bytes::from_static(b"hello"))).unwrap();
    call.finish(NOW).unwrap();
    while connection.output(NOW, &mut [IoSlice::new(&[]); 4]) > 0 {
        connection.handle_written(NOW, usize::MAX);
    }
    (connection, id)
}

/// A fault that is found when HTTP has completed the exchange takes nothing back: the server has answered.
#[test]
fn a_fault_in_a_complete_response_was_processed() {
    let (mut connection, id) = streaming();
    let response =
        b"HTTP/1.1 200 OK\r\ncontent-type: application/connect+proto\r\ncontent-length: 14\r\n\r\n\
        \x02\0\0\0\x02{}\0\0\0\0\x02hi";
    connection.handle_read(NOW, &mut BytesMut::from(&response[..]));
    let closed = loop {
        match connection.poll_ready() {
            Some(Notice::Readable(_)) => while connection.call(id).unwrap().poll_event(NOW).is_some() {},
            Some(Notice::Closed(at, closed)) if at == id => break closed,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(closed.reason, CloseReason::PeerMisbehaved(PeerMisbehaved::DataAfterEndStream));
    assert_eq!((closed.processed, closed.fate), (Processed::Yes, Fate::Reusable));
}
