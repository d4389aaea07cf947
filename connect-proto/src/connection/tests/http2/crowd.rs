//! Many calls at once, and what one of them can do to the others.

use super::raw::{DATA, Raw, frame, request_head, response_head};
use super::*;
use crate::call::SendError;
use crate::wire::envelope::Flags;

/// A number from the environment, for the full size of a test.
fn from_environment(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }
}

/// The most memory this process has ever held, in KiB. It is Linux that tells; elsewhere it is 0.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.strip_suffix("kB")?.trim().parse().ok())
        .unwrap_or(0)
}

/// One side of a call: it looks at its messages only when it has none of its own that waits to be sent.
#[derive(Default)]
struct Side {
    told: bool,
    waits: Option<Outbound>,
    /// Client: messages to send.
    left: usize,
    finishes: bool,
    finished: bool,
    received: usize,
}

/// A full-duplex call of `messages` in each direction, many times, each side pausing at random.
struct Crowd {
    two: Two,
    random: Random,
    clients: HashMap<CallId, Side>,
    servers: HashMap<CallId, Side>,
    messages: usize,
    received: usize,
    moved: bool,
}

impl Crowd {
    fn new(calls: usize, messages: usize) -> Self {
        let limits = Limits {
            max_concurrent_streams: calls as u32,
            max_unreleased_streams: 2 * calls,
            ..Limits::default()
        };
        let mut two = Two::with(FULL, limits.clone(), limits);
        two.run();
        let clients = (0..calls)
            .map(|_| (two.open(), Side { left: messages, told: true, ..Side::default() }))
            .collect();
        let servers = HashMap::new();
        Crowd { two, random: Random(0x9e37_79b9), clients, servers, messages, received: 0, moved: false }
    }

    fn text(random: &mut Random) -> Bytes {
        let len = if random.below(500) == 0 { 20_000 } else { random.below(60) };
        noise(len)
    }

    fn client_turn(&mut self, id: CallId) {
        let side = self.clients.get_mut(&id).unwrap();
        let Some(mut call) = self.two.client.call(id) else { return };
        for _ in 0..20 {
            let encoding = call.encoding();
            let Some(message) = side.waits.take().or_else(|| {
                side.left = side.left.checked_sub(1)?;
                Some(Outbound::encode(&encoding, Crowd::text(&mut self.random)))
            }) else {
                break;
            };
            match call.send(self.two.now, message) {
                Ok(()) => self.moved = true,
                Err(SendError::Full(message)) => {
                    side.waits = Some(message);
                    break;
                }
                Err(other) => panic!("{other:?}"),
            }
        }
        if side.left == 0 && side.waits.is_none() && !side.finished {
            side.finished = true;
            call.finish(self.two.now).unwrap();
        }
        while side.told {
            match call.poll_event(self.two.now) {
                Some(Event::Message(_)) => side.received += 1,
                Some(Event::Finished(verdict)) => {
                    verdict.unwrap();
                    assert_eq!(side.received, self.messages);
                    self.received += side.received;
                }
                Some(_) => {}
                None => side.told = false,
            }
            self.moved = true;
        }
    }

    fn server_turn(&mut self, id: CallId) {
        let side = self.servers.get_mut(&id).unwrap();
        let Some(mut call) = self.two.server.call(id) else { return };
        loop {
            if let Some(message) = side.waits.take() {
                match call.send(self.two.now, message) {
                    Ok(()) => self.moved = true,
                    Err(SendError::Full(message)) => {
                        side.waits = Some(message);
                        return;
                    }
                    Err(other) => panic!("{other:?}"),
                }
            }
            if !side.told {
                break;
            }
            self.moved = true;
            match call.poll_event(self.two.now) {
                Some(Event::Message(message)) => {
                    side.waits = Some(Outbound::encode(&call.encoding(), message.decode().unwrap()));
                }
                Some(Event::PeerHalfClosed) => side.finishes = true,
                Some(_) => {}
                None => side.told = false,
            }
        }
        if side.finishes && !side.finished {
            side.finished = true;
            call.finish(self.two.now, Metadata::new(), Ok(())).unwrap();
        }
    }

