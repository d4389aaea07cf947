//! The server of the tour: a handler for each procedure, on blocking threads.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use connect_proto::Instant;
use connect_proto::call::{Duplex, Event, Kind, SendError};
use connect_proto::compress::Compressions;
use connect_proto::connection::{CallId, ConnectionConfig, Notice, Server, ServerCall};
use connect_proto::error::{Code, ErrorDetail, RpcError};
use connect_proto::message::Outbound;
use connect_proto::metadata::Metadata;
use connect_proto::server::{MethodSpec, Refusal, ServerConfig};
use http::{HeaderName, HeaderValue};

use super::blocking::{self, Driver};

pub(crate) fn start(listener: TcpListener) {
    let mut config = ServerConfig::default();
    config.compressions = Compressions::none(); // else the flood would be a trickle
    let config = Arc::new(config);
    std::thread::spawn(move || {
        blocking::serve(listener, ConnectionConfig::default(), move |driver, id| answer(driver, id, &config));
    });
}

fn answer(driver: &mut Driver<Server>, id: CallId, config: &Arc<ServerConfig>) {
    let now = driver.now();
    let Some(incoming) = driver.connection.incoming(id) else { return };
    let by = incoming.method().to_string();
    let method = incoming.procedure().strip_prefix("/tour.v1.TourService/").unwrap_or_default().to_owned();
    let kind = match method.as_str() {
        "Greet" | "Fail" | "Slow" => Kind::Unary,
        "Sum" => Kind::ClientStream,
        "Echo" => Kind::Bidi(Duplex::Half),
        "Countdown" | "AboutToEnd" | "Silent" | "Flood" | "NoHead" => Kind::ServerStream,
        _ => {
            driver.connection.refuse(now, id, config, Refusal::NotFound);
            return;
        }
    };
    let mut spec = MethodSpec::new(kind, &Arc::from(["json".to_owned()]));
    spec.side_effect_free = method == "Greet";
    driver.connection.start(now, id, config, &spec);
    let mut rpc = Rpc { driver, id };
    // A client that goes away ends the handler: there is nobody left to answer.
    let _gone = handle(&mut rpc, &method, &by);
}

/// The call is over.
struct Gone;

fn handle(rpc: &mut Rpc<'_>, method: &str, by: &str) -> Result<(), Gone> {
    let requests = rpc.receive_all()?;
    let first = requests.first().map(|text| text.trim_matches('"')).unwrap_or_default();
    let numbers = requests.iter().filter_map(|text| text.parse::<u64>().ok());
    match method {
        "Greet" => {
            rpc.send_header("greeted-by", by)?;
            rpc.send(format!("\"Hello, {first}!\""))?;
        }
        "Fail" => {
            let detail = ErrorDetail {
                type_name: "google.rpc.RetryInfo".into(),
                value: Bytes::from_static(&[10, 2, 8, 5]),
            };
            let error = RpcError::new(Code::ResourceExhausted, "try again in 5 s").with_detail(detail);
            return rpc.finish(Metadata::new(), Err(error));
        }
        "Sum" => rpc.send(numbers.sum::<u64>().to_string())?,
        "Echo" => requests.iter().try_for_each(|text| rpc.send(text.clone()))?,
        "Countdown" => (1..=numbers.sum()).rev().try_for_each(|n: u64| rpc.send(n.to_string()))?,
        "AboutToEnd" => {
            rpc.send("\"first\"".into())?;
            rpc.pause(Duration::from_millis(300))?;
            rpc.send("\"last\"".into())?;
        }
        "Flood" => loop {
            rpc.send(format!("\"{}\"", "flood ".repeat(4096)))?;
        },
        "Silent" => {
            rpc.send("\"first\"".into())?;
            rpc.pause(Duration::MAX)?;
        }
        _ => rpc.pause(Duration::MAX)?, // "Slow" and "NoHead"
    }
    rpc.finish(header("tour-method", method), Ok(()))
}

fn header(name: &'static str, value: &str) -> Metadata {
    let value = HeaderValue::from_str(value).ok();
    value.into_iter().map(|value| (HeaderName::from_static(name), value)).collect()
}

/// A call as its handler sees it: every method drives the connection until it is done.
struct Rpc<'a> {
    driver: &'a mut Driver<Server>,
    id: CallId,
}

impl Rpc<'_> {
    /// The next event, driving the connection until it comes; `None` if `until` comes first.
    fn event(&mut self, until: Option<Instant>) -> Result<Option<Event>, Gone> {
        loop {
            let now = self.driver.now();
            if let Some(event) = self.call()?.poll_event(now) {
                return if let Event::Finished(_) = event { Err(Gone) } else { Ok(Some(event)) };
            }
            match self.driver.turn(until) {
                Some(Notice::Closed(..) | Notice::Ended(_)) => return Err(Gone),
                Some(_) => {}
                None => return if self.driver.connection.is_closed() { Err(Gone) } else { Ok(None) },
            }
        }
    }

    fn call(&mut self) -> Result<ServerCall<'_>, Gone> {
        self.driver.connection.call(self.id).ok_or(Gone)
    }

    /// The messages of the request, to its end.
    fn receive_all(&mut self) -> Result<Vec<String>, Gone> {
        let mut messages = Vec::new();
        loop {
            match self.event(None)? {
                Some(Event::Message(message)) => match message.decode() {
                    Ok(text) => messages.push(String::from_utf8_lossy(&text).into_owned()),
                    Err(fault) => {
                        let now = self.driver.now();
                        self.call()?.reject(now, fault);
                    }
                },
                Some(Event::PeerHalfClosed) => return Ok(messages),
                _ => {}
            }
        }
    }

    fn send_header(&mut self, name: &'static str, value: &str) -> Result<(), Gone> {
        let now = self.driver.now();
        self.call()?.send_headers(now, header(name, value)).map_err(|_| Gone)
    }

    /// Sends a message, and waits while the queue is full.
    fn send(&mut self, text: String) -> Result<(), Gone> {
        let mut message = Outbound::encode(&self.call()?.encoding(), Bytes::from(text));
        loop {
            let now = self.driver.now();
            message = match self.call()?.send(now, message) {
                Ok(()) => return Ok(()),
                Err(SendError::Full(message)) => message,
                Err(_) => return Err(Gone),
            };
            while !matches!(self.event(None)?, Some(Event::Writable)) {}
        }
    }

    /// Lets time pass while the connection goes on.
    fn pause(&mut self, duration: Duration) -> Result<(), Gone> {
        let until = self.driver.now().saturating_add(duration);
        while self.event(Some(until))?.is_some() {}
        Ok(())
    }

    fn finish(&mut self, trailers: Metadata, verdict: Result<(), RpcError>) -> Result<(), Gone> {
        let now = self.driver.now();
        self.call()?.finish(now, trailers, verdict).map_err(|_| Gone)
    }
}
