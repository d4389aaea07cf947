//! The table of hostile HTTP/2 clients: a server in a process of its own is sent what should cost it dearly, frame by
//! frame over a socket; what stops it, what the client is told, and how much memory it takes.
//!
//! `cargo test -p close-table --test hostile_http2 -- --nocapture` shows it.

#[path = "hostile_http2/attacks.rs"]
mod attacks;
#[path = "hostile_http2/frames.rs"]
mod frames;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use attacks::{Attack, attacks};
use close_table::process::Process;
use close_table::text::table;
use frames::{GOAWAY, HEADERS, PREFACE, RST_STREAM, call, frame, settings, window_update};

/// How long a connection that has had enough may take to say so and end: it lingers for a second.
const PATIENCE: Duration = Duration::from_secs(20);

/// What an attack has led to.
#[derive(Debug)]
struct Outcome {
    sent: u64,
    told: String,
    end: &'static str,
    /// In KiB.
    memory: u64,
}

#[test]
fn hostile_http2_clients_are_stopped_and_get_no_memory() {
    let mut lines = Vec::new();
    let mut failures = Vec::new();
    for attack in attacks() {
        let got = run(&attack);
        // A reset of the connection can overtake what was said before it, and one that does not read is told nothing.
        let told = !attack.reads || got.told == attack.told || (got.end == "reset" && got.told.is_empty());
        let ended = if attack.kept { got.end == "kept" } else { matches!(got.end, "FIN" | "reset") };
        if !told || !ended || got.memory > attack.memory {
            failures.push(format!("{}: {got:?}", attack.name));
        }
        lines.push(vec![
            attack.name.to_owned(),
            attack.limit.to_owned(),
            size(got.sent),
            match () {
                () if !attack.reads => "it does not read".to_owned(),
                () if got.told.is_empty() => "-".to_owned(),
                () => got.told,
            },
            got.end.to_owned(),
            format!("{} KiB", got.memory),
        ]);
    }
    let header =
        ["the client sends", "the limit", "taken", "the client is told", "connection", "peak memory"];
    println!("{}", table("A server among hostile HTTP/2 clients, default limits", &header, &lines));
    println!(
        "  Taken: what was written before the connection took no more. Connection: kept, if it carries a further \
         call.\n  Peak memory: by how much the most that the process ever held (VmHWM) has grown. After each attack \
         the\n  server takes a call on a new connection."
    );
    assert!(failures.is_empty(), "{failures:#?}");
}

fn size(bytes: u64) -> String {
    if bytes < 1 << 20 {
        format!("{} KiB", bytes.div_ceil(1024))
    } else {
        format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
    }
}

/// One attack on a server of its own.
fn run(attack: &Attack) -> Outcome {
    let mut server = Process::start(env!("CARGO_BIN_EXE_server"), &attack.server);
    let port: u16 = server.line().parse().expect("a port");
    assert!(takes_a_call(&connect(port), 1, true), "before {}", attack.name);
    let before: u64 = server.ask("peak").parse().expect("KiB");

    let socket = connect(port);
    let mut reader = Reader::new(&socket);
    let sent = thread::scope(|scope| {
        let writer = scope.spawn(|| write(&socket, attack));
        if attack.reads {
            reader.until_end_or(|| writer.is_finished());
        }
        writer.join().expect("the writer ends")
    });
    reader.for_a_while(if attack.kept { Duration::from_millis(300) } else { PATIENCE });
    let told = told(&reader.read);
    let mut end = reader.end;
    if attack.kept && end.is_none() && takes_a_call(&socket, attack.next_id, false) {
        end = Some("kept");
    }
    let memory = server.ask("peak").parse::<u64>().expect("KiB") - before;
    assert!(takes_a_call(&connect(port), 1, true), "after {}", attack.name);
    Outcome { sent, told, end: end.unwrap_or("open, and dead"), memory }
}

fn connect(port: u16) -> TcpStream {
    let socket = TcpStream::connect(("127.0.0.1", port)).expect("connect");
    socket.set_nodelay(true).expect("no delay");
    // Nothing here takes so long; it only keeps a failure from hanging.
    socket.set_write_timeout(Some(PATIENCE)).expect("a timeout");
    socket
}