    fn notices(&mut self) {
        while let Some(notice) = self.two.client.poll_ready() {
            self.moved = true;
            match notice {
                Notice::Readable(id) => self.clients.get_mut(&id).unwrap().told = true,
                Notice::Closed(id, closed) => {
                    assert_eq!(closed.reason, CloseReason::Complete);
                    self.clients.remove(&id);
                }
                other => panic!("{other:?}"),
            }
        }
        while let Some(notice) = self.two.server.poll_ready() {
            self.moved = true;
            match notice {
                Notice::Incoming(id) => {
                    let config = Arc::new(ServerConfig::default());
                    assert!(self.two.server.start(self.two.now, id, &config, &method(FULL)));
                    self.servers.insert(id, Side::default());
                }
                Notice::Readable(id) => self.servers.get_mut(&id).unwrap().told = true,
                Notice::Closed(id, _) => drop(self.servers.remove(&id)),
                other => panic!("{other:?}"),
            }
        }
    }

    fn run(&mut self) {
        let mut idle = 0;
        while !(self.clients.is_empty() && self.servers.is_empty()) {
            self.moved = false;
            let pause = self.random.below(4);
            let clients: Vec<CallId> = self.clients.keys().copied().collect();
            for id in clients {
                if self.random.below(4) >= pause {
                    self.client_turn(id);
                }
            }
            let servers: Vec<CallId> = self.servers.keys().copied().collect();
            for id in servers {
                if self.random.below(4) >= pause {
                    self.server_turn(id);
                }
            }
            for _ in 0..self.random.below(8) {
                let Two { now, client, server, buffers, .. } = &mut self.two;
                self.moved |= pump(*now, client, server, &mut buffers[0]);
            }
            for _ in 0..self.random.below(8) {
                let Two { now, client, server, buffers, .. } = &mut self.two;
                self.moved |= pump(*now, server, client, &mut buffers[1]);
            }
            self.notices();
            assert_conserved(&self.two.client);
            assert_conserved(&self.two.server);
            idle = if self.moved { 0 } else { idle + 1 };
            assert!(idle < 1000, "{} calls are stuck", self.clients.len());
        }
    }
}

/// `CROWD_CALLS=1000 CROWD_MESSAGES=1000` is its full size.
#[test]
fn many_duplex_calls_on_one_connection_never_stall() {
    let calls = from_environment("CROWD_CALLS", 100);
    let messages = from_environment("CROWD_MESSAGES", 50);
    let before = peak();
    let mut crowd = Crowd::new(calls, messages);
    crowd.run();
    assert_eq!(crowd.received, calls * messages);
    assert!(crowd.two.client.is_free());
    println!(
        "{calls} calls at once, {messages} messages each and as many back: peak memory {} KiB more than {before} KiB",
        peak().saturating_sub(before)
    );
}

/// Aborted by either side, with messages under way in both directions. The client's go at the rate that a server
/// allows; a server's own have none.
#[test]
fn thousands_of_aborted_calls_leave_the_connection_alone() {
    for by_client in [true, false] {
        let mut two = Two::new(FULL);
        let witness = two.open();
        two.send(witness, "before");
        two.run();
        for n in 0..5000 {
            let id = two.open();
            two.send(id, noise(1000));
            two.run();
            assert_eq!(two.messages[&id].len(), 1);
            two.send(id, noise(1000));
            // The message, and then its echo, is on its way when the call is given up.
            pump(two.now, &mut two.client, &mut two.server, &mut two.buffers[0]);
            if by_client {
                two.serve();
                let mut slices = [IoSlice::new(&[]); 16];
                let filled = two.server.output(two.now, &mut slices);
                let bytes: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect();
                assert!(bytes.len() > 1000, "call {n}: {}", bytes.len());
                two.server.handle_written(two.now, bytes.len());
                two.buffers[1].extend_from_slice(&bytes);
                two.client.call(id).unwrap().abort(two.now, AbortReason::Requested);
                two.client.handle_read(two.now, &mut two.buffers[1]);
            } else {
                let Some(Notice::Readable(served)) = two.server.poll_ready() else { panic!("{n}") };
                two.send(id, noise(1000));
                two.server.call(served).unwrap().abort(two.now, AbortReason::Requested);
            }
            two.run();
            assert!(two.closed.contains_key(&id), "call {n}");
            two.now = two.now.saturating_add(millis(10));
        }
        assert_conserved(&two.client);
        assert_conserved(&two.server);
        two.send(witness, noise(3 << 20));
        two.finish(witness);
        two.run();
        assert_eq!(two.verdicts[&witness], Ok(()));
        assert_eq!((two.closed.len(), two.served.len()), (5001, 5001));
        let counters = two.server.http2_counters().unwrap();
        assert_eq!(if by_client { counters.resets } else { counters.own_resets }, 5000);
    }
}

