//! Tries calls through nginx and HAProxy, prints what came of it as tables, and fails unless docs/deployment.md has the same.
//!
//! The argument is a directory with `certificate.pem`: the certificate of the proxies and its key.

mod cases;
mod curl;
mod document;
mod proxy;
mod servers;
mod settings;
mod upstream;
mod way;

use std::error::Error;
use std::io;
use std::path::PathBuf;

use document::Document;
use proxy::{Front, Kind, Place, Proxy, Route, Version};
use servers::Servers;
use upstream::CallBoard;
use way::{Outcome, Way};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let directory = PathBuf::from(std::env::args().nth(1).ok_or("usage: deployment DIRECTORY")?);
    let place = Place::choose(&directory).await?;
    let board = CallBoard::default();
    let mut servers = Servers::start(&place, &board).await?;
    let document = Document::read()?;
    let mut tables = Vec::new();
    for kind in [Kind::Nginx, Kind::HaProxy] {
        tables.push(works(kind, &place, &board, &mut servers, &document).await?);
        tables.push(settings::table(kind, &place, &board, &mut servers, &document).await?);
    }
    tables.iter().for_each(|table| println!("{table}"));
    let missing: Vec<&str> =
        tables.iter().flat_map(|table| table.lines()).filter(|line| !document.has(line)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(format!("docs/deployment.md says otherwise than:\n{}", missing.join("\n")).into())
}

/// The four ways in the clear, which are also tried through TLS.
fn ways(place: &Place, board: &CallBoard) -> [Way; 4] {
    [
        (Version::Http1, Version::Http1),
        (Version::Http2, Version::Http1),
        (Version::Http1, Version::Http2),
        (Version::Http2, Version::Http2),
    ]
    .map(|(front, upstream)| {
        let route = Route { front: Front::Plain(front), upstream };
        Way { place: place.clone(), route, board: board.clone() }
    })
}

/// The same way through TLS.
fn secured(way: &Way) -> Way {
    let front = match way.route.front {
        Front::Plain(version) | Front::Tls(version) => Front::Tls(version),
    };
    Way { route: Route { front, ..way.route }, ..way.clone() }
}

/// What works through a proxy.
async fn works(
    kind: Kind,
    place: &Place,
    board: &CallBoard,
    servers: &mut Servers,
    document: &Document,
) -> io::Result<String> {
    let ways = ways(place, board);
    let proxy = Proxy::start(kind, place, |configuration| configuration).await?;
    let names: Vec<String> = ways.iter().map(|way| way.route.to_string()).collect();
    let mut table = format!("| {} | {} |\n|---|---|---|---|---|\n", kind.name(), names.join(" | "));
    let row = |name: &str, cells: Vec<String>| format!("| {name} | {} |", cells.join(" | "));
    for case in cases::CASES {
        let measured = document.row(async || {
            let mut cells = Vec::new();
            for way in &ways {
                let plain = cell(cases::run(case, way).await);
                let tls = cell(cases::run(case, &secured(way)).await);
                cells.push(if plain == tls { plain } else { format!("{plain}; through TLS: {tls}") });
            }
            Ok(row(case.0, cells))
        });
        table = table + &measured.await? + "\n";
    }
    for case in servers::CASES {
        let measured = document.row(async || {
            let mut cells = Vec::new();
            for way in &ways {
                cells.push(cell(servers.run(case, way).await));
            }
            Ok(row(case, cells))
        });
        table = table + &measured.await? + "\n";
    }
    for case in curl::CASES {
        let measured = document.row(async || {
            let mut cells = Vec::new();
            for way in &ways {
                cells.push(cell(curl::run(case, &secured(way)).await));
            }
            Ok(row(&format!("curl through TLS: {case}"), cells))
        });
        table = table + &measured.await? + "\n";
    }
    proxy.stop().await?;
    Ok(table)
}

fn cell(outcome: Outcome) -> String {
    outcome.map_or_else(|failed| failed.0, |()| "works".into())
}
