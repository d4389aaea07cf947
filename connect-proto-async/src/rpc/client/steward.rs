//! What a client does on one of its connections: it tells the pool what becomes of it.

use std::sync::{Arc, Weak};
use std::task::Context;

use connect_proto::Instant;
use connect_proto::connection::{Client, Fate, Notice};
use connect_proto::error::ResetCode;

use super::connections::{Connections, Machine};
use crate::driver::pool::ConnectionId;
use crate::driver::shared::{Shared, State};
use crate::driver::task::Attendant;

/// Notes down under the connection's lock what the pool is to be told outside of it.
pub(super) struct Steward {
    connections: Weak<Connections>,
    id: ConnectionId,
    /// Calls that have ended.
    freed: usize,
    news: Vec<News>,
}

#[derive(Clone, Copy)]
enum News {
    Closing,
    Suspect,
    Calm,
    Ended,
}

impl Steward {
    pub(super) fn new(connections: Weak<Connections>, id: ConnectionId) -> Self {
        Steward { connections, id, freed: 0, news: Vec::new() }
    }

    /// Tells the pool all of it.
    fn report(&mut self) {
        let (freed, news) = (std::mem::take(&mut self.freed), std::mem::take(&mut self.news));
        if freed == 0 && news.is_empty() {
            return;
        }
        if let Some(connections) = self.connections.upgrade() {
            let id = self.id;
            connections.connection(|pool: &mut Machine, now| {
                // First what keeps calls away.
                for news in news {
                    match news {
                        News::Closing => pool.closing(now, id),
                        News::Suspect => pool.suspect(now, id),
                        News::Calm => pool.calm(now, id),
                        News::Ended => pool.ended(now, id),
                    }
                }
                for _ in 0..freed {
                    pool.freed(now, id);
                }
            });
        }
    }
}

impl Attendant<Client> for Steward {
    fn notice(&mut self, state: &mut State<Client>, _: Instant, notice: Notice) {
        match notice {
            Notice::Closed(_, closed) => {
                self.freed += 1;
                if matches!(closed.fate, Fate::Closing(_)) {
                    self.news.push(News::Closing);
                }
            }
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
