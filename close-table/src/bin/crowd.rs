//! Ten thousand silent server streams at once, with their server in another process, all closed at the same time.
//!
//! `crowd [RUNTIME [PROTOCOL [STREAMS [DRAIN_MS]]]]`: `tokio` or `smol`, `h1` or `h2`. By default 10,000 on tokio over HTTP/2
//! with the default drain limit. Over HTTP/1.1 each stream needs a file descriptor in each process: see `ulimit -n`.
//!
//! `crowd contended [RUNTIME [MS]]` measures closing while 100 streams contend for one connection.
//!
//! `crowd serve RUNTIME HOST..` is the server.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use close_table::crowd::Crowd;
use close_table::{contended, runtimes, server};
use connect_proto_async::{Protocol, Runtime};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = |at: usize, default: &'static str| arguments.get(at).map_or(default, String::as_str);
    let program = std::env::current_exe()?;
    let program = program.to_str().ok_or("the program's path is not text")?;
    match argument(0, "tokio") {
        "serve" => server::run(&runtime(argument(1, "tokio"))?, arguments.get(2..).unwrap_or_default())?,
        "contended" => {
            let name = argument(1, "tokio");
            let time = Duration::from_millis(argument(2, "5000").parse()?);
            println!("{name}:");
            print!("{}", contended::run(&runtime(name)?, program, &["serve", name, "127.0.0.1"], time));
        }
        name => {
            let protocol = match argument(1, "h2") {
                "h1" => Protocol::Http1,
                "h2" => Protocol::Http2,
                other => return Err(format!("{other} is neither h1 nor h2").into()),
            };
            let drain = arguments.get(3).map(|drain| drain.parse()).transpose()?.map(Duration::from_millis);
            let crowd = Crowd { protocol, streams: argument(2, "10000").parse()?, drain };
            println!("{name}:");
            let report = crowd.run(&runtime(name)?, program, &["serve", name]);
            print!("{report}");
            report.check();
        }
    }
    Ok(())
}

fn runtime(name: &str) -> Result<Arc<dyn Runtime>, String> {
    runtimes::named(name).ok_or_else(|| format!("no runtime is called {name}"))
}
