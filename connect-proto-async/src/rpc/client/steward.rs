//! What a client does on one of its connections: it tells the pool what becomes of it.

use std::sync::{Arc, Weak};
use std::task::Context;

use connect_proto::Instant;
use connect_proto::connection::{CallClosed, Client, Notice};
use connect_proto::error::ResetCode;

use super::connections::Connections;
use crate::driver::pool::ConnectionId;
use crate::driver::shared::{Shared, State};
use crate::driver::task::Attendant;

/// Notes down under the connection's lock what the pool is to be told outside of it.
pub(super) struct Steward {
    connections: Weak<Connections>,
    id: ConnectionId,
    closed: Vec<CallClosed>,
    news: Vec<News>,
}

#[derive(Clone, Copy)]
enum News {
    Suspect,
    Calm,
    Ended,
}

impl Steward {
    pub(super) fn new(connections: Weak<Connections>, id: ConnectionId) -> Self {
        Steward { connections, id, closed: Vec::new(), news: Vec::new() }
    }

    /// Tells the pool all of it.
    fn report(&mut self) {
        if self.closed.is_empty() && self.news.is_empty() {
            return;
        }
        let Some(connections) = self.connections.upgrade() else { return };
        let id = self.id;
        // First what keeps calls away.
        for news in self.news.drain(..) {
            match news {
                News::Suspect => connections.connection(|pool, now| pool.suspect(now, id)),
                News::Calm => connections.connection(|pool, now| pool.calm(now, id)),
                News::Ended => connections.ended(id),
            }
        }
        for closed in self.closed.drain(..) {
            connections.call_ended(id, &closed);
        }
    }
}

impl Attendant<Client> for Steward {
    fn notice(&mut self, state: &mut State<Client>, _: Instant, notice: Notice) {
        match notice {
            Notice::Closed(_, closed) => self.closed.push(closed),
            Notice::Suspect => self.news.push(News::Suspect),
            Notice::Ended(_) => {
                if state.connection.goaway().is_some_and(|goaway| goaway.code == ResetCode::ENHANCE_YOUR_CALM)
                {
                    self.news.push(News::Calm);
                }
                self.news.push(News::Ended);
            }
            _ => {}
        }
    }

    fn attend(&mut self, _: &Arc<Shared<Client>>, _: &mut Context<'_>) {
        self.report();
    }
}

/// The task may be dropped with its runtime.
impl Drop for Steward {
    fn drop(&mut self) {
        self.news.push(News::Ended);
        self.report();
    }
}
