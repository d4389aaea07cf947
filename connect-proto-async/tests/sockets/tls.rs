//! TLS between a channel and a server, and with peers that do what these would not.

use std::future::poll_fn;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use connect_proto_async::testing::suite::{sleep, within};
use connect_proto_async::tls::{
    ClientCertificates, ClientTls, Identity, ServerTls, client_config, server_config,
};
use connect_proto_async::{
    Address, BoxStream, Channel, ChannelConfig, Code, Duplex, Protocol, Runtime, Server, ServerConfig,
    ShutdownReport,
};
use tokio::io::AsyncReadExt;

use super::certificates::Authority;
use super::{HUGE, LARGE, chat, echo, plain, procedure};

const HERE: &str = "127.0.0.1";
const HTTP1: &[u8] = b"http/1.1";

fn server_tls(identity: Identity, clients: ClientCertificates) -> ServerConfig {
    let mut config = ServerConfig::default();
    config.tls = Some(ServerTls::new(server_config(identity, clients).expect("a configuration")));
    config
}

async fn serve(runtime: &Arc<dyn Runtime>, config: ServerConfig) -> Server {
    super::serve(runtime, &Address::Tcp { host: HERE.to_owned(), port: 0 }, config).await
}

/// A server that clients can trust by `authority`, and that does not ask who they are.
async fn serve_anybody(runtime: &Arc<dyn Runtime>, authority: &Authority) -> Server {
    serve(runtime, server_tls(authority.identity(HERE), ClientCertificates::NotAsked)).await
}

fn port(server: &Server) -> u16 {
    match server.local_address() {
        Some(Address::Tcp { port, .. }) => *port,
        other => panic!("{other:?} has no port"),
    }
}

fn channel(
    runtime: &Arc<dyn Runtime>,
    (host, port): (&str, u16),
    tls: ClientTls,
    change: impl FnOnce(&mut ChannelConfig),
) -> Channel {
    let uri = format!("https://{host}:{port}");
    let mut config = ChannelConfig::with_tls(&uri, "text", tls).expect("a URI");
    change(&mut config);
    Channel::new(runtime.clone(), config)
}

/// A channel to a server on this machine.
fn channel_to(runtime: &Arc<dyn Runtime>, server: &Server, tls: ClientTls) -> Channel {
    channel(runtime, (HERE, port(server)), tls, |_| {})
}

fn trusting(authority: &Authority, identity: Option<Identity>) -> ClientTls {
    ClientTls::new(client_config(authority.roots(), identity).expect("a configuration"))
}

fn offering(authority: &Authority, protocol: &[u8]) -> ClientTls {
    let mut config = client_config(authority.roots(), None).expect("a configuration");
    config.alpn_protocols = vec![protocol.to_vec()];
    ClientTls::new(config)
}

/// The error of a call on a connection that cannot be had.
async fn refused(channel: &Channel) -> String {
    let error = echo(channel).await.expect_err("it is refused");
    assert_eq!(error.code(), Code::Unavailable, "{error}");
    error.message().to_owned()
}

/// The server has seen the failure as well, and no call.
async fn assert_refused_by(runtime: &Arc<dyn Runtime>, server: &Server) {
    while server.connections() > 0 {
        sleep(&**runtime, Duration::from_millis(1)).await;
    }
    assert!(server.counters().tls_failures >= 1);
    assert_eq!(server.counters().calls, 0);
}

/// Whatever is to be spoken where the connection does not decide it.
pub(crate) async fn http2_is_agreed_on(runtime: Arc<dyn Runtime>) {
    let authority = Authority::new();
    let server = serve_anybody(&runtime, &authority).await;
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let address = (HERE, port(&server));
        let channel = channel(&runtime, address, trusting(&authority, None), |config| {
            config.pool.protocol = protocol;
        });
        echo(&channel).await.expect("an answer");
        chat(&channel, Duplex::Full).await.expect("as only HTTP/2 can");
        chat(&channel, Duplex::Half).await.expect("a talk");
        let large = channel.call(&procedure("Echo")).unary(vec![7; LARGE]).await.expect("an answer");
        assert!(large.message.len() == LARGE && large.message.iter().all(|byte| *byte == 7));
        assert_eq!(channel.counters().dials, 1);
    }
}

