//! A call as its client knows it, and what may become of it.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use connect_proto::Instant;
use connect_proto::call::Processed;
use connect_proto::error::CloseReason;

use super::super::faults::Random;
use super::super::suite::within;
use super::Weather;
use super::handlers::{CALL, SCRIPT, scripted};
use super::ledger::Ledger;
use super::script::{CallNumber, End, From, Script, describe, message};
use crate::{CallEnd, Code, Metadata, RpcError};

/// How much earlier than the client a server may find the time to be over, as it is told in whole milliseconds.
const ROUNDING: Duration = Duration::from_millis(1);
/// As little later as can be: when no task has anything to do any more.
const MOMENT: Duration = Duration::from_nanos(1);

/// For which verdicts there is an excuse, beside those of the script.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Excuses {
    pub(super) weather: Weather,
    /// Limits may be reached that refuse a call.
    pub(super) is_crowded: bool,
}

pub(super) struct Call {
    pub(super) ledger: Ledger,
    pub(super) number: CallNumber,
    pub(super) seed: u64,
    pub(super) script: Script,
    pub(super) excuses: Excuses,
    pub(super) begun: Instant,
    pub(super) deadline: Option<Instant>,
    /// When the client has had enough.
    pub(super) gives_up: Option<Instant>,
    /// How long the client pauses, all in all.
    pub(super) pauses: Duration,
    /// Whether the sender is dropped on the way.
    pub(super) gives_sender_up: bool,
    pub(super) received: usize,
}

impl Call {
    pub(super) fn new(ledger: &Ledger, excuses: Excuses, random: &mut Random) -> Self {
        let (number, seed, begun) = (ledger.begin(), random.next(), ledger.now());
        let timeout = match random.below(8) {
            0..=1 => None,
            2 => Some(random.within(&(Duration::ZERO..Duration::from_millis(20)))),
            _ => Some(random.within(&(Duration::ZERO..Duration::from_secs(10)))),
        };
        let has_patience = timeout.is_some() && random.below(4) > 0;
        let patience = random.within(&(Duration::ZERO..Duration::from_secs(8)));
        let script = Script::new(seed);
        ledger.tell(format_args!(
            "call {number}: {:?} requests {:?} steps {:?} end {:?} timeout {timeout:?}",
            script.kind, script.requests, script.steps, script.end
        ));
        Call {
            ledger: ledger.clone(),
            number,
            seed,
            script,
            excuses,
            begun,
            deadline: timeout.map(|timeout| begun.saturating_add(timeout)),
            gives_up: (!has_patience).then(|| begun.saturating_add(patience)),
            pauses: Duration::ZERO,
            gives_sender_up: false,
            received: 0,
        }
    }

    /// One that succeeds at once.
    pub(super) fn plain(ledger: &Ledger) -> Self {
        let (number, begun) = (ledger.begin(), ledger.now());
        Call {
            ledger: ledger.clone(),
            number,
            seed: Script::PLAIN,
            script: Script::new(Script::PLAIN),
            excuses: Excuses { weather: Weather::Storm, is_crowded: true },
            begun,
            deadline: None,
            gives_up: None,
            pauses: Duration::ZERO,
            gives_sender_up: false,
            received: 0,
        }
    }

    pub(super) fn metadata(&self) -> Metadata {
        let mut metadata = Metadata::new();
        metadata.insert(CALL, self.number.into());
        metadata.insert(SCRIPT, self.seed.into());
        metadata
    }

    pub(super) fn tell(&self, what: &str) {
        self.ledger.tell(format_args!("call {}: {what}", self.number));
    }

    /// Awaits what is to be there by a time at the latest, if there is a limit.
    pub(super) async fn by<T>(
        &self,
        what: &str,
        limit: Option<Instant>,
        future: impl Future<Output = T>,
    ) -> T {
        let Some(limit) = limit else { return future.await };
        let left = limit.saturating_duration_since(self.ledger.now()).saturating_add(MOMENT);
        let done = within(&**self.ledger.runtime(), left, future).await;
        done.unwrap_or_else(|| panic!("call {}: {what} takes longer than until {limit:?}", self.number))
    }

