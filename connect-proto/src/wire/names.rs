//! Names of the protocol's own header fields.

use http::HeaderName;

pub(crate) const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("connect-protocol-version");
pub(crate) const TIMEOUT: HeaderName = HeaderName::from_static("connect-timeout-ms");
pub(crate) const CONTENT_ENCODING: HeaderName = HeaderName::from_static("connect-content-encoding");
pub(crate) const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("connect-accept-encoding");
