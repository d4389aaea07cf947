//! Many calls on one connection over HTTP/2.

mod calls;
mod crowd;
mod ending;
mod phases;
mod properties;
mod raw;

use std::collections::HashMap;
use std::io::IoSlice;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::Instant;
use crate::call::{Duplex, Event, Kind, SendError};
use crate::connection::Protocol;
use crate::connection::{
    CallClosed, CallId, ClientConnection, Connection, ConnectionConfig, Fate, Notice, Role, ServerConnection,
};
use crate::error::{AbortReason, CloseReason, Code, LostKind};
use crate::http2::Limits;
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
    /// Calls that the server has started.
    serving: Vec<CallId>,
    /// A call of which the client does not look at the messages.
    deaf: Option<CallId>,
    /// The limits of both sides' calls.
    limits: crate::call::Limits,
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

fn over_http2(limits: Limits) -> ConnectionConfig {
    ConnectionConfig { http2: limits, ..ConnectionConfig::default() }
}

/// Bytes that no compression makes fewer.
fn noise(len: usize) -> Bytes {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..len).map(step).collect()
}

/// The flow control of a connection: every byte of every window is somewhere.
fn assert_conserved<R: Role>(connection: &Connection<R>) {
    if let Protocol::Http2(multiplex) = &connection.protocol {
        multiplex.engine.check_conservation();
    }
}

impl Two {
    fn new(kind: Kind) -> Self {
        Two::with(kind, Limits::default(), Limits::default())
    }

    fn with(kind: Kind, client: Limits, server: Limits) -> Self {
        Two {
            now: Instant::ORIGIN,
            client: ClientConnection::http2(Instant::ORIGIN, &over_http2(client)),
            server: ServerConnection::new(Instant::ORIGIN, &over_http2(server)),
            buffers: Default::default(),
            kind,
            awake: true,
            messages: HashMap::new(),
            verdicts: HashMap::new(),
            closed: HashMap::new(),
            served: HashMap::new(),
            suspect: false,
            serving: Vec::new(),
            deaf: None,
            limits: crate::call::Limits::default(),
        }
    }

    fn open(&mut self) -> CallId {
        self.open_for(None)
    }

    fn open_for(&mut self, timeout: Option<std::time::Duration>) -> CallId {
        let mut config = client_config();
        config.limits = self.limits.clone();
        let call = call(self.now, &Arc::new(config), self.kind, timeout);
        self.client.open(self.now, call).unwrap()
    }

    fn send(&mut self, id: CallId, text: impl AsRef<[u8]>) {
        let mut call = self.client.call(id).unwrap();
        call.send(self.now, Outbound::encode(&call.encoding(), Bytes::copy_from_slice(text.as_ref())))
            .unwrap();
    }

    fn finish(&mut self, id: CallId) {
        self.client.call(id).unwrap().finish(self.now).unwrap();
    }

    fn serve(&mut self) {
        while let Some(notice) = self.server.poll_ready() {
            match notice {
                Notice::Incoming(id) => {
                    let config = ServerConfig { limits: self.limits.clone(), ..ServerConfig::default() };
                    assert!(self.server.start(self.now, id, &Arc::new(config), &method(self.kind)));
                    self.serving.push(id);
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
                Notice::Readable(id) if self.deaf == Some(id) => {}
                Notice::Readable(id) => self.hear(id),
                Notice::Closed(id, closed) => drop(self.closed.insert(id, closed)),
                Notice::Suspect => self.suspect = true,
                Notice::Incoming(_) | Notice::Ended(_) => {}
            }
        }
    }

    /// The client looks at the events of a call.
    fn hear(&mut self, id: CallId) {
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

    fn run(&mut self) {
        while self.exchange() {
            self.listen();
        }
        self.listen();
    }

    /// The same with a client that looks away.
    fn run_without_listening(&mut self) {
        while self.exchange() {}
    }

    fn exchange(&mut self) -> bool {
        let mut moved = pump(self.now, &mut self.client, &mut self.server, &mut self.buffers[0]);
        if self.awake {
            self.serve();
            moved |= pump(self.now, &mut self.server, &mut self.client, &mut self.buffers[1]);
        }
        moved
    }

    fn advance(&mut self, by: std::time::Duration) {
        self.now = self.now.saturating_add(by);
        self.client.handle_timeout(self.now);
        self.server.handle_timeout(self.now);
        self.run();
        assert_conserved(&self.client);
        assert_conserved(&self.server);
    }
}
