//! Connecting to a host of many addresses: happy eyeballs, RFC 8305 in small.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use super::runtime::{Runtime, Timer};

/// How long an attempt is alone before the next one begins beside it: what RFC 8305 recommends.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Connects to the first of a host's addresses that takes it, for the [`connect`](Runtime::connect) of a runtime.
///
/// Addresses of IPv6 and of IPv4 take turns, in the order of the resolver otherwise. The next attempt begins when one has
/// failed, or 250 ms after the last has begun; those before it go on. When one succeeds, the others are dropped. So an
/// address that does not answer costs 250 ms, and not all the time there is.
///
/// # Errors
/// That of the attempt that failed last, once all have; [`io::ErrorKind::NotFound`] without addresses.
pub async fn connect_to_first<T, F>(
    runtime: &dyn Runtime,
    addresses: impl IntoIterator<Item = SocketAddr>,
    attempt: impl Fn(SocketAddr) -> F,
) -> io::Result<T>
where
    F: Future<Output = io::Result<T>>,
{
    let mut left = take_turns(addresses).into_iter();
    let mut attempts: Vec<Pin<Box<F>>> = Vec::new();
    let mut timer: Option<Pin<Box<dyn Timer>>> = None;
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    poll_fn(|cx| {
        loop {
            let (mut connected, mut has_failed) = (None, false);
            attempts.retain_mut(|attempt| match attempt.as_mut().poll(cx) {
                Poll::Pending => true,
                Poll::Ready(Ok(done)) => {
                    connected = Some(done);
                    false
                }
                Poll::Ready(Err(error)) => {
                    failure = error;
                    has_failed = true;
                    false
                }
            });
            if let Some(connected) = connected {
                return Poll::Ready(Ok(connected));
            }
            let is_late = timer.as_mut().is_none_or(|timer| timer.as_mut().poll(cx).is_ready());
            let next = if has_failed || attempts.is_empty() || is_late { left.next() } else { None };
            match next {
                Some(address) => {
                    attempts.push(Box::pin(attempt(address)));
                    timer = Some(runtime.timer(runtime.now().saturating_add(ATTEMPT_DELAY)));
                }
                None if attempts.is_empty() => {
                    let last = std::mem::replace(&mut failure, io::ErrorKind::Other.into());
                    return Poll::Ready(Err(last));
                }
                None => return Poll::Pending,
            }
        }
    })
    .await
}

/// The addresses of both families in turn, beginning with that of the first.
fn take_turns(addresses: impl IntoIterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let mut addresses = addresses.into_iter().peekable();
    let Some(first) = addresses.peek().copied() else { return Vec::new() };
    let (mut these, mut others): (VecDeque<_>, VecDeque<_>) =
        addresses.partition(|address| address.is_ipv6() == first.is_ipv6());
    let mut taken = Vec::with_capacity(these.len() + others.len());
    while let Some(next) = these.pop_front() {
        taken.push(next);
        // The others are next, as long as there are any.
        if !others.is_empty() {
            std::mem::swap(&mut these, &mut others);
        }
    }
    taken
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::testing::Sim;
    use crate::testing::suite::sleep;

    /// How an attempt goes, and after how many milliseconds.
    type Plan = (&'static str, u64, Result<(), io::ErrorKind>);

    const OK: Result<(), io::ErrorKind> = Ok(());
    const REFUSED: Result<(), io::ErrorKind> = Err(io::ErrorKind::ConnectionRefused);
    const UNREACHABLE: Result<(), io::ErrorKind> = Err(io::ErrorKind::HostUnreachable);
    const NEVER: u64 = 3_600_000;

    /// Counts the attempts that are under way.
    struct UnderWay(Arc<Mutex<usize>>);

    impl Drop for UnderWay {
        fn drop(&mut self) {
            *self.0.lock().unwrap() -= 1;
        }
    }

    /// What becomes of these attempts: the one that connects or the error, when each was begun, and when it was over.
    fn connect(plans: &[Plan]) -> (Result<String, io::ErrorKind>, Vec<(String, u64)>, u64) {
        let sim = Sim::new(7);
        let runtime = sim.handle();
        let millis = || sim.now().as_nanos() / 1_000_000;
        let (begun, under_way) = (Mutex::new(Vec::new()), Arc::new(Mutex::new(0)));
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let attempt = |to: SocketAddr| {
            begun.lock().unwrap().push((to.to_string(), millis()));
            let &(_, after, outcome) = plans.iter().find(|plan| address(plan.0) == to).unwrap();
            *under_way.lock().unwrap() += 1;
            let (guard, runtime) = (UnderWay(under_way.clone()), runtime.clone());
            async move {
                let _guard = guard;
                sleep(&*runtime, Duration::from_millis(after)).await;
                outcome.map(|()| to.to_string()).map_err(io::Error::from)
            }
        };
        let addresses: Vec<_> = plans.iter().map(|plan| address(plan.0)).collect();
        let done = sim.run(connect_to_first(&*runtime, addresses, attempt));
        assert_eq!(*under_way.lock().unwrap(), 0, "the others are dropped");
        let begun = begun.lock().unwrap().clone();
        (done.map_err(|error| error.kind()), begun, millis())
    }

    fn at(address: &str, millis: u64) -> (String, u64) {
        (address.to_owned(), millis)
    }

    #[test]
    fn the_first_that_answers_in_time_is_alone() {
        let done = connect(&[("[::1]:80", 200, OK), ("127.0.0.1:80", 0, OK)]);
        assert_eq!(done, (Ok("[::1]:80".into()), vec![at("[::1]:80", 0)], 200));
    }

    #[test]
    fn after_a_failure_the_next_begins_at_once() {
        let done = connect(&[("[::1]:80", 10, REFUSED), ("127.0.0.1:80", 5, OK)]);
        assert_eq!(done, (Ok("127.0.0.1:80".into()), vec![at("[::1]:80", 0), at("127.0.0.1:80", 10)], 15));
    }

    #[test]
    fn one_that_does_not_answer_costs_a_quarter_of_a_second() {
        let done = connect(&[
            ("[::1]:80", NEVER, OK),
            ("[::2]:80", NEVER, OK),
            ("127.0.0.1:80", NEVER, OK),
            ("127.0.0.2:80", 20, OK),
        ]);
        let begun =
            vec![at("[::1]:80", 0), at("127.0.0.1:80", 250), at("[::2]:80", 500), at("127.0.0.2:80", 750)];
        assert_eq!(done, (Ok("127.0.0.2:80".into()), begun, 770));
    }

    #[test]
    fn one_that_was_slow_may_still_be_the_first() {
        let done = connect(&[("127.0.0.1:80", 300, OK), ("127.0.0.2:80", 100, OK)]);
        assert_eq!(done.0, Ok("127.0.0.1:80".into()));
        assert_eq!(done.2, 300);
    }

    #[test]
    fn the_last_failure_is_told_when_all_have_failed() {
        let done = connect(&[("[::1]:80", 400, UNREACHABLE), ("127.0.0.1:80", 50, REFUSED)]);
        assert_eq!((done.0, done.2), (Err(io::ErrorKind::HostUnreachable), 400));
        assert_eq!(connect(&[]).0, Err(io::ErrorKind::NotFound));
    }
}
