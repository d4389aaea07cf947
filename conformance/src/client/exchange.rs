//! One call of a client, as a machine: what the call yields in, steps out, and the result at the end.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use super::plan::{CallPlan, CancelAt};
use crate::proto::client_compat_response::Result as Outcome;
use crate::proto::{self, ClientCompatResponse, ClientResponseResult, ConformancePayload, Header};
use crate::{Codec, CodecError, Method};

/// The next step of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Let this time pass. The call is driven on, and may yield or end, meanwhile.
    Wait(Duration),
    /// Send a request message.
    Send(Bytes),
    /// Close the send side.
    CloseSend,
    /// Cancel the call, and go on as if nothing had happened: how it ends is for the call to say.
    Cancel,
    /// Wait until the call yields something, and pass it on.
    Receive,
    /// The call has ended, and there is nothing left to do.
    Done,
}

/// One call, from its first request message to its result.
///
/// Open the call with what the plan says, then take the steps that [`next_action`](Self::next_action) names
/// until [`Action::Done`]. Whatever the call yields may be passed on at any time, not only when
/// [`Action::Receive`] asks for it.
#[derive(Debug)]
pub struct Exchange {
    test_name: String,
    method: Method,
    codec: Codec,
    cancel: Option<CancelAt>,
    /// Steps not taken yet. When they are exhausted, the rest of the call is received.
    steps: VecDeque<Step>,
    ended: bool,
    result: ClientResponseResult,
}

#[derive(Debug)]
enum Step {
    Wait(Duration),
    Send(Bytes),
    /// Receive until there are this many responses.
    AwaitResponses(usize),
    CloseSend,
    Cancel,
}

impl Exchange {
    /// The exchange of a call that is about to be opened.
    pub fn new(plan: &CallPlan) -> Exchange {
        Exchange {
            test_name: plan.test_name.clone(),
            method: plan.method,
            codec: plan.codec,
            cancel: plan.cancel,
            steps: steps(plan),
            ended: false,
            result: ClientResponseResult {
                num_unsent_requests: plan.requests.len().try_into().unwrap_or(i32::MAX),
                ..Default::default()
            },
        }
    }

    /// The next step to take. To ask for it says that the one before has been taken.
    ///
    /// A message that could not be sent is told by [`send_refused`](Self::send_refused) first.
    pub fn next_action(&mut self) -> Action {
        if self.ended {
            return Action::Done;
        }
        while let Some(step) = self.steps.pop_front() {
            match step {
                Step::AwaitResponses(count) if self.result.payloads.len() < count => {
                    self.steps.push_front(step);
                    return Action::Receive;
                }
                Step::AwaitResponses(_) => {}
                Step::Wait(delay) => return Action::Wait(delay),
                Step::Send(message) => {
                    self.result.num_unsent_requests -= 1;
                    return Action::Send(message);
                }
                Step::CloseSend => return Action::CloseSend,
                Step::Cancel => return Action::Cancel,
            }
        }
        Action::Receive
    }

    /// The call did not take the message of the last [`Action::Send`], because it has ended or is about to.
    ///
    /// No further message is tried. What ended the call is still to be received.
    pub fn send_refused(&mut self) {
        self.result.num_unsent_requests += 1;
        self.steps.clear();
    }

    /// The response headers arrived.
    pub fn headers(&mut self, headers: Vec<Header>) {
        self.result.response_headers = headers;
    }

    /// A response message arrived.
    ///
    /// An error says that it is malformed; the call should then be rejected as such.
    pub fn message(&mut self, message: &[u8]) -> Result<(), CodecError> {
        let payload = decode_payload(self.method, self.codec, message)?;
        self.result.payloads.push(payload);
        if let Some(CancelAt::AfterResponses(count)) = self.cancel
            && self.result.payloads.len() == count as usize
        {
            self.steps.push_front(Step::Cancel);
        }
        Ok(())
    }

    /// The call ended: with these trailers, and with an error unless it was a success.
    pub fn ended(&mut self, trailers: Vec<Header>, error: Option<proto::Error>) {
        self.ended = true;
        self.result.response_trailers = trailers;
        // A single response counts for nothing unless its call succeeds.
        if error.is_some() && self.method.kind().has_single_response() {
            self.result.payloads.clear();
        }
        self.result.error = error;
    }

    /// The answer to the suite, once the call has ended.
    pub fn into_response(self) -> ClientCompatResponse {
        ClientCompatResponse { test_name: self.test_name, result: Some(Outcome::Response(self.result)) }
    }
}

/// All that the client does of its own accord. After it, the rest of the responses is received.
fn steps(plan: &CallPlan) -> VecDeque<Step> {
    let mut steps = VecDeque::new();
    for (index, message) in plan.requests.iter().enumerate() {
        if !plan.request_delay.is_zero() {
            steps.push_back(Step::Wait(plan.request_delay));
        }
        steps.push_back(Step::Send(message.clone()));
        if plan.full_duplex {
            steps.push_back(Step::AwaitResponses(index + 1));
        }
    }
    if plan.cancel == Some(CancelAt::BeforeCloseSend) {
        steps.push_back(Step::Cancel);
    }
    steps.push_back(Step::CloseSend);
    if let Some(CancelAt::AfterCloseSend(delay)) = plan.cancel {
        if !delay.is_zero() {
            steps.push_back(Step::Wait(delay));
        }
        steps.push_back(Step::Cancel);
    }
    steps
}

/// The payload in a response message. A response without one has an empty one.
fn decode_payload(method: Method, codec: Codec, message: &[u8]) -> Result<ConformancePayload, CodecError> {
    let payload = match method {
        Method::Unary => codec.decode::<proto::UnaryResponse>(message)?.payload,
        Method::IdempotentUnary => codec.decode::<proto::IdempotentUnaryResponse>(message)?.payload,
        Method::Unimplemented => {
            codec.decode::<proto::UnimplementedResponse>(message)?;
            None
        }
        Method::ClientStream => codec.decode::<proto::ClientStreamResponse>(message)?.payload,
        Method::ServerStream => codec.decode::<proto::ServerStreamResponse>(message)?.payload,
        Method::BidiStream => codec.decode::<proto::BidiStreamResponse>(message)?.payload,
    };
    Ok(payload.unwrap_or_default())
}

#[cfg(test)]
#[path = "exchange_tests.rs"]
mod tests;
