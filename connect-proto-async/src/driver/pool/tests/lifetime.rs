//! Timeouts, age and shutdown.

use super::*;

fn with_one_idle(set: impl FnOnce(&mut PoolConfig)) -> Scene {
    let mut scene = Scene::new(set);
    scene.open(&["x"]);
    scene.dialled(1);
    scene.freed(1);
    scene
}

#[test]
fn a_dial_is_given_up_at_the_connect_timeout() {
    let mut scene = Scene::http1();
    scene.open(&["a"]);
    assert_eq!(scene.timer(), Some(secs(10)));
    assert!(scene.pass(secs(9)).is_empty());
    assert_eq!(scene.pass(secs(1)), ["a fails: no connection could be made in time", "give up 1"]);
    assert_eq!(scene.timer(), None);
    assert!(scene.pool.is_empty());
}

#[test]
fn a_connection_that_comes_after_its_dial_was_given_up_is_shut_down() {
    let mut scene = Scene::http1();
    scene.open(&["a"]);
    scene.sleep(secs(10));
    assert_eq!(
        scene.dialled(1),
        ["a fails: no connection could be made in time", "give up 1", "shut down 1"]
    );
    assert!(!scene.pool.is_empty());
    scene.ended(1);
    assert!(scene.pool.is_empty());
}

#[test]
fn a_dial_that_fails_late_fails_once() {
    let mut scene = Scene::http1();
    scene.open(&["a"]);
    scene.pass(secs(10));
    scene.open(&["b"]);
    assert!(scene.dial_fails(1).is_empty());
    assert_eq!(scene.dialled(2), ["b on 2"]);
}

#[test]
fn an_idle_connection_is_shut_down_at_the_idle_timeout() {
    let mut scene = with_one_idle(|_| {});
    assert!(scene.pass(secs(29)).is_empty());
    assert_eq!(scene.pass(secs(1)), ["shut down 1"]);
    assert_eq!(scene.timer(), None);
    assert_eq!(scene.pool.counters().evictions, 1);
}

#[test]
fn a_late_tick_does_not_extend_the_idle_timeout() {
    let mut scene = with_one_idle(|_| {});
    scene.sleep(secs(30));
    assert_eq!(scene.open(&["a"]), ["a waits", "shut down 1", "dial 2"]);
}

#[test]
fn a_connection_with_a_call_is_not_idle() {
    let mut scene = with_one_idle(|_| {});
    scene.open(&["a"]);
    assert_eq!(scene.timer(), None);
    assert!(scene.pass(secs(1000)).is_empty());
    scene.freed(1);
    assert_eq!(scene.timer(), Some(secs(30)));
}

#[test]
fn a_connection_of_full_age_gets_no_more_calls_and_keeps_those_it_has() {
    let mut scene = with_one_idle(|config| {
        config.protocol = Protocol::Http2;
        config.max_age = Some(secs(60));
    });
    assert_eq!(scene.open(&["a"]), ["a on 1"]);
    assert_eq!(scene.timer(), Some(secs(60)));
    assert_eq!(scene.pass(secs(60)), ["shut down 1"]);
    assert_eq!(scene.open(&["b"]), ["b waits", "dial 2"]);
    assert!(scene.freed(1).is_empty());
    assert!(scene.ended(1).is_empty());
    assert_eq!(scene.dialled(2), ["b on 2"]);
}

#[test]
fn a_clock_that_runs_backwards_is_clamped() {
    let mut scene = with_one_idle(|_| {});
    scene.pass(secs(20));
    scene.now = Instant::ORIGIN;
    scene.open(&["a"]);
    scene.freed(1);
    assert_eq!(scene.timer(), Some(secs(50)));
}

#[test]
fn a_shutdown_fails_those_that_wait_and_lets_the_others_end() {
    let mut scene = Scene::http1();
    scene.open(&["a", "b"]);
    scene.dialled(1);
    assert_eq!(scene.shut_down(), ["b fails: the channel is shut down", "shut down 1", "give up 2"]);
    assert_eq!(scene.open(&["c"]), ["c refused: the channel is shut down"]);
    assert!(!scene.pool.is_empty());
    assert!(scene.freed(1).is_empty());
    scene.ended(1);
    assert!(scene.pool.is_empty());
    assert_eq!(scene.timer(), None);
}

#[test]
fn a_call_that_comes_back_after_the_shutdown_fails() {
    let mut scene = Scene::http1();
    scene.open(&["a"]);
    scene.dialled(1);
    scene.shut_down();
    assert_eq!(scene.refused("a", Refusal::GoingAway), ["a fails: the channel is shut down"]);
}
