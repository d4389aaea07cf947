//! How to embed `connect-proto`: a connection on a blocking `TcpStream`, in either role.
//!
//! [`Driver::turn`] is the whole drive loop: bytes in, bytes out, time, notices. Everything about RPCs is in the
//! `Connection` that it drives. `main` below shows both roles with it; the example `tour` is built on it too.

#![allow(unreachable_pub)] // An example is a program, but other programs include this one as a module.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown as Side, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant as StdInstant};

use bytes::BytesMut;
use connect_proto::Instant;
use connect_proto::connection::{
    CallId, ClientConnection, Connection, ConnectionConfig, Notice, Role, ServerConnection,
};
use connect_proto::error::LostKind;
use connect_proto::http1::Shutdown;

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

impl Driver<connect_proto::connection::Client> {
    /// Connects to a server.
    pub fn connect(address: SocketAddr, config: &ConnectionConfig) -> io::Result<Self> {
        let connection = ClientConnection::http1(Instant::ORIGIN, config);
        Driver::new(connection, TcpStream::connect(address)?)
    }
}

impl Driver<connect_proto::connection::Server> {
    /// Drives an accepted socket.
    pub fn accept(socket: TcpStream, config: &ConnectionConfig) -> io::Result<Self> {
        Driver::new(ServerConnection::new(Instant::ORIGIN, config), socket)
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

    /// This side's address of the TCP connection.
    pub fn local_address(&self) -> Option<SocketAddr> {
        self.socket.local_addr().ok()
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

/// Accepts for ever and runs `handler` for each request, a thread for each connection.
pub fn serve(
    listener: TcpListener,
    config: ConnectionConfig,
    handler: impl Fn(&mut Driver<connect_proto::connection::Server>, CallId) + Clone + Send + 'static,
) {
    for socket in listener.incoming().flatten() {
        let (config, handler) = (config.clone(), handler.clone());
        std::thread::spawn(move || {
            let Ok(mut driver) = Driver::accept(socket, &config) else { return };
            while let Some(notice) = driver.turn(None) {
                match notice {
                    Notice::Incoming(id) => handler(&mut driver, id),
                    // What a handler has left unread holds up the end of its call.
                    Notice::Readable(id) => {
                        let now = driver.now();
                        let mut call = driver.connection.call(id);
                        while call.as_mut().and_then(|call| call.poll_event(now)).is_some() {}
                    }
                    _ => {}
                }
            }
        });
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    use std::sync::Arc;

    use bytes::Bytes;
    use connect_proto::call::{Event, Kind};
    use connect_proto::client::{Call, CallConfig, Procedure, Request};
    use connect_proto::message::Outbound;
    use connect_proto::metadata::Metadata;
    use connect_proto::server::{MethodSpec, ServerConfig};

    // A server that sends every message back.
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let echo = MethodSpec::new(Kind::Unary, &Arc::from(["text".to_owned()]));
    std::thread::spawn(move || {
        serve(listener, ConnectionConfig::default(), move |driver, id| {
            let now = driver.now();
            driver.connection.start(now, id, &Arc::new(ServerConfig::default()), &echo);
            while let Some(Notice::Readable(id)) = driver.turn(None) {
                let now = driver.now();
                let Some(mut call) = driver.connection.call(id) else { return };
                while let Some(event) = call.poll_event(now) {
                    if let Event::Message(message) = event {
                        let answer = message.decode().map(|text| Outbound::encode(&call.encoding(), text));
                        match answer {
                            Ok(answer) => {
                                call.send(now, answer).ok();
                                call.finish(now, Metadata::new(), Ok(())).ok();
                            }
                            Err(fault) => call.reject(now, fault),
                        }
                    }
                }
            }
        });
    });

    // A client that says hello.
    let config = Arc::new(CallConfig::new("http".parse()?, address.to_string().parse()?, "text")?);
    let mut driver = Driver::connect(address, &ConnectionConfig::default())?;
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
