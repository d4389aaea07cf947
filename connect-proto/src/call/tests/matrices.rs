//! Every transition, against what is checked in.

use std::fmt::Debug;

use crate::call::{
    BodyKind, Next, Phase, RecvInput, RecvState, SendInput, SendState, Signal, client, server,
};
use crate::error::{AbortReason, CloseReason, Code, Initiator, LostKind, PeerMisbehaved, ResetCode};
use crate::testing::snapshot::assert_snapshot;

const SIGNALS: [Signal; 13] = [
    Signal::HeadTaken,
    Signal::Verdict,
    Signal::Close,
    Signal::Settled,
    Signal::Deadline,
    Signal::DrainTimedOut,
    Signal::DrainTooLarge,
    Signal::WriteStalled,
    Signal::PeerReset(ResetCode::CANCEL),
    Signal::Misbehaved(PeerMisbehaved::MissingEndStream),
    Signal::Lost(LostKind::Eof),
    Signal::Lost(LostKind::WriteStalled),
    Signal::Abort(AbortReason::Requested),
];

/// One row for each input, one column for each state; a dot where nothing changes.
fn matrix<S: Copy + Debug, I: Copy + Debug>(
    states: &[S],
    inputs: &[I],
    cell: impl Fn(S, I) -> String,
) -> String {
    let mut rows = vec![[String::new()].into_iter().chain(states.iter().map(|s| format!("{s:?}"))).collect()];
    for &input in inputs {
        let cells = states.iter().map(|&state| cell(state, input));
        rows.push([format!("{input:?}")].into_iter().chain(cells).collect::<Vec<_>>());
    }
    let columns = states.len() + 1;
    let widths: Vec<usize> = (0..columns)
        .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap())
        .collect();
    let lines = rows.iter().map(|row| {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join(" | ").trim_end().to_owned() + "\n"
    });
    lines.collect()
}

fn name(value: impl Debug) -> String {
    let text = format!("{value:?}");
    text.split('(').next().unwrap_or_default().to_owned()
}

fn next(next: Next) -> String {
    match next {
        Next::Stay => "·".to_owned(),
        Next::Go(phase) => format!("{phase:?}"),
        Next::Answer(reason) => format!("answer {}", name(reason)),
        Next::StopReceiving => "stop receiving".to_owned(),
        Next::Close(reason) => format!("Closed {}", name(reason)),
        Next::Reset(reason) => format!("Reset, Closed {}", name(reason)),
    }
}

#[test]
fn the_life_of_a_client_call() {
    let phases = [Phase::Unsent, Phase::Active, Phase::Ending, Phase::Draining, Phase::Closed];
    assert_snapshot("call_client", &matrix(&phases, &SIGNALS, |phase, on| next(client(phase, on))));
}

#[test]
fn the_life_of_a_server_call() {
    let phases = [Phase::Active, Phase::Answered, Phase::Closed];
    assert_snapshot("call_server", &matrix(&phases, &SIGNALS, |phase, on| next(server(phase, on))));
}

#[test]
fn the_sending_half() {
    assert_snapshot(
        "send",
        &matrix(&SendState::ALL, &SendInput::ALL, |state, on| match state.step(on) {
            next if next == state => "·".to_owned(),
            next => format!("{next:?}"),
        }),
    );
}

#[test]
fn the_receiving_half() {
    assert_snapshot(
        "recv",
        &matrix(&RecvState::ALL, &RecvInput::ALL, |state, on| match state.step(on) {
            Ok(next) if next == state => "·".to_owned(),
            Ok(next) => format!("{next:?}"),
            Err(fault) => format!("! {fault:?}"),
        }),
    );
}

#[test]
fn closed_and_stopped_absorb_everything() {
    for on in SIGNALS {
        assert_eq!((client(Phase::Closed, on), server(Phase::Closed, on)), (Next::Stay, Next::Stay));
    }
    for on in SendInput::ALL {
        assert_eq!(SendState::Stopped.step(on), SendState::Stopped);
    }
    for on in RecvInput::ALL {
        let wanted = match on {
            RecvInput::Head(
                BodyKind::Responses | BodyKind::Message | BodyKind::Error | BodyKind::Useless,
            ) => Err(PeerMisbehaved::MalformedHead),
            _ => Ok(RecvState::Stopped),
        };
        assert_eq!(RecvState::Stopped.step(on), wanted);
    }
}

/// One of each, with how docs/transitions.md calls it.
const REASONS: [(&str, CloseReason); 18] = [
    ("Unsent", CloseReason::Unsent),
    ("Complete", CloseReason::Complete),
    ("Drained", CloseReason::Drained),
    ("Deadline", CloseReason::Deadline),
    ("DrainTimedOut", CloseReason::DrainTimedOut),
    ("DrainTooLarge", CloseReason::DrainTooLarge),
    ("PeerReset(REFUSED_STREAM)", CloseReason::PeerReset(ResetCode::REFUSED_STREAM)),
    ("PeerReset(CANCEL)", CloseReason::PeerReset(ResetCode::CANCEL)),
    ("PeerReset(ENHANCE_YOUR_CALM)", CloseReason::PeerReset(ResetCode::ENHANCE_YOUR_CALM)),
    ("PeerReset(INADEQUATE_SECURITY)", CloseReason::PeerReset(ResetCode::INADEQUATE_SECURITY)),
    ("PeerReset(any other)", CloseReason::PeerReset(ResetCode::PROTOCOL_ERROR)),
    ("PeerMisbehaved(MissingEndStream)", CloseReason::PeerMisbehaved(PeerMisbehaved::MissingEndStream)),
    ("PeerMisbehaved(NoMessage)", CloseReason::PeerMisbehaved(PeerMisbehaved::NoMessage)),
    (
        "PeerMisbehaved(MessageTooLarge)",
        CloseReason::PeerMisbehaved(PeerMisbehaved::MessageTooLarge { len: 2, limit: 1 }),
    ),
    ("PeerMisbehaved(MessageTimeout)", CloseReason::PeerMisbehaved(PeerMisbehaved::MessageTimeout)),
    ("TransportLost", CloseReason::TransportLost(LostKind::Eof)),
    ("Aborted", CloseReason::Aborted(AbortReason::Requested)),
    ("WriteStalled", CloseReason::WriteStalled),
];

#[test]
fn the_documented_codes_are_the_codes() {
    let doc = include_str!("../../../../docs/transitions.md");
    let (_, doc) = doc.split_once("\n## Why a call ended").unwrap();
    let (doc, _) = doc.split_once("\n## ").unwrap();
    for (name, reason) in REASONS {
        let code = reason.code().map_or("none", Code::as_str);
        let initiator = match reason.initiator() {
            Initiator::Both => "both",
            Initiator::Application => "application",
            Initiator::Clock => "clock",
            Initiator::Peer => "peer",
            Initiator::Transport => "transport",
        };
        let row = format!("| `{name}` | {code} | {initiator} |");
        assert!(doc.contains(&row), "docs/transitions.md lacks\n{row}");
    }
    let rows = doc.lines().filter(|line| line.ends_with(" |") && line.split('|').count() == 5);
    let documented = rows.filter(|row| row.starts_with("| `")).count();
    assert_eq!(documented, REASONS.len(), "docs/transitions.md has a row too many");
}
