//! Over HTTP/2, where every call has a neighbour that nothing happens to.

mod client;
mod phases;
mod server;

use self::phases::{BYSTANDER, KIND, Peer, STREAM};
use super::{Application, End, Outcome, Processed, Why, explore, outcome, time_passes, until_deadline};
use crate::connection::{Client, Server};
use crate::error::{Code, ResetCode};
use crate::testing::peer_http2::{data, goaway, reset, response_head, window_update};
use crate::testing::{Alone, Calls, Endpoint, peer};
use crate::wire::envelope::Flags;

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
    /// The peer resets the call's stream: it has cancelled it.
    StreamReset,
    /// The peer resets the call's stream with NO_ERROR: it needs no more of it.
    StreamStopped,
    /// The peer takes no more streams, and has not taken this one.
    GoAwayBelow,
    /// The peer takes no more streams beyond this one.
    GoAwayAbove,
    /// The peer sends the rest of its message, if it has not yet.
    EndOfStream,
    /// The peer breaks a rule that only concerns the stream.
    StreamViolation,
    /// The peer breaks a rule of the connection.
    ConnectionViolation,
    /// The transport takes bytes again.
    Writable,
    /// The peer takes more of the call's body.
    WindowUpdate,
    /// Longer than every limit but the call's deadline.
    TimePasses,
}

const OPS: [Op; 16] = [
    Op::Close,
    Op::Abort,
    Op::Finish,
    Op::Deadline,
    Op::Eof,
    Op::Reset,
    Op::StreamReset,
    Op::StreamStopped,
    Op::GoAwayBelow,
    Op::GoAwayAbove,
    Op::EndOfStream,
    Op::StreamViolation,
    Op::ConnectionViolation,
    Op::Writable,
    Op::WindowUpdate,
    Op::TimePasses,
];

impl Op {
    /// Whether it is about the call's stream and no other.
    fn is_of_stream(self) -> bool {
        self.is_on_stream() || self == Op::GoAwayBelow
    }

    /// Whether it is a frame on the call's stream.
    fn is_on_stream(self) -> bool {
        matches!(
            self,
            Op::StreamReset | Op::StreamStopped | Op::EndOfStream | Op::StreamViolation | Op::WindowUpdate
        )
    }
}

fn happens<R: Calls>(alone: &mut Alone<R>, peer: &mut Peer, op: Op)
where
    Endpoint<R>: Application,
{
    match op {
        Op::Close => alone.end.leave(),
        Op::Abort => Application::abort(&mut alone.end),
        Op::Finish => Application::finish(&mut alone.end),
        Op::Deadline => until_deadline(alone),
        Op::Eof => alone.eof(),
        Op::Reset => alone.reset(),
        Op::StreamReset => alone.feed(&reset(STREAM, ResetCode::CANCEL)),
        Op::StreamStopped => alone.feed(&reset(STREAM, ResetCode::NO_ERROR)),
        Op::GoAwayBelow => alone.feed(&goaway(BYSTANDER, ResetCode::NO_ERROR)),
        Op::GoAwayAbove => alone.feed(&goaway(STREAM, ResetCode::NO_ERROR)),
        Op::EndOfStream => alone.feed(&std::mem::take(&mut peer.rest)),
        Op::StreamViolation => alone.feed(&window_update(STREAM, 0)),
        Op::ConnectionViolation => alone.feed(&window_update(0, 0)),
        Op::Writable => alone.outgoing.unblock(),
        Op::WindowUpdate => alone.feed(&window_update(STREAM, 1 << 20)),
        Op::TimePasses => time_passes(alone),
    }
    alone.run();
}

/// What of a connection is known beside its call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Connection {
    /// The transport takes no bytes, and some wait.
    stuck: bool,
    /// One of the sides takes no more calls.
    leaving: bool,
    /// How its calls were lost, if they were.
    lost: Option<Why>,
}

impl Connection {
    fn happens(&mut self, op: Op) {
        match op {
            _ if self.lost.is_some() => {}
            Op::Eof | Op::Reset | Op::ConnectionViolation => self.lost = Some(Why::TransportLost),
            Op::TimePasses | Op::Deadline if self.stuck => self.lost = Some(Why::WriteStalled),
            Op::GoAwayBelow | Op::GoAwayAbove => self.leaving = true,
            Op::Writable => self.stuck = false,
            _ => {}
        }
    }

    fn reusable(&self) -> bool {
        !self.leaving && self.lost.is_none()
    }

    /// How the neighbour ends, which is asked to at the end of it all.
    fn bystander(&self, processed: Processed, lost: Code) -> Outcome {
        let (why, processed, verdict) = match self.lost {
            Some(Why::WriteStalled) => (Why::WriteStalled, processed, Err(Code::Unavailable)),
            Some(why) => (why, processed, Err(lost)),
            None => (Why::Complete, Processed::Yes, Ok(())),
        };
        (Some(End { why, processed, reusable: self.reusable() }), Some(verdict))
    }
}

#[test]
fn client_over_http2() {
    explore("client over HTTP/2", &phases::CLIENT, &OPS, |phase, ops| {
        let (mut client, mut peer, mut facts) = phases::client(phase);
        let bystander = peer.bystander;
        for op in ops {
            happens::<Client>(&mut client, &mut peer, *op);
            facts.happens(*op);
        }
        client.end.listening = true;
        client.run();
        let actual = outcome(&client.end);
        client.outgoing.unblock();
        client.end.select(bystander);
        client.feed(
            &[
                response_head(BYSTANDER, KIND),
                data(BYSTANDER, false, &peer::envelope(Flags::NONE, b"pong")),
                data(BYSTANDER, true, &peer::end_stream()),
            ]
            .concat(),
        );
        client.end.assert_orderly();
        let expected = facts.connection.bystander(Processed::Unknown, Code::Unavailable);
        ((actual, outcome(&client.end)), (facts.outcome(), expected))
    });
}

#[test]
fn server_over_http2() {
    explore("server over HTTP/2", &phases::SERVER, &OPS, |phase, ops| {
        let (mut server, mut peer, mut facts) = phases::server(phase);
        let bystander = peer.bystander;
        for op in ops {
            happens::<Server>(&mut server, &mut peer, *op);
            facts.happens(*op);
        }
        if phase == "not started" {
            let (id, now) = (server.end.call_id().unwrap(), server.now());
            let serves = server.end.serves.clone().unwrap();
            server.end.connection.start(now, id, &serves.0, &serves.1);
            facts.start(ops);
        }
        server.end.listening = true;
        server.run();
        let actual = outcome(&server.end);
        server.outgoing.unblock();
        server.run();
        server.end.select(bystander);
        server.end.send("pong").ok();
        Application::finish(&mut server.end);
        server.feed(&window_update(BYSTANDER, 100));
        server.end.assert_orderly();
        // A server is not told its own verdict.
        let (end, verdict) = facts.connection.bystander(Processed::Yes, Code::Canceled);
        ((actual, outcome(&server.end)), (facts.outcome(), (end, verdict.filter(Result::is_err))))
    });
}
