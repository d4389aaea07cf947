//! What each side has seen.

use std::rc::Rc;

use http::HeaderMap;

use crate::draw::Draw;
use crate::plan::{Plan, byte};

/// How what a side received has ended.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum End {
    Complete(HeaderMap),
    /// The other side reset it.
    Reset(u32),
    /// It goes away without having processed the call.
    Refused,
    /// The connection is gone.
    Lost,
    /// This side gave it up itself.
    GivenUp,
    /// The call was never opened.
    Unopened,
    /// Anything that must not be.
    Wrong(String),
}

/// What a side has seen of a call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) head: Option<(String, HeaderMap)>,
    pub(crate) len: usize,
    pub(crate) end: Option<End>,
    /// After its end.
    pub(crate) later: Option<End>,
    /// Whether this side has nothing more to send.
    pub(crate) has_sent: bool,
}

impl Seen {
    pub(crate) fn is_over(&self) -> bool {
        self.end.is_some() && self.has_sent
    }
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) plan: Rc<Plan>,
    pub(crate) draw: Draw,
    /// By side and call.
    pub(crate) seen: [Vec<Seen>; 2],
    /// Counts up with everything that happens.
    pub(crate) moved: usize,
}

impl World {
    pub(crate) fn new(input: &[u8]) -> Self {
        let mut draw = Draw::new(input);
        let plan = Rc::new(Plan::new(&mut draw));
        let seen = vec![Seen::default(); plan.calls.len()];
        World { plan, draw, seen: [seen.clone(), seen], moved: 0 }
    }

    pub(crate) fn see_head(&mut self, side: usize, call: usize, line: String, fields: HeaderMap) {
        self.moved += 1;
        let seen = &mut self.seen[side][call];
        assert!(seen.head.is_none() && seen.end.is_none(), "call {call}: two heads, or one after the end");
        seen.head = Some((line, fields));
    }

    pub(crate) fn see_data(&mut self, side: usize, call: usize, data: &[u8]) {
        self.moved += 1;
        let seen = &mut self.seen[side][call];
        assert!(seen.head.is_some() && seen.end.is_none(), "call {call}: data at the wrong time");
        for (at, found) in (seen.len..).zip(data) {
            assert_eq!(*found, byte(call, 1 - side, at), "call {call}: a wrong byte at {at}");
        }
        seen.len += data.len();
    }

    /// The first end counts.
    pub(crate) fn see_end(&mut self, side: usize, call: usize, end: End) {
        self.moved += 1;
        let seen = &mut self.seen[side][call];
        if seen.end.is_none() {
            seen.end = Some(end);
        } else {
            seen.later.get_or_insert(end);
        }
    }

    pub(crate) fn has_sent(&mut self, side: usize, call: usize) {
        self.moved += 1;
        self.seen[side][call].has_sent = true;
    }
}
