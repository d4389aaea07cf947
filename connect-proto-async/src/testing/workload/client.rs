//! A client: makes one call after the other, and gives some of them up in all the ways that there are.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use connect_proto::Instant;
use connect_proto::call::Duplex;
use connect_proto::error::ApiMisuse;

use super::super::faults::Random;
use super::super::suite::{sleep, spawn};
use super::call::{Call, Excuses};
use super::fickle::Patience;
use super::ledger::Ledger;
use super::script::{CallNumber, End, From, Kind, message, pause};
use crate::{Channel, Ending, Protocol, Receiver, SendError, Sender};

/// What a client calls through. Another channel may take the place meanwhile.
#[derive(Clone)]
pub(super) struct Seat {
    channel: Arc<Mutex<Channel>>,
    pub(super) protocol: Protocol,
    /// The drain budget's time, and the time that an end may lag behind its verdict.
    pub(super) drain: Duration,
    pub(super) end: Duration,
}

impl Seat {
    pub(super) fn new(channel: Channel, protocol: Protocol, drain: Duration, end: Duration) -> Self {
        Seat { channel: Arc::new(Mutex::new(channel)), protocol, drain, end }
    }

    pub(super) fn channel(&self) -> Channel {
        self.channel.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn replace(&self, channel: Channel) -> Channel {
        std::mem::replace(&mut *self.channel.lock().unwrap_or_else(PoisonError::into_inner), channel)
    }
}

pub(super) struct Client {
    pub(super) ledger: Ledger,
    pub(super) seats: Vec<Seat>,
    pub(super) excuses: Excuses,
    pub(super) random: Random,
}

/// How a client leaves a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Leave {
    Close,
    Abort,
    Drop,
}

impl Client {
    pub(super) async fn work(mut self, calls: usize) {
        for _ in 0..calls {
            if self.random.below(3) == 0 {
                sleep(&**self.ledger.runtime(), pause(&mut self.random)).await;
            }
            self.call().await;
        }
    }

    async fn call(&mut self) {
        let random = &mut self.random;
        let seat = self.seats[random.below(self.seats.len())].clone();
        let mut call = Call::new(&self.ledger, self.excuses, random);
        let mut builder = seat.channel().call(&call.script.kind.procedure()).metadata(call.metadata());
        if let Some(deadline) = call.deadline {
            builder = builder.timeout(deadline.saturating_duration_since(call.begun));
        }
        let first = || {
            let len = call.script.requests.first().copied().unwrap_or_default();
            call.ledger.change(call.number, |entry| (entry.sent, entry.is_finished) = (1, true));
            message(call.number, From::Client, 0, len)
        };
        let opened = match call.script.kind {
            Kind::Unary if random.below(2) == 0 => {
                let patience = Patience::any(4, random);
                let called = builder.unary(first());
                let waited = call.patiently(call.by("unary", call.deadline, called));
                let Some(Some(answer)) = patience.wait(waited).await else {
                    call.tell("dropped");
                    call.ledger
                        .tally(|tally| (tally.dropped, tally.left) = (tally.dropped + 1, tally.left + 1));
                    return;
                };
                let verdict = answer.map(|response| {
                    call.take(&response.message);
                    response.trailers
                });
                return call.judge(&verdict);
            }
            Kind::Unary => builder.open_unary(first()),
            Kind::ServerStream => builder.server_stream(first()),
            Kind::ClientStream | Kind::Bidi => {
                let opened = match call.script.kind {
                    Kind::ClientStream => builder.client_stream(),
                    _ => builder.bidi(Duplex::Half),
                };
                opened.map(|(sender, receiver)| {
                    self.send(sender, &mut call);
                    receiver
                })
            }
        };
        self.receive(opened.expect("nothing is wrong with the call"), call, &seat).await;
    }

    /// Sends the call's messages, in a task of its own.
    fn send(&mut self, sender: Sender, call: &mut Call) {
        let random = &mut self.random;
        let requests: Vec<_> = call
            .script
            .requests
            .iter()
            .map(|len| (if random.below(4) == 0 { pause(random) } else { Duration::ZERO }, *len))
            .collect();
        call.pauses += requests.iter().map(|(pause, _)| *pause).sum();
        let (stops, patience) = (random.below(12) == 0, Patience::any(12, random));
        // It may also be dropped where it would have gone on.
        call.gives_sender_up = stops || patience.is_limited();
        let sending = Sending {
            ledger: call.ledger.clone(),
            call: call.number,
            deadline: call.deadline,
            random: Random::new(random.next()),
        };
        let ledger = call.ledger.clone();
        ledger.runtime().clone().spawn(Box::pin(async move {
            if patience.wait(sending.all(sender, requests, stops)).await.is_none() {
                ledger.tally(|tally| tally.dropped += 1);
            }
        }));
    }

