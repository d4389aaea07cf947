use std::io::IoSlice;

use bytes::{Bytes, BytesMut};

use super::*;
use crate::call::Kind;

const NOW: Instant = Instant::ORIGIN;

const POST: &[u8] =
    b"POST /test.Service/Method HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/proto\r\n\
    content-length: 5\r\n\r\nhello";
const GET: &[u8] = b"GET /test.Service/Method?connect=v1&encoding=proto&message=hello HTTP/1.1\r\n\
    host: localhost\r\n\r\n";

fn start(connection: &mut Connection<Server>, id: CallId) {
    let spec = MethodSpec::new(Kind::Unary, &Arc::from(["proto".to_owned()])).side_effect_free();
    assert!(connection.start(NOW, id, &Arc::default(), &spec));
}

fn next(connection: &mut Connection<Server>, buf: &mut BytesMut) -> Notice {
    if connection.wants_read() {
        connection.handle_read(NOW, buf);
    }
    connection.poll_ready().expect("a notice")
}

/// Answers a call and takes the answer out.
fn answer(connection: &mut Connection<Server>, id: CallId) {
    let mut call = connection.call(id).unwrap();
    while call.poll_event(NOW).is_some() {}
    call.send(NOW, Outbound::encode(&call.encoding(), Bytes::from_static(b"answer"))).unwrap();
    call.finish(NOW, Metadata::new(), Ok(())).unwrap();
    while connection.output(NOW, &mut [IoSlice::new(&[]); 4]) > 0 {
        connection.handle_written(NOW, usize::MAX);
    }
}

/// The last notice of a call comes before the first one of the next, and nothing of the next is lost to it.
#[test]
fn pipelined_requests_are_told_one_after_the_other() {
    let mut connection = Connection::new(NOW, &ConnectionConfig::default());
    let mut buf = BytesMut::from(&[POST, GET, POST].concat()[..]);
    for _ in 0..3 {
        let Notice::Incoming(id) = next(&mut connection, &mut buf) else { panic!("no request") };
        start(&mut connection, id);
        assert_eq!(next(&mut connection, &mut buf), Notice::Readable(id));
        answer(&mut connection, id);
        // Time goes by before the notices are taken.
        connection.handle_timeout(NOW);
        connection.handle_read(NOW, &mut buf);
        let Notice::Closed(closed, _) = next(&mut connection, &mut buf) else { panic!("not closed") };
        assert_eq!(closed, id);
    }
    assert!(buf.is_empty() && connection.poll_ready().is_none());
}
