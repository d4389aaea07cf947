//! The receiving half: a body that turns into messages, in either role.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::call::Limits;
use crate::call::drain::Drain;
use crate::call::events::Events;
use crate::call::kind::Cardinality;
use crate::compress::Compression;
use crate::error::{CloseReason, PeerMisbehaved};
use crate::message::{Inbound, decompress};
use crate::wire::end_stream::{self, EndStream};
use crate::wire::envelope::{Admit, Decoded, Decoder, Envelope, Flags, PREFIX_LEN, Prefix};

/// Where the receiving half is. All transitions are in [`RecvState::step`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum RecvState {
    /// Client: no response head yet.
    AwaitHead,
    /// Client: envelopes, the last of them the end-of-stream.
    Responses,
    /// Server: envelopes, ended by HTTP's end.
    Requests,
    /// The body is one message.
    Body,
    /// Client: the body is the JSON of an error.
    ErrorBody,
    /// Nobody wants the body.
    Discard,
    /// Client: the end-of-stream was parsed; HTTP's end is to come.
    AwaitEnd,
    /// HTTP's end has come.
    Ended,
    /// Server: the transport is to be told to stop receiving.
    Stopping,
    /// Server: it was told.
    Stopped,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum RecvInput {
    /// Client: a response head, and what its body is.
    Head(BodyKind),
    /// Bytes of a body.
    Data,
    EndStream,
    HttpEnd,
    /// The body is of no use any more. Envelopes of a response go on being parsed: their end-of-stream still counts.
    Discard,
    Stop,
    StopTaken,
}

/// What the body of a response is, as its head says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum BodyKind {
    Responses,
    Message,
    Error,
    Useless,
}

impl RecvState {
    /// The one place where the state of a receiving half changes.
    pub(crate) fn step(self, on: RecvInput) -> Result<RecvState, PeerMisbehaved> {
        use RecvInput as On;
        use RecvState as S;
        Ok(match (self, on) {
            (S::AwaitHead, On::Head(BodyKind::Responses)) => S::Responses,
            (S::AwaitHead, On::Head(BodyKind::Message)) => S::Body,
            (S::AwaitHead, On::Head(BodyKind::Error)) => S::ErrorBody,
            (S::AwaitHead, On::Head(BodyKind::Useless)) => S::Discard,
            (S::AwaitHead, On::Data | On::HttpEnd) => return Err(PeerMisbehaved::MalformedHead),
            (_, On::Head(_)) => return Err(PeerMisbehaved::MalformedHead),

            (S::Responses, On::EndStream) => S::AwaitEnd,
            (S::Responses, On::HttpEnd) => return Err(PeerMisbehaved::MissingEndStream),
            (S::Requests, On::EndStream) => return Err(PeerMisbehaved::EndStreamFromClient),
            (S::AwaitEnd, On::Data) => return Err(PeerMisbehaved::DataAfterEndStream),
            (S::Requests | S::Body | S::ErrorBody | S::Discard | S::AwaitEnd | S::Stopping, On::HttpEnd) => {
                S::Ended
            }

            (S::Requests | S::Body | S::ErrorBody, On::Discard) => S::Discard,
            (S::Requests | S::Body | S::Discard, On::Stop) => S::Stopping,
            (S::Stopping, On::StopTaken) => S::Stopped,
            (state, _) => state,
        })
    }
}

#[cfg(test)]
impl RecvState {
    pub(crate) const ALL: [RecvState; 10] = [
        RecvState::AwaitHead,
        RecvState::Responses,
        RecvState::Requests,
        RecvState::Body,
        RecvState::ErrorBody,
        RecvState::Discard,
        RecvState::AwaitEnd,
        RecvState::Ended,
        RecvState::Stopping,
        RecvState::Stopped,
    ];
}

#[cfg(test)]
impl RecvInput {
    pub(crate) const ALL: [RecvInput; 10] = [
        RecvInput::Head(BodyKind::Responses),
        RecvInput::Head(BodyKind::Message),
        RecvInput::Head(BodyKind::Error),
        RecvInput::Head(BodyKind::Useless),
        RecvInput::Data,
        RecvInput::EndStream,
        RecvInput::HttpEnd,
        RecvInput::Discard,
        RecvInput::Stop,
        RecvInput::StopTaken,
    ];
}

/// What a body leads to before its end.
#[derive(Debug)]
pub(crate) enum Found {
    EndStream(EndStream),
    /// The body of an error goes beyond its limit: the status has to do.
    ErrorTooLarge,
}

/// Why received bytes end a call or its draining.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    Misbehaved(PeerMisbehaved),
    Drain(CloseReason),
}

