//! How to embed `connect-proto`: a connection on a blocking `TcpStream`, in either role.
//!
//! [`Driver::turn`] is the whole drive loop: bytes in, bytes out, time, notices. Everything about RPCs is in the
//! `Connection` that it drives. `main` below shows both roles with it.

#![allow(unreachable_pub)] // An example is a program, but other programs include this one as a module.

use std::collections::HashMap;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown as Side, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant as StdInstant};

use bytes::{Bytes, BytesMut};
use connect_proto::Instant;
use connect_proto::call::{Event, Kind};
use connect_proto::client::{Call, CallConfig, Procedure, Request};
use connect_proto::connection::{
    CallId, Client, ClientConnection, Connection, ConnectionConfig, Notice, Role, Server, ServerCall,
    ServerConnection,
};
use connect_proto::error::LostKind;
use connect_proto::http1::Shutdown;
use connect_proto::message::Outbound;
use connect_proto::metadata::Metadata;
use connect_proto::server::{MethodSpec, ServerConfig};

/// How long a write may block before the socket is read again, so that two peers that both write cannot wait for
/// each other for ever.
const WRITE_SLICE: Duration = Duration::from_millis(10);

/// A connection and the socket that carries it.
pub struct Driver<R: Role> {
    /// The connection, for its commands.
    pub connection: Connection<R>,
    socket: TcpStream,
    /// What was read and not used yet.
    unread: BytesMut,
    /// The origin of this connection's time.
    origin: StdInstant,
    reading: bool,
}

impl Driver<Client> {
    /// Connects to a server, over HTTP/1.1.
    pub fn connect(address: SocketAddr, config: &ConnectionConfig) -> io::Result<Self> {
        let connection = ClientConnection::http1(Instant::ORIGIN, config);
        Driver::new(connection, TcpStream::connect(address)?)
    }

    /// Connects to a server that is known to speak HTTP/2.
    pub fn connect_http2(address: SocketAddr, config: &ConnectionConfig) -> io::Result<Self> {
        let connection = ClientConnection::http2(Instant::ORIGIN, config);
        Driver::new(connection, TcpStream::connect(address)?)
    }
}

impl Driver<Server> {
    /// Drives an accepted socket, whose client may speak either version.
    pub fn accept(socket: TcpStream, config: &ConnectionConfig) -> io::Result<Self> {
        Driver::new(ServerConnection::new(Instant::ORIGIN, config), socket)
    }

    /// Drives an accepted socket, where HTTP/2 was agreed on.
    pub fn accept_http2(socket: TcpStream, config: &ConnectionConfig) -> io::Result<Self> {
        Driver::new(ServerConnection::http2(Instant::ORIGIN, config), socket)
    }
}

impl<R: Role> Driver<R> {
    /// Drives a connection that has just been made, whatever it speaks.
    pub fn new(connection: Connection<R>, socket: TcpStream) -> io::Result<Self> {
        socket.set_nodelay(true)?;
        socket.set_write_timeout(Some(WRITE_SLICE))?;
        let unread = BytesMut::new();
        Ok(Driver { connection, socket, unread, origin: StdInstant::now(), reading: true })
    }

    /// The time on this connection's clock, for its commands.
    pub fn now(&self) -> Instant {
        Instant::ORIGIN.saturating_add(self.origin.elapsed())
    }

    /// Goes on until there is something to act on, which is returned, or until `until` or the end of the connection.
    pub fn turn(&mut self, until: Option<Instant>) -> Option<Notice> {
        loop {
            let now = self.now();
            self.connection.handle_timeout(now);
            if !self.unread.is_empty() && self.connection.wants_read() {
                self.connection.handle_read(now, &mut self.unread);
            }
            let pending = self.write();
            if let Some(notice) = self.connection.poll_ready() {
                return Some(notice);
            }
            self.shut_down();
            if self.connection.is_closed() || until.is_some_and(|until| self.now() >= until) {
                return None;
            }
            let wake = [self.connection.poll_timeout(), until].into_iter().flatten().min();
            let patience = wake.map(|wake| wake.saturating_duration_since(self.now()));
            self.read(if pending {
                Some(patience.unwrap_or(WRITE_SLICE).min(WRITE_SLICE))
            } else {
                patience
            });
        }
    }

