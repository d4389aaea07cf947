//! Writes heads, and the framing of bodies.

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header, request, response};

use super::framing::{has_no_body, has_token};
use super::output::Output;
use crate::call::{BodySize, Chunk};
use crate::fields::{Special, host_of, with_decimal};

/// How a body that is being sent is framed, and how much of it is owed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sender {
    /// There is no body: data is dropped.
    Nothing,
    /// So many bytes are still to come.
    Exact {
        left: u64,
    },
    Chunked,
    /// Responses to HTTP/1.0 only.
    UntilClose,
}

/// The application's body is not what its head announced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Mismatch;

impl Sender {
    /// Queues a piece of the body. Nothing of it is queued if it is too long.
    pub(super) fn data(&mut self, output: &mut Output, chunk: Chunk) -> Result<(), Mismatch> {
        if chunk.is_empty() {
            return Ok(());
        }
        match self {
            Sender::Nothing => return Ok(()),
            Sender::Exact { left } => *left = left.checked_sub(chunk.len() as u64).ok_or(Mismatch)?,
            Sender::Chunked | Sender::UntilClose => {}
        }
        let chunked = *self == Sender::Chunked;
        output.stage(|to| {
            if chunked {
                put_hex(to, chunk.len());
                to.extend_from_slice(b"\r\n");
            }
            to.extend_from_slice(chunk.prefix());
        });
        output.payload(chunk.into_payload());
        if chunked {
            output.stage(|to| to.extend_from_slice(b"\r\n"));
        }
        Ok(())
    }

    /// Queues the end of the body, if the framing has one.
    pub(super) fn end(self, output: &mut Output) -> Result<(), Mismatch> {
        match self {
            Sender::Nothing | Sender::Exact { left: 0 } | Sender::UntilClose => {}
            Sender::Exact { .. } => return Err(Mismatch),
            Sender::Chunked => output.stage(|to| to.extend_from_slice(b"0\r\n\r\n")),
        }
        Ok(())
    }
}

/// What a response answers, as far as its head depends on it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answering {
    /// The request was a HEAD.
    pub(super) head: bool,
    /// The request was HTTP/1.0.
    pub(super) http10: bool,
}

/// Queues the head of a response and says how its body is sent.
pub(super) fn response(
    output: &mut Output,
    parts: &response::Parts,
    body: BodySize,
    answering: Answering,
    date: Option<&HeaderValue>,
    close: bool,
) -> Sender {
    let bodiless = answering.head || has_no_body(parts.status);
    // RFC 9110, section 8.6: no content-length with 204; with 304 and HEAD it tells of a body that is not there.
    let length = match body {
        BodySize::Exact(len) if parts.status != StatusCode::NO_CONTENT => Some(len),
        BodySize::Empty if !bodiless => Some(0),
        _ => None,
    };
    let sender = match body {
        _ if bodiless => Sender::Nothing,
        BodySize::Empty => Sender::Nothing,
        BodySize::Exact(left) => Sender::Exact { left },
        BodySize::Unknown if answering.http10 => Sender::UntilClose,
        BodySize::Unknown => Sender::Chunked,
    };
    output.stage(|to| {
        put_status_line(to, parts.status);
        put_framing(to, length, sender);
        put_date(to, date.filter(|_| !parts.headers.contains_key(header::DATE)));
        put_fields(to, &parts.headers, false);
        to.extend_from_slice(if close { b"connection: close\r\n\r\n" } else { b"\r\n" });
    });
    sender
}

/// Queues an answer that has no body and ends the connection.
pub(super) fn refusal(output: &mut Output, status: StatusCode, date: Option<&HeaderValue>) {
    output.stage(|to| {
        put_status_line(to, status);
        put_date(to, date);
        to.extend_from_slice(b"content-length: 0\r\nconnection: close\r\n\r\n");
    });
}

