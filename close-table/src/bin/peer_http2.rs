//! An HTTP/2 server that misbehaves on purpose, on raw sockets and the standard library alone.
//!
//! It listens on a free port of the loopback interface and prints the port. It does not decode requests: `next WHAT` on
//! stdin says what it does with the streams that begin from then on, see `respond`, and `ok` answers that. Most of it
//! waits for `go`. `connections` prints how many TCP connections it has accepted. The end of stdin ends it.

use std::collections::HashMap;
use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

static ACCEPTED: AtomicUsize = AtomicUsize::new(0);
static CONTROL: (Mutex<Control>, Condvar) =
    (Mutex::new(Control { next: String::new(), go: false }), Condvar::new());

struct Control {
    next: String,
    go: bool,
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
/// On DATA and HEADERS; on SETTINGS and PING the same bit is ACK.
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

const END: &[u8] = br#"{"metadata":{"x-end":["reached"]}}"#;

fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?.port());
    thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            ACCEPTED.fetch_add(1, Ordering::SeqCst);
            thread::spawn(move || Connection::serve(socket));
        }
    });
    for line in io::stdin().lock().lines() {
        let line = line?;
        match line.split_once(' ') {
            Some(("next", what)) => {
                *lock(&CONTROL.0) = Control { next: what.to_owned(), go: false };
                println!("ok");
            }
            _ if line == "go" => {
                lock(&CONTROL.0).go = true;
                CONTROL.1.notify_all();
            }
            _ if line == "connections" => println!("{}", ACCEPTED.load(Ordering::SeqCst)),
            _ => println!("unknown command {line}"),
        }
    }
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wait_for_go() {
    let mut control = lock(&CONTROL.0);
    while !control.go {
        control = CONTROL.1.wait(control).unwrap_or_else(PoisonError::into_inner);
    }
}

/// A connection that is read by one thread and written by one for each stream.
struct Connection {
    socket: TcpStream,
    writing: Mutex<()>,
    windows: Mutex<Windows>,
    changed: Condvar,
}

#[derive(Default)]
struct Windows {
    /// Bytes of DATA that the client takes on the whole connection.
    connection: i64,
    /// The window of a new stream.
    initial: i64,
    streams: HashMap<u32, Stream>,
    is_over: bool,
}

#[derive(Default)]
struct Stream {
    window: i64,
    /// The client's side is complete.
    is_ended: bool,
    is_reset: bool,
}

impl Connection {
    fn serve(socket: TcpStream) -> io::Result<()> {
        socket.set_nodelay(true)?;
        let windows = Windows { connection: 65_535, initial: 65_535, ..Windows::default() };
        let connection = Arc::new(Connection {
            socket,
            writing: Mutex::new(()),
            windows: Mutex::new(windows),
            changed: Condvar::new(),
        });
        let read = connection.read();
        lock(&connection.windows).is_over = true;
        connection.changed.notify_all();
        read
    }

    fn read(self: &Arc<Self>) -> io::Result<()> {
        let mut preface = [0; PREFACE.len()];
        (&self.socket).read_exact(&mut preface)?;
        if preface != PREFACE {
            return Err(ErrorKind::InvalidData.into());
        }
        self.frame(SETTINGS, 0, 0, &[])?;
        loop {
            let mut head = [0; 9];
            (&self.socket).read_exact(&mut head)?;
            let [l1, l2, l3, kind, flags, i1, i2, i3, i4] = head;
            let mut payload = vec![0; u32::from_be_bytes([0, l1, l2, l3]) as usize];
            (&self.socket).read_exact(&mut payload)?;
            self.take(kind, flags, u32::from_be_bytes([i1, i2, i3, i4]), &payload)?;
            self.changed.notify_all();
        }
    }

    fn take(self: &Arc<Self>, kind: u8, flags: u8, id: u32, payload: &[u8]) -> io::Result<()> {
        let number = payload.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
        match kind {
            SETTINGS if flags & END_STREAM == 0 => {
                let mut windows = lock(&self.windows);
                for setting in payload.chunks_exact(6) {
                    if let [0, 4, a, b, c, d] = setting {
                        windows.initial = u32::from_be_bytes([*a, *b, *c, *d]).into();
                    }
                }
                drop(windows);
                self.frame(SETTINGS, END_STREAM, 0, &[])?;
            }
            PING if flags & END_STREAM == 0 => self.frame(PING, END_STREAM, 0, payload)?,
            HEADERS => {
                let mut windows = lock(&self.windows);
                let window = windows.initial;
                windows.streams.insert(id, Stream { window, ..Stream::default() });
                drop(windows);
                let (what, connection) = (lock(&CONTROL.0).next.clone(), self.clone());
                thread::spawn(move || connection.respond(id, &what));
            }
            DATA if !payload.is_empty() => {
                let by = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
                self.frame(WINDOW_UPDATE, 0, 0, &by)?;
            }
            RST_STREAM => self.stream(id, |stream| stream.is_reset = true),
            WINDOW_UPDATE if id == 0 => lock(&self.windows).connection += i64::from(number),
            WINDOW_UPDATE => self.stream(id, |stream| stream.window += i64::from(number)),
            _ => {}
        }
        if matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0 {
            self.stream(id, |stream| stream.is_ended = true);
        }
        Ok(())
    }

