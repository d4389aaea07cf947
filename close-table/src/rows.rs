//! The rows of the tables in which a client closes.

use std::time::Duration;

use connect_proto::call::{Kind, Processed};
use connect_proto::connection::Fate;
use connect_proto::error::{CloseReason, LostKind, PeerMisbehaved, ResetCode};
use connect_proto::http1::NotReusable;

use crate::budget::{Budget, Expected, RUNS, SCHEDULING};

/// What a server does to a client that closes a call.
#[derive(Clone, Debug)]
pub struct Row {
    /// What the peer does, in words.
    pub name: &'static str,
    /// What the peer does, as its path says.
    pub path: String,
    /// The kind of the call.
    pub kind: Kind,
    /// Whether the peer goes on before the call is closed, or once it was.
    pub flows_before: bool,
    /// The timeout of the call.
    pub timeout: Option<Duration>,
    /// What it must come to.
    pub expected: Expected,
    /// Whether trailers come after the close.
    pub trailers: bool,
    /// How often it is run.
    pub runs: usize,
}

/// Over HTTP/1.1, each on connections of its own.
#[must_use]
pub fn http1(budget: Budget) -> Vec<Row> {
    let drain = budget.drain;
    let nothing = Duration::ZERO;
    let (three_messages, late) = (3 * (1024 + 5), Duration::from_millis(budget.late));
    let trickled = budget.trickled();
    let row = |name, path: &str, reason, fate, drained, closed| Row {
        name,
        path: path.to_owned(),
        kind: Kind::ServerStream,
        flows_before: false,
        timeout: None,
        expected: Expected { reason, fate, drained, closed, slack: SCHEDULING, processed: Processed::Yes },
        trailers: false,
        runs: if closed > Duration::from_secs(1) { 1 } else { RUNS },
    };
    let timed_out = |name, path: &str, drained| {
        let fate = Fate::Closing(NotReusable::ResponseUnread);
        row(name, path, CloseReason::DrainTimedOut, fate, drained, drain.time)
    };
    let too_large = |name, path: &str, drained| {
        let fate = Fate::Closing(NotReusable::ResponseUnread);
        row(name, path, CloseReason::DrainTooLarge, fate, drained, nothing)
    };
    let drained = |name, path: &str, closed| Row {
        trailers: true,
        ..row(name, path, CloseReason::Drained, Fate::Reusable, three_messages..=three_messages, closed)
    };
    let lost = |name, path: &str, kind, fate, drained| {
        row(name, path, CloseReason::TransportLost(kind), Fate::Closing(fate), drained, nothing)
    };
    let misbehaved = |name, path: &str, fault, fate, drained| {
        row(name, path, CloseReason::PeerMisbehaved(fault), fate, drained, nothing)
    };
    let never_head = |name, kind| {
        let mut row = Row { kind, ..timed_out(name, "NeverHead-", 0..=0) };
        row.expected.processed = Processed::Unknown;
        row
    };
    let after_end = |name, path: &str, fate| Row {
        trailers: true,
        ..misbehaved(name, path, PeerMisbehaved::DataAfterEndStream, fate, 0..=0)
    };
    let deadline = Duration::from_millis(400);
    let mut past_deadline = Row {
        timeout: Some(deadline),
        ..row(
            "silent, the call's deadline is first",
            "Silent-",
            CloseReason::Deadline,
            Fate::Closing(NotReusable::ResponseUnread),
            0..=0,
            nothing,
        )
    };
    // It counts from the beginning of the call on.
    past_deadline.expected.slack += deadline;
    let full = drain.bytes - (1051 + 5)..=drain.bytes;
    vec![
        drained("about to end", "EndAfter-5", Duration::from_millis(5)),
        drained("late end within the budget", &format!("EndAfter-{}", budget.late), late),
        timed_out("silent", "Silent-", 0..=0),
        timed_out("one byte every 50 ms", "Trickle-50", trickled),
        Row { flows_before: true, ..too_large("flood of gzip", "FloodGzip-", full) },
        never_head("never a response head", Kind::ServerStream),
        never_head("never a response head, unary", Kind::Unary),
        too_large("prefix that declares 3 GiB", "HugePrefix-", 0..=0),
        lost("truncated: FIN inside a message", "CutOff-", LostKind::Eof, NotReusable::PeerClosed, 15..=15),
        misbehaved(
            "truncated: body ends inside a message",
            "CutInside-",
            PeerMisbehaved::TruncatedEnvelope,
            Fate::Reusable,
            15..=15,
        ),
        lost("reset", "Reset-", LostKind::Reset, NotReusable::Lost, 0..=0),
        after_end(
            "bytes after the end-stream, body open",
            "AfterEnd-open",
            Fate::Closing(NotReusable::ResponseUnread),
        ),
        after_end("bytes after the end-stream, body ends", "AfterEnd-whole", Fate::Reusable),
        past_deadline,
    ]
}

