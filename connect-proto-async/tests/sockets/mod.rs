//! What goes over the sockets of a real runtime alone: options of TCP, TLS, IPv6 and Unix sockets. The crates of the
//! runtimes include this.

pub(crate) mod certificates;
pub(crate) mod ipv6;
pub(crate) mod plain;
#[cfg(target_os = "linux")]
pub(crate) mod tcp;
pub(crate) mod tls;
#[cfg(unix)]
pub(crate) mod unix;

use std::sync::Arc;

use bytes::Bytes;
use connect_proto_async::{
    Address, Channel, Code, Context, Duplex, Procedure, Requests, Response, Responses, Router, RpcError,
    Runtime, Server, ServerConfig,
};

/// Makes a test of every case. `$run` takes a case and runs it on a runtime.
macro_rules! socket_suite {
    ($run:path) => {
        socket_suite!(@cases tls, $run,
            http2_is_agreed_on
            http1_is_agreed_on
            a_call_that_needs_http2_fails_where_only_http1_is_spoken
            no_common_protocol_is_an_error
            without_alpn_the_first_bytes_tell
            a_server_without_alpn_is_spoken_to_as_configured
            a_clients_certificate_is_seen_by_handlers
            a_clients_chain_is_seen_by_handlers
            a_client_without_a_certificate_is_refused
            a_client_with_an_unknown_certificate_is_refused
            a_certificate_may_be_optional
            an_unknown_authority_is_refused
            a_wrong_name_is_refused
            a_silent_client_loses_its_place
            a_silent_server_is_given_up
            a_shutdown_does_not_wait_for_handshakes
            a_certificate_is_replaced_at_work
            an_ipv6_literal_is_a_name
            a_servers_chain_is_verified
            a_slow_reader_gets_all_and_a_clean_end
            a_shutdown_ends_cleanly
        );
        socket_suite!(@cases ipv6, $run,
            an_ipv6_literal_is_dialled
            an_address_keeps_its_zone
        );
        #[cfg(target_os = "linux")]
        socket_suite!(@cases tcp, $run,
            a_silent_peer_is_probed
        );
        #[cfg(unix)]
        socket_suite!(@cases unix, $run,
            calls_over_a_unix_socket
            a_missing_socket_is_named
        );
    };
    (@cases $module:ident, $run:path, $($case:ident)*) => {
        mod $module {
            $(#[test]
            fn $case() {
                $run(|runtime| Box::pin(crate::sockets::$module::$case(runtime)));
            })*
        }
    };
}

pub(crate) fn procedure(name: &str) -> Procedure {
    Procedure::new(format!("/test.Service/{name}")).expect("a path")
}

pub(crate) fn router() -> Router {
    Router::new(["text"])
        .unary(&procedure("Echo"), |_: Context, message: Bytes| async move { Ok(message) })
        .unary(&procedure("Huge"), |_: Context, _: Bytes| async move { Ok(Bytes::from(vec![b'7'; HUGE])) })
        .unary(&procedure("WhoAmI"), |context: Context, _: Bytes| async move {
            let shown: Vec<Bytes> = context
                .peer()
                .certificates
                .iter()
                .map(|certificate| Bytes::copy_from_slice(certificate))
                .collect();
            Ok(Response::new(Bytes::from(shown.concat())))
        })
        .unary(&procedure("WhereAmI"), |context: Context, _: Bytes| async move {
            Ok(Response::new(format!("{:?}", context.peer().address)))
        })
        .bidi(
            &procedure("Chat"),
            Duplex::Half,
            |_: Context, mut requests: Requests, mut responses: Responses| async move {
                while let Some(message) = requests.recv().await? {
                    let _ = responses.send(message).await;
                }
                Ok(())
            },
        )
}

/// More than a window of HTTP/2 holds.
pub(crate) const LARGE: usize = 3 << 20;
/// More than the sockets hold.
pub(crate) const HUGE: usize = 16 << 20;

pub(crate) async fn serve(runtime: &Arc<dyn Runtime>, address: &Address, config: ServerConfig) -> Server {
    Server::bind(runtime.clone(), address, router(), config).await.expect("a free address")
}

pub(crate) async fn echo(channel: &Channel) -> Result<(), RpcError> {
    let response = channel.call(&procedure("Echo")).unary("hello").await?;
    assert_eq!(response.message, "hello");
    Ok(())
}

/// Talks to and fro, if the connection can: only HTTP/2 has a call like that.
pub(crate) async fn chat(channel: &Channel, duplex: Duplex) -> Result<(), RpcError> {
    let (mut sender, mut receiver) = channel
        .call(&procedure("Chat"))
        .bidi(duplex)
        .map_err(|error| RpcError::new(error.code(), error.to_string()))?;
    for at in 0..3 {
        let sent = sender.send(at.to_string()).await;
        if duplex == Duplex::Full {
            let message =
                receiver.recv().await?.ok_or_else(|| RpcError::new(Code::DataLoss, "an early end"))?;
            assert_eq!(message, at.to_string());
        }
        sent.expect("the call goes on");
    }
    sender.finish().expect("once");
    let mut rest = 0;
    while receiver.recv().await?.is_some() {
        rest += 1;
    }
    assert_eq!(rest, if duplex == Duplex::Full { 0 } else { 3 });
    Ok(())
}
