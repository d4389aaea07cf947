//! Header names without an allocation.

use http::HeaderName;

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
    // Only names that begin like one of the table are looked up in it.
    if matches!(
        name.first(),
        Some(b'c' | b'C' | b'g' | b'G' | b'x' | b'X' | b't' | b'T' | b'b' | b'B' | b'k' | b'K')
    ) && let Some((_, known)) =
        KNOWN.iter().find(|(text, _)| text.len() == name.len() && text.as_bytes().eq_ignore_ascii_case(name))
    {
        return Some(known.clone());
    }
    HeaderName::from_bytes(name).ok()
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
}
