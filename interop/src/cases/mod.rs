//! Calls of a server that somebody else wrote.

mod close;
mod ends;
mod kinds;
mod options;
mod tls;

use std::sync::Arc;

use bytes::Bytes;
use connect_proto_async::{
    CallBuilder, Channel, ChannelConfig, Metadata, Protocol, Receiver, RpcError, Runtime,
};
use http::{HeaderName, HeaderValue};

use crate::Failure;
use crate::message::Codec;
use crate::report::{Report, same};
use crate::service::procedure;
use crate::transport::{Authority, Certificates, Transport};

/// Runs all cases that the transport can carry, one after the other.
pub(crate) async fn run(runtime: Arc<dyn Runtime>, transport: Transport, url: &str) -> Report {
    let Transport { protocol, certificates } = transport;
    let peer = Peer { runtime: runtime.clone(), url: url.to_owned(), protocol, certificates };
    let mut report = Report::new(runtime);
    kinds::run(&peer, &mut report).await;
    options::run(&peer, &mut report).await;
    ends::run(&peer, &mut report).await;
    close::run(&peer, &mut report).await;
    if let Some(certificates) = &peer.certificates {
        tls::run(&peer, certificates, &mut report).await;
    }
    report
}

/// A server to call.
struct Peer {
    runtime: Arc<dyn Runtime>,
    url: String,
    protocol: Protocol,
    /// `None` in the clear.
    certificates: Option<Certificates>,
}

impl Peer {
    /// A way to it, with connections of its own.
    fn client(&self, codec: Codec) -> Result<Client, Failure> {
        let config = match &self.certificates {
            None => {
                let mut config = ChannelConfig::new(&self.url, codec.name())?;
                config.pool.protocol = self.protocol;
                config
            }
            // Both versions of HTTP are offered, and the peer takes the one that it has.
            Some(certificates) => {
                let tls = certificates.client(Authority::Known, Some(Authority::Known))?;
                ChannelConfig::with_tls(&self.url, codec.name(), tls)?
            }
        };
        Ok(self.client_of(config, codec))
    }

    fn client_of(&self, config: ChannelConfig, codec: Codec) -> Client {
        Client { channel: Channel::new(self.runtime.clone(), config), codec }
    }
}

/// A channel, and the codec that it speaks.
struct Client {
    channel: Channel,
    codec: Codec,
}

impl Client {
    fn call(&self, name: &str) -> Result<CallBuilder, Failure> {
        Ok(self.channel.call(&procedure(name)?))
    }

    fn encode(&self, text: &str) -> Bytes {
        self.codec.encode(text)
    }

    fn decode(&self, message: &[u8]) -> Result<String, RpcError> {
        self.codec.decode(message)
    }

    /// Calls the procedure that says what it is told.
    async fn echo(&self, text: &str) -> Result<(), Failure> {
        let response = self.call("Echo")?.unary(self.encode(text)).await?;
        same("the answer", self.decode(&response.message)?.as_str(), text)
    }

    /// The text of the next message.
    async fn text(&self, receiver: &mut Receiver) -> Result<Option<String>, RpcError> {
        receiver.recv().await?.map(|message| self.decode(&message)).transpose()
    }

    /// The texts of all messages that are still to come.
    async fn texts(&self, receiver: &mut Receiver) -> Result<Vec<String>, RpcError> {
        let mut texts = Vec::new();
        while let Some(text) = self.text(receiver).await? {
            texts.push(text);
        }
        Ok(texts)
    }

    /// How the server has seen the call of this id end.
    async fn outcome(&self, id: &str) -> Result<String, Failure> {
        let response = self.call("Outcome")?.unary(self.encode(id)).await?;
        Ok(self.decode(&response.message)?)
    }
}

fn metadata(pairs: &[(&'static str, &str)]) -> Result<Metadata, Failure> {
    let mut metadata = Metadata::new();
    for (name, value) in pairs {
        metadata.append(HeaderName::from_static(name), HeaderValue::from_str(value)?);
    }
    Ok(metadata)
}

fn values(metadata: &Metadata, name: &str) -> Vec<String> {
    metadata
        .get_all(name)
        .iter()
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        .collect()
}

fn failed<T>(result: Result<T, RpcError>) -> Result<RpcError, Failure> {
    result.err().ok_or_else(|| "it did not fail".into())
}