/// Over HTTP/2, all on one connection.
#[must_use]
pub fn http2(budget: Budget) -> Vec<Row> {
    let drain = budget.drain;
    let nothing = Duration::ZERO;
    let (three_messages, late) = (3 * (1024 + 5), Duration::from_millis(budget.late));
    let row = |name, path: &str, reason, drained, closed| Row {
        name,
        path: path.to_owned(),
        kind: Kind::ServerStream,
        flows_before: false,
        timeout: None,
        expected: Expected {
            reason,
            fate: Fate::Reusable,
            drained,
            closed,
            slack: SCHEDULING,
            processed: Processed::Yes,
        },
        trailers: false,
        runs: RUNS,
    };
    let timed_out =
        |name, path: &str, drained| row(name, path, CloseReason::DrainTimedOut, drained, drain.time);
    let drained = |name, path: &str, closed| Row {
        trailers: true,
        ..row(name, path, CloseReason::Drained, three_messages..=three_messages, closed)
    };
    let misbehaved = |name, path: &str, fault, drained| {
        row(name, path, CloseReason::PeerMisbehaved(fault), drained, nothing)
    };
    let never_head = |name, kind| {
        let mut row = Row { kind, ..timed_out(name, "NeverHead-", 0..=0) };
        row.expected.processed = Processed::Unknown;
        row
    };
    let after_end = |name, path: &str| Row {
        trailers: true,
        ..misbehaved(name, path, PeerMisbehaved::DataAfterEndStream, 0..=0)
    };
    let deadline = Duration::from_millis(200);
    let mut past_deadline = Row {
        timeout: Some(deadline),
        ..row("silent, the call's deadline is first", "Silent-", CloseReason::Deadline, 0..=0, nothing)
    };
    // It counts from the beginning of the call on.
    past_deadline.expected.slack += deadline;
    let full = drain.bytes - (1051 + 5)..=drain.bytes;
    let reset = CloseReason::PeerReset(ResetCode::INTERNAL_ERROR);
    vec![
        drained("about to end", "EndAfter-5", Duration::from_millis(5)),
        drained("late end within the budget", &format!("EndAfter-{}", budget.late), late),
        timed_out("silent", "Silent-", 0..=0),
        timed_out("one byte every 50 ms", "Trickle-50", budget.trickled()),
        Row {
            flows_before: true,
            ..row("flood of gzip", "FloodGzip-", CloseReason::DrainTooLarge, full, nothing)
        },
        never_head("never a response head", Kind::ServerStream),
        never_head("never a response head, unary", Kind::Unary),
        row("prefix that declares 3 GiB", "HugePrefix-", CloseReason::DrainTooLarge, 0..=0, nothing),
        misbehaved(
            "truncated: END_STREAM inside a message",
            "CutInside-",
            PeerMisbehaved::TruncatedEnvelope,
            15..=15,
        ),
        row("reset: RST_STREAM", "Reset-2", reset, 0..=0, nothing),
        after_end("bytes after the end-stream, stream open", "AfterEnd-open"),
        after_end("bytes after the end-stream, stream ends", "AfterEnd-whole"),
        past_deadline,
    ]
}

/// Without a connection, as the peer accepts none.
#[must_use]
pub fn dialling() -> Vec<Row> {
    let row = |name, kind| Row {
        name,
        path: "Unary-".to_owned(),
        kind,
        flows_before: false,
        timeout: None,
        expected: Expected {
            reason: CloseReason::Unsent,
            fate: Fate::Unknown,
            drained: 0..=0,
            closed: Duration::ZERO,
            slack: SCHEDULING,
            processed: Processed::No,
        },
        trailers: false,
        runs: RUNS,
    };
    vec![
        row("accepts nothing: the call waits", Kind::ServerStream),
        row("accepts nothing: its sender waits for room", Kind::ClientStream),
    ]
}
