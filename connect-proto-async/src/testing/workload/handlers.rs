//! The server's handlers: they do as the call's script says, and note what they see.

use std::panic::resume_unwind;
use std::time::Duration;

use bytes::Bytes;
use connect_proto::call::Duplex;
use http::HeaderValue;

use super::super::faults::Random;
use super::super::suite::sleep;
use super::fickle::Patience;
use super::ledger::{AtWork, Ledger};
use super::script::{CallNumber, End, From, Kind, Script, Step, describe, message};
use crate::{Code, Context, Metadata, Requests, Response, Responses, Router, RpcError};

/// The headers that name a call and its script.
pub(super) const CALL: &str = "x-call";
pub(super) const SCRIPT: &str = "x-script";

pub(super) fn router(ledger: &Ledger, server: u32) -> Router {
    let [unary, client_stream, server_stream, bidi] = Kind::ALL;
    let begin = {
        let ledger = ledger.clone();
        move |context: &Context| Handling::new(&ledger, server, context)
    };
    let (first, second, third, fourth) = (begin.clone(), begin.clone(), begin.clone(), begin);
    Router::new(["text"])
        .unary(&unary.procedure(), move |context: Context, message: Bytes| {
            let begun = first(&context);
            async move { begun?.received(message).act(context, None, None).await }
        })
        .client_stream(&client_stream.procedure(), move |context: Context, requests: Requests| {
            let begun = second(&context);
            async move { begun?.act(context, Some(requests), None).await }
        })
        .server_stream(
            &server_stream.procedure(),
            move |context: Context, message: Bytes, responses: Responses| {
                let begun = third(&context);
                async move {
                    let response = begun?.received(message).act(context, None, Some(responses)).await?;
                    Ok(response.trailers)
                }
            },
        )
        .bidi(
            &bidi.procedure(),
            Duplex::Half,
            move |context: Context, requests: Requests, responses: Responses| {
                let begun = fourth(&context);
                async move { Ok(begun?.act(context, Some(requests), Some(responses)).await?.trailers) }
            },
        )
}

/// A handler at work on a call.
struct Handling {
    at_work: AtWork,
    ledger: Ledger,
    call: CallNumber,
    script: Script,
    random: Random,
    received: usize,
    /// Whether the client has ended.
    is_ended: bool,
    sent: usize,
    /// The one message of an answer that has one.
    answer: Bytes,
}

impl Handling {
    fn new(ledger: &Ledger, server: u32, context: &Context) -> Result<Self, RpcError> {
        let number = |name| context.metadata().get(name)?.to_str().ok()?.parse().ok();
        let (Some(call), Some(script)) = (number(CALL), number(SCRIPT)) else {
            ledger.violate(format_args!("a handler's call has no number"));
            return Err(RpcError::new(Code::Internal, "no number"));
        };
        Ok(Handling {
            at_work: AtWork::new(ledger, server, call),
            ledger: ledger.clone(),
            call,
            script: Script::new(script),
            random: Random::new(script ^ call),
            received: 0,
            is_ended: false,
            sent: 0,
            answer: Bytes::new(),
        })
    }

    /// Checks a message that has come.
    fn received(mut self, message: Bytes) -> Self {
        self.take(&message);
        self
    }

    fn take(&mut self, received: &Bytes) {
        let (call, at) = (self.call, self.received);
        let expected = self.script.requests.get(at).map(|len| message(call, From::Client, at, *len));
        if expected.as_ref() != Some(received) {
            self.ledger.violate(format_args!("call {call}: request {at} is another: {}", describe(received)));
        }
        self.received += 1;
        self.ledger.tally(|tally| tally.messages += 1);
    }

    async fn act(
        mut self,
        context: Context,
        mut requests: Option<Requests>,
        mut responses: Option<Responses>,
    ) -> Result<Response, RpcError> {
        let call = self.call;
        if self.script.is_watched {
            self.watch(&context);
        }
        for step in std::mem::take(&mut self.script.steps) {
            match step {
                Step::Headers => {
                    if let Some(responses) = &mut responses {
                        // Only the first ones.
                        let _ = responses.send_headers(labels(call));
                    }
                }
                Step::Receive => self.receive(&mut requests).await?,
                Step::ReceiveAll => {
                    while requests.is_some() && !self.is_ended {
                        self.receive(&mut requests).await?;
                    }
                }
                Step::DropRequests => requests = None,
                Step::Send(len) => self.send(len, &mut responses).await?,
                Step::Sleep(time) => sleep(&**self.ledger.runtime(), time).await,
            }
        }
        if self.script.is_inherited {
            self.bequeath(requests, responses);
        }
        let end = self.script.end;
        self.ledger.tell(format_args!("call {call}: its handler ends with {end:?}"));
        match end {
            End::Ok => {
                self.ledger.change(call, |entry| entry.succeeded = true);
                let mut response = Response::new(std::mem::take(&mut self.answer));
                response.trailers = labels(call);
                Ok(response)
            }
            End::Error(code) => Err(scripted(call, code)),
            // Without the panic hook, which would print it.
            End::Panic => resume_unwind(Box::new("as the script says")),
            End::Never => {
                std::future::pending::<()>().await;
                drop(self.at_work);
                Ok(Response::default())
            }
        }
    }

