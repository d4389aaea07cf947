//! Tries calls behind nginx and HAProxy.
mod cases; mod curl; mod proxy; mod servers; mod upstream; mod way;
use proxy::*;
use way::*;
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = std::path::PathBuf::from(std::env::args().nth(1).ok_or("directory")?);
    let place = Place::choose(&directory).await?;
    let board = upstream::CallBoard::default();
    let mut servers = servers::Servers::start(&place, &board).await?;
    for kind in [Kind::Nginx, Kind::HaProxy] {
        let proxy = Proxy::start(kind, &place, |text| text).await?;
        for upstream in [Version::Http1, Version::Http2] {
            for front in [Version::Http1, Version::Http2] {
                let way = Way { place: place.clone(), route: Route { front: Front::Plain(front), upstream }, board: board.clone() };
                let tls = Way { place: place.clone(), route: Route { front: Front::Tls(front), upstream }, board: board.clone() };
                for case in curl::CASES.iter().filter(|c| std::env::args().nth(2).is_none_or(|f| c.contains(&f))) {
                    let now = std::time::Instant::now();
                    let o = curl::run(case, &tls).await;
                    println!("curl {} {:?}->{:?} {}: {:?} {:?}", kind.name(), front, upstream, case, o.map_err(|e| e.0), now.elapsed());
                }
                for case in servers::CASES.iter().filter(|c| std::env::args().nth(2).is_none_or(|f| c.contains(&f))) {
                    let now = std::time::Instant::now();
                    let o = servers.run(case, &way).await;
                    println!("{} {:?}->{:?} {}: {:?} {:?}", kind.name(), front, upstream, case, o.map_err(|e| e.0), now.elapsed());
                }
                for case in cases::CASES.iter().filter(|c| std::env::args().nth(2).is_none_or(|f| c.0.contains(&f))) {
                    let now = std::time::Instant::now();
                    let o = cases::run(case, &way).await;
                    println!("{} {:?}->{:?} {}: {:?} {:?}", kind.name(), front, upstream, case.0, o.map_err(|e| e.0), now.elapsed());
                }
            }
        }
        proxy.stop().await?;
    }
    Ok(())
}
