//! The heads and ends of responses.

use std::sync::Arc;

use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use http::{HeaderName, HeaderValue, StatusCode, response};

use crate::compress::Compression;
use crate::error::RpcError;
use crate::metadata::{self, Metadata};
use crate::wire::names;

/// An empty head of this status.
pub(crate) fn head(status: StatusCode, headers: Metadata) -> response::Parts {
    let (mut parts, ()) = http::Response::new(()).into_parts();
    parts.status = status;
    parts.headers = headers;
    parts
}

/// The headers of what answers a GET, which may be cached: its compression depends on the request.
pub(crate) fn varying(mut headers: Metadata) -> Metadata {
    headers.append(VARY, ACCEPT_ENCODING.into());
    headers
}

/// A unary response that carries a message (Connect protocol reference, "Unary-Response").
pub(crate) fn message(
    mut headers: Metadata,
    trailers: &Metadata,
    content_type: HeaderValue,
    compression: Option<&Arc<dyn Compression>>,
) -> response::Parts {
    headers.insert(CONTENT_TYPE, content_type);
    insert_name(&mut headers, CONTENT_ENCODING, compression);
    metadata::add_trailers(&mut headers, trailers);
    head(StatusCode::OK, headers)
}

/// A unary response that carries an error.
pub(crate) fn error(mut headers: Metadata, trailers: &Metadata, error: &RpcError) -> response::Parts {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    metadata::add_trailers(&mut headers, trailers);
    metadata::add_trailers(&mut headers, error.metadata());
    head(error.code().http_status(), headers)
}

/// The head of a stream, which always succeeds ("Streaming-Response").
pub(crate) fn stream(
    mut headers: Metadata,
    content_type: HeaderValue,
    compression: Option<&Arc<dyn Compression>>,
) -> response::Parts {
    headers.insert(CONTENT_TYPE, content_type);
    insert_name(&mut headers, names::CONTENT_ENCODING, compression);
    head(StatusCode::OK, headers)
}

fn insert_name(headers: &mut Metadata, name: HeaderName, compression: Option<&Arc<dyn Compression>>) {
    if let Some(value) = compression.and_then(|c| HeaderValue::from_str(c.name()).ok()) {
        headers.insert(name, value);
    }
}
