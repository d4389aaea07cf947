//! A message that has arrived.

use std::sync::Arc;

use bytes::Bytes;

use crate::compress::{Compression, DecompressError};
use crate::error::PeerMisbehaved;

/// A message as it arrived: complete, and not decompressed yet.
///
/// Decompress it with [`decode`](Inbound::decode) after it was taken out of the call, so that the work is done
/// outside of any lock around the connection.
#[derive(Clone, Debug)]
#[must_use]
pub struct Inbound {
    payload: Bytes,
    /// Set apart, since most messages have none and are moved about.
    compressed: Option<Box<Compressed>>,
}

#[derive(Clone, Debug)]
struct Compressed {
    by: Arc<dyn Compression>,
    /// Bytes of the message that it may decompress to.
    limit: Option<usize>,
}

impl Inbound {
    /// `compression` is `None` for a message that is not compressed.
    #[inline]
    pub(crate) fn new(
        payload: Bytes,
        compression: Option<Arc<dyn Compression>>,
        limit: Option<usize>,
    ) -> Self {
        Inbound { payload, compressed: compression.map(|by| Box::new(Compressed { by, limit })) }
    }

    /// Bytes of the message as it travelled, without its prefix.
    #[must_use]
    #[inline]
    pub fn wire_len(&self) -> usize {
        self.payload.len()
    }

    /// The name of its compression; `None` if it is not compressed.
    #[must_use]
    pub fn compression(&self) -> Option<&str> {
        self.compressed.as_deref().map(|compressed| compressed.by.name())
    }

    /// The message, decompressed to at most the limit of its call.
    ///
    /// # Errors
    /// [`PeerMisbehaved::DecompressedTooLarge`] or [`PeerMisbehaved::CorruptCompression`]: hand it to the call's
    /// `reject`, which ends the RPC with the error's code.
    #[inline]
    pub fn decode(self) -> Result<Bytes, PeerMisbehaved> {
        match self.compressed {
            None => Ok(self.payload),
            Some(compressed) => decompress(&*compressed.by, &self.payload, compressed.limit),
        }
    }
}

/// Decompresses to at most `limit` bytes. Of no input comes no output, whatever the compression: connect-go sends
/// an empty message as an empty body even where it names a compression.
pub(crate) fn decompress(
    compression: &dyn Compression,
    input: &Bytes,
    limit: Option<usize>,
) -> Result<Bytes, PeerMisbehaved> {
    if input.is_empty() {
        return Ok(Bytes::new());
    }
    let limit = limit.unwrap_or(usize::MAX);
    compression.decompress(input, limit).map_err(|error| match error {
        DecompressError::TooLarge => PeerMisbehaved::DecompressedTooLarge { limit: limit as u64 },
        DecompressError::Corrupt => PeerMisbehaved::CorruptCompression,
    })
}
