//! The bodies of the fuzz targets, one for each layer.
//!
//! Each takes any bytes and panics if a rule is broken. They stand here, and not in `fuzz/`, so that they always
//! compile; a test runs them over the checked-in corpus and over pseudo-random input.

mod call;
mod envelope;
#[cfg(feature = "http2")]
mod hpack;
mod http1;
#[cfg(feature = "http2")]
mod http2;
mod pair;
mod text;

pub use call::{client_call, server_call};
pub use envelope::envelope;
#[cfg(feature = "http2")]
pub use hpack::hpack;
pub use http1::http1;
#[cfg(feature = "http2")]
pub use http2::http2;
pub use pair::{Op, Setup, World, check_cuts, check_isolation, pair};
pub use text::{json, text};

/// A fuzz target: its name and its body.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[
    ("envelope", envelope),
    ("json", json),
    ("text", text),
    ("http1", http1),
    #[cfg(feature = "http2")]
    ("hpack", hpack),
    #[cfg(feature = "http2")]
    ("http2", http2),
    ("client_call", client_call),
    ("server_call", server_call),
    ("pair", pair),
];

/// Reads numbers off the front of the fuzzer's bytes; zeros once they are used up.
#[derive(Clone, Copy, Debug)]
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Reader(bytes)
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn u8(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    fn u16(&mut self) -> u16 {
        u16::from_le_bytes([self.u8(), self.u8()])
    }

    /// Up to `n` bytes.
    fn take(&mut self, n: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(n.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn rest(self) -> &'a [u8] {
        self.0
    }
}

/// Cuts `bytes` into pieces of these lengths, again and again; 0 is taken for 1, and no length for whole.
fn pieces<'a>(bytes: &'a [u8], lengths: &[u8]) -> Vec<&'a [u8]> {
    let (mut rest, mut lengths) = (bytes, lengths.iter().cycle());
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        let len = lengths.next().map_or(rest.len(), |len| usize::from(*len).max(1)).min(rest.len());
        let (piece, after) = rest.split_at(len);
        pieces.push(piece);
        rest = after;
    }
    pieces
}

#[cfg(test)]
mod seeds;
#[cfg(test)]
mod tests;