/// Queues the interim response that asks for the body.
pub(super) fn proceed(output: &mut Output) {
    output.stage(|to| to.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n"));
}

/// Queues the head of a request and says how its body is sent.
pub(super) fn request(output: &mut Output, parts: &request::Parts, body: BodySize, close: bool) -> Sender {
    let length = match body {
        BodySize::Exact(len) => Some(len),
        // RFC 9110, section 8.6: said where the method makes a body likely.
        BodySize::Empty if [Method::POST, Method::PUT, Method::PATCH].contains(&parts.method) => Some(0),
        BodySize::Empty | BodySize::Unknown => None,
    };
    let sender = match body {
        BodySize::Empty => Sender::Nothing,
        BodySize::Exact(left) => Sender::Exact { left },
        BodySize::Unknown => Sender::Chunked,
    };
    output.stage(|to| {
        to.reserve(256);
        to.extend_from_slice(parts.method.as_str().as_bytes());
        to.push(b' ');
        put_target(to, &parts.uri);
        to.extend_from_slice(b" HTTP/1.1\r\n");
        put_host(to, parts);
        put_framing(to, length, sender);
        put_fields(to, &parts.headers, true);
        to.extend_from_slice(if close { b"connection: close\r\n\r\n" } else { b"\r\n" });
    });
    sender
}

/// Whether `connection: close` is among the fields.
pub(super) fn asks_to_close(headers: &HeaderMap) -> bool {
    headers.get_all(header::CONNECTION).iter().any(|value| has_token(value.as_bytes(), b"close"))
}

/// Whether this field is the connection's own and not the application's.
fn is_own(name: &HeaderName, is_request: bool) -> bool {
    match Special::of(name) {
        Some(Special::Host) => is_request,
        None | Some(Special::Expect | Special::Cookie) => false,
        Some(_) => true,
    }
}

fn put_fields(to: &mut Vec<u8>, headers: &HeaderMap, is_request: bool) {
    for (name, value) in headers {
        if is_own(name, is_request) {
            continue;
        }
        to.extend_from_slice(name.as_str().as_bytes());
        to.extend_from_slice(b": ");
        to.extend_from_slice(value.as_bytes());
        to.extend_from_slice(b"\r\n");
    }
}

fn put_framing(to: &mut Vec<u8>, length: Option<u64>, sender: Sender) {
    if let Some(length) = length {
        to.extend_from_slice(b"content-length: ");
        with_decimal(length, |digits| to.extend_from_slice(digits));
        to.extend_from_slice(b"\r\n");
    } else if sender == Sender::Chunked {
        to.extend_from_slice(b"transfer-encoding: chunked\r\n");
    }
}

fn put_date(to: &mut Vec<u8>, date: Option<&HeaderValue>) {
    if let Some(date) = date {
        to.extend_from_slice(b"date: ");
        to.extend_from_slice(date.as_bytes());
        to.extend_from_slice(b"\r\n");
    }
}

fn put_status_line(to: &mut Vec<u8>, status: StatusCode) {
    to.reserve(256);
    to.extend_from_slice(b"HTTP/1.1 ");
    to.extend_from_slice(status.as_str().as_bytes());
    to.push(b' ');
    to.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    to.extend_from_slice(b"\r\n");
}

fn put_target(to: &mut Vec<u8>, uri: &Uri) {
    let target = uri.path_and_query().map_or("", |target| target.as_str());
    if !target.starts_with('/') && target != "*" {
        to.push(b'/');
    }
    to.extend_from_slice(target.as_bytes());
}

/// The URI's authority without a user's name; else the application's own field; else an empty one.
fn put_host(to: &mut Vec<u8>, parts: &request::Parts) {
    let host = match parts.uri.authority() {
        Some(authority) => host_of(authority),
        None => parts.headers.get(header::HOST).map_or(b"".as_slice(), |host| host.as_bytes()),
    };
    to.extend_from_slice(b"host: ");
    to.extend_from_slice(host);
    to.extend_from_slice(b"\r\n");
}

fn put_hex(to: &mut Vec<u8>, n: usize) {
    let digits = (usize::BITS - n.leading_zeros()).div_ceil(4).max(1);
    for digit in (0..digits).rev() {
        let nibble = (n >> (digit * 4) & 0xf) as u32;
        to.push(char::from_digit(nibble, 16).map_or(b'0', |digit| digit as u8));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for n in [0, 1, 9, 10, 15, 16, 255, 4096, 65535, 65536, usize::MAX] {
            let mut hex = Vec::new();
            put_hex(&mut hex, n);
            assert_eq!(hex, format!("{n:x}").into_bytes());
        }
    }
}