impl From<PeerMisbehaved> for Fault {
    fn from(fault: PeerMisbehaved) -> Self {
        Fault::Misbehaved(fault)
    }
}

impl From<CloseReason> for Fault {
    fn from(reason: CloseReason) -> Self {
        Fault::Drain(reason)
    }
}

#[derive(Debug)]
pub(crate) struct RecvHalf {
    state: RecvState,
    cardinality: Cardinality,
    compression: Option<Arc<dyn Compression>>,
    decoder: Decoder,
    body: Collected,
    /// The message of a half that carries exactly one: delivered when the half has ended well.
    held: Option<(Inbound, u64)>,
    /// What content-length still announces.
    expected: Option<u64>,
    received: u64,
    credited: u64,
}

impl RecvHalf {
    pub(crate) fn new(state: RecvState, cardinality: Cardinality) -> Self {
        RecvHalf {
            state,
            cardinality,
            compression: None,
            decoder: Decoder::new(),
            body: Collected::Nothing,
            held: None,
            expected: None,
            received: 0,
            credited: 0,
        }
    }

    pub(crate) fn state(&self) -> RecvState {
        self.state
    }

    pub(crate) fn step(&mut self, on: RecvInput) -> Result<(), PeerMisbehaved> {
        self.state = self.state.step(on)?;
        Ok(())
    }

