//! The exhaustive small model: whatever happens, up to three things in a row, from every phase of a call, in both
//! roles and over either version of HTTP, comes out as the design says.

mod http1;
#[cfg(feature = "http2")]
mod http2;

use std::fmt::Debug;
use std::time::Duration;

use crate::Instant;
use crate::call;
use crate::connection::{CallClosed, Client, Fate, Server};
use crate::error::{CloseReason, Code, RpcError};
use crate::metadata::Metadata;
use crate::server::ServerConfig;
use crate::testing::{Alone, Calls, Endpoint, secs};

/// When the calls' time is up: later than time that merely passes can lead.
const DEADLINE: Duration = secs(1000);

/// How time passes: by more than every limit but the call's deadline.
const PASSES: Duration = secs(31);

/// A server whose message limit is one of those.
fn server_config() -> ServerConfig {
    let message_timeout = Some(PASSES - secs(1));
    ServerConfig { message_timeout, ..ServerConfig::default() }
}

/// The classes of `CloseReason`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Why {
    Unsent,
    Complete,
    Drained,
    Deadline,
    DrainTimedOut,
    PeerReset,
    PeerMisbehaved,
    TransportLost,
    Aborted,
    WriteStalled,
}

/// What a call's end says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct End {
    why: Why,
    processed: Processed,
    reusable: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Processed {
    No,
    Unknown,
    Yes,
}

type Verdict = Option<Result<(), Code>>;

/// How a call ended, if it has, and what verdict was told.
type Outcome = (Option<End>, Verdict);

/// What an application does in the same way in both roles.
trait Application {
    /// It loses interest. On a server: the handler goes away without an answer.
    fn leave(&mut self);
    fn abort(&mut self);
    /// It ends its side. On a server: it answers with success.
    fn finish(&mut self);
}

impl Application for Endpoint<Client> {
    fn leave(&mut self) {
        self.close();
    }

    fn abort(&mut self) {
        self.abort();
    }

    fn finish(&mut self) {
        self.finish().ok();
    }
}

impl Application for Endpoint<Server> {
    fn leave(&mut self) {
        self.finish(Err(RpcError::new(Code::Internal, ""))).ok();
    }

    fn abort(&mut self) {
        self.abort();
    }

    fn finish(&mut self) {
        self.finish(Ok(())).ok();
    }
}

fn until_deadline<R: Calls>(alone: &mut Alone<R>) {
    let deadline = Instant::ORIGIN.saturating_add(DEADLINE);
    alone.advance(deadline.saturating_duration_since(alone.now()));
    alone.handle_timeout();
}

fn time_passes<R: Calls>(alone: &mut Alone<R>) {
    alone.advance(PASSES);
    alone.handle_timeout();
}

fn class(reason: CloseReason) -> Why {
    match reason {
        CloseReason::Unsent => Why::Unsent,
        CloseReason::Complete => Why::Complete,
        CloseReason::Drained => Why::Drained,
        CloseReason::Deadline => Why::Deadline,
        CloseReason::DrainTimedOut => Why::DrainTimedOut,
        CloseReason::PeerReset(_) => Why::PeerReset,
        CloseReason::PeerMisbehaved(_) => Why::PeerMisbehaved,
        CloseReason::TransportLost(_) => Why::TransportLost,
        CloseReason::Aborted(_) => Why::Aborted,
        CloseReason::WriteStalled => Why::WriteStalled,
        CloseReason::DrainTooLarge => panic!("{reason:?} out of nowhere"),
    }
}

fn end(closed: CallClosed) -> End {
    let processed = match closed.processed {
        call::Processed::No => Processed::No,
        call::Processed::Unknown => Processed::Unknown,
        call::Processed::Yes => Processed::Yes,
    };
    End { why: class(closed.reason), processed, reusable: closed.fate == Fate::Reusable }
}

fn verdict(verdict: Option<&Result<Metadata, RpcError>>) -> Verdict {
    verdict.map(|verdict| verdict.as_ref().map(|_| ()).map_err(RpcError::code))
}

/// What became of the call that commands go to.
fn outcome<R: Calls>(endpoint: &Endpoint<R>) -> Outcome {
    (endpoint.try_closed().map(end), verdict(endpoint.verdict()))
}

/// The environment may ask for more.
fn depth() -> u32 {
    std::env::var("MODEL_DEPTH").ok().and_then(|depth| depth.parse().ok()).unwrap_or(3)
}

/// Every sequence of one up to `depth` operations.
fn sequences<O: Copy>(ops: &[O]) -> impl Iterator<Item = Vec<O>> {
    (1..=depth()).flat_map(move |len| {
        (0..ops.len().pow(len))
            .map(move |number| (0..len).map(|digit| ops[number / ops.len().pow(digit) % ops.len()]).collect())
    })
}

/// Runs every sequence from every phase, and gathers those that came out differently. `run` says what came out, and
/// what should have.
fn explore<O: Copy + Debug, T: PartialEq + Debug>(
    role: &str,
    phases: &[&str],
    ops: &[O],
    run: impl Fn(&str, &[O]) -> (T, T),
) {
    let (mut count, mut wrong) = (0, Vec::new());
    for phase in phases {
        for ops in sequences(ops) {
            count += 1;
            let (actual, expected) = run(phase, &ops);
            if actual != expected {
                wrong.push(format!("{phase}: {ops:?}\n  expected {expected:?}\n  but was  {actual:?}"));
            }
        }
    }
    println!("{role}: {count} sequences from {} phases, {} came out differently", phases.len(), wrong.len());
    // The short ones say most.
    wrong.sort_by_key(String::len);
    wrong.truncate(20);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
