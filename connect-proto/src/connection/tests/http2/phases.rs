//! Ending a call in each of its phases, over HTTP/2: at once, or within the budget, and the connection lives.

use std::fmt::Write as _;

use super::raw::{DATA, END, Raw, end_stream, frame, message, request_head, reset, response_head};
use super::*;
use crate::call::{Processed, SendError};
use crate::connection::{Client, Server};
use crate::error::{ResetCode, RpcError};
use crate::testing::snapshot::assert_snapshot;

const MAX_CONCURRENT_STREAMS: u16 = 3;
const INITIAL_WINDOW_SIZE: u16 = 4;
const DEADLINE: std::time::Duration = secs(20);

const CLIENT: [&str; 11] = [
    "waits for a stream",
    "unsent",
    "sending, no response head",
    "half-closed, no response head",
    "response head seen",
    "in the middle of a message",
    "message unread",
    "the peer's window is empty",
    "the output is stuck",
    "end-stream seen, not HTTP's end",
    "draining",
];

/// A client in a phase, beside another call that goes on.
fn client(phase: &str) -> (Raw<Client>, CallId, CallId) {
    let window = if phase == "the peer's window is empty" { 100 } else { 65_535 };
    let streams = if phase == "waits for a stream" { 1 } else { 100 };
    let mut raw =
        Raw::client(Limits::default(), &[(MAX_CONCURRENT_STREAMS, streams), (INITIAL_WINDOW_SIZE, window)]);
    let other = raw.open(None);
    raw.send(other, "o");
    raw.run();
    raw.feed(&response_head(1));
    let id = raw.open(Some(DEADLINE));
    if phase == "waits for a stream" {
        raw.send(id, "x");
        raw.run();
    }
    if matches!(phase, "unsent" | "waits for a stream") {
        raw.written();
        return (raw, id, other);
    }
    raw.reads = phase != "the output is stuck";
    let len = if phase == "the peer's window is empty" { 5000 } else { 5 };
    raw.send(id, noise(len));
    if !matches!(phase, "sending, no response head" | "the peer's window is empty" | "the output is stuck") {
        raw.end.call(id).unwrap().finish(raw.now).unwrap();
    }
    raw.run();
    raw.listens = phase != "message unread";
    match phase {
        "response head seen" | "draining" => raw.feed(&response_head(3)),
        "in the middle of a message" => {
            raw.feed(&[response_head(3), frame(DATA, 0, 3, b"\0\0\0\0\x10abc")].concat());
        }
        "message unread" => raw.feed(&[response_head(3), message(3, "m")].concat()),
        "end-stream seen, not HTTP's end" => raw.feed(&[response_head(3), end_stream(3, 0)].concat()),
        _ => {}
    }
    if phase == "draining" {
        raw.end.call(id).unwrap().close(raw.now);
        raw.run();
    }
    raw.events.clear();
    raw.written();
    (raw, id, other)
}

/// What an end has come to: how, when, what the peer was told, and what the application heard.
fn told<R: raw::Listens>(raw: &mut Raw<R>, id: CallId, from: Instant) -> String {
    // Step by step, so that the time of the end is seen.
    for _ in 0..1300 {
        raw.look(id);
        if raw.closed(id).is_some() {
            break;
        }
        raw.elapse(millis(50));
    }
    let Some(closed) = raw.closed(id) else {
        return format!("NEVER {:?}", raw.events);
    };
    let took = raw.now.saturating_duration_since(from).as_millis();
    let events = std::mem::take(&mut raw.events).join(" ");
    format!(
        "{:?}, processed {:?}, {:?}, after {took} ms; peer: {}; application: {}",
        closed.reason,
        closed.processed,
        closed.fate,
        Some(raw.wrote()).filter(|text| !text.is_empty()).unwrap_or("-".into()),
        Some(events).filter(|text| !text.is_empty()).unwrap_or("-".into()),
    )
}

#[test]
fn a_client_ends_a_call_in_every_phase() {
    let mut text = String::from(
        "HTTP/2, a client ends a call while its server says nothing more. The deadline is 20 s.\n",
    );
    for phase in CLIENT {
        writeln!(text, "\n{phase}").unwrap();
        for op in ["close", "abort", "deadline", "RST_STREAM", "REFUSED_STREAM", "END_STREAM", "eof"] {
            let (mut raw, id, other) = client(phase);
            let from = raw.now;
            let on_stream = !matches!(phase, "unsent" | "waits for a stream" | "the output is stuck");
            match op {
                "close" => raw.end.call(id).unwrap().close(raw.now),
                "abort" => raw.end.call(id).unwrap().abort(raw.now, AbortReason::Requested),
                "RST_STREAM" if on_stream => raw.feed(&reset(3, ResetCode::INTERNAL_ERROR)),
                "REFUSED_STREAM" if on_stream => raw.feed(&reset(3, ResetCode::REFUSED_STREAM)),
                "END_STREAM"
                    if on_stream && !phase.contains("no response head") && !phase.contains("empty") =>
                {
                    raw.feed(&frame(DATA, END, 3, &[]));
                }
                "eof" => raw.end.handle_eof(raw.now),
                "deadline" => {}
                _ => continue,
            }
            if matches!(op, "close" | "abort") {
                let mut call = raw.end.call(id).unwrap();
                let late = Outbound::encode(&call.encoding(), Bytes::from("late"));
                assert!(
                    matches!(call.send(raw.now, late), Err(SendError::Closed(_) | SendError::Misuse(_))),
                    "{phase}, {op}: send"
                );
                call.close(raw.now);
                let events: Vec<String> = std::iter::from_fn(|| call.poll_event(raw.now))
                    .map(|event| format!("{event:?}"))
                    .collect();
                assert!(
                    !events.iter().any(|event| event.starts_with("Message")),
                    "{phase}, {op}: {events:?}"
                );
            }
            raw.listens = true;
            let end = told(&mut raw, id, from);
            writeln!(text, "  {op:<15}{end}").unwrap();
            assert!(raw.end.call(id).is_none(), "{phase}, {op}: gone with its notice");
            if op != "eof" && phase != "the output is stuck" {
                assert_eq!(raw.closed(id).unwrap().fate, Fate::Reusable, "{phase}, {op}");
                assert!(raw.is_open(other), "{phase}, {op}: the other call");
                raw.events.clear();
                raw.feed(&[message(1, "still"), end_stream(1, END)].concat());
                assert_eq!(raw.events, ["Message", "Finished(Ok)"], "{phase}, {op}: the other call");
            }
        }
    }
    assert_snapshot("http2_client_ends", &text);
}

