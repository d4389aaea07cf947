//! A client that misbehaves on purpose, on raw sockets and the standard library alone.
//!
//! `rude_client ADDRESS WHAT` opens a client stream with one message, and after `go` on stdin goes on as [`act`] tells
//! of WHAT. `report` on stdin prints what it has read of answers. The end of stdin ends it.

use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

static GO: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());
/// The bytes read so far.
static READ: Mutex<Vec<u8>> = Mutex::new(Vec::new());

const HEAD: &[u8] = b"POST /close.Table/Call HTTP/1.1\r\nhost: localhost\r\n\
    content-type: application/connect+proto\r\ntransfer-encoding: chunked\r\n\r\n";
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

fn main() -> io::Result<()> {
    let [_, address, what] = &std::env::args().collect::<Vec<_>>()[..] else {
        return Err(ErrorKind::InvalidInput.into());
    };
    let stream = TcpStream::connect(address)?;
    let (what, number) = what.split_once('-').ok_or(ErrorKind::InvalidInput)?;
    let (what, number) = (what.to_owned(), number.parse().unwrap_or(0));
    thread::spawn(move || act(stream, &what, number));
    for line in io::stdin().lock().lines() {
        match line?.as_str() {
            "go" => {
                *GO.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
                GO.1.notify_all();
            }
            "report" => println!("{}", report()),
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

/// Sends a request in its own way. An error gives the connection up.
fn act(mut stream: TcpStream, what: &str, number: u64) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.write_all(HEAD)?;
    chunk(&mut stream, &envelope(b"hello"))?;
    match what {
        "UnreadAnswer" => stream.write_all(LAST_CHUNK)?,
        "Reset" => {}
        _ => read_along(&stream)?,
    }
    wait_for_go();
    match what {
        "EndAfter" => {
            thread::sleep(Duration::from_millis(number));
            for _ in 0..3 {
                chunk(&mut stream, &envelope(&[b'm'; 1024]))?;
            }
            stream.write_all(LAST_CHUNK)?;
            stream.write_all(HEAD)?;
            chunk(&mut stream, &envelope(b"again"))?;
            stream.write_all(LAST_CHUNK)?;
        }
        "Silent" | "UnreadAnswer" => {}
        "Trickle" => {
            chunk(&mut stream, &prefix(8 << 10))?;
            loop {
                thread::sleep(Duration::from_millis(number));
                chunk(&mut stream, b"x")?;
            }
        }
        "Flood" => loop {
            chunk(&mut stream, &envelope(&[b'x'; 1051]))?;
        },
        "HugePrefix" => {
            chunk(&mut stream, &prefix(3 << 30))?;
            loop {
                chunk(&mut stream, &[b'x'; 16 << 10])?;
            }
        }
        "Gone" => stream.shutdown(std::net::Shutdown::Write)?,
        "Reset" => {
            // Closing with an answer that is not read makes the kernel send a reset.
            stream.peek(&mut [0])?;
            return Ok(());
        }
        _ => return Err(ErrorKind::InvalidInput.into()),
    }
    // The connection is kept open from this side.
    loop {
        thread::park();
    }
}

/// Reads all that comes, while something else is written.
fn read_along(stream: &TcpStream) -> io::Result<()> {
    let mut stream = stream.try_clone()?;
    thread::spawn(move || {
        let mut part = [0; 16 << 10];
        while let Ok(n @ 1..) = stream.read(&mut part) {
            READ.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&part[..n]);
        }
    });
    Ok(())
}

/// How many answers were read whole, and whether there was more.
fn report() -> String {
    let read = String::from_utf8_lossy(&READ.lock().unwrap_or_else(PoisonError::into_inner)).into_owned();
    let (mut whole, mut rest) = (0, read.as_str());
    while let Some(after) = answer(rest) {
        whole += 1;
        rest = after;
    }
    format!("{whole}{}", if rest.is_empty() { "" } else { " and a part" })
}

/// What comes after the answer at the front, if that is whole.
fn answer(read: &str) -> Option<&str> {
    let (head, body) = read.strip_prefix("HTTP/1.1 200 ")?.split_once("\r\n\r\n")?;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
    body.get(length.parse().ok()?..)
}

fn chunk(stream: &mut TcpStream, data: &[u8]) -> io::Result<()> {
    let size = format!("{:x}\r\n", data.len());
    stream.write_all(&[size.as_bytes(), data, b"\r\n"].concat())
}

fn prefix(len: u32) -> [u8; 5] {
    let [a, b, c, d] = len.to_be_bytes();
    [0, a, b, c, d]
}

fn envelope(payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    [&prefix(len)[..], payload].concat()
}
