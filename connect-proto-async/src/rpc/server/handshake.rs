//! The TLS handshake of a connection that was accepted.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use super::service::Membership;
use crate::driver::alarm::within;
use crate::driver::runtime::BoxStream;
use crate::tls::{Secured, ServerTls};

/// Takes no longer than the server allows for it, and ends when the server stops: nothing has been asked of it yet.
/// `None` if it came to nothing.
pub(super) async fn handshake(
    membership: &Membership,
    tls: &ServerTls,
    stream: BoxStream,
) -> Option<Secured> {
    let config = &membership.service.config;
    let accept = within(membership.service.runtime(), config.tls_handshake_timeout, tls.accept(stream));
    let mut accept = pin!(accept);
    let done = poll_fn(|cx| {
        if membership.is_stopping(cx) {
            return Poll::Ready(None);
        }
        accept.as_mut().poll(cx)
    });
    match done.await {
        Some(Ok(secured)) => Some(secured),
        Some(Err(_)) | None => {
            membership.service.handshake_failed();
            None
        }
    }
}
