//! Canonical proto3 JSON of the suite's messages.
//!
//! The mapping works on descriptors, not on the generated types: that is what lets it look into
//! `google.protobuf.Any`, whose JSON form depends on the type inside.

use std::sync::LazyLock;

use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};

use crate::CodecError;

static DESCRIPTORS: LazyLock<DescriptorPool> = LazyLock::new(|| {
    DescriptorPool::decode(include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin")).as_slice())
        .expect("the build script wrote a valid descriptor set")
});

/// Converts a binary message of the named type to JSON.
pub(crate) fn from_binary(type_name: &str, message: &[u8]) -> Result<Vec<u8>, CodecError> {
    let message = DynamicMessage::decode(descriptor(type_name)?, message)?;
    Ok(serde_json::to_vec(&message)?)
}

/// Converts JSON to a binary message of the named type. Fields the type does not have are ignored.
pub(crate) fn to_binary(type_name: &str, json: &[u8]) -> Result<Vec<u8>, CodecError> {
    let lenient = prost_reflect::DeserializeOptions::new().deny_unknown_fields(false);
    let mut input = serde_json::Deserializer::from_slice(json);
    let message = DynamicMessage::deserialize_with_options(descriptor(type_name)?, &mut input, &lenient)?;
    input.end()?;
    Ok(message.encode_to_vec())
}

fn descriptor(type_name: &str) -> Result<MessageDescriptor, CodecError> {
    DESCRIPTORS.get_message_by_name(type_name).ok_or_else(|| CodecError::UnknownType(type_name.to_owned()))
}

#[cfg(test)]
mod tests {
    use prost::{Message as _, Name as _};
    use prost_types::Any;

    use super::*;
    use crate::Method;
    use crate::proto::conformance_payload::RequestInfo;
    use crate::proto::{ConformancePayload, Header, UnaryRequest, UnaryResponse, UnaryResponseDefinition};

    fn unary_response(requests: Vec<Any>) -> UnaryResponse {
        let request_info = Some(RequestInfo {
            request_headers: vec![Header { name: "x-a".into(), value: vec!["1".into(), "2".into()] }],
            timeout_ms: Some(1500),
            requests,
            connect_get_info: None,
        });
        UnaryResponse { payload: Some(ConformancePayload { data: b"\xfb\xff".to_vec(), request_info }) }
    }

    #[test]
    fn writes_canonical_json() {
        let request = UnaryRequest {
            response_definition: Some(UnaryResponseDefinition { response_delay_ms: 7, ..Default::default() }),
            request_data: Vec::new(),
        };
        let message = unary_response(vec![Any::from_msg(&request).unwrap()]);
        let json = from_binary(&UnaryResponse::full_name(), &message.encode_to_vec()).unwrap();
        let actual: serde_json::Value = serde_json::from_slice(&json).unwrap();
        let expected = serde_json::json!({"payload": {
            "data": "+/8=",
            "requestInfo": {
                "requestHeaders": [{"name": "x-a", "value": ["1", "2"]}],
                "timeoutMs": "1500",
                "requests": [{
                    "@type": "type.googleapis.com/connectrpc.conformance.v1.UnaryRequest",
                    "responseDefinition": {"responseDelayMs": 7},
                }],
            },
        }});
        assert_eq!(actual, expected);
    }

    #[test]
    fn every_request_type_survives_inside_any() {
        for method in Method::ALL {
            let request =
                Any { type_url: format!("type.googleapis.com/{}", method.request_type()), value: Vec::new() };
            let message = unary_response(vec![request]).encode_to_vec();
            let json = from_binary(&UnaryResponse::full_name(), &message).unwrap();
            let back = to_binary(&UnaryResponse::full_name(), &json).unwrap();
            assert_eq!(back, message, "{method:?}");
        }
    }

    #[test]
    fn ignores_unknown_fields() {
        let json = br#"{"requestData": "AQI=", "unheardOf": {"deep": [1]}}"#;
        let binary = to_binary(&UnaryRequest::full_name(), json).unwrap();
        let request = UnaryRequest::decode(binary.as_slice()).unwrap();
        assert_eq!(request.request_data, [1, 2]);
    }

    #[test]
    fn refuses_what_is_not_one_json_object() {
        for json in [&b""[..], b"[]", b"{", b"{} {}", b"\xff"] {
            assert!(to_binary(&UnaryRequest::full_name(), json).is_err(), "{json:?}");
        }
    }
}