    /// Awaits something until the client has had enough.
    pub(super) async fn patiently<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let Some(gives_up) = self.gives_up else { return Some(future.await) };
        within(&**self.ledger.runtime(), gives_up.saturating_duration_since(self.ledger.now()), future).await
    }

    // What it sees

    pub(super) fn take(&mut self, received: &Bytes) {
        let at = self.received;
        let len = self.script.responses().get(at).copied();
        let expected = len.map(|len| message(self.number, From::Handler, at, len));
        assert!(
            expected.as_ref() == Some(received),
            "call {}: response {at} is another: {}",
            self.number,
            describe(received)
        );
        self.received += 1;
        self.ledger.tally(|tally| tally.messages += 1);
    }

    /// The verdict, at the end of all messages.
    pub(super) fn judge(&self, verdict: &Result<Metadata, RpcError>) {
        self.judge_late(verdict);
        if verdict.is_ok() {
            let number = self.number;
            assert_eq!(self.received, self.script.responses().len(), "call {number}: a response is missing");
        }
        if self.excuses.weather == Weather::Calm {
            let took = self.ledger.now().saturating_duration_since(self.begun);
            let limit = self.script.pauses() + self.pauses;
            let is_late = matches!(verdict, Err(error) if error.code() == Code::DeadlineExceeded);
            assert!(took <= limit || is_late, "call {}: it takes {took:?}, not {limit:?}", self.number);
        }
    }

    /// A verdict that came after the messages were not wanted any more.
    fn judge_late(&self, verdict: &Result<Metadata, RpcError>) {
        let number = self.number;
        match verdict {
            Ok(trailers) => {
                self.tell("success");
                assert_eq!(self.script.end, End::Ok, "call {number}: it has not ended so");
                assert!(self.ledger.entry(number).succeeded, "call {number}: it has not ended yet");
                assert_eq!(trailers.get(CALL), Some(&number.into()), "call {number}: trailers");
                self.ledger.tally(|tally| tally.succeeded += 1);
            }
            Err(error) => {
                self.tell(&format!("failure: {error}"));
                self.judge_error(error);
            }
        }
    }

    fn judge_error(&self, error: &RpcError) {
        let (number, code) = (self.number, error.code());
        if let End::Error(code) = self.script.end
            && let expected = scripted(number, code)
            && (error.code(), error.message()) == (code, expected.message())
        {
            assert_eq!(error.metadata().get(CALL), Some(&number.into()), "call {number}: metadata");
            self.ledger.tally(|tally| tally.succeeded += 1);
            return;
        }
        let is_excused = match code {
            Code::DeadlineExceeded => {
                let now = self.ledger.now().saturating_add(ROUNDING);
                self.deadline.is_some_and(|deadline| deadline <= now)
            }
            Code::Internal => self.script.end == End::Panic && error.message() == "the handler panicked",
            Code::Unavailable => self.excuses.weather != Weather::Calm,
            Code::Canceled => self.gives_sender_up || self.excuses.weather != Weather::Calm,
            Code::ResourceExhausted => self.excuses.is_crowded,
            // A request of which the head has stood still for too long.
            Code::Unknown => self.excuses.weather == Weather::Storm && error.message() == "HTTP status 408",
            _ => false,
        };
        assert!(is_excused, "call {number}: there is no excuse for {error:?}");
    }

    /// How it ended.
    pub(super) fn judge_end(&self, end: &CallEnd) {
        let (number, entry) = (self.number, self.ledger.entry(self.number));
        self.tell(&format!("over: {:?}", end.closed));
        if let Some(verdict) = &end.verdict {
            self.judge_late(verdict);
        }
        match end.closed.processed {
            Processed::No => assert_eq!(entry.began, 0, "call {number}: {:?}, {entry:?}", end.closed),
            Processed::Yes if !self.excuses.is_crowded => {
                // One without its message is answered before its handler begins.
                let may_lack = self.excuses.weather != Weather::Calm || self.deadline.is_some();
                assert!(entry.began > 0 || may_lack, "call {number}: {:?}, {entry:?}", end.closed);
            }
            _ => {}
        }
        if end.closed.reason == CloseReason::Deadline {
            assert!(self.deadline.is_some_and(|deadline| deadline <= self.ledger.now()), "call {number}");
        }
    }
}
