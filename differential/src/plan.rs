//! What is to happen: chosen before it begins.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::draw::Draw;

/// Sides are told apart by numbers, too: the client's is 0.
pub(crate) const CLIENT: usize = 0;
pub(crate) const SERVER: usize = 1;

/// How the end of the connection is brought about while calls are under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ending {
    /// It is not.
    None,
    /// Our side shuts down.
    Ours,
    /// h2's server shuts down.
    Theirs,
    /// h2's server gives up at once.
    TheirsAbrupt,
    /// The transport is gone.
    Cut,
}

/// What one side sends in a call.
#[derive(Debug)]
pub(crate) struct Message {
    /// The fields of its head.
    pub(crate) fields: HeaderMap,
    pub(crate) len: usize,
    /// Whether the head ends it. Then there is no body and there are no trailers.
    pub(crate) at_head: bool,
    /// Whether the head says how long it is.
    pub(crate) is_announced: bool,
    pub(crate) trailers: Option<HeaderMap>,
    /// After so many bytes it is reset with this code in place of its end.
    pub(crate) reset: Option<(usize, u32)>,
}

#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) request: Message,
    pub(crate) response: Message,
    pub(crate) status: u16,
    /// The response begins when the request is complete; else with its head.
    pub(crate) is_half_duplex: bool,
    /// The server takes nothing of the request's body, and lets go of the stream after its response.
    pub(crate) is_early: bool,
}

impl Call {
    pub(crate) fn message(&self, side: usize) -> &Message {
        if side == CLIENT { &self.request } else { &self.response }
    }
}

#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) stream_window: u32,
    pub(crate) connection_window: u32,
    pub(crate) max_frame: u32,
    pub(crate) table: u32,
    pub(crate) max_streams: u32,
}

#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) ours: usize,
    pub(crate) calls: Vec<Call>,
    /// By side.
    pub(crate) settings: [Settings; 2],
    pub(crate) max_output: usize,
    /// What fits on the way, each way.
    pub(crate) capacity: usize,
    /// Bytes that one read or write carries at most.
    pub(crate) piece: usize,
    pub(crate) ending: Ending,
    /// The step it comes at.
    pub(crate) ending_at: usize,
    /// h2 changes its windows while calls are under way.
    pub(crate) rewindows: bool,
    pub(crate) pings: bool,
    /// Decides what is done to h2's frames on their way, if anything is.
    pub(crate) dress: Option<usize>,
}

/// A byte of a body.
pub(crate) fn byte(call: usize, side: usize, at: usize) -> u8 {
    (call * 89 + side * 41 + at + at / 251) as u8
}

pub(crate) fn bytes(call: usize, side: usize, at: usize, len: usize) -> Bytes {
    (at..at + len).map(|at| byte(call, side, at)).collect()
}

impl Plan {
    pub(crate) fn new(draw: &mut Draw) -> Self {
        let ours = draw.below(2);
        let count = draw.pick(&[1, 2, 4, 8, 20, 40]);
        let settings = [settings(draw), settings(draw)];
        // Small windows and long bodies are many frames.
        let reach =
            |settings: &Settings| (settings.stream_window as usize).saturating_mul(400).min(200 << 10);
        let max = [reach(&settings[SERVER]), reach(&settings[CLIENT])];
        let mut calls: Vec<_> = (0..count).map(|_| call(draw, max)).collect();
        let is_full = settings[SERVER].max_streams < count as u32;
        for call in &mut calls {
            if ours == CLIENT && is_full {
                // h2's server ends the connection by PROTOCOL_ERROR when trailers come for a stream that it refused.
                call.request.trailers = None;
            }
            if ours == SERVER
                && (is_full || call.is_early)
                && let Some((at, _)) = &mut call.request.reset
            {
                // h2's client never sends the reset if its head had not gone out and the body is over its window.
                *at = 0;
            }
        }
        let ending = match draw.below(10) {
            0 => Ending::Ours,
            1 if ours == CLIENT => Ending::Theirs,
            2 if ours == CLIENT => Ending::TheirsAbrupt,
            3 => Ending::Cut,
            _ => Ending::None,
        };
        let ending_before = draw.pick(&[4, 40, 400]);
        Plan {
            ours,
            calls,
            settings,
            max_output: draw.pick(&[64 << 10, 4 << 10, 20 << 10, 1 << 20]),
            capacity: draw.pick(&[1 << 20, 64 << 10, 9000, 300]),
            piece: draw.pick(&[1 << 20, 16 << 10, 3000, 200]),
            ending,
            ending_at: draw.below(ending_before),
            rewindows: draw.one_in(4),
            pings: draw.one_in(4),
            dress: draw.one_in(2).then(|| draw.below(1 << 16)),
        }
    }