/// A client that never looks at the messages of one call, of which the server sends what it can.
#[test]
fn a_reader_that_never_reads_stops_no_other_stream() {
    let mut two = Two::new(FULL);
    let (deaf, other) = (two.open(), two.open());
    two.send(deaf, "x");
    two.run();
    let served = *two.serving.first().unwrap();
    for n in 0..1000 {
        let mut call = two.server.call(served).unwrap();
        let message = Outbound::encode(&call.encoding(), noise(60_000));
        let full = call.send(two.now, message).is_err();
        two.deaf = Some(deaf);
        two.run();
        if full {
            assert!(n > 3, "as much as its window");
            break;
        }
        assert!(n < 100, "no more than its window and its queue {:?}", two.messages.get(&deaf).map(Vec::len));
    }
    for _ in 0..50 {
        let text = noise(100_000);
        two.send(other, &text);
        two.run();
        assert_eq!(two.messages.get_mut(&other).unwrap().pop().unwrap(), text);
    }
    two.finish(other);
    two.run();
    assert_eq!(two.verdicts[&other], Ok(()));
    assert!(!two.closed.contains_key(&deaf));
    // It reads after all, and gets all.
    two.deaf = None;
    two.finish(deaf);
    two.hear(deaf);
    two.run();
    assert_eq!(two.closed[&deaf].reason, CloseReason::Complete);
}

/// Streams of which nobody reads anything: their messages use the connection's window.
fn unread(streams: u32) -> Vec<u8> {
    let message = crate::testing::peer::envelope(Flags::NONE, &[b'x'; (256 << 10) - 5]);
    let data = |id| message.chunks(16 << 10).flat_map(move |part| frame(DATA, 0, id, part));
    (0..streams).flat_map(|n| data(2 * n + 1)).collect()
}

#[test]
fn sixty_unread_streams_of_a_client_stop_no_other() {
    let mut raw = Raw::client(Limits::default(), &[]);
    let ids: Vec<CallId> = (0..61).map(|_| raw.open(None)).collect();
    raw.run();
    raw.listens = false;
    raw.feed(&[(0..61).flat_map(|n| response_head(2 * n + 1)).collect(), unread(60)].concat());
    for _ in 0..1000 {
        raw.feed(&frame(DATA, 0, 121, &[&[0, 0, 0, 0x3f, 0xfb][..], &[b'x'; 0x3ffb]].concat()));
        raw.look(ids[60]);
    }
    assert_eq!(raw.notices, []);
    assert_eq!(raw.events.len(), 1001, "the head and all messages");
}

#[test]
fn fifteen_unread_streams_of_a_server_stop_no_other() {
    let mut raw = Raw::server(Limits::default());
    let ids: Vec<CallId> = (0..16).map(|n| raw.arrive(&request_head(2 * n + 1))).collect();
    raw.listens = false;
    raw.feed(&unread(15));
    for _ in 0..1000 {
        raw.feed(&frame(DATA, 0, 31, &[&[0, 0, 0, 0x3f, 0xfb][..], &[b'x'; 0x3ffb]].concat()));
        raw.look(ids[15]);
    }
    assert_eq!(raw.notices, []);
    assert_eq!(raw.events.len(), 1000);
}

#[test]
fn a_message_of_5_mib_passes_a_window_of_64_kib() {
    let limits = Limits {
        initial_stream_window: 64 << 10,
        client_connection_window: 64 << 10,
        server_connection_window: 64 << 10,
        ..Limits::default()
    };
    let mut two = Two::with(FULL, limits.clone(), limits);
    two.limits.message = Some(6 << 20);
    two.limits.compressed_message = Some(6 << 20);
    let id = two.open();
    let text = noise(5 << 20);
    two.send(id, &text);
    two.finish(id);
    two.run();
    assert_eq!(two.messages[&id], [text]);
    assert_eq!(two.closed[&id].reason, CloseReason::Complete);
    assert_conserved(&two.client);
    assert_conserved(&two.server);
}
