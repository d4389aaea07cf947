//! Envelopes.

use bytes::Bytes;

use super::{Reader, pieces};
use crate::wire::envelope::{Admit, Decoded, Decoder, Envelope, PREFIX_LEN, Prefix};

/// How prefixes are judged.
#[derive(Clone, Copy)]
struct Judge {
    /// A longer payload is refused.
    limit: u32,
    /// A payload with one of these flags is skipped.
    skip: u8,
}

/// What was found in some bytes.
#[derive(PartialEq, Eq, Debug)]
struct Found {
    envelopes: Vec<Envelope>,
    /// Bytes that were skipped before each of the envelopes, and after the last.
    skipped: Vec<usize>,
    refused: Option<Prefix>,
    partial: usize,
    between: bool,
}

/// Bytes that are cut into envelopes: the same ones, however they come in.
///
/// # Panics
/// If a rule is broken.
pub fn envelope(data: &[u8]) {
    let mut reader = Reader::new(data);
    let judge = Judge { limit: reader.u16().into(), skip: reader.u8() };
    let lengths = reader.take(2);
    let wire = reader.rest();
    let whole = decode(wire, &[], judge);
    assert_eq!(decode(wire, lengths, judge), whole, "cutting changes something");

    // What was found is what was there.
    if whole.refused.is_none() && whole.skipped.iter().all(|skipped| *skipped == 0) && judge.skip == 0 {
        let mut again = Vec::new();
        for envelope in &whole.envelopes {
            let len = u32::try_from(envelope.payload.len()).unwrap_or(u32::MAX);
            again.extend_from_slice(&Prefix { flags: envelope.flags, len }.write());
            again.extend_from_slice(&envelope.payload);
        }
        assert!(wire.starts_with(&again));
        assert_eq!(wire.len() - again.len(), whole.partial);
    }
}

fn decode(wire: &[u8], lengths: &[u8], judge: Judge) -> Found {
    let mut decoder = Decoder::new();
    let mut found =
        Found { envelopes: Vec::new(), skipped: vec![0], refused: None, partial: 0, between: false };
    for piece in pieces(wire, lengths) {
        let mut data = Bytes::copy_from_slice(piece);
        loop {
            let decoded = decoder.decode(&mut data, |prefix| match prefix {
                prefix if prefix.len > judge.limit => Err(prefix),
                prefix if prefix.flags.0 & judge.skip != 0 => Ok(Admit::Skip),
                _ => Ok(Admit::Keep),
            });
            match decoded {
                Ok(Some(Decoded::Envelope(envelope))) => {
                    assert!(envelope.payload.len() <= judge.limit as usize);
                    found.envelopes.push(envelope);
                    found.skipped.push(0);
                }
                Ok(Some(Decoded::Skipped(len))) => *found.skipped.last_mut().unwrap_or(&mut 0) += len,
                Ok(None) => break,
                Err(prefix) => {
                    found.refused = Some(prefix);
                    return found;
                }
            }
        }
        assert!(data.is_empty(), "everything is taken");
        assert!(decoder.partial_len() <= PREFIX_LEN + wire.len(), "memory grows with what has arrived");
    }
    found.partial = decoder.partial_len();
    found.between = decoder.is_between_envelopes();
    found
}
