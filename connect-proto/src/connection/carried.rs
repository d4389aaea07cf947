//! A call and what carries it, for as long as the application looks at it.

use std::ops::ControlFlow;

use super::exchange::Wire;
use super::live::Live;
use super::machine::Machine;
#[cfg(feature = "http2")]
use super::multiplex::OnStream;
use super::role::Side;
use super::{CallId, Connection, Protocol, Role};
use crate::call::{Event, SendError};
use crate::message::Outbound;
use crate::time::Instant;

/// A call and what carries it.
#[derive(Debug)]
pub(super) enum Carried<'a, S: Side> {
    Http1(&'a mut Live<S::Call>, &'a mut Wire<S::Link>),
    #[cfg(feature = "http2")]
    Http2(OnStream<'a, S>),
}

impl<S: Side> Carried<'_, S> {
    pub(super) fn call(&self) -> &S::Call {
        match self {
            Carried::Http1(live, _) => &live.call,
            #[cfg(feature = "http2")]
            Carried::Http2(stream) => stream.call(),
        }
    }

    /// For what changes nothing that the connection would have to act on.
    pub(super) fn call_mut(&mut self) -> &mut S::Call {
        match self {
            Carried::Http1(live, _) => &mut live.call,
            #[cfg(feature = "http2")]
            Carried::Http2(stream) => stream.call_mut(),
        }
    }

    #[inline]
    pub(super) fn command<T>(&mut self, now: Instant, command: impl FnOnce(&mut S::Call) -> T) -> T {
        match self {
            Carried::Http1(live, wire) => live.command(*wire, now, command),
            #[cfg(feature = "http2")]
            Carried::Http2(stream) => stream.command(now, command),
        }
    }

    pub(super) fn send_each(
        &mut self,
        now: Instant,
        next: impl FnMut() -> Option<Outbound>,
    ) -> Result<(), SendError> {
        self.command(now, |call| std::iter::from_fn(next).try_for_each(|message| call.send(now, message)))
    }

    pub(super) fn poll_event(&mut self, now: Instant) -> Option<Event> {
        let mut taken = None;
        self.poll_events(now, |event| {
            taken = Some(event);
            ControlFlow::Break(())
        });
        taken
    }

    pub(super) fn poll_events(&mut self, now: Instant, take: impl FnMut(Event) -> ControlFlow<()>) {
        match self {
            Carried::Http1(live, wire) => live.poll_events(*wire, now, take),
            #[cfg(feature = "http2")]
            Carried::Http2(stream) => stream.poll_events(now, take),
        }
    }
}

impl<R: Role> Connection<R> {
    pub(super) fn carried(&mut self, id: CallId) -> Option<Carried<'_, R>> {
        match &mut self.protocol {
            Protocol::Http1(http1) => {
                let (live, wire) = http1.exchange.live(id)?;
                Some(Carried::Http1(live, wire))
            }
            #[cfg(feature = "http2")]
            Protocol::Http2(multiplex) => Some(Carried::Http2(multiplex.on_stream(id)?)),
        }
    }
}
