//! The handler of one call, as a machine: request messages in, steps of the answer out.

use std::collections::VecDeque;
use std::mem;
use std::time::Duration;

use bytes::Bytes;
use prost::{Message as _, Name as _};

use super::script::Script;
use crate::proto::conformance_payload::{ConnectGetInfo, RequestInfo};
use crate::proto::{self, ConformancePayload, Header};
use crate::{Codec, CodecError, Method, detail};

/// What the server knows of a call before its first message, to be echoed in its answer.
#[derive(Clone, Debug, Default)]
pub struct RequestHead {
    /// The headers of the request.
    pub headers: Vec<Header>,
    /// The timeout the request carries, if it carries one.
    pub timeout: Option<Duration>,
    /// The parameters of the URL, if the request is a GET.
    pub query_params: Option<Vec<Header>>,
}

/// The next step of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Wait for the next request message or the end of the requests, and pass it on.
    Receive,
    /// Set the response headers. On a stream with responses they go out at once, before any delay.
    SendHeaders(Vec<Header>),
    /// Let this time pass. The call is driven on, and may end, meanwhile.
    Wait(Duration),
    /// Send a response message.
    Send(Bytes),
    /// End the call. This is the last step.
    Finish {
        /// The response trailers, sent with success and with an error alike.
        trailers: Vec<Header>,
        /// The error to answer with; `None` is success.
        error: Option<proto::Error>,
    },
}

/// The handler of one call.
///
/// Pass on what arrives by [`request`](Self::request) and [`requests_ended`](Self::requests_ended), and take
/// the steps that [`next_action`](Self::next_action) names, until [`Action::Finish`] or the call's own end.
///
/// A call is answered when its requests have ended. Only in full duplex is each request answered in turn.
#[derive(Debug)]
pub struct Handler {
    method: Method,
    codec: Codec,
    /// What was seen of the requests and not echoed yet.
    unechoed: RequestInfo,
    stage: Stage,
    /// How many response messages were decided on.
    responses: usize,
    /// Steps decided on and not taken yet.
    actions: VecDeque<Action>,
}

#[derive(Debug)]
enum Stage {
    /// No request has said yet what to answer.
    Undefined,
    Open(Script),
    Finished,
}

impl Handler {
    /// A handler for a call of the method, whose messages are in this codec.
    pub fn new(method: Method, codec: Codec, head: RequestHead) -> Handler {
        let timeout_ms = head.timeout.map(|timeout| i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX));
        Handler {
            method,
            codec,
            unechoed: RequestInfo {
                request_headers: head.headers,
                timeout_ms,
                requests: Vec::new(),
                connect_get_info: head.query_params.map(|query_params| ConnectGetInfo { query_params }),
            },
            stage: Stage::Undefined,
            responses: 0,
            actions: VecDeque::new(),
        }
    }

    /// A request message arrived.
    ///
    /// An error says that it is malformed: the call should then fail as invalid argument.
    pub fn request(&mut self, message: &[u8]) -> Result<(), CodecError> {
        let type_name = self.method.request_type();
        let message = self.codec.decode_binary(&type_name, message)?;
        // Only the first request defines the answer; of the others this shows that they are well-formed.
        let script = Script::of(self.method, &message)?;
        let mut script = match self.take_stage() {
            Stage::Undefined => script,
            Stage::Open(script) => script,
            Stage::Finished => return Ok(()),
        };
        let request = detail::to_any(&type_name, message);
        self.unechoed.requests.push(request);

        if script.full_duplex {
            self.send_headers(&mut script);
            match script.responses.pop_front() {
                Some(data) => self.respond(script.delay, data)?,
                None => {
                    self.finish(script);
                    return Ok(());
                }
            }
        }
        self.stage = Stage::Open(script);
        Ok(())
    }

    /// No further request will arrive.
    ///
    /// An error says that the answer cannot be expressed in the call's codec.
    pub fn requests_ended(&mut self) -> Result<(), CodecError> {
        let mut script = match self.take_stage() {
            Stage::Undefined => Script::undefined(self.method.kind()),
            Stage::Open(script) => script,
            Stage::Finished => return Ok(()),
        };
        self.send_headers(&mut script);
        while let Some(data) = script.responses.pop_front() {
            self.respond(script.delay, data)?;
        }
        self.finish(script);
        Ok(())
    }

    /// The next step to take. To ask for it says that the one before has been taken.
    pub fn next_action(&mut self) -> Action {
        self.actions.pop_front().unwrap_or(Action::Receive)
    }

    fn take_stage(&mut self) -> Stage {
        mem::replace(&mut self.stage, Stage::Finished)
    }

    fn send_headers(&mut self, script: &mut Script) {
        if let Some(headers) = script.headers.take() {
            self.actions.push_back(Action::SendHeaders(headers));
        }
    }

    /// Sends a response that echoes whatever was not echoed yet.
    ///
    /// So the first response tells all about the call, and a later one of the requests since the last.
    fn respond(&mut self, delay: Duration, data: Vec<u8>) -> Result<(), CodecError> {
        let news = mem::take(&mut self.unechoed);
        let payload =
            ConformancePayload { data, request_info: (news != RequestInfo::default()).then_some(news) };
        let message = self.encode(payload)?;
        if !delay.is_zero() {
            self.actions.push_back(Action::Wait(delay));
        }
        self.actions.push_back(Action::Send(message));
        self.responses += 1;
        Ok(())
    }

    /// Ends the call. An error that no response precedes carries the echo, as its last detail.
    fn finish(&mut self, script: Script) {
        let error = script.error.map(|mut error| {
            if self.responses == 0 {
                let info = self.unechoed.encode_to_vec();
                error.details.push(detail::to_any(&RequestInfo::full_name(), info));
            }
            error
        });
        self.actions.push_back(Action::Finish { trailers: script.trailers, error });
    }

    fn encode(&self, payload: ConformancePayload) -> Result<Bytes, CodecError> {
        let payload = Some(payload);
        match self.method {
            Method::Unary => self.codec.encode(&proto::UnaryResponse { payload }),
            Method::IdempotentUnary => self.codec.encode(&proto::IdempotentUnaryResponse { payload }),
            Method::Unimplemented => self.codec.encode(&proto::UnimplementedResponse {}),
            Method::ClientStream => self.codec.encode(&proto::ClientStreamResponse { payload }),
            Method::ServerStream => self.codec.encode(&proto::ServerStreamResponse { payload }),
            Method::BidiStream => self.codec.encode(&proto::BidiStreamResponse { payload }),
        }
    }
}

#[cfg(test)]
#[path = "handler_tests.rs"]
mod tests;
