//! A timer that is moved only when it has to be.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use connect_proto::Instant;

use super::runtime::{Runtime, Timer};

/// A timer of a task, made when it is first needed.
///
/// It is moved for an earlier time, not for a later one: it then goes off too early, and is moved on that occasion. So a
/// limit that is put off by every byte costs nothing.
pub(crate) struct Alarm {
    timer: Pin<Box<dyn Timer>>,
    /// What it is set to; `None` once that has come.
    at: Option<Instant>,
}

impl Alarm {
    /// True if it has gone off, `due` or too early. The task is woken when it does.
    pub(crate) fn poll_at(
        alarm: &mut Option<Alarm>,
        runtime: &dyn Runtime,
        due: Instant,
        cx: &mut Context<'_>,
    ) -> bool {
        let alarm = alarm.get_or_insert_with(|| Alarm { timer: runtime.timer(due), at: Some(due) });
        if alarm.at.is_none_or(|at| due < at) {
            alarm.timer.as_mut().reset(due);
            alarm.at = Some(due);
        }
        let has_ended = matches!(alarm.timer.as_mut().poll(cx), Poll::Ready(()));
        if has_ended {
            alarm.at = None;
        }
        has_ended
    }
}

/// Awaits a future for a time; `None` if that was too short.
pub(crate) async fn within<T>(
    runtime: &dyn Runtime,
    limit: Duration,
    future: impl Future<Output = T>,
) -> Option<T> {
    let mut timer = runtime.timer(runtime.now().saturating_add(limit));
    let mut future = pin!(future);
    poll_fn(move |cx| match future.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => timer.as_mut().poll(cx).map(|()| None),
    })
    .await
}
