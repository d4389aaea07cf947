//! What the async half needs of a runtime.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::str::FromStr;
use std::task::{Context, Poll};
use std::time::SystemTime;

use connect_proto::Instant;
use tokio::io::{AsyncRead, AsyncWrite};

/// A future that is owned and can be moved to another thread.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A runtime: time, tasks and sockets.
///
/// It is erased: a [`Channel`](crate::Channel) or a [`Server`](crate::Server) takes an `Arc<dyn Runtime>`, and nothing that
/// a user holds has a parameter for it. That costs a virtual call for each read, write and timer, none for each message.
pub trait Runtime: fmt::Debug + Send + Sync + 'static {
    /// The time on the runtime's clock, which never runs backwards. All that one runtime hands out has the same origin.
    fn now(&self) -> Instant;

    /// The time of day, for the `date` of responses. That of the system, unless the runtime has one of its own.
    fn wall_clock(&self) -> SystemTime {
        SystemTime::now()
    }

    /// A timer that ends at `at`.
    fn timer(&self, at: Instant) -> Pin<Box<dyn Timer>>;

    /// Runs a task to its end, whoever waits for it.
    fn spawn(&self, task: BoxFuture<()>);

    /// Connects to an address. Dropping the future gives the attempt up. A host may have many addresses:
    /// [`connect_to_first`](crate::connect_to_first) tries them.
    fn connect(&self, address: &Address) -> BoxFuture<io::Result<BoxStream>>;

    /// Listens at an address.
    fn listen(&self, address: &Address) -> BoxFuture<io::Result<Box<dyn Listener>>>;
}

/// A timer of a [`Runtime`].
pub trait Timer: Send {
    /// Moves the timer to another time, whether it has ended or not.
    fn reset(self: Pin<&mut Self>, at: Instant);

    /// Ready once the time has come. The waker of the last call is woken then.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()>;
}

/// A connected byte stream. `poll_shutdown` ends the sending side alone (a FIN); dropping the stream closes it.
///
/// It should have a true `poll_write_vectored`, since output comes in slices, and no delay of small writes (TCP_NODELAY).
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A connected byte stream of some kind.
pub type BoxStream = Box<dyn Stream>;

/// A source of incoming connections.
pub trait Listener: Send {
    /// The next connection. An error may be of that connection alone, or of the machine for now, as when it has run out
    /// of file descriptors: the caller waits a while and goes on.
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(BoxStream, Peer)>>;

    /// The address that it listens at, with the port that was chosen if none was given.
    ///
    /// # Errors
    /// What the system says.
    fn local_address(&self) -> io::Result<Address>;
}

/// Where to connect to or to listen at.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Address {
    /// A TCP port of a host.
    Tcp {
        /// An IP address without brackets, with its zone after a `%` if it has one, or a name for the runtime to resolve.
        host: String,
        /// The port; 0 to listen at any.
        port: u16,
    },
    /// The path of a Unix socket. To listen there, it must be free: the file of an earlier listener is in the way.
    Unix(PathBuf),
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        let host = match address {
            // Without its zone a link-local address names nobody.
            SocketAddr::V6(v6) if v6.scope_id() != 0 => format!("{}%{}", v6.ip(), v6.scope_id()),
            _ => address.ip().to_string(),
        };
        Address::Tcp { host, port: address.port() }
    }
}

/// From `host:port`, with an IPv6 address in brackets, or `unix:/path`.
impl FromStr for Address {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        if let Some(path) = text.strip_prefix("unix:/") {
            return Ok(Address::Unix(Path::new("/").join(path)));
        }
        let (host, port) = text.rsplit_once(':').ok_or(InvalidAddress)?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let port = port.parse().map_err(|_| InvalidAddress)?;
        match bare.unwrap_or(host) {
            "" => Err(InvalidAddress),
            host if bare.is_none() && host.contains(':') => Err(InvalidAddress),
            host => Ok(Address::Tcp { host: host.to_owned(), port }),
        }
    }
}

/// A text that is not an [`Address`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("address is not of the form host:port or unix:/path")]
pub struct InvalidAddress;

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Address::Tcp { host, port } => write!(f, "{host}:{port}"),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Who is at the other end of an accepted connection.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Peer {
    /// Its address, where the transport has one.
    pub address: Option<SocketAddr>,
    /// The certificates that it has shown, its own first; none without TLS, or if it was not asked.
    #[cfg(feature = "tls")]
    pub certificates: Vec<crate::tls::rustls::pki_types::CertificateDer<'static>>,
}

impl Peer {
    /// A peer at an address.
    #[must_use]
    pub fn at(address: SocketAddr) -> Self {
        Peer { address: Some(address), ..Peer::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_it_is_shown() {
        for text in
            ["127.0.0.1:8080", "localhost:0", "[::1]:443", "[fe80::1%eth0]:80", "unix:/run/greet.sock"]
        {
            assert_eq!(text.parse::<Address>().map(|address| address.to_string()).as_deref(), Ok(text));
        }
        for text in ["", "localhost", ":80", "[]:80", "::1", "localhost:70000", "localhost:http", "unix:run"]
        {
            assert_eq!(text.parse::<Address>(), Err(InvalidAddress), "{text:?}");
        }
    }
    #[test]
    fn a_socket_address_stays_what_it_is() {
        for text in ["127.0.0.1:80", "[::1]:443", "[fe80::1%3]:80"] {
            let address: SocketAddr = text.parse().expect("an address");
            assert_eq!(Address::from(address).to_string(), text);
            assert_eq!(text.parse(), Ok(Address::from(address)));
        }
    }
}
