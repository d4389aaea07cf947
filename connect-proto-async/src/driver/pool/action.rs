//! What a pool decides, and what it is told of that.

use std::io;
use std::sync::Arc;

use super::{ConnectionId, Protocol};

/// Names a call in a pool. None is used twice; a later call has a greater ticket.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Ticket(pub(super) u64);

/// A call with the connection it goes on.
#[derive(Debug)]
#[must_use]
pub(crate) struct Assigned<C, W> {
    pub(crate) call: W,
    pub(crate) connection: C,
    pub(crate) lease: Lease,
}

/// A call's place on a connection, to be told of by [`Pool::refused`](super::Pool::refused) if the connection does not
/// take the call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Lease {
    /// The connection.
    pub(crate) connection: ConnectionId,
    /// What that speaks.
    pub(crate) protocol: Protocol,
    /// The call.
    pub(crate) ticket: Ticket,
    pub(super) refusals: u32,
}

/// What becomes of a call that is opened.
#[derive(Debug)]
#[must_use]
pub(crate) enum Assignment<C, W> {
    /// It goes on a connection at once.
    Assigned(Assigned<C, W>),
    /// It waits, until an action assigns or fails it or [`Pool::cancel`](super::Pool::cancel) takes it back.
    Waiting(Ticket),
    /// It gets no connection.
    Refused(W, Failure),
}

/// Something to do.
#[derive(Debug)]
#[must_use]
pub(crate) enum Action<C, W> {
    /// Make a connection. If it speaks HTTP/2, its keep-alive is to be backed off by so many steps.
    Dial { id: ConnectionId, backed_off: u32 },
    /// Stop making this connection. Should it have been made nevertheless, tell so: it is then shut down.
    GiveUp(ConnectionId),
    /// Put a call that waited on a connection.
    Assign(Assigned<C, W>),
    /// End a call that waited: it gets no connection, and nothing of it was sent.
    Fail(W, Failure),
    /// Let a connection end with the calls it has.
    ShutDown(C),
    /// Abort what is drained on a connection, and let it end.
    Cut(C),
}

/// Why a call gets no connection.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("too many calls wait for a connection")]
    TooManyWaiting,
    #[error("no connection could be made: {0}")]
    DialFailed(Arc<io::Error>),
    #[error("no connection could be made in time")]
    ConnectTimeout,
    #[error("no connection could be made: the runtime has stopped")]
    Stopped,
    #[error("no connection took the call")]
    NotTaken,
    #[error("the channel is shut down")]
    ShutDown,
}

/// Why a connection did not take a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refusal {
    /// It may again, once one of its calls has ended.
    Busy,
    /// It never will again.
    GoingAway,
}
