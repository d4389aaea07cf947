//! What a call asks for, and the head that says so.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, USER_AGENT};
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Uri};

use super::CallConfig;
use crate::call::Kind;
use crate::error::ApiMisuse;
use crate::message::{Encoding, GetTarget};
use crate::metadata::{self, Metadata};
use crate::wire::{names, timeout};

/// The path of a procedure, such as `/acme.greet.v1.GreetService/Greet`: make it once, clone it cheaply.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Procedure(PathAndQuery);

impl Procedure {
    /// Takes a path of at least two segments; a prefix before the service's name is fine.
    ///
    /// # Errors
    /// [`ApiMisuse::InvalidProcedure`] for anything else, among it a path with a query or a fragment.
    pub fn new(path: impl Into<String>) -> Result<Self, ApiMisuse> {
        let given = Bytes::from(path.into());
        // A fragment would be left out without a word.
        let path = PathAndQuery::from_maybe_shared(given.clone())
            .ok()
            .filter(|path| path.query().is_none() && path.as_str().as_bytes() == given)
            .ok_or(ApiMisuse::InvalidProcedure)?;
        let (service, method) = path
            .path()
            .strip_prefix('/')
            .and_then(|p| p.rsplit_once('/'))
            .ok_or(ApiMisuse::InvalidProcedure)?;
        if service.is_empty() || method.is_empty() {
            return Err(ApiMisuse::InvalidProcedure);
        }
        Ok(Procedure(path))
    }

    /// The path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// What a call asks for.
#[derive(Clone, Debug)]
pub struct Request {
    /// The procedure to call.
    pub procedure: Procedure,
    /// Its kind.
    pub kind: Kind,
    /// Whether the procedure is free of side effects, so that a unary call of it may be a GET.
    pub side_effect_free: bool,
    /// Metadata to send. Names that the protocol or HTTP itself uses are refused.
    pub metadata: Metadata,
    /// How long the whole call may take, from [`Call::new`](super::Call::new) on: waiting for a connection, sending,
    /// receiving and draining included. The server is told what is left of it when the head goes out.
    pub timeout: Option<Duration>,
}

impl Request {
    /// A request without metadata or timeout, of a procedure that may have side effects.
    #[must_use]
    pub fn new(procedure: Procedure, kind: Kind) -> Self {
        Request { procedure, kind, side_effect_free: false, metadata: Metadata::new(), timeout: None }
    }

    /// The same request with a timeout.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// The same request of a procedure that is free of side effects.
    #[must_use]
    pub fn side_effect_free(mut self) -> Self {
        self.side_effect_free = true;
        self
    }
}

/// How the message of a unary call travels, or that there are envelopes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Carrier {
    Query(PathAndQuery),
    Body { compressed: bool },
    Envelopes,
}

/// How the messages of a request are encoded.
pub(crate) fn encoding(config: &CallConfig, request: &Request) -> Encoding {
    let by_get = request.kind == Kind::Unary && request.side_effect_free;
    let get = config.get_max_url.filter(|_| by_get).map(|max_len| {
        Arc::new(GetTarget { path: request.procedure.0.clone(), codec: config.codec.clone(), max_len })
    });
    Encoding {
        compression: config.compression.clone(),
        threshold: config.compress_from,
        streaming: request.kind.is_streaming(),
        get,
    }
}

/// The head of a request (Connect protocol reference, "Unary-Request", "Unary-Get-Request", "Streaming-Request").
pub(crate) fn head(
    config: &CallConfig,
    request: Request,
    carrier: Carrier,
    left: Option<Duration>,
) -> http::request::Parts {
    let (mut parts, ()) = http::Request::new(()).into_parts();
    let Request { procedure, metadata, .. } = request;
    let (method, target) = match &carrier {
        Carrier::Query(target) => (Method::GET, target.clone()),
        _ => (Method::POST, procedure.0),
    };
    let mut uri = http::uri::Parts::default();
    uri.scheme = Some(config.scheme.clone());
    uri.authority = Some(config.authority.clone());
    uri.path_and_query = Some(target);
    parts.method = method;
    // The three parts are valid and complete, so this cannot fail.
    parts.uri = Uri::from_parts(uri).unwrap_or_default();

    let headers = &mut parts.headers;
    headers.reserve(8 + metadata.keys_len());
    let compression = config.compression.as_ref().and_then(|c| HeaderValue::from_str(c.name()).ok());
    let accept = config.accept.accept_value();
    match carrier {
        // The query says what these headers say elsewhere.
        Carrier::Query(_) => insert(headers, ACCEPT_ENCODING, accept.cloned()),
        Carrier::Body { compressed } => {
            headers.insert(CONTENT_TYPE, config.unary_type.clone());
            headers.insert(names::PROTOCOL_VERSION, HeaderValue::from_static("1"));
            insert(headers, CONTENT_ENCODING, compression.filter(|_| compressed));
            insert(headers, ACCEPT_ENCODING, accept.cloned());
        }
        Carrier::Envelopes => {
            headers.insert(CONTENT_TYPE, config.stream_type.clone());
            headers.insert(names::PROTOCOL_VERSION, HeaderValue::from_static("1"));
            insert(headers, names::CONTENT_ENCODING, compression);
            insert(headers, names::ACCEPT_ENCODING, accept.cloned());
        }
    }
    insert(headers, names::TIMEOUT, left.map(timeout::write_connect));
    headers.insert(USER_AGENT, config.user_agent.clone());
    if !metadata.is_empty() {
        headers.extend(metadata);
    }
    parts
}

fn insert(headers: &mut Metadata, name: http::HeaderName, value: Option<HeaderValue>) {
    if let Some(value) = value {
        headers.insert(name, value);
    }
}

/// Refuses metadata that would speak for the protocol.
pub(crate) fn check_metadata(metadata: &Metadata) -> Result<(), ApiMisuse> {
    if metadata.keys().any(metadata::is_reserved) { Err(ApiMisuse::ReservedHeader) } else { Ok(()) }
}
