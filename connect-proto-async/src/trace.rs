//! Spans and events for whoever collects them with `tracing`. Without the feature of that name there is nothing of it.
//!
//! Fields follow OpenTelemetry's semantic conventions for Connect RPC, as they are since version 1.38: `rpc.system.name` and
//! `rpc.response.status_code`, and the service in `rpc.method`. A server has spans of procedures that it knows, no others.

#[cfg(not(feature = "tracing"))]
pub(crate) use absent::*;
#[cfg(feature = "tracing")]
pub(crate) use present::*;

#[cfg(feature = "tracing")]
mod present {
    use std::io;

    use connect_proto::connection::{CallClosed, Fault};
    use connect_proto::error::Code;
    use tracing::field::{Empty, display};
    use tracing::{Span, debug, debug_span, warn};

    use crate::driver::runtime::{Address, Peer};

    const SYSTEM: &str = "connectrpc";

    /// What goes on in a call.
    #[derive(Clone, Debug)]
    pub(crate) struct CallSpan(Span);

    impl CallSpan {
        pub(crate) fn client(procedure: &str, server: &Address) -> Self {
            let method = procedure.trim_start_matches('/');
            let span = debug_span!(
                "rpc",
                otel.kind = "client",
                otel.name = method,
                rpc.system.name = SYSTEM,
                rpc.method = method,
                rpc.response.status_code = Empty,
                error.type = Empty,
                server.address = Empty,
                server.port = Empty,
            );
            match server {
                Address::Tcp { host, port } => {
                    span.record("server.address", host);
                    span.record("server.port", port);
                }
                Address::Unix(path) => {
                    span.record("server.address", display(path.display()));
                }
            }
            CallSpan(span)
        }

        pub(crate) fn server(procedure: &str, peer: &Peer) -> Self {
            let method = procedure.trim_start_matches('/');
            let span = debug_span!(
                "rpc",
                otel.kind = "server",
                otel.name = method,
                rpc.system.name = SYSTEM,
                rpc.method = method,
                rpc.response.status_code = Empty,
                error.type = Empty,
                network.peer.address = Empty,
                network.peer.port = Empty,
            );
            if let Some(address) = peer.address {
                span.record("network.peer.address", display(address.ip()));
                span.record("network.peer.port", address.port());
            }
            CallSpan(span)
        }

        pub(crate) fn within<T>(&self, what: impl FnOnce() -> T) -> T {
            self.0.in_scope(what)
        }

        pub(crate) fn failed(&self, code: Code) {
            self.0.record("rpc.response.status_code", code.as_str());
            self.0.record("error.type", code.as_str());
        }
    }

    pub(crate) fn call_closed(closed: &CallClosed) {
        let CallClosed { reason, drained, processed, fate } = closed;
        debug!(?reason, drained, ?processed, ?fate, "call closed");
    }

    pub(crate) fn call_shed(procedure: &str) {
        warn!(procedure, "call refused: too many at once");
    }

    pub(crate) fn connection_shed(peer: &Peer) {
        warn!(peer = ?peer.address, "connection closed: too many at once");
    }

    pub(crate) fn connected(server: &Address) {
        debug!(%server, "connected");
    }

    pub(crate) fn dial_failed(server: &Address, error: &io::Error) {
        debug!(%server, %error, "no connection could be made");
    }

    pub(crate) fn connection_failed(fault: &Fault) {
        debug!(%fault, "connection ended");
    }

    pub(crate) fn connection_suspected(server: &Address) {
        debug!(%server, "connection may be dead: it gets no more calls");
    }

    pub(crate) fn accepted(peer: &Peer) {
        debug!(peer = ?peer.address, "connection accepted");
    }

    pub(crate) fn accept_failed(error: &io::Error) {
        warn!(%error, "no connection could be accepted");
    }
}

#[cfg(not(feature = "tracing"))]
mod absent {
    use std::io;

    use connect_proto::connection::{CallClosed, Fault};
    use connect_proto::error::Code;

    use crate::driver::runtime::{Address, Peer};

    #[derive(Clone, Debug)]
    pub(crate) struct CallSpan;

    impl CallSpan {
        pub(crate) fn client(_: &str, _: &Address) -> Self {
            CallSpan
        }

        pub(crate) fn server(_: &str, _: &Peer) -> Self {
            CallSpan
        }

        pub(crate) fn within<T>(&self, what: impl FnOnce() -> T) -> T {
            what()
        }

        pub(crate) fn failed(&self, _: Code) {}
    }

    pub(crate) fn call_closed(_: &CallClosed) {}
    pub(crate) fn call_shed(_: &str) {}
    pub(crate) fn connection_shed(_: &Peer) {}
    pub(crate) fn connected(_: &Address) {}
    pub(crate) fn dial_failed(_: &Address, _: &io::Error) {}
    pub(crate) fn connection_failed(_: &Fault) {}
    pub(crate) fn connection_suspected(_: &Address) {}
    pub(crate) fn accepted(_: &Peer) {}
    pub(crate) fn accept_failed(_: &io::Error) {}
}
