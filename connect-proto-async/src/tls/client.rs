//! TLS of a client.

use std::io;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::{TlsConnector, rustls};

use super::{HTTP2, Identity, TlsError, agreed, fill_in, provider};
use crate::{BoxStream, Protocol};

/// How a channel speaks TLS. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ClientTls(Arc<ClientConfig>);

impl ClientTls {
    /// By a configuration of rustls. Without `alpn_protocols` in it, HTTP/2 and HTTP/1.1 are offered.
    #[must_use]
    pub fn new(config: impl Into<Arc<ClientConfig>>) -> Self {
        let mut config = config.into();
        fill_in(&mut Arc::make_mut(&mut config).alpn_protocols);
        ClientTls(config)
    }

    /// Whether HTTP/2 may come of it.
    pub(crate) fn offers_http2(&self) -> bool {
        self.0.alpn_protocols.iter().any(|protocol| protocol == HTTP2)
    }

    /// The handshake, and what it has agreed to speak.
    pub(crate) async fn connect(
        &self,
        name: ServerName<'static>,
        stream: BoxStream,
    ) -> io::Result<(BoxStream, Option<Protocol>)> {
        let stream = TlsConnector::from(self.0.clone()).connect(name, stream).await?;
        let protocol = agreed(stream.get_ref().1.alpn_protocol());
        Ok((Box::new(stream), protocol))
    }
}

/// The configuration of a client that trusts `roots` and has an `identity` to show, if it is asked for one.
///
/// # Errors
/// What is wrong with the identity; [`TlsError::NoProvider`].
pub fn client_config(roots: RootCertStore, identity: Option<Identity>) -> Result<ClientConfig, TlsError> {
    let config = ClientConfig::builder_with_provider(provider()?)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    Ok(match identity {
        Some(Identity { chain, key }) => config.with_client_auth_cert(chain, key)?,
        None => config.with_no_client_auth(),
    })
}
