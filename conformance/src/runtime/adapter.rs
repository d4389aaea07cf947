//! The flavours of the async half: channels, servers and handlers as users have them, on any of its runtimes.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use connect_proto::server::ServerConfig as CallsConfig;
use connect_proto_async::{
    Address, Channel, ChannelConfig, Protocol, Runtime as AsyncRuntime, Server, ServerConfig,
};

use super::{Announce, Runtime};
use crate::client::CallPlan;
use crate::convert::{self, Unsupported};
use crate::proto::{ClientCompatResponse, HttpVersion};
use crate::tls::{ClientMaterial, ServerMaterial};

mod client;
mod server;
mod tls;

/// What the programs run on.
type Shared = Arc<dyn AsyncRuntime>;

/// A runtime of the async half.
pub(super) struct Adapter {
    runtime: Shared,
    /// One to each server that was called, so that its connections serve many calls.
    channels: Mutex<HashMap<Destination, Channel>>,
}

/// Host, port, and what is spoken there.
type Destination = (String, u16, HttpVersion, Option<ClientMaterial>);

impl Adapter {
    pub(super) fn new(runtime: Shared) -> Adapter {
        Adapter { runtime, channels: Mutex::default() }
    }

    /// The channel to the server of a plan, with the settings that the plan has for calls.
    fn channel(&self, plan: &CallPlan) -> Result<Channel, Unsupported> {
        let calls = convert::call_config(plan)?;
        let uri = format!("{}://{}", convert::scheme(plan), convert::authority(plan));
        let mut config = match &plan.tls {
            None => ChannelConfig::new(&uri, plan.codec.name())?,
            Some(material) => {
                let tls = tls::client(material, plan.http_version)?;
                ChannelConfig::with_tls(&uri, plan.codec.name(), tls)?
            }
        };
        config.pool.protocol = match plan.http_version {
            HttpVersion::HttpVersion2 => Protocol::Http2,
            _ => Protocol::Http1,
        };
        let key = (plan.host.clone(), plan.port, plan.http_version, plan.tls.clone());
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        let channel = channels.entry(key).or_insert_with(|| Channel::new(self.runtime.clone(), config));
        Ok(channel.with_calls(|those| *those = calls))
    }

    /// Runs a future in a task, and blocks until it is done.
    fn wait<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Unsupported> {
        let (done, result) = mpsc::sync_channel(1);
        self.runtime.spawn(Box::pin(async move {
            // Somebody waits for it.
            let _ = done.send(future.await);
        }));
        result.recv().map_err(|_| "the task has panicked".into())
    }
}

impl Runtime for Adapter {
    fn call(&self, plan: &CallPlan) -> Result<ClientCompatResponse, Unsupported> {
        let call = client::call(self.runtime.clone(), self.channel(plan)?, plan.clone());
        self.wait(call)?
    }

    fn serve(
        &self,
        config: Arc<CallsConfig>,
        tls: Option<&ServerMaterial>,
        announce: &mut Announce<'_>,
    ) -> Result<(), Unsupported> {
        let address = Address::from(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let (runtime, router) = (self.runtime.clone(), server::router(&self.runtime)?);
        let mut settings = ServerConfig::default();
        settings.calls = CallsConfig::clone(&config);
        settings.tls = tls.map(tls::server).transpose()?;
        let server = self.wait(async move { Server::bind(runtime, &address, router, settings).await })??;
        let Some(Address::Tcp { host, port }) = server.local_address() else {
            return Err("the server has no address".into());
        };
        announce(SocketAddr::new(host.parse()?, *port))?;
        self.wait(async move { server.ended().await })
    }
}

/// Lets a time pass.
async fn pause(runtime: &Shared, delay: Duration) {
    let mut timer = runtime.timer(runtime.now().saturating_add(delay));
    poll_fn(|cx| timer.as_mut().poll(cx)).await;
}
