//! Many calls on one connection over HTTP/2.

use std::collections::HashMap;
use std::io::IoSlice;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::Instant;
use crate::call::{Duplex, Event, Kind};
use crate::connection::{
    CallClosed, CallId, ClientConnection, Connection, ConnectionConfig, Fate, Notice, Role, ServerConnection,
};
use crate::error::{AbortReason, CloseReason, Code};
use crate::message::Outbound;
use crate::metadata::Metadata;
use crate::server::ServerConfig;
use crate::testing::{call, client_config, method, millis, secs};

const FULL: Kind = Kind::Bidi(Duplex::Full);

/// A client and a server that echoes each message at once.
struct Two {
    now: Instant,
    client: ClientConnection,
    server: ServerConnection,
    buffers: [BytesMut; 2],
    kind: Kind,
    /// Whether the server answers, or looks away.
    awake: bool,
    messages: HashMap<CallId, Vec<Bytes>>,
    verdicts: HashMap<CallId, Result<(), Code>>,
    closed: HashMap<CallId, CallClosed>,
    served: HashMap<CallId, CallClosed>,
    suspect: bool,
}

fn pump<A: Role, B: Role>(
    now: Instant,
    from: &mut Connection<A>,
    to: &mut Connection<B>,
    buf: &mut BytesMut,
) -> bool {
    let mut slices = [IoSlice::new(&[]); 16];
    let filled = from.output(now, &mut slices);
    let len = slices[..filled].iter().map(|slice| slice.len()).sum();
    for slice in &slices[..filled] {
        buf.extend_from_slice(slice);
    }
    from.handle_written(now, len);
    if !buf.is_empty() && to.wants_read() {
        to.handle_read(now, buf);
    }
    len > 0
}

impl Two {
    fn new(kind: Kind) -> Self {
        let config = ConnectionConfig::default();
        Two {
            now: Instant::ORIGIN,
            client: ClientConnection::http2(Instant::ORIGIN, &config),
            server: ServerConnection::new(Instant::ORIGIN, &config),
            buffers: Default::default(),
            kind,
            awake: true,
            messages: HashMap::new(),
            verdicts: HashMap::new(),
            closed: HashMap::new(),
            served: HashMap::new(),
            suspect: false,
        }
    }

    fn open(&mut self) -> CallId {
        let call = call(self.now, &Arc::new(client_config()), self.kind, None);
        self.client.open(self.now, call).unwrap()
    }

    fn send(&mut self, id: CallId, text: &str) {
        let mut call = self.client.call(id).unwrap();
        call.send(self.now, Outbound::encode(&call.encoding(), Bytes::copy_from_slice(text.as_bytes())))
            .unwrap();
    }

    fn finish(&mut self, id: CallId) {
        self.client.call(id).unwrap().finish(self.now).unwrap();
    }

    fn serve(&mut self) {
        while let Some(notice) = self.server.poll_ready() {
            match notice {
                Notice::Incoming(id) => {
                    let config = Arc::new(ServerConfig::default());
                    assert!(self.server.start(self.now, id, &config, &method(self.kind)));
                }
                Notice::Readable(id) => {
                    let mut call = self.server.call(id).unwrap();
                    while let Some(event) = call.poll_event(self.now) {
                        match event {
                            Event::Message(message) => {
                                let echo = Outbound::encode(&call.encoding(), message.decode().unwrap());
                                call.send(self.now, echo).unwrap();
                            }
                            Event::PeerHalfClosed => call.finish(self.now, Metadata::new(), Ok(())).unwrap(),
                            _ => {}
                        }
                    }
                }
                Notice::Closed(id, closed) => drop(self.served.insert(id, closed)),
                Notice::Suspect | Notice::Ended(_) => {}
            }
        }
    }

    fn listen(&mut self) {
        while let Some(notice) = self.client.poll_ready() {
            match notice {
                Notice::Readable(id) => {
                    let mut call = self.client.call(id).unwrap();
                    while let Some(event) = call.poll_event(self.now) {
                        match event {
                            Event::Message(message) => {
                                self.messages.entry(id).or_default().push(message.decode().unwrap());
                            }
                            Event::Finished(verdict) => {
                                self.verdicts.insert(id, verdict.map(drop).map_err(|error| error.code()));
                            }
                            _ => {}
                        }
                    }
                }
                Notice::Closed(id, closed) => drop(self.closed.insert(id, closed)),
                Notice::Suspect => self.suspect = true,
                Notice::Incoming(_) | Notice::Ended(_) => {}
            }
        }
    }

    fn run(&mut self) {
        loop {
            let mut moved = pump(self.now, &mut self.client, &mut self.server, &mut self.buffers[0]);
            if self.awake {
                self.serve();
                moved |= pump(self.now, &mut self.server, &mut self.client, &mut self.buffers[1]);
            }
            self.listen();
            if !moved {
                return;
            }
        }
    }

    fn advance(&mut self, by: std::time::Duration) {
        self.now = self.now.saturating_add(by);
        self.client.handle_timeout(self.now);
        self.server.handle_timeout(self.now);
        self.run();
    }
}

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
    let text = "m".repeat(3 << 20);
    two.send(id, &text);
    two.finish(id);
    two.run();
    assert_eq!(two.messages[&id], [text.as_str()]);
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

#[test]
fn close_ends_within_the_budget_and_the_connection_lives() {
    let mut two = Two::new(FULL);
    let id = two.open();
    two.send(id, "x");
    two.run();
    two.awake = false;
    two.client.call(id).unwrap().close(two.now);
    two.run();
    assert!(two.closed.is_empty());
    two.advance(millis(999));
    assert!(two.closed.is_empty());
    two.advance(millis(1));
    assert_eq!((two.closed[&id].reason, two.closed[&id].fate), (CloseReason::DrainTimedOut, Fate::Reusable));
    assert!(!two.suspect, "the server had answered");
}

#[test]
fn a_call_given_up_without_a_sign_of_life_makes_the_connection_suspect() {
    let mut two = Two::new(FULL);
    let id = two.open();
    two.run();
    two.advance(secs(1));
    two.awake = false;
    let dead = two.open();
    two.run();
    two.advance(secs(5));
    two.client.call(dead).unwrap().abort(two.now, AbortReason::Requested);
    two.run();
    assert!(two.suspect);
    assert!(two.closed.contains_key(&dead) && !two.closed.contains_key(&id));
}

#[test]
fn shutdown_lets_calls_end_and_takes_no_more() {
    let mut two = Two::new(FULL);
    let id = two.open();
    two.send(id, "x");
    two.run();
    two.client.shut_down(two.now, secs(10));
    two.run();
    let refused = two.client.open(two.now, call(two.now, &Arc::new(client_config()), FULL, None));
    assert!(refused.is_err());
    two.finish(id);
    two.run();
    assert_eq!(two.verdicts[&id], Ok(()));
    two.advance(secs(2));
    assert!(two.client.is_closed());
}

#[test]
fn a_server_that_shuts_down_ends_within_its_grace() {
    let mut two = Two::new(FULL);
    let id = two.open();
    two.send(id, "x");
    two.run();
    two.server.shut_down(two.now, secs(3));
    two.run();
    two.advance(secs(2));
    assert!(!two.client.is_free(), "the client has heard");
    two.advance(secs(2));
    two.advance(secs(2));
    assert!(two.server.is_closed());
    two.client.handle_eof(two.now);
    two.listen();
    assert_eq!(two.verdicts[&id], Err(Code::Unavailable));
}
