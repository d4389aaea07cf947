//! From the bytes of a complete head to the parts of a message, on httparse.

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri, Version, request, response};

use super::framing::{Facts, Framing};
use super::names::{header_name, header_value};
use super::scan::FoundHead;
use crate::error::PeerMisbehaved;

/// Fields that are parsed without an allocation for them: the first step for heads as they usually are.
const FEW: usize = 16;
const MANY: usize = 100;
/// A target is kept up to this many bytes, a map of fields up to this many of them.
const KEPT_TARGET: usize = 256;
const KEPT_FIELDS: usize = 24;

/// What a head leaves to the next one on its connection.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// The last request's target, if it is a path. Mostly the next one has the same, which is not judged again then.
    path: Option<Uri>,
    /// An empty map that has served for a head that was sent.
    headers: HeaderMap,
}

impl Kept {
    /// Takes the map of a head that was sent.
    pub(super) fn recycle(&mut self, mut headers: HeaderMap) {
        if headers.capacity() <= KEPT_FIELDS {
            headers.clear();
            self.headers = headers;
        }
    }

    fn target(&mut self, head: &Bytes, target: &str, method: &Method) -> Result<Uri, PeerMisbehaved> {
        if target.len() > KEPT_TARGET || !target.starts_with('/') || target.contains('?') {
            return read_target(head.slice_ref(target.as_bytes()), target, method);
        }
        if let Some(path) = self.path.as_ref().filter(|path| path.path() == target)
            && method != Method::CONNECT
        {
            return Ok(path.clone());
        }
        // A copy, so that it does not hold the whole head.
        let path = read_target(Bytes::copy_from_slice(target.as_bytes()), target, method)?;
        Ok(self.path.insert(path).clone())
    }
}

/// A request's head and what it means for the connection.
#[derive(Debug)]
pub(super) struct RequestHead {
    pub(super) parts: Box<request::Parts>,
    pub(super) framing: Framing,
    pub(super) facts: Facts,
}

/// A response's head.
#[derive(Debug)]
pub(super) enum ResponseHead {
    /// An interim response: to be skipped.
    Interim,
    Final {
        parts: Box<response::Parts>,
        framing: Framing,
        facts: Facts,
    },
}

/// Parses a request's head. `head` is complete and its lines end with CRLF: the scan has seen to that.
pub(super) fn parse_request(
    head: &Bytes,
    found: FoundHead,
    kept: &mut Kept,
) -> Result<RequestHead, PeerMisbehaved> {
    with_headers(found.fields, |headers| {
        let mut parsed = httparse::Request::new(headers);
        check(parsed.parse(head), head)?;
        let version = version(parsed.version)?;
        let method = parsed.method.ok_or(PeerMisbehaved::MalformedHead)?;
        let method = Method::from_bytes(method.as_bytes()).map_err(|_| PeerMisbehaved::MalformedHead)?;
        let uri = kept.target(head, parsed.path.unwrap_or_default(), &method)?;
        let (headers, mut facts) = fields(head, parsed.headers, kept)?;
        let framing = facts.request_framing(version)?;
        let mut parts = Box::new(empty_request());
        parts.method = method;
        parts.uri = uri;
        parts.version = version;
        parts.headers = headers;
        Ok(RequestHead { parts, framing, facts })
    })
}

/// Parses a response's head. `to_head`: it answers a HEAD request.
pub(super) fn parse_response(
    head: &Bytes,
    found: FoundHead,
    to_head: bool,
    kept: &mut Kept,
) -> Result<ResponseHead, PeerMisbehaved> {
    with_headers(found.fields, |headers| {
        let mut parsed = httparse::Response::new(headers);
        check(parsed.parse(head), head)?;
        let version = version(parsed.version)?;
        // A status from 600 on is invalid but no fault: it counts as a server error (RFC 9110, section 15).
        let status = parsed.code.and_then(|code| StatusCode::from_u16(code).ok());
        let status = status.ok_or(PeerMisbehaved::MalformedHead)?;
        if status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(PeerMisbehaved::UnexpectedUpgrade);
        }
        if status.is_informational() {
            return Ok(ResponseHead::Interim);
        }
        let (headers, facts) = fields(head, parsed.headers, kept)?;
        let framing = facts.response_framing(version, status, to_head)?;
        let mut parts = Box::new(empty_response());
        parts.status = status;
        parts.version = version;
        parts.headers = headers;
        Ok(ResponseHead::Final { parts, framing, facts })
    })
}

