//! From fields to the parts of a message and back (RFC 9113, sections 8.2 and 8.3).

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version, header, request, response, uri,
};

use super::hpack::{Block, Field, Pseudo};
use crate::call::BodySize;
use crate::error::PeerMisbehaved;
use crate::fields::{Special, host_of, read_length, with_decimal};

/// Fields that a head has room for from the start.
const USUAL_HEADERS: usize = 8;

/// What a field section is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Section {
    Request,
    Response,
    Trailers,
}

/// Takes the fields of one section in, and finds out whether they may stand in it.
#[derive(Debug)]
pub(super) struct Fields {
    section: Section,
    max_headers: usize,
    method: Option<Method>,
    scheme: Option<Scheme>,
    authority: Option<Bytes>,
    path: Option<Bytes>,
    status: Option<StatusCode>,
    headers: HeaderMap,
    /// The pieces of the cookie (section 8.2.3), put together at the end so that many of them cost no more than few.
    crumbs: Vec<HeaderValue>,
    content_length: Option<u64>,
    has_host: bool,
    /// Fields other than pseudo-headers.
    seen: usize,
    /// The first rule that was broken.
    fault: Option<PeerMisbehaved>,
}

/// A received head.
#[derive(Debug)]
pub(super) struct ReceivedHead<P> {
    pub(super) parts: Box<P>,
    pub(super) content_length: Option<u64>,
}

impl Fields {
    /// `headers` is empty; it may be a map that has served before.
    pub(super) fn new(section: Section, max_headers: usize, headers: HeaderMap) -> Self {
        Fields {
            section,
            max_headers,
            method: None,
            scheme: None,
            authority: None,
            path: None,
            status: None,
            headers,
            crumbs: Vec::new(),
            content_length: None,
            has_host: false,
            seen: 0,
            fault: None,
        }
    }

    /// Takes in one field. After a fault it does nothing.
    pub(super) fn add(&mut self, field: &Field) {
        if self.fault.is_some() {
            return;
        }
        let added = match field {
            Field::Pseudo(name, value) => self.add_pseudo(*name, value),
            Field::Header(name, value) => self.add_header(name, value),
            Field::BadName | Field::BadValue(_) => Err(PeerMisbehaved::MalformedHead),
        };
        if let Err(fault) = added {
            self.fault = Some(fault);
        }
    }

    pub(super) fn fault(&self) -> Option<PeerMisbehaved> {
        self.fault
    }

    /// Whether this is an interim response.
    pub(super) fn is_interim(&self) -> bool {
        self.section == Section::Response && self.status.is_some_and(|status| status.is_informational())
    }

    fn add_pseudo(&mut self, name: Pseudo, value: &Bytes) -> Result<(), PeerMisbehaved> {
        let fault = PeerMisbehaved::MalformedHead;
        let belongs = match self.section {
            Section::Request => name != Pseudo::Status,
            Section::Response => name == Pseudo::Status,
            Section::Trailers => false,
        };
        if self.seen > 0 || !belongs {
            return Err(fault);
        }
        let repeated = match name {
            Pseudo::Method => self.method.replace(Method::from_bytes(value).map_err(|_| fault)?).is_some(),
            Pseudo::Scheme => self.scheme.replace(scheme(value).ok_or(fault)?).is_some(),
            Pseudo::Authority => self.authority.replace(value.clone()).is_some(),
            Pseudo::Path => self.path.replace(value.clone()).is_some(),
            Pseudo::Status => self.status.replace(status(value).ok_or(fault)?).is_some(),
        };
        if repeated { Err(fault) } else { Ok(()) }
    }

