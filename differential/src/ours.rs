//! Our side: the engine, and an application on it.

use std::cell::RefCell;
use std::io::IoSlice;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use connect_proto::Instant;
use connect_proto::call::{BodySize, Chunk, Processed};
use connect_proto::error::ResetCode;
use connect_proto::http2::{Engine, Event, Limits, Rate, Shutdown, StreamKey};

use crate::link::Link;
use crate::log::{End, World};
use crate::part::{Opened, Part};
use crate::plan::{Message, Plan, SERVER, bytes};

/// What h2's settings, which come first, take at most.
const GREETING: usize = 9 + 8 * 6;

/// One stream, as the application sees it.
#[derive(Debug)]
struct Stream {
    key: StreamKey,
    call: usize,
    wants: bool,
    /// Whether its end comes later: in a frame of its own if all before is written by then.
    rests: bool,
    head_sent: bool,
    sent: usize,
    send_over: bool,
    /// Whether all of it is written, or never will be.
    is_written: bool,
    recv_over: bool,
    held: usize,
}

/// The engine and its application.
pub(crate) struct Ours<R: Part> {
    pub(crate) engine: Engine<R>,
    pub(crate) now: Instant,
    buf: BytesMut,
    plan: Rc<Plan>,
    world: Rc<RefCell<World>>,
    link: Rc<RefCell<Link>>,
    streams: Vec<Stream>,
    /// Client: the calls that are not opened yet.
    waiting: Vec<usize>,
    is_told: bool,
    /// Bytes of h2's that the engine took.
    heard: usize,
}

impl<R: Part> Ours<R> {
    pub(crate) fn new(world: &Rc<RefCell<World>>, link: &Rc<RefCell<Link>>) -> Self {
        let now = Instant::from_nanos(1_000_000_000);
        let plan = world.borrow().plan.clone();
        let (limits, waiting) = {
            let mut limits = Limits::default();
            // Hardly any time passes here, and windows may be tiny: rates say nothing. They have tests of their own.
            limits.guards.empty_frames = Rate::new(u32::MAX, 0);
            let settings = &plan.settings[R::SIDE];
            limits.initial_stream_window = settings.stream_window;
            limits.client_connection_window = settings.connection_window;
            limits.server_connection_window = settings.connection_window;
            limits.max_frame_size = settings.max_frame;
            limits.header_table = settings.table;
            limits.encoder_table = plan.settings[1 - R::SIDE].table;
            limits.max_concurrent_streams = settings.max_streams;
            limits.max_output = plan.max_output;
            limits.idle_timeout = None;
            let calls = if R::SIDE == SERVER { 0 } else { plan.calls.len() };
            (limits, (0..calls).collect())
        };
        Ours {
            engine: Engine::new(now, Arc::new(limits)),
            now,
            buf: BytesMut::new(),
            plan,
            world: world.clone(),
            link: link.clone(),
            streams: Vec::new(),
            waiting,
            is_told: false,
            heard: 0,
        }
    }

    fn one_in(&self, n: usize) -> bool {
        self.world.borrow_mut().draw.one_in(n)
    }

    pub(crate) fn read(&mut self, most: usize) {
        let mut link = self.link.borrow_mut();
        if self.engine.is_closed() || self.is_told {
            return;
        }
        if !self.engine.wants_read() {
            return;
        }
        let n = most.min(link.to_ours.len());
        let before = self.buf.len();
        self.buf.reserve(n);
        let (front, back) = link.to_ours.as_slices();
        let first = n.min(front.len());
        self.buf.extend_from_slice(&front[..first]);
        self.buf.extend_from_slice(&back[..n - first]);
        link.to_ours.drain(..n);
        link.moved += n;
        if !self.buf.is_empty() {
            self.engine.handle_read(self.now, &mut self.buf);
            let taken = before + n - self.buf.len();
            link.moved += taken;
            self.heard += taken;
        }
        assert!(self.buf.len() < (100_000 + 9) + n, "what is left is a part of a frame");
        if link.is_cut || (link.theirs_ended && link.to_ours.is_empty()) {
            self.engine.handle_eof(self.now);
            self.is_told = true;
            link.moved += 1;
        }
    }

    pub(crate) fn write(&mut self, most: usize) {
        let mut link = self.link.borrow_mut();
        let mut slices = [IoSlice::new(&[]); 16];
        let filled = self.engine.output(&mut slices);
        let mut left = most.min(link.room_to_theirs());
        let mut n = 0;
        for slice in &slices[..filled] {
            let part = &slice[..left.min(slice.len())];
            link.ours_wrote(part);
            (left, n) = (left - part.len(), n + part.len());
        }
        if n > 0 {
            link.moved += n;
            if link.is_cut {
                let kind = connect_proto::error::LostKind::Failed;
                self.engine.handle_write_failed(self.now, kind);
            } else {
                self.engine.handle_written(self.now, n);
            }
        }
        match self.engine.poll_shutdown() {
            Some(Shutdown::Write) => link.ours_ended = true,
            Some(Shutdown::Close) => {
                link.ours_ended = true;
                self.is_told = true;
            }
            None => {}
        }
    }

