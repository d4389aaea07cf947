//! What a request's head says, and how its message travels.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};

use crate::call::{BodySize, Duplex, Kind, SendError};
use crate::client::{Call, Procedure, Request};
use crate::error::ApiMisuse;
use crate::message::Outbound;
use crate::testing::fixture::{Asked, ClientRig, ClientSetup, START, compressed, envelope, secs};

/// A unary call whose request went out.
fn unary(setup: ClientSetup, message: &[u8]) -> (ClientRig, Vec<Asked>) {
    let mut rig = setup.unsent();
    rig.send(message).unwrap();
    rig.finish();
    let asked = rig.asked();
    (rig, asked)
}

fn target(rig: &ClientRig) -> String {
    rig.sent_head.as_ref().unwrap().uri.to_string()
}

#[test]
fn a_unary_head_waits_for_the_end_of_the_request() {
    let mut rig = ClientSetup::new(Kind::Unary).unsent();
    assert_eq!(rig.asked(), []);
    rig.send("ask").unwrap();
    assert_eq!(rig.asked(), []);
    rig.finish();
    assert_eq!(rig.asked(), [Asked::Head(BodySize::Exact(3)), Asked::Data(b"ask".to_vec()), Asked::End]);
}

#[test]
fn a_unary_head_says_what_the_protocol_asks_for() {
    let (rig, _) = unary(ClientSetup::new(Kind::Unary).timeout(secs(2)).header("x-mine", "1"), b"ask");
    let head = rig.sent_head.as_ref().unwrap();
    assert_eq!(
        (head.method.as_str(), target(&rig).as_str()),
        ("POST", "https://example.com/acme.v1.Greeter/Greet")
    );
    for (name, value) in [
        ("content-type", Some("application/proto")),
        ("connect-protocol-version", Some("1")),
        ("connect-timeout-ms", Some("2000")),
        ("accept-encoding", Some("rle")),
        ("content-encoding", None),
        ("connect-content-encoding", None),
        ("connect-accept-encoding", None),
        ("content-length", None), // HTTP's business
        ("x-mine", Some("1")),
    ] {
        assert_eq!(rig.sent_header(name), value, "{name}");
    }
}

#[test]
fn an_empty_unary_message_is_a_request_without_a_body() {
    let (_, asked) = unary(ClientSetup::new(Kind::Unary), b"");
    assert_eq!(asked, [Asked::Head(BodySize::Empty)]);
}

#[test]
fn a_compressed_unary_message_says_so() {
    let (rig, asked) = unary(ClientSetup::new(Kind::Unary).compress(10), &[b'x'; 10]);
    assert_eq!(rig.sent_header("content-encoding"), Some("rle"));
    assert_eq!(asked[1], Asked::Data(compressed([b'x'; 10])));
}

#[test]
fn a_unary_message_below_the_threshold_is_plain() {
    let (rig, asked) = unary(ClientSetup::new(Kind::Unary).compress(10), &[b'x'; 9]);
    assert_eq!(rig.sent_header("content-encoding"), None);
    assert_eq!(asked[1], Asked::Data(vec![b'x'; 9]));
}

#[test]
fn go_953_a_stream_begins_without_a_message() {
    let mut rig = ClientSetup::new(Kind::Bidi(Duplex::Full)).timeout(secs(2)).compress(10).unsent();
    assert_eq!(rig.asked(), [Asked::Head(BodySize::Unknown)]);
    for (name, value) in [
        ("content-type", Some("application/connect+proto")),
        ("connect-protocol-version", Some("1")),
        ("connect-timeout-ms", Some("2000")),
        ("connect-content-encoding", Some("rle")),
        ("connect-accept-encoding", Some("rle")),
        ("content-encoding", None),
        ("accept-encoding", None),
    ] {
        assert_eq!(rig.sent_header(name), value, "{name}");
    }
}

#[test]
fn a_stream_that_is_complete_before_its_head_has_a_length() {
    let mut rig = ClientSetup::new(Kind::ServerStream).unsent();
    rig.send("ask").unwrap();
    rig.finish();
    assert_eq!(rig.asked(), [Asked::Head(BodySize::Exact(8)), Asked::Data(envelope(0, "ask")), Asked::End]);
}

#[test]
fn a_stream_without_messages_has_no_body() {
    let mut rig = ClientSetup::new(Kind::ClientStream).unsent();
    rig.finish();
    assert_eq!(rig.asked(), [Asked::Head(BodySize::Empty)]);
}

#[test]
fn the_server_is_told_what_is_left_of_the_timeout() {
    let mut rig = ClientSetup::new(Kind::Bidi(Duplex::Full)).timeout(secs(10)).unsent();
    rig.wait(secs(4)); // dialling
    rig.asked();
    assert_eq!(rig.sent_header("connect-timeout-ms"), Some("6000"));
}

#[test]
fn metadata_that_speaks_for_the_protocol_is_refused() {
    for name in ["content-type", "connect-timeout-ms", "te", "host", "grpc-timeout"] {
        let setup = ClientSetup::new(Kind::Unary).header(name, "x");
        let call = Call::new(START, &std::sync::Arc::new(setup.config), setup.request);
        assert_eq!(call.err(), Some(ApiMisuse::ReservedHeader), "{name}");
    }
}

