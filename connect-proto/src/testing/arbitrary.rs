//! `Arbitrary` for what goes into the machines, so that embedders can fuzz what they build on them.
//!
//! Types of the `http` crate have none; functions here make them.

use std::time::Duration;

use arbitrary::{Arbitrary, Result, Unstructured};
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method, StatusCode, Uri, Version, request, response};

use crate::call::{BodySize, Chunk, Input, Kind, Processed};
use crate::client::{Procedure, Request};
use crate::error::{Code, ErrorDetail, LostKind, PeerMisbehaved, ResetCode, RpcError};
use crate::metadata::{self, Metadata};
use crate::wire::end_stream::EndStream;

/// Any bytes.
///
/// # Errors
/// Those of `u`.
pub fn bytes(u: &mut Unstructured<'_>) -> Result<Bytes> {
    Ok(Bytes::from(Vec::<u8>::arbitrary(u)?))
}

/// Metadata that an application could send: a few names, none of them reserved.
///
/// # Errors
/// Those of `u`.
pub fn metadata(u: &mut Unstructured<'_>) -> Result<Metadata> {
    let mut metadata = Metadata::new();
    for _ in 0..u.int_in_range(0..=4)? {
        let name = HeaderName::try_from(token(u)?).ok().filter(|name| !metadata::is_reserved(name));
        if let (Some(name), Some(value)) = (name, value(u)?) {
            metadata.append(name, value);
        }
    }
    Ok(metadata)
}

/// The head of a response, with header fields of the protocol, right or wrong.
///
/// # Errors
/// Those of `u`.
pub fn response_head(u: &mut Unstructured<'_>) -> Result<response::Parts> {
    let (mut parts, ()) = http::Response::new(()).into_parts();
    let statuses = [200, 200, 200, 204, 304, 400, 404, 429, 500, 503, 800];
    parts.status = StatusCode::from_u16(*u.choose(&statuses)?).unwrap_or_default();
    parts.version = version(u)?;
    parts.headers = fields(u)?;
    Ok(parts)
}

/// The head of a request, with header fields of the protocol, right or wrong.
///
/// # Errors
/// Those of `u`.
pub fn request_head(u: &mut Unstructured<'_>) -> Result<request::Parts> {
    let (mut parts, ()) = http::Request::new(()).into_parts();
    parts.method = u.choose(&[Method::POST, Method::GET, Method::PUT])?.clone();
    let query: &str = u.choose(&["", "?connect=v1&encoding=json&message=hello", "?message"])?;
    parts.uri = Uri::try_from(format!("{}{query}", Procedure::arbitrary(u)?.as_str())).unwrap_or_default();
    parts.version = version(u)?;
    parts.headers = fields(u)?;
    Ok(parts)
}

fn version(u: &mut Unstructured<'_>) -> Result<Version> {
    u.choose(&[Version::HTTP_10, Version::HTTP_11, Version::HTTP_2]).copied()
}

/// One to eight letters and digits.
fn token(u: &mut Unstructured<'_>) -> Result<String> {
    let len = u.int_in_range(1..=8)?;
    (0..len)
        .map(|_| u.choose(b"abcdefghijklmnopqrstuvwxyz-0123456789").map(|byte| char::from(*byte)))
        .collect()
}

fn value(u: &mut Unstructured<'_>) -> Result<Option<HeaderValue>> {
    Ok(HeaderValue::from_maybe_shared(bytes(u)?).ok())
}

fn fields(u: &mut Unstructured<'_>) -> Result<Metadata> {
    const NAMES: [HeaderName; 6] = [
        CONTENT_TYPE,
        CONTENT_ENCODING,
        CONTENT_LENGTH,
        crate::wire::names::CONTENT_ENCODING,
        crate::wire::names::TIMEOUT,
        crate::wire::names::PROTOCOL_VERSION,
    ];
    const VALUES: [&str; 10] = [
        "application/proto",
        "application/json",
        "application/connect+proto",
        "application/connect+json",
        "gzip",
        "identity",
        "0",
        "1",
        "1000",
        "text/html; charset=utf-8",
    ];
    let mut fields = metadata(u)?;
    for name in NAMES {
        if u.arbitrary()? {
            fields.insert(name, HeaderValue::from_static(u.choose(&VALUES)?));
        }
    }
    Ok(fields)
}

