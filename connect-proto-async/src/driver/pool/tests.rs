//! The rules of the pool, in virtual time.

mod http1;
mod http2;
mod lifetime;
mod properties;

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use connect_proto::Instant;

use super::*;

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// A pool whose calls are names and whose connections are numbered in the order of their dials, from 1.
struct Scene {
    pool: Pool<usize, &'static str>,
    now: Instant,
    dials: Vec<ConnectionId>,
    tickets: BTreeMap<&'static str, Ticket>,
    leases: BTreeMap<&'static str, Lease>,
    backed_off: u32,
}

impl Scene {
    fn new(set: impl FnOnce(&mut PoolConfig)) -> Self {
        let mut config = PoolConfig::default();
        set(&mut config);
        Scene {
            pool: Pool::new(config),
            now: Instant::ORIGIN,
            dials: Vec::new(),
            tickets: BTreeMap::new(),
            leases: BTreeMap::new(),
            backed_off: 0,
        }
    }

    fn http1() -> Self {
        Scene::new(|config| config.protocol = Protocol::Http1)
    }

    fn http2() -> Self {
        Scene::new(|config| config.protocol = Protocol::Http2)
    }

    /// Opens calls, and says what becomes of each and what is then to be done.
    fn open(&mut self, calls: &[&'static str]) -> Vec<String> {
        let mut told = Vec::new();
        for &call in calls {
            match self.pool.open(self.now, call) {
                Assignment::Assigned(assigned) => told.push(self.assigned(assigned)),
                Assignment::Waiting(ticket) => {
                    self.tickets.insert(call, ticket);
                    told.push(format!("{call} waits"));
                }
                Assignment::Refused(call, why) => told.push(format!("{call} refused: {why}")),
            }
            told.extend(self.actions());
        }
        told
    }

    fn assigned(&mut self, assigned: Assigned<usize, &'static str>) -> String {
        let Assigned { call, connection, lease } = assigned;
        assert_eq!(self.dials[connection - 1], lease.connection);
        self.leases.insert(call, lease);
        format!("{call} on {connection}")
    }

    /// What is to be done.
    fn actions(&mut self) -> Vec<String> {
        let mut told = Vec::new();
        while let Some(action) = self.pool.poll_action() {
            told.push(match action {
                Action::Dial { id, backed_off } => {
                    self.dials.push(id);
                    self.backed_off = backed_off;
                    format!("dial {}", self.dials.len())
                }
                Action::GiveUp(id) => format!("give up {}", self.number(id)),
                Action::Assign(assigned) => self.assigned(assigned),
                Action::Fail(call, why) => format!("{call} fails: {why}"),
                Action::ShutDown(connection) => format!("shut down {connection}"),
                Action::Cut(connection) => format!("cut {connection}"),
            });
        }
        told
    }

    fn number(&self, id: ConnectionId) -> usize {
        self.dials.iter().position(|dial| *dial == id).unwrap() + 1
    }

    fn id(&self, number: usize) -> ConnectionId {
        self.dials[number - 1]
    }

    fn dialled(&mut self, number: usize) -> Vec<String> {
        let protocol = self.pool.config.protocol;
        self.dialled_as(number, protocol)
    }

    fn dialled_as(&mut self, number: usize, protocol: Protocol) -> Vec<String> {
        self.pool.dialled(self.now, self.id(number), number, protocol);
        self.actions()
    }

    fn dial_fails(&mut self, number: usize) -> Vec<String> {
        self.pool.dial_failed(self.now, self.id(number), io::Error::other("no route"));
        self.actions()
    }

    fn freed(&mut self, number: usize) -> Vec<String> {
        self.pool.freed(self.now, self.id(number));
        self.actions()
    }

    fn draining(&mut self, call: &'static str) -> Vec<String> {
        self.pool.draining(self.now, self.leases[call]);
        self.actions()
    }

    fn filled(&mut self, number: usize) -> Vec<String> {
        self.pool.filled(self.now, self.id(number));
        self.actions()
    }

    fn refused(&mut self, call: &'static str, why: Refusal) -> Vec<String> {
        self.pool.refused(self.now, self.leases[call], call, why);
        self.actions()
    }

    fn closing(&mut self, number: usize) -> Vec<String> {
        self.pool.closing(self.now, self.id(number));
        self.actions()
    }

    fn suspect(&mut self, number: usize) -> Vec<String> {
        self.pool.suspect(self.now, self.id(number));
        self.actions()
    }

    fn calm(&mut self, number: usize) -> Vec<String> {
        self.pool.calm(self.now, self.id(number));
        self.actions()
    }

    fn ended(&mut self, number: usize) -> Vec<String> {
        self.pool.ended(self.now, self.id(number));
        self.actions()
    }

    fn cancel(&mut self, call: &'static str) -> Vec<String> {
        assert_eq!(self.pool.cancel(self.tickets[call]), Some(call));
        self.actions()
    }

    fn shut_down(&mut self) -> Vec<String> {
        self.pool.shut_down(self.now);
        self.actions()
    }

    /// Lets time pass without a tick.
    fn sleep(&mut self, time: Duration) {
        self.now = self.now.saturating_add(time);
    }

    /// Lets time pass, with a tick at its end.
    fn pass(&mut self, time: Duration) -> Vec<String> {
        self.sleep(time);
        self.pool.tick(self.now);
        self.actions()
    }

    /// How long it is to the next timer.
    fn timer(&self) -> Option<Duration> {
        self.pool.poll_timeout().map(|at| at.saturating_duration_since(self.now))
    }
}
