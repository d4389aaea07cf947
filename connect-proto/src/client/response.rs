//! What a response's head says of its body.

use std::sync::Arc;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, StatusCode, response};

use super::CallConfig;
use crate::call::{BodyKind, Kind};
use crate::compress::Compression;
use crate::error::{PeerMisbehaved, RpcError};
use crate::wire::{error_json, media_type, names};

/// What a response's head says of its body.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) body: BodyKind,
    pub(crate) compression: Option<Arc<dyn Compression>>,
    /// The verdict, where the head alone gives it.
    pub(crate) verdict: Option<RpcError>,
}

impl Reading {
    fn useless(verdict: RpcError) -> Self {
        Reading { body: BodyKind::Useless, compression: None, verdict: Some(verdict) }
    }
}

/// Reads a head (Connect protocol reference, "Unary-Response" and "Streaming-Response").
pub(crate) fn read(
    config: &CallConfig,
    kind: Kind,
    parts: &response::Parts,
) -> Result<Reading, PeerMisbehaved> {
    let content_type = parts.headers.get(CONTENT_TYPE);
    if parts.status != StatusCode::OK {
        let is_json = media_type::expect(content_type, false, "json").is_ok();
        if kind.is_streaming() || !is_json || parts.status == StatusCode::NOT_MODIFIED {
            return Ok(Reading::useless(error_json::of_status(parts.status)));
        }
        // The error is worth more than the name of its compression: without it the status has to do.
        return Ok(match encoding(config, &parts.headers, CONTENT_ENCODING) {
            Ok(compression) => Reading { body: BodyKind::Error, compression, verdict: None },
            Err(_) => Reading::useless(error_json::of_status(parts.status)),
        });
    }
    media_type::expect(content_type, kind.is_streaming(), &config.codec)?;
    let (body, name) = if kind.is_streaming() {
        (BodyKind::Responses, names::CONTENT_ENCODING)
    } else {
        (BodyKind::Message, CONTENT_ENCODING)
    };
    Ok(Reading { body, compression: encoding(config, &parts.headers, name)?, verdict: None })
}

fn encoding(
    config: &CallConfig,
    headers: &HeaderMap,
    name: HeaderName,
) -> Result<Option<Arc<dyn Compression>>, PeerMisbehaved> {
    match headers.get(name).map(|value| value.as_bytes()) {
        None | Some(b"" | b"identity") => Ok(None),
        Some(value) => std::str::from_utf8(value)
            .ok()
            .and_then(|name| config.accept.find(name))
            .map(|compression| Some(compression.clone()))
            .ok_or(PeerMisbehaved::UnknownResponseEncoding),
    }
}
