//! What is text on the wire.

use http::{HeaderValue, StatusCode};

use super::Reader;
use crate::client::Procedure;
use crate::error::RpcError;
use crate::metadata::{self, Metadata};
use crate::wire::{end_stream, error_json, get_query, media_type, timeout};

/// The JSON of an end-of-stream and of an error: what was read is read again from what is written of it.
///
/// # Panics
/// If a rule is broken.
pub fn json(data: &[u8]) {
    let mut reader = Reader::new(data);
    let status = StatusCode::from_u16(100 + reader.u16() % 900).unwrap_or_default();
    let body = reader.rest();
    error(body, status);
    end(body);
}

fn error(body: &[u8], status: StatusCode) {
    let error = error_json::read(body, status);
    assert!(error.metadata().is_empty());
    let written = error_json::write(&error);
    assert_eq!(error_json::read(&written, StatusCode::OK), error);
}

fn end(body: &[u8]) {
    let Ok(end) = end_stream::read(body) else { return };
    assert_eq!(end.error.as_ref().map(RpcError::metadata), end.error.as_ref().map(|_| &end.metadata));
    let trailers = if end.error.is_some() { &Metadata::new() } else { &end.metadata };
    let written = end_stream::write(end.error.as_ref(), trailers);
    let Ok(again) = end_stream::read(&written) else { panic!("it cannot read what it writes") };
    // The names of the protocol are not written.
    let mut expected = end.metadata.clone();
    for name in end.metadata.keys().filter(|name| metadata::is_reserved(name)) {
        expected.remove(name);
    }
    assert_eq!(again.metadata, expected);
    assert_eq!(
        again.error.map(|error| error_json::write(&error)),
        end.error.map(|error| error_json::write(&error))
    );
}

/// The query of a GET and the values of header fields.
///
/// # Panics
/// If a rule is broken.
pub fn text(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        query(text);
        if let Ok(procedure) = Procedure::new(text) {
            assert_eq!(procedure.as_str(), text);
        }
    }
    let Ok(value) = HeaderValue::from_bytes(data) else { return };
    if let Ok(duration) = timeout::read_connect(&value) {
        assert_eq!(timeout::read_connect(&timeout::write_connect(duration)), Ok(duration));
    }
    if let Some(found) = media_type::read(&value)
        && let Ok(written) = media_type::write(found.streaming, &found.codec)
    {
        assert_eq!(media_type::read(&written).as_ref(), Some(&found));
        assert_eq!(media_type::expect(Some(&written), found.streaming, &found.codec), Ok(()));
    }
    if let Ok(values) = metadata::read_binary(&value) {
        for bytes in values {
            let written = metadata::binary_value(&bytes);
            assert_eq!(metadata::read_binary(&written), Ok(vec![bytes]));
        }
    }
}

fn query(text: &str) {
    let Ok(query) = get_query::read(text) else { return };
    for base64 in [false, true] {
        let url =
            get_query::write("/s/m", &query.codec, query.compression.as_deref(), base64, &query.message);
        let Some((_, written)) = url.split_once('?') else { panic!("no query in {url}") };
        assert_eq!(get_query::read(written).as_ref(), Ok(&query));
    }
}
