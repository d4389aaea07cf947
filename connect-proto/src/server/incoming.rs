//! A request of which only the head is known.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, request};

use super::call::{Call, Opening};
use super::{MethodSpec, ServerConfig, response};
use crate::call::{Duplex, Kind};
use crate::compress::Compression;
use crate::error::{PeerMisbehaved, RpcError};
use crate::fields::read_length;
use crate::metadata::Metadata;
use crate::time::Instant;
use crate::wire::get_query::{self, GetQuery};
use crate::wire::{media_type, names, timeout};

const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");
const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");

/// A request whose head has come: to look at, then to [`start`](Incoming::start) or to
/// [`refuse`](Incoming::refuse).
///
/// Making one never fails: whatever is wrong with the request becomes the answer of the call that it starts.
#[derive(Debug)]
#[must_use = "a request is to be started or refused"]
pub struct Incoming {
    at: Instant,
    parts: Box<request::Parts>,
    form: Form,
}

/// How the request says that it is a call.
#[derive(Debug)]
enum Form {
    Post {
        streaming: bool,
        codec: Cow<'static, str>,
    },
    Get(Result<GetQuery, PeerMisbehaved>),
    /// Neither of them.
    Other,
}

/// How a request is refused before it becomes a call.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Refusal {
    /// 404: there is no such procedure.
    NotFound,
    /// 405, with the methods that are allowed.
    MethodNotAllowed(&'static str),
    /// 415, with the content types that are understood, comma-separated.
    UnsupportedMediaType(String),
    /// 505: the procedure needs HTTP/2.
    HttpVersionNotSupported,
    /// An RPC error in the form of the request's protocol.
    Error(RpcError),
}

impl Incoming {
    /// Looks at a request's head. `now` is when the call's timeout begins.
    pub fn new(now: Instant, parts: impl Into<Box<request::Parts>>) -> Self {
        let parts = parts.into();
        let form = match parts.method {
            Method::POST => match parts.headers.get(CONTENT_TYPE).and_then(media_type::read) {
                Some(media_type) => {
                    Form::Post { streaming: media_type.streaming, codec: known_codec(&media_type.codec) }
                }
                None => Form::Other,
            },
            Method::GET => Form::Get(get_query::read(parts.uri.query().unwrap_or_default())),
            _ => Form::Other,
        };
        Incoming { at: now, parts, form }
    }

    /// The path, which names the procedure.
    #[must_use]
    pub fn procedure(&self) -> &str {
        self.parts.uri.path()
    }

