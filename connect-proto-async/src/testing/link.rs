//! One connection: two ends, and what is on its way between them.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::ops::Range;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use connect_proto::Instant;
use tokio::io::ReadBuf;

use super::clock::{Alarm, Clock};
use super::faults::{Fault, Faults, Path, Random, Side};
use super::trace::{Event, Trace};

pub(super) type LinkId = u64;

/// What of the world a link needs.
pub(super) struct Around<'a> {
    pub(super) clock: &'a mut Clock,
    pub(super) random: &'a mut Random,
    pub(super) trace: &'a mut Trace,
    pub(super) woken: &'a mut Vec<Waker>,
}

impl Around<'_> {
    fn note(&mut self, event: Event) {
        self.trace.note(self.clock.now(), event);
    }
}

pub(super) struct Link {
    id: LinkId,
    dialer: End,
    acceptor: End,
    capacity: usize,
    cut: bool,
    delay: Range<Duration>,
}

struct End {
    state: State,
    /// What is on its way here, or is here and unread. It is read in this order: nothing overtakes but a reset.
    inbound: VecDeque<Parcel>,
    /// How many bytes of data there are in `inbound`.
    unread: usize,
    /// How what this end writes fares.
    path: Path,
    written: u64,
    /// The faults that come after so many written bytes, the last one first.
    planned: Vec<(u64, Fault)>,
    reader: Waiting,
    writer: Waiting,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Not accepted yet; otherwise like `Open`.
    Backlog,
    Open,
    /// It has ended its sending side.
    Shut,
    /// It has learned that the connection is lost.
    Reset,
    /// Nobody holds it any more.
    Gone,
}

struct Parcel {
    /// When it arrives; `None` is never.
    at: Option<Instant>,
    item: Item,
}

impl Parcel {
    fn has_arrived(&self, now: Instant) -> bool {
        self.at.is_some_and(|at| at <= now)
    }
}

enum Item {
    Data(Bytes),
    Fin,
    /// The peer is gone with something unread, or was gone when something came. It overtakes what is unread.
    Reset,
}

/// Who waits to read or to write.
#[derive(Default)]
struct Waiting {
    waker: Option<Waker>,
    alarm: Alarm,
}

impl Waiting {
    fn wait(&mut self, until: Option<Instant>, around: &mut Around<'_>, cx: &Context<'_>) {
        if let Some(at) = until {
            around.clock.set(&mut self.alarm, at, cx.waker().clone());
        }
        self.waker = Some(cx.waker().clone());
    }

    fn wake(&mut self, around: &mut Around<'_>) {
        around.woken.extend(self.waker.take());
    }

    fn clear(&mut self, clock: &mut Clock) {
        clock.clear(&mut self.alarm);
        self.waker = None;
    }
}

impl End {
    fn new(state: State) -> Self {
        End {
            state,
            inbound: VecDeque::new(),
            unread: 0,
            path: Path::Open,
            written: 0,
            planned: Vec::new(),
            reader: Waiting::default(),
            writer: Waiting::default(),
        }
    }

    fn plan(&mut self, after: u64, fault: Fault) {
        self.planned.push((self.written.saturating_add(after), fault));
        self.planned.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    }

    fn is_gone(&self) -> bool {
        self.state == State::Gone
    }

    /// Takes note of a reset that has arrived: what is unread is lost.
    fn learn_reset(&mut self, now: Instant) {
        let last = self.inbound.back();
        if last.is_some_and(|last| matches!(last.item, Item::Reset) && last.has_arrived(now)) {
            self.lose();
        }
    }

    fn lose(&mut self) {
        if !self.is_gone() {
            self.state = State::Reset;
        }
        self.inbound.clear();
        self.unread = 0;
    }
}

impl Link {
    pub(super) fn new(id: LinkId, faults: &Faults, random: &mut Random) -> Self {
        let (mut dialer, mut acceptor) = (End::new(State::Open), End::new(State::Backlog));
        for (side, after, fault) in faults.plan(random) {
            let end = if side == Side::Dialer { &mut dialer } else { &mut acceptor };
            end.plan(after, fault);
        }
        let Faults { capacity, cut, delay, .. } = faults;
        Link { id, dialer, acceptor, capacity: *capacity, cut: *cut, delay: delay.clone() }
    }

    /// An end, and its peer.
    fn ends(&mut self, side: Side) -> (&mut End, &mut End) {
        match side {
            Side::Dialer => (&mut self.dialer, &mut self.acceptor),
            Side::Acceptor => (&mut self.acceptor, &mut self.dialer),
        }
    }

