//! What each side has done, for comparison with what the other side sees.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use connect_proto::Instant;

use super::Tally;
use super::script::CallNumber;
use crate::Runtime;

/// Shared by all that take part.
#[derive(Clone)]
pub(super) struct Ledger {
    runtime: Arc<dyn Runtime>,
    books: Arc<Mutex<Books>>,
}

#[derive(Default)]
pub(super) struct Books {
    calls: BTreeMap<CallNumber, Entry>,
    pub(super) tally: Tally,
    story: String,
    /// What did not hold where nobody could panic.
    violations: Vec<String>,
}

/// A call.
#[derive(Clone, Default, Debug)]
pub(super) struct Entry {
    /// Messages that the client's sender took.
    pub(super) sent: usize,
    /// Whether the client has ended its sending side in an orderly way.
    pub(super) is_finished: bool,
    /// How many handlers were begun for it.
    pub(super) began: u32,
    /// The server whose handler is at work.
    pub(super) at_work: Option<u32>,
    /// Messages that the handler's responses took.
    pub(super) answered: usize,
    /// Whether the handler has returned success.
    pub(super) succeeded: bool,
}

impl Ledger {
    pub(super) fn new(runtime: Arc<dyn Runtime>) -> Self {
        Ledger { runtime, books: Arc::default() }
    }

    pub(super) fn now(&self) -> Instant {
        self.runtime.now()
    }

    pub(super) fn runtime(&self) -> &Arc<dyn Runtime> {
        &self.runtime
    }

    pub(super) fn with<T>(&self, act: impl FnOnce(&mut Books) -> T) -> T {
        act(&mut self.books.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn tally(&self, count: impl FnOnce(&mut Tally)) {
        self.with(|books| count(&mut books.tally));
    }

    /// Tells of something that happens.
    pub(super) fn tell(&self, what: fmt::Arguments<'_>) {
        let now = self.now().saturating_duration_since(Instant::ORIGIN);
        self.with(|books| {
            // Writing to a string cannot fail.
            let _ = writeln!(books.story, "{:>14.9}s {what}", now.as_secs_f64());
        });
    }

    /// Tells of something that must not happen, where a panic would be caught.
    pub(super) fn violate(&self, what: fmt::Arguments<'_>) {
        self.tell(format_args!("VIOLATION: {what}"));
        self.with(|books| books.violations.push(what.to_string()));
    }

    pub(super) fn assert_in_order(&self) {
        let violations = self.with(|books| std::mem::take(&mut books.violations));
        assert!(violations.is_empty(), "{}", violations.join("\n"));
    }

    pub(super) fn story(&self) -> String {
        self.with(|books| books.story.clone())
    }

    pub(super) fn begin(&self) -> CallNumber {
        self.with(|books| {
            books.tally.calls += 1;
            let number = books.tally.calls;
            books.calls.insert(number, Entry::default());
            number
        })
    }

    pub(super) fn entry(&self, call: CallNumber) -> Entry {
        self.change(call, |entry| entry.clone())
    }

    pub(super) fn change<T>(&self, call: CallNumber, change: impl FnOnce(&mut Entry) -> T) -> T {
        self.with(|books| change(books.calls.entry(call).or_default()))
    }

    /// How many handlers of a server are at work.
    pub(super) fn at_work(&self, server: u32) -> usize {
        self.with(|books| books.calls.values().filter(|entry| entry.at_work == Some(server)).count())
    }

    /// How many handlers were begun.
    pub(super) fn begun(&self) -> u64 {
        self.with(|books| books.calls.values().map(|entry| u64::from(entry.began)).sum())
    }
}

/// A handler at work. It is dropped with the handler's future.
pub(super) struct AtWork {
    ledger: Ledger,
    call: CallNumber,
}

impl AtWork {
    pub(super) fn new(ledger: &Ledger, server: u32, call: CallNumber) -> Self {
        ledger.tell(format_args!("call {call}: its handler begins, on server {server}"));
        let began = ledger.change(call, |entry| {
            entry.at_work = Some(server);
            entry.began += 1;
            entry.began
        });
        if began > 1 {
            ledger.violate(format_args!("call {call} has reached {began} handlers"));
        }
        AtWork { ledger: ledger.clone(), call }
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.ledger.change(self.call, |entry| entry.at_work = None);
        self.ledger.tell(format_args!("call {}: its handler is gone", self.call));
    }
}
