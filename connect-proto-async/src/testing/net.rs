//! The simulated network: who listens where, and which connections there are.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::faults::{Dial, Fault, Faults, Side};
use super::link::{Around, Link, LinkId};
use super::trace::Event;
use super::world::{Shared, World};
use crate::{Address, Peer};

/// The first of the ports that are chosen for listeners.
const FIRST_PORT: u16 = 49152;

pub(super) struct Net {
    pub(super) faults: Faults,
    pub(super) scripted_dials: VecDeque<Dial>,
    pub(super) scripted_accept_errors: VecDeque<io::ErrorKind>,
    listeners: BTreeMap<Place, Backlog>,
    links: BTreeMap<LinkId, Link>,
    last_link: LinkId,
}

/// Where somebody listens: a host and a port. All names of the loopback are one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    host: String,
    port: u16,
}

#[derive(Default)]
struct Backlog {
    waiting: VecDeque<LinkId>,
    acceptor: Option<Waker>,
}

impl Place {
    pub(super) fn of(address: &Address) -> io::Result<Self> {
        let Address::Tcp { host, port } = address else {
            let error = format!("{address} is not of TCP, which alone is simulated");
            return Err(io::Error::new(io::ErrorKind::Unsupported, error));
        };
        let host = if host == "localhost" { "127.0.0.1" } else { host };
        Ok(Place { host: host.to_owned(), port: *port })
    }

    pub(super) fn address(&self) -> Address {
        Address::Tcp { host: self.host.clone(), port: self.port }
    }
}

impl Default for Net {
    fn default() -> Self {
        Net {
            faults: Faults::none(),
            scripted_dials: VecDeque::new(),
            scripted_accept_errors: VecDeque::new(),
            listeners: BTreeMap::new(),
            links: BTreeMap::new(),
            last_link: 0,
        }
    }
}

impl Net {
    pub(super) fn streams(&self) -> usize {
        self.links.values().map(Link::held).sum()
    }

    pub(super) fn listeners(&self) -> usize {
        self.listeners.len()
    }

    pub(super) fn connection_ids(&self) -> Vec<LinkId> {
        self.links.keys().copied().collect()
    }
}

impl World {
    pub(super) fn listen(&mut self, mut place: Place) -> io::Result<Place> {
        let listeners = &mut self.net.listeners;
        if place.port == 0 {
            let free = (FIRST_PORT..).find(|port| listeners.keys().all(|taken| taken.port != *port));
            place.port = free.ok_or(io::ErrorKind::AddrNotAvailable)?;
        }
        if listeners.contains_key(&place) {
            let address = place.address();
            return Err(io::Error::new(
                io::ErrorKind::AddrInUse,
                format!("cannot listen at {address}: it is taken"),
            ));
        }
        listeners.insert(place.clone(), Backlog::default());
        Ok(place)
    }

    /// A listener is dropped: those who were not accepted lose their connections.
    pub(super) fn stop_listening(&mut self, place: &Place) {
        let Some(backlog) = self.net.listeners.remove(place) else { return };
        for id in backlog.waiting {
            self.on_link(id, |link, around| {
                link.inject(Side::Acceptor, 0, Fault::Reset, around);
                link.drop_end(Side::Acceptor, around);
            });
        }
    }

    /// Decides how an attempt to connect goes.
    pub(super) fn plan_dial(&mut self, place: &Place) -> Dial {
        let scripted = self.net.scripted_dials.pop_front();
        let dial = scripted.unwrap_or_else(|| self.net.faults.dial(&mut self.random));
        let Place { host, port } = place.clone();
        self.trace.note(self.clock.now(), Event::Dialling { host, port, dial });
        dial
    }

    pub(super) fn connect(&mut self, place: &Place) -> io::Result<LinkId> {
        let backlog = self.net.listeners.get_mut(place).ok_or_else(|| refused(place))?;
        self.net.last_link += 1;
        let id = self.net.last_link;
        backlog.waiting.push_back(id);
        self.woken.extend(backlog.acceptor.take());
        self.net.links.insert(id, Link::new(id, &self.net.faults, &mut self.random));
        self.trace.note(self.clock.now(), Event::Connected(id));
        Ok(id)
    }

    pub(super) fn accept(&mut self, place: &Place, cx: &Context<'_>) -> Poll<io::Result<(LinkId, Peer)>> {
        if let Some(error) = self.net.scripted_accept_errors.pop_front() {
            return Poll::Ready(Err(error.into()));
        }
        let backlog = self.net.listeners.get_mut(place).ok_or(io::ErrorKind::NotConnected)?;
        let Some(id) = backlog.waiting.pop_front() else {
            backlog.acceptor = Some(cx.waker().clone());
            return Poll::Pending;
        };
        backlog.acceptor = None;
        self.on_link(id, Link::accept);
        let port = u16::try_from(id % u64::from(FIRST_PORT)).unwrap_or_default().max(1);
        let host = place.host.parse().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        Poll::Ready(Ok((id, Peer::at(SocketAddr::new(host, port)))))
    }

    /// Does something on a connection; `None` if it is over.
    pub(super) fn on_link<T>(
        &mut self,
        id: LinkId,
        act: impl FnOnce(&mut Link, &mut Around<'_>) -> T,
    ) -> Option<T> {
        let World { random, clock, net, trace, woken, .. } = self;
        let link = net.links.get_mut(&id)?;
        let done = act(link, &mut Around { clock, random, trace, woken });
        if link.is_over() {
            net.links.remove(&id);
        }
        Some(done)
    }
}

pub(super) fn refused(place: &Place) -> io::Error {
    let address = place.address();
    io::Error::new(io::ErrorKind::ConnectionRefused, format!("cannot connect to {address}: it is refused"))
}

/// A connection of a [`Sim`](super::Sim), for a test to meddle with. It does not keep the connection open.
#[derive(Clone, Debug)]
pub struct Connection {
    shared: Arc<Shared>,
    id: LinkId,
}

impl Connection {
    pub(super) fn new(shared: Arc<Shared>, id: LinkId) -> Self {
        Connection { shared, id }
    }

    /// Lets a fault come now, for what `from` writes. On a connection that is over it does nothing.
    pub fn inject(&self, from: Side, fault: Fault) {
        self.inject_after(from, 0, fault);
    }

    /// Lets a fault come once `from` has written so many more bytes.
    pub fn inject_after(&self, from: Side, bytes: u64, fault: Fault) {
        self.shared
            .with(|world| world.on_link(self.id, |link, around| link.inject(from, bytes, fault, around)));
    }

    /// How many bytes an end has written; `None` if both ends are gone.
    #[must_use]
    pub fn written(&self, side: Side) -> Option<u64> {
        self.shared.with(|world| world.on_link(self.id, |link, _| link.written(side)))
    }
}