    fn stream(&self, id: u32, change: impl FnOnce(&mut Stream)) {
        if let Some(stream) = lock(&self.windows).streams.get_mut(&id) {
            change(stream);
        }
    }

    fn frame(&self, kind: u8, flags: u8, id: u32, payload: &[u8]) -> io::Result<()> {
        let [_, a, b, c] = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
        let [d, e, f, g] = id.to_be_bytes();
        let _writing = lock(&self.writing);
        (&self.socket).write_all(&[&[a, b, c, kind, flags, d, e, f, g], payload].concat())
    }

    /// Waits for what the client does. An error if it reset the stream or is gone.
    fn wait<T>(&self, id: u32, mut ready: impl FnMut(&mut i64, &mut Stream) -> Option<T>) -> io::Result<T> {
        let mut windows = lock(&self.windows);
        loop {
            let Windows { connection, streams, is_over, .. } = &mut *windows;
            let stream = streams.get_mut(&id).ok_or(ErrorKind::NotFound)?;
            if *is_over || stream.is_reset {
                return Err(ErrorKind::ConnectionReset.into());
            }
            if let Some(done) = ready(connection, stream) {
                return Ok(done);
            }
            windows = self.changed.wait(windows).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// DATA, as the client's windows allow.
    fn data(&self, id: u32, mut payload: &[u8], end: bool) -> io::Result<()> {
        loop {
            let len = self.wait(id, |connection, stream| {
                let len = usize::try_from(stream.window.min(*connection)).unwrap_or(0);
                let len = len.min(16 << 10).min(payload.len());
                stream.window -= len as i64;
                *connection -= len as i64;
                (len > 0 || payload.is_empty()).then_some(len)
            })?;
            let (part, rest) = payload.split_at(len);
            self.frame(DATA, if end && rest.is_empty() { END_STREAM } else { 0 }, id, part)?;
            payload = rest;
            if payload.is_empty() {
                return Ok(());
            }
        }
    }

    fn head(&self, id: u32, fields: &[(&str, &str)]) -> io::Result<()> {
        let mut block = literal(":status", "200");
        for (name, value) in fields {
            block.extend(literal(name, value));
        }
        self.frame(HEADERS, END_HEADERS, id, &block)
    }

    /// The head of a stream and its first message, then waits for `go`.
    fn begin(&self, id: u32) -> io::Result<()> {
        self.head(id, &[("content-type", "application/connect+proto")])?;
        self.data(id, &envelope(0, b"hello"), false)?;
        wait_for_go();
        Ok(())
    }

    fn until_reset(&self, id: u32) -> io::Result<()> {
        self.wait(id, |_, _| None)
    }

    /// Does what the control channel asked for.
    fn respond(&self, id: u32, what: &str) -> io::Result<()> {
        self.wait(id, |_, stream| stream.is_ended.then_some(()))?;
        let (what, how) = what.split_once('-').unwrap_or_default();
        let number = how.parse().unwrap_or(0);
        match what {
            "Unary" => {
                self.head(id, &[("content-type", "application/proto")])?;
                self.data(id, b"hello", true)
            }
            "EndAfter" => {
                self.begin(id)?;
                thread::sleep(Duration::from_millis(number));
                for _ in 0..3 {
                    self.data(id, &envelope(0, &[b'm'; 1024]), false)?;
                }
                self.data(id, &envelope(2, END), true)
            }
            "Silent" => {
                self.begin(id)?;
                self.until_reset(id)
            }
            "NeverHead" => self.until_reset(id),
            "Trickle" => {
                self.begin(id)?;
                self.data(id, &prefix(0, 8 << 10), false)?;
                loop {
                    thread::sleep(Duration::from_millis(number));
                    self.data(id, b"x", false)?;
                }
            }
            "FloodGzip" => {
                let fields =
                    [("content-type", "application/connect+proto"), ("connect-content-encoding", "gzip")];
                self.head(id, &fields)?;
                let message = envelope(1, &zipped_mebibyte());
                self.data(id, &message, false)?;
                wait_for_go();
                loop {
                    self.data(id, &message, false)?;
                }
            }
            "HugePrefix" => {
                self.begin(id)?;
                self.data(id, &prefix(0, 3 << 30), false)?;
                loop {
                    self.data(id, &[b'x'; 16 << 10], false)?;
                }
            }
            "CutInside" => {
                self.begin(id)?;
                self.data(id, &[&prefix(0, 100)[..], &[b'x'; 10]].concat(), true)
            }
            "Reset" => {
                self.begin(id)?;
                self.frame(RST_STREAM, 0, id, &u32::try_from(number).unwrap_or(2).to_be_bytes())
            }
            "AfterEnd" => {
                self.begin(id)?;
                let late = [envelope(2, END), envelope(0, b"late")].concat();
                self.data(id, &late, how == "whole")?;
                if how == "whole" { Ok(()) } else { self.until_reset(id) }
            }
            _ => Err(ErrorKind::InvalidInput.into()),
        }
    }
}

/// A field that is neither indexed nor compressed (RFC 7541, section 6.2.2). Both parts are shorter than 127 bytes.
fn literal(name: &str, value: &str) -> Vec<u8> {
    let part = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
    [vec![0], part(name), part(value)].concat()
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
    const LAST: &[u8] = b"\x3e\x03\x1c\xea\x38\xa7\0\0\x10\0";
    [START, &[0; 1016], LAST].concat()
}
