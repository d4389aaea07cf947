//! A way to the servers, and a call on it as both of its ends see it.

use std::error::Error;
use std::fmt;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use connect_proto_tokio::connect_proto::call::DrainBudget;
use connect_proto_tokio::connect_proto::compress::Compressions;
use connect_proto_tokio::connect_proto::error::CloseReason;
use connect_proto_tokio::tls::{self, ClientTls};
use connect_proto_tokio::{CallBuilder, Channel, ChannelConfig, OpenError, RpcError, SendError, Tokio};
use tokio::time::timeout;

use crate::proxy::{Front, Place, Route, Version};
use crate::upstream::{CALL, Call, CallBoard, Seen, metadata, procedure};

/// How long anything may take that is to happen at once.
pub const PATIENCE: Duration = Duration::from_secs(5);

static CALLS: AtomicU64 = AtomicU64::new(0);

/// What happened instead of what should have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failed(pub String);

/// What came of a case.
pub type Outcome = Result<(), Failed>;

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<RpcError> for Failed {
    fn from(error: RpcError) -> Self {
        Failed(error.code().to_string())
    }
}

impl From<SendError> for Failed {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Closed(reason) => Failed(format!("sending: {reason:?}")),
            other => Failed(other.to_string()),
        }
    }
}

impl From<OpenError> for Failed {
    fn from(error: OpenError) -> Self {
        Failed(error.to_string())
    }
}

impl From<connect_proto_tokio::connect_proto::error::ApiMisuse> for Failed {
    fn from(error: connect_proto_tokio::connect_proto::error::ApiMisuse) -> Self {
        Failed(error.to_string())
    }
}

/// Fails, unless it is so.
pub fn ensure(is_so: bool, otherwise: impl Into<String>) -> Outcome {
    if is_so { Ok(()) } else { Err(Failed(otherwise.into())) }
}

/// Waits for something that is to happen at once.
pub async fn soon<T>(what: impl Future<Output = T>, otherwise: &str) -> Result<T, Failed> {
    timeout(PATIENCE, what).await.map_err(|_| Failed(otherwise.to_owned()))
}

/// A way to the servers.
#[derive(Clone, Debug)]
pub struct Way {
    /// Through which proxy's ports.
    pub place: Place,
    /// What is spoken on it.
    pub route: Route,
    /// What the servers have seen.
    pub board: CallBoard,
}

/// A call that is about to be made, and what the server sees of it.
pub struct Observed {
    /// The number by which the servers know it.
    pub number: u64,
    /// What is shared with its handler.
    pub call: Arc<Call>,
}

impl Way {
    /// A channel on it, which drains for no longer than a case may take.
    pub fn channel(&self) -> Result<Channel, Failed> {
        let (scheme, version) = match self.route.front {
            Front::Plain(version) => ("http", version),
            Front::Tls(version) => ("https", version),
        };
        let url = format!("{scheme}://localhost:{}", self.place.front(self.route));
        let config = match self.route.front {
            Front::Plain(_) => ChannelConfig::new(&url, "text"),
            Front::Tls(_) => {
                let tls = self.tls(version).map_err(|error| Failed(error.to_string()))?;
                ChannelConfig::with_tls(&url, "text", tls)
            }
        };
        let mut config = config.map_err(|error| Failed(error.to_string()))?;
        config.pool.protocol = version.protocol();
        config.calls.get_max_url = Some(4096);
        config.calls.accept = Compressions::none(); // what is large is to be large on its way, too
        let budget = DrainBudget { time: Duration::from_millis(500), bytes: 64 << 10 };
        (config.calls.limits.drain_http1, config.calls.limits.drain_http2) = (budget, budget);
        Ok(Channel::new(Arc::new(Tokio::current()), config))
    }

    /// Trusts the proxy alone, and speaks one version alone.
    fn tls(&self, version: Version) -> Result<ClientTls, Box<dyn Error>> {
        let roots = tls::roots_from_pem(&fs::read(self.place.certificate())?)?;
        let mut config = tls::client_config(roots, None)?;
        config.alpn_protocols = vec![version.alpn().to_vec()];
        Ok(ClientTls::new(config))
    }

    /// A call of a procedure on a channel.
    pub fn call(&self, channel: &Channel, name: &str) -> (CallBuilder, Observed) {
        let observed = self.observe();
        let headers = metadata(CALL, &observed.number.to_string());
        (channel.call(&procedure(name)).metadata(headers), observed)
    }

    /// A call that is made by other means.
    pub fn observe(&self) -> Observed {
        let number = CALLS.fetch_add(1, Ordering::Relaxed);
        Observed { number, call: self.board.call(number) }
    }
}

impl Observed {
    /// What the server has seen by now.
    pub fn seen(&self) -> Seen {
        self.call.seen.borrow().clone()
    }

    /// Waits until the server has seen something.
    pub async fn until(&self, is_so: impl FnMut(&Seen) -> bool, otherwise: &str) -> Result<Seen, Failed> {
        let mut seen = self.call.seen.subscribe();
        let seen = soon(seen.wait_for(is_so), otherwise).await?;
        seen.map(|seen| seen.clone()).map_err(|error| Failed(error.to_string()))
    }

    /// Waits until the call has begun.
    pub async fn begun(&self) -> Result<Seen, Failed> {
        self.until(|seen| seen.begun > 0, "does not reach the handler").await
    }

    /// Waits until so many messages have come.
    pub async fn received(&self, messages: usize) -> Result<Seen, Failed> {
        self.until(|seen| seen.received == messages, "requests do not arrive one by one").await
    }

    /// Waits until the handler has heard that its client has given up.
    pub async fn canceled(&self) -> Outcome {
        let seen = self.until(|seen| seen.ended.is_some(), "the handler does not hear of it").await?;
        let gave_up = matches!(seen.ended, Some(CloseReason::PeerReset(_) | CloseReason::TransportLost(_)));
        ensure(gave_up, format!("the handler hears {:?}", seen.ended))
    }

    /// Lets the handler send so many messages more, or end.
    pub fn permit(&self, messages: usize) {
        self.call.permits.add_permits(messages);
    }
}
