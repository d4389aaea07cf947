//! What the calls of a client have in common.

use std::sync::Arc;

use http::HeaderValue;
use http::uri::{Authority, Scheme};

use crate::call::Limits;
use crate::compress::{Compression, Compressions};
use crate::error::ApiMisuse;
use crate::wire::media_type;

/// What the calls of a client have in common: make it once, share it by `Arc`.
#[derive(Clone, Debug)]
pub struct CallConfig {
    pub(crate) scheme: Scheme,
    pub(crate) authority: Authority,
    pub(crate) codec: String,
    pub(crate) unary_type: HeaderValue,
    pub(crate) stream_type: HeaderValue,
    /// How messages are compressed; `None`, the default, sends them as they are.
    pub compression: Option<Arc<dyn Compression>>,
    /// Bytes from which on a message is compressed. 1,024. A message below is sent as it is.
    pub compress_from: usize,
    /// The compressions that responses may come in. By default all that the enabled features ship.
    pub accept: Compressions,
    /// The longest path and query, in bytes, with which a unary call of a side-effect-free procedure is sent by GET;
    /// what does not fit goes by POST. `None`, the default, always uses POST.
    pub get_max_url: Option<usize>,
    /// The limits of each call.
    pub limits: Limits,
    /// The value of `user-agent`. By default this crate's name and version.
    pub user_agent: HeaderValue,
}

impl CallConfig {
    /// The defaults, for the server at `scheme`://`authority`, with messages in `codec`, such as `proto` or `json`.
    ///
    /// # Errors
    /// [`ApiMisuse::InvalidCodec`] if the codec's name cannot be part of a content type.
    pub fn new(scheme: Scheme, authority: Authority, codec: &str) -> Result<Self, ApiMisuse> {
        Ok(CallConfig {
            scheme,
            authority,
            codec: codec.to_owned(),
            unary_type: media_type::write(false, codec)?,
            stream_type: media_type::write(true, codec)?,
            compression: None,
            compress_from: 1024,
            accept: Compressions::default(),
            get_max_url: None,
            limits: Limits::default(),
            user_agent: HeaderValue::from_static(concat!("connect-proto/", env!("CARGO_PKG_VERSION"))),
        })
    }

    /// The codec's name.
    #[must_use]
    pub fn codec(&self) -> &str {
        &self.codec
    }
}