#[test]
fn a_user_agent_of_its_own_is_sent_once() {
    let (rig, _) = unary(ClientSetup::new(Kind::Unary).header("user-agent", "mine"), b"");
    let agents: Vec<_> = rig.sent_head.as_ref().unwrap().headers.get_all("user-agent").iter().collect();
    assert_eq!(agents, ["mine"]);
}

#[test]
fn several_values_of_one_name_are_all_sent() {
    let (rig, _) = unary(ClientSetup::new(Kind::Unary).header("x-mine", "1").header("x-mine", "2"), b"");
    let sent: &HeaderMap = &rig.sent_head.as_ref().unwrap().headers;
    assert_eq!(sent.get_all("x-mine").iter().collect::<Vec<&HeaderValue>>(), ["1", "2"]);
}

#[test]
fn a_procedure_is_a_path_of_two_segments() {
    for good in ["/a.B/C", "/prefix/a.B/C"] {
        assert_eq!(Procedure::new(good).unwrap().as_str(), good);
    }
    for bad in ["", "/", "a.B/C", "/a.B", "/a.B/", "//C", "/a.B/C?x=1", "/a.B/C#x", "/a.B/C D"] {
        assert_eq!(Procedure::new(bad), Err(ApiMisuse::InvalidProcedure), "{bad}");
    }
}

// GET

#[test]
fn a_message_that_fits_goes_into_the_url() {
    let (rig, asked) = unary(ClientSetup::new(Kind::Unary).get(200).timeout(secs(2)), b"\x01\x02");
    assert_eq!(asked, [Asked::Head(BodySize::Empty)]);
    assert_eq!(rig.sent_head.as_ref().unwrap().method, "GET");
    assert_eq!(
        target(&rig),
        "https://example.com/acme.v1.Greeter/Greet?connect=v1&base64=1&encoding=proto&message=AQI"
    );
    for (name, value) in [
        ("content-type", None),
        ("connect-protocol-version", None),
        ("content-encoding", None),
        ("accept-encoding", Some("rle")),
        ("connect-timeout-ms", Some("2000")),
    ] {
        assert_eq!(rig.sent_header(name), value, "{name}");
    }
}

#[test]
fn json_stands_in_the_url_as_it_is() {
    let (rig, _) = unary(ClientSetup::new(Kind::Unary).codec("json").get(200), b"{}");
    assert!(target(&rig).ends_with("?connect=v1&encoding=json&message=%7B%7D"), "{}", target(&rig));
}

#[test]
fn a_message_that_fits_only_when_compressed_is_compressed() {
    let (rig, _) = unary(ClientSetup::new(Kind::Unary).get(100).compress(1), &[7; 200]);
    assert!(
        target(&rig).ends_with("&base64=1&compression=rle&encoding=proto&message=yAc"),
        "{}",
        target(&rig)
    );
    assert_eq!(rig.sent_header("content-encoding"), None);
}

#[test]
fn a_message_that_does_not_fit_goes_by_post() {
    let message: Vec<u8> = (0..=255).collect();
    let (rig, asked) = unary(ClientSetup::new(Kind::Unary).get(100).compress(1), &message);
    assert_eq!(rig.sent_head.as_ref().unwrap().method, "POST");
    assert_eq!(rig.sent_header("content-encoding"), Some("rle"));
    assert_eq!(asked[1], Asked::Data(compressed(&message)));
}

#[test]
fn the_limit_of_the_url_is_exact() {
    let url = "/acme.v1.Greeter/Greet?connect=v1&base64=1&encoding=proto&message=AQI";
    for (limit, method) in [(url.len(), "GET"), (url.len() - 1, "POST"), (0, "POST")] {
        let (rig, _) = unary(ClientSetup::new(Kind::Unary).get(limit), b"\x01\x02");
        assert_eq!(rig.sent_head.as_ref().unwrap().method, method, "{limit}");
    }
}

#[test]
fn only_unary_calls_without_side_effects_go_by_get() {
    let mut setup = ClientSetup::new(Kind::Unary);
    setup.config.get_max_url = Some(200);
    let (rig, _) = unary(setup, b"");
    assert_eq!(rig.sent_head.as_ref().unwrap().method, "POST");

    let mut rig = ClientSetup::new(Kind::ServerStream).get(200).unsent();
    rig.send("ask").unwrap();
    rig.finish();
    rig.asked();
    assert_eq!(rig.sent_head.as_ref().unwrap().method, "POST");
}

#[test]
fn messages_of_another_call_are_refused() {
    let foreign = |setup: ClientSetup, encoded_for: ClientSetup| {
        let mut rig = setup.unsent();
        let message = Outbound::encode(&encoded_for.unsent().call.encoding(), Bytes::from_static(b"ask"));
        let refused = rig.call.send(rig.now, message);
        assert!(matches!(refused, Err(SendError::Misuse(ApiMisuse::ForeignMessage))), "{refused:?}");
    };
    let unary = || ClientSetup::new(Kind::Unary);
    let mut elsewhere = unary().get(200);
    elsewhere.request = Request { procedure: Procedure::new("/a.B/C").unwrap(), ..elsewhere.request };
    foreign(unary(), unary().get(200));
    foreign(unary().get(200), elsewhere);
    foreign(unary(), unary().compress(0));
}