    fn add_header(&mut self, name: &HeaderName, value: &HeaderValue) -> Result<(), PeerMisbehaved> {
        let fault = PeerMisbehaved::MalformedHead;
        self.seen += 1;
        if self.seen > self.max_headers {
            return Err(PeerMisbehaved::TooManyHeaders { limit: self.max_headers as u64 });
        }
        let bytes = value.as_bytes();
        let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
        if is_blank(bytes.first()) || is_blank(bytes.last()) {
            return Err(fault);
        }
        match Special::of(name) {
            None | Some(Special::Expect | Special::Trailer) => {}
            Some(Special::Host) => self.has_host = true,
            // Section 8.2.2.
            Some(Special::Connection | Special::TransferEncoding | Special::Hop) => return Err(fault),
            Some(Special::Te) if bytes.eq_ignore_ascii_case(b"trailers") => {}
            Some(Special::Te) => return Err(fault),
            Some(Special::ContentLength) => {
                let length = read_length(bytes).ok_or(PeerMisbehaved::InvalidContentLength)?;
                if self.content_length.replace(length).is_some() || self.section == Section::Trailers {
                    return Err(PeerMisbehaved::InvalidContentLength);
                }
            }
            Some(Special::Cookie) => {
                self.crumbs.push(value.clone());
                return Ok(());
            }
        }
        if self.seen == 1 && self.section != Section::Trailers {
            self.headers.try_reserve(USUAL_HEADERS).map_err(|_| fault)?;
        }
        self.headers.try_append(name, value.clone()).map_err(|_| fault)?;
        Ok(())
    }

    /// The end of the section.
    fn finish(&mut self) -> Result<(), PeerMisbehaved> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let cookie = match self.crumbs.as_slice() {
            [] => return Ok(()),
            [cookie] => cookie.clone(),
            crumbs => {
                let crumbs: Vec<&[u8]> = crumbs.iter().map(HeaderValue::as_bytes).collect();
                let whole = Bytes::from(crumbs.join(b"; ".as_slice()));
                HeaderValue::from_maybe_shared(whole).map_err(|_| PeerMisbehaved::MalformedHead)?
            }
        };
        self.headers.try_insert(header::COOKIE, cookie).map_err(|_| PeerMisbehaved::MalformedHead)?;
        Ok(())
    }

    /// The head of a request. `last` is the target of the one before it.
    pub(super) fn into_request(
        mut self,
        last: &mut LastTarget,
    ) -> Result<ReceivedHead<request::Parts>, PeerMisbehaved> {
        self.finish()?;
        let fault = PeerMisbehaved::MalformedHead;
        let method = self.method.ok_or(fault)?;
        // Section 8.5: no server of RPCs is a tunnel.
        if method == Method::CONNECT {
            return Err(PeerMisbehaved::InvalidTarget);
        }
        let (scheme, path) = (self.scheme.ok_or(fault)?, self.path.ok_or(fault)?);
        if let Some(authority) = self.authority.as_ref().filter(|_| self.has_host) {
            check_host(authority, &self.headers)?;
        }
        let mut parts = Box::new(http::Request::new(()).into_parts().0);
        parts.uri = last.uri(&method, scheme, self.authority, path)?;
        parts.method = method;
        parts.version = Version::HTTP_2;
        parts.headers = self.headers;
        Ok(ReceivedHead { parts, content_length: self.content_length })
    }

    /// The head of a final response.
    pub(super) fn into_response(mut self) -> Result<ReceivedHead<response::Parts>, PeerMisbehaved> {
        self.finish()?;
        let mut parts = Box::new(http::Response::new(()).into_parts().0);
        parts.status = self.status.ok_or(PeerMisbehaved::MalformedHead)?;
        parts.version = Version::HTTP_2;
        parts.headers = self.headers;
        Ok(ReceivedHead { parts, content_length: self.content_length })
    }

    /// The trailers; none if there are no fields.
    pub(super) fn into_trailers(mut self) -> Result<Option<Box<HeaderMap>>, PeerMisbehaved> {
        self.finish()?;
        Ok(if self.headers.is_empty() { None } else { Some(Box::new(self.headers)) })
    }
}

fn scheme(value: &[u8]) -> Option<Scheme> {
    match value {
        b"http" => Some(Scheme::HTTP),
        b"https" => Some(Scheme::HTTPS),
        other => Scheme::try_from(other).ok(),
    }
}

/// A status of three digits, from 100 on. RFC 9110, section 15: one that does not exist is a server error to a client.
/// Section 8.6: there is no 101.
fn status(value: &[u8]) -> Option<StatusCode> {
    StatusCode::from_bytes(value).ok().filter(|status| *status != StatusCode::SWITCHING_PROTOCOLS)
}

/// A `host` field must not say something else than the authority (section 8.3.1).
fn check_host(authority: &Bytes, headers: &HeaderMap) -> Result<(), PeerMisbehaved> {
    if headers.get_all(header::HOST).iter().any(|host| *host.as_bytes() != **authority) {
        return Err(PeerMisbehaved::InvalidHost);
    }
    Ok(())
}

