//! The end-of-stream message: the verdict and the trailers of a streaming call.
//!
//! See the Connect protocol reference, section "Streaming-Response", rule "EndStreamResponse". What is read
//! and written here is the JSON alone, decompressed and without its envelope.

use http::{HeaderName, HeaderValue};
use serde_json::{Map, Value};

use super::{error_json, json};
use crate::error::{Code, PeerMisbehaved, RpcError};
use crate::metadata::{Metadata, is_reserved};

/// How a stream ended.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct EndStream {
    /// Why the call failed, with the trailers as its metadata; `None` if it succeeded.
    pub error: Option<RpcError>,
    /// The trailers.
    pub metadata: Metadata,
}

/// The JSON that ends a stream with this verdict and these trailers.
///
/// `error` is left out of a success, `metadata` if there is none. An error's own metadata goes out as well:
/// of a name that occurs in both, the values of `trailers` come first. Left out are the names that belong to
/// the protocol or to the HTTP connection. A value that is not UTF-8 has U+FFFD in place of what is not: JSON
/// carries text alone, and binary values belong under a `-bin` name (see
/// [`binary_value`](crate::metadata::binary_value)).
///
/// ```
/// use connect_proto::metadata::Metadata;
/// use connect_proto::wire::end_stream;
/// use http::HeaderValue;
///
/// assert_eq!(end_stream::write(None, &Metadata::new()), b"{}");
///
/// let mut trailers = Metadata::new();
/// trailers.append("cost", HeaderValue::from_static("1"));
/// trailers.append("cost", HeaderValue::from_static("2"));
/// assert_eq!(end_stream::write(None, &trailers), br#"{"metadata":{"cost":["1","2"]}}"#);
/// ```
#[must_use]
pub fn write(error: Option<&RpcError>, trailers: &Metadata) -> Vec<u8> {
    let mut out = vec![b'{'];
    if let Some(error) = error {
        out.extend_from_slice(b"\"error\":");
        error_json::push(&mut out, error);
    }
    push_metadata(&mut out, trailers, error.map(RpcError::metadata));
    out.push(b'}');
    out
}

/// The verdict and the trailers that an end-of-stream message carries.
///
/// - No `error`, or null, is a success.
/// - An error's `code` that is missing, null or not one of the sixteen is [`Code::Unknown`].
/// - Unknown fields are ignored.
/// - A name or a value that HTTP could not carry is left out, since [`Metadata`] cannot carry it either.
///
/// The caller bounds the size of `body`; the value that is built on the way takes up to about twenty times as
/// much.
///
/// # Errors
/// [`PeerMisbehaved::MalformedEndStream`] for what is no JSON object, for a known field of the wrong type,
/// for an error detail that is not base64 and for more names than [`Metadata`] can hold (about 24,000).
///
/// ```
/// use connect_proto::error::Code;
/// use connect_proto::wire::end_stream;
///
/// let end = end_stream::read(br#"{"error":{"code":"aborted"},"metadata":{"Cost":["1","2"]}}"#).unwrap();
/// assert_eq!(end.error.unwrap().code(), Code::Aborted);
/// assert_eq!(end.metadata.get_all("cost").iter().count(), 2);
///
/// assert!(end_stream::read(b"").is_err());
/// ```
pub fn read(body: &[u8]) -> Result<EndStream, PeerMisbehaved> {
    match json::parse(body) {
        Some(Value::Object(fields)) => from_fields(fields).ok_or(PeerMisbehaved::MalformedEndStream),
        _ => Err(PeerMisbehaved::MalformedEndStream),
    }
}

fn from_fields(mut fields: Map<String, Value>) -> Option<EndStream> {
    let metadata = match fields.remove("metadata") {
        None | Some(Value::Null) => Metadata::new(),
        Some(Value::Object(names)) => read_metadata(names)?,
        Some(_) => return None,
    };
    let error = match fields.remove("error") {
        None | Some(Value::Null) => None,
        Some(Value::Object(fields)) => Some(error_json::from_fields(fields, Code::Unknown)?),
        Some(_) => return None,
    };
    let error = error.map(|error| error.with_metadata(metadata.clone()).remote());
    Some(EndStream { error, metadata })
}

fn read_metadata(names: Map<String, Value>) -> Option<Metadata> {
    let mut metadata = Metadata::new();
    for (name, values) in names {
        let values = match values {
            Value::Null => continue,
            Value::Array(values) => values,
            _ => return None,
        };
        let name = HeaderName::from_bytes(name.as_bytes()).ok();
        for value in values {
            let value = HeaderValue::try_from(json::optional_string(Some(value))?).ok();
            if let (Some(name), Some(value)) = (&name, value) {
                metadata.try_append(name, value).ok()?;
            }
        }
    }
    Some(metadata)
}

/// Writes the member `metadata`, with a comma before it unless it is the first, or nothing.
fn push_metadata(out: &mut Vec<u8>, trailers: &Metadata, more: Option<&Metadata>) {
    let mut open = false;
    let only_in_more = more.into_iter().flat_map(Metadata::keys).filter(|name| !trailers.contains_key(*name));
    for name in trailers.keys().chain(only_in_more).filter(|name| !is_reserved(name)) {
        out.extend_from_slice(match (open, out.as_slice()) {
            (true, _) => b",",
            (false, b"{") => b"\"metadata\":{",
            (false, _) => b",\"metadata\":{",
        });
        open = true;
        json::push_string(out, name.as_str());
        let more = more.into_iter().flat_map(|more| more.get_all(name));
        for (index, value) in trailers.get_all(name).iter().chain(more).enumerate() {
            out.extend_from_slice(if index == 0 { b":[" } else { b"," });
            json::push_string(out, &String::from_utf8_lossy(value.as_bytes()));
        }
        out.push(b']');
    }
    if open {
        out.push(b'}');
    }
}

#[cfg(test)]
mod tests;