    /// The application's turn. `eager`: nothing is put off.
    pub(crate) fn act(&mut self, eager: bool) {
        while let Some((key, event)) = self.engine.poll_event() {
            self.event(key, event);
        }
        self.open(eager);
        for at in 0..self.streams.len() {
            let (key, held) = (self.streams[at].key, self.streams[at].held);
            // Some keep what they have got until nothing else moves.
            let is_slow = (self.streams[at].call + self.plan.calls.len()).is_multiple_of(4);
            if held > 0 && (eager || (!is_slow && self.one_in(4))) {
                self.streams[at].held = 0;
                self.world.borrow_mut().moved += 1;
                self.engine.add_credit(self.now, key, held);
            }
            let asks = !self.streams[at].wants || self.streams[at].rests;
            if asks && self.may_begin(at) && (eager || self.one_in(3)) {
                (self.streams[at].wants, self.streams[at].rests) = (true, false);
                self.world.borrow_mut().moved += 1;
                self.engine.want_write(key);
            }
        }
        let mut turns = 0;
        while turns < 100
            && let Some((key, max)) = self.engine.poll_writable()
        {
            turns += 1;
            self.turn(key, max);
        }
        for at in (0..self.streams.len()).rev() {
            let stream = &self.streams[at];
            // Released with something left to write, it would be reset.
            if stream.recv_over && stream.is_written && (eager || self.one_in(3)) {
                let stream = self.streams.swap_remove(at);
                self.world.borrow_mut().moved += 1;
                self.engine.release(self.now, stream.key);
            }
        }
    }

    fn open(&mut self, eager: bool) {
        while !self.waiting.is_empty() && (eager || self.one_in(2)) {
            let at = self.world.borrow_mut().draw.below(self.waiting.len());
            match R::open(&mut self.engine, self.now) {
                Opened::Stream(key) => {
                    let most = self.plan.settings[1 - R::SIDE].max_streams as usize;
                    let is_greeted = self.heard >= GREETING;
                    assert!(!is_greeted || self.active() < most, "more streams than h2 takes");
                    let call = self.waiting.swap_remove(at);
                    self.add(key, call);
                }
                Opened::Busy => return,
                Opened::Never => {
                    for call in self.waiting.drain(..) {
                        let mut world = self.world.borrow_mut();
                        world.see_end(R::SIDE, call, End::Unopened);
                        world.has_sent(R::SIDE, call);
                    }
                }
            }
        }
    }

    fn add(&mut self, key: StreamKey, call: usize) {
        self.world.borrow_mut().moved += 1;
        self.streams.push(Stream {
            key,
            call,
            wants: false,
            rests: false,
            head_sent: false,
            sent: 0,
            send_over: false,
            is_written: false,
            recv_over: false,
            held: 0,
        });
    }

    /// Streams on which something is to come from either side.
    fn active(&self) -> usize {
        self.streams.iter().filter(|stream| !(stream.recv_over && stream.send_over)).count()
    }

    /// Whether a stream may send its head, which it has not asked for.
    fn may_begin(&self, at: usize) -> bool {
        let stream = &self.streams[at];
        let is_half_duplex = self.plan.calls[stream.call].is_half_duplex;
        !stream.send_over && (R::SIDE != SERVER || !is_half_duplex || stream.recv_over)
    }

    fn position(&self, key: StreamKey) -> Option<usize> {
        self.streams.iter().position(|stream| stream.key == key)
    }

