//! What each setting is good for: the same trial without it.

use std::io;
use std::time::Duration;

use connect_proto_tokio::Duplex;
use tokio::time::sleep;

use crate::cases::{self, CASES};
use crate::document::Document;
use crate::proxy::{Front, Kind, Place, Proxy, Route, Version};
use crate::servers::Servers;
use crate::upstream::CallBoard;
use crate::way::{Failed, Outcome, Way, ensure};

/// A setting: how its absence is brought about, and what is tried then.
struct Setting {
    kind: Kind,
    /// As the table calls it.
    name: &'static str,
    /// A text of the configuration, and what stands in its place.
    without: (&'static str, &'static str),
    route: Route,
    case: &'static str,
}

const fn plain(front: Version, upstream: Version) -> Route {
    Route { front: Front::Plain(front), upstream }
}

const H1_TO_H1: Route = plain(Version::Http1, Version::Http1);
const H2_TO_H1: Route = plain(Version::Http2, Version::Http1);
const H1_TO_H2: Route = plain(Version::Http1, Version::Http2);
const H2_TO_H2: Route = plain(Version::Http2, Version::Http2);

const ONE_BY_ONE: &str = "server stream, message by message";
const KEPT: &str = "connections to the servers are kept";
const SILENT: &str = "a server stream that is silent for 2 s";
const SILENT_UP: &str = "a client stream that is silent for 2 s";

const fn nginx(
    name: &'static str,
    without: (&'static str, &'static str),
    route: Route,
    case: &'static str,
) -> Setting {
    Setting { kind: Kind::Nginx, name, without, route, case }
}

const fn haproxy(
    name: &'static str,
    without: (&'static str, &'static str),
    route: Route,
    case: &'static str,
) -> Setting {
    Setting { kind: Kind::HaProxy, name, without, route, case }
}

const SETTINGS: &[Setting] = &[
    nginx("proxy_buffering off", ("proxy_buffering off;", ""), H1_TO_H1, ONE_BY_ONE),
    nginx("proxy_buffering off", ("proxy_buffering off;", ""), H1_TO_H1, "a slow reader slows the handler"),
    nginx(
        "proxy_request_buffering off",
        ("proxy_request_buffering off;", ""),
        H1_TO_H1,
        "client stream, message by message",
    ),
    nginx(
        "proxy_http_version 1.1",
        ("proxy_http_version 1.1;", ""),
        H1_TO_H1,
        "client stream, message by message",
    ),
    nginx("proxy_http_version 1.1", ("proxy_http_version 1.1;", ""), H1_TO_H1, KEPT),
    nginx("proxy_set_header Connection \"\"", ("proxy_set_header Connection \"\";", ""), H1_TO_H1, KEPT),
    nginx("keepalive", ("keepalive 64;", ""), H1_TO_H1, KEPT),
    nginx("keepalive", ("keepalive 64;", ""), H2_TO_H2, KEPT),
    nginx(
        "an upstream for each of the two",
        ("grpc://http2", "grpc://http1"),
        H2_TO_H2,
        "(after calls over HTTP/1.1)",
    ),
    nginx(
        "client_max_body_size 0",
        ("client_max_body_size 0;", ""),
        H1_TO_H1,
        "16 MiB up and 3 MiB both ways",
    ),
    nginx(
        "http2_max_concurrent_streams 250",
        ("http2_max_concurrent_streams 250;", ""),
        H2_TO_H1,
        "200 streams at once",
    ),
    nginx(
        "proxy_read_timeout, if it is 1 s",
        ("proxy_read_timeout 1h", "proxy_read_timeout 1s"),
        H1_TO_H1,
        SILENT,
    ),
    nginx(
        "proxy_read_timeout, if it is 1 s",
        ("proxy_read_timeout 1h", "proxy_read_timeout 1s"),
        H2_TO_H1,
        SILENT,
    ),
    nginx(
        "grpc_read_timeout, if it is 1 s",
        ("grpc_read_timeout 1h", "grpc_read_timeout 1s"),
        H1_TO_H2,
        SILENT,
    ),
    nginx(
        "grpc_read_timeout, if it is 1 s",
        ("grpc_read_timeout 1h", "grpc_read_timeout 1s"),
        H2_TO_H2,
        SILENT,
    ),
    nginx(
        "client_body_timeout, if it is 1 s",
        ("client_body_timeout 1h", "client_body_timeout 1s"),
        H1_TO_H1,
        SILENT_UP,
    ),
    haproxy("option http-no-delay", ("option http-no-delay", ""), H1_TO_H1, ONE_BY_ONE),
    haproxy("option abortonclose", ("option abortonclose", ""), H1_TO_H1, "abort: a unary call"),
    haproxy("option abortonclose", ("option abortonclose", ""), H1_TO_H2, "abort: a silent server stream"),
    haproxy(
        "option redispatch 1",
        ("option redispatch 1", ""),
        H2_TO_H1,
        "graceful shutdown of one of two servers",
    ),
    haproxy(
        "tune.h2.max-concurrent-streams 250",
        ("tune.h2.max-concurrent-streams 250", ""),
        H2_TO_H1,
        "200 streams at once",
    ),
    haproxy("timeout server, if it is 1 s", ("timeout server 1h", "timeout server 1s"), H1_TO_H1, SILENT),
    haproxy("timeout server, if it is 1 s", ("timeout server 1h", "timeout server 1s"), H2_TO_H2, SILENT),
    haproxy("timeout client, if it is 1 s", ("timeout client 1h", "timeout client 1s"), H1_TO_H1, SILENT_UP),
    haproxy("timeout client, if it is 1 s", ("timeout client 1h", "timeout client 1s"), H2_TO_H2, SILENT_UP),
];