    /// Writes what there is; true if some of it is left.
    fn write(&mut self) -> bool {
        loop {
            let now = self.now();
            let mut slices = [IoSlice::new(&[]); 16];
            let filled = self.connection.output(now, &mut slices);
            if filled == 0 {
                return false;
            }
            match (&self.socket).write_vectored(&slices[..filled]) {
                Ok(written) => self.connection.handle_written(self.now(), written),
                Err(error) if is_timeout(&error) => return true,
                Err(error) => self.connection.handle_write_failed(self.now(), lost(&error)),
            }
        }
    }

    /// Waits for bytes, for so long at most.
    fn read(&mut self, patience: Option<Duration>) {
        // A timeout of zero would mean none at all. Linux ends a long one late, by up to an eighth of it: so the last
        // eighth is waited for anew.
        let patience = patience.map(|patience| (patience - patience / 8).max(Duration::from_micros(100)));
        if !self.reading || !self.connection.wants_read() {
            return std::thread::sleep(patience.unwrap_or(WRITE_SLICE));
        }
        let mut chunk = [0; 16 << 10];
        let read = self.socket.set_read_timeout(patience).and_then(|()| (&self.socket).read(&mut chunk));
        let now = self.now();
        match read {
            Ok(0) => {
                self.reading = false;
                self.connection.handle_eof(now);
            }
            Ok(read) => {
                self.unread.extend_from_slice(&chunk[..read]);
                self.connection.handle_read(now, &mut self.unread);
            }
            Err(error) if is_timeout(&error) => {}
            Err(error) => {
                self.reading = false;
                self.connection.handle_io_failed(now, lost(&error));
            }
        }
    }