impl<'a> Arbitrary<'a> for BodySize {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(match u.arbitrary()? {
            None => BodySize::Unknown,
            Some(0) => BodySize::Empty,
            Some(len) => BodySize::Exact(len),
        })
    }
}

impl<'a> Arbitrary<'a> for Chunk {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let prefix: Option<[u8; 5]> = u.arbitrary()?;
        let payload = bytes(u)?;
        Ok(prefix.map_or_else(
            || Chunk::from(payload.clone()),
            |prefix| Chunk::with_prefix(prefix, payload.clone()),
        ))
    }
}

impl<'a> Arbitrary<'a> for RpcError {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let error = RpcError::new(Code::arbitrary(u)?, String::arbitrary(u)?).with_metadata(metadata(u)?);
        Vec::<ErrorDetail>::arbitrary(u).map(|details| details.into_iter().fold(error, RpcError::with_detail))
    }
}

impl<'a> Arbitrary<'a> for EndStream {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(EndStream { error: u.arbitrary()?, metadata: metadata(u)? })
    }
}

impl<'a> Arbitrary<'a> for Procedure {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let path = format!("/{}/{}", token(u)?, token(u)?);
        Procedure::new(path).map_err(|_| arbitrary::Error::IncorrectFormat)
    }
}

impl<'a> Arbitrary<'a> for Request {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(Request {
            procedure: u.arbitrary()?,
            kind: Kind::arbitrary(u)?,
            side_effect_free: u.arbitrary()?,
            metadata: metadata(u)?,
            timeout: Option::<u32>::arbitrary(u)?.map(|millis| Duration::from_millis(millis.into())),
        })
    }
}

impl<'a> Arbitrary<'a> for Input {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(match u.int_in_range(0..=8)? {
            0 => Input::Head(Box::new(response_head(u)?)),
            1 => Input::End(None),
            2 => Input::EndSent,
            3 => Input::Misbehaved(PeerMisbehaved::MalformedChunk),
            4 => Input::Reset { code: ResetCode::arbitrary(u)?, processed: Processed::arbitrary(u)? },
            5 => Input::Lost { kind: LostKind::arbitrary(u)?, processed: Processed::arbitrary(u)? },
            _ => Input::Data(bytes(u)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::Instant;
    use crate::client::Call;
    use crate::server::{Incoming, ServerConfig};
    use crate::testing::{client_config, method};

    /// Bytes to make values of.
    fn noise(seed: u64) -> Vec<u8> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 24) as u8
        };
        std::iter::repeat_with(next).take(500).collect()
    }

    #[test]
    fn arbitrary_calls_take_arbitrary_input() {
        let config = Arc::new(client_config());
        for seed in 0..2000 {
            let noise = noise(seed);
            let mut u = Unstructured::new(&noise);
            let request = Request::arbitrary(&mut u).unwrap();
            let mut call = Call::new(Instant::ORIGIN, &config, request).expect("no reserved names");
            while let (false, Ok(input)) = (u.is_empty(), Input::arbitrary(&mut u)) {
                let _ = call.poll_transmit(100);
                call.handle_input(Instant::ORIGIN, input);
                while call.poll_event().is_some() {}
            }
        }
    }

    #[test]
    fn arbitrary_heads_make_calls() {
        let config = Arc::new(ServerConfig::default());
        for seed in 0..2000 {
            let noise = noise(seed);
            let mut u = Unstructured::new(&noise);
            let (head, kind) = (request_head(&mut u).unwrap(), Kind::arbitrary(&mut u).unwrap());
            let incoming = Incoming::new(Instant::ORIGIN, head);
            let mut call = incoming.start(Instant::ORIGIN, &config, &method(kind));
            while let (false, Ok(input)) = (u.is_empty(), Input::arbitrary(&mut u)) {
                call.handle_input(Instant::ORIGIN, input);
                while call.poll_transmit(100).is_some() || call.poll_event().is_some() {}
            }
        }
    }

    #[test]
    fn an_arbitrary_verdict_survives_its_json() {
        for seed in 0..2000 {
            let noise = noise(seed);
            let error = RpcError::arbitrary(&mut Unstructured::new(&noise)).unwrap();
            let json = crate::wire::error_json::write(&error);
            let read = crate::wire::error_json::read(&json, StatusCode::OK);
            assert_eq!((read.code(), read.message()), (error.code(), error.message()));
            assert_eq!(read.details().len(), error.details().len());
        }
    }
}
