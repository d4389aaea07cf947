//! Metadata: what headers and trailers carry beside the protocol's own fields.
//!
//! Values of metadata are text. For bytes there is a convention: a name that ends in `-bin` says that the
//! value is base64, and the two functions here convert. Nothing is converted behind the application's back.
//!
//! ```
//! use connect_proto::metadata::{Metadata, binary_value, read_binary};
//!
//! let mut metadata = Metadata::new();
//! metadata.insert("trace-id-bin", binary_value(&[0x00, 0xff]));
//! assert_eq!(metadata["trace-id-bin"], "AP8");
//!
//! assert_eq!(read_binary(&metadata["trace-id-bin"]).unwrap(), [&[0x00, 0xff][..]]);
//! ```
//!
//! Names that belong to the protocol (`connect-` and `grpc-` with what follows), to a message's form (such as
//! `content-type`) or to the HTTP connection (such as `connection` and `te`) are not the application's to
//! set.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::error::PeerMisbehaved;
use crate::wire::base64;

/// Names and values in HTTP's own form. Names that end in `-bin` carry base64.
pub type Metadata = http::HeaderMap;

/// Metadata that most calls do not have: one pointer wide, `None` if there is none.
pub(crate) type Seldom = Option<Box<Metadata>>;

/// Boxes metadata if there is any.
pub(crate) fn seldom(metadata: Metadata) -> Seldom {
    (!metadata.is_empty()).then(|| Box::new(metadata))
}

/// Marks a header field of a unary response as a trailer.
const TRAILER_PREFIX: &str = "trailer-";

