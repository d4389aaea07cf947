//! The exhaustive small model: whatever happens, up to three things in a row, from every phase of a call, in both
//! roles over HTTP/1.1, comes out as the design says.

mod phases;
mod rules;

use std::time::Duration;

use self::phases::Peer;
use self::rules::{End, Processed, ServerStage, Stage, Verdict, Why};
use crate::call;
use crate::connection::{CallClosed, Client, Fate, Server};
use crate::error::{CloseReason, Code, RpcError};
use crate::metadata::Metadata;
use crate::testing::{Alone, secs};

/// Something that happens to a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Op {
    /// The application loses interest. On a server: the handler goes away without an answer.
    Close,
    Abort,
    /// The application ends its side. On a server: it answers with success.
    Finish,
    /// The call's time is up.
    Deadline,
    /// The peer ends its side of the transport.
    Eof,
    /// The transport breaks.
    Reset,
    /// The peer sends the rest of its message, if it has not yet.
    EndOfStream,
    /// The peer breaks a rule of HTTP.
    Violation,
    /// The transport takes bytes again.
    Writable,
    /// Longer than every limit but the call's deadline.
    TimePasses,
}

const OPS: [Op; 10] = [
    Op::Close,
    Op::Abort,
    Op::Finish,
    Op::Deadline,
    Op::Eof,
    Op::Reset,
    Op::EndOfStream,
    Op::Violation,
    Op::Writable,
    Op::TimePasses,
];

/// When the calls' time is up: later than `TimePasses` can lead.
const DEADLINE: Duration = secs(1000);

/// The environment may ask for more.
fn depth() -> u32 {
    std::env::var("MODEL_DEPTH").ok().and_then(|depth| depth.parse().ok()).unwrap_or(3)
}

/// Every sequence of one up to `depth` operations.
fn sequences() -> impl Iterator<Item = Vec<Op>> {
    (1..=depth()).flat_map(|len| {
        (0..OPS.len().pow(len))
            .map(move |number| (0..len).map(|digit| OPS[number / OPS.len().pow(digit) % OPS.len()]).collect())
    })
}

impl Peer {
    fn ends<R>(&mut self, alone: &mut Alone<R>)
    where
        R: crate::testing::Calls,
    {
        alone.feed(&std::mem::take(&mut self.rest));
        self.violation = b"garbage\r\n\r\n";
    }

    fn misbehaves<R>(&mut self, alone: &mut Alone<R>)
    where
        R: crate::testing::Calls,
    {
        alone.feed(self.violation);
        self.rest.clear();
    }
}

fn until_deadline<R: crate::testing::Calls>(alone: &mut Alone<R>) {
    let deadline = crate::Instant::ORIGIN.saturating_add(DEADLINE);
    alone.advance(deadline.saturating_duration_since(alone.now()));
    alone.handle_timeout();
}

fn time_passes<R: crate::testing::Calls>(alone: &mut Alone<R>) {
    alone.advance(secs(31));
    alone.handle_timeout();
}

fn happens_to_client(client: &mut Alone<Client>, peer: &mut Peer, op: Op) {
    match op {
        Op::Close => client.end.close(),
        Op::Abort => client.end.abort(),
        Op::Finish => _ = client.end.finish(),
        Op::Deadline => until_deadline(client),
        Op::Eof => client.eof(),
        Op::Reset => client.reset(),
        Op::EndOfStream => peer.ends(client),
        Op::Violation => peer.misbehaves(client),
        Op::Writable => client.outgoing.unblock(),
        Op::TimePasses => time_passes(client),
    }
    client.run();
}

fn happens_to_server(server: &mut Alone<Server>, peer: &mut Peer, op: Op) {
    match op {
        Op::Close => _ = server.end.finish(Err(RpcError::new(Code::Internal, ""))),
        Op::Abort => server.end.abort(),
        Op::Finish => _ = server.end.finish(Ok(())),
        Op::Deadline => until_deadline(server),
        Op::Eof => server.eof(),
        Op::Reset => server.reset(),
        Op::EndOfStream => peer.ends(server),
        Op::Violation => peer.misbehaves(server),
        Op::Writable => server.outgoing.unblock(),
        Op::TimePasses => time_passes(server),
    }
    server.run();
}

fn class(reason: CloseReason) -> Why {
    match reason {
        CloseReason::Unsent => Why::Unsent,
        CloseReason::Complete => Why::Complete,
        CloseReason::Drained => Why::Drained,
        CloseReason::Deadline => Why::Deadline,
        CloseReason::DrainTimedOut => Why::DrainTimedOut,
        CloseReason::PeerMisbehaved(_) => Why::PeerMisbehaved,
        CloseReason::TransportLost(_) => Why::TransportLost,
        CloseReason::Aborted(_) => Why::Aborted,
        CloseReason::WriteStalled => Why::WriteStalled,
        CloseReason::DrainTooLarge | CloseReason::PeerReset(_) => panic!("{reason:?} out of nowhere"),
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

type Outcome = (Option<End>, Verdict);

/// Runs every sequence from every phase, and gathers those that came out differently.
fn explore(role: &str, phases: &[&str], run: impl Fn(&str, &[Op]) -> (Outcome, Outcome)) {
    let (mut count, mut wrong) = (0, Vec::new());
    for phase in phases {
        for ops in sequences() {
            count += 1;
            let (actual, expected) = run(phase, &ops);
            if actual != expected {
                wrong.push(format!("{phase}: {ops:?}\n  expected {expected:?}\n  but was  {actual:?}"));
            }
        }
    }
    println!("{role}: {count} sequences from {} phases", phases.len());
    // The short ones say most.
    wrong.sort_by_key(String::len);
    wrong.truncate(20);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn client_over_http1() {
    explore("client", &phases::CLIENT, |phase, ops| {
        let (mut client, mut peer, mut facts) = phases::client(phase);
        for op in ops {
            happens_to_client(&mut client, &mut peer, *op);
        }
        facts = facts.all_happen(ops);
        client.end.listening = true;
        client.run();
        client.end.assert_orderly();
        let expected = match facts.stage {
            Stage::Over(end) => Some(end),
            _ => None,
        };
        let actual = (client.end.try_closed().map(end), verdict(client.end.verdict()));
        (actual, (expected, facts.verdict))
    });
}

#[test]
fn server_over_http1() {
    explore("server", &phases::SERVER, |phase, ops| {
        let (mut server, mut peer, mut facts) = phases::server(phase);
        let serves = server.end.serves.clone().unwrap();
        for op in ops {
            happens_to_server(&mut server, &mut peer, *op);
            facts = facts.happens(*op);
        }
        if facts.stage.is_none() {
            let (id, now) = (server.end.call_id().unwrap(), server.now());
            server.end.connection.start(now, id, &serves.0, &serves.1);
            facts = facts.start(ops);
        }
        server.end.listening = true;
        server.run();
        server.end.assert_orderly();
        let expected = match facts.stage {
            Some(ServerStage::Over(end)) => Some(end),
            _ => None,
        };
        let actual = (server.end.try_closed().map(end), verdict(server.end.verdict()));
        (actual, (expected, facts.verdict))
    });
}
