//! What is beneath the calls: a version of HTTP, in the clear or over TLS with certificates that are made for one run.

use std::fs;
use std::path::{Path, PathBuf};

use connect_proto_async::Protocol;
use connect_proto_async::tls::{
    ClientCertificates, ClientTls, Identity, client_config, roots_from_pem, rustls, server_config,
};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

use crate::Failure;

/// Where all servers are.
pub(crate) const HERE: &str = "127.0.0.1";

#[derive(Clone)]
pub(crate) struct Transport {
    pub(crate) protocol: Protocol,
    /// Those of TLS; `None` in the clear.
    pub(crate) certificates: Option<Certificates>,
}

impl Transport {
    pub(crate) fn new(name: &str, certificates: &str) -> Result<Transport, Failure> {
        let (protocol, is_secure) = match name {
            "h1" => (Protocol::Http1, false),
            "h1s" => (Protocol::Http1, true),
            "h2c" => (Protocol::Http2, false),
            "h2" => (Protocol::Http2, true),
            _ => return Err(format!("unknown transport {name}").into()),
        };
        Ok(Transport { protocol, certificates: is_secure.then(|| Certificates(certificates.into())) })
    }
}

/// Who vouches for servers and clients: the one that all trust unless a case is about just that, or another one.
#[derive(Clone, Copy)]
pub(crate) enum Authority {
    Known,
    Other,
}

impl Authority {
    fn name(self) -> &'static str {
        match self {
            Authority::Known => "known",
            Authority::Other => "other",
        }
    }
}

/// A directory with one of each authority, which has the authority's own certificate, and a server's and a client's with
/// their keys.
#[derive(Clone)]
pub(crate) struct Certificates(PathBuf);

impl Certificates {
    /// Makes them all.
    pub(crate) fn make(directory: &Path) -> Result<(), Failure> {
        for authority in [Authority::Known, Authority::Other] {
            let directory = directory.join(authority.name());
            fs::create_dir(&directory)?;
            let (issuer, pem) = issuer(authority)?;
            fs::write(directory.join("ca.pem"), pem)?;
            for (who, name) in [("server", HERE), ("client", "client")] {
                let key = KeyPair::generate()?;
                let certificate = CertificateParams::new([name.to_owned()])?.signed_by(&key, &issuer)?;
                fs::write(directory.join(format!("{who}.pem")), certificate.pem())?;
                fs::write(directory.join(format!("{who}.key")), key.serialize_pem())?;
            }
        }
        Ok(())
    }

    /// A server that shows what this authority has vouched for. Its clients have to show what the known one has.
    pub(crate) fn server(&self, authority: Authority) -> Result<rustls::ServerConfig, Failure> {
        let clients = ClientCertificates::Required(self.roots(Authority::Known)?);
        Ok(server_config(self.identity(authority, "server")?, clients)?)
    }

    /// A client that trusts one authority, and shows what one has vouched for.
    pub(crate) fn client(&self, trusts: Authority, shows: Option<Authority>) -> Result<ClientTls, Failure> {
        let identity = shows.map(|authority| self.identity(authority, "client")).transpose()?;
        Ok(ClientTls::new(client_config(self.roots(trusts)?, identity)?))
    }

    pub(crate) fn read(&self, authority: Authority, file: &str) -> Result<Vec<u8>, Failure> {
        Ok(fs::read(self.0.join(authority.name()).join(file))?)
    }

    fn roots(&self, authority: Authority) -> Result<rustls::RootCertStore, Failure> {
        Ok(roots_from_pem(&self.read(authority, "ca.pem")?)?)
    }

    fn identity(&self, authority: Authority, who: &str) -> Result<Identity, Failure> {
        let chain = self.read(authority, &format!("{who}.pem"))?;
        Ok(Identity::from_pem(&chain, &self.read(authority, &format!("{who}.key"))?)?)
    }
}

/// An authority, and its certificate.
fn issuer(authority: Authority) -> Result<(Issuer<'static, KeyPair>, String), rcgen::Error> {
    let mut params = CertificateParams::default();
    // By name, as nobody can tell two of one name apart.
    params.distinguished_name.push(DnType::CommonName, format!("the {} authority", authority.name()));
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let key = KeyPair::generate()?;
    let pem = params.self_signed(&key)?.pem();
    Ok((Issuer::new(params, key), pem))
}
