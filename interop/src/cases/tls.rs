//! Who one is, and whom one trusts.

use connect_proto::call::Duplex;
use connect_proto::metadata::read_binary;
use connect_proto_async::tls::rustls::pki_types::CertificateDer;
use connect_proto_async::tls::rustls::pki_types::pem::PemObject;
use connect_proto_async::{ChannelConfig, Code, Protocol};

use super::{Client, Peer, failed};
use crate::Failure;
use crate::message::Codec;
use crate::report::{Report, holds, same};
use crate::transport::Authority::{self, Known, Other};
use crate::transport::{Certificates, HERE};

pub(super) async fn run(peer: &Peer, certificates: &Certificates, report: &mut Report) {
    let tls = Tls { peer, certificates };
    report.case("tls-alpn", tls.alpn()).await;
    report.case("tls-client-certificate", tls.client_certificate()).await;
    report.case("tls-no-client-certificate", tls.no_client_certificate()).await;
    report.case("tls-unknown-client-certificate", tls.unknown_client_certificate()).await;
    report.case("tls-untrusted-server", tls.untrusted_server()).await;
    report.case("tls-wrong-name", tls.wrong_name()).await;
    // The last one, as the server does not go back.
    report.case("tls-renewed-certificate", tls.renewed_certificate()).await;
}

/// A server to call over TLS.
struct Tls<'a> {
    peer: &'a Peer,
    certificates: &'a Certificates,
}

impl Tls<'_> {
    /// Of a client that trusts one authority, and shows what one has vouched for.
    fn config(&self, trusts: Authority, shows: Option<Authority>) -> Result<ChannelConfig, Failure> {
        let tls = self.certificates.client(trusts, shows)?;
        Ok(ChannelConfig::with_tls(&self.peer.url, Codec::Proto.name(), tls)?)
    }

    fn client(&self, trusts: Authority, shows: Option<Authority>) -> Result<Client, Failure> {
        Ok(self.peer.client_of(self.config(trusts, shows)?, Codec::Proto))
    }

    /// What is agreed on is spoken, whatever would be without that.
    async fn alpn(&self) -> Result<(), Failure> {
        let mut config = self.config(Known, Some(Known))?;
        config.pool.protocol = match self.peer.protocol {
            Protocol::Http1 => Protocol::Http2,
            _ => Protocol::Http1,
        };
        let client = self.peer.client_of(config, Codec::Proto);
        client.echo("").await?;
        let (sender, mut receiver) = client.call("Chat")?.bidi(Duplex::Full)?;
        // Only HTTP/2 can, and otherwise it fails.
        let _ = sender.finish();
        let spoken = match receiver.recv().await {
            Err(error) if error.code() == Code::Unimplemented => Protocol::Http1,
            end => end.map(|_| Protocol::Http2)?,
        };
        same("what is spoken", spoken, self.peer.protocol)
    }

    /// The handler knows it.
    async fn client_certificate(&self) -> Result<(), Failure> {
        let client = self.client(Known, Some(Known))?;
        let response = client.call("Echo")?.unary(client.encode("")).await?;
        let seen = response.headers.get("x-certificate-bin").ok_or("it was not seen")?;
        let shown = CertificateDer::from_pem_slice(&self.certificates.read(Known, "client.pem")?)?;
        holds(read_binary(seen)? == [&*shown], || "another one was seen".into())
    }

    async fn no_client_certificate(&self) -> Result<(), Failure> {
        self.refused(self.config(Known, None)?, &["certificate required"]).await
    }

    async fn unknown_client_certificate(&self) -> Result<(), Failure> {
        // Node closes the connection and does not say why.
        let reasons = ["unknown certificate authority", "connection lost"];
        self.refused(self.config(Known, Some(Other))?, &reasons).await
    }

    async fn untrusted_server(&self) -> Result<(), Failure> {
        self.refused(self.config(Other, Some(Known))?, &["UnknownIssuer"]).await
    }

    async fn wrong_name(&self) -> Result<(), Failure> {
        let tls = self.certificates.client(Known, Some(Known))?;
        let url = self.peer.url.replace(HERE, "localhost");
        let config = ChannelConfig::with_tls(&url, Codec::Proto.name(), tls)?;
        self.refused(config, &["not valid for name \"localhost\""]).await
    }

    /// Those who are connected do not notice, those who come see the new one.
    async fn renewed_certificate(&self) -> Result<(), Failure> {
        let connected = self.client(Known, Some(Known))?;
        connected.call("Renew")?.unary(connected.encode("")).await?;
        connected.echo("on the same connection").await?;
        same("the connections", connected.channel.counters().dials, 1)?;
        self.client(Other, Some(Known))?.echo("to one that is trusted").await?;
        self.refused(self.config(Known, Some(Known))?, &["UnknownIssuer"]).await
    }

    /// There is no answer, and the error tells one of these reasons.
    async fn refused(&self, config: ChannelConfig, reasons: &[&str]) -> Result<(), Failure> {
        let client = self.peer.client_of(config, Codec::Proto);
        let error = failed(client.call("Echo")?.unary(client.encode("")).await)?;
        same("the code", error.code(), Code::Unavailable)?;
        let is_told = reasons.iter().any(|reason| error.message().contains(reason));
        holds(is_told, || format!("{error} instead of {reasons:?}"))
    }
}