    /// Whether HTTP's end has come, or nobody waits for it any more.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self.state, RecvState::Ended | RecvState::Stopped)
    }

    pub(crate) fn set_compression(&mut self, compression: Option<Arc<dyn Compression>>) {
        self.compression = compression;
    }

    /// A message that came in another way than by the body: in the query of a GET.
    pub(crate) fn hold(&mut self, payload: Bytes, limits: &Limits) -> Result<(), PeerMisbehaved> {
        check_len(payload.len() as u64, self.compression.is_some(), limits)?;
        self.held = Some((Inbound::new(payload, self.compression.clone(), limits.message), 0));
        Ok(())
    }

    /// Takes note of the length that the head announces for the body, if it does.
    pub(crate) fn note_length(&mut self, announced: Option<u64>) {
        self.expected = announced;
    }

    /// Judges that length where the body is one message.
    pub(crate) fn admit_body(&self, limits: &Limits) -> Result<(), PeerMisbehaved> {
        match self.expected {
            Some(len) if self.state == RecvState::Body => check_len(len, self.compression.is_some(), limits),
            _ => Ok(()),
        }
    }

    /// Server: whether the peer owes the rest of a message. The only one is owed from the start, together with the end
    /// of the request that it is told with.
    pub(crate) fn awaits_message(&self) -> bool {
        match (self.state, self.cardinality) {
            (RecvState::Body, _) | (RecvState::Requests, Cardinality::One) => true,
            (RecvState::Requests, Cardinality::Many) => !self.decoder.is_between_envelopes(),
            _ => false,
        }
    }

    /// Takes note of bytes that have arrived, whatever becomes of them.
    pub(crate) fn arrived(&mut self, bytes: usize) {
        self.received += bytes as u64;
    }

    /// Takes from the front of `data` up to the next thing that is to be acted on, or to its end. Messages go to
    /// `events`, unless there is a `drain`: then they are thrown away and counted against it.
    pub(crate) fn take_data(
        &mut self,
        data: &mut Bytes,
        limits: &Limits,
        drain: Option<&mut Drain>,
        events: &mut Events,
    ) -> Result<Option<Found>, Fault> {
        if data.is_empty() {
            return Ok(None);
        }
        self.step(RecvInput::Data)?;
        let before = data.len();
        let found = match self.state {
            RecvState::Responses | RecvState::Requests => self.take_envelopes(data, limits, drain, events),
            RecvState::Body => self.take_body_part(data, limits),
            RecvState::ErrorBody => Ok(self.take_error_part(data, limits)),
            _ => {
                data.clear();
                drain.map_or(Ok(None), |drain| Ok(drain.absorb(before as u64).map(|()| None)?))
            }
        };
        if let Some(expected) = &mut self.expected {
            *expected = expected.saturating_sub((before - data.len()) as u64);
        }
        found
    }

    fn take_body_part(&mut self, data: &mut Bytes, limits: &Limits) -> Result<Option<Found>, Fault> {
        let limit = if self.compression.is_some() { limits.compressed_message } else { limits.message };
        self.body.fill(data, limit.unwrap_or(usize::MAX));
        match limit {
            // Where the data was cut must not show, so that it is always the first byte too many.
            Some(limit) if !data.is_empty() => {
                let limit = limit as u64;
                Err(PeerMisbehaved::MessageTooLarge { len: limit + 1, limit }.into())
            }
            _ => Ok(None),
        }
    }

    fn take_error_part(&mut self, data: &mut Bytes, limits: &Limits) -> Option<Found> {
        self.body.fill(data, limits.error_body);
        if data.is_empty() {
            return None;
        }
        self.body = Collected::Nothing;
        self.state = self.state.step(RecvInput::Discard).unwrap_or(self.state);
        Some(Found::ErrorTooLarge)
    }

    fn take_envelopes(
        &mut self,
        data: &mut Bytes,
        limits: &Limits,
        mut drain: Option<&mut Drain>,
        events: &mut Events,
    ) -> Result<Option<Found>, Fault> {
        loop {
            let wanted = self.held.is_none();
            let (state, compressed) = (self.state, self.compression.is_some());
            let single = self.cardinality == Cardinality::One;
            let found = self.decoder.decode(data, |prefix| {
                check_flags(prefix.flags, state, compressed)?;
                if prefix.flags.contains(Flags::END_STREAM) {
                    check_end_stream(prefix, limits)?;
                    return Ok(Admit::Keep);
                }
                if let Some(drain) = drain.as_deref_mut() {
                    drain.admit(u64::from(prefix.len) + PREFIX_LEN as u64)?;
                    drain.absorb(PREFIX_LEN as u64)?;
                    return Ok::<_, Fault>(Admit::Skip);
                }
                if single && !wanted {
                    return Err(PeerMisbehaved::SeveralMessages.into());
                }
                check_len(u64::from(prefix.len), prefix.flags.contains(Flags::COMPRESSED), limits)?;
                Ok(Admit::Keep)
            });
            match found? {
                None => return Ok(None),
                Some(Decoded::Skipped(len)) => {
                    if let Some(drain) = drain.as_deref_mut() {
                        drain.absorb(len as u64)?;
                    }
                }
                Some(Decoded::Envelope(envelope)) if envelope.flags.contains(Flags::END_STREAM) => {
                    self.step(RecvInput::EndStream)?;
                    let end = self.read_end_stream(envelope, limits)?;
                    return Ok(Some(Found::EndStream(end)));
                }
                Some(Decoded::Envelope(envelope)) => self.accept(envelope, limits, events),
            }
        }
    }

    fn accept(&mut self, envelope: Envelope, limits: &Limits, events: &mut Events) {
        let wire_len = (PREFIX_LEN + envelope.payload.len()) as u64;
        let compression = self.compression.as_ref().filter(|_| envelope.flags.contains(Flags::COMPRESSED));
        let message = Inbound::new(envelope.payload, compression.cloned(), limits.message);
        match self.cardinality {
            Cardinality::Many => events.message(message, wire_len),
            Cardinality::One => self.held = Some((message, wire_len)),
        }
    }

    fn read_end_stream(&self, envelope: Envelope, limits: &Limits) -> Result<EndStream, PeerMisbehaved> {
        let compression = self.compression.as_deref().filter(|_| envelope.flags.contains(Flags::COMPRESSED));
        let json = match compression {
            None => envelope.payload,
            Some(compression) => decompress(compression, &envelope.payload, Some(limits.end_stream))?,
        };
        end_stream::read(&json)
    }

    /// HTTP's end. A message that was held back for it is still to be [released](Self::release).
    pub(crate) fn end(&mut self) -> Result<(), PeerMisbehaved> {
        let cut_off = matches!(self.state, RecvState::Responses | RecvState::Requests)
            && !self.decoder.is_between_envelopes();
        let ended = self.state.step(RecvInput::HttpEnd);
        // Whatever comes of it, HTTP has ended: a fault must not leave the half open.
        self.state = ended.unwrap_or(RecvState::Ended);
        if cut_off {
            return Err(PeerMisbehaved::TruncatedEnvelope);
        }
        ended.map(|_| ())
    }

    /// The body that was collected, if it is one message or an error.
    pub(crate) fn take_body(&mut self) -> Bytes {
        std::mem::replace(&mut self.body, Collected::Nothing).into_bytes()
    }

    pub(crate) fn take_body_message(&mut self, limits: &Limits) -> (Inbound, u64) {
        let payload = self.take_body();
        let len = payload.len() as u64;
        (Inbound::new(payload, self.compression.clone(), limits.message), len)
    }

    /// The JSON of an error, decompressed; `None` if it cannot be.
    pub(crate) fn take_error_body(&mut self, limits: &Limits) -> Option<Bytes> {
        let body = self.take_body();
        match self.compression.as_deref() {
            None => Some(body),
            Some(compression) => decompress(compression, &body, Some(limits.error_body)).ok(),
        }
    }

    /// Delivers the message of a half that carries exactly one, now that the half has ended well.
    pub(crate) fn release(&mut self, events: &mut Events) -> Result<(), PeerMisbehaved> {
        if self.cardinality == Cardinality::Many {
            return Ok(());
        }
        let (message, wire_len) = self.held.take().ok_or(PeerMisbehaved::NoMessage)?;
        events.message(message, wire_len);
        Ok(())
    }

    /// Nobody wants messages any more. Returns how many bytes of them are known to be still to come.
    pub(crate) fn discard(&mut self) -> u64 {
        self.held = None;
        match self.state {
            RecvState::Responses => match self.decoder.current() {
                Some(flags) if flags.contains(Flags::END_STREAM) => 0,
                _ => self.decoder.discard_current() as u64,
            },
            RecvState::Requests | RecvState::Body | RecvState::Discard => {
                let rest = self.decoder.discard_current() as u64;
                self.clear();
                self.state = self.state.step(RecvInput::Discard).unwrap_or(self.state);
                rest.max(self.expected.unwrap_or(0))
            }
            // An error's body is the verdict, not a message: it goes on being collected.
            _ => 0,
        }
    }

    /// Forgets whatever is half assembled: the call is over, or nothing is assembled any more.
    pub(crate) fn clear(&mut self) {
        self.held = None;
        self.body = Collected::Nothing;
        self.decoder = Decoder::new();
    }

    /// Bytes by which the peer's window may grow: what has arrived, less what the waiting messages hold. The message
    /// being assembled is held only once a complete one waits; else one larger than the window would stop for ever.
    pub(crate) fn take_credit(&mut self, waiting: u64) -> u64 {
        let held = if waiting > 0 { waiting + self.decoder.partial_len() as u64 } else { 0 };
        let due = self.received.saturating_sub(held).saturating_sub(self.credited);
        self.credited += due;
        due
    }
}

