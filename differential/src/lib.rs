//! connect-proto's HTTP/2 against the h2 crate, in memory: our client with h2's server, and h2's client with ours.
//!
//! [`run`] draws from its input what is to happen: calls of all shapes, many at once, with heads, bodies and trailers
//! of all sizes, resets from either side and answers that do not wait for the request; windows, tables and frame sizes;
//! shutdowns and cut connections; what is done to h2's frames on their way, so that they come with padding, priorities and
//! in pieces, which h2 itself never sends; and how the bytes are cut and whose turn it is. h2's futures are polled by
//! hand, so that the same input does the same.
//!
//! What must come of it: both sides have seen the same calls, heads, bodies, trailers and ends; what was reset or cut
//! off does not look complete; all ends without a stall, and the connection without a fault.

mod draw;
mod dress;
mod judge;
mod link;
mod log;
mod ours;
mod part;
mod plan;
mod theirs;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use connect_proto::http2::{ClientRole, ServerRole};

use crate::dress::Dress;
use crate::link::Link;
use crate::log::World;
use crate::ours::Ours;
use crate::part::Part;
use crate::plan::{CLIENT, Ending, SERVER};
use crate::theirs::{Probe, Theirs};

/// Turns that each of four actors may have had without anything coming of it.
const PATIENCE: usize = 6;
/// A run that takes more turns than this does not end.
const MAX_STEPS: usize = 3_000_000;
/// Changes of h2's windows in a run.
const REWINDOWS: usize = 30;
/// What may be waited for: the notice of a shutdown, and the last bytes of a peer.
const SHORT: Duration = Duration::from_secs(2);

/// What a run was.
#[derive(Clone, Copy, Default, Debug)]
pub struct Report {
    /// Calls that were planned.
    pub calls: usize,
    /// Calls that both sides saw complete, in both directions.
    pub complete: usize,
    /// Turns it took.
    pub steps: usize,
    /// Bytes read and written.
    pub bytes: usize,
}

/// Runs what the input decides.
///
/// # Panics
/// If the two sides do not agree, or something stalls.
pub fn run(input: &[u8]) -> Report {
    let world = World::new(input);
    if world.plan.ours == CLIENT {
        Run::<ClientRole>::new(world).run()
    } else {
        Run::<ServerRole>::new(world).run()
    }
}

struct Run<R: Part> {
    world: Rc<RefCell<World>>,
    link: Rc<RefCell<Link>>,
    ours: Ours<R>,
    theirs: Theirs,
    steps: usize,
    /// Changes of windows that are left: too many are a flood.
    rewindows: usize,
    /// Pings of h2's that are left.
    pings: usize,
    /// How often growing windows had to help.
    stalls: usize,
}

impl<R: Part> Run<R> {
    fn new(world: World) -> Self {
        let plan = &world.plan;
        let window = plan.settings[plan.ours].stream_window;
        let dress = plan.dress.map(|seed| Dress::new(seed, plan.ours == CLIENT, window));
        let link = Link { capacity: plan.capacity, dress, ..Link::default() };
        let (world, link) = (Rc::new(RefCell::new(world)), Rc::new(RefCell::new(link)));
        let (ours, theirs) = (Ours::new(&world, &link), Theirs::new(&world, &link));
        Run { world, link, ours, theirs, steps: 0, rewindows: REWINDOWS, pings: 100, stalls: 0 }
    }

    fn run(mut self) -> Report {
        let mut idle = 0;
        while !self.is_done() {
            let before = self.moved();
            self.disturb();
            if idle == 0 {
                let actor = self.world.borrow_mut().draw.below(4);
                self.step(actor, false);
                if self.moved() == before {
                    idle = 1;
                }
                continue;
            }
            (0..4).for_each(|actor| self.step(actor, true));
            if self.moved() > before {
                idle = 0;
                continue;
            }
            idle += 1;
            if idle > PATIENCE {
                self.wait_or_stall();
                idle = 0;
            }
        }
        self.finish()
    }

    fn moved(&self) -> usize {
        self.world.borrow().moved + self.link.borrow().moved
    }

    fn is_done(&self) -> bool {
        let world = self.world.borrow();
        if world.plan.ending == Ending::Cut && self.steps > world.plan.ending_at {
            // Calls that the server has not heard of do not end there.
            let heard = |seen: &&log::Seen| seen.head.is_some();
            return world.seen[CLIENT].iter().all(log::Seen::is_over)
                && world.seen[SERVER].iter().filter(heard).all(|seen| seen.end.is_some());
        }
        let nothing = |number: &usize| {
            let client = &world.seen[CLIENT][*number];
            client.is_over() && world.seen[SERVER][*number].head.is_none()
        };
        (0..world.plan.calls.len()).all(|number| {
            let server = &world.seen[SERVER][number];
            world.seen[CLIENT][number].is_over() && (server.is_over() || nothing(&number))
        })
    }

