//! What a client does on one of its connections: it tells the pool what becomes of it.

use std::sync::Weak;

use connect_proto::Instant;
use connect_proto::connection::{CallClosed, Client, Notice};

use super::connections::Connections;
use crate::driver::pool::ConnectionId;
use crate::driver::shared::State;
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
}

impl Attendant<Client> for Steward {
    fn notice(&mut self, state: &mut State<Client>, _: Instant, notice: Notice) {
        if state.take_calm() {
            self.news.push(News::Calm);
        }
        match notice {
            Notice::Closed(_, closed) => self.closed.push(closed),
            Notice::Suspect => self.news.push(News::Suspect),
            Notice::Ended(_) => self.news.push(News::Ended),
            _ => {}
        }
    }

    /// For the pool that is its end: readers may take their time.
    fn severed(&mut self) {
        self.news.push(News::Ended);
    }

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
            connections.call_ended(id, &closed, false);
        }
    }
}

/// The task may be dropped with its runtime.
impl Drop for Steward {
    fn drop(&mut self) {
        self.news.push(News::Ended);
        self.report();
    }
}
