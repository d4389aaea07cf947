use prost_types::Any;

use super::*;
use crate::proto::{self, ClientStreamRequest, RawHttpRequest, TlsCreds, UnaryRequest};

/// A request as the suite writes it for a unary call by GET.
fn request() -> ClientCompatRequest {
    let message = UnaryRequest { request_data: vec![1, 2], ..Default::default() };
    ClientCompatRequest {
        test_name: "suite/case".into(),
        http_version: HttpVersion::HttpVersion1.into(),
        protocol: Protocol::Connect.into(),
        codec: proto::Codec::Json.into(),
        compression: Compression::Gzip.into(),
        host: "127.0.0.1".into(),
        port: 4321,
        message_receive_limit: 1000,
        service: Some(method::SERVICE.into()),
        method: Some("Unary".into()),
        stream_type: StreamType::Unary.into(),
        request_messages: vec![Any::from_msg(&message).unwrap()],
        timeout_ms: Some(200),
        request_delay_ms: 50,
        ..Default::default()
    }
}

fn plan(change: impl FnOnce(&mut ClientCompatRequest)) -> Result<CallPlan, PlanError> {
    let mut request = request();
    change(&mut request);
    CallPlan::new(request)
}

fn stream(request: &mut ClientCompatRequest, method: &str, stream_type: StreamType) {
    request.method = Some(method.into());
    request.stream_type = stream_type.into();
    request.request_messages.clear();
}

#[test]
fn a_plan_holds_what_the_request_says() {
    let plan = plan(|_| {}).unwrap();
    assert_eq!(plan.method, Method::Unary);
    assert_eq!(plan.codec, Codec::Json);
    assert_eq!(plan.compression.wire_name(), Some("gzip"));
    assert_eq!((plan.host.as_str(), plan.port), ("127.0.0.1", 4321));
    assert_eq!(plan.tls, None);
    assert_eq!(plan.receive_limit, NonZeroU32::new(1000));
    assert_eq!(plan.timeout, Some(Duration::from_millis(200)));
    assert_eq!(plan.requests, [r#"{"requestData":"AQI="}"#]);
    assert_eq!(plan.request_delay, Duration::ZERO, "it is for streams only");
    assert_eq!(plan.cancel, None);
    assert!(!plan.full_duplex);
}

#[test]
fn zero_is_no_receive_limit() {
    let plan = plan(|request| request.message_receive_limit = 0).unwrap();
    assert_eq!(plan.receive_limit, None);
}

#[test]
fn the_stream_type_tells_the_duplex_of_a_bidi_stream() {
    for (stream_type, full_duplex) in
        [(StreamType::HalfDuplexBidiStream, false), (StreamType::FullDuplexBidiStream, true)]
    {
        let plan = plan(|request| stream(request, "BidiStream", stream_type)).unwrap();
        assert_eq!(plan.full_duplex, full_duplex);
        assert_eq!(plan.request_delay, Duration::from_millis(50));
    }
}

#[test]
fn a_cancel_without_timing_is_right_after_the_close() {
    let timings = [
        (None, CancelAt::AfterCloseSend(Duration::ZERO)),
        (Some(CancelTiming::BeforeCloseSend(())), CancelAt::BeforeCloseSend),
        (Some(CancelTiming::AfterCloseSendMs(5)), CancelAt::AfterCloseSend(Duration::from_millis(5))),
        (Some(CancelTiming::AfterNumResponses(1)), CancelAt::AfterResponses(1)),
    ];
    for (cancel_timing, expected) in timings {
        let plan = plan(|request| request.cancel = Some(Cancel { cancel_timing })).unwrap();
        assert_eq!(plan.cancel, Some(expected));
    }
}

#[test]
fn tls_material_comes_together() {
    let creds = TlsCreds { cert: b"cert".into(), key: b"key".into() };
    let plan = plan(|request| {
        request.server_tls_cert = b"server".into();
        request.client_tls_creds = Some(creds.clone());
    })
    .unwrap();
    let expected = ClientMaterial { server_cert: b"server".into(), client_creds: Some(creds) };
    assert_eq!(plan.tls, Some(expected));
}

#[test]
fn an_impossible_request_is_answered_with_an_error() {
    let wrong_type = Any::from_msg(&ClientStreamRequest::default()).unwrap();
    type Change<'a> = &'a dyn Fn(&mut ClientCompatRequest);
    let changes: [(&str, Change<'_>); 9] = [
        ("HTTP version", &|request| request.http_version = 0),
        ("protocol", &|request| request.protocol = 99),
        ("codec", &|request| request.codec = 3),
        ("compression", &|request| request.compression = 0),
        ("a.Service/Unary", &|request| {
            request.service = Some("a.Service".into());
        }),
        ("not a port", &|request| request.port = 65536),
        ("not 0", &|request| request.request_messages.clear()),
        ("ClientStreamRequest", &|request| {
            request.request_messages = vec![wrong_type.clone()];
        }),
        ("raw HTTP", &|request| {
            request.raw_request = Some(RawHttpRequest::default());
        }),
    ];
    for (part, change) in changes {
        let error = plan(|request| change(request)).unwrap_err();
        let response = error.into_response("suite/case".into());
        assert_eq!(response.test_name, "suite/case");
        let Some(Outcome::Error(error)) = response.result else {
            panic!("{part}: not an error");
        };
        assert!(error.message.contains(part), "{part}: {}", error.message);
    }
}
