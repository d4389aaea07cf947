//! Certificates that are made for a test.

use std::sync::atomic::{AtomicU32, Ordering};

use connect_proto_async::tls::rustls::RootCertStore;
use connect_proto_async::tls::rustls::pki_types::CertificateDer;
use connect_proto_async::tls::{Identity, roots_from_pem};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

/// One that vouches for others.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        // Two of one name would pass for one whose signature is wrong.
        let name = format!("authority {}", MADE.fetch_add(1, Ordering::Relaxed));
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Authority { issuer: Issuer::new(params, key), pem }
    }

    pub(crate) fn roots(&self) -> RootCertStore {
        roots_from_pem(self.pem.as_bytes()).expect("a certificate")
    }

    /// For a host, or whoever.
    pub(crate) fn identity(&self, name: &str) -> Identity {
        self.identity_and_certificate(name).0
    }

    pub(crate) fn identity_and_certificate(&self, name: &str) -> (Identity, CertificateDer<'static>) {
        let params = CertificateParams::new([name.to_owned()]).expect("a name");
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let identity = Identity::from_pem(certificate.pem().as_bytes(), key.serialize_pem().as_bytes());
        (identity.expect("a certificate and its key"), certificate.der().clone())
    }
}