    /// HTTP's method.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.parts.method
    }

    /// HTTP's version.
    #[must_use]
    pub fn version(&self) -> Version {
        self.parts.version
    }

    /// The whole target.
    #[must_use]
    pub fn uri(&self) -> &http::Uri {
        &self.parts.uri
    }

    /// All header fields, the protocol's own among them.
    #[must_use]
    pub fn headers(&self) -> &Metadata {
        &self.parts.headers
    }

    /// What a layer below attached to the request.
    #[must_use]
    pub fn extensions(&self) -> &http::Extensions {
        &self.parts.extensions
    }

    /// The name of the codec, if the request names one.
    #[must_use]
    pub fn codec(&self) -> Option<&str> {
        match &self.form {
            Form::Post { codec, .. } => Some(codec),
            Form::Get(Ok(query)) => Some(&query.codec),
            Form::Get(Err(_)) | Form::Other => None,
        }
    }

    /// Whether the messages come in envelopes.
    #[must_use]
    pub fn is_streaming(&self) -> bool {
        matches!(self.form, Form::Post { streaming: true, .. })
    }

    /// The timeout that the client asks for. A malformed one is answered when the call is started.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        timeout::read_connect(self.parts.headers.get(names::TIMEOUT)?).ok()
    }

    /// Starts the call of a procedure. A request that does not fit it becomes a call that answers by itself.
    ///
    /// The checks come in this order: method, content type, HTTP version, then everything that can be answered in
    /// the form of the protocol.
    pub fn start(self, now: Instant, config: &Arc<ServerConfig>, spec: &MethodSpec) -> Call {
        let named = Named::of(&self.parts.headers, self.is_streaming());
        if let Err(refusal) = self.admit(spec) {
            return Call::answered(now, config, self.opening(&named, None), refusal.into_opening_error());
        }
        let (request_compression, timeout) = match self.negotiate(config, &named) {
            Ok(negotiated) => negotiated,
            Err(fault) => {
                let error = RpcError::new(fault.code(), fault.to_string());
                return Call::answered(now, config, self.opening(&named, None), Err(error));
            }
        };
        let response_compression = response_compression(config, &named, request_compression.as_ref());
        let timeout = crate::time::shorter(timeout, config.max_timeout);
        let deadline = timeout.map(|timeout| self.at.saturating_add(timeout));
        let mut opening = self.opening(&named, response_compression);
        opening.deadline = deadline;
        opening.request = Some(self.parts);
        let query = match self.form {
            Form::Get(Ok(query)) => Some(query.message),
            _ => None,
        };
        Call::started(now, config, spec.kind, opening, request_compression, query)
    }

    /// Answers without a handler. The request is drained as after any other answer.
    pub fn refuse(self, now: Instant, config: &Arc<ServerConfig>, refusal: Refusal) -> Call {
        let named = Named::of(&self.parts.headers, self.is_streaming());
        let mut opening = self.opening(&named, None);
        opening.by_application = true;
        Call::answered(now, config, opening, refusal.into_opening_error())
    }

    fn opening(&self, named: &Named<'_>, compression: Option<Arc<dyn Compression>>) -> Opening {
        let streaming = self.is_streaming();
        Opening {
            streaming,
            http2: self.parts.version >= Version::HTTP_2,
            by_get: self.parts.method == Method::GET,
            // The codec was read from a content type, so it can be written into one.
            content_type: self
                .codec()
                .and_then(|codec| media_type::write(streaming, codec).ok())
                .unwrap_or(OCTETS),
            compression,
            request: None,
            deadline: None,
            // Whether it is well-formed is HTTP's business.
            expected: named.content_length.and_then(|length| read_length(length.as_bytes())),
            by_application: false,
        }
    }

    /// What HTTP itself can say against the request.
    fn admit(&self, spec: &MethodSpec) -> Result<(), Refusal> {
        let by_get = spec.kind == Kind::Unary && spec.side_effect_free;
        match &self.form {
            Form::Get(_) if by_get => {}
            Form::Other if self.parts.method == Method::POST => return Err(self.unsupported(spec)),
            Form::Get(_) | Form::Other => {
                return Err(Refusal::MethodNotAllowed(if by_get { "GET, POST" } else { "POST" }));
            }
            Form::Post { streaming, .. } if *streaming != spec.kind.is_streaming() => {
                return Err(self.unsupported(spec));
            }
            Form::Post { .. } => {}
        }
        if self.codec().is_some_and(|codec| !spec.codecs.iter().any(|known| known == codec)) {
            return Err(self.unsupported(spec));
        }
        if spec.kind == Kind::Bidi(Duplex::Full) && self.parts.version < Version::HTTP_2 {
            return Err(Refusal::HttpVersionNotSupported);
        }
        Ok(())
    }

    fn unsupported(&self, spec: &MethodSpec) -> Refusal {
        let prefix = if spec.kind.is_streaming() { "application/connect+" } else { "application/" };
        let types: Vec<String> = spec.codecs.iter().map(|codec| format!("{prefix}{codec}")).collect();
        Refusal::UnsupportedMediaType(types.join(", "))
    }

    /// The compression of the request and its timeout, or what the protocol says against it.
    fn negotiate(&self, config: &ServerConfig, named: &Named<'_>) -> Result<Negotiated, PeerMisbehaved> {
        let compression = match &self.form {
            Form::Get(query) => {
                let query = query.as_ref().map_err(|fault| *fault)?;
                find(config, query.compression.as_deref().map(str::as_bytes))?
            }
            Form::Post { .. } => {
                if named.protocol_version.is_some_and(|version| version != "1") {
                    return Err(PeerMisbehaved::UnsupportedProtocolVersion);
                }
                find(config, named.content_encoding.map(HeaderValue::as_bytes))?
            }
            Form::Other => None,
        };
        Ok((compression, named.timeout.map(timeout::read_connect).transpose()?))
    }
}

