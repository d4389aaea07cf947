//! TLS, by [`rustls`] (feature `tls`).
//!
//! A channel is given a [`ClientTls`], a server a [`ServerTls`]. Both are made of a configuration of rustls: one that the
//! user has made, or one by [`client_config`] and [`server_config`], which trust and show what they are given and nothing
//! else. A channel that is to trust what the system or a browser does can take its roots from the crates
//! `rustls-native-certs` or `webpki-roots`.
//!
//! The cryptography is that of the process's default
//! [provider](rustls::crypto::CryptoProvider::install_default). If there is none, the features `tls-ring` and `tls-aws-lc`
//! bring one.
//!
//! HTTP/2 and HTTP/1.1 are negotiated by ALPN, HTTP/2 first, unless the configuration has `alpn_protocols` of its own.

mod client;
mod server;

use std::io;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
pub use tokio_rustls::rustls;

pub use client::{ClientTls, client_config};
pub(crate) use server::Secured;
pub use server::{ClientCertificates, ServerTls, server_config};

use crate::Protocol;

/// Why there is no configuration of TLS.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The process has no default crypto provider, and no feature brings one.
    #[error("no crypto provider: install one, or use the feature tls-ring or tls-aws-lc")]
    NoProvider,
    /// It is not PEM, or has not in it what was looked for.
    #[error("invalid PEM: {0}")]
    Pem(#[from] rustls::pki_types::pem::Error),
    /// A certificate or a key that does not do.
    #[error(transparent)]
    Invalid(#[from] rustls::Error),
    /// The roots that clients' certificates are to be verified by do not do.
    #[error(transparent)]
    Verifier(#[from] rustls::server::VerifierBuilderError),
}

/// What a side authenticates itself with: a certificate chain, its end-entity certificate first, and that certificate's
/// private key.
#[derive(Debug)]
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// A certificate chain, end-entity certificate first, with the private key of that certificate.
    #[must_use]
    pub fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Self {
        Identity { chain, key }
    }

    /// All certificates of one text in PEM, and the first private key of another, which may be the same one.
    ///
    /// # Errors
    /// [`TlsError::Pem`].
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let chain = certificates(chain)?;
        Ok(Identity { chain, key: PrivateKeyDer::from_pem_slice(key)? })
    }
}

/// Trusts all certificates of a text in PEM.
///
/// # Errors
/// [`TlsError::Pem`], or [`TlsError::Invalid`] if one cannot be trusted.
pub fn roots_from_pem(pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem)? {
        roots.add(certificate)?;
    }
    Ok(roots)
}

/// At least one.
fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>()?;
    if certificates.is_empty() {
        return Err(rustls::pki_types::pem::Error::NoItemsFound.into());
    }
    Ok(certificates)
}

fn provider() -> Result<Arc<CryptoProvider>, TlsError> {
    CryptoProvider::get_default().cloned().or_else(shipped).ok_or(TlsError::NoProvider)
}

/// The provider that a feature brings.
fn shipped() -> Option<Arc<CryptoProvider>> {
    #[cfg(feature = "tls-aws-lc")]
    return Some(Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    #[cfg(all(feature = "tls-ring", not(feature = "tls-aws-lc")))]
    return Some(Arc::new(rustls::crypto::ring::default_provider()));
    #[cfg(not(any(feature = "tls-ring", feature = "tls-aws-lc")))]
    None
}

/// The alert by which the peer has ended a session.
pub(crate) fn alert(error: &io::Error) -> Option<u8> {
    match error.get_ref()?.downcast_ref()? {
        rustls::Error::AlertReceived(alert) => Some((*alert).into()),
        _ => None,
    }
}

const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// Both versions of HTTP, unless the configuration says otherwise.
fn fill_in(alpn_protocols: &mut Vec<Vec<u8>>) {
    if alpn_protocols.is_empty() {
        *alpn_protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
    }
}

/// What a handshake has agreed on; `None` if a side has no ALPN.
fn agreed(alpn: Option<&[u8]>) -> Option<Protocol> {
    match alpn {
        Some(HTTP2) => Some(Protocol::Http2),
        Some(HTTP1) => Some(Protocol::Http1),
        _ => None,
    }
}
