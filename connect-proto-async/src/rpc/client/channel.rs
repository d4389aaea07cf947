//! A client's channel to a server.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use connect_proto::client::{CallConfig, Procedure};
use connect_proto::connection::ConnectionConfig;
use connect_proto::error::ApiMisuse;
use http::Uri;
use http::uri::{Authority, Scheme};

use super::call::CallBuilder;
use super::connections::Connections;
#[cfg(feature = "tls")]
use super::target::Secure;
use super::target::Target;
use crate::driver::alarm::within;
use crate::driver::pool::{PoolConfig, PoolCounters};
use crate::driver::runtime::{Address, Runtime};
use crate::driver::shared::BACKSTOP;
use crate::driver::traffic::Traffic;
#[cfg(feature = "tls")]
use crate::tls::{ClientTls, rustls::pki_types::ServerName};

/// What a channel connects to, and what its connections and its calls may cost.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ChannelConfig {
    /// Where to connect to. By default the host and port of the URI.
    pub address: Address,
    /// How TLS is spoken, if the URI is of `https`.
    #[cfg(feature = "tls")]
    secure: Option<Secure>,
    /// How connections are made, kept and given up; HTTP/1.1 or HTTP/2.
    pub pool: PoolConfig,
    /// The limits of each connection.
    pub connection: ConnectionConfig,
    /// What the calls have in common: compression, limits, drain budgets.
    pub calls: CallConfig,
}

