//! The table of hostile clients: a server in a process of its own is sent what should cost it dearly; what it answers,
//! whether a client can read that, and how much memory it takes.
//!
//! `cargo test -p close-table --test hostile -- --nocapture` shows it.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use close_table::process::Process;
use close_table::text::table;

const MEBI: u64 = 1 << 20;
/// How long a connection must stay open after its answer to count as kept: longer than a server lingers.
const KEPT: Duration = Duration::from_secs(3);

struct Attack {
    name: &'static str,
    /// The head and whatever comes once.
    start: Vec<u8>,
    /// What is sent again and again after it, and how many bytes of that.
    again: Vec<u8>,
    times: u64,
    answer: &'static str,
    /// How the call and the connection end, as the server sees it.
    ends: &'static str,
    /// Whether the connection carries a further call.
    kept: bool,
    /// The most memory it may take, in KiB.
    memory: u64,
}

fn head(path: &str, headers: &str) -> Vec<u8> {
    format!("POST /hostile.Table/{path} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n").into_bytes()
}

fn unary(headers: &str) -> Vec<u8> {
    head("Unary", &format!("content-type: application/proto\r\n{headers}"))
}

fn stream(headers: &str) -> Vec<u8> {
    head("Stream", &format!("content-type: application/connect+proto\r\n{headers}"))
}

/// A single gzip member that begins to inflate to zeros without an end: each further byte of zero makes 1,032.
const BOMB: &[u8] = b"\x1f\x8b\x08\0\0\0\0\0\x02\x03\xed\xc1\x31\x01\0\0\0\xc2\xa0\xf5\x4f\x6d\x08\x5f\xa0";
const BOMB_LEN: u64 = 4 * MEBI;

fn attacks() -> Vec<Attack> {
    let zeros = vec![0; 16 << 10];
    let attack = |name, start: Vec<u8>, again: &[u8], total: u64, answer| Attack {
        name,
        start,
        again: again.to_vec(),
        times: total / again.len() as u64,
        answer,
        ends: "call Complete, connection RequestUnread",
        kept: false,
        memory: 1024,
    };
    let broken_head = |name, start, again: &[u8], answer| Attack {
        ends: "connection PeerMisbehaved",
        ..attack(name, start, again, 100 * MEBI, answer)
    };
    let broken_body = |name, start, again: &[u8]| Attack {
        ends: "call Complete, connection PeerMisbehaved",
        ..attack(name, start, again, 100 * MEBI, "429 resource_exhausted")
    };
    let bomb = |name, start: Vec<u8>, prefix: &[u8], answer| Attack {
        kept: true,
        ends: "call Complete, call Complete",
        // The message as it came, and as much of it inflated as is allowed, in a buffer that grows by doubling.
        memory: 16 << 10,
        ..attack(name, [&start, prefix, BOMB].concat(), &zeros, BOMB_LEN - (16 << 10), answer)
    };
    let in_bomb = BOMB_LEN - (16 << 10) + BOMB.len() as u64;
    let [a, b, c, d] = (in_bomb as u32).to_be_bytes();
    vec![
        attack(
            "stream, a prefix that declares 3 GiB",
            [stream("transfer-encoding: chunked\r\n"), b"5\r\n\0\xc0\0\0\0\r\n".to_vec()].concat(),
            &[b"4000\r\n", &zeros[..], b"\r\n"].concat(),
            100 * MEBI,
            "200 resource_exhausted",
        ),
        attack(
            "unary, a content-length of 3 GiB",
            unary("content-length: 3221225472\r\n"),
            &zeros,
            100 * MEBI,
            "429 resource_exhausted",
        ),
        Attack {
            // As much as a message may have.
            memory: 6 << 10,
            ..attack(
                "unary, chunks without an end",
                unary("transfer-encoding: chunked\r\n"),
                &[b"4000\r\n", &zeros[..], b"\r\n"].concat(),
                100 * MEBI,
                "429 resource_exhausted",
            )
        },
        broken_head(
            "a head without an end",
            b"POST /hostile.Table/Unary HTTP/1.1\r\nhost: localhost\r\n".to_vec(),
            &[b"x-long: ".as_slice(), &[b'y'; 1000], b"\r\n"].concat(),
            "431",
        ),
        broken_head("a request line without an end", b"POST /".to_vec(), &[b'x'; 1024], "414"),
        broken_body(
            "a chunk extension without an end",
            [unary("transfer-encoding: chunked\r\n"), b"4;x=".to_vec()].concat(),
            &[b'y'; 1024],
        ),
        broken_body(
            "trailers without an end",
            [unary("transfer-encoding: chunked\r\n"), b"0\r\n".to_vec()].concat(),
            &[b"x-long: ".as_slice(), &[b'y'; 1000], b"\r\n"].concat(),
        ),
        attack(
            "a 415 with a body of 100 MB",
            head("Unary", "content-type: text/plain\r\ncontent-length: 100000000\r\n"),
            &[b'x'; 10_000],
            100_000_000,
            "415",
        ),
        bomb(
            "unary, a gzip bomb of 4 GiB",
            unary(&format!("content-encoding: gzip\r\ncontent-length: {in_bomb}\r\n")),
            &[],
            "429 resource_exhausted",
        ),
        bomb(
            "stream, a gzip bomb of 4 GiB",
            stream(&format!("connect-content-encoding: gzip\r\ncontent-length: {}\r\n", in_bomb + 5)),
            &[1, a, b, c, d],
            "200 resource_exhausted",
        ),
    ]
}

