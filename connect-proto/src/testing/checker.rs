//! The rules that everything a connection tells must keep, whatever happens.

use std::collections::HashSet;

use super::endpoint::{Command, Did, Heard, Told};
use crate::call::Processed;
use crate::connection::{CallClosed, CallId, Fate};
use crate::error::CloseReason;

/// Whose story is checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    Client,
    Server,
}

/// Checks all that was told and done so far: the order of events, one end for each call, nothing after the end, no
/// message after a close or an abort; and no two calls at once, unless the connection carries `many`. `whole` if every
/// call must have ended.
pub(super) fn check(side: Side, many: bool, told: &[Told], did: &[Command], whole: bool) {
    let calls: HashSet<CallId> =
        told.iter().filter_map(|told| told.call).chain(did.iter().map(|did| did.call)).collect();
    for call in calls {
        let story: Vec<(usize, &Heard)> = told
            .iter()
            .enumerate()
            .filter(|(_, told)| told.call == Some(call))
            .map(|(at, told)| (at, &told.what))
            .collect();
        let did: Vec<&Command> = did.iter().filter(|did| did.call == call).collect();
        let check = Check { side, many, story: &story, did: &did };
        if let Err(broken) = check.all(whole) {
            panic!("{side:?}, {call:?}: {broken}\ntold: {story:#?}\ndid: {did:#?}");
        }
    }
    check_order_of_calls(many, told);
}

struct Check<'a> {
    side: Side,
    many: bool,
    story: &'a [(usize, &'a Heard)],
    did: &'a [&'a Command],
}

impl Check<'_> {
    fn all(&self, whole: bool) -> Result<(), String> {
        self.check_grammar()?;
        self.check_silence()?;
        match self.end() {
            Some(closed) => self.check_end(closed),
            None if whole => Err("it has no end".to_owned()),
            None => Ok(()),
        }
    }

    /// `Headers? Message* PeerHalfClosed? Finished? Closed`, each of them in its role only.
    fn check_grammar(&self) -> Result<(), String> {
        let mut last = 0;
        for (_, heard) in self.story {
            let (rank, repeats) = match heard {
                Heard::Incoming if self.side == Side::Server => (1, false),
                Heard::Headers(_) if self.side == Side::Client => (2, false),
                Heard::Message(_) | Heard::Undecodable(_) => (3, true),
                Heard::PeerHalfClosed if self.side == Side::Server => (4, false),
                Heard::Finished(_) => (5, false),
                Heard::Closed(_) => (6, false),
                Heard::Writable if last < 6 => continue,
                other => return Err(format!("{other:?} out of place")),
            };
            if rank < last || (rank == last && !repeats) {
                return Err(format!("{heard:?} out of order"));
            }
            last = rank;
        }
        Ok(())
    }

    /// After a close or an abort no message; and then a verdict only if the peer's end was parsed.
    fn check_silence(&self) -> Result<(), String> {
        let Some(since) = self.left_at() else { return Ok(()) };
        let after = self.story.iter().filter(|(at, _)| *at >= since);
        match after.map(|(_, heard)| heard).find(|heard| matches!(heard, Heard::Message(_))) {
            Some(message) => Err(format!("{message:?} after a close")),
            None => Ok(()),
        }
    }

    fn check_end(&self, closed: CallClosed) -> Result<(), String> {
        let verdicts = self.story.iter().filter(|(_, heard)| matches!(heard, Heard::Finished(_))).count();
        let left = self.left_at().is_some() || matches!(closed.reason, CloseReason::Aborted(_));
        let answered = self.did.iter().any(|did| did.what == Did::Answered);
        match self.side {
            Side::Client if verdicts == 0 && !left => return Err("no verdict".to_owned()),
            Side::Server if verdicts == 0 && !left && !answered && !self.was_refused() => {
                return Err("neither an answer nor a verdict".to_owned());
            }
            _ => {}
        }
        let headers = self.story.iter().any(|(_, heard)| matches!(heard, Heard::Headers(_)));
        if headers && closed.processed != Processed::Yes {
            return Err("a response was seen, so that it was processed".to_owned());
        }
        let forced = match closed.reason {
            CloseReason::TransportLost(_) => true,
            // A stream is given up without the others.
            CloseReason::DrainTimedOut | CloseReason::DrainTooLarge => !self.many,
            _ => false,
        };
        if forced && closed.fate == Fate::Reusable {
            return Err("a connection that was lost is not reusable".to_owned());
        }
        Ok(())
    }

    /// When the application lost interest, as a position in what was told.
    fn left_at(&self) -> Option<usize> {
        self.did.iter().find(|did| matches!(did.what, Did::Closed | Did::Aborted)).map(|did| did.after)
    }

    fn was_refused(&self) -> bool {
        self.did.iter().any(|did| did.what == Did::Refused)
    }

    fn end(&self) -> Option<CallClosed> {
        self.story.iter().find_map(|(_, heard)| match heard {
            Heard::Closed(closed) => Some(*closed),
            _ => None,
        })
    }
}

/// Nothing of a call after its end, and nothing after the connection's. Unless it carries `many`, one call after the
/// other.
fn check_order_of_calls(many: bool, told: &[Told]) {
    let mut open = HashSet::new();
    let mut over = HashSet::new();
    for (at, told_now) in told.iter().enumerate() {
        let Some(call) = told_now.call else {
            assert!(open.is_empty(), "the connection ended before its calls: {told:#?}");
            assert_eq!(at + 1, told.len(), "something after the connection's end: {told:#?}");
            continue;
        };
        assert!(!over.contains(&call), "something after the end of {call:?}: {told:#?}");
        open.insert(call);
        assert!(many || open.len() == 1, "two calls at once: {told:#?}");
        if matches!(told_now.what, Heard::Closed(_)) {
            open.remove(&call);
            over.insert(call);
        }
    }
}
