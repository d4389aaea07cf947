//! HTTP/1.1 bytes to HTTP events and back.