pub(crate) async fn http1_is_agreed_on(runtime: Arc<dyn Runtime>) {
    let authority = Authority::new();
    let server = serve_anybody(&runtime, &authority).await;
    let channel = channel_to(&runtime, &server, offering(&authority, HTTP1));
    echo(&channel).await.expect("an answer");
    chat(&channel, Duplex::Half).await.expect("a talk");
    let large = channel.call(&procedure("Echo")).unary(vec![7; LARGE]).await.expect("an answer");
    assert!(large.message.len() == LARGE && large.message.iter().all(|byte| *byte == 7));
    let error = chat(&channel, Duplex::Full).await.expect_err("HTTP/1.1 cannot");
    assert_eq!(error.code(), Code::Unimplemented);
    assert_eq!(channel.counters().dials, 1);
}

/// The channel offers both, so that it is known only later what the connection can do. No call hangs, and those that need no
/// HTTP/2 have as many connections as they need.
pub(crate) async fn a_call_that_needs_http2_fails_where_only_http1_is_spoken(runtime: Arc<dyn Runtime>) {
    let authority = Authority::new();
    let mut tls =
        server_config(authority.identity(HERE), ClientCertificates::NotAsked).expect("a configuration");
    tls.alpn_protocols = vec![HTTP1.to_vec()];
    let mut config = ServerConfig::default();
    config.tls = Some(ServerTls::new(tls));
    let server = serve(&runtime, config).await;
    let channel = channel_to(&runtime, &server, trusting(&authority, None));
    let error = chat(&channel, Duplex::Full).await.expect_err("HTTP/1.1 cannot");
    assert_eq!(error.code(), Code::Unimplemented, "{error}");
    let (first, _receiver) = channel.call(&procedure("Chat")).bidi(Duplex::Half).expect("a call");
    let (second, _receiver) = channel.call(&procedure("Chat")).bidi(Duplex::Half).expect("a call");
    echo(&channel).await.expect("a third connection");
    drop((first, second));
}

pub(crate) async fn no_common_protocol_is_an_error(runtime: Arc<dyn Runtime>) {
    let authority = Authority::new();
    let server = serve_anybody(&runtime, &authority).await;
    let error = refused(&channel_to(&runtime, &server, offering(&authority, b"gopher"))).await;
    assert!(error.contains("NoApplicationProtocol"), "{error}");
}

pub(crate) async fn without_alpn_the_first_bytes_tell(runtime: Arc<dyn Runtime>) {
    let authority = Authority::new();
    let server = serve_anybody(&runtime, &authority).await;
    let mut stream =
        plain::connect(&server, client_config(authority.roots(), None).expect("a configuration"));
    plain::request(&mut stream, "Echo", "keep-alive");
    assert!(plain::read_until(&mut stream, "hi").starts_with("HTTP/1.1 200"));
}

pub(crate) async fn a_server_without_alpn_is_spoken_to_as_configured(runtime: Arc<dyn Runtime>) {
    let authority = Authority::new();
    let tls = server_config(authority.identity(HERE), ClientCertificates::NotAsked).expect("a configuration");
    let address = (HERE, plain::answer_one(tls));
    let channel = channel(&runtime, address, trusting(&authority, None), |_| {});
    echo(&channel).await.expect("an answer over HTTP/1.1");
}

pub(crate) async fn a_clients_certificate_is_seen_by_handlers(runtime: Arc<dyn Runtime>) {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let required = ClientCertificates::Required(theirs.roots());
    let server = serve(&runtime, server_tls(ours.identity(HERE), required)).await;
    let (identity, certificate) = theirs.identity_and_certificate("client");
    let channel = channel_to(&runtime, &server, trusting(&ours, Some(identity)));
    let seen = channel.call(&procedure("WhoAmI")).unary("").await.expect("an answer").message;
    assert_eq!(seen, &*certificate);
}

/// The root trusts one who trusts the client.
pub(crate) async fn a_clients_chain_is_seen_by_handlers(runtime: Arc<dyn Runtime>) {
    let (ours, root) = (Authority::new(), Authority::new());
    let between = root.authority();
    let server =
        serve(&runtime, server_tls(ours.identity(HERE), ClientCertificates::Required(root.roots()))).await;
    let (identity, certificate) = between.identity_and_certificate("client");
    let channel = channel_to(&runtime, &server, trusting(&ours, Some(identity)));
    let seen = channel.call(&procedure("WhoAmI")).unary("").await.expect("an answer").message;
    assert_eq!(seen, [&*certificate, &**between.certificate()].concat());
}

