//! Back-pressure in both directions.

use std::io::IoSlice;

use super::*;
use crate::call::SendError;
use crate::connection::{Connection, Notice};
use crate::testing::{Heard, peer, secs};
use crate::time::Instant;
use crate::wire::envelope::Flags;

fn message(len: usize) -> Vec<u8> {
    peer::chunk(&peer::envelope(Flags::NONE, &vec![b'x'; len]))
}

#[test]
fn an_application_that_never_reads_stops_the_peer() {
    let mut server = serving_with_window(BIDI, 1000);
    server.end.listening = false;
    server.feed(&peer::request_head(BIDI));
    for _ in 0..100 {
        server.feed(&message(95));
    }
    assert!(!server.end.connection.wants_read());
    let held = server.end.unread() + server.incoming.in_flight();
    assert!(held > 100 * 100 - 2000, "{held} bytes are left with the peer or the driver");

    server.end.listening = true;
    server.run();
    assert_eq!(server.end.messages().len(), 100);
    assert!(server.end.connection.wants_read());
    server.feed(peer::LAST_CHUNK);
    server.end.finish(Ok(())).unwrap();
    server.run();
    server.assert_quiescent();
}

#[test]
fn a_message_larger_than_the_window_passes() {
    for kind in KINDS {
        let mut p = pair_with(kind, |config| {
            config.client_connection.receive_window = 100;
            config.server_connection.receive_window = 100;
        });
        for wire in [&mut p.to_client, &mut p.to_server] {
            wire.cut(&[70]);
        }
        p.call(None);
        p.client.send(vec![b'x'; 10_000]).unwrap();
        p.client.finish().unwrap();
        p.run();
        assert_eq!(p.server.messages(), [vec![b'x'; 10_000]], "{kind:?}");
        p.server.send(vec![b'y'; 10_000]).unwrap();
        p.server.finish(Ok(())).unwrap();
        p.run();
        assert_eq!(p.client_messages(), [vec![b'y'; 10_000]], "{kind:?}");
        p.assert_quiescent();
    }
}

#[test]
fn a_window_of_messages_that_wait_is_given_back_by_close_and_abort() {
    for abort in [false, true] {
        let mut p = pair_with(BIDI, |config| config.client_connection.receive_window = 50);
        p.call(None);
        p.request("ping");
        p.client.listening = false;
        for _ in 0..20 {
            p.server.send("0123456789").unwrap();
        }
        p.run();
        assert!(!p.client.connection.wants_read());
        p.server.finish(Ok(())).unwrap();
        p.run();
        if abort {
            p.client.abort()
        } else {
            p.client.close()
        }
        p.run();
        let expected = if abort {
            CloseReason::Aborted(crate::error::AbortReason::Requested)
        } else {
            CloseReason::Drained
        };
        p.client.listening = true;
        p.run();
        assert_eq!(p.client_closed().reason, expected);
        p.assert_quiescent();
    }
}

#[test]
fn a_transport_that_takes_nothing_stops_the_sender() {
    let mut p = Pair::open(BIDI);
    p.to_server.set_capacity(1000);
    p.to_server.stall();
    let mut accepted = 0;
    let refused = loop {
        match p.client.send(vec![b'x'; 1000]) {
            Ok(()) => accepted += 1,
            Err(refused) => break refused,
        }
        p.run();
        assert!(accepted < 1000, "nothing stops it");
    };
    assert!(matches!(refused, SendError::Full(_)));
    assert!(!p.client.told.iter().any(|told| matches!(told.what, Heard::Writable)));
    // The queue of the call and the output of the connection, 129 KiB each.
    assert!((129..=270).contains(&accepted), "{accepted}");

    p.to_server.resume();
    p.run();
    let writable = p.client.told.iter().filter(|told| matches!(told.what, Heard::Writable)).count();
    assert_eq!(writable, 1);
    p.client.finish().unwrap();
    p.run();
    assert_eq!(p.server.messages().len(), accepted);
    p.answer("pong");
    p.assert_quiescent();
}

#[test]
fn room_that_nobody_makes_use_of_is_told_once() {
    let mut p = Pair::open(BIDI);
    while p.client.send(vec![b'x'; 1000]).is_ok() {}
    let (now, connection) = (p.now(), &mut p.client.connection);
    let mut told = 0;
    // The events are never polled.
    for _ in 0..1000 {
        let mut slices = [IoSlice::new(&[]); 8];
        let filled = connection.output(now, &mut slices);
        let written: usize = slices[..filled].iter().map(|slice| slice.len()).sum();
        if written > 0 {
            told = 0;
            connection.handle_written(now, written);
        }
        told += std::iter::from_fn(|| connection.poll_ready()).count();
    }
    assert!(told <= 1, "{told} notices of the same");
}

#[test]
fn a_pair_of_slow_wires_only_takes_longer() {
    for capacity in [1, 2, 3, 7, 64] {
        for kind in KINDS {
            let mut p = Pair::open(kind);
            p.to_server.set_capacity(capacity);
            p.to_client.set_capacity(capacity);
            p.request("ping");
            p.answer("pong");
            assert_eq!(
                (p.server.messages(), p.client_messages()),
                (vec!["ping".into()], vec!["pong".into()])
            );
            p.assert_quiescent();
        }
    }
}

