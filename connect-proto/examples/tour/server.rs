//! The server of the tour: what answers each of its procedures, as a machine that takes one step after the other.

use std::collections::VecDeque;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use connect_proto::Instant;
use connect_proto::call::{Duplex, Event, Kind, SendError};
use connect_proto::compress::Compressions;
use connect_proto::connection::{CallId, ConnectionConfig, ServerCall, ServerConnection};
use connect_proto::error::{Code, ErrorDetail, RpcError};
use connect_proto::message::Outbound;
use connect_proto::metadata::Metadata;
use connect_proto::server::{MethodSpec, Refusal, ServerConfig};
use http::{HeaderName, HeaderValue};

use super::blocking::{self, Driver, Handler, Next};

pub(crate) fn start(listener: TcpListener) {
    let mut config = ServerConfig::default();
    config.compressions = Compressions::none(); // else the flood would be a trickle
    let config = Arc::new(config);
    std::thread::spawn(move || {
        let accept = |socket| Driver::accept(socket, &ConnectionConfig::default());
        blocking::serve(listener, accept, move |connection, now, id| begin(connection, now, id, &config));
    });
}

fn begin(
    connection: &mut ServerConnection,
    now: Instant,
    id: CallId,
    config: &Arc<ServerConfig>,
) -> Option<Answer> {
    let incoming = connection.incoming(id)?;
    let by = incoming.method().to_string();
    let method = incoming.procedure().strip_prefix("/tour.v1.TourService/").unwrap_or_default().to_owned();
    let kind = match method.as_str() {
        "Greet" | "Fail" | "Slow" => Kind::Unary,
        "Sum" => Kind::ClientStream,
        // It runs in full duplex where HTTP allows that.
        "Echo" => Kind::Bidi(Duplex::Half),
        "Countdown" | "AboutToEnd" | "Silent" | "Flood" | "NoHead" => Kind::ServerStream,
        _ => {
            connection.refuse(now, id, config, Refusal::NotFound);
            return None;
        }
    };
    let mut spec = MethodSpec::new(kind, &Arc::from(["json".to_owned()]));
    spec.side_effect_free = method == "Greet";
    connection.start(now, id, config, &spec);
    Some(Answer { method, by, requests: Vec::new(), steps: VecDeque::new(), pause: None })
}

/// A step of an answer.
enum Step {
    Header(&'static str, String),
    Send(Outbound),
    /// Send again and again, as fast as it goes.
    Flood,
    Pause(Duration),
    Finish(Result<(), RpcError>),
}

/// What answers a call.
struct Answer {
    method: String,
    /// The HTTP method.
    by: String,
    requests: Vec<String>,
    /// Decided on and not taken yet.
    steps: VecDeque<Step>,
    /// The end of the pause that is under way.
    pause: Option<Instant>,
}

impl Handler for Answer {
    fn step(&mut self, now: Instant, call: &mut ServerCall<'_>) -> Next {
        while let Some(event) = call.poll_event(now) {
            match event {
                Event::Message(message) => match message.decode() {
                    Ok(text) => self.request(call, String::from_utf8_lossy(&text).into_owned()),
                    Err(fault) => call.reject(now, fault),
                },
                Event::PeerHalfClosed => self.requests_ended(call),
                // A client that goes away ends the answer: there is nobody left to read it.
                Event::Finished(_) => return Next::Done,
                _ => {}
            }
        }
        while let Some(step) = self.steps.pop_front() {
            if let Some(next) = self.take(now, call, step) {
                return next;
            }
        }
        Next::Events
    }
}

impl Answer {
    fn request(&mut self, call: &ServerCall<'_>, text: String) {
        if self.method == "Echo" {
            self.send(call, text);
        } else {
            self.requests.push(text);
        }
    }

    /// Decides on the answer.
    fn requests_ended(&mut self, call: &ServerCall<'_>) {
        let first = self.requests.first().map(|text| text.trim_matches('"')).unwrap_or_default().to_owned();
        let numbers: u64 = self.requests.iter().filter_map(|text| text.parse::<u64>().ok()).sum();
        match self.method.as_str() {
            "Greet" => {
                self.steps.push_back(Step::Header("greeted-by", self.by.clone()));
                self.send(call, format!("\"Hello, {first}!\""));
            }
            "Fail" => {
                let value = Bytes::from_static(&[10, 2, 8, 5]);
                let detail = ErrorDetail { type_name: "google.rpc.RetryInfo".into(), value };
                let error = RpcError::new(Code::ResourceExhausted, "try again in 5 s").with_detail(detail);
                return self.steps.push_back(Step::Finish(Err(error)));
            }
            "Sum" => self.send(call, numbers.to_string()),
            "Countdown" => (1..=numbers).rev().for_each(|n| self.send(call, n.to_string())),
            "AboutToEnd" => {
                self.send(call, "\"first\"".into());
                self.steps.push_back(Step::Pause(Duration::from_millis(300)));
                self.send(call, "\"last\"".into());
            }
            "Flood" => self.steps.push_back(Step::Flood),
            "Silent" => {
                self.send(call, "\"first\"".into());
                self.steps.push_back(Step::Pause(Duration::MAX));
            }
            "Echo" => {}
            _ => self.steps.push_back(Step::Pause(Duration::MAX)), // "Slow" and "NoHead"
        }
        self.steps.push_back(Step::Finish(Ok(())));
    }

    fn send(&mut self, call: &ServerCall<'_>, text: String) {
        self.steps.push_back(Step::Send(Outbound::encode(&call.encoding(), Bytes::from(text))));
    }

    /// Takes a step. If that takes time, the step is put back, and when to go on is said.
    fn take(&mut self, now: Instant, call: &mut ServerCall<'_>, step: Step) -> Option<Next> {
        match step {
            Step::Header(name, value) => {
                call.send_headers(now, header(name, &value)).err().map(|_| Next::Done)
            }
            Step::Send(message) => match call.send(now, message) {
                Ok(()) => None,
                Err(SendError::Full(message)) => {
                    self.steps.push_front(Step::Send(message));
                    Some(Next::Events)
                }
                Err(_) => Some(Next::Done),
            },
            Step::Flood => {
                self.steps.push_front(Step::Flood);
                let drop = Bytes::from(format!("\"{}\"", "flood ".repeat(4096)));
                self.take(now, call, Step::Send(Outbound::encode(&call.encoding(), drop)))
            }
            Step::Pause(duration) => {
                let until = *self.pause.get_or_insert(now.saturating_add(duration));
                if now < until {
                    self.steps.push_front(step);
                    return Some(Next::At(until));
                }
                self.pause = None;
                None
            }
            Step::Finish(verdict) => {
                call.finish(now, header("tour-method", &self.method), verdict).ok();
                Some(Next::Done)
            }
        }
    }
}

fn header(name: &'static str, value: &str) -> Metadata {
    let value = HeaderValue::from_str(value).ok();
    value.into_iter().map(|value| (HeaderName::from_static(name), value)).collect()
}
