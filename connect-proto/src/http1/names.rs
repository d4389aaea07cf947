//! Header names and values without an allocation.

use http::{HeaderName, HeaderValue};

macro_rules! known {
    ($($name:literal)*) => {
        /// Names that `http` does not know but that RPCs carry.
        static KNOWN: [(&str, HeaderName); [$($name),*].len()] = [$(($name, HeaderName::from_static($name)),)*];
    };
}

known! {
    "connect-protocol-version"
    "connect-timeout-ms"
    "connect-accept-encoding"
    "connect-content-encoding"
    "grpc-timeout"
    "grpc-encoding"
    "grpc-accept-encoding"
    "grpc-status"
    "grpc-message"
    "grpc-status-details-bin"
    "x-grpc-web"
    "x-user-agent"
    "x-request-id"
    "x-forwarded-for"
    "x-forwarded-host"
    "x-forwarded-proto"
    "x-real-ip"
    "traceparent"
    "tracestate"
    "baggage"
    "keep-alive"
}

/// The name in lower case; `None` if it is not a token.
pub(super) fn header_name(name: &[u8]) -> Option<HeaderName> {
    // The fields of nearly every message begin with a `c` too, but are shorter than any of the table.
    let may_be_known = match name.first() {
        Some(b'c' | b'C') => name.len() >= "connect-timeout-ms".len(),
        Some(byte) => b"gxtbk".contains(&byte.to_ascii_lowercase()),
        None => false,
    };
    if may_be_known
        && let Some((_, known)) = KNOWN
            .iter()
            .find(|(text, _)| text.len() == name.len() && text.as_bytes().eq_ignore_ascii_case(name))
    {
        return Some(known.clone());
    }
    HeaderName::from_bytes(name).ok()
}

macro_rules! common {
    ($($value:literal)*) => {
        /// A value that needs no share of the head's bytes, if it is one that nearly every message carries.
        pub(super) fn common_value(value: &[u8]) -> Option<HeaderValue> {
            Some(match value {
                $($value => {
                    static VALUE: HeaderValue = HeaderValue::from_static(text($value));
                    VALUE.clone()
                })*
                _ => return None,
            })
        }
    };
}

common! {
    b"1"
    b"br"
    b"gzip"
    b"close"
    b"chunked"
    b"trailers"
    b"identity"
    b"gzip, br"
    b"application/grpc"
    b"application/json"
    b"application/proto"
    b"application/grpc+proto"
    b"application/connect+json"
    b"application/connect+proto"
}

const fn text(bytes: &'static [u8]) -> &'static str {
    match str::from_utf8(bytes) {
        Ok(text) => text,
        Err(_) => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_names_are_found_in_any_case_and_others_are_lowered() {
        for (text, known) in &KNOWN {
            assert_eq!(header_name(text.to_ascii_uppercase().as_bytes()).as_ref(), Some(known));
        }
        assert_eq!(header_name(b"Content-Type"), Some(http::header::CONTENT_TYPE));
        assert_eq!(header_name(b"X-Other").unwrap().as_str(), "x-other");
        assert_eq!(header_name(b"a b"), None);
        assert_eq!(header_name(b""), None);
    }

    #[test]
    fn common_values_are_what_they_look_like() {
        for text in ["1", "gzip", "application/connect+proto"] {
            assert_eq!(common_value(text.as_bytes()).unwrap(), text);
        }
        assert_eq!(common_value(b"2"), None);
        assert_eq!(common_value(b""), None);
    }
}
