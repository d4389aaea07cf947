//! The heads and ends of responses.

use std::sync::Arc;

use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use http::{HeaderName, HeaderValue, StatusCode, response};

use crate::compress::Compression;
use crate::error::RpcError;
use crate::metadata::{self, Metadata};
use crate::wire::names;

/// A head of this status.
pub(crate) fn head(status: StatusCode, headers: Metadata) -> Box<response::Parts> {
    let mut parts = Box::new(http::Response::new(()).into_parts().0);
    parts.status = status;
    parts.headers = headers;
    parts
}

/// What answers a GET may be cached, but its compression depends on the request.
pub(crate) fn vary(parts: &mut response::Parts) {
    parts.headers.append(VARY, ACCEPT_ENCODING.into());
}

/// A unary response that carries a message (Connect protocol reference, "Unary-Response").
pub(crate) fn message(
    parts: &mut response::Parts,
    trailers: &Metadata,
    content_type: HeaderValue,
    compression: Option<&Arc<dyn Compression>>,
) {
    parts.headers.insert(CONTENT_TYPE, content_type);
    insert_name(&mut parts.headers, CONTENT_ENCODING, compression);
    metadata::add_trailers(&mut parts.headers, trailers);
}

/// A unary response that carries an error.
pub(crate) fn error(parts: &mut response::Parts, trailers: &Metadata, error: &RpcError) {
    parts.status = error.code().http_status();
    parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    metadata::add_trailers(&mut parts.headers, trailers);
    metadata::add_trailers(&mut parts.headers, error.metadata());
}

/// The head of a stream, which always succeeds ("Streaming-Response").
pub(crate) fn stream(
    parts: &mut response::Parts,
    content_type: HeaderValue,
    compression: Option<&Arc<dyn Compression>>,
) {
    parts.headers.insert(CONTENT_TYPE, content_type);
    insert_name(&mut parts.headers, names::CONTENT_ENCODING, compression);
}

fn insert_name(headers: &mut Metadata, name: HeaderName, compression: Option<&Arc<dyn Compression>>) {
    if let Some(value) = compression.and_then(|c| HeaderValue::from_str(c.name()).ok()) {
        headers.insert(name, value);
    }
}
