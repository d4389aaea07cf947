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

fn written(connection: &mut Connection<Server>) -> String {
    let mut written = Vec::new();
    loop {
        let mut slices = [IoSlice::new(&[]); 4];
        let filled = connection.output(NOW, &mut slices);
        let shown: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect();
        if shown.is_empty() {
            return String::from_utf8(written).unwrap();
        }
        connection.handle_written(NOW, shown.len());
        written.extend(shown);
    }
}

fn call(connection: &mut Connection<Server>) -> CallId {
    let Notice::Incoming(id) = next(connection, &mut BytesMut::from(GET)) else { panic!("no request") };
    start(connection, id);
    id
}

/// Answers with these headers; the head of what is written.
fn head(connection: &mut Connection<Server>, headers: Metadata) -> String {
    let id = call(connection);
    let mut call = connection.call(id).unwrap();
    call.send_headers(NOW, headers).unwrap();
    call.send(NOW, Outbound::encode(&call.encoding(), Bytes::from_static(b"answer"))).unwrap();
    call.finish(NOW, Metadata::new(), Ok(())).unwrap();
    while connection.poll_event(NOW, id).is_some() {}
    let written = written(connection);
    assert!(
        std::iter::from_fn(|| connection.poll_ready()).any(|notice| matches!(notice, Notice::Closed(..)))
    );
    written.split_once("\r\n\r\n").unwrap().0.to_owned()
}

/// RFC 9110, section 6.6.1.
#[test]
fn responses_have_the_date_that_was_told_last() {
    let mut connection = Connection::new(NOW, &ConnectionConfig::default());
    assert!(!head(&mut connection, Metadata::new()).contains("date:"));
    for date in ["Sat, 28 Nov 2026 12:00:00 GMT", "Sat, 28 Nov 2026 12:00:01 GMT"] {
        connection.set_date(Some(HeaderValue::from_static(date)));
        assert!(head(&mut connection, Metadata::new()).contains(&format!("\r\ndate: {date}")));
    }
}

#[test]
fn a_date_of_the_applications_own_stays() {
    let mut connection = Connection::new(NOW, &ConnectionConfig::default());
    connection.set_date(Some(HeaderValue::from_static("Sat, 28 Nov 2026 12:00:00 GMT")));
    let mut headers = Metadata::new();
    headers.insert(http::header::DATE, HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT"));
    let head = head(&mut connection, headers);
    assert_eq!(head.matches("date:").count(), 1);
    assert!(head.contains("\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT"));
}

#[test]
fn the_refusal_of_a_broken_head_has_a_date() {
    let mut connection = Connection::<Server>::new(NOW, &ConnectionConfig::default());
    connection.set_date(Some(HeaderValue::from_static("Sat, 28 Nov 2026 12:00:00 GMT")));
    connection.handle_read(NOW, &mut BytesMut::from(&b"POST / HTTP/1.1\r\nhost: a b\r\n\r\n"[..]));
    let written = written(&mut connection);
    assert!(
        written.starts_with("HTTP/1.1 400 ") && written.contains("\r\ndate: Sat, 28 Nov 2026"),
        "{written}"
    );
}

#[test]
fn messages_in_a_row_are_queued_up_to_the_first_that_is_not_accepted() {
    const OPEN: &[u8] = b"POST /test.Service/Method HTTP/1.1\r\nhost: localhost\r\n\
        content-type: application/connect+proto\r\ncontent-length: 5\r\n\r\n\0\0\0\0\0";
    let mut connection = Connection::new(NOW, &ConnectionConfig::default());
    let Notice::Incoming(id) = next(&mut connection, &mut BytesMut::from(OPEN)) else { panic!("no request") };
    let mut config = ServerConfig::default();
    config.limits.send_queue = 20;
    let spec = MethodSpec::new(Kind::ServerStream, &Arc::from(["proto".to_owned()]));
    assert!(connection.start(NOW, id, &Arc::new(config), &spec));
    let mut call = connection.call(id).unwrap();
    // Each waits as 9 bytes.
    let encoding = call.encoding();
    let mut rest = ["1111", "2222", "3333", "4444"].into_iter();
    let sent = call.send_each(NOW, || {
        rest.next().map(|text| Outbound::encode(&encoding, Bytes::from_static(text.as_bytes())))
    });
    let Err(SendError::Full(refused)) = sent else { panic!("{sent:?}") };
    assert_eq!(refused.len(), 4);
    assert_eq!(rest.as_slice(), ["4444"], "none is asked for after that");
    let written = written(&mut connection);
    assert!(written.contains("1111") && written.contains("2222") && !written.contains("3333"), "{written:?}");
}
