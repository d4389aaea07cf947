//! What is measured, by name.

use connect_proto::call::Kind;

use crate::{BareServer, ClientEnd, Pair, ServerEnd};

/// Messages of a stream.
pub const MESSAGES: usize = 10_000;

/// Runs the whole thing once.
pub type Run = Box<dyn FnMut()>;

/// What one run of a scenario carries, by which its cost is divided.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Per {
    /// One unary call of 128 bytes each way.
    Call,
    /// [`MESSAGES`] messages of 16 bytes.
    Message,
}

impl Per {
    /// How many there are in a run.
    #[must_use]
    pub fn run(self) -> usize {
        match self {
            Per::Call => 1,
            Per::Message => MESSAGES,
        }
    }
}

/// Something to run again and again on one connection.
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// What its cost is divided by.
    pub per: Per,
    /// Makes the connection.
    pub new: fn() -> Run,
}

/// All of them.
pub const ALL: [Scenario; 9] = [
    Scenario { name: "unary_bare_server", per: Per::Call, new: unary_bare_server },
    Scenario { name: "unary_server", per: Per::Call, new: || server(Kind::Unary) },
    Scenario { name: "unary_client", per: Per::Call, new: || client(Kind::Unary) },
    Scenario { name: "unary_pair", per: Per::Call, new: || pair(Kind::Unary) },
    Scenario { name: "send_server", per: Per::Message, new: || server(Kind::ServerStream) },
    Scenario { name: "receive_client", per: Per::Message, new: || client(Kind::ServerStream) },
    Scenario { name: "send_client", per: Per::Message, new: || client(Kind::ClientStream) },
    Scenario { name: "receive_server", per: Per::Message, new: || server(Kind::ClientStream) },
    Scenario { name: "stream_pair", per: Per::Message, new: || pair(Kind::ServerStream) },
];

fn unary_bare_server() -> Run {
    // Heads are the work of HTTP: they are made beforehand, so that they do not count.
    const HEADS: usize = 4096;
    let server = BareServer::default();
    let mut heads: Vec<_> = (0..HEADS).map(|_| server.head()).collect();
    Box::new(move || {
        let head = heads.pop().unwrap_or_else(|| server.head());
        assert_eq!(server.call(head), 128);
    })
}

fn server(kind: Kind) -> Run {
    let (request, response) = Pair::record(kind, MESSAGES);
    let mut server = ServerEnd::new(kind, MESSAGES);
    Box::new(move || {
        let (mut rest, mut written, mut closed) = (request.as_slice(), 0, 0);
        while closed == 0 {
            rest = server.wire.read(rest);
            closed += server.serve();
            written += server.wire.write(&mut |_| {});
            closed += server.serve();
        }
        assert!(rest.is_empty() && written == response.len());
    })
}

fn client(kind: Kind) -> Run {
    let (request, response) = Pair::record(kind, MESSAGES);
    let mut client = ClientEnd::new(kind, MESSAGES);
    Box::new(move || {
        client.call();
        let (mut rest, mut written, mut closed) = (response.as_slice(), 0, 0);
        while closed == 0 {
            written += client.wire.write(&mut |_| {});
            closed += client.serve();
            if written == request.len() {
                rest = client.wire.read(rest);
                closed += client.serve();
            }
        }
        assert!(rest.is_empty());
    })
}

fn pair(kind: Kind) -> Run {
    let mut pair = Pair::new(kind, MESSAGES);
    Box::new(move || pair.call(|_| {}, |_| {}))
}