/// Tries all settings, and makes a table of it.
pub async fn table(
    kind: Kind,
    place: &Place,
    board: &CallBoard,
    servers: &mut Servers,
    document: &Document,
) -> io::Result<String> {
    let mut table = format!("| {}, without | what is tried | what happens |\n|---|---|---|\n", kind.name());
    for setting in SETTINGS.iter().filter(|setting| setting.kind == kind) {
        let (text, instead) = setting.without;
        let way = Way { place: place.clone(), route: setting.route, board: board.clone() };
        let measured = document.row(async || {
            let proxy = Proxy::start(kind, place, |configuration| {
                assert!(configuration.contains(text), "{text} is not in the configuration");
                configuration.replace(text, instead)
            })
            .await?;
            let outcome = trial(setting, &way, servers).await;
            proxy.stop().await?;
            let outcome = outcome.map_or_else(|failed| failed.0, |()| "works".into());
            Ok(format!("| `{}` | {}: {} | {outcome} |", setting.name, setting.route, setting.case))
        });
        table = table + &measured.await? + "\n";
    }
    Ok(table)
}

async fn trial(setting: &Setting, way: &Way, servers: &mut Servers) -> Outcome {
    match setting.case {
        SILENT => silent(way).await,
        SILENT_UP => silent_up(way).await,
        "(after calls over HTTP/1.1)" => after_http1(way).await,
        name => match CASES.iter().find(|(case, _)| *case == name) {
            Some(case) => cases::run(case, way).await,
            None => servers.run(name, way).await,
        },
    }
}

async fn silent(way: &Way) -> Outcome {
    let (call, observed) = way.call(&way.channel()?, "Steps");
    observed.permit(1);
    let mut receiver = call.server_stream("2")?;
    receiver.recv().await?;
    sleep(Duration::from_secs(2)).await;
    observed.permit(2);
    ensure(receiver.recv().await?.is_some() && receiver.recv().await?.is_none(), "another end")
}

async fn silent_up(way: &Way) -> Outcome {
    let (call, observed) = way.call(&way.channel()?, "Half");
    let (mut sender, mut receiver) = call.bidi(Duplex::Half)?;
    sender.send("1").await?;
    observed.begun().await?;
    sleep(Duration::from_secs(2)).await;
    // If it fails, the receiver knows why.
    if sender.send("2").await.is_ok() {
        let _ = sender.finish();
    }
    while receiver.recv().await?.is_some() {}
    Ok(())
}

/// Connections that are kept carry what they carried before, to whomever they are given.
async fn after_http1(way: &Way) -> Outcome {
    let before = Way { route: plain(Version::Http2, Version::Http1), ..way.clone() };
    let channel = before.channel()?;
    let mut failed = Ok(());
    for way in [&before, &before, way, way] {
        let channel = if way.route == before.route { channel.clone() } else { way.channel()? };
        failed =
            failed.and(way.call(&channel, "Echo").0.unary("hello").await.map(drop).map_err(Failed::from));
    }
    failed
}