const SERVER: [&str; 6] = [
    "nothing answered",
    "in the middle of a message",
    "message unread",
    "head sent",
    "message sent, the peer's window is empty",
    "request ended",
];

fn server(phase: &str) -> (Raw<Server>, CallId) {
    let mut raw = Raw::server(Limits::default());
    raw.listens = phase != "message unread";
    if phase.contains("window") {
        raw.feed(&raw::settings(&[(INITIAL_WINDOW_SIZE, 100)]));
    }
    let head = request_head(1);
    let id = raw.arrive(&match phase {
        "in the middle of a message" => [head, frame(DATA, 0, 1, b"\0\0\0\0\x10abc")].concat(),
        "request ended" => [head, message(1, "m"), frame(DATA, END, 1, &[])].concat(),
        _ => [head, message(1, "m")].concat(),
    });
    if phase == "head sent" {
        raw.end.call(id).unwrap().send_headers(raw.now, Metadata::new()).unwrap();
    }
    if phase.contains("window") {
        let mut call = raw.end.call(id).unwrap();
        call.send(raw.now, Outbound::encode(&call.encoding(), noise(5000))).unwrap();
    }
    raw.run();
    raw.events.clear();
    raw.written();
    (raw, id)
}

#[test]
fn a_server_ends_a_call_in_every_phase() {
    let mut text = String::from("HTTP/2, a server ends a call while its client says nothing more.\n");
    for phase in SERVER {
        writeln!(text, "\n{phase}").unwrap();
        for op in ["finish", "finish with an error", "abort", "CANCEL", "eof", "shutdown"] {
            let (mut raw, id) = server(phase);
            let (from, now) = (raw.now, raw.now);
            match op {
                "finish" => raw.end.call(id).unwrap().finish(now, Metadata::new(), Ok(())).unwrap(),
                "finish with an error" => {
                    let verdict = Err(RpcError::new(Code::NotFound, "no"));
                    raw.end.call(id).unwrap().finish(now, Metadata::new(), verdict).unwrap();
                }
                "abort" => raw.end.call(id).unwrap().abort(now, AbortReason::Requested),
                "CANCEL" => raw.feed(&reset(1, ResetCode::CANCEL)),
                "eof" => raw.end.handle_eof(now),
                _ => raw.end.shut_down(now, secs(3)),
            }
            raw.run();
            if matches!(op, "finish" | "finish with an error" | "abort")
                && let Some(mut call) = raw.end.call(id)
            {
                let late = Outbound::encode(&call.encoding(), Bytes::from("late"));
                assert!(call.send(now, late).is_err(), "{phase}, {op}: send");
            }
            raw.listens = true;
            let end = told(&mut raw, id, from);
            writeln!(text, "  {op:<21}{end}").unwrap();
            assert!(raw.end.call(id).is_none(), "{phase}, {op}: gone with its notice");
            if !matches!(op, "eof" | "shutdown") && !phase.contains("window") {
                assert_eq!(raw.closed(id).unwrap().fate, Fate::Reusable, "{phase}, {op}");
                let next = raw.arrive(&[request_head(3), frame(DATA, END, 3, &[])].concat());
                raw.end.call(next).unwrap().finish(raw.now, Metadata::new(), Ok(())).unwrap();
                raw.run();
                assert_eq!(raw.closed(next).unwrap().reason, CloseReason::Complete, "{phase}, {op}");
            }
        }
    }
    assert_snapshot("http2_server_ends", &text);
}

#[test]
fn a_close_over_an_empty_window_does_not_wait_for_it() {
    let (mut raw, id, _) = client("the peer's window is empty");
    raw.end.call(id).unwrap().close(raw.now);
    raw.elapse(millis(999));
    assert!(raw.is_open(id));
    raw.elapse(millis(1));
    let closed = raw.closed(id).unwrap();
    assert_eq!((closed.reason, closed.processed), (CloseReason::DrainTimedOut, Processed::Unknown));
}
