//! Calls over HTTP/2: the engine and the protocol joined.

use connect_proto::call::Kind;

use super::Work;
use super::record::Peer;
use crate::ServerEnd;
use crate::scenario::Run;

/// A server that answers unary calls.
pub(crate) fn server(work: Work) -> Run {
    let mut peer = Peer::client(work);
    let mut server = ServerEnd::new(Kind::Unary, 1);
    for begin in &peer.begin {
        serve(&mut server, begin);
    }
    Box::new(move || {
        let (closed, written) = serve(&mut server, peer.next(work.response));
        assert!(closed == 1 && written > work.response);
    })
}

/// Serves what comes; says how many calls are over by that, and how much was written.
fn serve(server: &mut ServerEnd, mut bytes: &[u8]) -> (usize, usize) {
    let (mut closed, mut written) = (0, 0);
    loop {
        let before = (bytes.len(), closed, written);
        bytes = server.wire.read(bytes);
        closed += server.serve();
        written += server.wire.write(&mut |_| {});
        closed += server.serve();
        if before == (bytes.len(), closed, written) {
            return (closed, written);
        }
    }
}