/// When the client reads.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reads {
    WhileItWrites,
    AfterAll,
}

/// What an attack has led to.
struct Outcome {
    sent: u64,
    answer: String,
    whole: bool,
    /// What became of the connection.
    end: &'static str,
    /// In KiB.
    memory: u64,
    ends: String,
}

#[test]
fn hostile_clients_get_an_answer_and_no_memory() {
    let attacks = attacks();
    let mut lines = Vec::new();
    let mut failures = Vec::new();
    for attack in &attacks {
        for reads in [Reads::WhileItWrites, Reads::AfterAll] {
            let got = run(attack, reads);
            let style =
                if reads == Reads::AfterAll { "writes all, then reads" } else { "reads while it writes" };
            let end = if attack.kept { "kept" } else { "FIN" };
            // A reset can overtake an answer that is read too late, but not one that is waited for.
            let read = got.answer == attack.answer && got.whole;
            let ended = got.end == end || (reads == Reads::AfterAll && !attack.kept && got.end == "reset");
            if !read || !ended || got.ends != attack.ends || got.memory > attack.memory {
                failures.push(format!("{}, {style}", attack.name));
            }
            lines.push(vec![
                attack.name.to_owned(),
                style.to_owned(),
                format!("{:.1} MiB", got.sent as f64 / MEBI as f64),
                got.answer,
                if got.whole { "yes" } else { "no" }.to_owned(),
                got.end.to_owned(),
                got.ends,
                format!("{} KiB", got.memory),
            ]);
        }
    }
    let header = [
        "the client sends",
        "and",
        "sent",
        "answer",
        "read whole",
        "connection",
        "server's view",
        "peak memory",
    ];
    println!("{}", table("A server among hostile clients, default limits", &header, &lines));
    println!(
        "  Peak memory: by how much the most that the process ever held (VmHWM) has grown in the attack.\n  \
         Connection: how it ends for the client, after the answer. After each attack the server takes a call."
    );
    assert!(failures.is_empty(), "{failures:#?}");
}

