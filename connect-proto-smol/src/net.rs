//! TCP on smol, behind tokio's traits of streams.

use std::future::Future;
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use connect_proto_async::{Address, BoxStream, Listener, Peer};
use smol::Async;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Connects to the first address of the host that takes it.
pub(crate) async fn connect(address: Address) -> io::Result<BoxStream> {
    let stream = first_of(&address, "connect to", Async::<TcpStream>::connect).await?;
    stream.get_ref().set_nodelay(true)?;
    Ok(Box::new(SmolStream::new(stream)))
}

/// Listens at the first address of the host that can be had.
pub(crate) async fn listen(address: Address) -> io::Result<Box<dyn Listener>> {
    let listener = first_of(&address, "listen at", async |to| Async::<TcpListener>::bind(to)).await?;
    Ok(Box::new(SmolListener(listener)))
}

/// Resolves an address and tries what it finds in turn. The error of the last one counts, and says what failed.
async fn first_of<T, F>(address: &Address, deed: &str, attempt: impl Fn(SocketAddr) -> F) -> io::Result<T>
where
    F: Future<Output = io::Result<T>>,
{
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    match resolve(address).await {
        Ok(found) => {
            for to in found {
                match attempt(to).await {
                    Ok(done) => return Ok(done),
                    Err(error) => failure = error,
                }
            }
        }
        Err(error) => failure = error,
    }
    Err(io::Error::new(failure.kind(), format!("cannot {deed} {address}: {failure}")))
}

async fn resolve(address: &Address) -> io::Result<Vec<SocketAddr>> {
    let Address::Tcp { host, port } = address else {
        return Err(io::Error::new(io::ErrorKind::Unsupported, "not an address of TCP"));
    };
    if let Ok(ip) = host.parse() {
        return Ok(vec![SocketAddr::new(ip, *port)]);
    }
    // The system's resolver blocks.
    let to = (host.clone(), *port);
    smol::unblock(move || Ok(to.to_socket_addrs()?.collect())).await
}

/// A TCP listener on smol.
#[derive(Debug)]
pub struct SmolListener(pub(crate) Async<TcpListener>);

impl Listener for SmolListener {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(BoxStream, Peer)>> {
        let (stream, address) = ready!(poll_io(&self.0, Async::poll_readable, TcpListener::accept, cx))?;
        // It fails for a peer that has gone already, which whoever reads will learn.
        let _ = stream.set_nodelay(true);
        Poll::Ready(Ok((Box::new(SmolStream::new(Async::new(stream)?)), Peer::at(address))))
    }

    fn local_address(&self) -> io::Result<Address> {
        self.0.get_ref().local_addr().map(Address::from)
    }
}

struct SmolStream {
    socket: Async<TcpStream>,
    /// Whether the last read took all that was there: there is nothing to read before the socket says so.
    is_drained: bool,
}

impl SmolStream {
    fn new(socket: Async<TcpStream>) -> Self {
        SmolStream { socket, is_drained: false }
    }
}

impl AsyncRead for SmolStream {
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

impl AsyncWrite for SmolStream {
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
        Poll::Ready(self.socket.get_ref().shutdown(Shutdown::Write))
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