/// The first values of the fields that decide about a call, found in one pass.
#[derive(Default)]
struct Named<'a> {
    protocol_version: Option<&'a HeaderValue>,
    timeout: Option<&'a HeaderValue>,
    content_length: Option<&'a HeaderValue>,
    content_encoding: Option<&'a HeaderValue>,
    accept_encoding: Option<&'a HeaderValue>,
}

impl<'a> Named<'a> {
    fn of(headers: &'a HeaderMap, streaming: bool) -> Self {
        let mut named = Named::default();
        for (name, value) in headers {
            let place = match name.as_str() {
                "connect-protocol-version" => &mut named.protocol_version,
                "connect-timeout-ms" => &mut named.timeout,
                "content-length" => &mut named.content_length,
                "connect-content-encoding" if streaming => &mut named.content_encoding,
                "content-encoding" if !streaming => &mut named.content_encoding,
                "connect-accept-encoding" if streaming => &mut named.accept_encoding,
                "accept-encoding" if !streaming => &mut named.accept_encoding,
                _ => continue,
            };
            place.get_or_insert(value);
        }
        named
    }
}

/// The client's first choice that is known here; without one, the compression of the request.
fn response_compression(
    config: &ServerConfig,
    named: &Named<'_>,
    request: Option<&Arc<dyn Compression>>,
) -> Option<Arc<dyn Compression>> {
    match named.accept_encoding.and_then(|accepted| accepted.to_str().ok()) {
        Some(accepted) => config.compressions.negotiate(accepted).cloned(),
        None => request.cloned(),
    }
}

type Negotiated = (Option<Arc<dyn Compression>>, Option<Duration>);

fn find(config: &ServerConfig, name: Option<&[u8]>) -> Result<Option<Arc<dyn Compression>>, PeerMisbehaved> {
    match name {
        None | Some(b"" | b"identity") => Ok(None),
        Some(name) => std::str::from_utf8(name)
            .ok()
            .and_then(|name| config.compressions.find(name))
            .map(|compression| Some(compression.clone()))
            .ok_or(PeerMisbehaved::UnknownRequestEncoding),
    }
}

fn known_codec(name: &str) -> Cow<'static, str> {
    match name {
        "proto" => Cow::Borrowed("proto"),
        "json" => Cow::Borrowed("json"),
        other => Cow::Owned(other.to_owned()),
    }
}

impl Refusal {
    /// An error in the protocol's form, or else a bare head.
    fn into_opening_error(self) -> Result<Box<http::response::Parts>, RpcError> {
        let (status, header) = match self {
            Refusal::Error(error) => return Err(error),
            Refusal::NotFound => (StatusCode::NOT_FOUND, None),
            Refusal::MethodNotAllowed(allowed) => {
                (StatusCode::METHOD_NOT_ALLOWED, Some((ALLOW, HeaderValue::from_static(allowed))))
            }
            Refusal::UnsupportedMediaType(types) => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                HeaderValue::try_from(types).ok().map(|v| (ACCEPT_POST, v)),
            ),
            Refusal::HttpVersionNotSupported => (StatusCode::HTTP_VERSION_NOT_SUPPORTED, None),
        };
        Ok(response::head(status, header.into_iter().collect()))
    }
}
