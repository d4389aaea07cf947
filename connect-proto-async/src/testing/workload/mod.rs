//! Calls of every kind at random on a simulated network, with whatever may happen to them, and checks of all that holds
//! nevertheless.
//!
//! [`run`] plays one seed: a server whose handlers do as a script says, channels over HTTP/1.1 and HTTP/2, and
//! clients that call, close, abort and drop. The stage lets the network break, the server restart and channels
//! shut down meanwhile. Every message says to which call it belongs, and the ledger knows what each side has done, so that
//! whatever one side sees can be compared with what the other did.
//!
//! What is checked, beside that nothing panics, nothing hangs and nothing is left in the end:
//! - Every wait of a client ends within its limit: the call's deadline, or after a close the drain budget.
//! - Messages arrive whole, in order and at the call that they belong to.
//! - An end that looks complete is one: all messages were there before it, and the other side did end.
//! - There is one verdict. It is the one that the script says, or one for which there is an excuse on this network.
//! - A call that was certainly not processed reached no handler, and none reaches two.
//! - A handler is gone as soon as its call has ended.
//! - A shutdown ends within its grace, with a report that is true, and leaves the address free.
//! - In calm weather a call takes no longer than the pauses of its script: a wake-up that was lost shows
//!   even where a timer would make up for it.
//! - After a storm the channels recover.

mod call;
mod client;
mod fickle;
mod handlers;
mod ledger;
mod script;
mod stage;
#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::AddAssign;

/// Plays the workload of a seed.
///
/// # Panics
/// If something does not hold: with what happened, and how to have it again.
pub fn run(seed: u64) -> Outcome {
    stage::play(seed)
}

/// What came of a run.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// How much happened.
    pub tally: Tally,
    /// [`Sim::fingerprint`](super::Sim::fingerprint).
    pub fingerprint: u64,
    /// What happened to the calls, one event a line.
    pub story: String,
}

/// What the network and the operators do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Weather {
    /// Nothing: all is as fast as the scripts allow, and every call gets its scripted verdict.
    Calm,
    /// Delays, cuts and short stalls; servers and channels come and go; limits are small.
    Rough,
    /// Connections break in every way, too.
    Storm,
}

/// How much happened in a run, or in many.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Tally {
    /// Runs.
    pub runs: u64,
    /// Calls that were begun.
    pub calls: u64,
    /// Of those, that ended as the script says.
    pub succeeded: u64,
    /// Messages that arrived, on either side.
    pub messages: u64,
    /// Calls that were closed, aborted or dropped.
    pub left: u64,
    /// Futures that were dropped at an await.
    pub dropped: u64,
    /// Shutdowns of servers and channels.
    pub shutdowns: u64,
    /// Faults of the network.
    pub faults: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.runs += other.runs;
        self.calls += other.calls;
        self.succeeded += other.succeeded;
        self.messages += other.messages;
        self.left += other.left;
        self.dropped += other.dropped;
        self.shutdowns += other.shutdowns;
        self.faults += other.faults;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { runs, calls, succeeded, messages, left, dropped, shutdowns, faults } = self;
        write!(
            f,
            "{runs} seeds: {calls} calls ({succeeded} as scripted, {left} left early), {messages} messages, {dropped} \
             futures dropped, {shutdowns} shutdowns, {faults} faults"
        )
    }
}