    fn event(&mut self, key: StreamKey, event: Event<R::In>) {
        if let Event::Head { parts, body } = event {
            let (line, fields, call) = R::read(*parts);
            if let Some(call) = call {
                self.add(key, call);
            }
            let at = self.position(key).expect("a stream");
            let announced = fields.get("content-length").map(|len| len.to_str().expect("digits").to_owned());
            match body {
                BodySize::Exact(len) => assert_eq!(announced, Some(len.to_string())),
                BodySize::Unknown => assert_eq!(announced, None),
                BodySize::Empty => {}
            }
            let call = self.streams[at].call;
            self.world.borrow_mut().see_head(R::SIDE, call, line, fields);
            if R::SIDE == SERVER && self.plan.calls[call].is_early {
                self.streams[at].recv_over = true;
                self.world.borrow_mut().see_end(R::SIDE, call, End::GivenUp);
            }
            return;
        }
        let at = self.position(key).expect("a stream");
        let call = self.streams[at].call;
        let is_early = R::SIDE == SERVER && self.plan.calls[call].is_early;
        let end = match event {
            Event::Data(data) => {
                assert!(!data.is_empty(), "empty data");
                if !is_early {
                    self.streams[at].held += data.len();
                    self.world.borrow_mut().see_data(R::SIDE, call, &data);
                }
                return;
            }
            Event::End(_) if is_early => return,
            Event::End(trailers) => {
                self.streams[at].recv_over = true;
                let trailers = trailers.map(|trailers| *trailers).unwrap_or_default();
                return self.world.borrow_mut().see_end(R::SIDE, call, End::Complete(trailers));
            }
            Event::EndSent => {
                self.streams[at].is_written = true;
                return;
            }
            Event::Misbehaved(fault) => End::Wrong(fault.to_string()),
            Event::Reset { code, processed } => {
                if code == ResetCode(7) && processed == Processed::No {
                    End::Refused
                } else {
                    End::Reset(code.0)
                }
            }
            Event::Lost { .. } => match self.engine.fault() {
                Some(fault) => End::Wrong(fault.to_string()),
                None => End::Lost,
            },
            other => End::Wrong(format!("{other:?}")),
        };
        self.streams[at].recv_over = true;
        self.streams[at].is_written = true;
        self.world.borrow_mut().see_end(R::SIDE, call, end);
        self.sent_all(at);
    }

    fn sent_all(&mut self, at: usize) {
        self.streams[at].send_over = true;
        let call = self.streams[at].call;
        self.world.borrow_mut().has_sent(R::SIDE, call);
    }

    fn turn(&mut self, key: StreamKey, max: usize) {
        self.world.borrow_mut().moved += 1;
        let Some(at) = self.position(key) else { panic!("a turn for a stream that is released") };
        let is_first = !self.streams[at].head_sent;
        let call = self.streams[at].call;
        let plan = self.plan.clone();
        assert!(self.streams[at].wants, "a turn that nobody asked for");
        if self.streams[at].send_over || self.streams[at].rests {
            return;
        }
        let plan = &plan.calls[call];
        let message = plan.message(R::SIDE);
        if !self.streams[at].head_sent {
            self.streams[at].head_sent = true;
            let size = match message {
                Message { at_head: true, .. } => BodySize::Empty,
                Message { is_announced: true, len, .. } => BodySize::Exact(*len as u64),
                _ => BodySize::Unknown,
            };
            self.engine.send_head(self.now, key, &R::head(plan, call), size);
            if message.at_head {
                return self.sent_all(at);
            }
        }
        let until = message.reset.map_or(message.len, |(until, _)| until);
        let sent = self.streams[at].sent;
        let how = sent.wrapping_mul(31).wrapping_add(call + max) % 7;
        let piece = match how {
            0 => max.min(100),
            // More than its turn: the engine keeps it.
            1 if message.len.is_multiple_of(3) => max.saturating_mul(2),
            _ => max,
        };
        let n = piece.min(until - sent);
        if n > 0 {
            let data = bytes(call, R::SIDE, sent, n);
            let chunk = match data.first_chunk::<5>() {
                Some(prefix) if how == 2 => Chunk::with_prefix(*prefix, data.slice(5..)),
                _ => Chunk::from(data),
            };
            self.engine.send_data(self.now, key, chunk);
            self.streams[at].sent += n;
        }
        if sent + n < until {
            if max > 0 {
                self.engine.want_write(key);
            }
        } else if how == 3 && (is_first || n > 0) {
            self.streams[at].rests = true;
        } else if let Some((_, code)) = message.reset {
            self.engine.reset(self.now, key, ResetCode(code));
            self.streams[at].recv_over = true;
            self.streams[at].is_written = true;
            self.streams[at].held = 0;
            self.world.borrow_mut().see_end(R::SIDE, call, End::GivenUp);
            self.sent_all(at);
        } else {
            self.engine.send_end(self.now, key, message.trailers.clone());
            if R::SIDE == SERVER && plan.is_early && call.is_multiple_of(2) {
                self.engine.stop_receiving(self.now, key);
            }
            self.sent_all(at);
        }
    }

    pub(crate) fn shut_down(&mut self) {
        self.engine.shut_down(self.now, Duration::from_secs(3600));
    }

    pub(crate) fn wait(&mut self, by: Duration) {
        self.now = self.now.saturating_add(by);
        self.engine.handle_timeout(self.now);
    }
}
