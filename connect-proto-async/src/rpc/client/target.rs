//! What a channel connects to.

use std::io;

use crate::driver::pool::Protocol;
use crate::driver::runtime::{Address, BoxFuture, BoxStream, Runtime};

/// What a channel connects to, and what it speaks there.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) address: Address,
    /// What is spoken where the connection itself does not decide it.
    pub(super) protocol: Protocol,
    #[cfg(feature = "tls")]
    pub(super) secure: Option<Secure>,
}

/// How TLS is spoken there.
#[cfg(feature = "tls")]
#[derive(Clone, Debug)]
pub(super) struct Secure {
    pub(super) tls: crate::tls::ClientTls,
    pub(super) name: crate::tls::rustls::pki_types::ServerName<'static>,
}

impl Target {
    /// What will probably be spoken.
    pub(super) fn expected(&self) -> Protocol {
        #[cfg(feature = "tls")]
        if self.secure.as_ref().is_some_and(|secure| secure.tls.offers_http2()) {
            return Protocol::Http2;
        }
        self.protocol
    }

    /// Connects, and says what is spoken.
    pub(super) fn connect(&self, runtime: &dyn Runtime) -> BoxFuture<io::Result<(BoxStream, Protocol)>> {
        let protocol = self.protocol;
        let connecting = runtime.connect(&self.address);
        #[cfg(feature = "tls")]
        if let Some(secure) = self.secure.clone() {
            let address = self.address.clone();
            return Box::pin(async move {
                let (stream, agreed) = secure.connect(&address, connecting).await?;
                Ok((stream, agreed.unwrap_or(protocol)))
            });
        }
        Box::pin(async move { Ok((connecting.await?, protocol)) })
    }
}

#[cfg(feature = "tls")]
impl Secure {
    async fn connect(
        self,
        address: &Address,
        connecting: BoxFuture<io::Result<BoxStream>>,
    ) -> io::Result<(BoxStream, Option<Protocol>)> {
        let stream = connecting.await?;
        self.tls.connect(self.name, stream).await.map_err(|error| {
            io::Error::new(error.kind(), format!("TLS handshake with {address} failed: {error}"))
        })
    }
}
