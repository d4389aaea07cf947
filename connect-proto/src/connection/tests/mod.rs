//! The rules of a connection, each as a test over bytes and virtual time.

mod closing;
mod cuts;
mod flow;
#[cfg(feature = "http2")]
mod http2;
mod lifecycle;
mod model;
mod properties;
mod regressions;
mod serving;
mod shutdown;
mod time;

use std::sync::Arc;
use std::time::Duration;

use crate::call::{DrainBudget, Duplex, Kind, Processed};
use crate::connection::{CallClosed, Client, ConnectionConfig, Fate, Server};
use crate::error::{CloseReason, Code};
use crate::http1::NotReusable;
use crate::metadata::Metadata;
use crate::testing::{Alone, Pair, PairConfig, client_config};

const BIDI: Kind = Kind::Bidi(Duplex::Half);
const KINDS: [Kind; 4] = [Kind::Unary, Kind::ClientStream, Kind::ServerStream, BIDI];

/// A client whose request of one message is written.
fn requested(kind: Kind) -> Alone<Client> {
    let mut client = Alone::calling(kind);
    client.end.send("ping").unwrap();
    client.end.finish().unwrap();
    client.run();
    client
}

/// A client of which this much may be drained.
fn with_budget(kind: Kind, time: Duration, bytes: u64) -> Alone<Client> {
    let mut config = client_config();
    config.limits.drain_http1 = DrainBudget { time, bytes };
    Alone::calling_with(config, kind, None)
}

#[track_caller]
fn assert_closed(closed: CallClosed, reason: CloseReason, processed: Processed, fate: Fate) {
    assert_eq!((closed.reason, closed.processed, closed.fate), (reason, processed, fate));
}

fn code(verdict: Option<&Result<Metadata, crate::error::RpcError>>) -> Option<Code> {
    verdict.and_then(|verdict| verdict.as_ref().err()).map(crate::error::RpcError::code)
}

const fn closing(why: NotReusable) -> Fate {
    Fate::Closing(why)
}

fn window(receive_window: u64) -> ConnectionConfig {
    ConnectionConfig { receive_window, ..ConnectionConfig::default() }
}

fn serving_with_window(kind: Kind, receive_window: u64) -> Alone<Server> {
    Alone::serving_with(crate::server::ServerConfig::default(), &window(receive_window), kind)
}

fn pair_with(kind: Kind, change: impl FnOnce(&mut PairConfig)) -> Pair {
    let mut config = PairConfig::new(kind);
    change(&mut config);
    Pair::new(config)
}
