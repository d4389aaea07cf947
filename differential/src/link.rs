//! The way between the two sides, in memory: h2's end of it is a stream of tokio's kind.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::dress::Dress;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes on their way, each way.
#[derive(Debug, Default)]
pub(crate) struct Link {
    pub(crate) to_theirs: VecDeque<u8>,
    pub(crate) to_ours: VecDeque<u8>,
    pub(crate) capacity: usize,
    /// What happens to frames on their way, if anything.
    pub(crate) dress: Option<Dress>,
    /// What h2 may read and write until it is polled again.
    pub(crate) read_budget: usize,
    pub(crate) write_budget: usize,
    /// Which side has ended its direction.
    pub(crate) ours_ended: bool,
    pub(crate) theirs_ended: bool,
    /// The transport is gone.
    pub(crate) is_cut: bool,
    /// Bytes that went in or out.
    pub(crate) moved: usize,
}

impl Link {
    /// Bytes that our side has written.
    pub(crate) fn ours_wrote(&mut self, bytes: &[u8]) {
        match &mut self.dress {
            Some(dress) => self.to_theirs.extend(dress.towards_theirs(bytes)),
            None => self.to_theirs.extend(bytes),
        }
    }

    /// Bytes that h2 has written.
    fn theirs_wrote(&mut self, bytes: &[u8]) {
        match &mut self.dress {
            Some(dress) => self.to_ours.extend(dress.towards_ours(bytes)),
            None => self.to_ours.extend(bytes),
        }
    }

    pub(crate) fn room_to_theirs(&self) -> usize {
        self.capacity.saturating_sub(self.to_theirs.len())
    }
}

/// h2's end.
#[derive(Debug)]
pub(crate) struct TheirEnd(pub(crate) Rc<RefCell<Link>>);

impl AsyncRead for TheirEnd {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut link = self.0.borrow_mut();
        if link.is_cut || (link.to_theirs.is_empty() && link.ours_ended) {
            return Poll::Ready(Ok(()));
        }
        let n = link.read_budget.min(link.to_theirs.len()).min(buf.remaining());
        if n == 0 {
            return Poll::Pending;
        }
        link.read_budget -= n;
        link.moved += n;
        link.to_theirs.drain(..n).for_each(|byte| buf.put_slice(&[byte]));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for TheirEnd {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let mut link = self.0.borrow_mut();
        if link.is_cut || link.theirs_ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = link.capacity.saturating_sub(link.to_ours.len());
        let n = link.write_budget.min(room).min(buf.len());
        if n == 0 {
            return Poll::Pending;
        }
        link.write_budget -= n;
        link.moved += n;
        link.theirs_wrote(&buf[..n]);
        Poll::Ready(Ok(n))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.borrow_mut().theirs_ended = true;
        Poll::Ready(Ok(()))
    }
}