fn check_flags(flags: Flags, state: RecvState, compression_known: bool) -> Result<(), PeerMisbehaved> {
    if !flags.within(Flags::COMPRESSED | Flags::END_STREAM) {
        return Err(PeerMisbehaved::InvalidEnvelopeFlags(flags.0));
    }
    if flags.contains(Flags::COMPRESSED) && !compression_known {
        return Err(PeerMisbehaved::UnexpectedCompression);
    }
    if flags.contains(Flags::END_STREAM) {
        state.step(RecvInput::EndStream)?;
    }
    Ok(())
}

fn check_end_stream(prefix: Prefix, limits: &Limits) -> Result<(), PeerMisbehaved> {
    let limit = limits.end_stream as u64;
    if u64::from(prefix.len) > limit { Err(PeerMisbehaved::EndStreamTooLarge { limit }) } else { Ok(()) }
}

fn check_len(len: u64, compressed: bool, limits: &Limits) -> Result<(), PeerMisbehaved> {
    let limit = if compressed { limits.compressed_message } else { limits.message };
    match limit.map(|limit| limit as u64) {
        Some(limit) if len > limit => Err(PeerMisbehaved::MessageTooLarge { len, limit }),
        _ => Ok(()),
    }
}

/// A body that is one unit. A body that came in one piece is not copied.
#[derive(Debug)]
enum Collected {
    Nothing,
    One(Bytes),
    Many(BytesMut),
}

impl Collected {
    /// Takes from the front of `data` what fits under `limit`.
    fn fill(&mut self, data: &mut Bytes, limit: usize) {
        let have = match self {
            Collected::Nothing => 0,
            Collected::One(first) => first.len(),
            Collected::Many(all) => all.len(),
        };
        let part = data.split_to(data.len().min(limit.saturating_sub(have)));
        if !part.is_empty() {
            self.push(part);
        }
    }

    fn push(&mut self, data: Bytes) {
        *self = match std::mem::replace(self, Collected::Nothing) {
            Collected::Nothing => Collected::One(data),
            Collected::One(first) => {
                let mut all = BytesMut::with_capacity((first.len() + data.len()) * 2);
                all.extend_from_slice(&first);
                all.extend_from_slice(&data);
                Collected::Many(all)
            }
            Collected::Many(mut all) => {
                all.extend_from_slice(&data);
                Collected::Many(all)
            }
        };
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Collected::Nothing => Bytes::new(),
            Collected::One(data) => data,
            Collected::Many(all) => all.freeze(),
        }
    }
}
