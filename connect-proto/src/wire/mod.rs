//! L0: plain, pure functions between the values of the Connect protocol and their bytes.
//!
//! None of them panics on anything that a peer can send. Sizes are bounded by the caller, who knows the limits of
//! the call. Only the [envelope decoder](envelope::Decoder) keeps state.

pub(crate) mod base64;
pub mod end_stream;
pub mod envelope;
pub mod error_json;
pub mod get_query;
mod json;
pub mod media_type;
pub(crate) mod names;
pub mod timeout;
