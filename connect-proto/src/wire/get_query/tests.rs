use proptest::prelude::*;

use super::*;

fn query(codec: &str, compression: Option<&str>, message: &[u8]) -> GetQuery {
    GetQuery {
        codec: codec.to_owned(),
        compression: compression.map(str::to_owned),
        message: Bytes::copy_from_slice(message),
    }
}

fn malformed(query: &str) -> &'static str {
    match read(query) {
        Err(PeerMisbehaved::MalformedQuery(why)) => why,
        other => panic!("{query}: {other:?}"),
    }
}

#[test]
fn parameters_stand_in_the_order_of_the_reference() {
    assert_eq!(
        write("/a.B/C", "proto", Some("gzip"), true, b"\xfb\xff"),
        "/a.B/C?connect=v1&base64=1&compression=gzip&encoding=proto&message=-_8"
    );
    assert_eq!(
        write("/a.B/C", "json", None, false, br#"{"a b":"~"}"#),
        "/a.B/C?connect=v1&encoding=json&message=%7B%22a%20b%22%3A%22~%22%7D"
    );
}

#[test]
fn they_are_read_in_any_order_and_unknown_ones_are_ignored() {
    assert_eq!(
        read("message=%7b%7D&x=%zz&encoding=json&&%=&=&compression=br&connect=v1"),
        Ok(query("json", Some("br"), b"{}"))
    );
}

#[test]
fn only_encoding_and_message_are_required() {
    assert_eq!(read("encoding=json&message="), Ok(query("json", None, b"")));
    assert_eq!(read("encoding=json&message"), Ok(query("json", None, b"")));
    assert_eq!(malformed(""), "missing encoding");
    assert_eq!(malformed("connect=v1&message=e30"), "missing encoding");
    assert_eq!(malformed("encoding=&message=e30"), "missing encoding");
    assert_eq!(malformed("connect=v1&encoding=json"), "missing message");
}

#[test]
fn no_version_but_v1_is_supported() {
    for version in ["", "v2", "V1", "1", "v1%20"] {
        let query = format!("connect={version}&encoding=json&message=");
        assert_eq!(read(&query), Err(PeerMisbehaved::UnsupportedProtocolVersion), "{version}");
    }
}

#[test]
fn identity_is_no_compression() {
    for compression in ["", "compression", "compression=", "compression=identity"] {
        assert_eq!(read(&format!("{compression}&encoding=a&message=")), Ok(query("a", None, b"")));
    }
}

#[test]
fn a_message_is_base64_only_if_marked_so() {
    for message in ["-_8", "-_8=", "-_8%3D", "%2d%5F8"] {
        let marked = format!("base64=1&encoding=proto&message={message}");
        assert_eq!(read(&marked), Ok(query("proto", None, b"\xfb\xff")), "{message}");
    }
    for flag in ["", "&base64=0", "&base64=true", "&base64"] {
        let plain = format!("encoding=json&message=e30{flag}");
        assert_eq!(read(&plain), Ok(query("json", None, b"e30")), "{flag}");
    }
    for message in ["%2B/8", "-", "-_ 8", "-_8+", "ä"] {
        let broken = format!("base64=1&encoding=proto&message={message}");
        assert_eq!(malformed(&broken), "malformed base64", "{message}");
    }
}

#[test]
fn escapes_stand_for_bytes_and_plus_for_a_space() {
    assert_eq!(read("encod%69ng=a%2fb&message=a+b%20%00%ff"), Ok(query("a/b", None, b"a b \0\xff")));
    for message in ["%", "%4", "%4g", "%+1", "%%41", "a%é"] {
        assert_eq!(malformed(&format!("encoding=a&message={message}")), "malformed escape", "{message}");
    }
    assert_eq!(malformed("encoding=%ff&message="), "malformed text");
}

#[test]
fn no_known_parameter_may_occur_twice() {
    for twice in ["connect=v1", "base64=1", "compression=gzip", "encoding=a", "message="] {
        let query = format!("encoding=a&message=&connect=v1&base64=1&compression=gzip&{twice}");
        assert_eq!(malformed(&query), "duplicate parameter", "{twice}");
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        codec in "\\PC{1,8}",
        compression in proptest::option::of("[a-z]{1,8}"),
        base64: bool,
        message: Vec<u8>,
    ) {
        let target = write("/a.B/C", &codec, compression.as_deref(), base64, &message);
        prop_assert_eq!(target.len(), encoded_len("/a.B/C", &codec, compression.as_deref(), base64, &message));
        prop_assert!(target.bytes().all(|b| b.is_ascii_graphic()));
        let query_part = target.strip_prefix("/a.B/C?").unwrap();
        prop_assert_eq!(read(query_part), Ok(query(&codec, compression.as_deref(), &message)));
    }

    #[test]
    fn any_query_is_read_without_panic(query: String) {
        let _ = read(&query);
    }

    #[test]
    fn any_parameters_are_read_without_panic(
        query in "((connect|base64|compression|encoding|message|%6d)[=&%+]?(v1|1|[a-f0-9%=+]{0,4})&?){0,6}",
    ) {
        let _ = read(&query);
    }
}
