use prost::Message;
use prost_types::Any;

use super::*;
use crate::proto::unary_response_definition::Response;
use crate::proto::{
    BidiStreamRequest, ClientStreamRequest, ServerStreamRequest, ServerStreamResponse,
    StreamResponseDefinition, UnaryRequest, UnaryResponse, UnaryResponseDefinition,
};

const DELAY: Duration = Duration::from_millis(20);

fn handler(method: Method) -> Handler {
    let head = RequestHead {
        headers: headers("x-request"),
        timeout: Some(Duration::from_millis(1500)),
        query_params: None,
    };
    Handler::new(method, Codec::Proto, head)
}

fn headers(name: &str) -> Vec<Header> {
    vec![Header { name: name.into(), value: vec!["1".into(), "2".into()] }]
}

fn error() -> proto::Error {
    proto::Error { code: proto::Code::Internal.into(), message: Some("as asked".into()), details: Vec::new() }
}

fn unary_definition(response: Response) -> Option<UnaryResponseDefinition> {
    Some(UnaryResponseDefinition {
        response_headers: headers("x-header"),
        response: Some(response),
        response_trailers: headers("x-trailer"),
        response_delay_ms: 20,
        raw_response: None,
    })
}

fn stream_definition(data: &[&str], error: Option<proto::Error>) -> Option<StreamResponseDefinition> {
    Some(StreamResponseDefinition {
        response_headers: headers("x-header"),
        response_data: data.iter().map(|&data| data.into()).collect(),
        response_delay_ms: 20,
        error,
        response_trailers: headers("x-trailer"),
        raw_response: None,
    })
}

/// What the first response tells: all that is known of the call.
fn full_info(requests: &[Any]) -> Option<RequestInfo> {
    Some(RequestInfo {
        request_headers: headers("x-request"),
        timeout_ms: Some(1500),
        requests: requests.to_vec(),
        connect_get_info: None,
    })
}

fn any(request: &impl prost::Name) -> Any {
    Any::from_msg(request).unwrap()
}

/// Every step the handler names before it wants to receive again.
fn steps(handler: &mut Handler) -> Vec<Action> {
    std::iter::from_fn(|| match handler.next_action() {
        Action::Receive => None,
        action => Some(action),
    })
    .collect()
}

fn send_payload(data: &str, request_info: Option<RequestInfo>) -> Action {
    // All response types hold their payload in the same field.
    let payload = Some(ConformancePayload { data: data.into(), request_info });
    Action::Send(UnaryResponse { payload }.encode_to_vec().into())
}

fn send_headers() -> Action {
    Action::SendHeaders(headers("x-header"))
}

fn finish(error: Option<proto::Error>) -> Action {
    Action::Finish { trailers: headers("x-trailer"), error }
}

#[test]
fn unary_answers_when_the_request_has_ended() {
    let request = UnaryRequest {
        response_definition: unary_definition(Response::ResponseData("data".into())),
        request_data: b"padding".to_vec(),
    };
    let mut handler = handler(Method::Unary);
    handler.request(&request.encode_to_vec()).unwrap();
    assert_eq!(steps(&mut handler), []);

    handler.requests_ended().unwrap();
    assert_eq!(
        steps(&mut handler),
        [
            send_headers(),
            Action::Wait(DELAY),
            send_payload("data", full_info(&[any(&request)])),
            finish(None),
        ]
    );
}

#[test]
fn unary_error_ends_with_the_echo_as_its_last_detail() {
    let mut asked = error();
    asked.details.push(detail::to_any("a.Detail", "first"));
    let request = UnaryRequest {
        response_definition: unary_definition(Response::Error(asked.clone())),
        request_data: Vec::new(),
    };
    let mut handler = handler(Method::Unary);
    handler.request(&request.encode_to_vec()).unwrap();
    handler.requests_ended().unwrap();

    asked.details.push(any(&full_info(&[any(&request)]).unwrap()));
    assert_eq!(steps(&mut handler), [send_headers(), finish(Some(asked))]);
}

#[test]
fn a_request_without_definition_is_echoed_and_nothing_more() {
    let mut handler = handler(Method::Unary);
    handler.request(b"").unwrap();
    handler.requests_ended().unwrap();
    assert_eq!(
        steps(&mut handler),
        [
            Action::SendHeaders(Vec::new()),
            send_payload("", full_info(&[any(&UnaryRequest::default())])),
            Action::Finish { trailers: Vec::new(), error: None },
        ]
    );
}

#[test]
fn client_stream_follows_its_first_request_and_echoes_all() {
    let [first, second] = ["one", "two"].map(|data| ClientStreamRequest {
        response_definition: unary_definition(Response::ResponseData(data.into())),
        request_data: Vec::new(),
    });
    let mut handler = handler(Method::ClientStream);
    handler.request(&first.encode_to_vec()).unwrap();
    handler.request(&second.encode_to_vec()).unwrap();
    assert_eq!(steps(&mut handler), []);

    handler.requests_ended().unwrap();
    let info = full_info(&[any(&first), any(&second)]);
    assert_eq!(steps(&mut handler)[2], send_payload("one", info));
}

#[test]
fn client_stream_without_requests_still_answers() {
    let mut handler = handler(Method::ClientStream);
    handler.requests_ended().unwrap();
    assert_eq!(steps(&mut handler)[1], send_payload("", full_info(&[])), "no data, only the echo");
}

