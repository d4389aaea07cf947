//! The query of a unary call that travels as a GET.
//!
//! See the Connect protocol reference, section "Unary-Get-Request".

use std::borrow::Cow;

use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use super::base64;
use crate::error::PeerMisbehaved;

/// What stays as it is: the unreserved characters of RFC 3986, section 2.3.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A request, as its query says it.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct GetQuery {
    /// The name of the codec, such as `json`; never empty.
    pub codec: String,
    /// The name of the message's compression; `None` if it is not compressed, whether the query says
    /// `identity`, says nothing or has no such parameter.
    pub compression: Option<String>,
    /// The message, still compressed.
    pub message: Bytes,
}

/// Reads a query, which is what follows the first `?` of a request target.
///
/// The parameters may stand in any order; those that are unknown are ignored. `%XX` and `+` for a space are
/// understood in names and values. With `base64=1` the message is URL-safe base64, padded or not; with any
/// other value of `base64`, or without one, it stands there as it is.
///
/// # Errors
/// [`PeerMisbehaved::UnsupportedProtocolVersion`] if there is a `connect` with another value than `v1`; it
/// may be missing. [`PeerMisbehaved::MalformedQuery`] if there is no `message` or no `encoding` with a name in
/// it, if a known parameter occurs twice or has a malformed escape, or if the message is not base64 although
/// it should be.
///
/// ```
/// use connect_proto::wire::get_query;
///
/// let query = get_query::read("connect=v1&base64=1&encoding=json&message=e30").unwrap();
/// assert_eq!(query.codec, "json");
/// assert_eq!(query.compression, None);
/// assert_eq!(query.message, "{}");
/// ```
pub fn read(query: &str) -> Result<GetQuery, PeerMisbehaved> {
    let parameters = Parameters::read(query)?;
    if parameters.connect.is_some_and(|version| *version != *b"v1") {
        return Err(PeerMisbehaved::UnsupportedProtocolVersion);
    }
    let codec = parameters.encoding.map(text).transpose()?.filter(|codec| !codec.is_empty());
    let codec = codec.ok_or(PeerMisbehaved::MalformedQuery("missing encoding"))?;
    let compression = parameters.compression.map(text).transpose()?;
    let compression = compression.filter(|name| !name.is_empty() && name != "identity");
    let message = parameters.message.ok_or(PeerMisbehaved::MalformedQuery("missing message"))?;
    let message = if parameters.base64.is_some_and(|flag| *flag == *b"1") {
        base64::decode_url_safe(&message).ok_or(PeerMisbehaved::MalformedQuery("malformed base64"))?
    } else {
        message.into_owned()
    };
    Ok(GetQuery { codec, compression, message: message.into() })
}

/// The request target of a call: `path`, which has no query of its own, with the query that says the rest.
///
/// The parameters stand in the order that serves shared caches best, so that equal requests have equal
/// targets. With `base64` the message is unpadded URL-safe base64; without, it stands there percent-encoded,
/// which suits short JSON. Either can carry any bytes.
///
/// ```
/// use connect_proto::wire::get_query;
///
/// let target = get_query::write("/acme.v1.Greeter/Greet", "json", None, true, b"{}");
/// assert_eq!(target, "/acme.v1.Greeter/Greet?connect=v1&base64=1&encoding=json&message=e30");
/// ```
#[must_use]
pub fn write(path: &str, codec: &str, compression: Option<&str>, base64: bool, message: &[u8]) -> String {
    let mut out = String::with_capacity(encoded_len(path, codec, compression, base64, message));
    out.push_str(path);
    out.push_str("?connect=v1");
    if base64 {
        out.push_str("&base64=1");
    }
    if let Some(compression) = compression {
        out.push_str("&compression=");
        out.extend(percent_encode(compression.as_bytes(), ESCAPED));
    }
    out.push_str("&encoding=");
    out.extend(percent_encode(codec.as_bytes(), ESCAPED));
    out.push_str("&message=");
    if base64 {
        base64::encode_url_safe(message, &mut out);
    } else {
        out.extend(percent_encode(message, ESCAPED));
    }
    out
}

/// The length of what [`write`](write()) returns for the same arguments, found without allocating it: for
/// callers that keep a limit on the length of targets and send what is longer as a POST.
#[must_use]
pub fn encoded_len(
    path: &str,
    codec: &str,
    compression: Option<&str>,
    base64: bool,
    message: &[u8],
) -> usize {
    let compression = compression.map_or(0, |name| "&compression=".len() + escaped_len(name.as_bytes()));
    let flag = if base64 { "&base64=1".len() } else { 0 };
    let message = if base64 { base64::encoded_len(message.len()) } else { escaped_len(message) };
    let fixed = path.len() + "?connect=v1&encoding=&message=".len() + flag + compression;
    (fixed + escaped_len(codec.as_bytes())).saturating_add(message)
}

fn escaped_len(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |sum: usize, &byte| sum.saturating_add(if unreserved(byte) { 1 } else { 3 }))
}

fn unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// The known parameters, with their escapes resolved.
#[derive(Default)]
struct Parameters<'a> {
    connect: Option<Cow<'a, [u8]>>,
    base64: Option<Cow<'a, [u8]>>,
    compression: Option<Cow<'a, [u8]>>,
    encoding: Option<Cow<'a, [u8]>>,
    message: Option<Cow<'a, [u8]>>,
}

impl<'a> Parameters<'a> {
    fn read(query: &'a str) -> Result<Self, PeerMisbehaved> {
        let mut known = Parameters::default();
        for parameter in query.split('&') {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let slot = match unescape(name).as_deref() {
                Some(b"connect") => &mut known.connect,
                Some(b"base64") => &mut known.base64,
                Some(b"compression") => &mut known.compression,
                Some(b"encoding") => &mut known.encoding,
                Some(b"message") => &mut known.message,
                _ => continue,
            };
            let value = unescape(value).ok_or(PeerMisbehaved::MalformedQuery("malformed escape"))?;
            if slot.replace(value).is_some() {
                return Err(PeerMisbehaved::MalformedQuery("duplicate parameter"));
            }
        }
        Ok(known)
    }
}

/// Resolves `%XX` and `+`; `None` if a `%` is not followed by two hexadecimal digits.
fn unescape(text: &str) -> Option<Cow<'_, [u8]>> {
    if !text.contains(['%', '+']) {
        return Some(Cow::Borrowed(text.as_bytes()));
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => hex(bytes.next()?)? << 4 | hex(bytes.next()?)?,
            other => other,
        });
    }
    Some(Cow::Owned(out))
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

fn text(bytes: Cow<'_, [u8]>) -> Result<String, PeerMisbehaved> {
    String::from_utf8(bytes.into_owned()).map_err(|_| PeerMisbehaved::MalformedQuery("malformed text"))
}

#[cfg(test)]
mod tests;
