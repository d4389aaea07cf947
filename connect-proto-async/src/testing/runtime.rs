//! The simulation as the traits of a runtime show it.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use connect_proto::Instant;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::clock::SimTimer;
use super::faults::{Dial, Side};
use super::link::{Around, Link, LinkId};
use super::net::{Place, refused};
use super::suite::sleep;
use super::world::Shared;
use crate::{Address, BoxFuture, BoxStream, Listener, Peer, Runtime, Timer};

#[derive(Clone)]
pub(super) struct SimRuntime(pub(super) Arc<Shared>);

impl fmt::Debug for SimRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sim")
    }
}

impl Runtime for SimRuntime {
    fn now(&self) -> Instant {
        self.0.with(|world| world.clock.now())
    }

    fn wall_clock(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_nanos(self.now().as_nanos())
    }

    fn timer(&self, at: Instant) -> Pin<Box<dyn Timer>> {
        Box::pin(SimTimer::new(Arc::clone(&self.0), at))
    }

    fn spawn(&self, task: BoxFuture<()>) {
        self.0.with(|world| world.spawn(task));
    }

    fn connect(&self, address: &Address) -> BoxFuture<io::Result<BoxStream>> {
        let runtime = self.clone();
        let place = Place::of(address);
        Box::pin(async move {
            let place = place?;
            match runtime.0.with(|world| world.plan_dial(&place)) {
                Dial::Answered(after) => sleep(&runtime, after).await,
                Dial::Refused => return Err(refused(&place)),
                Dial::Unanswered => std::future::pending().await,
            }
            let id = runtime.0.with(|world| world.connect(&place))?;
            Ok(Box::new(SimStream { shared: runtime.0, id, side: Side::Dialer }) as BoxStream)
        })
    }

    fn listen(&self, address: &Address) -> BoxFuture<io::Result<Box<dyn Listener>>> {
        let shared = Arc::clone(&self.0);
        let place = Place::of(address);
        Box::pin(async move {
            let place = place?;
            let place = shared.with(|world| world.listen(place))?;
            Ok(Box::new(SimListener { shared, place }) as Box<dyn Listener>)
        })
    }
}

struct SimListener {
    shared: Arc<Shared>,
    place: Place,
}

impl Listener for SimListener {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(BoxStream, Peer)>> {
        self.shared.with(|world| world.accept(&self.place, cx)).map_ok(|(id, peer)| {
            let stream = SimStream { shared: Arc::clone(&self.shared), id, side: Side::Acceptor };
            (Box::new(stream) as BoxStream, peer)
        })
    }

    fn local_address(&self) -> io::Result<Address> {
        Ok(self.place.address())
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        self.shared.with(|world| world.stop_listening(&self.place));
    }
}

struct SimStream {
    shared: Arc<Shared>,
    id: LinkId,
    side: Side,
}

impl SimStream {
    fn on_link<T>(&self, act: impl FnOnce(&mut Link, &mut Around<'_>) -> T) -> T {
        // The link is there as long as this end of it is.
        self.shared.with(|world| world.on_link(self.id, act)).expect("the link of a stream")
    }
}

impl AsyncRead for SimStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.on_link(|link, around| link.read(self.side, buf, around, cx))
    }
}

impl AsyncWrite for SimStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.on_link(|link, around| link.write(self.side, slices, around, cx))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.on_link(|link, around| link.shut(self.side, around)))
    }
}

impl Drop for SimStream {
    fn drop(&mut self) {
        self.on_link(|link, around| link.drop_end(self.side, around));
    }
}