    /// How many of the ends somebody holds.
    pub(super) fn held(&self) -> usize {
        let held = |end: &End| !matches!(end.state, State::Backlog | State::Gone);
        usize::from(held(&self.dialer)) + usize::from(held(&self.acceptor))
    }

    pub(super) fn is_over(&self) -> bool {
        self.dialer.is_gone() && self.acceptor.is_gone()
    }

    pub(super) fn written(&self, side: Side) -> u64 {
        match side {
            Side::Dialer => self.dialer.written,
            Side::Acceptor => self.acceptor.written,
        }
    }

    pub(super) fn accept(&mut self, around: &mut Around<'_>) {
        if self.acceptor.state == State::Backlog {
            self.acceptor.state = State::Open;
        }
        around.note(Event::Accepted(self.id));
    }

    pub(super) fn read(
        &mut self,
        side: Side,
        buf: &mut ReadBuf<'_>,
        around: &mut Around<'_>,
        cx: &Context<'_>,
    ) -> Poll<io::Result<()>> {
        let (id, now) = (self.id, around.clock.now());
        let limit = self.cut_short(buf.remaining(), around);
        let stumbles = self.stumbles(around, cx);
        let (end, peer) = self.ends(side);
        end.reader.clear(around.clock);
        end.learn_reset(now);
        if end.state == State::Reset {
            return Poll::Ready(Err(ErrorKind::ConnectionReset.into()));
        }
        if stumbles {
            return Poll::Pending;
        }
        let mut read = 0;
        while let Some(Parcel { item: Item::Data(data), .. }) =
            end.inbound.front_mut().filter(|next| read < limit && next.has_arrived(now))
        {
            let taken = data.split_to(data.len().min(limit - read));
            buf.put_slice(&taken);
            read += taken.len();
            if data.is_empty() {
                end.inbound.pop_front();
            }
        }
        if read > 0 || limit == 0 {
            end.unread -= read;
            peer.writer.wake(around);
            around.note(Event::Read(id, side, read));
            return Poll::Ready(Ok(()));
        }
        match end.inbound.front() {
            Some(next) if next.has_arrived(now) => {
                around.note(Event::ReadEnd(id, side));
                Poll::Ready(Ok(()))
            }
            next => {
                end.reader.wait(next.and_then(|next| next.at), around, cx);
                Poll::Pending
            }
        }
    }

