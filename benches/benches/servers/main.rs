//! Servers as processes of their own under the same load over loopback: what a call or a message costs each of them.
//!
//! `cargo bench --bench servers [-- WORD...]` measures the cases whose names contain one of the words, or all of them.
//! Needs Linux, `taskset` and `h2load`, which is in Debian's `nghttp2-client`. The servers run on core 0, the load on core
//! 1. Their CPU time is that of all their threads, by `/proc/PID/task/*/schedstat`: with what the kernel does for them.
//!
//! - `floor`: bare hyper that hands bytes back, tokio current-thread
//! - `tokio`, `tokio2`, `smol`: this project's server on tokio current-thread, on tokio with two workers, and on smol
//! - `connectrpc`, and over HTTP/2 `tonic` by gRPC, both on tokio current-thread, if `OTHERS` is the path of the program of
//!   `benches/others`: `cargo build --release --manifest-path benches/others/Cargo.toml`

mod floor;
mod idle;
mod load;
mod ours;
mod process;
mod report;

use load::CASES;
use process::Process;

/// The servers that are measured: those of this program, and those of `OTHERS`.
const SERVERS: [&str; 4] = ["floor", "tokio", "tokio2", "smol"];
const OTHERS: [&str; 2] = ["connectrpc", "tonic"];

/// Rounds over all servers, of which the medians count.
const ROUNDS: usize = 3;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.as_slice() {
        [role, server] if role == "serve" => serve(server),
        [words @ .., last] if last == "--bench" => measure(words),
        // A test of the benches wants to know whether they run, and may not have what they need.
        _ => {}
    }
}

/// Serves until the standard input ends, so that no server is left behind.
fn serve(server: &str) {
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(0);
    });
    match server {
        "floor" => floor::serve(),
        "tokio" => ours::on_tokio(&mut tokio::runtime::Builder::new_current_thread()),
        "tokio2" => ours::on_tokio(tokio::runtime::Builder::new_multi_thread().worker_threads(2)),
        "smol" => ours::on_smol(),
        other => panic!("no server {other}"),
    }
}

/// Tells the parent where the server listens.
fn listens_at(port: u16) {
    println!("{port}");
}

fn measure(words: &[String]) {
    let is_asked_for = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word.as_str()));
    let cases: Vec<_> = CASES.iter().filter(|case| is_asked_for(case.name)).collect();
    if !cases.is_empty() {
        let mut servers = Vec::from(SERVERS.map(Process::spawn));
        if let Some(program) = std::env::var_os("OTHERS") {
            servers.extend(OTHERS.map(|name| Process::spawn_other(&program, name)));
        }
        for case in cases {
            report::print(case, &load::measure(case, &servers));
        }
    }
    if is_asked_for("idle") {
        for server in SERVERS {
            report::print_idle(server, &idle::measure(&Process::spawn(server)));
        }
    }
}
