//! The two message codecs of the suite.

use bytes::Bytes;
use prost::{Message, Name};

use crate::{json, proto};

/// How messages are encoded on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// Binary Protobuf.
    Proto,
    /// Canonical proto3 JSON.
    Json,
}

/// A message that could not be converted from or to its wire form.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The bytes are not a binary message of the expected type.
    #[error("malformed binary message: {0}")]
    Binary(#[from] prost::DecodeError),
    /// The bytes are not the JSON of the expected type, or an `Any` inside cannot be expressed in JSON.
    #[error("malformed JSON message: {0}")]
    Json(#[from] serde_json::Error),
    /// No proto of the suite defines the type.
    #[error("unknown message type {0}")]
    UnknownType(String),
}

impl Codec {
    /// Both codecs.
    pub const ALL: [Codec; 2] = [Codec::Proto, Codec::Json];

    /// The name in content types and in the `encoding` query parameter.
    pub fn name(self) -> &'static str {
        match self {
            Codec::Proto => "proto",
            Codec::Json => "json",
        }
    }

    /// The codec of that [`name`](Self::name).
    pub fn from_name(name: &str) -> Option<Codec> {
        Codec::ALL.into_iter().find(|codec| codec.name() == name)
    }

    /// The codec the suite asks for; `None` if it is unspecified or not supported.
    pub fn from_proto(codec: proto::Codec) -> Option<Codec> {
        match codec {
            proto::Codec::Proto => Some(Codec::Proto),
            proto::Codec::Json => Some(Codec::Json),
            _ => None,
        }
    }

    /// Encodes a message for the wire.
    ///
    /// Only JSON can fail: when an `Any` inside holds a type or bytes that it cannot express.
    pub fn encode<M: Message + Name>(self, message: &M) -> Result<Bytes, CodecError> {
        self.encode_binary(&M::full_name(), message.encode_to_vec())
    }

    /// Decodes a message from the wire.
    pub fn decode<M: Message + Name + Default>(self, message: &[u8]) -> Result<M, CodecError> {
        Ok(match self {
            Codec::Proto => M::decode(message)?,
            Codec::Json => M::decode(json::to_binary(&M::full_name(), message)?.as_slice())?,
        })
    }

    /// Encodes a message of the named type, given in binary.
    pub(crate) fn encode_binary(self, type_name: &str, message: Vec<u8>) -> Result<Bytes, CodecError> {
        Ok(match self {
            Codec::Proto => message.into(),
            Codec::Json => json::from_binary(type_name, &message)?.into(),
        })
    }

    /// Decodes a message of the named type into binary.
    pub(crate) fn decode_binary(self, type_name: &str, message: &[u8]) -> Result<Vec<u8>, CodecError> {
        match self {
            Codec::Proto => Ok(message.to_vec()),
            Codec::Json => json::to_binary(type_name, message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::UnaryRequest;

    #[test]
    fn both_codecs_round_trip() {
        let request = UnaryRequest { response_definition: None, request_data: vec![0; 300] };
        for codec in Codec::ALL {
            let wire = codec.encode(&request).unwrap();
            assert_eq!(codec.decode::<UnaryRequest>(&wire).unwrap(), request);
        }
    }

    #[test]
    fn an_empty_message_is_empty_in_binary_and_an_object_in_json() {
        let empty = UnaryRequest::default();
        assert_eq!(Codec::Proto.encode(&empty).unwrap(), "");
        assert_eq!(Codec::Json.encode(&empty).unwrap(), "{}");
    }
}