/// Calls `parse` with room for so many fields.
fn with_headers<'b, T>(fields: usize, parse: impl FnOnce(&mut [httparse::Header<'b>]) -> T) -> T {
    if fields <= FEW {
        parse(&mut [httparse::EMPTY_HEADER; FEW])
    } else if fields <= MANY {
        parse(&mut [httparse::EMPTY_HEADER; MANY])
    } else {
        parse(&mut vec![httparse::EMPTY_HEADER; fields])
    }
}

/// Whether httparse saw what the scan saw: one head, complete, and nothing after it.
fn check(parsed: httparse::Result<usize>, head: &[u8]) -> Result<(), PeerMisbehaved> {
    match parsed {
        Ok(httparse::Status::Complete(len)) if len == head.len() => Ok(()),
        Err(httparse::Error::Version) if names_other_version(head) => {
            Err(PeerMisbehaved::UnsupportedHttpVersion)
        }
        _ => Err(PeerMisbehaved::MalformedHead),
    }
}

/// Whether a word of the first line has the form of an HTTP version.
fn names_other_version(head: &[u8]) -> bool {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let is_version = |word: &[u8]| match word {
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] => {
            major.is_ascii_digit() && minor.is_ascii_digit()
        }
        _ => false,
    };
    line.split(|byte| *byte == b' ').any(is_version)
}

fn version(minor: Option<u8>) -> Result<Version, PeerMisbehaved> {
    match minor {
        Some(1) => Ok(Version::HTTP_11),
        Some(0) => Ok(Version::HTTP_10),
        _ => Err(PeerMisbehaved::UnsupportedHttpVersion),
    }
}

/// The request target (RFC 9112, section 3.2): in origin-form, in absolute-form of `http` or `https` without a user's
/// name, or `*` for OPTIONS. Authority-form is CONNECT's alone, and no server of RPCs is a tunnel.
fn read_target(bytes: Bytes, path: &str, method: &Method) -> Result<Uri, PeerMisbehaved> {
    let fault = PeerMisbehaved::InvalidTarget;
    if path.contains('#') || method == Method::CONNECT || (path == "*" && method != Method::OPTIONS) {
        return Err(fault);
    }
    let uri = Uri::from_maybe_shared(bytes).map_err(|_| fault)?;
    let is_absolute = matches!(uri.scheme_str(), Some("http" | "https"))
        && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    if !is_absolute && !path.starts_with('/') && path != "*" {
        return Err(fault);
    }
    Ok(uri)
}

/// The fields, their values as slices of the head.
fn fields(
    head: &Bytes,
    parsed: &[httparse::Header<'_>],
    kept: &mut Kept,
) -> Result<(HeaderMap, Facts), PeerMisbehaved> {
    let fault = PeerMisbehaved::MalformedHead;
    let mut facts = Facts::default();
    let mut headers = std::mem::take(&mut kept.headers);
    headers.try_reserve(parsed.len()).map_err(|_| fault)?;
    for field in parsed {
        let (name, special) = header_name(field.name.as_bytes()).ok_or(fault)?;
        facts.note(special, field.value)?;
        let value = header_value(head, field.value).ok_or(fault)?;
        headers.try_append(name, value).map_err(|_| fault)?;
    }
    Ok((headers, facts))
}

fn empty_request() -> request::Parts {
    http::Request::new(()).into_parts().0
}

fn empty_response() -> response::Parts {
    http::Response::new(()).into_parts().0
}
