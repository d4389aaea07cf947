//! L0: plain functions between bytes and values of the Connect protocol. No state but the envelope decoder's.

pub(crate) mod base64;
pub mod end_stream;
pub mod envelope;
pub mod error_json;
pub mod get_query;
mod json;
pub mod media_type;
pub(crate) mod names;
pub mod timeout;
