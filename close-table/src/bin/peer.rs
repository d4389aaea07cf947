//! A server that misbehaves on purpose, on raw sockets and the standard library alone.
//!
//! It listens on a free port of the loopback interface and prints the port. What it does with a request stands at the
//! end of the path, see [`respond`]; most of it waits for `go` on stdin. `connections` on stdin prints how many TCP
//! connections it has accepted. The end of stdin ends it.

use std::io::{self, BufRead, Error, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

static ACCEPTED: AtomicUsize = AtomicUsize::new(0);
static GO: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());

const STREAM_HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/connect+proto\r\n\
    transfer-encoding: chunked\r\n\r\n";
const GZIP_STREAM_HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/connect+proto\r\n\
    connect-content-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n";
const UNARY: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/proto\r\ncontent-length: 5\r\n\r\nhello";
const END_STREAM: &[u8] = br#"{"metadata":{"x-end":["reached"]}}"#;
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?.port());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            ACCEPTED.fetch_add(1, Ordering::SeqCst);
            thread::spawn(move || serve(stream));
        }
    });
    for line in io::stdin().lock().lines() {
        match line?.as_str() {
            "go" => {
                *GO.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
                GO.1.notify_all();
            }
            "connections" => println!("{}", ACCEPTED.load(Ordering::SeqCst)),
            other => println!("unknown command {other}"),
        }
    }
    Ok(())
}

fn wait_for_go() {
    let mut go = GO.0.lock().unwrap_or_else(PoisonError::into_inner);
    while !*go {
        go = GO.1.wait(go).unwrap_or_else(PoisonError::into_inner);
    }
}

/// Answers one request after the other, until the connection is over or given up.
fn serve(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    loop {
        let head = read_head(&mut stream)?;
        let path = head.split(' ').nth(1).ok_or(ErrorKind::InvalidData)?;
        let (what, how) = path.rsplit('/').next().unwrap_or_default().split_once('-').unwrap_or_default();
        if what == "Reset" {
            // The body is left unread, so that closing makes the kernel send a reset.
            return begin(&mut stream);
        }
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .and_then(|length| length.parse().ok())
            .ok_or(ErrorKind::InvalidData)?;
        io::copy(&mut (&stream).take(length), &mut io::sink())?;
        respond(&mut stream, what, how)?;
    }
}

/// Reads up to the empty line and not a byte further.
fn read_head(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.extend_from_slice(&byte);
    }
    String::from_utf8(head).map_err(|_| Error::from(ErrorKind::InvalidData))
}

/// Does what the path asks for. An error gives the connection up.
fn respond(stream: &mut TcpStream, what: &str, how: &str) -> io::Result<()> {
    let number = how.parse().unwrap_or(0);
    match what {
        "Unary" => stream.write_all(UNARY),
        "EndAfter" => {
            begin(stream)?;
            thread::sleep(Duration::from_millis(number));
            for _ in 0..3 {
                chunk(stream, &envelope(0, &[b'm'; 1024]))?;
            }
            chunk(stream, &envelope(2, END_STREAM))?;
            stream.write_all(LAST_CHUNK)
        }
        "Silent" => {
            begin(stream)?;
            until_closed(stream)
        }
        "NeverHead" => until_closed(stream),
        "Trickle" => {
            begin(stream)?;
            chunk(stream, &prefix(0, 8 << 10))?;
            loop {
                thread::sleep(Duration::from_millis(number));
                chunk(stream, b"x")?;
            }
        }
        "FloodGzip" => {
            stream.write_all(GZIP_STREAM_HEAD)?;
            let message = envelope(1, &zipped_mebibyte());
            chunk(stream, &message)?;
            wait_for_go();
            loop {
                chunk(stream, &message)?;
            }
        }
        "HugePrefix" => {
            begin(stream)?;
            chunk(stream, &prefix(0, 3 << 30))?;
            loop {
                chunk(stream, &[b'x'; 16 << 10])?;
            }
        }
        "CutOff" => {
            begin(stream)?;
            chunk(stream, &[&prefix(0, 100)[..], &[b'x'; 10]].concat())?;
            Err(ErrorKind::ConnectionAborted.into())
        }
        "CutInside" => {
            begin(stream)?;
            chunk(stream, &[&prefix(0, 100)[..], &[b'x'; 10]].concat())?;
            stream.write_all(LAST_CHUNK)
        }
        "AfterEnd" => {
            begin(stream)?;
            let mut late = chunked(&[envelope(2, END_STREAM), envelope(0, b"late")].concat());
            if how == "open" {
                stream.write_all(&late)?;
                return until_closed(stream);
            }
            late.extend_from_slice(LAST_CHUNK);
            stream.write_all(&late)
        }
        _ => Err(ErrorKind::InvalidInput.into()),
    }
}

/// The head of a stream and its first message, then waits for `go`.
fn begin(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(STREAM_HEAD)?;
    chunk(stream, &envelope(0, b"hello"))?;
    wait_for_go();
    Ok(())
}

fn until_closed(stream: &mut TcpStream) -> io::Result<()> {
    io::copy(stream, &mut io::sink())?;
    Err(ErrorKind::UnexpectedEof.into())
}

fn chunk(stream: &mut TcpStream, data: &[u8]) -> io::Result<()> {
    stream.write_all(&chunked(data))
}

fn chunked(data: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat()
}

fn prefix(flags: u8, len: u32) -> [u8; 5] {
    let [a, b, c, d] = len.to_be_bytes();
    [flags, a, b, c, d]
}

fn envelope(flags: u8, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    [&prefix(flags, len)[..], payload].concat()
}

/// A mebibyte of zeros in gzip, as `gzip -9` makes it: 1,051 bytes.
fn zipped_mebibyte() -> Vec<u8> {
    const START: &[u8] = b"\x1f\x8b\x08\0\0\0\0\0\x02\x03\
        \xed\xc1\x31\x01\0\0\0\xc2\xa0\xf5\x4f\x6d\x08\x5f\xa0";
    // Each byte of zero stands for 1,032 bytes of zeros.
    const END: &[u8] = b"\x3e\x03\x1c\xea\x38\xa7\0\0\x10\0";
    [START, &[0; 1016], END].concat()
}
