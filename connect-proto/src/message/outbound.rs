//! A message to send.

use std::sync::Arc;

use bytes::Bytes;
use http::uri::PathAndQuery;

use crate::compress::Compression;
use crate::wire::get_query;

/// How a call encodes its messages: the compression, if any, and whether a GET is possible.
///
/// It is a handle of its own, cheap to clone, so that messages can be encoded outside of any lock around the
/// connection.
#[derive(Clone, Debug)]
pub struct Encoding {
    pub(crate) compression: Option<Arc<dyn Compression>>,
    pub(crate) threshold: usize,
    pub(crate) streaming: bool,
    pub(crate) get: Option<Arc<GetTarget>>,
}

/// What is needed to write a message into a URL.
#[derive(Debug)]
pub(crate) struct GetTarget {
    pub(crate) path: PathAndQuery,
    pub(crate) codec: String,
    pub(crate) max_len: usize,
}

/// A message encoded for one call: compressed where that was negotiated, and as a query where the call can be a GET.
#[derive(Clone, Debug)]
#[must_use]
pub struct Outbound {
    pub(crate) form: Form,
    len: usize,
}

#[derive(Clone, Debug)]
pub(crate) enum Form {
    /// A payload for a body, compressed or not.
    Body { compressed: bool, payload: Bytes },
    /// The message is in the target of a GET.
    Query(PathAndQuery),
}

impl Outbound {
    /// Encodes a serialized message.
    ///
    /// A message below the call's threshold is not compressed, and an empty one of a stream never is. Where a GET is
    /// possible, the choice is made here: the plain message in the URL if that stays within the limit, else the
    /// compressed one, else a POST.
    pub fn encode(encoding: &Encoding, message: Bytes) -> Self {
        let len = message.len();
        let form = encoding.get.as_ref().and_then(|target| encoding.query(target, &message));
        let form = form.map_or_else(|| encoding.body(message), Form::Query);
        Outbound { form, len }
    }

    /// Bytes of the message before compression.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the message is empty, which is a message like any other.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl Encoding {
    fn compression_for(&self, len: usize) -> Option<&dyn Compression> {
        let wanted = len >= self.threshold && !(self.streaming && len == 0);
        self.compression.as_deref().filter(|_| wanted)
    }

    fn body(&self, message: Bytes) -> Form {
        match self.compression_for(message.len()).and_then(|compression| compression.compress(&message)) {
            Some(payload) => Form::Body { compressed: true, payload },
            None => Form::Body { compressed: false, payload: message },
        }
    }

    fn query(&self, target: &GetTarget, message: &Bytes) -> Option<PathAndQuery> {
        // JSON reads well in a URL and needs no base64; anything else is taken to be binary.
        let write = |compression: Option<&str>, message: &[u8]| {
            let base64 = compression.is_some() || target.codec != "json";
            let (path, codec) = (target.path.path(), target.codec.as_str());
            if get_query::encoded_len(path, codec, compression, base64, message) > target.max_len {
                return None;
            }
            let url = get_query::write(path, codec, compression, base64, message);
            PathAndQuery::from_maybe_shared(Bytes::from(url)).ok()
        };
        write(None, message).or_else(|| {
            let compression = self.compression_for(message.len())?;
            write(Some(compression.name()), &compression.compress(message)?)
        })
    }
}