    async fn receive(&mut self, mut receiver: Receiver, mut call: Call, seat: &Seat) {
        let random = &mut self.random;
        let leave = match random.below(3) {
            0 => Leave::Close,
            1 => Leave::Abort,
            _ => Leave::Drop,
        };
        let most = if random.below(4) == 0 { random.below(4) } else { usize::MAX };
        if random.below(4) == 0 && most > 0 {
            // A verdict that it brings is repeated later.
            let headers = call.by("headers", call.deadline, receiver.headers());
            let _ = Patience::any(3, random).wait(call.patiently(headers)).await;
        }
        while call.received < most {
            if random.below(6) == 0 {
                let pause = pause(random);
                call.pauses += pause;
                sleep(&**self.ledger.runtime(), pause).await;
            }
            let received = call.by("recv", call.deadline, receiver.recv());
            let patience = Patience::any(8, random);
            let Some(received) = call.patiently(patience.wait(received)).await else { break };
            let verdict = match received {
                None => {
                    self.ledger.tally(|tally| tally.dropped += 1);
                    continue;
                }
                Some(Ok(Some(message))) => {
                    call.take(&message);
                    continue;
                }
                Some(Ok(None)) => Ok(receiver.trailers().cloned().expect("there are trailers now")),
                Some(Err(error)) => Err(error),
            };
            call.judge(&verdict);
            for _ in 0..random.below(3) {
                assert_eq!(receiver.recv().await, verdict.clone().map(|_| None), "there is one verdict");
            }
            if random.below(2) == 0 {
                let limit = self.ledger.now().saturating_add(seat.end);
                let end = self.end(&call, "the end", limit, receiver.ended()).await;
                assert!(end.is_none_or(|told| !told), "call {}: the verdict is told twice", call.number);
            }
            return;
        }
        self.leave(leave, receiver, &call, seat).await;
    }

    async fn leave(&mut self, leave: Leave, receiver: Receiver, call: &Call, seat: &Seat) {
        call.tell(&format!("{leave:?}"));
        self.ledger.tally(|tally| tally.left += 1);
        let now = self.ledger.now();
        match leave {
            Leave::Close => {
                self.ledger.change(call.number, |entry| entry.is_finished = true);
                // If there may be a verdict it is its end that is waited for.
                let has_end = call.script.end != End::Never;
                let until = now.saturating_add(if has_end { seat.drain.max(seat.end) } else { seat.drain });
                let limit = call.deadline.map_or(until, |deadline| deadline.min(until));
                self.end(call, "the drain", limit, receiver.close()).await;
            }
            Leave::Abort => {
                self.end(call, "the abort", now, receiver.abort()).await;
            }
            Leave::Drop => drop(receiver),
        }
    }

    /// Awaits the end of a call, or loses interest; whether it came with a verdict.
    async fn end(&mut self, call: &Call, what: &str, limit: Instant, ending: Ending) -> Option<bool> {
        let patience = Patience::any(4, &mut self.random);
        let Some(end) = patience.wait(call.by(what, Some(limit), ending)).await else {
            self.ledger.tally(|tally| tally.dropped += 1);
            return None;
        };
        call.judge_end(&end);
        Some(end.verdict.is_some())
    }
}

/// The sending side of a call.
struct Sending {
    ledger: Ledger,
    call: CallNumber,
    deadline: Option<Instant>,
    random: Random,
}

impl Sending {
    async fn all(mut self, mut sender: Sender, requests: Vec<(Duration, usize)>, stops: bool) {
        for (at, (pause, len)) in requests.into_iter().enumerate() {
            if !pause.is_zero() {
                sleep(&**self.ledger.runtime(), pause).await;
            }
            let message = message(self.call, From::Client, at, len);
            loop {
                let begun = self.ledger.now();
                match Patience::any(8, &mut self.random).wait(sender.send(message.clone())).await {
                    Some(Ok(())) => break,
                    Some(Err(SendError::Closed(reason))) => {
                        let call = self.call;
                        self.ledger.tell(format_args!("call {call}: its sender hears of {reason:?}"));
                        let now = self.ledger.now();
                        let limit = self.deadline.map(|deadline| deadline.max(begun));
                        assert!(limit.is_none_or(|limit| now <= limit), "call {call}: it is told late");
                        return;
                    }
                    // Its receiver has closed it.
                    Some(Err(SendError::Misuse(ApiMisuse::AlreadyFinished)))
                        if self.ledger.entry(self.call).is_finished =>
                    {
                        return;
                    }
                    Some(Err(error)) => panic!("call {}: {error:?}", self.call),
                    None => self.ledger.tally(|tally| tally.dropped += 1),
                }
            }
            self.ledger.change(self.call, |entry| entry.sent += 1);
        }
        if !stops {
            self.ledger.change(self.call, |entry| entry.is_finished = true);
            sender.finish().expect("once");
        }
    }
}

/// Makes a call that should succeed, once more until it does: whether that was before a time.
pub(super) async fn recovers(ledger: &Ledger, seat: &Seat, until: Instant) -> bool {
    let procedure = Kind::Unary.procedure();
    while ledger.now() < until {
        // A script without steps, which succeeds.
        let call = Call::plain(ledger);
        let message =
            message(call.number, From::Client, 0, call.script.requests.first().copied().unwrap_or_default());
        let builder =
            seat.channel().call(&procedure).metadata(call.metadata()).timeout(Duration::from_secs(2));
        match builder.unary(message).await {
            Ok(_) => return true,
            Err(error) => call.tell(&format!("not yet: {error}")),
        }
        sleep(&**ledger.runtime(), Duration::from_millis(100)).await;
    }
    false
}

/// Waits for many tasks.
pub(super) async fn all_done(tasks: Vec<super::super::suite::Task<()>>) {
    for task in tasks {
        task.await;
    }
}

/// Lets a client work in a task of its own.
pub(super) fn start(client: Client, calls: usize) -> super::super::suite::Task<()> {
    let runtime = client.ledger.runtime().clone();
    spawn(&*runtime, client.work(calls))
}
