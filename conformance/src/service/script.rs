//! What a request asks to be answered with.

use std::collections::VecDeque;
use std::time::Duration;

use prost::{DecodeError, Message as _};

use crate::proto::unary_response_definition::Response;
use crate::proto::{self, Header, StreamResponseDefinition, UnaryResponseDefinition};
use crate::{Kind, Method};

/// The answer a call's first request defines: the unary and the stream form of a definition in one shape.
///
/// `raw_response` is left out: only the suite's own server acts on it.
#[derive(Debug)]
pub(super) struct Script {
    /// The response headers, until they are sent.
    pub(super) headers: Option<Vec<Header>>,
    /// The data of each response still to be sent.
    pub(super) responses: VecDeque<Vec<u8>>,
    /// The time to let pass before each response.
    pub(super) delay: Duration,
    /// How the call ends after the responses; `None` is success.
    pub(super) error: Option<proto::Error>,
    pub(super) trailers: Vec<Header>,
    /// Whether each request is answered as it arrives, rather than all of them at their end.
    pub(super) full_duplex: bool,
}

impl Script {
    /// The script in the first request of a call, given in binary.
    pub(super) fn of(method: Method, request: &[u8]) -> Result<Script, DecodeError> {
        Ok(match method {
            Method::Unary => {
                let request = proto::UnaryRequest::decode(request)?;
                Script::single(request.response_definition)
            }
            Method::IdempotentUnary => {
                let request = proto::IdempotentUnaryRequest::decode(request)?;
                Script::single(request.response_definition)
            }
            Method::ClientStream => {
                let request = proto::ClientStreamRequest::decode(request)?;
                Script::single(request.response_definition)
            }
            Method::ServerStream => {
                let request = proto::ServerStreamRequest::decode(request)?;
                Script::stream(request.response_definition, false)
            }
            Method::BidiStream => {
                let request = proto::BidiStreamRequest::decode(request)?;
                Script::stream(request.response_definition, request.full_duplex)
            }
            Method::Unimplemented => Script::undefined(method.kind()),
        })
    }

    /// The script of a call that had no request to define it.
    pub(super) fn undefined(kind: Kind) -> Script {
        if kind.has_single_response() { Script::single(None) } else { Script::stream(None, false) }
    }

    /// Exactly one response, unless there is an error.
    fn single(definition: Option<UnaryResponseDefinition>) -> Script {
        let definition = definition.unwrap_or_default();
        let (responses, error) = match definition.response {
            Some(Response::ResponseData(data)) => (VecDeque::from([data]), None),
            Some(Response::Error(error)) => (VecDeque::new(), Some(error)),
            None => (VecDeque::from([Vec::new()]), None),
        };
        Script {
            headers: Some(definition.response_headers),
            responses,
            delay: Duration::from_millis(definition.response_delay_ms.into()),
            error,
            trailers: definition.response_trailers,
            full_duplex: false,
        }
    }

    /// As many responses as there is data, then the error if there is one.
    fn stream(definition: Option<StreamResponseDefinition>, full_duplex: bool) -> Script {
        let definition = definition.unwrap_or_default();
        Script {
            headers: Some(definition.response_headers),
            responses: definition.response_data.into(),
            delay: Duration::from_millis(definition.response_delay_ms.into()),
            error: definition.error,
            trailers: definition.response_trailers,
            full_duplex,
        }
    }
}