#[test]
fn the_end_of_the_peer_does_not_hide_what_came_before_it() {
    // The response has arrived and waits in the driver's buffer, since the window is full; then the peer ends.
    let mut client = Alone::client(&window(20));
    let call = crate::testing::call(client.now(), &Arc::new(client_config()), BIDI, None);
    client.end.open(call).unwrap();
    client.end.finish().unwrap();
    client.run();
    client.end.listening = false;
    let messages = [&[b'x'; 10_000][..]; 10];
    client.feed(&peer::response(BIDI, &messages));
    assert!(client.end.unread() > 0 && !client.end.connection.wants_read());
    client.eof();
    client.end.listening = true;
    client.run();
    assert_eq!(client.end.messages().len(), 10);
    assert!(matches!(client.end.verdict(), Some(Ok(_))));
    assert_eq!(client.closed().reason, CloseReason::Complete);
    client.run();
    assert!(client.end.connection.is_closed());
    client.assert_quiescent();
}

/// As before, by a driver that reads ahead and tells the end of the input as soon as it sees it.
#[test]
fn the_end_told_early_does_not_hide_what_is_in_the_buffer() {
    let mut client = Alone::client(&window(100));
    let call = crate::testing::call(client.now(), &Arc::new(client_config()), BIDI, None);
    let id = client.end.open(call).unwrap();
    client.end.finish().unwrap();
    client.run();
    let (now, connection) = (client.now(), &mut client.end.connection);
    let mut buf = bytes::BytesMut::from(&peer::response(BIDI, &[&[b'x'; 10_000][..]; 10])[..]);
    connection.handle_read(now, &mut buf);
    assert!(!buf.is_empty() && !connection.wants_read());
    connection.handle_eof(now);

    let mut messages = 0;
    for _ in 0..100 {
        while let Some(event) = connection.call(id).and_then(|mut call| call.poll_event(now)) {
            messages += usize::from(matches!(event, crate::call::Event::Message(_)));
        }
        if connection.wants_read() {
            connection.handle_read(now, &mut buf);
        }
    }
    assert_eq!((messages, buf.len()), (10, 0));
    let Some(crate::connection::Notice::Closed(_, closed)) = connection.poll_ready() else { panic!() };
    assert_eq!(closed.reason, CloseReason::Complete);
    assert!(connection.is_closed());
}

#[test]
fn a_reader_that_stops_does_not_stop_time() {
    let mut client = Alone::calling_with(client_config(), BIDI, Some(secs(10)));
    client.end.finish().unwrap();
    client.run();
    client.end.listening = false;
    client.feed(peer::STREAM_HEAD);
    for _ in 0..1000 {
        client.feed(&message(100));
    }
    assert!(!client.end.connection.wants_read());
    client.elapse(secs(10));
    assert!(client.end.connection.is_closed());
    client.end.listening = true;
    client.run();
    assert_eq!(client.closed().reason, CloseReason::Deadline);
    client.assert_quiescent();
}

#[test]
fn a_slow_reader_holds_no_more_than_the_window_and_one_read() {
    const READ: usize = 1000;
    let mut server = serving_with_window(BIDI, 2000);
    server.end.listening = false;
    server.incoming.cut(&[READ]);
    server.feed(&peer::request_head(BIDI));
    let id = server.end.call_id().unwrap();
    for _ in 0..200 {
        server.incoming.feed(&message(95));
    }
    server.run();
    let total = server.incoming.written().len();
    let mut popped = 0;
    let now = server.now();
    while popped < 200 {
        let taken = total - server.incoming.in_flight() - server.end.unread();
        let waiting = taken.saturating_sub(popped * 106);
        // The head and the framing of HTTP come on top.
        assert!(waiting <= (2000 + READ) * 106 / 100 + 200, "{waiting} bytes wait after {popped} messages");
        let event = server.end.connection.call(id).unwrap().poll_event(now);
        popped += usize::from(matches!(event, Some(crate::call::Event::Message(_))));
        server.run();
    }
}

/// A driver that is told again and again is kept busy for nothing.
#[test]
fn room_that_nobody_looks_at_is_told_once_for_each_refusal() {
    let mut client = Alone::calling(BIDI);
    client.run();
    let (id, now) = (client.end.call_id().unwrap(), client.now());
    for _ in 0..2 {
        while client.end.send(vec![b'x'; 10_000]).is_ok() {}
        let connection = &mut client.end.connection;
        write_all(connection, now);
        assert_eq!(connection.poll_ready(), Some(Notice::Readable(id)));
        write_all(connection, now);
        assert_eq!(connection.poll_ready(), None);
    }
}

fn write_all(connection: &mut Connection<Client>, now: Instant) {
    loop {
        let mut slices = [IoSlice::new(&[]); 16];
        let filled = connection.output(now, &mut slices);
        let len = slices[..filled].iter().map(|slice| slice.len()).sum();
        if len == 0 {
            return;
        }
        connection.handle_written(now, len);
    }
}
