//! What tells our side's roles apart.

use connect_proto::Instant;
use connect_proto::http2::{Client, ClientRole, Engine, OpenError, Role, Server, ServerRole, StreamKey};
use http::{HeaderMap, Request, Response, request, response};

use crate::plan::{CLIENT, Call, SERVER};

/// What came of opening a stream.
pub(crate) enum Opened {
    Stream(StreamKey),
    Busy,
    Never,
}

/// A role of the engine.
pub(crate) trait Part: Role + std::fmt::Debug {
    const SIDE: usize;

    fn head(call: &Call, number: usize) -> Self::Out;
    /// The first line and the fields, and which call it is if the head tells.
    fn read(parts: Self::In) -> (String, HeaderMap, Option<usize>);
    fn open(engine: &mut Engine<Self>, now: Instant) -> Opened;
}

impl Part for ClientRole {
    const SIDE: usize = CLIENT;

    fn head(call: &Call, number: usize) -> request::Parts {
        let request = Request::post(format!("http://host/{number}")).body(()).expect("a request");
        let mut parts = request.into_parts().0;
        parts.headers = call.request.fields.clone();
        parts
    }

    fn read(parts: response::Parts) -> (String, HeaderMap, Option<usize>) {
        (parts.status.as_str().into(), parts.headers, None)
    }

    fn open(engine: &mut Client, now: Instant) -> Opened {
        match engine.open(now) {
            Ok(key) => Opened::Stream(key),
            Err(OpenError::Busy) => Opened::Busy,
            Err(_) => Opened::Never,
        }
    }
}

impl Part for ServerRole {
    const SIDE: usize = SERVER;

    fn head(call: &Call, _: usize) -> response::Parts {
        let response = Response::builder().status(call.status).body(()).expect("a response");
        let mut parts = response.into_parts().0;
        parts.headers = call.response.fields.clone();
        parts
    }

    fn read(parts: request::Parts) -> (String, HeaderMap, Option<usize>) {
        let number = parts.uri.path()[1..].parse().expect("the number of a call");
        (format!("{} {}", parts.method, parts.uri), parts.headers, Some(number))
    }

    fn open(_: &mut Server, _: Instant) -> Opened {
        Opened::Never
    }
}