    async fn receive(&mut self, requests: &mut Option<Requests>) -> Result<(), RpcError> {
        let (Some(requests), false) = (requests, self.is_ended) else { return Ok(()) };
        let received = loop {
            // A future that is dropped has lost nothing.
            match Patience::any(8, &mut self.random).wait(requests.recv()).await {
                Some(received) => break received,
                None => self.ledger.tally(|tally| tally.dropped += 1),
            }
        };
        match received {
            Ok(Some(message)) => self.take(&message),
            Ok(None) => {
                self.is_ended = true;
                let (call, entry) = (self.call, self.ledger.entry(self.call));
                if !entry.is_finished || entry.sent != self.received {
                    let received = self.received;
                    self.ledger.violate(format_args!(
                        "call {call}: after {received} requests all seems to be there: {entry:?}"
                    ));
                }
            }
            Err(error) => {
                self.ledger.tell(format_args!("call {}: its handler receives {error}", self.call));
                return Err(error);
            }
        }
        Ok(())
    }

    async fn send(&mut self, len: usize, responses: &mut Option<Responses>) -> Result<(), RpcError> {
        let message = message(self.call, From::Handler, self.sent, len);
        self.sent += 1;
        let Some(responses) = responses else {
            self.ledger.change(self.call, |entry| entry.answered += 1);
            self.answer = message;
            return Ok(());
        };
        let sent = loop {
            match Patience::any(8, &mut self.random).wait(responses.send(message.clone())).await {
                Some(sent) => break sent,
                None => self.ledger.tally(|tally| tally.dropped += 1),
            }
        };
        match sent {
            Ok(()) => {
                self.ledger.change(self.call, |entry| entry.answered += 1);
                Ok(())
            }
            Err(error) => {
                self.ledger.tell(format_args!("call {}: its handler sends no more: {error:?}", self.call));
                Err(RpcError::new(Code::Aborted, "nobody listens"))
            }
        }
    }

    /// Somebody else waits for the call's end, and looks whether the handler has gone by then.
    fn watch(&mut self, context: &Context) {
        let (ended, ledger, call) = (context.ended(), self.ledger.clone(), self.call);
        let patience = Patience::any(4, &mut self.random);
        self.ledger.runtime().spawn(Box::pin(async move {
            let Some(reason) = patience.wait(ended).await else { return };
            ledger.tell(format_args!("call {call}: its watcher hears of {reason:?}"));
            // When no task has anything to do any more.
            sleep(&**ledger.runtime(), Duration::from_nanos(1)).await;
            if ledger.entry(call).at_work.is_some() {
                ledger.violate(format_args!("call {call} has ended by {reason:?}, and its handler has not"));
            }
        }));
    }

    /// Somebody else goes on with the streams of the call, as long as that lasts: not for ever.
    fn bequeath(&self, requests: Option<Requests>, responses: Option<Responses>) {
        let (ledger, call, end) = (self.ledger.clone(), self.call, self.script.end);
        self.ledger.runtime().spawn(Box::pin(async move {
            if let Some(mut requests) = requests {
                while let Ok(Some(_)) = requests.recv().await {}
            }
            ledger.tell(format_args!("call {call}: its heir has read all"));
            if let (Some(mut responses), true) = (responses, end != End::Never) {
                // The handler has answered by then.
                sleep(&**ledger.runtime(), Duration::from_nanos(1)).await;
                if responses.send("late").await.is_ok() {
                    ledger.violate(format_args!("call {call} takes a message after its end"));
                }
            }
        }));
    }
}

/// The error of a script.
pub(super) fn scripted(call: CallNumber, code: Code) -> RpcError {
    RpcError::new(code, format!("scripted {call}")).with_metadata(labels(call))
}

fn labels(call: CallNumber) -> Metadata {
    let mut labels = Metadata::new();
    labels.insert(CALL, HeaderValue::from(call));
    labels
}
