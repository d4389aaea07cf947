//! What was said on a call, and what has to be heard of it.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::Instant;
use crate::call::{Kind, Phase, Processed, SendError};
use crate::connection::{CallClosed, CallId, Client, Server};
use crate::error::{CloseReason, Code};
use crate::testing::{Endpoint, Heard, Pair, Told};

/// One side of the call that commands go to, as somebody who sends on it sees it.
pub(super) trait Speaker {
    fn phase(&mut self) -> Phase;
    fn say(&mut self, message: Bytes) -> Result<(), SendError>;
}

impl Speaker for Endpoint<Client> {
    fn phase(&mut self) -> Phase {
        self.state()
    }

    fn say(&mut self, message: Bytes) -> Result<(), SendError> {
        self.send(message)
    }
}

impl Speaker for Endpoint<Server> {
    fn phase(&mut self) -> Phase {
        self.state()
    }

    fn say(&mut self, message: Bytes) -> Result<(), SendError> {
        self.send(message)
    }
}

/// What one side says, and how it ends. What there is no room for waits until the call is told to be writable.
#[derive(Debug)]
pub(super) struct Speech<E> {
    pub(super) said: Vec<Bytes>,
    waiting: VecDeque<Bytes>,
    end: Option<E>,
}

impl<E> Speech<E> {
    fn new() -> Self {
        Speech { said: Vec::new(), waiting: VecDeque::new(), end: None }
    }

    /// To be said after all that waits.
    pub(super) fn add(&mut self, message: Bytes) {
        if self.end.is_none() {
            self.waiting.push_back(message);
        }
    }

    /// How it ends after all that waits; only the first one counts.
    pub(super) fn end(&mut self, end: E) {
        self.end.get_or_insert(end);
    }

    /// How much there is of it.
    pub(super) fn len(&self) -> usize {
        self.said.len() + self.waiting.len()
    }

    /// Says as much as there is room for. Returns the end if all is said and it is time for it.
    pub(super) fn go_on(&mut self, speaker: &mut impl Speaker) -> Option<E> {
        while let Some(message) = self.waiting.pop_front() {
            if speaker.phase() == Phase::Closed {
                self.waiting.clear();
                break;
            }
            match speaker.say(message.clone()) {
                Ok(()) => self.said.push(message),
                Err(SendError::Full(_)) => {
                    self.waiting.push_front(message);
                    return None;
                }
                Err(_) => {}
            }
        }
        self.end.take()
    }
}

/// A call of a world.
#[derive(Debug)]
pub(super) struct Played {
    pub(super) kind: Kind,
    pub(super) client: CallId,
    pub(super) server: Option<CallId>,
    pub(super) request: Speech<()>,
    /// It ends with success or not.
    pub(super) response: Speech<bool>,
    /// What the handler has answered.
    pub(super) answer: Option<Result<(), Code>>,
    /// The server says that it does not exist.
    pub(super) refused: bool,
    /// It was opened before the client knew how many calls the server takes at once.
    pub(super) early: bool,
    /// The client has left it.
    pub(super) left: bool,
    /// One of the sides has broken it off, or its time may be up.
    pub(super) spoilt: bool,
    /// By when the client's side is over.
    pub(super) until: Option<Instant>,
}

impl Played {
    pub(super) fn new(kind: Kind, client: CallId) -> Self {
        Played {
            kind,
            client,
            server: None,
            request: Speech::new(),
            response: Speech::new(),
            answer: None,
            refused: false,
            early: false,
            left: false,
            spoilt: false,
            until: None,
        }
    }

    pub(super) fn has_one_request(&self) -> bool {
        matches!(self.kind, Kind::Unary | Kind::ServerStream)
    }

    pub(super) fn has_one_response(&self) -> bool {
        matches!(self.kind, Kind::Unary | Kind::ClientStream)
    }