    pub(crate) fn theirs(&self) -> usize {
        1 - self.ours
    }
}

fn settings(draw: &mut Draw) -> Settings {
    Settings {
        stream_window: draw.pick(&[65_535, 256 << 10, 16_384, 1000, 100, 9]),
        connection_window: draw.pick(&[65_535, 1 << 20, 100_000]),
        max_frame: draw.pick(&[16_384, 16_385, 100_000]),
        table: draw.pick(&[4096, 4096, 0, 100, 65_536]),
        max_streams: draw.pick(&[250, 250, 100, 3, 1]),
    }
}

fn call(draw: &mut Draw, max: [usize; 2]) -> Call {
    let request = message(draw, max[CLIENT], 6);
    let response = message(draw, max[SERVER], 6);
    let is_early = draw.one_in(8);
    Call {
        request,
        response,
        status: draw.pick(&[200, 200, 404, 503, 206]),
        is_half_duplex: !is_early && draw.one_in(2),
        is_early,
    }
}

fn message(draw: &mut Draw, max: usize, resets: usize) -> Message {
    let mut message = Message {
        fields: fields(draw),
        len: draw.length(max),
        at_head: draw.one_in(6),
        is_announced: draw.one_in(3),
        trailers: draw.one_in(3).then(|| fields(draw)).filter(|trailers| !trailers.is_empty()),
        reset: None,
    };
    if message.at_head {
        (message.len, message.is_announced, message.trailers) = (0, false, None);
    } else if draw.one_in(resets) {
        message.reset = Some((draw.below(message.len + 1), draw.pick(&[8, 2, 5, 11, 0x1234])));
    }
    message
}

fn fields(draw: &mut Draw) -> HeaderMap {
    let mut fields = HeaderMap::new();
    // More than fits into one frame.
    let is_large = draw.one_in(12);
    for _ in 0..if is_large { 12 } else { draw.pick(&[0, 2, 5, 12]) } {
        let name = match draw.below(6) {
            0 => HeaderName::from_static("user-agent"),
            1 => HeaderName::from_static("content-type"),
            2 => HeaderName::from_static("authorization"),
            3 => HeaderName::from_static("te"),
            _ => HeaderName::try_from(format!("x-name-{}-bin", draw.below(20))).expect("a name"),
        };
        if name == "te" {
            fields.insert(name, HeaderValue::from_static("trailers"));
            continue;
        }
        let reach = draw.pick(&[0, 3, 20, 100, 100, 3000]);
        let len = if is_large { 3000 } else { draw.below(reach + 1) };
        let mut value: Vec<u8> = (0..len).map(|_| value_byte(draw)).collect();
        if let Some(first) = value.first_mut() {
            *first = b'e';
        }
        if let Some(last) = value.last_mut() {
            *last = b'e';
        }
        if !is_large && draw.one_in(2) {
            value = draw.pick(&["application/proto", "a", "1", "0123456789"]).into();
        }
        let mut value = HeaderValue::from_bytes(&value).expect("a value");
        value.set_sensitive(draw.one_in(5));
        fields.append(name, value);
    }
    fields
}

fn value_byte(draw: &mut Draw) -> u8 {
    match draw.below(8) {
        0 => 0x80 | draw.below(128) as u8,
        1 => b'\t',
        2 => b' ',
        _ => b'!' + draw.below(94) as u8,
    }
}