    pub(super) fn write(
        &mut self,
        side: Side,
        slices: &[IoSlice<'_>],
        around: &mut Around<'_>,
        cx: &Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let stumbles = self.stumbles(around, cx);
        let (capacity, now) = (self.capacity, around.clock.now());
        let (end, _) = self.ends(side);
        end.writer.clear(around.clock);
        end.learn_reset(now);
        self.break_down(side, around);
        let (end, peer) = self.ends(side);
        match end.state {
            State::Shut => return Poll::Ready(Err(ErrorKind::BrokenPipe.into())),
            State::Reset => return Poll::Ready(Err(ErrorKind::ConnectionReset.into())),
            State::Backlog | State::Open | State::Gone => {}
        }
        let given: usize = slices.iter().map(|slice| slice.len()).sum();
        if given == 0 {
            return Poll::Ready(Ok(0));
        }
        if stumbles {
            return Poll::Pending;
        }
        let room = capacity.saturating_sub(peer.unread);
        if room == 0 {
            // It is woken by the reader, or by a reset.
            let until =
                end.inbound.back().filter(|last| matches!(last.item, Item::Reset)).and_then(|last| last.at);
            end.writer.wait(until, around, cx);
            return Poll::Pending;
        }
        let until_fault = end.planned.last().map_or(u64::MAX, |(at, _)| at - end.written);
        let most = given.min(room).min(usize::try_from(until_fault).unwrap_or(usize::MAX));
        let data = gather(slices, self.cut_short(most, around));
        let written = data.len();
        around.note(Event::Wrote(self.id, side, written));
        self.ends(side).0.written += written as u64;
        self.post(side, Item::Data(data), around);
        self.break_down(side, around);
        Poll::Ready(Ok(written))
    }

    /// Ends the sending side of an end.
    pub(super) fn shut(&mut self, side: Side, around: &mut Around<'_>) -> io::Result<()> {
        let now = around.clock.now();
        let (end, _) = self.ends(side);
        end.learn_reset(now);
        match end.state {
            State::Reset => return Err(ErrorKind::NotConnected.into()),
            State::Shut | State::Gone => {}
            State::Backlog | State::Open => {
                end.state = State::Shut;
                around.note(Event::Shut(self.id, side));
                self.post(side, Item::Fin, around);
            }
        }
        Ok(())
    }

    /// An end is dropped: the peer reads the end of the stream, or a reset if there was something unread.
    pub(super) fn drop_end(&mut self, side: Side, around: &mut Around<'_>) {
        let now = around.clock.now();
        around.note(Event::Dropped(self.id, side));
        let (end, _) = self.ends(side);
        end.learn_reset(now);
        end.reader.clear(around.clock);
        end.writer.clear(around.clock);
        let state = std::mem::replace(&mut end.state, State::Gone);
        let unread = end.inbound.iter().any(|next| matches!(next.item, Item::Data(_)) && next.at.is_some());
        match state {
            State::Reset | State::Gone => {}
            _ if unread => self.post(side, Item::Reset, around),
            State::Shut => {}
            State::Backlog | State::Open => self.post(side, Item::Fin, around),
        }
    }

    /// Lets a fault of what an end writes come, now or after some more bytes.
    pub(super) fn inject(&mut self, side: Side, after: u64, fault: Fault, around: &mut Around<'_>) {
        self.ends(side).0.plan(after, fault);
        if after == 0 {
            self.break_down(side, around);
        }
    }

    /// Lets the faults come that are due.
    fn break_down(&mut self, side: Side, around: &mut Around<'_>) {
        let now = around.clock.now();
        loop {
            let (end, peer) = self.ends(side);
            let written = end.written;
            let Some((_, fault)) = end.planned.pop_if(|(at, _)| *at <= written) else { return };
            match (fault, end.path) {
                (Fault::Reset, _) => {
                    for end in [end, peer] {
                        end.lose();
                        end.reader.wake(around);
                        end.writer.wake(around);
                    }
                }
                (_, Path::BlackHole | Path::HalfClosed) => continue,
                (Fault::Stall(time), _) => end.path = Path::Stalled(now.saturating_add(time)),
                (Fault::BlackHole, _) => end.path = Path::BlackHole,
                (Fault::HalfClose, _) => {
                    self.post(side, Item::Fin, around);
                    self.ends(side).0.path = Path::HalfClosed;
                }
            }
            around.note(Event::Fault(self.id, side, fault));
        }
    }

    /// Sends something on its way from an end to its peer.
    fn post(&mut self, from: Side, item: Item, around: &mut Around<'_>) {
        let earliest = around.clock.now().saturating_add(around.random.within(&self.delay));
        let id = self.id;
        let (end, peer) = self.ends(from);
        let at = match end.path {
            Path::Open => Some(earliest),
            Path::Stalled(until) => Some(earliest.max(until)),
            Path::BlackHole => None,
            Path::HalfClosed => return,
        };
        let arrives = at.is_some();
        match &item {
            Item::Data(data) => peer.unread += data.len(),
            Item::Fin => {}
            Item::Reset => {
                peer.writer.wake(around);
                around.note(Event::Reset(id, from));
            }
        }
        let answered = peer.is_gone() && arrives && matches!(item, Item::Data(_));
        peer.inbound.push_back(Parcel { at, item });
        peer.reader.wake(around);
        if answered {
            // Nobody is there to read it.
            self.post(from.peer(), Item::Reset, around);
        }
    }

    /// Whether an operation is not ready at first, though it could be.
    fn stumbles(&self, around: &mut Around<'_>, cx: &Context<'_>) -> bool {
        let stumbles = self.cut && around.random.below(8) == 0;
        if stumbles {
            around.woken.push(cx.waker().clone());
        }
        stumbles
    }

    /// How many bytes of `most` an operation takes.
    fn cut_short(&self, most: usize, around: &mut Around<'_>) -> usize {
        if self.cut && most > 1 && around.random.below(2) == 0 { 1 + around.random.below(most) } else { most }
    }
}

/// The first bytes of some slices, in one piece.
fn gather(slices: &[IoSlice<'_>], len: usize) -> Bytes {
    let mut gathered = Vec::with_capacity(len);
    for slice in slices {
        let left = len - gathered.len();
        gathered.extend_from_slice(slice.get(..left).unwrap_or(slice));
    }
    gathered.into()
}