/// Why a URI is not that of a server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// It is not a URI.
    #[error("invalid URI: {0}")]
    Invalid(#[from] http::uri::InvalidUri),
    /// Its scheme is not one that can be spoken here.
    #[error("the URI's scheme is not http or https")]
    Scheme,
    /// It is of `https`, and TLS was not asked for.
    #[error("an https URI needs TLS: ChannelConfig::with_tls, of the feature tls")]
    WithoutTls,
    /// TLS was asked for, and it is not of `https`.
    #[error("TLS needs an https URI")]
    NotHttps,
    /// It has no host, or more than a scheme, a host and a port; or, of a Unix socket, no path.
    #[error("the URI is not of the form http://host:port, https://host:port or unix:/path")]
    Form,
    /// Its port is not a number from 0 to 65535.
    #[error("the URI's port is not a number from 0 to 65535")]
    Port,
    /// The codec's name is not one.
    #[error(transparent)]
    Codec(#[from] ApiMisuse),
}

impl ChannelConfig {
    /// The defaults, for the server at a URI such as `http://127.0.0.1:8080` or, at a Unix socket, `unix:/run/greet.sock`,
    /// with messages in a codec such as `proto`.
    ///
    /// # Errors
    /// What is wrong with the URI or with the codec's name. An `https` URI is [`ConfigError::WithoutTls`]: it is for
    /// `with_tls`.
    pub fn new(uri: &str, codec: &str) -> Result<Self, ConfigError> {
        match ChannelConfig::parse(uri, codec)? {
            (_, scheme) if scheme == Scheme::HTTPS => Err(ConfigError::WithoutTls),
            (config, _) => Ok(config),
        }
    }

    /// The defaults, for the server at an `https` URI, with the URI's host as the server's name.
    ///
    /// # Errors
    /// As for [`new`](ChannelConfig::new). A URI that is not of `https` is [`ConfigError::NotHttps`]: calls would go in plain
    /// text.
    #[cfg(feature = "tls")]
    pub fn with_tls(uri: &str, codec: &str, tls: ClientTls) -> Result<Self, ConfigError> {
        let (mut config, scheme) = ChannelConfig::parse(uri, codec)?;
        let Address::Tcp { host, .. } = &config.address else { return Err(ConfigError::NotHttps) };
        if scheme != Scheme::HTTPS {
            return Err(ConfigError::NotHttps);
        }
        let name = ServerName::try_from(host.clone()).map_err(|_| ConfigError::Form)?;
        config.secure = Some(Secure { tls, name });
        Ok(config)
    }

    fn parse(uri: &str, codec: &str) -> Result<(Self, Scheme), ConfigError> {
        if uri.starts_with("unix:") {
            let Ok(address @ Address::Unix(_)) = uri.parse() else { return Err(ConfigError::Form) };
            // A socket has no authority of its own.
            let calls = CallConfig::new(Scheme::HTTP, Authority::from_static("localhost"), codec)?;
            return Ok((ChannelConfig::at(address, calls), Scheme::HTTP));
        }
        let uri: Uri = uri.parse()?;
        let parts = uri.into_parts();
        let scheme = parts.scheme.ok_or(ConfigError::Form)?;
        let default_port = match scheme.as_str() {
            "http" => 80,
            "https" => 443,
            _ => return Err(ConfigError::Scheme),
        };
        let authority = parts.authority.ok_or(ConfigError::Form)?;
        if parts.path_and_query.is_some_and(|path| path != "/") || authority.as_str().contains('@') {
            return Err(ConfigError::Form);
        }
        let port = port(&authority)?.unwrap_or(default_port);
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let calls = CallConfig::new(scheme.clone(), authority, codec)?;
        Ok((ChannelConfig::at(Address::Tcp { host, port }, calls), scheme))
    }

    fn at(address: Address, calls: CallConfig) -> Self {
        ChannelConfig {
            address,
            #[cfg(feature = "tls")]
            secure: None,
            pool: PoolConfig::default(),
            connection: ConnectionConfig::default(),
            calls,
        }
    }
}

/// The port; `None` if there is none, or an empty one. What is no number must not become the default.
fn port(authority: &Authority) -> Result<Option<u16>, ConfigError> {
    let port = authority.as_str().strip_prefix(authority.host()).and_then(|rest| rest.strip_prefix(':'));
    let Some(port) = port.filter(|port| !port.is_empty()) else { return Ok(None) };
    // The standard library takes a sign, too.
    let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
    port.parse().ok().filter(|_| is_number).map(Some).ok_or(ConfigError::Port)
}

/// A client's way to a server: makes calls, on connections that it makes, keeps and gives up as needed.
///
/// A handle, cheap to clone. Calls that are under way go on when the last one is dropped.
#[derive(Clone, Debug)]
pub struct Channel {
    connections: Arc<Connections>,
    calls: Arc<CallConfig>,
}

impl Channel {
    /// A channel. It connects when it is first called on.
    pub fn new(runtime: Arc<dyn Runtime>, config: ChannelConfig) -> Self {
        let target = Target {
            address: config.address,
            protocol: config.pool.protocol,
            #[cfg(feature = "tls")]
            secure: config.secure,
        };
        let connections = Connections::new(runtime, target, config.pool, config.connection);
        Channel { connections, calls: Arc::new(config.calls) }
    }

    /// A channel on the same connections, whose calls have other settings in common.
    #[must_use]
    pub fn with_calls(&self, change: impl FnOnce(&mut CallConfig)) -> Self {
        let mut calls = CallConfig::clone(&self.calls);
        change(&mut calls);
        Channel { connections: self.connections.clone(), calls: Arc::new(calls) }
    }

    /// Begins a call of a procedure: says how, and then of which kind it is.
    ///
    /// ```no_run
    /// # use connect_proto_async::{Channel, Procedure};
    /// # async fn example(channel: Channel) -> Result<(), Box<dyn std::error::Error>> {
    /// let greet = Procedure::new("/acme.greet.v1.GreetService/Greet")?;
    /// let reply = channel.call(&greet).timeout(std::time::Duration::from_secs(1)).unary("hello").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn call(&self, procedure: &Procedure) -> CallBuilder {
        CallBuilder::new(self.connections.clone(), self.calls.clone(), procedure.clone())
    }

    /// Shuts the channel and its clones down: takes no more calls, lets those under way end for `grace` at most, and cuts
    /// off what is left then. The number of connections that were cut off.
    ///
    /// A dropped future has shut the channel down all the same, and what is left is then cut off a second late.
    pub async fn shutdown(&self, grace: Duration) -> usize {
        let connections = &self.connections;
        connections.shut_down(grace.saturating_add(BACKSTOP));
        let emptied = poll_fn(|cx| connections.poll_empty(cx));
        if within(&**connections.runtime(), grace, emptied).await.is_some() {
            return 0;
        }
        let cut = connections.alive();
        cut.iter().for_each(|shared| shared.sever());
        poll_fn(|cx| connections.poll_empty(cx)).await;
        cut.len()
    }

    /// What its connections have carried so far, and how its calls have ended.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.connections.meter().traffic()
    }

    /// Connections that are open.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.alive().len()
    }

    /// What its connections have been through so far.
    #[must_use]
    pub fn counters(&self) -> PoolCounters {
        self.connections.counters()
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests;