/// One attack on a server of its own.
fn run(attack: &Attack, reads: Reads) -> Outcome {
    let mut server = Process::start(env!("CARGO_BIN_EXE_server"), &[]);
    let port: u16 = server.line().parse().expect("a port");
    greet(&connect(port));
    let ready = ends(&mut server, "call Complete, connection PeerClosed");
    let before: u64 = server.ask("peak").parse().expect("KiB");

    let socket = connect(port);
    let mut reader = Reader { socket: &socket, read: Vec::new(), end: None };
    let sent = thread::scope(|scope| {
        let writer = scope.spawn(|| write(&socket, attack));
        if reads == Reads::WhileItWrites {
            reader.answer();
        }
        writer.join().expect("the writer ends")
    });
    reader.answer();
    let (answer, whole) = summary(&reader.read);
    let end = reader.end(attack.kept);
    if attack.kept {
        greet(&socket);
    }
    let memory = server.ask("peak").parse::<u64>().expect("KiB") - before;
    let ends = ends(&mut server, &format!("{ready}, {}", attack.ends));
    let ends = ends.strip_prefix(&ready).unwrap_or_default().trim_start_matches(", ").to_owned();
    greet(&connect(port));
    Outcome { sent, answer, whole, end, memory, ends }
}

/// How calls and connections have ended so far; waits a little for what is wanted.
fn ends(server: &mut Process, wanted: &str) -> String {
    let until = Instant::now() + Duration::from_secs(5);
    loop {
        let ends = server.ask("ends");
        if ends == wanted || Instant::now() > until {
            return ends;
        }
        thread::sleep(Duration::from_millis(2));
    }
}

fn connect(port: u16) -> TcpStream {
    let socket = TcpStream::connect(("127.0.0.1", port)).expect("connect");
    socket.set_nodelay(true).expect("no delay");
    // Nothing here takes so long; it only keeps a failure from hanging.
    socket.set_write_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    socket
}

/// An ordinary call.
fn greet(mut socket: &TcpStream) {
    socket.write_all(&[unary("content-length: 5\r\n"), b"hello".to_vec()].concat()).expect("write");
    let mut reader = Reader { socket, read: Vec::new(), end: None };
    reader.answer();
    assert_eq!(summary(&reader.read), ("200".to_owned(), true));
}

/// Writes until all is sent or the server has had enough; returns how many bytes that were.
fn write(mut socket: &TcpStream, attack: &Attack) -> u64 {
    let mut sent = 0;
    let parts = std::iter::once(&attack.start)
        .chain(std::iter::repeat_n(&attack.again, usize::try_from(attack.times).expect("fits")));
    for part in parts {
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

/// Reads an answer, and then how the connection ends.
struct Reader<'a> {
    socket: &'a TcpStream,
    read: Vec<u8>,
    end: Option<&'static str>,
}

impl Reader<'_> {
    /// Reads until the answer is whole or the connection ends.
    fn answer(&mut self) {
        let until = Instant::now() + Duration::from_secs(20);
        while !summary(&self.read).1 && self.end.is_none() {
            self.more(until);
        }
    }

    fn more(&mut self, until: Instant) {
        let patience = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        self.socket.set_read_timeout(Some(patience)).expect("a timeout");
        let mut part = [0; 4096];
        match (&mut &*self.socket).read(&mut part) {
            Ok(0) => self.end = Some("FIN"),
            Ok(n) => self.read.extend_from_slice(&part[..n]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                self.end = Some("kept");
            }
            Err(_) => self.end = Some("reset"),
        }
    }

    /// How the connection ends, if it does within the time that a server lingers.
    fn end(mut self, kept: bool) -> &'static str {
        let until = Instant::now() + if kept { Duration::from_millis(300) } else { KEPT };
        while self.end.is_none() {
            self.more(until);
        }
        if self.end == Some("FIN") {
            let _ = self.socket.shutdown(Shutdown::Both);
        }
        self.end.unwrap_or_default()
    }
}

/// The status and the Connect code of an answer, and whether it is whole.
fn summary(read: &[u8]) -> (String, bool) {
    let text = String::from_utf8_lossy(read);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return (String::new(), false) };
    let mut answer = head.split(' ').nth(1).unwrap_or_default().to_owned();
    if let Some((_, code)) = body.split_once("\"code\":\"") {
        answer = format!("{answer} {}", code.split('"').next().unwrap_or_default());
    }
    let length =
        head.to_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let whole = match length {
        Some(length) => body.len() >= length,
        None => body.ends_with("0\r\n\r\n"),
    };
    (answer, whole)
}
