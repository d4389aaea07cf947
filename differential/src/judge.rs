//! Whether both sides have seen the same.

use http::{HeaderMap, HeaderValue, header};

use crate::log::{End, Seen, World};
use crate::plan::{CLIENT, Call, Ending, Message, SERVER};

/// # Panics
/// If they have not.
pub(crate) fn judge(world: &World) {
    for (number, call) in world.plan.calls.iter().enumerate() {
        let (client, server) = (&world.seen[CLIENT][number], &world.seen[SERVER][number]);
        if let Err(why) = judge_call(world.plan.ending, number, call, client, server) {
            panic!("call {number}: {why}\n{call:?}\nclient {client:?}\nserver {server:?}");
        }
    }
}

fn judge_call(
    ending: Ending,
    number: usize,
    call: &Call,
    client: &Seen,
    server: &Seen,
) -> Result<(), String> {
    let may_end = ending != Ending::None;
    judge_part(&call.request, &format!("POST http://host/{number}"), server)
        .map_err(|why| format!("request: {why}"))?;
    judge_part(&call.response, call.status.to_string().as_str(), client)
        .map_err(|why| format!("response: {why}"))?;
    if server.head.is_none() {
        // The server knows nothing of it.
        let client_gone =
            matches!(client.end, Some(End::Lost)) && matches!(ending, Ending::Cut | Ending::TheirsAbrupt);
        return match client.end {
            Some(End::Refused) => Ok(()),
            Some(End::Unopened) if may_end => Ok(()),
            Some(End::GivenUp) if call.request.reset.is_some() => Ok(()),
            _ if client_gone => Ok(()),
            _ => Err("never came".into()),
        };
    }
    if may_end && matches!(ending, Ending::Cut | Ending::TheirsAbrupt) {
        return Ok(());
    }
    if matches!(client.end, Some(End::Refused | End::Unopened)) {
        return Err("refused and processed".into());
    }
    let resets = [call.request.reset, call.response.reset];
    judge_end(client, resets, CLIENT).map_err(|why| format!("response: {why}"))?;
    if !call.is_early {
        judge_end(server, resets, SERVER).map_err(|why| format!("request: {why}"))?;
    }
    Ok(())
}

/// What was seen is the message, or the beginning of it.
fn judge_part(message: &Message, line: &str, seen: &Seen) -> Result<(), String> {
    if let Some((found, fields)) = &seen.head {
        let mut expected = message.fields.clone();
        if message.is_announced {
            expected.insert(header::CONTENT_LENGTH, HeaderValue::from(message.len));
        }
        if found != line || *fields != expected {
            return Err(format!("another head: {line} {expected:?}"));
        }
        if !same_order(fields, &expected) {
            return Err("another order".into());
        }
    }
    if seen.len > message.reset.map_or(message.len, |(until, _)| until) {
        return Err("too long".into());
    }
    match &seen.end {
        Some(End::Complete(_)) if message.reset.is_some() => Err("it was reset and looks complete".into()),
        Some(End::Complete(_)) if seen.len != message.len || seen.head.is_none() => {
            Err("it is cut off and looks complete".into())
        }
        Some(End::Complete(trailers)) if *trailers != message.trailers.clone().unwrap_or_default() => {
            Err("other trailers".into())
        }
        Some(End::Wrong(what)) => Err(what.clone()),
        None if seen.head.is_some() => Err("no end".into()),
        _ => Ok(()),
    }
}

/// The values of each name are in the same order. (That is what equality of maps says, too; names need no order.)
fn same_order(found: &HeaderMap, expected: &HeaderMap) -> bool {
    expected.keys().all(|name| found.get_all(name).iter().eq(expected.get_all(name).iter()))
}

/// It ended as it had to, on a connection that nothing happened to. `resets` by side.
fn judge_end(seen: &Seen, resets: [Option<(usize, u32)>; 2], side: usize) -> Result<(), String> {
    let is_theirs = |code: u32| resets[1 - side].is_some_and(|(_, theirs)| theirs == code);
    match &seen.end {
        Some(End::Complete(_)) => Ok(()),
        Some(End::GivenUp) if resets[side].is_some() => Ok(()),
        Some(End::Reset(code)) if is_theirs(*code) => Ok(()),
        // REFUSED_STREAM of the application's own choice.
        Some(End::Refused) if is_theirs(7) => Ok(()),
        end => Err(format!("unexpected {end:?}")),
    }
}
