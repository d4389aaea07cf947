//! Compression of messages: a trait, and what this crate ships behind features.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;

#[cfg(any(feature = "gzip", feature = "deflate", feature = "br", feature = "zstd", feature = "snappy"))]
mod bounded;
#[cfg(feature = "br")]
mod br;
#[cfg(feature = "deflate")]
mod deflate;
#[cfg(feature = "gzip")]
mod gzip;
#[cfg(feature = "snappy")]
mod snappy;
#[cfg(test)]
mod tests;
#[cfg(feature = "zstd")]
mod zstd;

#[cfg(feature = "br")]
pub use br::Brotli;
#[cfg(feature = "deflate")]
pub use deflate::Deflate;
#[cfg(feature = "gzip")]
pub use gzip::Gzip;
#[cfg(feature = "snappy")]
pub use snappy::Snappy;
#[cfg(feature = "zstd")]
pub use zstd::Zstd;

/// A compression that both peers know by one name.
///
/// Identity is not one of them: it is the absence of compression.
///
/// ```
/// use std::sync::Arc;
///
/// use bytes::Bytes;
/// use connect_proto::compress::{Compression, Compressions, DecompressError};
///
/// /// The length of each run of a byte, and the byte.
/// #[derive(Debug)]
/// struct RunLengths;
///
/// impl Compression for RunLengths {
///     fn name(&self) -> &str {
///         "x-run-lengths"
///     }
///
///     fn compress(&self, input: &[u8]) -> Option<Bytes> {
///         let runs = input.chunk_by(|a, b| a == b).flat_map(|run| run.chunks(255));
///         Some(runs.flat_map(|run| [run.len() as u8, run[0]]).collect())
///     }
///
///     fn decompress(&self, input: &[u8], limit: usize) -> Result<Bytes, DecompressError> {
///         let (runs, []) = input.as_chunks::<2>() else { return Err(DecompressError::Corrupt) };
///         let mut out = Vec::new();
///         for &[length, byte] in runs {
///             let len = out.len() + usize::from(length);
///             if len > limit {
///                 return Err(DecompressError::TooLarge);
///             }
///             out.resize(len, byte);
///         }
///         Ok(out.into())
///     }
/// }
///
/// // For `CallConfig::accept` and `ServerConfig::compressions`, alone or with those of this crate.
/// let known = Compressions::new(vec![Arc::new(RunLengths)]);
/// let ours = known.negotiate("br, x-run-lengths").expect("it is known");
/// let small = ours.compress(b"aaaaaaab").expect("it always can");
/// assert_eq!(small, &b"\x07a\x01b"[..]);
/// assert_eq!(ours.decompress(&small, 8).as_deref(), Ok(&b"aaaaaaab"[..]));
/// assert_eq!(ours.decompress(&small, 7), Err(DecompressError::TooLarge));
/// ```
pub trait Compression: fmt::Debug + Send + Sync {
    /// The name on the wire, in lower case, such as `gzip`.
    fn name(&self) -> &str;

    /// Compresses `input` as one complete unit; `None` if that fails, and the message is sent as it is.
    fn compress(&self, input: &[u8]) -> Option<Bytes>;

    /// Decompresses `input`, which is one complete unit, to at most `limit` bytes.
    ///
    /// # Errors
    /// [`DecompressError::TooLarge`] as soon as the output would pass `limit`, after at most `limit` bytes of
    /// memory; [`DecompressError::Corrupt`] for input that is broken, cut off or followed by other bytes.
    fn decompress(&self, input: &[u8], limit: usize) -> Result<Bytes, DecompressError>;
}

/// Why compressed data was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DecompressError {
    /// The output is larger than the limit.
    #[error("decompressed data too large")]
    TooLarge,
    /// The input is not what the compression produces.
    #[error("corrupt compressed data")]
    Corrupt,
}

/// The compressions that a client accepts or a server knows, in order of preference.
#[derive(Clone, Debug)]
pub struct Compressions {
    known: Arc<[Arc<dyn Compression>]>,
    accept: Option<HeaderValue>,
}

impl Compressions {
    /// A set of compressions, the preferred one first. Names must be tokens; others never match.
    #[must_use]
    pub fn new(known: Vec<Arc<dyn Compression>>) -> Self {
        let names: Vec<&str> = known.iter().map(|c| c.name()).collect();
        let accept = Some(names.join(",")).filter(|names| !names.is_empty());
        let accept = accept.and_then(|names| HeaderValue::try_from(names).ok());
        Compressions { known: known.into(), accept }
    }

    /// No compression at all.
    #[must_use]
    pub fn none() -> Self {
        Compressions::new(Vec::new())
    }

    /// The compression of this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Arc<dyn Compression>> {
        self.known.iter().find(|c| c.name() == name)
    }

    /// The first of the comma-separated `accepted` names that is known here, in the order of the peer.
    #[must_use]
    pub fn negotiate(&self, accepted: &str) -> Option<&Arc<dyn Compression>> {
        accepted.split(',').find_map(|name| self.find(name.trim()))
    }

    /// The names as an accept-encoding value; `None` if there are none.
    #[must_use]
    pub fn accept_value(&self) -> Option<&HeaderValue> {
        self.accept.as_ref()
    }
}

impl Default for Compressions {
    /// All that the enabled features ship.
    fn default() -> Self {
        Compressions::new(vec![
            #[cfg(feature = "gzip")]
            Arc::new(Gzip::default()),
            #[cfg(feature = "zstd")]
            Arc::new(Zstd::default()),
            #[cfg(feature = "br")]
            Arc::new(Brotli::default()),
            #[cfg(feature = "deflate")]
            Arc::new(Deflate::default()),
            #[cfg(feature = "snappy")]
            Arc::new(Snappy),
        ])
    }
}
