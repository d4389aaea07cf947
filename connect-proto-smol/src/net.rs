//! Sockets on smol, behind tokio's traits of streams.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
#[cfg(unix)]
use std::os::unix::net::{UnixListener, UnixStream};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use connect_proto_async::{Address, BoxStream, Listener, Peer, connect_to_first};
use smol::Async;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::Smol;

pub(crate) async fn connect(smol: Smol, address: Address) -> io::Result<BoxStream> {
    connect_to(&smol, &address).await.map_err(|error| with_context("connect to", &address, &error))
}

pub(crate) async fn listen(address: Address) -> io::Result<Box<dyn Listener>> {
    listen_at(&address).await.map_err(|error| with_context("listen at", &address, &error))
}

/// Says in the error what failed: the system names neither the deed nor the address.
fn with_context(deed: &str, address: &Address, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot {deed} {address}: {error}"))
}

async fn connect_to(smol: &Smol, address: &Address) -> io::Result<BoxStream> {
    match address {
        Address::Tcp { host, port } => {
            let addresses = resolve(host, *port).await?;
            let stream = connect_to_first(smol, addresses, Async::<TcpStream>::connect).await?;
            configure(stream.get_ref())?;
            Ok(Box::new(SmolStream::new(stream)))
        }
        #[cfg(unix)]
        Address::Unix(path) => Ok(Box::new(SmolStream::new(Async::<UnixStream>::connect(path).await?))),
        _ => Err(unsupported()),
    }
}

/// Listens; at the first address of a host that can be had.
async fn listen_at(address: &Address) -> io::Result<Box<dyn Listener>> {
    match address {
        Address::Tcp { host, port } => {
            let mut failure = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
            for to in resolve(host, *port).await? {
                match Async::<TcpListener>::bind(to) {
                    Ok(listener) => return Ok(Box::new(SmolListener(listener))),
                    Err(error) => failure = error,
                }
            }
            Err(failure)
        }
        #[cfg(unix)]
        Address::Unix(path) => {
            let listener = Async::<UnixListener>::bind(path)?;
            Ok(Box::new(SmolUnixListener { listener, path: path.clone() }))
        }
        _ => Err(unsupported()),
    }
}

fn unsupported() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "there are no such addresses here")
}

/// The silence after which a peer is probed, first and again: as Go has it.
const PROBE_AFTER: Duration = Duration::from_secs(15);

/// No delay of small writes, and probes that notice a peer whose machine is gone while the stream is silent.
fn configure(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let probes = TcpKeepalive::new().with_time(PROBE_AFTER).with_interval(PROBE_AFTER);
    SockRef::from(stream).set_tcp_keepalive(&probes)
}

async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(ip) = host.parse() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    // The system's resolver blocks.
    let to = (host.to_owned(), port);
    smol::unblock(move || Ok(to.to_socket_addrs()?.collect())).await
}

/// A TCP listener on smol.
#[derive(Debug)]
pub struct SmolListener(pub(crate) Async<TcpListener>);

impl Listener for SmolListener {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(BoxStream, Peer)>> {
        let (stream, address) = ready!(poll_io(&self.0, Async::poll_readable, TcpListener::accept, cx))?;
        // It fails for a peer that has gone already, which whoever reads will learn.
        let _ = configure(&stream);
        Poll::Ready(Ok((Box::new(SmolStream::new(Async::new(stream)?)), Peer::at(address))))
    }

    fn local_address(&self) -> io::Result<Address> {
        self.0.get_ref().local_addr().map(Address::from)
    }
}

#[cfg(unix)]
struct SmolUnixListener {
    listener: Async<UnixListener>,
    path: std::path::PathBuf,
}

#[cfg(unix)]
impl Listener for SmolUnixListener {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(BoxStream, Peer)>> {
        let (stream, _) = ready!(poll_io(&self.listener, Async::poll_readable, UnixListener::accept, cx))?;
        Poll::Ready(Ok((Box::new(SmolStream::new(Async::new(stream)?)), Peer::default())))
    }

    fn local_address(&self) -> io::Result<Address> {
        Ok(Address::Unix(self.path.clone()))
    }
}

struct SmolStream<S> {
    socket: Async<S>,
    /// Whether the last read took all that was there: there is nothing to read before the socket says so.
    is_drained: bool,
}

impl<S> SmolStream<S> {
    fn new(socket: Async<S>) -> Self {
        SmolStream { socket, is_drained: false }
    }
}

/// What the standard library's sockets have in common beyond its traits.
trait Socket {
    /// Ends the sending side.
    fn end(&self) -> io::Result<()>;
}

impl Socket for TcpStream {
    fn end(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

#[cfg(unix)]
impl Socket for UnixStream {
    fn end(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

impl<S> AsyncRead for SmolStream<S>
where
    for<'a> &'a S: Read,
{
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_drained {
            ready!(self.socket.poll_readable(cx))?;
            self.is_drained = false;
        }
        let room = buf.initialize_unfilled();
        let read = ready!(poll_io(&self.socket, Async::poll_readable, |mut socket| socket.read(room), cx))?;
        self.is_drained = read < room.len();
        buf.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl<S: Socket> AsyncWrite for SmolStream<S>
where
    for<'a> &'a S: Write,
{
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        poll_io(&self.socket, Async::poll_writable, |mut socket| socket.write(bytes), cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        poll_io(&self.socket, Async::poll_writable, |mut socket| socket.write_vectored(slices), cx)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.socket.get_ref().end())
    }
}

type PollReady<S> = fn(&Async<S>, &mut Context<'_>) -> Poll<io::Result<()>>;

/// Tries an operation, again each time that the socket gets ready for it.
fn poll_io<S, T>(
    socket: &Async<S>,
    poll_ready: PollReady<S>,
    mut attempt: impl FnMut(&S) -> io::Result<T>,
    cx: &mut Context<'_>,
) -> Poll<io::Result<T>> {
    loop {
        match attempt(socket.get_ref()) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(poll_ready(socket, cx))?,
            done => return Poll::Ready(done),
        }
    }
}
