//! The suite's TLS material as configurations of the async half.

use connect_proto_async::tls::{
    ClientCertificates, ClientTls, Identity, ServerTls, TlsError, client_config, roots_from_pem,
    server_config,
};

use crate::proto::{HttpVersion, TlsCreds};
use crate::tls::{ClientMaterial, ServerMaterial};

/// Offers the one HTTP version alone.
pub(super) fn client(material: &ClientMaterial, version: HttpVersion) -> Result<ClientTls, TlsError> {
    let identity = material.client_creds.as_ref().map(identity).transpose()?;
    let mut config = client_config(roots_from_pem(&material.server_cert)?, identity)?;
    config.alpn_protocols = match version {
        HttpVersion::HttpVersion2 => vec![b"h2".to_vec()],
        _ => vec![b"http/1.1".to_vec()],
    };
    Ok(ClientTls::new(config))
}

pub(super) fn server(material: &ServerMaterial) -> Result<ServerTls, TlsError> {
    let clients = match &material.client_cert {
        Some(certificate) => ClientCertificates::Required(roots_from_pem(certificate)?),
        None => ClientCertificates::NotAsked,
    };
    Ok(ServerTls::new(server_config(identity(&material.server_creds)?, clients)?))
}

fn identity(creds: &TlsCreds) -> Result<Identity, TlsError> {
    Identity::from_pem(&creds.cert, &creds.key)
}
