//! Blocking sockets, a thread for each connection: the drive loop is the example of the RPC core itself.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;

use connect_proto::Instant;
use connect_proto::call::{Event, SendError};
use connect_proto::client::Call;
use connect_proto::connection::{CallId, Client, ConnectionConfig, Notice, ServerCall, ServerConnection};
use connect_proto::error::{AbortReason, Code, PeerMisbehaved, RpcError};
use connect_proto::message::{Encoding, Inbound, Outbound};
use connect_proto::metadata::Metadata;
use connect_proto::server::{Refusal, ServerConfig};

use super::{Announce, Runtime};
use crate::client::{self, CallPlan, Exchange};
use crate::convert::{self, Unsupported};
use crate::proto::{ClientCompatResponse, HttpVersion};
use crate::service::{self, Handler};
use crate::tls::ServerMaterial;
use crate::{Codec, CodecError, Method};

#[allow(dead_code, reason = "it is a program of its own")]
#[path = "../../../connect-proto/examples/blocking.rs"]
mod example;

use example::{Driver, Next};

/// The runtime without a runtime.
pub(super) struct Blocking;

impl Runtime for Blocking {
    fn call(&self, plan: &CallPlan) -> Result<ClientCompatResponse, Unsupported> {
        if plan.tls.is_some() {
            return Err(NO_TLS.into());
        }
        let config = Arc::new(convert::call_config(plan)?);
        let request = convert::request(plan)?;
        let connect = match plan.http_version {
            HttpVersion::HttpVersion2 => Driver::connect_http2,
            _ => Driver::connect,
        };
        let mut driver = connect(resolve(plan)?, &ConnectionConfig::default())?;
        let now = driver.now();
        let id = driver.connection.open(now, Call::new(now, &config, request)?)?;
        let encoding = driver.connection.call(id).ok_or("the call was just opened")?.encoding();
        let exchange = Exchange::new(plan);
        Ok(ClientCall { driver, id, encoding, exchange, verdict: None }.run())
    }

    fn serve(
        &self,
        config: Arc<ServerConfig>,
        tls: Option<&ServerMaterial>,
        announce: &mut Announce<'_>,
    ) -> Result<(), Unsupported> {
        if tls.is_some() {
            return Err(NO_TLS.into());
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        announce(listener.local_addr()?)?;
        let accept = |socket| Driver::accept(socket, &ConnectionConfig::default());
        example::serve(listener, accept, move |connection, now, id| begin(connection, now, id, &config));
        Ok(())
    }
}

const NO_TLS: &str = "there is no TLS without a runtime";

fn resolve(plan: &CallPlan) -> Result<SocketAddr, Unsupported> {
    let mut addresses = (plan.host.as_str(), plan.port).to_socket_addrs()?;
    Ok(addresses.next().ok_or("the host has no address")?)
}

/// One call of the client, and what is known of it.
struct ClientCall {
    driver: Driver<Client>,
    id: CallId,
    encoding: Encoding,
    exchange: Exchange,
    verdict: Option<Result<Metadata, RpcError>>,
}

impl ClientCall {
    fn run(mut self) -> ClientCompatResponse {
        loop {
            match self.exchange.next_action() {
                client::Action::Wait(delay) => {
                    let until = self.driver.now().saturating_add(delay);
                    while self.turn(Some(until)) {}
                }
                client::Action::Send(message) => self.send(Outbound::encode(&self.encoding, message)),
                client::Action::CloseSend => self.close_send(),
                client::Action::Cancel => {
                    let now = self.driver.now();
                    if let Some(mut call) = self.driver.connection.call(self.id) {
                        call.abort(now, AbortReason::Requested);
                    }
                }
                client::Action::Receive => {
                    self.turn(None);
                }
                client::Action::Done => return self.exchange.into_response(),
            }
        }
    }

    fn send(&mut self, mut message: Outbound) {
        loop {
            let now = self.driver.now();
            let Some(mut call) = self.driver.connection.call(self.id) else {
                return self.exchange.send_refused();
            };
            match call.send(now, message) {
                Ok(()) => break,
                Err(SendError::Full(back)) => message = back,
                Err(_) => return self.exchange.send_refused(),
            }
            self.turn(None);
        }
        self.flush();
    }

    fn close_send(&mut self) {
        let now = self.driver.now();
        if let Some(mut call) = self.driver.connection.call(self.id) {
            call.finish(now).expect("the exchange sends what the method takes and closes once");
        }
        self.flush();
    }

    /// Hands the socket what was sent, before the next step.
    fn flush(&mut self) {
        self.turn(Some(self.driver.now()));
    }