    fn step(&mut self, actor: usize, eager: bool) {
        self.steps += 1;
        assert!(self.steps < MAX_STEPS, "it does not end");
        let piece = self.world.borrow().plan.piece;
        let most = if eager { piece } else { 1 + self.world.borrow_mut().draw.below(piece) };
        match actor {
            0 => self.ours.read(most),
            1 => self.ours.act(eager),
            2 => self.ours.write(most),
            _ => {
                let mut link = self.link.borrow_mut();
                (link.read_budget, link.write_budget) = (most, most);
                drop(link);
                self.theirs.poll();
            }
        }
        self.ours.wait(Duration::from_micros(10));
    }

    /// What comes from outside.
    fn disturb(&mut self) {
        let mut world = self.world.borrow_mut();
        let mut orders = self.theirs.orders.borrow_mut();
        if world.plan.rewindows && self.rewindows > 0 && world.draw.one_in(40) {
            self.rewindows -= 1;
            orders.window = Some(world.draw.pick(&[500, 20_000, 65_535, 1 << 20]));
        }
        if world.plan.pings && self.pings > 0 && world.draw.one_in(30) {
            self.pings -= 1;
            orders.ping = true;
        }
        if self.steps < world.plan.ending_at {
            return;
        }
        match world.plan.ending {
            Ending::None => {}
            Ending::Ours => self.ours.shut_down(),
            Ending::Theirs => orders.shut_down = true,
            Ending::TheirsAbrupt => orders.abort = true,
            Ending::Cut => self.link.borrow_mut().is_cut = true,
        }
    }

    fn wait_or_stall(&mut self) {
        let due = self.ours.engine.poll_timeout();
        // Peers on h2 that shrink their windows, also by their first SETTINGS, forget to give back what was consumed
        // before; growing them helps.
        let plan = self.world.borrow().plan.clone();
        let has_shrunk = self.rewindows < REWINDOWS || plan.settings[plan.theirs()].stream_window < 65_535;
        if has_shrunk && self.stalls < 3 {
            self.stalls += 1;
            self.theirs.orders.borrow_mut().window = Some(1 << (20 + self.stalls));
            return;
        }
        let wait = due.map(|due| due.saturating_duration_since(self.ours.now)).filter(|wait| *wait <= SHORT);
        let Some(wait) = wait else {
            let world = self.world.borrow();
            let open: Vec<_> = (0..world.plan.calls.len())
                .filter(|number| (0..2).any(|side| !world.seen[side][*number].is_over()))
                .map(|number| {
                    (number, &world.plan.calls[number], &world.seen[0][number], &world.seen[1][number])
                })
                .collect();
            panic!("stalled at step {} ({due:?}):\n{open:?}\n{:?}", self.steps, self.ours.engine);
        };
        self.ours.wait(wait);
    }

    /// After all that, the connection still answers pings and acknowledges settings.
    fn probe(&mut self) {
        self.theirs.orders.borrow_mut().probe = Probe::Wanted;
        let mut idle = 0;
        loop {
            let probe = self.theirs.orders.borrow().probe;
            if probe == Probe::Passed {
                return;
            }
            assert!(idle <= PATIENCE, "a ping or settings were not acknowledged: {probe:?}");
            let before = self.moved();
            (0..4).for_each(|actor| self.step(actor, true));
            idle = if self.moved() > before { 0 } else { idle + 1 };
        }
    }

    /// All calls are over: the connection ends, and is to end well.
    fn finish(mut self) -> Report {
        let ending = self.world.borrow().plan.ending;
        let is_broken = matches!(ending, Ending::Cut | Ending::TheirsAbrupt);
        if ending == Ending::None {
            self.probe();
        }
        self.theirs.orders.borrow_mut().is_over = true;
        self.ours.shut_down();
        let mut idle = 0;
        while !is_broken && (self.theirs.orders.borrow().result.is_none() || !self.ours.engine.is_closed()) {
            let before = self.moved();
            (0..4).for_each(|actor| self.step(actor, true));
            idle = if self.moved() > before { 0 } else { idle + 1 };
            if idle > PATIENCE {
                self.wait_or_stall();
                idle = 0;
            }
        }
        // What came last is told after it.
        let mut before = usize::MAX;
        while !is_broken && before != self.moved() {
            before = self.moved();
            self.ours.act(true);
            self.theirs.poll();
        }
        let world = self.world.borrow();
        judge::judge(&world);
        let (fault, result) = (self.ours.engine.fault(), self.theirs.orders.borrow().result.clone());
        assert!(is_broken || fault.is_none(), "our side ended the connection: {fault:?}");
        assert!(is_broken || result == Some(Ok(())), "h2 ended the connection: {result:?}");
        if !is_broken {
            assert_eq!(self.ours.engine.streams(), 0, "streams are kept");
        }
        let is_complete = |seen: &log::Seen| matches!(seen.end, Some(log::End::Complete(_)));
        Report {
            calls: world.plan.calls.len(),
            complete: (world.seen[CLIENT].iter().zip(&world.seen[SERVER]))
                .filter(|(client, server)| is_complete(client) && is_complete(server))
                .count(),
            steps: self.steps,
            bytes: self.link.borrow().moved,
        }
    }
}
