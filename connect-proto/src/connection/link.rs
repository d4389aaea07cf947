//! What both HTTP/1.1 machines have in common, as a connection sees them.

use std::io::IoSlice;

use bytes::BytesMut;
use http::{HeaderValue, request, response};

use crate::call::{BodySize, Chunk};
use crate::error::{LostKind, PeerMisbehaved};
use crate::http1::{Client, Event, NotReusable, Recalled, Server, Shutdown};
use crate::time::Instant;

/// An HTTP/1.1 machine.
pub trait Link {
    /// The parts of the heads that come in.
    type In: std::fmt::Debug;
    /// The parts of the heads that go out.
    type Out: std::fmt::Debug;

    fn wants_read(&self) -> bool;
    fn room(&self) -> usize;
    fn reuse(&self) -> Result<(), NotReusable>;
    /// The rule that the peer broke, if one.
    fn fault(&self) -> Option<PeerMisbehaved>;
    fn is_idle(&self) -> bool;
    fn is_closed(&self) -> bool;
    /// Server: whether a request's head, or the rest of it, is still to come.
    fn awaits_request(&self) -> bool;
    /// Whether the rest of a message is still to come.
    fn is_receiving(&self) -> bool;
    fn handle_read(&mut self, now: Instant, buf: &mut BytesMut);
    fn handle_eof(&mut self, now: Instant);
    fn handle_io_failed(&mut self, now: Instant, kind: LostKind);
    fn handle_write_failed(&mut self, now: Instant, kind: LostKind);
    fn handle_written(&mut self, now: Instant, n: usize);
    fn handle_timeout(&mut self, now: Instant);
    /// Server: what responses have for a date.
    fn date(&self) -> Option<&HeaderValue> {
        None
    }
    fn send_head(&mut self, now: Instant, parts: &Self::Out, body: BodySize);
    /// Takes a head that was sent, for the sake of its map.
    fn recycle(&mut self, parts: Box<Self::Out>);
    fn send_data(&mut self, now: Instant, chunk: Chunk);
    fn send_end(&mut self, now: Instant);
    /// Server: what the client still sends is of no use.
    fn stop_receiving(&mut self, now: Instant);
    /// Gives the exchange up. True if nothing of it had reached the peer, so that the connection is as before.
    fn abort(&mut self, now: Instant) -> bool;
    fn shut_down(&mut self, now: Instant);
    fn poll_event(&mut self) -> Option<Event<Self::In>>;
    fn output<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize;
    /// Whether a limit has come.
    fn is_due(&self, now: Instant) -> bool;
    fn poll_timeout(&self) -> Option<Instant>;
    fn poll_shutdown(&mut self) -> Option<Shutdown>;
}

macro_rules! link {
    ($machine:ty, in $in:ty, out $out:ty, $($role:item)*) => {
        impl Link for $machine {
            type In = $in;
            type Out = $out;

            $($role)*

            fn wants_read(&self) -> bool {
                self.wants_read()
            }
            fn room(&self) -> usize {
                self.room()
            }
            fn reuse(&self) -> Result<(), NotReusable> {
                self.reuse()
            }
            fn fault(&self) -> Option<PeerMisbehaved> {
                self.fault()
            }
            fn is_idle(&self) -> bool {
                self.is_idle()
            }
            fn is_closed(&self) -> bool {
                self.is_closed()
            }
            fn is_receiving(&self) -> bool {
                self.is_receiving()
            }
            fn handle_read(&mut self, now: Instant, buf: &mut BytesMut) {
                self.handle_read(now, buf);
            }
            fn handle_eof(&mut self, now: Instant) {
                self.handle_eof(now);
            }
            fn handle_io_failed(&mut self, now: Instant, kind: LostKind) {
                self.handle_io_failed(now, kind);
            }
            fn handle_written(&mut self, now: Instant, n: usize) {
                self.handle_written(now, n);
            }
            fn handle_timeout(&mut self, now: Instant) {
                self.handle_timeout(now);
            }
            fn send_head(&mut self, now: Instant, parts: &$out, body: BodySize) {
                self.send_head(now, parts, body);
            }
            fn recycle(&mut self, parts: Box<$out>) {
                self.recycle(parts.headers);
            }
            fn send_data(&mut self, now: Instant, chunk: Chunk) {
                self.send_data(now, chunk);
            }
            fn send_end(&mut self, now: Instant) {
                self.send_end(now);
            }
            fn shut_down(&mut self, now: Instant) {
                self.shut_down(now);
            }
            fn poll_event(&mut self) -> Option<Event<$in>> {
                self.poll_event()
            }
            fn output<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
                self.output(slices)
            }
            fn is_due(&self, now: Instant) -> bool {
                self.is_due(now)
            }
            fn poll_timeout(&self) -> Option<Instant> {
                self.poll_timeout()
            }
            fn poll_shutdown(&mut self) -> Option<Shutdown> {
                self.poll_shutdown()
            }
        }
    };
}

link!(Client, in response::Parts, out request::Parts,
    fn awaits_request(&self) -> bool {
        false
    }
    fn stop_receiving(&mut self, _: Instant) {}
    fn abort(&mut self, now: Instant) -> bool {
        self.abort(now) == Recalled::Everything
    }
    fn handle_write_failed(&mut self, now: Instant, kind: LostKind) {
        self.handle_write_failed(now, kind);
    }
);

link!(Server, in request::Parts, out response::Parts,
    fn awaits_request(&self) -> bool {
        self.is_idle() || self.is_receiving_head()
    }
    fn date(&self) -> Option<&HeaderValue> {
        self.date()
    }
    fn stop_receiving(&mut self, now: Instant) {
        self.stop_receiving(now);
    }
    fn abort(&mut self, now: Instant) -> bool {
        self.abort(now, NotReusable::Aborted);
        false
    }
    fn handle_write_failed(&mut self, now: Instant, kind: LostKind) {
        self.handle_io_failed(now, kind);
    }
);