    /// Nothing is lost, doubled, reordered or another call's, and nothing that was cut off looks complete.
    pub(super) fn check(&self, pair: &Pair, http2: bool) {
        let client = Story::of(&pair.client.told, Some(self.client));
        let (heard, said) = (&client.messages, &self.response.said);
        assert!(is_prefix(heard, said), "{self:?} is not what the client heard: {heard:?}");
        if client.verdict == Some(Ok(())) {
            assert_eq!(self.answer, Some(Ok(())), "a success out of nowhere: {self:?}");
            assert!(self.left || heard.len() == said.len(), "a success that misses messages: {self:?}");
        }
        match client.closed.map(|closed| closed.processed) {
            Some(Processed::No) => assert_eq!(self.server, None, "the server has seen it: {client:?}"),
            // Over HTTP/1.1 the connection may have answered.
            Some(Processed::Yes) if http2 => {
                assert!(self.server.is_some(), "the server has not seen it: {client:?}")
            }
            _ => {}
        }
        let server = Story::of(&pair.server.told, self.server);
        let (heard, said) = (&server.messages, &self.request.said);
        assert!(is_prefix(heard, said), "{self:?} is not what the server heard: {heard:?}");
        if server.half_closed && !self.spoilt {
            assert_eq!(heard.len(), said.len(), "an end that misses messages: {self:?}");
        }
    }

    /// The server has heard all of a request that has ended, unless it was answered before.
    pub(super) fn check_request(&self, pair: &Pair) {
        let is_expected = self.server.is_some() && self.answer.is_none() && !self.refused;
        if is_expected && !self.left && !self.spoilt {
            let server = Story::of(&pair.server.told, self.server);
            assert!(server.half_closed, "a request that does not end: {self:?}, {server:?}");
        }
    }

    /// What the client has heard in the end depends on nothing but what was said on this call; unless the server
    /// does not take it, since it is full or the connection is `leaving`.
    pub(super) fn check_outcome(&self, pair: &Pair, leaving: bool) {
        let client = Story::of(&pair.client.told, Some(self.client));
        let closed = client.closed.unwrap_or_else(|| panic!("it does not end: {self:?}"));
        if self.left || self.spoilt {
            return;
        }
        if self.server.is_none() && (self.early || leaving) {
            return assert!(client.verdict.is_some_and(|verdict| verdict.is_err()), "{client:?}");
        }
        let expected = if self.refused { Err(Code::Unimplemented) } else { self.answer.expect("an answer") };
        assert_eq!(client.verdict, Some(expected), "{self:?}");
        assert_eq!(closed.reason, CloseReason::Complete, "{self:?}");
        // The one response of a failed call is not told.
        if expected.is_ok() || !(self.has_one_response() || self.refused) {
            assert_eq!(client.messages.len(), self.response.said.len(), "{self:?}");
        }
    }
}

fn is_prefix(heard: &[&Bytes], said: &[Bytes]) -> bool {
    heard.len() <= said.len() && heard.iter().zip(said).all(|(heard, said)| *heard == said)
}

/// What one side of a call has told.
#[derive(Debug)]
struct Story<'a> {
    messages: Vec<&'a Bytes>,
    half_closed: bool,
    verdict: Option<Result<(), Code>>,
    closed: Option<CallClosed>,
}

impl<'a> Story<'a> {
    fn of(told: &'a [Told], call: Option<CallId>) -> Self {
        let mut story = Story { messages: Vec::new(), half_closed: false, verdict: None, closed: None };
        for told in told.iter().filter(|told| told.call.is_some() && told.call == call) {
            match &told.what {
                Heard::Message(message) => story.messages.push(message),
                Heard::PeerHalfClosed => story.half_closed = true,
                Heard::Finished(verdict) => {
                    story.verdict = Some(verdict.as_ref().map(drop).map_err(|error| error.code()));
                }
                Heard::Closed(closed) => story.closed = Some(*closed),
                _ => {}
            }
        }
        story
    }
}
