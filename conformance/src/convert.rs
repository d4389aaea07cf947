//! The suite's terms in the RPC core's, and back.

use std::error::Error;
use std::sync::{Arc, LazyLock};

use connect_proto::call::{self, Duplex, Limits};
use connect_proto::client::{CallConfig, Procedure, Request};
use connect_proto::compress::{self, Compressions};
use connect_proto::error::{CloseReason, Code, ErrorDetail, RpcError};
use connect_proto::metadata::Metadata;
use connect_proto::server::{Incoming, MethodSpec, ServerConfig};
use http::uri::Scheme;
use http::{HeaderName, HeaderValue};

use crate::client::CallPlan;
use crate::proto::{self, Compression, Header, HttpVersion, Protocol, ServerCompatRequest};
use crate::service::RequestHead;
use crate::{Codec, Kind, Method, detail, metadata};

/// Why a program cannot do what the suite asks for, before there is a call.
pub type Unsupported = Box<dyn Error + Send + Sync>;

/// The longest URL of a GET. The suite asks for GETs and expects them, so it is ample.
const GET_MAX_URL: usize = 64 << 10;

// Client

/// What the core's client wants to know of a planned call.
pub fn call_config(plan: &CallPlan) -> Result<CallConfig, Unsupported> {
    supported(plan.protocol, plan.http_version)?;
    let mut config = CallConfig::new(scheme(plan), authority(plan).parse()?, plan.codec.name())?;
    config.compression = compression(plan.compression)?;
    config.compress_from = 0;
    config.accept = Compressions::new(config.compression.iter().cloned().collect());
    config.get_max_url = plan.use_get.then_some(GET_MAX_URL);
    config.limits = limits(plan.receive_limit.map_or(0, u32::from));
    Ok(config)
}

/// The scheme of a planned call.
pub fn scheme(plan: &CallPlan) -> Scheme {
    if plan.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP }
}

/// The server of a planned call: its host and port.
pub fn authority(plan: &CallPlan) -> String {
    let host = &plan.host;
    if host.contains(':') { format!("[{host}]:{}", plan.port) } else { format!("{host}:{}", plan.port) }
}

/// The request of a planned call.
pub fn request(plan: &CallPlan) -> Result<Request, Unsupported> {
    let kind = kind(plan.method, if plan.full_duplex { Duplex::Full } else { Duplex::Half });
    let mut request = Request::new(Procedure::new(plan.method.procedure())?, kind);
    request.side_effect_free = plan.method.has_no_side_effects();
    request.metadata = to_metadata(&plan.headers)?;
    request.timeout = plan.timeout;
    Ok(request)
}

/// The error that a call ended with, as the suite wants to read it.
pub fn from_error(error: &RpcError) -> proto::Error {
    let details = error.details().iter();
    proto::Error {
        code: error.code() as i32,
        message: Some(error.message().to_owned()),
        details: details.map(|detail| detail::to_any(&detail.type_name, detail.value.clone())).collect(),
    }
}

/// The error of a call that closed without a verdict.
pub fn from_close(reason: CloseReason) -> proto::Error {
    let code = reason.code().unwrap_or(Code::Unknown);
    proto::Error { code: code as i32, message: Some(format!("{reason:?}")), details: Vec::new() }
}

// Server

/// What the core's server wants to know of all calls.
pub fn server_config(request: &ServerCompatRequest) -> Result<ServerConfig, Unsupported> {
    supported(request.protocol(), request.http_version())?;
    let mut config = ServerConfig::default();
    config.compress_from = 0;
    config.limits = limits(request.message_receive_limit);
    Ok(config)
}

/// What the core's server wants to know of a method.
pub fn method_spec(method: Method) -> MethodSpec {
    static CODECS: LazyLock<Arc<[String]>> =
        LazyLock::new(|| Codec::ALL.map(|codec| codec.name().to_owned()).into());
    let spec = MethodSpec::new(kind(method, Duplex::Half), &CODECS);
    if method.has_no_side_effects() { spec.side_effect_free() } else { spec }
}

