use prost::Message as _;

use super::*;
use crate::proto::{Compression, HttpVersion, Protocol};

const DELAY: Duration = Duration::from_millis(5);

fn plan(method: Method, requests: &[&'static str], cancel: Option<CancelAt>) -> CallPlan {
    CallPlan {
        test_name: "suite/case".into(),
        host: String::new(),
        port: 0,
        tls: None,
        http_version: HttpVersion::HttpVersion1,
        protocol: Protocol::Connect,
        codec: Codec::Proto,
        compression: Compression::Identity,
        receive_limit: None,
        method,
        full_duplex: false,
        use_get: false,
        headers: Vec::new(),
        timeout: None,
        requests: requests.iter().map(|&message| message.into()).collect(),
        request_delay: Duration::ZERO,
        cancel,
    }
}

fn full_duplex(requests: &[&'static str], cancel: Option<CancelAt>) -> Exchange {
    Exchange::new(&CallPlan { full_duplex: true, ..plan(Method::BidiStream, requests, cancel) })
}

/// The steps up to the first one that needs an answer, which is included.
fn steps(exchange: &mut Exchange) -> Vec<Action> {
    let mut steps = Vec::new();
    loop {
        let step = exchange.next_action();
        let last = matches!(step, Action::Receive | Action::Done);
        steps.push(step);
        if last {
            return steps;
        }
    }
}

fn send(message: &'static str) -> Action {
    Action::Send(message.into())
}

fn payload(data: &str) -> ConformancePayload {
    ConformancePayload { data: data.into(), request_info: None }
}

fn receive(exchange: &mut Exchange, data: &str) {
    // All response types hold their payload in the same field.
    let message = proto::UnaryResponse { payload: Some(payload(data)) };
    exchange.message(&message.encode_to_vec()).unwrap();
}

fn header(name: &str) -> Header {
    Header { name: name.into(), value: vec!["1".into()] }
}

fn canceled() -> Option<proto::Error> {
    Some(proto::Error { code: proto::Code::Canceled.into(), ..Default::default() })
}

fn result(exchange: Exchange) -> ClientResponseResult {
    let response = exchange.into_response();
    assert_eq!(response.test_name, "suite/case");
    match response.result {
        Some(Outcome::Response(result)) => result,
        other => panic!("not the result of a call: {other:?}"),
    }
}

#[test]
fn unary_sends_closes_and_receives() {
    let mut exchange = Exchange::new(&plan(Method::Unary, &["a"], None));
    assert_eq!(steps(&mut exchange), [send("a"), Action::CloseSend, Action::Receive]);
    exchange.headers(vec![header("x-header")]);
    receive(&mut exchange, "data");
    assert_eq!(exchange.next_action(), Action::Receive);
    exchange.ended(vec![header("x-trailer")], None);
    assert_eq!(exchange.next_action(), Action::Done);
    assert_eq!(
        result(exchange),
        ClientResponseResult {
            response_headers: vec![header("x-header")],
            payloads: vec![payload("data")],
            response_trailers: vec![header("x-trailer")],
            ..Default::default()
        }
    );
}

#[test]
fn the_delay_precedes_each_request() {
    let mut exchange =
        Exchange::new(&CallPlan { request_delay: DELAY, ..plan(Method::ClientStream, &["a", "b"], None) });
    assert_eq!(
        steps(&mut exchange),
        [Action::Wait(DELAY), send("a"), Action::Wait(DELAY), send("b"), Action::CloseSend, Action::Receive,]
    );
}

#[test]
fn full_duplex_waits_for_a_response_after_each_request() {
    let mut exchange = full_duplex(&["a", "b"], None);
    assert_eq!(steps(&mut exchange), [send("a"), Action::Receive]);
    exchange.headers(Vec::new());
    assert_eq!(exchange.next_action(), Action::Receive, "headers are no response");
    receive(&mut exchange, "1");
    assert_eq!(steps(&mut exchange), [send("b"), Action::Receive]);
    receive(&mut exchange, "2");
    assert_eq!(steps(&mut exchange), [Action::CloseSend, Action::Receive]);
}

#[test]
fn full_duplex_does_not_wait_for_what_it_has() {
    let mut exchange = full_duplex(&["a", "b"], None);
    assert_eq!(exchange.next_action(), send("a"));
    receive(&mut exchange, "1");
    receive(&mut exchange, "2");
    assert_eq!(steps(&mut exchange), [send("b"), Action::CloseSend, Action::Receive]);
}

#[test]
fn cancels_before_or_after_the_close() {
    let requests = &["a"];
    let mut before = Exchange::new(&plan(Method::ClientStream, requests, Some(CancelAt::BeforeCloseSend)));
    assert_eq!(steps(&mut before), [send("a"), Action::Cancel, Action::CloseSend, Action::Receive]);

    let at_once = CancelAt::AfterCloseSend(Duration::ZERO);
    let mut at_once = Exchange::new(&plan(Method::ServerStream, requests, Some(at_once)));
    assert_eq!(steps(&mut at_once), [send("a"), Action::CloseSend, Action::Cancel, Action::Receive]);

    let later = CancelAt::AfterCloseSend(DELAY);
    let mut later = Exchange::new(&plan(Method::Unary, requests, Some(later)));
    assert_eq!(
        steps(&mut later),
        [send("a"), Action::CloseSend, Action::Wait(DELAY), Action::Cancel, Action::Receive,]
    );
}

#[test]
fn cancels_right_after_the_nth_response() {
    let cancel = Some(CancelAt::AfterResponses(1));
    let mut exchange = full_duplex(&["a", "b"], cancel);
    assert_eq!(steps(&mut exchange), [send("a"), Action::Receive]);
    receive(&mut exchange, "1");
    assert_eq!(exchange.next_action(), Action::Cancel);

    // The rest is tried all the same, and what the call makes of it is reported.
    assert_eq!(exchange.next_action(), send("b"));
    exchange.send_refused();
    assert_eq!(exchange.next_action(), Action::Receive);
    exchange.ended(Vec::new(), canceled());
    assert_eq!(exchange.next_action(), Action::Done);

    let result = result(exchange);
    assert_eq!(result.payloads, [payload("1")]);
    assert_eq!(result.error, canceled());
    assert_eq!(result.num_unsent_requests, 1);
}

#[test]
fn a_refused_request_and_all_after_it_count_as_unsent() {
    let mut exchange = Exchange::new(&plan(Method::ClientStream, &["a", "b", "c"], None));
    assert_eq!(exchange.next_action(), send("a"));
    assert_eq!(exchange.next_action(), send("b"));
    exchange.send_refused();
    assert_eq!(exchange.next_action(), Action::Receive);
    exchange.ended(Vec::new(), canceled());
    assert_eq!(result(exchange).num_unsent_requests, 2);
}

#[test]
fn an_end_while_requests_are_left_stops_the_sending() {
    let mut exchange = full_duplex(&["a", "b"], None);
    assert_eq!(steps(&mut exchange), [send("a"), Action::Receive]);
    exchange.ended(Vec::new(), None);
    assert_eq!(exchange.next_action(), Action::Done);
    assert_eq!(result(exchange).num_unsent_requests, 1);
}

#[test]
fn an_error_voids_a_single_response_but_no_stream() {
    for (method, payloads) in [(Method::ClientStream, 0), (Method::ServerStream, 1)] {
        let mut exchange = Exchange::new(&plan(method, &["a"], None));
        receive(&mut exchange, "data");
        exchange.ended(Vec::new(), canceled());
        assert_eq!(result(exchange).payloads.len(), payloads, "{method:?}");
    }
}

#[test]
fn an_empty_response_has_an_empty_payload() {
    for method in Method::ALL {
        let mut exchange = Exchange::new(&plan(method, &[], None));
        exchange.message(b"").unwrap();
        exchange.ended(Vec::new(), None);
        assert_eq!(result(exchange).payloads, [payload("")], "{method:?}");
    }
}

#[test]
fn a_malformed_response_is_reported() {
    let mut exchange = Exchange::new(&plan(Method::Unary, &["a"], None));
    assert!(exchange.message(b"\xff").is_err());
}