/// The value for these bytes under a name that ends in `-bin`: standard base64 without padding.
///
/// See the Connect protocol reference, rule "Binary-Header".
#[must_use]
pub fn binary_value(bytes: &[u8]) -> HeaderValue {
    // Base64 is always a valid value.
    HeaderValue::from_maybe_shared(Bytes::from(base64::encode(bytes)))
        .unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// The bytes that a value says under a name that ends in `-bin`.
///
/// HTTP may have joined several values by commas, so there can be more than one; spaces and tabs around each
/// are ignored. Base64 is understood with padding and without. Nothing between two commas is an empty value,
/// and so is an empty `value`.
///
/// # Errors
/// [`PeerMisbehaved::MalformedBinaryMetadata`] if one of them is not standard base64.
///
/// ```
/// use connect_proto::metadata::read_binary;
/// use http::HeaderValue;
///
/// let value = HeaderValue::from_static("aGk, aG8=");
/// assert_eq!(read_binary(&value).unwrap(), ["hi", "ho"]);
/// assert!(read_binary(&HeaderValue::from_static("?")).is_err());
/// ```
pub fn read_binary(value: &HeaderValue) -> Result<Vec<Bytes>, PeerMisbehaved> {
    let values = value.as_bytes().split(|&byte| byte == b',');
    let decoded = values.map(|value| base64::decode(value.trim_ascii()).map(Bytes::from));
    decoded.collect::<Option<_>>().ok_or(PeerMisbehaved::MalformedBinaryMetadata)
}

/// Whether a name is not the application's to set, in a header or in a trailer.
///
/// `user-agent` and `date` are, though connect-go strips them from errors; `trailer-` with what follows is as
/// well.
pub(crate) fn is_reserved(name: &HeaderName) -> bool {
    const NAMES: [&str; 13] = [
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "http2-settings",
    ];
    let name = name.as_str();
    name.starts_with("connect-") || name.starts_with("grpc-") || NAMES.contains(&name)
}

/// Adds trailers to the header of a unary response, each name with `trailer-` before it. Reserved names are
/// left out, and so is what would not fit into a header map.
pub(crate) fn add_trailers(headers: &mut HeaderMap, trailers: &Metadata) {
    for name in trailers.keys().filter(|name| !is_reserved(name)) {
        let Ok(prefixed) = HeaderName::try_from(format!("{TRAILER_PREFIX}{name}")) else { continue };
        for value in trailers.get_all(name) {
            let _ = headers.try_append(&prefixed, value.clone());
        }
    }
}

/// Takes the trailers out of the header of a unary response: the fields with `trailer-` before their name,
/// without it. Does nothing, and allocates nothing, if there are none.
pub(crate) fn split_trailers(headers: &mut HeaderMap) -> Seldom {
    if !headers.keys().any(|name| trailer_name(name).is_some()) {
        return None;
    }
    let mut trailers = Metadata::new();
    let all = std::mem::replace(headers, HeaderMap::with_capacity(headers.keys_len()));
    let mut last: Option<(bool, HeaderName)> = None;
    for (name, value) in all {
        // Of several values under one name, only the first brings the name along.
        last = name.map(|name| trailer_name(&name).map_or((false, name), |name| (true, name))).or(last);
        let Some((is_trailer, name)) = &last else { continue };
        let _ = if *is_trailer { &mut trailers } else { &mut *headers }.try_append(name, value);
    }
    Some(Box::new(trailers))
}

/// The name without `trailer-`; `None` if it does not begin so or nothing follows.
fn trailer_name(name: &HeaderName) -> Option<HeaderName> {
    let name = name.as_str().strip_prefix(TRAILER_PREFIX)?;
    HeaderName::from_bytes(name.as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn map(fields: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(HeaderName::try_from(*name).unwrap(), HeaderValue::try_from(*value).unwrap());
        }
        map
    }

    #[test]
    fn binary_values_may_be_joined_and_padded() {
        for value in ["AP8,,aGk", "AP8=, ,aGk=", " AP8 ,\t,\taGk "] {
            let values = read_binary(&HeaderValue::from_static(value)).unwrap();
            assert_eq!(values, [&b"\0\xff"[..], b"", b"hi"], "{value}");
        }
    }

    #[test]
    fn other_values_are_malformed() {
        for value in [&b"?"[..], b"a", b"aGk,?", b"aG k", b"-_8", b"aGk;aGk", b"\xff"] {
            let value = HeaderValue::from_bytes(value).unwrap();
            assert_eq!(read_binary(&value), Err(PeerMisbehaved::MalformedBinaryMetadata), "{value:?}");
        }
    }

    #[test]
    fn what_the_protocol_and_the_connection_use_is_reserved() {
        for name in
            ["content-type", "Connect-Timeout-Ms", "connect-x", "grpc-status", "TE", "Host", "trailer"]
        {
            assert!(is_reserved(&HeaderName::try_from(name).unwrap()), "{name}");
        }
        for name in ["user-agent", "date", "accept", "connector", "authorization", "x-grpc-a", "cookie"] {
            assert!(!is_reserved(&HeaderName::try_from(name).unwrap()), "{name}");
        }
    }

    #[test]
    fn trailers_travel_under_a_prefix_and_come_back() {
        let mut headers = map(&[("x-a", "1"), ("x-b", "2"), ("x-a", "3")]);
        let trailers = map(&[("x-a", "4"), ("x-a", "5"), ("connection", "close")]);
        add_trailers(&mut headers, &trailers);
        assert_eq!(
            headers,
            map(&[("x-a", "1"), ("x-a", "3"), ("x-b", "2"), ("trailer-x-a", "4"), ("trailer-x-a", "5")])
        );
        assert_eq!(split_trailers(&mut headers), seldom(map(&[("x-a", "4"), ("x-a", "5")])));
        assert_eq!(headers, map(&[("x-a", "1"), ("x-a", "3"), ("x-b", "2")]));
    }

    #[test]
    fn names_that_only_look_like_trailers_stay_headers() {
        let fields = map(&[("trailer", "x"), ("trailer-", "y"), ("x-trailer-a", "z")]);
        let mut headers = fields.clone();
        assert_eq!(split_trailers(&mut headers), None);
        assert_eq!(headers, fields);
    }

    proptest! {
        #[test]
        fn any_bytes_round_trip(bytes: Vec<u8>) {
            prop_assert_eq!(read_binary(&binary_value(&bytes)), Ok(vec![Bytes::from(bytes)]));
        }

        #[test]
        fn any_trailers_round_trip(
            headers in proptest::collection::vec(("x-[a-c]", "[0-9]{0,3}"), 0..6),
            trailers in proptest::collection::vec(("(x|trailer)-[a-c]", "[0-9]{0,3}"), 0..6),
        ) {
            let fields = |fields: &[(String, String)]| {
                map(&fields.iter().map(|(name, value)| (&**name, &**value)).collect::<Vec<_>>())
            };
            let (headers, trailers) = (fields(&headers), fields(&trailers));
            let mut joined = headers.clone();
            add_trailers(&mut joined, &trailers);
            prop_assert_eq!(split_trailers(&mut joined), seldom(trailers));
            prop_assert_eq!(joined, headers);
        }

        #[test]
        fn any_value_is_read_without_panic(bytes: Vec<u8>) {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                let _ = read_binary(&value);
            }
        }
    }
}
