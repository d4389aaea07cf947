//! Certificates that are made for a test.

use std::sync::atomic::{AtomicU32, Ordering};

use connect_proto_async::tls::rustls::RootCertStore;
use connect_proto_async::tls::rustls::pki_types::CertificateDer;
use connect_proto_async::tls::{Identity, roots_from_pem};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

/// One that vouches for others.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: Certificate,
    /// Whether somebody else vouches for this one.
    is_between: bool,
}

impl Authority {
    /// A root.
    pub(crate) fn new() -> Self {
        let (params, key) = Authority::named();
        let certificate = params.self_signed(&key).expect("a certificate");
        Authority { issuer: Issuer::new(params, key), certificate, is_between: false }
    }

    /// One that this one vouches for.
    pub(crate) fn authority(&self) -> Self {
        let (params, key) = Authority::named();
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        Authority { issuer: Issuer::new(params, key), certificate, is_between: true }
    }

    fn named() -> (CertificateParams, KeyPair) {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        // Two of one name would pass for one whose signature is wrong.
        let name = format!("authority {}", MADE.fetch_add(1, Ordering::Relaxed));
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        (params, KeyPair::generate().expect("a key"))
    }

    pub(crate) fn certificate(&self) -> &CertificateDer<'static> {
        self.certificate.der()
    }

    pub(crate) fn roots(&self) -> RootCertStore {
        roots_from_pem(self.certificate.pem().as_bytes()).expect("a certificate")
    }

    /// For a host, or whoever.
    pub(crate) fn identity(&self, name: &str) -> Identity {
        self.identity_and_certificate(name).0
    }

    pub(crate) fn identity_and_certificate(&self, name: &str) -> (Identity, CertificateDer<'static>) {
        let params = CertificateParams::new([name.to_owned()]).expect("a name");
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let mut chain = certificate.pem();
        if self.is_between {
            chain += &self.certificate.pem();
        }
        let identity = Identity::from_pem(chain.as_bytes(), key.serialize_pem().as_bytes());
        (identity.expect("a certificate and its key"), certificate.der().clone())
    }
}
