//! The suite's messages, generated from its protos by the build script.

#![allow(missing_docs, reason = "generated; the protos carry the documentation")]

include!(concat!(env!("OUT_DIR"), "/connectrpc.conformance.v1.rs"));
