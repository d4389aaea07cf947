//! Content types: `application/<codec>` for unary calls, `application/connect+<codec>` for streams.
//!
//! See the Connect protocol reference, rules "Unary-Content-Type" and "Streaming-Content-Type".

use std::borrow::Cow;

use http::HeaderValue;

use crate::error::{ApiMisuse, PeerMisbehaved};

/// What a content type of the Connect protocol says.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct MediaType<'a> {
    /// Whether messages travel in envelopes. A unary call's one message is the body itself.
    pub streaming: bool,
    /// The name of the codec in lower case, such as `proto` or `json`; never empty.
    pub codec: Cow<'a, str>,
}

/// The content type of a request; `None` if it is not one of the Connect protocol, which a server answers
/// with 415.
///
/// Type, subtype and parameters are matched in any case. The parameter `charset=utf-8` may stand after any
/// codec, since it says nothing new; every other parameter makes the type another one. The types of gRPC and
/// gRPC-Web, `application/grpc` and what begins with it and goes on with `+` or `-`, are not mistaken for a
/// codec.
///
/// ```
/// use connect_proto::wire::media_type;
/// use http::HeaderValue;
///
/// let value = HeaderValue::from_static("Application/JSON; charset=UTF-8");
/// let media = media_type::read(&value).unwrap();
/// assert!(!media.streaming);
/// assert_eq!(media.codec, "json");
///
/// assert_eq!(media_type::read(&HeaderValue::from_static("application/grpc+proto")), None);
/// ```
#[must_use]
pub fn read(value: &HeaderValue) -> Option<MediaType<'_>> {
    if let Some((streaming, codec)) = read_usual(value.as_bytes()) {
        return Some(MediaType { streaming, codec: Cow::Borrowed(codec) });
    }
    let (essence, parameters) = split(value)?;
    let subtype = strip_prefix(essence, "application/")?;
    let (streaming, codec) = match strip_prefix(subtype, "connect+") {
        Some(codec) => (true, codec),
        None => (false, subtype),
    };
    if !is_token(codec) || !only_charset_utf8(parameters) || (!streaming && is_grpc(codec)) {
        return None;
    }
    let codec = if codec.bytes().any(|b| b.is_ascii_uppercase()) {
        Cow::Owned(codec.to_ascii_lowercase())
    } else {
        Cow::Borrowed(codec)
    };
    Some(MediaType { streaming, codec })
}

/// The content types as almost every client writes them.
fn read_usual(value: &[u8]) -> Option<(bool, &'static str)> {
    match value {
        b"application/proto" => Some((false, "proto")),
        b"application/json" => Some((false, "json")),
        b"application/connect+proto" => Some((true, "proto")),
        b"application/connect+json" => Some((true, "json")),
        _ => None,
    }
}

/// The content type of messages in this codec.
///
/// # Errors
/// [`ApiMisuse::InvalidCodec`] unless `codec` is a token (RFC 9110, section 5.6.2) without upper-case
/// letters. Names whose unary type would be read as something else are invalid as well: `grpc` with what
/// follows after `+` or `-`, and what begins with `connect+`.
///
/// ```
/// use connect_proto::wire::media_type;
///
/// assert_eq!(media_type::write(false, "json").unwrap(), "application/json");
/// assert_eq!(media_type::write(true, "proto").unwrap(), "application/connect+proto");
/// ```
pub fn write(streaming: bool, codec: &str) -> Result<HeaderValue, ApiMisuse> {
    const PROTO: HeaderValue = HeaderValue::from_static("application/proto");
    const JSON: HeaderValue = HeaderValue::from_static("application/json");
    const CONNECT_PROTO: HeaderValue = HeaderValue::from_static("application/connect+proto");
    const CONNECT_JSON: HeaderValue = HeaderValue::from_static("application/connect+json");
    match (streaming, codec) {
        (false, "proto") => return Ok(PROTO),
        (false, "json") => return Ok(JSON),
        (true, "proto") => return Ok(CONNECT_PROTO),
        (true, "json") => return Ok(CONNECT_JSON),
        _ => {}
    }
    let lower = is_token(codec) && !codec.bytes().any(|b| b.is_ascii_uppercase());
    if !lower || is_grpc(codec) || codec.starts_with("connect+") {
        return Err(ApiMisuse::InvalidCodec);
    }
    let prefix = if streaming { "application/connect+" } else { "application/" };
    HeaderValue::try_from(format!("{prefix}{codec}")).map_err(|_| ApiMisuse::InvalidCodec)
}

/// Checks, on a client, that a successful response is of the kind and in the codec of its request.
///
/// `codec` is compared in any case. The parameter `charset=utf-8` is tolerated as by [`read`].
///
/// # Errors
/// [`PeerMisbehaved::UnexpectedContentType`] if there is no type, or one of another family than
/// `application/` for unary calls and `application/connect+` for streams: whoever answered does not speak the
/// protocol. [`PeerMisbehaved::WrongCodec`] if only the codec is another one.
pub fn expect(value: Option<&HeaderValue>, streaming: bool, codec: &str) -> Result<(), PeerMisbehaved> {
    let family = if streaming { "application/connect+" } else { "application/" };
    if value.and_then(|value| value.as_bytes().strip_prefix(family.as_bytes())) == Some(codec.as_bytes()) {
        return Ok(()); // As almost every server writes it.
    }
    let (essence, parameters) = value.and_then(split).ok_or(PeerMisbehaved::UnexpectedContentType)?;
    let found = strip_prefix(essence, family).ok_or(PeerMisbehaved::UnexpectedContentType)?;
    if found.eq_ignore_ascii_case(codec) && only_charset_utf8(parameters) {
        Ok(())
    } else {
        Err(PeerMisbehaved::WrongCodec)
    }
}

