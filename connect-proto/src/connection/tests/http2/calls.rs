//! Calls that go well, and one that does not and leaves the others alone.

use std::time::Duration;

use super::*;

#[test]
fn a_unary_call() {
    let mut two = Two::new(Kind::Unary);
    let id = two.open();
    two.send(id, "hello");
    two.finish(id);
    two.run();
    assert_eq!(two.messages[&id], ["hello"]);
    assert_eq!(two.verdicts[&id], Ok(()));
    assert_eq!((two.closed[&id].reason, two.closed[&id].fate), (CloseReason::Complete, Fate::Reusable));
    assert_eq!(two.served.values().next().unwrap().reason, CloseReason::Complete);
}

#[test]
fn a_full_duplex_call_answers_before_its_request_ends() {
    let mut two = Two::new(FULL);
    let id = two.open();
    for text in ["a", "b", "c"] {
        two.send(id, text);
        two.run();
        assert_eq!(two.messages[&id].last().unwrap(), text);
    }
    two.finish(id);
    two.run();
    assert_eq!(two.closed[&id].reason, CloseReason::Complete);
}

#[test]
fn a_servers_call_whose_time_is_up_says_so_while_its_handler_is_silent() {
    let mut two = Two::new(FULL);
    let id = two.open_for(Some(millis(250)));
    two.send(id, "x");
    two.run();
    // Only the server looks at the clock, so that the answer is its own.
    let now = two.now.saturating_add(millis(250));
    two.server.handle_timeout(now);
    assert!(pump(now, &mut two.server, &mut two.client, &mut two.buffers[1]), "it answers");
}

#[test]
fn more_calls_than_the_server_takes_at_once_wait_for_their_turn() {
    let mut two = Two::new(FULL);
    let ids: Vec<CallId> = (0..600).map(|_| two.open()).collect();
    for &id in &ids {
        two.send(id, "x");
        two.finish(id);
    }
    two.run();
    assert_eq!(two.closed.len(), 600);
    assert!(two.verdicts.values().all(|verdict| *verdict == Ok(())));
    assert_eq!(two.served.len(), 600);
    assert!(two.client.is_free());
}

#[test]
fn a_message_larger_than_the_windows_passes() {
    let mut two = Two::new(FULL);
    let id = two.open();
    let text = noise(3 << 20);
    two.send(id, &text);
    two.finish(id);
    two.run();
    assert_eq!(two.messages[&id], [text]);
    assert_eq!(two.closed[&id].reason, CloseReason::Complete);
}

#[test]
fn an_aborted_call_leaves_the_connection_and_the_other_calls_alone() {
    let mut two = Two::new(FULL);
    let (one, other) = (two.open(), two.open());
    two.send(one, "x");
    two.send(other, "y");
    two.run();
    two.client.call(one).unwrap().abort(two.now, AbortReason::Requested);
    two.run();
    assert_eq!(two.closed[&one].reason, CloseReason::Aborted(AbortReason::Requested));
    assert_eq!(two.closed[&one].fate, Fate::Reusable);
    assert_eq!(two.served.values().next().unwrap().reason.code(), Some(Code::Canceled));
    two.finish(other);
    two.run();
    assert_eq!(two.verdicts[&other], Ok(()));
}

/// What a server answers to a client's first bytes, and whether it closes then.
fn greeted(mut server: ServerConnection, bytes: &[u8]) -> (String, bool) {
    let now = Instant::ORIGIN;
    let mut buf = BytesMut::from(bytes);
    server.handle_read(now, &mut buf);
    let mut slices = [IoSlice::new(&[]); 16];
    let filled = server.output(now, &mut slices);
    let answer: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect();
    server.handle_written(now, answer.len());
    (String::from_utf8_lossy(&answer).into_owned(), server.poll_shutdown().is_some())
}

#[test]
fn a_version_that_was_agreed_on_is_not_guessed() {
    let config = ConnectionConfig::default();
    let get = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    let (answer, closes) = greeted(ServerConnection::http2(Instant::ORIGIN, &config), get);
    assert!(closes && !answer.starts_with("HTTP/1.1"), "{answer}");
    let (answer, closes) = greeted(ServerConnection::http1(Instant::ORIGIN, &config), crate::http2::PREFACE);
    assert!(closes && answer.starts_with("HTTP/1.1 505"), "{answer}");
}

/// The version was not known yet when the server was shut down.
#[test]
fn a_preface_that_was_on_its_way_at_a_shutdown_is_answered_by_goaway() {
    let mut server = ServerConnection::new(Instant::ORIGIN, &ConnectionConfig::default());
    server.shut_down(Instant::ORIGIN, Duration::from_secs(10));
    let (answer, _) = greeted(server, crate::http2::PREFACE);
    let goaway = "\0\0\x08\x07\0\0\0\0\0";
    assert!(answer.contains(goaway), "{answer:?}");
}

/// Invariant 11: a sender that has left off reading is told of room all the same.
#[test]
fn room_is_told_behind_messages_that_nobody_reads() {
    let mut two = Two::new(FULL);
    let id = two.open();
    two.send(id, "x");
    two.run_without_listening();
    assert_eq!(two.client.poll_ready(), Some(Notice::Readable(id)));
    let full = noise(120 << 10);
    two.send(id, &full);
    let mut call = two.client.call(id).unwrap();
    let more = Outbound::encode(&call.encoding(), full.clone());
    assert!(matches!(call.send(two.now, more), Err(SendError::Full(_))));
    assert_eq!(two.client.poll_ready(), None);
    two.run_without_listening();
    assert_eq!(two.client.poll_ready(), Some(Notice::Readable(id)));
    assert!(matches!(two.client.call(id).unwrap().poll_event(two.now), Some(Event::Writable)));
}

/// Only once for each refusal, though: a driver that is told again and again is kept busy for nothing.
#[test]
fn room_that_nobody_looks_at_is_told_once_for_each_refusal() {
    let mut two = Two::new(FULL);
    let id = two.open();
    let full = noise(120 << 10);
    for _ in 0..2 {
        two.send(id, &full);
        let mut call = two.client.call(id).unwrap();
        let more = Outbound::encode(&call.encoding(), full.clone());
        assert!(matches!(call.send(two.now, more), Err(SendError::Full(_))));
        two.run_without_listening();
        assert_eq!(two.client.poll_ready(), Some(Notice::Readable(id)));
        two.run_without_listening();
        assert_eq!(two.client.poll_ready(), None);
    }
}

/// Invariant 11: so is one whose call has ended under it.
#[test]
fn the_verdict_is_told_behind_messages_that_nobody_reads() {
    let mut two = Two::new(FULL);
    let id = two.open();
    two.send(id, "x");
    two.run_without_listening();
    assert_eq!(two.client.poll_ready(), Some(Notice::Readable(id)));
    assert_eq!(two.client.poll_ready(), None);
    two.client.handle_io_failed(two.now, LostKind::Reset);
    assert_eq!(two.client.poll_ready(), Some(Notice::Readable(id)), "the verdict has joined them");
    assert_eq!(two.client.poll_ready(), None, "but only once");
}
