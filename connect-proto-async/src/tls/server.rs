//! TLS of a server.

use std::io;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::pki_types::CertificateDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, rustls};

use super::{Identity, TlsError, agreed, fill_in, provider};
use crate::{BoxStream, Protocol};

/// How a server speaks TLS: a handle, cheap to clone, by which that can be changed while the server is at work.
#[derive(Clone, Debug)]
pub struct ServerTls(Arc<RwLock<Arc<ServerConfig>>>);

/// A connection after its handshake.
pub(crate) struct Secured {
    pub(crate) stream: BoxStream,
    pub(crate) protocol: Option<Protocol>,
    /// Those of the client.
    pub(crate) certificates: Vec<CertificateDer<'static>>,
}

impl ServerTls {
    /// By a configuration of rustls. Without `alpn_protocols` in it, HTTP/2 and HTTP/1.1 are taken; a client without ALPN
    /// speaks what it likes, and its first bytes tell.
    #[must_use]
    pub fn new(config: impl Into<Arc<ServerConfig>>) -> Self {
        ServerTls(Arc::new(RwLock::new(with_alpn(config.into()))))
    }

    /// Has all handshakes from now on follow another configuration, such as one with a new certificate. Connections that
    /// are there stay as they are.
    pub fn replace(&self, config: impl Into<Arc<ServerConfig>>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = with_alpn(config.into());
    }

    /// The handshake.
    pub(crate) async fn accept(&self, stream: BoxStream) -> io::Result<Secured> {
        let config = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        let stream = TlsAcceptor::from(config).accept(stream).await?;
        let session = stream.get_ref().1;
        let protocol = agreed(session.alpn_protocol());
        let certificates = session.peer_certificates().map(<[_]>::to_vec).unwrap_or_default();
        Ok(Secured { stream: Box::new(stream), protocol, certificates })
    }
}

fn with_alpn(mut config: Arc<ServerConfig>) -> Arc<ServerConfig> {
    fill_in(&mut Arc::make_mut(&mut config).alpn_protocols);
    config
}

/// Whether clients have to say who they are. Handlers see what they have shown in
/// [`Peer::certificates`](crate::Peer::certificates).
#[derive(Clone, Debug)]
pub enum ClientCertificates {
    /// They are not asked.
    NotAsked,
    /// They are asked, and may have none. One that these roots do not vouch for is refused.
    Optional(RootCertStore),
    /// Without a certificate that these roots vouch for they are refused.
    Required(RootCertStore),
}

/// The configuration of a server that shows an `identity`.
///
/// # Errors
/// What is wrong with the identity or the roots; [`TlsError::NoProvider`].
pub fn server_config(identity: Identity, clients: ClientCertificates) -> Result<ServerConfig, TlsError> {
    let provider = provider()?;
    let config =
        ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
    let verifier = |roots| WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let config = match clients {
        ClientCertificates::NotAsked => config.with_no_client_auth(),
        ClientCertificates::Optional(roots) => {
            config.with_client_cert_verifier(verifier(roots).allow_unauthenticated().build()?)
        }
        ClientCertificates::Required(roots) => config.with_client_cert_verifier(verifier(roots).build()?),
    };
    Ok(config.with_single_cert(identity.chain, identity.key)?)
}
