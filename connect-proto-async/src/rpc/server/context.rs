//! What a handler knows of its call.

use std::sync::Arc;
use std::time::Duration;

use connect_proto::Instant;
use connect_proto::metadata::Metadata;

use super::handle::{CallRef, Ended};
use super::router::Procedure;
use crate::driver::runtime::Peer;

/// What a handler knows of its call, beside its messages.
#[derive(Debug)]
pub struct Context {
    pub(super) call: CallRef,
    pub(super) procedure: Arc<Procedure>,
    /// Which of the procedure's codecs it is.
    pub(super) codec: usize,
    pub(super) metadata: Metadata,
    pub(super) query: Option<String>,
    pub(super) deadline: Option<Instant>,
    pub(super) peer: Arc<Peer>,
}

impl Context {
    /// The procedure's path, such as `/acme.greet.v1.GreetService/Greet`.
    #[must_use]
    pub fn procedure(&self) -> &str {
        self.procedure.path()
    }

    /// The codec of the messages, in both directions: one of the [router's](super::Router::new).
    #[must_use]
    pub fn codec(&self) -> &str {
        self.procedure.codec(self.codec)
    }

    /// The request's headers, the protocol's own among them.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The query of the request's URL, as it was sent, if the call came by GET.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// Who calls.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// How long the call may still take; `None` if nobody has set a limit.
    #[must_use]
    pub fn time_left(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(self.call.now()))
    }

    /// Ready once the call has ended, or at once if it has by now: under its handler, since the client has given up or is gone or the time is up, or by
    /// the handler's answer. The reason says which.
    ///
    /// A handler needs it only for work that it has handed to others: it is itself polled once more when that happens, and
    /// dropped if it is not done then.
    pub fn ended(&self) -> Ended {
        Ended::new(&self.call)
    }
}

/// As long as somebody may ask for it, the end is kept.
impl Drop for Context {
    fn drop(&mut self) {
        self.call.forget();
    }
}
