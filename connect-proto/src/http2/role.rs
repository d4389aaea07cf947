//! What tells the roles apart.

use http::{HeaderMap, HeaderValue, Method, StatusCode, request, response};

use super::head::{Fields, LastTarget, ReceivedHead, Section, write_request, write_response};
use super::hpack::Block;
use crate::call::BodySize;
use crate::error::PeerMisbehaved;

/// One of the two roles: [`ClientRole`] or [`ServerRole`].
pub trait Role: Side {}

/// The role of a client: it opens streams.
#[derive(Clone, Copy, Debug)]
pub enum ClientRole {}

/// The role of a server.
#[derive(Clone, Copy, Debug)]
pub enum ServerRole {}

impl Role for ClientRole {}
impl Role for ServerRole {}

/// For this module's eyes only.
#[expect(private_interfaces, reason = "sealed: nobody else can name or implement it")]
pub trait Side: Sized {
    /// The parts of the heads that are received.
    type In: std::fmt::Debug;
    /// The parts of the heads that are sent.
    type Out: std::fmt::Debug;

    const IS_SERVER: bool;
    /// What the head of a received message is.
    const SECTION: Section;

    fn read_head(fields: Fields, last: &mut LastTarget) -> Result<ReceivedHead<Self::In>, PeerMisbehaved>;
    /// `date` is for a head that has none.
    fn write_head(block: &mut Block<'_>, parts: &Self::Out, body: BodySize, date: Option<&HeaderValue>);
    /// The fields of a head that was sent.
    fn into_fields(parts: Self::Out) -> HeaderMap;
    /// Whether what is received under this head has no body, whatever its content-length says.
    fn is_bodiless(parts: &Self::In) -> bool;
    /// Whether what is answered to the head has no body.
    fn is_head_request(parts: &Self::Out) -> bool;
    /// Whether such a head is never sent.
    fn is_forbidden(parts: &Self::Out) -> bool;
}

#[expect(private_interfaces, reason = "sealed")]
impl Side for ClientRole {
    type In = response::Parts;
    type Out = request::Parts;

    const IS_SERVER: bool = false;
    const SECTION: Section = Section::Response;

    fn read_head(
        fields: Fields,
        _: &mut LastTarget,
    ) -> Result<ReceivedHead<response::Parts>, PeerMisbehaved> {
        fields.into_response()
    }

    fn write_head(block: &mut Block<'_>, parts: &request::Parts, body: BodySize, _: Option<&HeaderValue>) {
        write_request(block, parts, body);
    }

    fn into_fields(parts: request::Parts) -> HeaderMap {
        parts.headers
    }

    fn is_bodiless(parts: &response::Parts) -> bool {
        parts.status == StatusCode::NO_CONTENT || parts.status == StatusCode::NOT_MODIFIED
    }

    fn is_head_request(parts: &request::Parts) -> bool {
        parts.method == Method::HEAD
    }

    fn is_forbidden(parts: &request::Parts) -> bool {
        parts.method == Method::CONNECT
    }
}

#[expect(private_interfaces, reason = "sealed")]
impl Side for ServerRole {
    type In = request::Parts;
    type Out = response::Parts;

    const IS_SERVER: bool = true;
    const SECTION: Section = Section::Request;

    fn read_head(
        fields: Fields,
        last: &mut LastTarget,
    ) -> Result<ReceivedHead<request::Parts>, PeerMisbehaved> {
        fields.into_request(last)
    }

    fn write_head(
        block: &mut Block<'_>,
        parts: &response::Parts,
        body: BodySize,
        date: Option<&HeaderValue>,
    ) {
        write_response(block, parts, body, date);
    }

    fn into_fields(parts: response::Parts) -> HeaderMap {
        parts.headers
    }

    fn is_bodiless(_: &request::Parts) -> bool {
        false
    }

    fn is_head_request(_: &response::Parts) -> bool {
        false
    }

    fn is_forbidden(parts: &response::Parts) -> bool {
        parts.status.is_informational()
    }
}
