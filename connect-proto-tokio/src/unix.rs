//! Unix sockets on tokio.

use std::io;
use std::path::{Path, PathBuf};
use std::task::{Context, Poll, ready};

use connect_proto_async::{Address, BoxStream, Listener, Peer};
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Handle;

pub(crate) async fn connect(path: &Path) -> io::Result<BoxStream> {
    Ok(Box::new(UnixStream::connect(path).await?))
}

pub(crate) fn listen(path: &Path, handle: &Handle) -> io::Result<Box<dyn Listener>> {
    let listener = UnixListener::bind(path)?;
    Ok(Box::new(TokioUnixListener { listener, path: path.to_owned(), handle: handle.clone() }))
}

struct TokioUnixListener {
    listener: UnixListener,
    path: PathBuf,
    handle: Handle,
}

impl Listener for TokioUnixListener {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(BoxStream, Peer)>> {
        let _context = self.handle.enter();
        let (stream, _) = ready!(self.listener.poll_accept(cx))?;
        Poll::Ready(Ok((Box::new(stream), Peer::default())))
    }

    fn local_address(&self) -> io::Result<Address> {
        Ok(Address::Unix(self.path.clone()))
    }
}