#[test]
fn server_stream_echoes_in_its_first_response_only() {
    let request = ServerStreamRequest {
        response_definition: stream_definition(&["one", "two"], Some(error())),
        request_data: Vec::new(),
    };
    let mut handler = handler(Method::ServerStream);
    handler.request(&request.encode_to_vec()).unwrap();
    handler.requests_ended().unwrap();
    assert_eq!(
        steps(&mut handler),
        [
            send_headers(),
            Action::Wait(DELAY),
            send_payload("one", full_info(&[any(&request)])),
            Action::Wait(DELAY),
            send_payload("two", None),
            finish(Some(error())),
        ]
    );
}

#[test]
fn server_stream_without_responses_sends_headers_and_the_error() {
    let request = ServerStreamRequest {
        response_definition: stream_definition(&[], Some(error())),
        request_data: Vec::new(),
    };
    let mut handler = handler(Method::ServerStream);
    handler.request(&request.encode_to_vec()).unwrap();
    handler.requests_ended().unwrap();

    let mut expected = error();
    expected.details.push(any(&full_info(&[any(&request)]).unwrap()));
    assert_eq!(steps(&mut handler), [send_headers(), finish(Some(expected))]);
}

#[test]
fn half_duplex_is_silent_until_the_requests_end() {
    let first = BidiStreamRequest {
        response_definition: stream_definition(&["one"], None),
        full_duplex: false,
        request_data: Vec::new(),
    };
    let second = BidiStreamRequest { request_data: b"more".to_vec(), ..Default::default() };
    let mut handler = handler(Method::BidiStream);
    handler.request(&first.encode_to_vec()).unwrap();
    handler.request(&second.encode_to_vec()).unwrap();
    assert_eq!(steps(&mut handler), []);

    handler.requests_ended().unwrap();
    let info = full_info(&[any(&first), any(&second)]);
    assert_eq!(
        steps(&mut handler),
        [send_headers(), Action::Wait(DELAY), send_payload("one", info), finish(None),]
    );
}

#[test]
fn full_duplex_answers_each_request_and_echoes_only_the_news() {
    let first = BidiStreamRequest {
        response_definition: stream_definition(&["one", "two", "three"], Some(error())),
        full_duplex: true,
        request_data: Vec::new(),
    };
    let second = BidiStreamRequest { request_data: b"more".to_vec(), ..Default::default() };
    let mut handler = handler(Method::BidiStream);
    handler.request(&first.encode_to_vec()).unwrap();
    assert_eq!(
        steps(&mut handler),
        [send_headers(), Action::Wait(DELAY), send_payload("one", full_info(&[any(&first)])),]
    );

    handler.request(&second.encode_to_vec()).unwrap();
    let news = RequestInfo { requests: vec![any(&second)], ..Default::default() };
    assert_eq!(steps(&mut handler), [Action::Wait(DELAY), send_payload("two", Some(news))]);

    handler.requests_ended().unwrap();
    assert_eq!(
        steps(&mut handler),
        [Action::Wait(DELAY), send_payload("three", None), finish(Some(error())),]
    );
}

#[test]
fn full_duplex_ends_at_the_first_request_it_has_no_response_for() {
    let first = BidiStreamRequest {
        response_definition: stream_definition(&[], Some(error())),
        full_duplex: true,
        request_data: Vec::new(),
    };
    let mut handler = handler(Method::BidiStream);
    handler.request(&first.encode_to_vec()).unwrap();
    let mut expected = error();
    expected.details.push(any(&full_info(&[any(&first)]).unwrap()));
    assert_eq!(steps(&mut handler), [send_headers(), finish(Some(expected))]);

    handler.request(b"").unwrap();
    handler.requests_ended().unwrap();
    assert_eq!(steps(&mut handler), [], "it ends once");
}

#[test]
fn a_get_is_echoed_with_its_parameters() {
    let query_params = headers("encoding");
    let head = RequestHead { query_params: Some(query_params.clone()), ..Default::default() };
    let mut handler = Handler::new(Method::IdempotentUnary, Codec::Proto, head);
    handler.request(b"").unwrap();
    handler.requests_ended().unwrap();
    let Action::Send(message) = &steps(&mut handler)[1] else {
        panic!("no response");
    };
    let response = UnaryResponse::decode(&message[..]).unwrap();
    let info = response.payload.unwrap().request_info.unwrap();
    assert_eq!(info.connect_get_info, Some(ConnectGetInfo { query_params }));
}

#[test]
fn json_calls_are_answered_in_json() {
    let request = br#"{"responseDefinition": {"responseData": ["AQI="]}}"#;
    let mut handler = Handler::new(Method::ServerStream, Codec::Json, RequestHead::default());
    handler.request(request).unwrap();
    handler.requests_ended().unwrap();
    let Action::Send(message) = &steps(&mut handler)[1] else {
        panic!("no response");
    };
    let response: ServerStreamResponse = Codec::Json.decode(message).unwrap();
    let payload = response.payload.unwrap();
    assert_eq!(payload.data, [1, 2]);
    let echoed = &payload.request_info.unwrap().requests[0];
    let echoed: ServerStreamRequest = echoed.to_msg().unwrap();
    assert_eq!(echoed.response_definition.unwrap().response_data, [[1, 2]]);
}

#[test]
fn a_malformed_request_is_reported() {
    for (codec, message) in [(Codec::Proto, b"\xff"), (Codec::Json, b"{")] {
        let mut handler = Handler::new(Method::BidiStream, codec, RequestHead::default());
        assert!(handler.request(message).is_err(), "the first, {codec:?}");

        let empty = codec.encode(&BidiStreamRequest::default()).unwrap();
        handler.request(&empty).unwrap();
        assert!(handler.request(message).is_err(), "the second, {codec:?}");
    }
}
