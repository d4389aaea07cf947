use proptest::prelude::*;

use super::*;

fn metadata(fields: &[(&str, &[u8])]) -> Metadata {
    let mut map = Metadata::new();
    for (name, value) in fields {
        map.append(HeaderName::try_from(*name).unwrap(), HeaderValue::from_bytes(value).unwrap());
    }
    map
}

fn written(error: Option<&RpcError>, trailers: &Metadata) -> String {
    String::from_utf8(write(error, trailers)).unwrap()
}

#[test]
fn success_without_trailers_is_an_empty_object() {
    assert_eq!(written(None, &Metadata::new()), "{}");
}

#[test]
fn an_errors_metadata_joins_the_trailers_which_come_first() {
    let error = RpcError::new(Code::Internal, "oops").with_metadata(metadata(&[("b", b"3"), ("c", b"4")]));
    assert_eq!(
        written(Some(&error), &metadata(&[("a", b"1"), ("b", b"2")])),
        r#"{"error":{"code":"internal","message":"oops"},"metadata":{"a":["1"],"b":["2","3"],"c":["4"]}}"#
    );
    assert_eq!(
        written(Some(&error), &Metadata::new()),
        r#"{"error":{"code":"internal","message":"oops"},"metadata":{"b":["3"],"c":["4"]}}"#
    );
}

#[test]
fn names_of_the_protocol_and_of_http_do_not_go_out() {
    let error = RpcError::new(Code::Internal, "").with_metadata(metadata(&[("content-type", b"text/html")]));
    let trailers = metadata(&[("connection", b"close"), ("grpc-status", b"0"), ("connect-x", b"1")]);
    assert_eq!(written(Some(&error), &trailers), r#"{"error":{"code":"internal"}}"#);
    assert_eq!(written(None, &trailers), "{}");
}

#[test]
fn values_that_are_not_text_are_mended() {
    let trailers = metadata(&[("quoted", b"a\"b\\\tc"), ("text", "\u{e9}".as_bytes()), ("bytes", b"a\xffb")]);
    assert_eq!(
        written(None, &trailers),
        "{\"metadata\":{\"quoted\":[\"a\\\"b\\\\\\tc\"],\"text\":[\"\u{e9}\"],\"bytes\":[\"a\u{fffd}b\"]}}"
    );
}

#[test]
fn a_missing_or_null_error_is_success() {
    for body in ["{}", r#"{"error":null}"#, r#"{"error":null,"metadata":null,"other":1}"#] {
        assert_eq!(read(body.as_bytes()), Ok(EndStream::default()), "{body}");
    }
}

#[test]
fn an_unknown_code_is_unknown_and_the_message_is_kept() {
    for code in ["", r#""code":null,"#, r#""code":"foobar","#] {
        let end = read(format!(r#"{{"error":{{{code}"message":"oops"}}}}"#).as_bytes()).unwrap();
        assert_eq!(end.error, Some(RpcError::new(Code::Unknown, "oops")), "{code}");
    }
    assert_eq!(read(br#"{"error":{}}"#).unwrap().error, Some(RpcError::new(Code::Unknown, "")));
}

#[test]
fn an_error_has_the_trailers() {
    let end = read(br#"{"error":{"code":"aborted"},"metadata":{"X-A":["1"],"x-a":["2"]}}"#).unwrap();
    assert_eq!(end.metadata, metadata(&[("x-a", b"1"), ("x-a", b"2")]));
    assert_eq!(end.error.unwrap().metadata(), &end.metadata);
}

#[test]
fn what_http_cannot_carry_is_left_out() {
    let end = read(
        br#"{"metadata":{"no name":["1"],"":["2"],"x-a":["ok","a\nb","\u0000"],"x-b":[],"x-c":null,"x-d":[null]}}"#,
    );
    assert_eq!(end.unwrap().metadata, metadata(&[("x-a", b"ok"), ("x-d", b"")]));
}

#[test]
fn anything_of_the_wrong_shape_is_malformed() {
    for body in [
        "",
        "null",
        "[]",
        "1",
        "{",
        "{} {}",
        r#"{"error":"oops"}"#,
        r#"{"error":[]}"#,
        r#"{"error":{"code":1}}"#,
        r#"{"error":{"details":[{"value":"?"}]}}"#,
        r#"{"metadata":[]}"#,
        r#"{"metadata":{"a":"1"}}"#,
        r#"{"metadata":{"a":[1]}}"#,
        r#"{"metadata":{"no name":"1"}}"#,
        r#"{"metadata":{"no name":[1]}}"#,
    ] {
        assert_eq!(read(body.as_bytes()), Err(PeerMisbehaved::MalformedEndStream), "{body}");
    }
}

#[test]
fn more_names_than_a_map_holds_are_malformed() {
    let names: Vec<String> = (0..40_000).map(|i| format!("\"{i}\":[\"\"]")).collect();
    let body = format!("{{\"metadata\":{{{}}}}}", names.join(","));
    assert_eq!(read(body.as_bytes()), Err(PeerMisbehaved::MalformedEndStream));
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        verdict in proptest::option::of((proptest::sample::select(Code::ALL), any::<String>())),
        fields in proptest::collection::vec(("x-[a-z]{1,3}", "[ -~\u{a1}-\u{17f}]{0,8}"), 0..8),
    ) {
        let mut trailers = Metadata::new();
        for (name, value) in &fields {
            trailers.append(HeaderName::try_from(name).unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let error = verdict.map(|(code, message)| RpcError::new(code, message));
        let end = read(&write(error.as_ref(), &trailers)).unwrap();
        prop_assert_eq!(&end.metadata, &trailers);
        prop_assert_eq!(end.error, error.map(|error| error.with_metadata(trailers)));
    }

    #[test]
    fn any_body_is_read_without_panic(body: Vec<u8>) {
        let _ = read(&body);
    }

    #[test]
    fn any_json_is_read_without_panic(body in r#"([{}:,\[\]]|null|"error"|"metadata"|"a"|"code"|1){0,30}"#) {
        let _ = read(body.as_bytes());
    }
}