    fn shut_down(&mut self) {
        while let Some(shutdown) = self.connection.poll_shutdown() {
            // A socket that the peer has reset cannot be shut down any more, which is as good.
            let _ = self.socket.shutdown(match shutdown {
                Shutdown::Write => Side::Write,
                Shutdown::Close => Side::Both,
            });
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

fn lost(error: &io::Error) -> LostKind {
    match error.kind() {
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => LostKind::Reset,
        _ => LostKind::Failed,
    }
}

/// What answers one call: a state machine, since many calls share a connection over HTTP/2.
pub trait Handler {
    /// Takes all events that there are, and answers as far as it can. A call may end while its handler waits.
    fn step(&mut self, now: Instant, call: &mut ServerCall<'_>) -> Next;
}

/// When to step a handler again.
pub enum Next {
    /// When there are events.
    Events,
    /// Then, and at this time.
    At(Instant),
    /// Never: it has answered, and what else comes is of no interest.
    Done,
}

/// Serves for ever, a thread for each connection. `accept` makes a driver for each, as [`Driver::accept`] does. `begin`
/// starts or refuses each request, and says what answers it.
pub fn serve<H: Handler>(
    listener: TcpListener,
    accept: impl Fn(TcpStream) -> io::Result<Driver<Server>> + Clone + Send + 'static,
    begin: impl Fn(&mut ServerConnection, Instant, CallId) -> Option<H> + Clone + Send + 'static,
) {
    for socket in listener.incoming().flatten() {
        let (accept, begin) = (accept.clone(), begin.clone());
        std::thread::spawn(move || {
            if let Ok(driver) = accept(socket) {
                Serving { driver, handlers: HashMap::new() }.run(begin);
            }
        });
    }
}

/// A connection of a server and the handlers of its calls.
struct Serving<H> {
    driver: Driver<Server>,
    /// Each with the time at which it wants to be stepped.
    handlers: HashMap<CallId, (H, Option<Instant>)>,
}

impl<H: Handler> Serving<H> {
    fn run(mut self, begin: impl Fn(&mut ServerConnection, Instant, CallId) -> Option<H>) {
        loop {
            let wake = self.handlers.values().filter_map(|(_, at)| *at).min();
            // All that has come is answered before the next turn writes, so that answers share a write.
            match self.driver.connection.poll_ready().or_else(|| self.driver.turn(wake)) {
                Some(Notice::Incoming(id)) => {
                    let now = self.driver.now();
                    if let Some(handler) = begin(&mut self.driver.connection, now, id) {
                        self.handlers.insert(id, (handler, None));
                    }
                    self.step(id);
                }
                Some(Notice::Readable(id)) => self.step(id),
                Some(Notice::Closed(id, _)) => drop(self.handlers.remove(&id)),
                Some(_) => {}
                None if self.driver.connection.is_closed() => return,
                None => {}
            }
            let now = self.driver.now();
            if wake.is_some_and(|wake| wake <= now) {
                let due = self.handlers.iter().filter(|(_, (_, at))| at.is_some_and(|at| at <= now));
                let due: Vec<CallId> = due.map(|(id, _)| *id).collect();
                due.into_iter().for_each(|id| self.step(id));
            }
        }
    }

    fn step(&mut self, id: CallId) {
        let now = self.driver.now();
        if let (Some(mut call), Some((handler, at))) =
            (self.driver.connection.call(id), self.handlers.get_mut(&id))
        {
            match handler.step(now, &mut call) {
                Next::Events => *at = None,
                Next::At(time) => *at = Some(time),
                Next::Done => drop(self.handlers.remove(&id)),
            }
        }
        if !self.handlers.contains_key(&id) {
            // What is left unread holds up the end of a call.
            while self.driver.connection.poll_event(now, id).is_some() {}
        }
    }
}

/// Sends every message back.
struct Echo;

impl Handler for Echo {
    fn step(&mut self, now: Instant, call: &mut ServerCall<'_>) -> Next {
        while let Some(event) = call.poll_event(now) {
            if let Event::Message(message) = event {
                match message.decode() {
                    Ok(text) => {
                        let answer = Outbound::encode(&call.encoding(), text);
                        let sent = call.send(now, answer).is_ok();
                        // A call that has ended meanwhile, as by its deadline, has told the client so.
                        if sent && call.finish(now, Metadata::new(), Ok(())).is_ok() {
                            return Next::Done;
                        }
                    }
                    Err(fault) => call.reject(now, fault),
                }
            }
        }
        Next::Events
    }
}

/// Says hello to itself; or serves `Echo` at the address that is given, over HTTP/2 alone if `http2` comes after it.
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (given, version) = (std::env::args().nth(1), std::env::args().nth(2));
    let listener = TcpListener::bind(given.as_deref().unwrap_or("127.0.0.1:0"))?;
    let address = listener.local_addr()?;
    let config = Arc::new(ServerConfig::default());
    let spec = MethodSpec::new(Kind::Unary, &Arc::from(["text".to_owned()])).side_effect_free();
    let accept = if version.as_deref() == Some("http2") { Driver::accept_http2 } else { Driver::accept };
    let server = std::thread::spawn(move || {
        let accept = move |socket| accept(socket, &ConnectionConfig::default());
        serve(listener, accept, move |connection, now, id| {
            connection.start(now, id, &config, &spec).then_some(Echo)
        });
    });
    if given.is_some() {
        println!("serving at {address}");
        return server.join().map_err(|_| "the server panicked".into());
    }

    println!("over HTTP/1.1");
    say_hello(Driver::connect(address, &ConnectionConfig::default())?, address)?;
    println!("over HTTP/2");
    say_hello(Driver::connect_http2(address, &ConnectionConfig::default())?, address)
}

/// A client that says hello.
fn say_hello(mut driver: Driver<Client>, address: SocketAddr) -> Result<(), Box<dyn std::error::Error>> {
    let config = Arc::new(CallConfig::new("http".parse()?, address.to_string().parse()?, "text")?);
    let now = driver.now();
    let call = Call::new(now, &config, Request::new(Procedure::new("/example.Echo/Say")?, Kind::Unary))?;
    let id = driver.connection.open(now, call)?;
    let mut call = driver.connection.call(id).ok_or("the call was just opened")?;
    call.send(now, Outbound::encode(&call.encoding(), Bytes::from("hello")))?;
    call.finish(now)?;
    while let Some(notice) = driver.turn(None) {
        match notice {
            Notice::Readable(id) => {
                let now = driver.now();
                let Some(mut call) = driver.connection.call(id) else { continue };
                while let Some(event) = call.poll_event(now) {
                    match event {
                        Event::Message(message) => println!("message: {:?}", message.decode()?),
                        Event::Finished(verdict) => println!("verdict: {verdict:?}"),
                        other => println!("{other:?}"),
                    }
                }
            }
            Notice::Closed(_, closed) => {
                println!("{closed:?}");
                return Ok(());
            }
            other => println!("{other:?}"),
        }
    }
    Err("the connection ended before the call".into())
}