    /// Drives the call until it yields something, which is passed on; false if that was not so before `until`.
    fn turn(&mut self, until: Option<Instant>) -> bool {
        let Some(notice) = self.driver.turn(until) else {
            assert!(until.is_some(), "a connection ended before its call");
            return false;
        };
        match notice {
            Notice::Readable(_) => self.take_event(),
            Notice::Closed(_, closed) => {
                let (trailers, error) = match self.verdict.take() {
                    Some(Ok(trailers)) => (convert::from_metadata(&trailers), None),
                    Some(Err(error)) => {
                        (convert::from_metadata(error.metadata()), Some(convert::from_error(&error)))
                    }
                    None => (Vec::new(), Some(convert::from_close(closed.reason))),
                };
                self.exchange.ended(trailers, error);
            }
            _ => {}
        }
        true
    }

    /// Takes one event only: the exchange may want to do something before the next.
    fn take_event(&mut self) {
        let now = self.driver.now();
        let Some(mut call) = self.driver.connection.call(self.id) else { return };
        match call.poll_event(now) {
            Some(Event::Headers(headers)) => self.exchange.headers(convert::from_metadata(&headers)),
            Some(Event::Message(message)) => {
                if let Err(fault) = decode(message, |message| self.exchange.message(message)) {
                    call.reject(now, fault);
                }
            }
            Some(Event::Finished(verdict)) => self.verdict = Some(verdict),
            _ => {}
        }
    }
}

/// Starts or refuses a request.
fn begin(
    connection: &mut ServerConnection,
    now: Instant,
    id: CallId,
    config: &Arc<ServerConfig>,
) -> Option<ServerSteps> {
    let incoming = connection.incoming(id)?;
    let refusal = match Method::from_procedure(incoming.procedure()) {
        Some(method) if method.is_implemented() => {
            // A codec that is none is refused by the call itself.
            let codec = incoming.codec().and_then(Codec::from_name).unwrap_or(Codec::Proto);
            let handler = Handler::new(method, codec, convert::request_head(incoming));
            connection.start(now, id, config, &convert::method_spec(method));
            return Some(ServerSteps { handler, pending: None });
        }
        Some(_) => Refusal::Error(RpcError::new(Code::Unimplemented, "not implemented")),
        None => Refusal::NotFound,
    };
    connection.refuse(now, id, config, refusal);
    None
}

/// The handler of one call, and the step that it is held up by.
struct ServerSteps {
    handler: Handler,
    pending: Option<Pending>,
}

enum Pending {
    /// It waits until then.
    Wait(Instant),
    /// The queue has no room for this.
    Send(Outbound),
}

impl example::Handler for ServerSteps {
    fn step(&mut self, now: Instant, call: &mut ServerCall<'_>) -> Next {
        self.try_step(now, call).unwrap_or_else(|error| {
            let error = RpcError::new(Code::Internal, error.to_string());
            call.finish(now, Metadata::new(), Err(error)).expect("nothing was answered yet");
            Next::Done
        })
    }
}

impl ServerSteps {
    fn try_step(&mut self, now: Instant, call: &mut ServerCall<'_>) -> Result<Next, Unsupported> {
        while let Some(event) = call.poll_event(now) {
            match event {
                Event::Message(message) => {
                    if let Err(fault) = decode(message, |message| self.handler.request(message)) {
                        call.reject(now, fault);
                    }
                }
                Event::PeerHalfClosed => self.handler.requests_ended()?,
                // By the call itself.
                Event::Finished(_) => return Ok(Next::Done),
                _ => {}
            }
        }
        loop {
            match self.pending.take() {
                Some(Pending::Wait(until)) if now < until => {
                    self.pending = Some(Pending::Wait(until));
                    return Ok(Next::At(until));
                }
                Some(Pending::Send(message)) => match call.send(now, message) {
                    Err(SendError::Full(message)) => {
                        self.pending = Some(Pending::Send(message));
                        return Ok(Next::Events);
                    }
                    Err(SendError::Closed(_)) => return Ok(Next::Done),
                    sent => sent?,
                },
                _ => {}
            }
            match self.handler.next_action() {
                service::Action::Receive => return Ok(Next::Events),
                service::Action::SendHeaders(headers) => {
                    call.send_headers(now, convert::to_metadata(&headers)?)?;
                }
                service::Action::Wait(delay) => {
                    self.pending = Some(Pending::Wait(now.saturating_add(delay)));
                }
                service::Action::Send(message) => {
                    self.pending = Some(Pending::Send(Outbound::encode(&call.encoding(), message)));
                }
                service::Action::Finish { trailers, error } => {
                    let verdict = error.map_or(Ok(()), |error| Err(convert::to_error(error)));
                    call.finish(now, convert::to_metadata(&trailers)?, verdict)?;
                    return Ok(Next::Done);
                }
            }
        }
    }
}

/// Takes a message apart by `take`. What is wrong with it is for the call to say.
fn decode(
    message: Inbound,
    take: impl FnOnce(&[u8]) -> Result<(), CodecError>,
) -> Result<(), PeerMisbehaved> {
    let message = message.decode()?;
    take(&message).map_err(|_| PeerMisbehaved::MalformedMessage)
}