pub(crate) async fn a_client_without_a_certificate_is_refused(runtime: Arc<dyn Runtime>) {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let required = ClientCertificates::Required(theirs.roots());
    let server = serve(&runtime, server_tls(ours.identity(HERE), required)).await;
    let error = refused(&channel_to(&runtime, &server, trusting(&ours, None))).await;
    assert!(error.contains("certificate required"), "{error}");
    assert_refused_by(&runtime, &server).await;
}

pub(crate) async fn a_client_with_an_unknown_certificate_is_refused(runtime: Arc<dyn Runtime>) {
    let (ours, theirs, others) = (Authority::new(), Authority::new(), Authority::new());
    for clients in
        [ClientCertificates::Required(theirs.roots()), ClientCertificates::Optional(theirs.roots())]
    {
        let server = serve(&runtime, server_tls(ours.identity(HERE), clients)).await;
        let identity = Some(others.identity("client"));
        let error = refused(&channel_to(&runtime, &server, trusting(&ours, identity))).await;
        assert!(error.contains("unknown certificate authority"), "{error}");
        assert_refused_by(&runtime, &server).await;
    }
}

pub(crate) async fn a_certificate_may_be_optional(runtime: Arc<dyn Runtime>) {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let optional = ClientCertificates::Optional(theirs.roots());
    let server = serve(&runtime, server_tls(ours.identity(HERE), optional)).await;
    let channel = channel_to(&runtime, &server, trusting(&ours, None));
    let seen = channel.call(&procedure("WhoAmI")).unary("").await.expect("an answer").message;
    assert!(seen.is_empty());
}

/// The error says with whom it went wrong, and why.
pub(crate) async fn an_unknown_authority_is_refused(runtime: Arc<dyn Runtime>) {
    let server = serve_anybody(&runtime, &Authority::new()).await;
    let error = refused(&channel_to(&runtime, &server, trusting(&Authority::new(), None))).await;
    let expected = format!("TLS handshake with {HERE}:{} failed: ", port(&server));
    assert!(error.contains(&expected) && error.contains("UnknownIssuer"), "{error}");
}

pub(crate) async fn a_wrong_name_is_refused(runtime: Arc<dyn Runtime>) {
    let authority = Authority::new();
    let server =
        serve(&runtime, server_tls(authority.identity("example.org"), ClientCertificates::NotAsked)).await;
    let error = refused(&channel_to(&runtime, &server, trusting(&authority, None))).await;
    assert!(error.contains("not valid for name \"127.0.0.1\""), "{error}");

    // It is the name of the URI that counts, not the address.
    let tls = trusting(&authority, None);
    let channel = channel(&runtime, ("example.org", 443), tls, |config| {
        config.address = server.local_address().expect("an address").clone();
    });
    echo(&channel).await.expect("an answer");
}

/// Others are turned away until its handshake has taken too long.
pub(crate) async fn a_silent_client_loses_its_place(runtime: Arc<dyn Runtime>) {
    let authority = Authority::new();
    let mut config = server_tls(authority.identity(HERE), ClientCertificates::NotAsked);
    config.max_connections = Some(1);
    config.tls_handshake_timeout = Duration::from_millis(300);
    let server = serve(&runtime, config).await;
    let begun = runtime.now();
    let mut silent = silent_client(&runtime, &server).await;
    refused(&channel_to(&runtime, &server, trusting(&authority, None))).await;
    assert!(server.counters().connections_shed > 0);
    assert_eq!(silent.read(&mut [0]).await.expect("an end"), 0);
    let took = runtime.now().saturating_duration_since(begun);
    assert!(took >= Duration::from_millis(300) && took < Duration::from_secs(5), "{took:?}");
    assert_eq!(server.counters().tls_failures, 1);
    while server.connections() > 0 {
        sleep(&*runtime, Duration::from_millis(1)).await;
    }
    echo(&channel_to(&runtime, &server, trusting(&authority, None))).await.expect("an answer");
}

/// A connection whose place at the server is taken.
async fn silent_client(runtime: &Arc<dyn Runtime>, server: &Server) -> BoxStream {
    let address = server.local_address().expect("an address");
    let silent = runtime.connect(address).await.expect("somebody listens");
    while server.connections() == 0 {
        sleep(&**runtime, Duration::from_millis(1)).await;
    }
    silent
}

