//! What a server does on one of its connections.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context as TaskContext;

use connect_proto::Instant;
use connect_proto::connection::{CallId, Notice, Server as ServerRole};
use connect_proto::error::{Code, RpcError};
use connect_proto::message::Encoding;
use connect_proto::metadata::Metadata;
use connect_proto::server::Refusal;
use http::{Method, Version};

use super::handle::{CallRef, Requests, Responses};
use super::router::Procedure;
use super::service::{Permit, Service};
use super::serving::Serving;
use super::{Context, date};
use crate::driver::runtime::Peer;
use crate::driver::shared::{Shared, State};
use crate::driver::task::Attendant;
use crate::trace::{self, CallSpan};

/// Handlers that are begun in one turn, after which what they have answered goes out.
pub(super) const MAX_BEGUN: usize = 32;

/// Starts the calls that arrive, and runs their handlers.
pub(super) struct Host {
    service: Arc<Service>,
    peer: Arc<Peer>,
    /// Started under the lock, to be handled outside of it.
    started: VecDeque<Started>,
    /// Over HTTP/1.1, the handler of the call under way: it runs in the connection's own task.
    resident: Option<Serving>,
    /// When the connection is too old to take further calls.
    retires: Option<Instant>,
    /// When the `date` of responses is to be renewed.
    date_until: Instant,
}

/// A call that was started.
struct Started {
    id: CallId,
    permit: Permit,
    multiplexed: bool,
    procedure: Arc<Procedure>,
    codec: usize,
    metadata: Metadata,
    query: Option<String>,
    deadline: Option<Instant>,
    encoding: Encoding,
}

impl Host {
    pub(super) fn new(service: Arc<Service>, peer: Peer, retires: Option<Instant>) -> Self {
        Host {
            service,
            peer: Arc::new(peer),
            started: VecDeque::new(),
            resident: None,
            retires,
            date_until: Instant::ORIGIN,
        }
    }

    /// Starts or refuses a request.
    fn take(&mut self, state: &mut State<ServerRole>, now: Instant, id: CallId) {
        let Some(incoming) = state.connection.incoming(id) else { return };
        let config = &self.service.call_config;
        let Some(procedure) = self.service.router.find(incoming.procedure()).cloned() else {
            state.connection.refuse(now, id, config, Refusal::NotFound);
            return;
        };
        let multiplexed = incoming.version() >= Version::HTTP_2;
        // One that it does not have is refused by the call itself.
        let codec = incoming.codec().and_then(|name| procedure.codec_named(name)).unwrap_or_default();
        let query = incoming.uri().query().filter(|_| incoming.method() == Method::GET).map(str::to_owned);
        state.connection.start(now, id, config, procedure.spec());
        // One with a bad request has ended by now, and counts for nothing.
        if let Some(mut call) = state.connection.call(id).filter(|call| call.ended().is_none()) {
            let Some(permit) = self.service.admit() else {
                trace::call_shed(procedure.path());
                let error = RpcError::new(Code::ResourceExhausted, "too many calls");
                // Without trailers there is nothing that could be wrong with it.
                let _ = call.finish(now, Metadata::new(), Err(error));
                return;
            };
            let metadata = call.take_request_headers();
            let (deadline, encoding) = (call.deadline(), call.encoding());
            // For the handler, and for its context.
            state.join(id);
            state.join(id);
            self.started.push_back(Started {
                id,
                permit,
                multiplexed,
                procedure,
                codec,
                metadata,
                query,
                deadline,
                encoding,
            });
        }
    }

    /// Calls the handler of a call.
    fn begin(&self, shared: &Arc<Shared<ServerRole>>, started: Started) -> Serving {
        let Started { id, permit, procedure, codec, metadata, query, deadline, encoding, .. } = started;
        let call = CallRef::new(shared.clone(), id);
        let handled = procedure.clone();
        let peer = self.peer.clone();
        let span = CallSpan::server(procedure.path(), &peer);
        let context = Context { call: call.clone(), procedure, codec, metadata, query, deadline, peer };
        let (requests, responses) = (Requests::new(call.clone()), Responses::new(call.clone(), encoding));
        Serving::new(call, permit, span, || handled.handle(context, requests, responses))
    }
}

impl Attendant<ServerRole> for Host {
    fn begin_turn(&mut self, state: &mut State<ServerRole>, now: Instant) {
        if now >= self.date_until {
            let (date, left) = date::at(self.service.runtime.wall_clock());
            state.connection.set_date(Some(date));
            self.date_until = now.saturating_add(left);
        }
    }

    fn notice(&mut self, state: &mut State<ServerRole>, now: Instant, notice: Notice) {
        match notice {
            Notice::Incoming(id) => self.take(state, now, id),
            Notice::Readable(id) => state.note_end(id),
            _ => {}
        }
    }

    fn attend(&mut self, shared: &Arc<Shared<ServerRole>>, cx: &mut TaskContext<'_>) {
        if let Some(serving) = &mut self.resident
            && Pin::new(serving).poll(cx).is_ready()
        {
            self.resident = None;
        }
        for _ in 0..MAX_BEGUN {
            let Some(started) = self.started.pop_front() else { break };
            let multiplexed = started.multiplexed;
            let mut serving = self.begin(shared, started);
            // Most handlers have all they need, and are done at once.
            if Pin::new(&mut serving).poll(cx).is_ready() {
                continue;
            }
            if multiplexed {
                shared.runtime().spawn(Box::pin(serving));
            } else {
                self.resident = Some(serving);
            }
        }
    }

    fn has_work(&self) -> bool {
        !self.started.is_empty()
    }

    fn due(&self) -> Option<Instant> {
        self.retires
    }

    fn on_time(&mut self, state: &mut State<ServerRole>, now: Instant) {
        self.retires = None;
        state.connection.shut_down(now, self.service.config.max_connection_age_grace);
    }
}
