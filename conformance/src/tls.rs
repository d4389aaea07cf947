//! What a side speaks TLS with. All of it is PEM.

use crate::convert::Unsupported;
use crate::proto::{ServerCompatRequest, TlsCreds};

/// What a client speaks TLS with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientMaterial {
    /// The server's certificate, to be trusted.
    pub server_cert: Vec<u8>,
    /// The client's own certificate, if the server wants one.
    pub client_creds: Option<TlsCreds>,
}

/// What a server speaks TLS with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerMaterial {
    /// The server's own certificate.
    pub server_creds: TlsCreds,
    /// The certificate that clients have to show, if they have to show one.
    pub client_cert: Option<Vec<u8>>,
}

impl ServerMaterial {
    /// What the suite asks for, with a new certificate for the loopback interface; `None` is plaintext.
    pub fn new(request: &ServerCompatRequest) -> Result<Option<ServerMaterial>, Unsupported> {
        if !request.use_tls {
            return Ok(None);
        }
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()])?;
        let client_cert = &request.client_tls_cert;
        Ok(Some(ServerMaterial {
            server_creds: TlsCreds {
                cert: made.cert.pem().into(),
                key: made.signing_key.serialize_pem().into(),
            },
            client_cert: (!client_cert.is_empty()).then(|| client_cert.clone()),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn material(use_tls: bool, client_tls_cert: &[u8]) -> Option<ServerMaterial> {
        let client_tls_cert = client_tls_cert.to_vec();
        let request = ServerCompatRequest { use_tls, client_tls_cert, ..Default::default() };
        ServerMaterial::new(&request).unwrap()
    }

    #[test]
    fn a_certificate_is_made_for_tls_alone() {
        assert_eq!(material(false, b""), None);
        let (first, second) = (material(true, b"").unwrap(), material(true, b"").unwrap());
        assert!(first.server_creds.cert.starts_with(b"-----BEGIN CERTIFICATE-----"));
        assert_ne!(first.server_creds, second.server_creds, "each server has its own");
    }

    #[test]
    fn no_certificate_of_clients_is_none_to_ask_for() {
        assert_eq!(material(true, b"").unwrap().client_cert, None);
        assert_eq!(material(true, b"PEM").unwrap().client_cert, Some(b"PEM".to_vec()));
    }
}