/// Makes an ordinary call.
fn takes_a_call(mut socket: &TcpStream, id: u32, fresh: bool) -> bool {
    let start = if fresh { [PREFACE, &settings(&[])].concat() } else { Vec::new() };
    // Its window may be 0.
    if socket.write_all(&[start, call(id), window_update(id, 1000)].concat()).is_err() {
        return false;
    }
    let mut reader = Reader::new(socket);
    let until = Instant::now() + PATIENCE;
    while reader.end.is_none() && Instant::now() < until {
        reader.more(Duration::from_millis(100));
        if reader.read.windows(4).any(|part| part == b"fine") {
            return true;
        }
    }
    false
}

/// Writes until all is sent or the server has had enough; returns how many bytes that were.
fn write(mut socket: &TcpStream, attack: &Attack) -> u64 {
    let mut sent = 0;
    for n in 0..=attack.times {
        let part = if n == 0 { attack.start.clone() } else { (attack.again)(n) };
        let mut rest = &part[..];
        while !rest.is_empty() {
            match socket.write(rest) {
                Ok(0) | Err(_) => return sent,
                Ok(n) => {
                    sent += n as u64;
                    rest = &rest[n..];
                }
            }
        }
    }
    sent
}

struct Reader<'a> {
    socket: &'a TcpStream,
    read: Vec<u8>,
    end: Option<&'static str>,
}

impl<'a> Reader<'a> {
    fn new(socket: &'a TcpStream) -> Self {
        Reader { socket, read: Vec::new(), end: None }
    }

    fn more(&mut self, patience: Duration) {
        self.socket.set_read_timeout(Some(patience)).expect("a timeout");
        let mut part = [0; 64 << 10];
        match (&mut &*self.socket).read(&mut part) {
            Ok(0) => self.end = Some("FIN"),
            Ok(n) => self.read.extend_from_slice(&part[..n]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => self.end = Some("reset"),
        }
    }

    fn until_end_or(&mut self, done: impl Fn() -> bool) {
        while self.end.is_none() && !done() {
            self.more(Duration::from_millis(50));
        }
    }

    fn for_a_while(&mut self, time: Duration) {
        let until = Instant::now() + time;
        self.until_end_or(|| Instant::now() >= until);
    }
}

/// What the frames that were read say of errors: the GOAWAY with one, or how many streams were reset with what.
fn told(read: &[u8]) -> String {
    let mut rest = read;
    let mut resets: Vec<(u32, usize)> = Vec::new();
    let (mut answers, mut goaway) = (0, None);
    while let [a, b, c, kind, _, _, _, _, _, after @ ..] = rest {
        let len = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        let Some(payload) = after.get(..len) else { break };
        let number = |at: usize| {
            payload.get(at..at + 4).map_or(0, |four| u32::from_be_bytes([four[0], four[1], four[2], four[3]]))
        };
        match *kind {
            GOAWAY => goaway = Some(format!("GOAWAY {}", code(number(4)))),
            RST_STREAM => match resets.iter_mut().find(|(code, _)| *code == number(0)) {
                Some((_, count)) => *count += 1,
                None => resets.push((number(0), 1)),
            },
            HEADERS => answers += 1,
            _ => {}
        }
        rest = &after[len..];
    }
    if let Some(goaway) = goaway {
        return goaway;
    }
    let mut told: Vec<String> =
        resets.iter().map(|(number, count)| format!("{count} RST_STREAM {}", code(*number))).collect();
    if answers > 0 {
        told.push(format!("{answers} answered"));
    }
    told.join(", ")
}

fn code(number: u32) -> String {
    match number {
        0 => "NO_ERROR",
        1 => "PROTOCOL_ERROR",
        3 => "FLOW_CONTROL_ERROR",
        4 => "SETTINGS_TIMEOUT",
        5 => "STREAM_CLOSED",
        6 => "FRAME_SIZE_ERROR",
        7 => "REFUSED_STREAM",
        9 => "COMPRESSION_ERROR",
        11 => "ENHANCE_YOUR_CALM",
        other => return other.to_string(),
    }
    .to_owned()
}

#[test]
fn frames_are_told_apart() {
    let read = [frame(RST_STREAM, 0, 1, &[0, 0, 0, 7]), frame(HEADERS, 4, 3, &[0x88])].concat();
    assert_eq!(told(&read), "1 RST_STREAM REFUSED_STREAM, 1 answered");
}
