//! No crypto provider is forced on a process: one that it has installed comes before one that a feature brings.

#![cfg(feature = "tls")]

use connect_proto_async::tls::rustls::RootCertStore;
use connect_proto_async::tls::{TlsError, client_config};

#[cfg(not(any(feature = "tls-ring", feature = "tls-aws-lc")))]
#[test]
fn without_a_provider_there_is_no_configuration() {
    let error = client_config(RootCertStore::empty(), None).expect_err("there is none");
    assert!(matches!(error, TlsError::NoProvider), "{error}");
}

#[cfg(any(feature = "tls-ring", feature = "tls-aws-lc"))]
#[test]
fn the_provider_of_the_process_comes_first() {
    use connect_proto_async::tls::rustls::crypto::CryptoProvider;

    let suites = || -> Result<usize, TlsError> {
        let config = client_config(RootCertStore::empty(), None)?;
        Ok(config.crypto_provider().cipher_suites.len())
    };
    assert!(suites().expect("a feature brings one") > 1);
    assert!(CryptoProvider::get_default().is_none(), "it is not made the default");

    let config = client_config(RootCertStore::empty(), None).expect("a configuration");
    let mut picky = CryptoProvider::clone(config.crypto_provider());
    picky.cipher_suites.truncate(1);
    picky.install_default().expect("there was none");
    assert_eq!(suites().expect("the process has one"), 1);
}
