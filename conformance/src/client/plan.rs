//! What a [`ClientCompatRequest`] asks for, checked and ready to be carried out.

use std::num::NonZeroU32;
use std::time::Duration;

use bytes::Bytes;
use prost_types::Any;

use crate::proto::client_compat_request::Cancel;
use crate::proto::client_compat_request::cancel::CancelTiming;
use crate::proto::client_compat_response::Result as Outcome;
use crate::proto::{
    ClientCompatRequest, ClientCompatResponse, ClientErrorResult, Compression, Header, HttpVersion, Protocol,
    StreamType,
};
use crate::tls::ClientMaterial;
use crate::{Codec, CodecError, Kind, Method, detail, method};

/// One call to make.
#[derive(Clone, Debug, PartialEq)]
pub struct CallPlan {
    /// The name of the test case, which the answer repeats.
    pub test_name: String,

    /// The server's host name or IP address.
    pub host: String,
    /// The server's port.
    pub port: u16,
    /// How to reach the server by TLS; `None` is plaintext.
    pub tls: Option<ClientMaterial>,
    /// The HTTP version to speak; 2 without TLS is with prior knowledge.
    pub http_version: HttpVersion,
    /// The RPC protocol to speak.
    pub protocol: Protocol,
    /// The codec of all messages.
    pub codec: Codec,
    /// The compression to send with, and the only one to accept.
    pub compression: Compression,
    /// The size above which a response message is refused; `None` is unlimited.
    pub receive_limit: Option<NonZeroU32>,

    /// The method to call.
    pub method: Method,
    /// Whether to wait for a response after each request.
    pub full_duplex: bool,
    /// Whether to use GET.
    pub use_get: bool,
    /// The request headers, apart from the protocol's own.
    pub headers: Vec<Header>,
    /// The time after which the call fails.
    pub timeout: Option<Duration>,
    /// The request messages, encoded.
    pub requests: Vec<Bytes>,
    /// The time to let pass before each request message.
    pub request_delay: Duration,
    /// When to cancel the call.
    pub cancel: Option<CancelAt>,
}

/// The moment to cancel a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelAt {
    /// After all requests are sent, just before the send side would be closed.
    BeforeCloseSend,
    /// This time after the send side was closed.
    AfterCloseSend(Duration),
    /// As soon as this many response messages were received.
    AfterResponses(u32),
}

/// A request that describes no call this client could make.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// A field that has to be set is not, or has a value of a later version of the suite.
    #[error("no {0} that this client knows is specified")]
    Unspecified(&'static str),
    /// The method is not one of the service's.
    #[error("unknown method {service}/{method}")]
    UnknownMethod {
        /// The name of the service.
        service: String,
        /// The name of the method.
        method: String,
    },
    /// The port is out of range.
    #[error("{0} is not a port")]
    Port(u32),
    /// The method takes one request, and there are more or none.
    #[error("the method takes one request message, not {0}")]
    RequestCount(usize),
    /// A request message is not of the method's request type.
    #[error("the method takes {expected}, not {actual}")]
    RequestType {
        /// The name of the method's request type.
        expected: String,
        /// The name of the message's type.
        actual: String,
    },
    /// A request message cannot be encoded.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The HTTP request is given literally, which only the suite's own client does.
    #[error("raw HTTP requests are for the suite's own client")]
    RawRequest,
}

impl CallPlan {
    /// Makes a plan of what the suite asks for.
    pub fn new(request: ClientCompatRequest) -> Result<CallPlan, PlanError> {
        if request.raw_request.is_some() {
            return Err(PlanError::RawRequest);
        }
        let method = method(&request)?;
        let codec = Codec::from_proto(request.codec()).ok_or(PlanError::Unspecified("codec"))?;
        let single = method.kind().has_single_request();
        if single && request.request_messages.len() != 1 {
            return Err(PlanError::RequestCount(request.request_messages.len()));
        }
        Ok(CallPlan {
            http_version: specified("HTTP version", request.http_version())?,
            protocol: specified("protocol", request.protocol())?,
            codec,
            compression: specified("compression", request.compression())?,
            port: u16::try_from(request.port).map_err(|_| PlanError::Port(request.port))?,
            method,
            full_duplex: method.kind() == Kind::BidiStream
                && request.stream_type() == StreamType::FullDuplexBidiStream,
            test_name: request.test_name,
            host: request.host,
            tls: (!request.server_tls_cert.is_empty()).then_some(ClientMaterial {
                server_cert: request.server_tls_cert,
                client_creds: request.client_tls_creds,
            }),
            receive_limit: NonZeroU32::new(request.message_receive_limit),
            use_get: request.use_get_http_method,
            headers: request.request_headers,
            timeout: request.timeout_ms.map(|timeout| Duration::from_millis(timeout.into())),
            requests: request
                .request_messages
                .into_iter()
                .map(|message| encode(method, codec, message))
                .collect::<Result<_, _>>()?,
            request_delay: if single {
                Duration::ZERO
            } else {
                Duration::from_millis(request.request_delay_ms.into())
            },
            cancel: request.cancel.map(CancelAt::from),
        })
    }
}

impl From<Cancel> for CancelAt {
    fn from(cancel: Cancel) -> CancelAt {
        match cancel.cancel_timing {
            Some(CancelTiming::BeforeCloseSend(())) => CancelAt::BeforeCloseSend,
            Some(CancelTiming::AfterCloseSendMs(delay)) => {
                CancelAt::AfterCloseSend(Duration::from_millis(delay.into()))
            }
            Some(CancelTiming::AfterNumResponses(count)) => CancelAt::AfterResponses(count),
            None => CancelAt::AfterCloseSend(Duration::ZERO),
        }
    }
}

impl PlanError {
    /// The answer to a request that could not be planned: an error of the program, not of a call.
    pub fn into_response(self, test_name: String) -> ClientCompatResponse {
        let message = self.to_string();
        ClientCompatResponse { test_name, result: Some(Outcome::Error(ClientErrorResult { message })) }
    }
}

impl Compression {
    /// The name of the compression on the wire; `None` if it is unspecified.
    pub fn wire_name(self) -> Option<&'static str> {
        match self {
            Compression::Unspecified => None,
            Compression::Identity => Some("identity"),
            Compression::Gzip => Some("gzip"),
            Compression::Br => Some("br"),
            Compression::Zstd => Some("zstd"),
            Compression::Deflate => Some("deflate"),
            Compression::Snappy => Some("snappy"),
        }
    }
}

/// Passes on an enum value that is not its type's default, which stands for unspecified.
fn specified<E: Default + PartialEq>(what: &'static str, value: E) -> Result<E, PlanError> {
    if value == E::default() {
        return Err(PlanError::Unspecified(what));
    }
    Ok(value)
}

fn method(request: &ClientCompatRequest) -> Result<Method, PlanError> {
    let name = request.method();
    match request.service() {
        "" | method::SERVICE => Method::from_name(name),
        _ => None,
    }
    .ok_or_else(|| PlanError::UnknownMethod {
        service: request.service().to_owned(),
        method: name.to_owned(),
    })
}

fn encode(method: Method, codec: Codec, message: Any) -> Result<Bytes, PlanError> {
    let expected = method.request_type();
    let actual = detail::type_name(&message);
    if actual != expected {
        return Err(PlanError::RequestType { expected, actual: actual.to_owned() });
    }
    Ok(codec.encode_binary(&expected, message.value)?)
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