/// What a request's head says, to be echoed.
pub fn request_head(incoming: &Incoming) -> RequestHead {
    let query = incoming.uri().query().filter(|_| incoming.method() == http::Method::GET);
    RequestHead {
        headers: from_metadata(incoming.headers()),
        timeout: incoming.timeout(),
        query_params: query.map(metadata::query_params),
    }
}

/// The error to answer with.
pub fn to_error(error: proto::Error) -> RpcError {
    let code = Code::ALL.iter().find(|&&code| code as i32 == error.code);
    let details = error.details.into_iter();
    let details = details
        .map(|any| ErrorDetail { type_name: detail::type_name(&any).to_owned(), value: any.value.into() });
    let plain = RpcError::new(code.copied().unwrap_or(Code::Unknown), error.message.unwrap_or_default());
    details.fold(plain, RpcError::with_detail)
}

// Both

/// Headers or trailers, as the core has them.
pub fn to_metadata(headers: &[Header]) -> Result<Metadata, http::Error> {
    let mut converted = Metadata::new();
    for (name, value) in metadata::pairs(headers) {
        converted.append(HeaderName::try_from(name)?, HeaderValue::try_from(value)?);
    }
    Ok(converted)
}

/// Headers or trailers, as the suite wants to read them.
pub fn from_metadata(fields: &Metadata) -> Vec<Header> {
    metadata::group(fields.iter().map(|(name, value)| (name, String::from_utf8_lossy(value.as_bytes()))))
}

fn kind(method: Method, duplex: Duplex) -> call::Kind {
    match method.kind() {
        Kind::Unary => call::Kind::Unary,
        Kind::ClientStream => call::Kind::ClientStream,
        Kind::ServerStream => call::Kind::ServerStream,
        Kind::BidiStream => call::Kind::Bidi(duplex),
    }
}

/// The core's limits, with the suite's for messages; 0 is unlimited.
fn limits(message: u32) -> Limits {
    let message = usize::try_from(message).ok().filter(|&limit| limit > 0);
    let mut limits = Limits::default();
    limits.message = message;
    limits.compressed_message = message;
    limits
}

fn compression(compression: Compression) -> Result<Option<Arc<dyn compress::Compression>>, Unsupported> {
    match compression.wire_name() {
        None => Err("unspecified compression".into()),
        Some("identity") => Ok(None),
        Some(name) => {
            let known = Compressions::default().find(name).cloned();
            known.map(Some).ok_or_else(|| format!("unsupported compression {name}").into())
        }
    }
}

fn supported(protocol: Protocol, version: HttpVersion) -> Result<(), Unsupported> {
    match (protocol, version) {
        (Protocol::Connect, HttpVersion::HttpVersion1 | HttpVersion::HttpVersion2) => Ok(()),
        other => Err(format!("unsupported protocol and HTTP version: {other:?}").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_have_the_same_codes() {
        for &code in Code::ALL {
            let theirs = proto::Code::try_from(code as i32).unwrap();
            assert_eq!(theirs.as_str_name(), format!("CODE_{}", code.as_str().to_uppercase()));
        }
    }

    #[test]
    fn an_error_comes_back_as_it_was() {
        let error = proto::Error {
            code: proto::Code::OutOfRange.into(),
            message: Some("too far".into()),
            details: vec![detail::to_any("a.First", "1"), detail::to_any("b.Second", [])],
        };
        assert_eq!(from_error(&to_error(error.clone())), error);
    }

    #[test]
    fn headers_come_back_grouped() {
        let header = |name: &str, value: &[&str]| Header {
            name: name.into(),
            value: value.iter().map(|&value| value.into()).collect(),
        };
        let metadata = to_metadata(&[header("X-A", &["1", "2"]), header("x-b", &["3"])]).unwrap();
        let mut headers = from_metadata(&metadata);
        headers.sort_by(|a, b| a.name.cmp(&b.name));
        assert_eq!(headers, [header("x-a", &["1", "2"]), header("x-b", &["3"])]);
    }

    #[test]
    fn the_suites_limit_is_the_cores() {
        assert_eq!(limits(0).message, None);
        assert_eq!((limits(9).message, limits(9).compressed_message), (Some(9), Some(9)));
    }
}
