//! Metadata: what headers and trailers carry beside the protocol's own fields.

/// Names and values in HTTP's own form. Names that end in `-bin` carry base64.
pub type Metadata = http::HeaderMap;
