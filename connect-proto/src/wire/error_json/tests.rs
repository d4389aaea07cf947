use bytes::Bytes;
use proptest::prelude::*;

use super::*;

fn detail(type_name: &str, value: &[u8]) -> ErrorDetail {
    ErrorDetail { type_name: type_name.to_owned(), value: Bytes::copy_from_slice(value) }
}

fn read_str(body: &str, status: u16) -> RpcError {
    read(body.as_bytes(), StatusCode::from_u16(status).unwrap())
}

fn written(error: &RpcError) -> String {
    String::from_utf8(write(error)).unwrap()
}

#[test]
fn an_error_has_code_message_and_details_and_nothing_else() {
    let mut error = RpcError::new(Code::OutOfRange, "line\nbreak \u{1f600}")
        .with_detail(detail("google.rpc.RetryInfo", b"\xfb\xff\xfe"))
        .with_detail(detail("type.googleapis.com/a.B", b"x"));
    error.metadata_mut().insert("not-in-the-body", http::HeaderValue::from_static("1"));
    assert_eq!(
        written(&error),
        "{\"code\":\"out_of_range\",\"message\":\"line\\nbreak \u{1f600}\",\"details\":[\
         {\"type\":\"google.rpc.RetryInfo\",\"value\":\"+//+\"},{\"type\":\"a.B\",\"value\":\"eA\"}]}"
    );
}

#[test]
fn an_empty_message_is_left_out() {
    assert_eq!(written(&RpcError::new(Code::Canceled, "")), r#"{"code":"canceled"}"#);
}

#[test]
fn a_code_that_is_not_known_gives_way_to_the_status_and_the_message_is_kept() {
    for code in ["", r#""code":null,"#, r#""code":"foobar","#, r#""code":"","#, r#""code":"NOT_FOUND","#] {
        let error = read_str(&format!(r#"{{{code}"message":"oops"}}"#), 429);
        assert_eq!((error.code(), error.message()), (Code::Unavailable, "oops"), "{code}");
    }
    assert_eq!(read_str(r#"{"message":"oops"}"#, 800).code(), Code::Unknown);
}

#[test]
fn null_has_neither_code_nor_message() {
    assert_eq!(read_str("null", 401), RpcError::new(Code::Unauthenticated, ""));
}

#[test]
fn a_body_that_is_no_error_leaves_the_status() {
    let bodies = [
        "",
        "<html>",
        "[]",
        "7",
        r#""not_found""#,
        r#"{"code":"not_found""#,
        r#"{"code":"not_found"} trailing"#,
        r#"{"code":5,"message":"oops"}"#,
        r#"{"code":"not_found","message":{}}"#,
        r#"{"code":"not_found","details":"none"}"#,
        r#"{"code":"not_found","details":[1]}"#,
        r#"{"code":"not_found","details":[{"type":1}]}"#,
        r#"{"code":"not_found","details":[{"type":"a.B","value":"><"}]}"#,
    ];
    for body in bodies {
        assert_eq!(read_str(body, 503), RpcError::new(Code::Unavailable, "HTTP status 503"), "{body}");
    }
}

#[test]
fn unknown_fields_and_debug_are_ignored() {
    let error = read_str(
        r#"{"code":"out_of_range","foo":[{}],"message":"oops","details":[
            {"type":"a.B","value":"Cgp0ZXN0LnByb3Rv","frob":"nitz","debug":"garbage"},
            {"type":"a.C","value":"eA==","debug":{"@type":1}}]}"#,
        422,
    );
    let expected = RpcError::new(Code::OutOfRange, "oops")
        .with_detail(detail("a.B", b"\n\ntest.proto"))
        .with_detail(detail("a.C", b"x"));
    assert_eq!(error, expected);
}

#[test]
fn detail_values_may_be_padded_or_url_safe_and_types_may_be_urls() {
    for (url, value) in [("a.B", "+/8"), ("type.googleapis.com/a.B", "+/8="), ("x/y/a.B", "-_8=")] {
        let body = format!(r#"{{"code":"internal","details":[null,{{"type":"{url}","value":"{value}"}}]}}"#);
        assert_eq!(read_str(&body, 500).details(), [detail("a.B", b"\xfb\xff")]);
    }
}

#[test]
fn a_detail_without_fields_is_an_empty_one() {
    assert_eq!(read_str(r#"{"details":[{},{"type":null,"value":null}]}"#, 500).details().len(), 2);
}

#[test]
fn the_last_of_duplicate_fields_counts() {
    assert_eq!(read_str(r#"{"code":"aborted","code":"internal"}"#, 400).code(), Code::Internal);
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        code in proptest::sample::select(Code::ALL),
        message: String,
        details in proptest::collection::vec(("[a-zA-Z0-9_.]{0,20}", any::<Vec<u8>>()), 0..4),
        status in 300u16..600,
    ) {
        let error = details.iter().fold(RpcError::new(code, message), |error, (type_name, value)| {
            error.with_detail(detail(type_name, value))
        });
        prop_assert_eq!(read(&write(&error), StatusCode::from_u16(status).unwrap()), error);
    }

    #[test]
    fn any_body_gives_an_error(body: Vec<u8>, status in 100u16..1000) {
        let _ = read(&body, StatusCode::from_u16(status).unwrap());
    }

    #[test]
    fn any_json_gives_an_error(body in r#"([{}:,\[\]]|null|"code"|"message"|"details"|"value"|"aborted"|1){0,30}"#) {
        let _ = read(body.as_bytes(), StatusCode::BAD_REQUEST);
    }
}
