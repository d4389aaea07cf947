//! Over HTTP/1.1.

mod phases;
mod rules;

use self::phases::Peer;
use self::rules::{ServerStage, Stage};
use super::{Application, DEADLINE, explore, outcome, time_passes, until_deadline};
use crate::testing::{Alone, Calls, Endpoint};

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

impl Peer {
    fn ends<R: Calls>(&mut self, alone: &mut Alone<R>) {
        alone.feed(&std::mem::take(&mut self.rest));
        self.violation = b"garbage\r\n\r\n";
    }

    fn misbehaves<R: Calls>(&mut self, alone: &mut Alone<R>) {
        alone.feed(self.violation);
        self.rest.clear();
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
        Op::EndOfStream => peer.ends(alone),
        Op::Violation => peer.misbehaves(alone),
        Op::Writable => alone.outgoing.unblock(),
        Op::TimePasses => time_passes(alone),
    }
    alone.run();
}

#[test]
fn client_over_http1() {
    explore("client over HTTP/1.1", &phases::CLIENT, &OPS, |phase, ops| {
        let (mut client, mut peer, mut facts) = phases::client(phase);
        for op in ops {
            happens(&mut client, &mut peer, *op);
        }
        facts = facts.all_happen(ops);
        client.end.listening = true;
        client.run();
        client.end.assert_orderly();
        let expected = match facts.stage {
            Stage::Over(end) => Some(end),
            _ => None,
        };
        (outcome(&client.end), (expected, facts.verdict))
    });
}

#[test]
fn server_over_http1() {
    explore("server over HTTP/1.1", &phases::SERVER, &OPS, |phase, ops| {
        let (mut server, mut peer, mut facts) = phases::server(phase);
        let serves = server.end.serves.clone().unwrap();
        for op in ops {
            happens(&mut server, &mut peer, *op);
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
        (outcome(&server.end), (expected, facts.verdict))
    });
}