/// Type with subtype, and the parameters with the semicolons before them.
fn split(value: &HeaderValue) -> Option<(&str, &str)> {
    let text = value.to_str().ok()?;
    let (essence, parameters) = text.split_at_checked(text.find(';').unwrap_or(text.len()))?;
    Some((essence.trim_matches(is_ows), parameters))
}

/// Empty parameters are allowed (RFC 9110, section 5.6.6).
fn only_charset_utf8(parameters: &str) -> bool {
    parameters.split(';').map(|parameter| parameter.trim_matches(is_ows)).all(|parameter| {
        parameter.is_empty()
            || strip_prefix(parameter, "charset=").is_some_and(|charset| {
                charset.eq_ignore_ascii_case("utf-8") || charset.eq_ignore_ascii_case("\"utf-8\"")
            })
    })
}

fn is_grpc(codec: &str) -> bool {
    strip_prefix(codec, "grpc").is_some_and(|rest| rest.is_empty() || rest.starts_with(['+', '-']))
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

fn is_ows(c: char) -> bool {
    c == ' ' || c == '\t'
}

/// What follows `prefix`, which is matched in any case.
fn strip_prefix<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value(text: &str) -> HeaderValue {
        HeaderValue::from_bytes(text.as_bytes()).unwrap()
    }

    fn codec(text: &str) -> Option<(bool, String)> {
        read(&value(text)).map(|media| (media.streaming, media.codec.into_owned()))
    }

    #[test]
    fn case_white_space_and_charset_do_not_matter() {
        for text in [
            "application/json",
            "Application/JSON; charset=UTF-8",
            "application/json;charset=utf-8",
            "application/json \t; CHARSET=\"Utf-8\" ;",
        ] {
            assert_eq!(codec(text), Some((false, "json".into())), "{text}");
        }
        assert_eq!(codec("application/Connect+Proto;charset=utf-8"), Some((true, "proto".into())));
        assert_eq!(codec("application/x.y+z"), Some((false, "x.y+z".into())));
    }

    #[test]
    fn other_types_are_not_understood() {
        for text in [
            "",
            "application",
            "application/",
            "application/connect+",
            "application/connect+; charset=utf-8",
            "text/json",
            "application/json, application/json",
            "application/json; charset=utf-16",
            "application/json; charset",
            "application/json; charset= utf-8",
            "application/json; q=1",
            "application/json; charset=utf-8; q=1",
            "application/j son",
            "application/a/b",
            "application/jsön",
            "applicätion/json",
        ] {
            assert_eq!(codec(text), None, "{text}");
        }
    }

    #[test]
    fn grpc_is_not_a_codec() {
        for text in ["grpc", "GRPC", "grpc+proto", "grpc-web", "grpc-web+json", "grpc-web-text"] {
            assert_eq!(codec(&format!("application/{text}")), None, "{text}");
            assert_eq!(write(false, text), Err(ApiMisuse::InvalidCodec), "{text}");
        }
        assert_eq!(codec("application/grpcish"), Some((false, "grpcish".into())));
    }

    #[test]
    fn codecs_to_write_are_lower_case_tokens() {
        for text in ["", "JSON", "js on", "json;q=1", "a/b", "jsön", "json\n", "connect+json"] {
            assert_eq!(write(false, text), Err(ApiMisuse::InvalidCodec), "{text}");
            assert_eq!(write(true, text), Err(ApiMisuse::InvalidCodec), "{text}");
        }
    }

    #[test]
    fn a_response_of_another_family_is_not_of_the_protocol() {
        let other = Err(PeerMisbehaved::UnexpectedContentType);
        assert_eq!(expect(None, false, "proto"), other);
        for (text, streaming) in [
            ("text/html", false),
            ("", false),
            ("text/html", true),
            ("application/proto", true),
            ("application/connect", true),
            ("application/prötö", false),
        ] {
            assert_eq!(expect(Some(&value(text)), streaming, "proto"), other, "{text}");
        }
    }

    #[test]
    fn a_response_of_the_right_family_has_the_codec_of_the_request() {
        let wrong = Err(PeerMisbehaved::WrongCodec);
        assert_eq!(expect(Some(&value("application/json; charset=utf-8")), false, "json"), Ok(()));
        assert_eq!(expect(Some(&value("application/CONNECT+proto")), true, "proto"), Ok(()));
        for (text, streaming) in [
            ("application/json", false),
            ("application/connect+proto", false),
            ("application/grpc", false),
            ("application/proto; v=1", false),
            ("application/", false),
            ("application/connect+json", true),
            ("application/connect+", true),
        ] {
            assert_eq!(expect(Some(&value(text)), streaming, "proto"), wrong, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back_and_expected(streaming: bool, name in "[ -~]{0,12}|[a-z0-9+.-]{1,12}") {
            if let Ok(value) = write(streaming, &name) {
                let expected = MediaType { streaming, codec: Cow::Borrowed(&*name) };
                prop_assert_eq!(read(&value), Some(expected));
                prop_assert_eq!(expect(Some(&value), streaming, &name), Ok(()));
            }
        }

        #[test]
        fn what_is_read_is_expected(text in "application/(connect\\+)?[!-~]{1,12}(; ?charset=utf-8)?") {
            let value = value(&text);
            if let Some(media) = read(&value) {
                prop_assert_eq!(expect(Some(&value), media.streaming, &media.codec), Ok(()));
            }
        }

        #[test]
        fn any_value_is_read_without_panic(bytes: Vec<u8>) {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                let _ = read(&value);
                let _ = expect(Some(&value), true, "proto");
            }
        }
    }
}
