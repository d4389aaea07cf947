//! `google.protobuf.StringValue`, the one message of the service, in both codecs.

use bytes::Bytes;
use connect_proto_async::{Code, RpcError};

pub(crate) const TYPE_NAME: &str = "google.protobuf.StringValue";

/// The tag of field 1, which is length-delimited.
const VALUE: u8 = 0x0a;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Codec {
    Proto,
    Json,
}

impl Codec {
    pub(crate) const ALL: [Codec; 2] = [Codec::Proto, Codec::Json];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Codec::Proto => "proto",
            Codec::Json => "json",
        }
    }

    pub(crate) fn of_name(name: &str) -> Codec {
        if name == Codec::Json.name() { Codec::Json } else { Codec::Proto }
    }

    pub(crate) fn encode(self, text: &str) -> Bytes {
        match self {
            Codec::Proto => proto(text),
            Codec::Json => serde_json::Value::from(text).to_string().into(),
        }
    }

    pub(crate) fn decode(self, message: &[u8]) -> Result<String, RpcError> {
        let text = match self {
            Codec::Proto => from_proto(message),
            Codec::Json => serde_json::from_slice(message).ok(),
        };
        text.ok_or_else(|| RpcError::new(Code::InvalidArgument, format!("not a {TYPE_NAME}")))
    }
}

fn proto(text: &str) -> Bytes {
    let mut message = Vec::with_capacity(text.len() + 6);
    if !text.is_empty() {
        message.push(VALUE);
        let mut left = text.len();
        while left >= 0x80 {
            message.push((left & 0x7f) as u8 | 0x80);
            left >>= 7;
        }
        message.push(left as u8);
        message.extend_from_slice(text.as_bytes());
    }
    message.into()
}

fn from_proto(message: &[u8]) -> Option<String> {
    let Some((&tag, mut rest)) = message.split_first() else { return Some(String::new()) };
    let (mut length, mut shift) = (0, 0);
    loop {
        let (&byte, after) = rest.split_first()?;
        length |= usize::from(byte & 0x7f).checked_shl(shift)?;
        (rest, shift) = (after, shift + 7);
        if byte < 0x80 {
            break;
        }
    }
    // Nobody sends the field twice, or another one.
    (tag == VALUE && length == rest.len()).then(|| String::from_utf8(rest.to_vec()).ok())?
}
