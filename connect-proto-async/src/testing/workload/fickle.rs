//! Waiting: for a while, or until one has had enough.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use super::super::faults::Random;

/// After how many polls a future is dropped; `None` if it is awaited to its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience(Option<usize>);

impl Patience {
    /// Runs out in one of `one_in` cases.
    pub(super) fn any(one_in: usize, random: &mut Random) -> Self {
        Patience((random.below(one_in) == 0).then(|| random.below(4)))
    }

    /// Does not run out before the first poll.
    pub(super) fn polls_once(self) -> Self {
        Patience(self.0.map(|polls| polls + 1))
    }

    /// Whether it may run out.
    pub(super) fn is_limited(self) -> bool {
        self.0.is_some()
    }

    /// Awaits a future, or drops it: before its first poll or after some polls that were in vain.
    pub(super) async fn wait<T>(self, future: impl Future<Output = T>) -> Option<T> {
        let mut left = self.0;
        if left == Some(0) {
            return None;
        }
        let mut future = pin!(future);
        poll_fn(|cx| {
            if let Poll::Ready(done) = future.as_mut().poll(cx) {
                return Poll::Ready(Some(done));
            }
            match &mut left {
                Some(1) => Poll::Ready(None),
                Some(left) => {
                    *left -= 1;
                    Poll::Pending
                }
                None => Poll::Pending,
            }
        })
        .await
    }
}
