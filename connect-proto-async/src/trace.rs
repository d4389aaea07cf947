//! Spans and events for whoever collects them with `tracing`. Without the feature of that name there is nothing of it.
//!
//! Fields follow OpenTelemetry's conventions for RPC.

#[cfg(not(feature = "tracing"))]
pub(crate) use absent::*;
#[cfg(feature = "tracing")]
pub(crate) use present::*;

#[cfg(feature = "tracing")]
mod present {
    use std::io;

    use connect_proto::connection::CallClosed;
    use connect_proto::error::Code;
    use tracing::field::Empty;
    use tracing::{Span, debug, debug_span, warn};

    use crate::driver::runtime::{Address, Peer};

    /// What goes on in a call.
    #[derive(Clone, Debug)]
    pub(crate) struct CallSpan(Span);

    impl CallSpan {
        pub(crate) fn client(procedure: &str, server: &Address) -> Self {
            let (service, method) = split(procedure);
            CallSpan(debug_span!(
                "rpc",
                otel.kind = "client",
                otel.name = procedure.trim_start_matches('/'),
                rpc.system = "connect_rpc",
                rpc.service = service,
                rpc.method = method,
                server.address = %server,
                rpc.connect_rpc.error_code = Empty,
            ))
        }

        pub(crate) fn server(procedure: &str, peer: &Peer) -> Self {
            let (service, method) = split(procedure);
            let span = debug_span!(
                "rpc",
                otel.kind = "server",
                otel.name = procedure.trim_start_matches('/'),
                rpc.system = "connect_rpc",
                rpc.service = service,
                rpc.method = method,
                network.peer.address = Empty,
                rpc.connect_rpc.error_code = Empty,
            );
            if let Some(address) = peer.address {
                span.record("network.peer.address", tracing::field::display(address));
            }
            CallSpan(span)
        }

        pub(crate) fn within<T>(&self, what: impl FnOnce() -> T) -> T {
            self.0.in_scope(what)
        }

        pub(crate) fn failed(&self, code: Code) {
            self.0.record("rpc.connect_rpc.error_code", code.as_str());
        }
    }

    fn split(procedure: &str) -> (&str, &str) {
        procedure.trim_start_matches('/').rsplit_once('/').unwrap_or_default()
    }

    pub(crate) fn call_closed(closed: &CallClosed) {
        let CallClosed { reason, drained, processed, fate } = closed;
        debug!(?reason, drained, ?processed, ?fate, "call closed");
    }

    pub(crate) fn call_shed(procedure: &str) {
        warn!(procedure, "call refused: too many at once");
    }

    pub(crate) fn connected(server: &Address) {
        debug!(%server, "connected");
    }

    pub(crate) fn dial_failed(server: &Address, error: &io::Error) {
        debug!(%server, %error, "no connection could be made");
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

    use connect_proto::connection::CallClosed;
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
    pub(crate) fn connected(_: &Address) {}
    pub(crate) fn dial_failed(_: &Address, _: &io::Error) {}
    pub(crate) fn connection_suspected(_: &Address) {}
    pub(crate) fn accepted(_: &Peer) {}
    pub(crate) fn accept_failed(_: &io::Error) {}
}