/// The handshake is part of connecting.
pub(crate) async fn a_silent_server_is_given_up(runtime: Arc<dyn Runtime>) {
    let mut listener =
        runtime.listen(&Address::Tcp { host: HERE.to_owned(), port: 0 }).await.expect("a port is free");
    let Ok(Address::Tcp { port, .. }) = listener.local_address() else { panic!("a port") };
    let channel = channel(&runtime, (HERE, port), trusting(&Authority::new(), None), |config| {
        config.pool.connect_timeout = Duration::from_millis(100);
    });
    let error = refused(&channel).await;
    assert!(error.contains("in time"), "{error}");
    let (mut stream, _) = poll_fn(|cx| listener.poll_accept(cx)).await.expect("a client");
    let mut read = Vec::new();
    stream.read_to_end(&mut read).await.expect("an end");
    assert!(!read.is_empty(), "it has begun a handshake");
}

pub(crate) async fn a_shutdown_does_not_wait_for_handshakes(runtime: Arc<dyn Runtime>) {
    let server = serve_anybody(&runtime, &Authority::new()).await;
    let mut silent = silent_client(&runtime, &server).await;
    let stopped = within(&*runtime, Duration::from_secs(5), server.shutdown(Duration::from_secs(15))).await;
    assert_eq!(stopped, Some(ShutdownReport::default()));
    assert_eq!(silent.read(&mut [0]).await.expect("an end"), 0);
}

/// Those who are connected do not notice, those who come see the new one.
pub(crate) async fn a_certificate_is_replaced_at_work(runtime: Arc<dyn Runtime>) {
    let (old, new) = (Authority::new(), Authority::new());
    let config = server_tls(old.identity(HERE), ClientCertificates::NotAsked);
    let tls = config.tls.clone().expect("it was set");
    let server = serve(&runtime, config).await;
    let connected = channel_to(&runtime, &server, trusting(&old, None));
    echo(&connected).await.expect("an answer");
    tls.replace(server_config(new.identity(HERE), ClientCertificates::NotAsked).expect("a configuration"));
    echo(&connected).await.expect("an answer");
    assert_eq!(connected.counters().dials, 1);
    let later = channel_to(&runtime, &server, trusting(&new, None));
    chat(&later, Duplex::Full).await.expect("HTTP/2 as before");
    let error = refused(&channel_to(&runtime, &server, trusting(&old, None))).await;
    assert!(error.contains("UnknownIssuer"), "{error}");
}

pub(crate) async fn an_ipv6_literal_is_a_name(runtime: Arc<dyn Runtime>) {
    let authority = Authority::new();
    let address = Address::Tcp { host: "::1".to_owned(), port: 0 };
    let config = server_tls(authority.identity("::1"), ClientCertificates::NotAsked);
    let server = super::serve(&runtime, &address, config).await;
    let tls = trusting(&authority, None);
    echo(&channel(&runtime, ("[::1]", port(&server)), tls, |_| {})).await.expect("an answer");
}

/// The server shows a certificate of one whom the root trusts.
pub(crate) async fn a_servers_chain_is_verified(runtime: Arc<dyn Runtime>) {
    let root = Authority::new();
    let server = serve_anybody(&runtime, &root.authority()).await;
    let channel = channel_to(&runtime, &server, trusting(&root, None));
    echo(&channel).await.expect("an answer");
}

/// A server that closes after its response waits until a client has read it which takes its time.
pub(crate) async fn a_slow_reader_gets_all_and_a_clean_end(runtime: Arc<dyn Runtime>) {
    let authority = Authority::new();
    let server = serve_anybody(&runtime, &authority).await;
    let mut stream =
        plain::connect(&server, client_config(authority.roots(), None).expect("a configuration"));
    plain::request(&mut stream, "Huge", "close");
    std::thread::sleep(Duration::from_millis(200));
    let mut read = Vec::new();
    // It fails at an end without a close_notify.
    stream.read_to_end(&mut read).expect("a clean end");
    let body = read.len() - read.windows(4).position(|end| end == b"\r\n\r\n").expect("a head") - 4;
    assert_eq!(body, HUGE);
}

pub(crate) async fn a_shutdown_ends_cleanly(runtime: Arc<dyn Runtime>) {
    let authority = Authority::new();
    let server = serve_anybody(&runtime, &authority).await;
    let mut stream =
        plain::connect(&server, client_config(authority.roots(), None).expect("a configuration"));
    plain::request(&mut stream, "Echo", "keep-alive");
    plain::read_until(&mut stream, "hi");
    server.shutdown(Duration::from_secs(5)).await;
    assert_eq!(stream.read(&mut [0]).expect("a clean end"), 0);
}