/// The authority and the path of the last request. Mostly the next one has the same, which are not judged again then.
#[derive(Debug, Default)]
pub(super) struct LastTarget {
    authority: Option<Authority>,
    path: Option<PathAndQuery>,
}

impl LastTarget {
    fn uri(
        &mut self,
        method: &Method,
        scheme: Scheme,
        authority: Option<Bytes>,
        path: Bytes,
    ) -> Result<Uri, PeerMisbehaved> {
        let mut parts = uri::Parts::default();
        if let Some(authority) = authority {
            let same = self.authority.take().filter(|last| *last.as_str().as_bytes() == *authority);
            self.authority = Some(same.map_or_else(|| authority_of(authority), Ok)?);
            parts.scheme = Some(scheme);
            parts.authority.clone_from(&self.authority);
        }
        if *method == Method::OPTIONS && *path == *b"*" {
            parts.path_and_query = Some(PathAndQuery::from_static("*"));
        } else {
            let same = self.path.take().filter(|last| *last.as_str().as_bytes() == *path);
            self.path = Some(same.map_or_else(|| path_of(path), Ok)?);
            parts.path_and_query.clone_from(&self.path);
        }
        Uri::from_parts(parts).map_err(|_| PeerMisbehaved::InvalidTarget)
    }
}

fn authority_of(authority: Bytes) -> Result<Authority, PeerMisbehaved> {
    if authority.iter().any(|byte| matches!(byte, b'@' | b',')) {
        return Err(PeerMisbehaved::InvalidHost);
    }
    Authority::from_maybe_shared(authority).map_err(|_| PeerMisbehaved::InvalidHost)
}

fn path_of(path: Bytes) -> Result<PathAndQuery, PeerMisbehaved> {
    if path.first() != Some(&b'/') || path.contains(&b'#') {
        return Err(PeerMisbehaved::InvalidTarget);
    }
    PathAndQuery::from_maybe_shared(path).map_err(|_| PeerMisbehaved::InvalidTarget)
}

/// Writes the head of a request.
pub(super) fn write_request(block: &mut Block<'_>, parts: &request::Parts, body: BodySize) {
    block.pseudo(Pseudo::Method, parts.method.as_str().as_bytes());
    block.pseudo(Pseudo::Scheme, parts.uri.scheme_str().unwrap_or("http").as_bytes());
    let host = match parts.uri.authority() {
        Some(authority) => Some(host_of(authority)),
        None => parts.headers.get(header::HOST).map(HeaderValue::as_bytes),
    };
    if let Some(host) = host {
        block.pseudo(Pseudo::Authority, host);
    }
    let target = parts.uri.path_and_query().map_or("", PathAndQuery::as_str);
    if target.starts_with('/') || target == "*" {
        block.pseudo(Pseudo::Path, target.as_bytes());
    } else {
        block.pseudo(Pseudo::Path, ["/", target].concat().as_bytes());
    }
    write_length(block, body);
    write_fields(block, &parts.headers);
}

/// Writes the head of a response, with `date` if it has none.
pub(super) fn write_response(
    block: &mut Block<'_>,
    parts: &response::Parts,
    body: BodySize,
    date: Option<&HeaderValue>,
) {
    block.pseudo(Pseudo::Status, parts.status.as_str().as_bytes());
    write_length(block, body);
    if let Some(date) = date.filter(|_| !parts.headers.contains_key(header::DATE)) {
        block.header(&header::DATE, date);
    }
    write_fields(block, &parts.headers);
}

fn write_length(block: &mut Block<'_>, body: BodySize) {
    if let BodySize::Exact(length) = body {
        with_decimal(length, |digits| block.bytes(&header::CONTENT_LENGTH, digits));
    }
}

/// Writes fields, but for those that the engine writes itself, or that HTTP/2 does not have.
pub(super) fn write_fields(block: &mut Block<'_>, headers: &HeaderMap) {
    for (name, value) in headers {
        let is_sent = match Special::of(name) {
            None | Some(Special::Expect | Special::Trailer | Special::Cookie) => true,
            Some(Special::Te) => value.as_bytes() == b"trailers",
            Some(_) => false,
        };
        if is_sent {
            block.header(name, value);
        }
    }
}
