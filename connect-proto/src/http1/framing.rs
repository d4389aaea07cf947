//! Where a body ends (RFC 9112, section 6.3), and whether its connection goes on (section 9.3).

use http::{StatusCode, Version};

use super::host::is_valid_host;
use crate::call::BodySize;
use crate::error::PeerMisbehaved;
use crate::fields::{Special, read_length};

/// How the end of a received body is found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Framing {
    /// So many bytes; 0 if there is no body.
    Exact(u64),
    Chunked,
    /// Responses only.
    UntilClose,
}

impl Framing {
    /// What an application is told of it.
    pub(super) fn body_size(self) -> BodySize {
        match self {
            Framing::Exact(0) => BodySize::Empty,
            Framing::Exact(len) => BodySize::Exact(len),
            Framing::Chunked | Framing::UntilClose => BodySize::Unknown,
        }
    }
}

/// What the fields of a head say about framing and about the connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Facts {
    content_length: Option<u64>,
    chunked: bool,
    hosts: usize,
    /// `connection: close` was said.
    pub(super) close: bool,
    /// `expect: 100-continue` was said.
    pub(super) expects_continue: bool,
    other_expectation: bool,
}

impl Facts {
    /// Takes in one field by what its name means.
    ///
    /// A second content-length or transfer-encoding is a fault even if it repeats the first, and so is a list:
    /// RFC 9110, section 8.6 leaves that choice, and nobody honest needs it.
    pub(super) fn note(&mut self, name: Option<Special>, value: &[u8]) -> Result<(), PeerMisbehaved> {
        match name {
            Some(Special::ContentLength) => {
                let len = read_length(value).ok_or(PeerMisbehaved::InvalidContentLength)?;
                if self.content_length.replace(len).is_some() {
                    return Err(PeerMisbehaved::InvalidContentLength);
                }
            }
            Some(Special::TransferEncoding) => {
                if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(PeerMisbehaved::UnsupportedTransferEncoding);
                }
                self.chunked = true;
            }
            Some(Special::Connection) => self.close |= has_token(value, b"close"),
            Some(Special::Host) => {
                self.hosts += 1;
                if self.hosts > 1 || !is_valid_host(value) {
                    return Err(PeerMisbehaved::InvalidHost);
                }
            }
            Some(Special::Expect) => {
                let known = value.eq_ignore_ascii_case(b"100-continue");
                self.expects_continue |= known;
                self.other_expectation |= !known;
            }
            _ => {}
        }
        Ok(())
    }

    fn check_coding(&self, version: Version) -> Result<(), PeerMisbehaved> {
        if self.chunked && version == Version::HTTP_10 {
            return Err(PeerMisbehaved::TransferEncodingInHttp10);
        }
        if self.chunked && self.content_length.is_some() {
            return Err(PeerMisbehaved::ConflictingFraming);
        }
        Ok(())
    }

    /// The framing of a request's body.
    pub(super) fn request_framing(&mut self, version: Version) -> Result<Framing, PeerMisbehaved> {
        self.check_coding(version)?;
        if self.hosts == 0 && version != Version::HTTP_10 {
            return Err(PeerMisbehaved::InvalidHost);
        }
        if version == Version::HTTP_10 {
            // RFC 9110, section 10.1.1: expectations of HTTP/1.0 are ignored.
            (self.expects_continue, self.other_expectation) = (false, false);
        }
        if self.other_expectation {
            return Err(PeerMisbehaved::UnsupportedExpectation);
        }
        if self.chunked {
            return Ok(Framing::Chunked);
        }
        Ok(Framing::Exact(self.content_length.unwrap_or(0)))
    }

    /// The framing of a final response's body. `to_head`: the request was a HEAD.
    pub(super) fn response_framing(
        &self,
        version: Version,
        status: StatusCode,
        to_head: bool,
    ) -> Result<Framing, PeerMisbehaved> {
        self.check_coding(version)?;
        if to_head || has_no_body(status) {
            return Ok(Framing::Exact(0));
        }
        if self.chunked {
            return Ok(Framing::Chunked);
        }
        Ok(self.content_length.map_or(Framing::UntilClose, Framing::Exact))
    }
}

/// Whether a response of this status never has a body (RFC 9112, section 6.3, rule 1).
pub(super) fn has_no_body(status: StatusCode) -> bool {
    status.is_informational() || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED
}

/// Whether `token` is an element of a comma-separated list, in any case.
pub(super) fn has_token(list: &[u8], token: &[u8]) -> bool {
    list.split(|byte| *byte == b',').any(|element| element.trim_ascii().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens() {
        assert!(has_token(b"keep-alive, Close", b"close"));
        assert!(has_token(b"close", b"close"));
        assert!(!has_token(b"closed, not-close", b"close"));
        assert!(!has_token(b"", b"close"));
    }
}
