//! The suite that every [`Runtime`] passes: one set of functions, of which [`runtime_suite!`](crate::runtime_suite) makes
//! tests on a runtime.

pub mod contract;
pub mod operations;
pub mod rpc;
pub mod streams;

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::driver::alarm;
use crate::{BoxFuture, Runtime};

/// One case of the suite. It panics if it fails.
pub type Case = fn(Arc<dyn Runtime>) -> BoxFuture<()>;

/// Makes a test of every case of the suite. `$run` is a function in scope of the test's crate that takes a `Case`
/// of the [suite](crate::testing::suite) and gives it to the suite's `run` on a runtime.
#[macro_export]
macro_rules! runtime_suite {
    ($run:path) => {
        $crate::runtime_suite!(@cases contract, $run,
            accepts_at_a_port_of_its_choice
            a_taken_port_is_refused_by_name
            connects_by_host_name
            connecting_where_nobody_listens_is_refused
            echoes_a_megabyte
            writes_many_slices_at_once
            a_half_closed_stream_still_receives
            dropping_a_stream_ends_it
            a_waiting_accept_is_woken
            spawned_tasks_run_unwatched
            timers_end_and_not_early
            a_timer_can_be_moved
            a_timer_at_the_end_of_time_waits
            the_last_to_wait_is_woken
        );
        $crate::runtime_suite!(@cases rpc, $run,
            unary_calls_share_a_connection
            a_handlers_error_reaches_the_client
            metadata_travels
            a_failure_has_the_responses_metadata
            a_get_shows_its_query
            a_unary_call_can_be_held
            a_deadline_ends_a_call
            closing_never_waits
            an_end_comes_when_the_connection_is_free
            a_mute_connection_gets_no_more_calls
            dropping_aborts
            a_waiting_sender_hears_of_the_end
            a_sender_may_go_after_a_close
            a_late_dropped_sender_takes_nothing_away
            whoever_waits_hears_of_the_end
            a_handler_sees_its_client_go
            a_handlers_end_by_the_deadline_stays_one
            a_shutdown_ends_within_its_grace
            a_channel_shuts_down
            too_many_calls_are_shed
            traffic_is_counted
            a_crowd_of_calls
        );
        $crate::runtime_suite!(@cases streams, $run,
            streams_of_every_kind
            full_duplex_needs_http2
            large_messages_pass
            a_stream_is_passed_on
            a_streams_error_comes_back
            a_stream_that_waits_is_given_up_at_the_end
        );
        $crate::runtime_suite!(@cases operations, $run,
            a_compression_of_ones_own_is_negotiated
            each_call_has_its_threshold
            what_does_not_fit_a_get_goes_by_post
            get_is_off_unless_it_is_asked_for
            too_many_waiting_calls_are_refused
            too_many_connections_are_closed
            calls_under_way_are_counted
            responses_have_a_date
        );
    };
    (@cases $module:ident, $run:path, $($case:ident)*) => {
        mod $module {
            $(#[test]
            fn $case() {
                $run(|runtime| Box::pin($crate::testing::suite::$module::$case(runtime)));
            })*
        }
    };
}

/// How long a case may take on its runtime's clock.
const LIMIT: Duration = Duration::from_secs(20);

/// Runs a case to its end.
///
/// # Panics
/// If the case fails, or takes too long.
pub async fn run(runtime: Arc<dyn Runtime>, case: Case) {
    let done = within(&*runtime, LIMIT, case(Arc::clone(&runtime))).await;
    assert!(done.is_some(), "the case takes longer than {LIMIT:?}");
}

/// Awaits a future for a time; `None` if that was too short.
pub async fn within<T>(runtime: &dyn Runtime, limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    alarm::within(runtime, limit, future).await
}

/// Waits for a time.
pub async fn sleep(runtime: &dyn Runtime, duration: Duration) {
    let mut timer = runtime.timer(runtime.now().saturating_add(duration));
    poll_fn(|cx| timer.as_mut().poll(cx)).await;
}

/// Spawns a future, whose result can be awaited.
pub fn spawn<T: Send + 'static>(
    runtime: &dyn Runtime,
    future: impl Future<Output = T> + Send + 'static,
) -> Task<T> {
    let slot = Arc::new(Mutex::new(Slot::Running(None)));
    let result = TaskResult(Arc::clone(&slot));
    runtime.spawn(Box::pin(async move {
        let done = future.await;
        result.put(Slot::Done(done));
    }));
    Task(slot)
}

/// A spawned future. Dropping it does not stop the task.
#[derive(Debug)]
pub struct Task<T>(Arc<Mutex<Slot<T>>>);

#[derive(Debug)]
enum Slot<T> {
    Running(Option<Waker>),
    Done(T),
    Over,
}

impl<T> Future for Task<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *slot, Slot::Over) {
            Slot::Running(_) => {
                *slot = Slot::Running(Some(cx.waker().clone()));
                Poll::Pending
            }
            Slot::Done(done) => Poll::Ready(done),
            Slot::Over => panic!("the task panicked or was dropped by its runtime"),
        }
    }
}

/// The task's end of a [`Slot`]: dropped without a result, it says so.
struct TaskResult<T>(Arc<Mutex<Slot<T>>>);

impl<T> TaskResult<T> {
    fn put(&self, done: Slot<T>) {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Slot::Running(waiting) = &mut *slot {
            let waiting = waiting.take();
            *slot = done;
            drop(slot);
            waiting.into_iter().for_each(Waker::wake);
        }
    }
}

impl<T> Drop for TaskResult<T> {
    fn drop(&mut self) {
        self.put(Slot::Over);
    }
}
