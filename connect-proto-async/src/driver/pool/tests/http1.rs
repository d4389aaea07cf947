//! HTTP/1.1: one call at a time on a connection.

use super::*;

/// A pool with this many connections, which have each carried a call and are idle; the last was used last.
fn idle(count: usize) -> Scene {
    let mut scene = Scene::http1();
    for number in 1..=count {
        scene.open(&["x"]);
        scene.dialled(number);
    }
    for number in 1..=count {
        assert!(scene.freed(number).is_empty());
    }
    scene
}

#[test]
fn a_call_without_an_idle_connection_waits_for_a_dial() {
    let mut scene = Scene::http1();
    assert_eq!(scene.open(&["a"]), ["a waits", "dial 1"]);
    assert_eq!(scene.dialled(1), ["a on 1"]);
    assert_eq!(scene.open(&["b"]), ["b waits", "dial 2"]);
}

#[test]
fn the_connection_used_last_is_used_first() {
    let mut scene = idle(3);
    assert_eq!(scene.open(&["a", "b"]), ["a on 3", "b on 2"]);
    scene.freed(2);
    scene.freed(3);
    assert_eq!(scene.open(&["c", "d", "e"]), ["c on 3", "d on 2", "e on 1"]);
    assert_eq!(scene.pool.counters().reuses, 5);
}

#[test]
fn a_freed_connection_goes_to_the_call_that_has_waited_longest() {
    let mut scene = Scene::new(|config| config.max_http1_connections = 1);
    scene.open(&["a", "b", "c"]);
    assert_eq!(scene.dialled(1), ["a on 1"]);
    assert_eq!(scene.freed(1), ["b on 1"]);
    assert_eq!(scene.freed(1), ["c on 1"]);
}

#[test]
fn a_new_call_does_not_overtake_one_that_waits() {
    let mut scene = Scene::new(|config| config.max_http1_connections = 1);
    scene.open(&["a", "b"]);
    scene.dialled(1);
    scene.pool.freed(scene.now, scene.id(1));
    // The actions were not polled in between.
    assert_eq!(scene.open(&["c"]), ["c waits", "b on 1"]);
}

#[test]
fn no_more_connections_than_the_limit_are_made() {
    let mut scene = Scene::new(|config| config.max_http1_connections = 2);
    assert_eq!(scene.open(&["a", "b", "c"]), ["a waits", "dial 1", "b waits", "dial 2", "c waits"]);
}

#[test]
fn a_closing_connection_counts_until_it_has_ended() {
    let mut scene = Scene::new(|config| config.max_http1_connections = 1);
    scene.open(&["a", "b"]);
    scene.dialled(1);
    assert!(scene.closing(1).is_empty());
    assert_eq!(scene.ended(1), ["dial 2"]);
    assert_eq!(scene.dialled(2), ["b on 2"]);
}

#[test]
fn the_oldest_drain_is_cut_for_a_call_that_has_no_place() {
    let mut scene = Scene::new(|config| config.max_http1_connections = 2);
    scene.open(&["a", "b"]);
    scene.dialled(1);
    scene.dialled(2);
    assert!(scene.draining("b").is_empty());
    scene.sleep(secs(1));
    assert!(scene.draining("a").is_empty());
    assert_eq!(scene.open(&["c"]), ["c waits", "cut 2"]);
    assert_eq!(scene.open(&["d", "e"]), ["d waits", "cut 1", "e waits"]);
    assert_eq!(scene.ended(2), ["dial 3"]);
    assert_eq!(scene.dialled(3), ["c on 3"]);
    assert_eq!(scene.pool.counters().evictions, 2);
}

#[test]
fn a_drain_that_begins_while_a_call_waits_is_cut_at_once() {
    let mut scene = Scene::new(|config| config.max_http1_connections = 1);
    scene.open(&["a", "b"]);
    scene.dialled(1);
    assert_eq!(scene.draining("a"), ["cut 1"]);
}

#[test]
fn a_drain_that_is_in_nobodys_way_goes_on() {
    let mut scene = Scene::new(|config| config.max_http1_connections = 2);
    scene.open(&["a"]);
    scene.dialled(1);
    scene.draining("a");
    assert_eq!(scene.open(&["b"]), ["b waits", "dial 2"]);
    assert_eq!(scene.dialled(2), ["b on 2"]);
    // The place of a dial or of a connection that ends is one already.
    assert!(scene.closing(2).is_empty());
    assert!(scene.freed(1).is_empty());
    assert_eq!(scene.open(&["c"]), ["c on 1"]);
}

#[test]
fn a_drain_that_is_told_after_its_end_cuts_no_other_call() {
    let mut scene = Scene::new(|config| config.max_http1_connections = 1);
    scene.open(&["a"]);
    scene.dialled(1);
    scene.freed(1);
    assert!(scene.draining("a").is_empty());
    assert_eq!(scene.open(&["b", "c"]), ["b on 1", "c waits"]);
    assert!(scene.draining("a").is_empty());
    assert_eq!(scene.freed(1), ["c on 1"]);
}

#[test]
fn a_failed_dial_fails_the_call_that_has_waited_longest() {
    let mut scene = Scene::http1();
    scene.open(&["a", "b"]);
    assert_eq!(scene.dial_fails(2), ["a fails: no connection could be made: no route"]);
    assert_eq!(scene.dialled(1), ["b on 1"]);
    assert_eq!(scene.pool.counters().dial_failures, 1);
}

#[test]
fn after_a_failed_dial_another_is_made_for_those_that_had_none() {
    let mut scene = Scene::new(|config| config.max_http1_connections = 1);
    scene.open(&["a", "b"]);
    assert_eq!(scene.dial_fails(1), ["a fails: no connection could be made: no route", "dial 2"]);
    assert_eq!(scene.dialled(2), ["b on 2"]);
}

#[test]
fn a_dial_outrun_by_a_freed_connection_leaves_an_idle_one() {
    let mut scene = idle(1);
    assert_eq!(scene.open(&["a", "b"]), ["a on 1", "b waits", "dial 2"]);
    assert_eq!(scene.freed(1), ["b on 1"]);
    assert!(scene.dialled(2).is_empty());
    assert_eq!(scene.open(&["c"]), ["c on 2"]);
}

#[test]
fn a_surplus_dial_is_used_by_the_next_call_and_fails_nobody() {
    let mut scene = idle(1);
    scene.open(&["a", "b"]);
    scene.freed(1);
    // Dial 2 is now a surplus.
    assert_eq!(scene.open(&["c", "d"]), ["c waits", "d waits", "dial 3"]);
    assert_eq!(scene.freed(1), ["c on 1"]);
    assert!(scene.dial_fails(2).is_empty());
    assert_eq!(scene.dialled(3), ["d on 3"]);
}

#[test]
fn a_cancelled_call_leaves_its_dial_to_the_next() {
    let mut scene = Scene::http1();
    scene.open(&["a"]);
    assert!(scene.cancel("a").is_empty());
    assert_eq!(scene.open(&["b"]), ["b waits"]);
    assert_eq!(scene.dialled(1), ["b on 1"]);
    assert_eq!(scene.pool.cancel(scene.tickets["b"]), None);
}

#[test]
fn a_call_that_was_sent_away_waits_in_its_old_place() {
    let mut scene = Scene::new(|config| config.max_http1_connections = 1);
    scene.open(&["a", "b"]);
    scene.dialled(1);
    assert!(scene.refused("a", Refusal::GoingAway).is_empty());
    assert_eq!(scene.ended(1), ["dial 2"]);
    assert_eq!(scene.dialled(2), ["a on 2"]);
}

#[test]
fn a_call_is_not_tried_on_a_new_connection_for_ever() {
    let mut scene = Scene::http1();
    scene.open(&["a"]);
    for dial in 1..5 {
        assert_eq!(scene.dialled(dial), [format!("a on {dial}")]);
        assert_eq!(scene.refused("a", Refusal::GoingAway), [format!("dial {}", dial + 1)]);
    }
    assert_eq!(scene.dialled(5), ["a on 5"]);
    assert_eq!(scene.refused("a", Refusal::GoingAway), ["a fails: no connection took the call"]);
}

#[test]
fn a_connection_that_takes_no_call_though_it_has_none_is_not_tried_for_ever() {
    let mut scene = Scene::http1();
    scene.open(&["a"]);
    assert_eq!(scene.dialled(1), ["a on 1"]);
    for _ in 1..5 {
        assert_eq!(scene.refused("a", Refusal::Busy), ["a on 1"]);
    }
    assert_eq!(scene.refused("a", Refusal::Busy), ["a fails: no connection took the call"]);
}

#[test]
fn more_calls_than_may_wait_are_refused() {
    let mut scene = Scene::new(|config| {
        config.max_http1_connections = 1;
        config.max_waiting = 1;
    });
    scene.open(&["a"]);
    assert_eq!(scene.open(&["b"]), ["b refused: too many calls wait for a connection"]);
    scene.dialled(1);
    assert_eq!(scene.open(&["c"]), ["c waits"]);
}

#[test]
fn one_call_may_always_wait_since_it_is_what_a_connection_is_made_for() {
    let mut scene = Scene::new(|config| config.max_waiting = 0);
    assert_eq!(
        scene.open(&["a", "b"]),
        ["a waits", "dial 1", "b refused: too many calls wait for a connection"]
    );
    assert_eq!(scene.dialled(1), ["a on 1"]);
}

#[test]
fn alpn_decides_for_each_connection() {
    let mut scene = Scene::http1();
    scene.open(&["a", "b", "c"]);
    assert_eq!(scene.dialled_as(2, Protocol::Http2), ["a on 2", "b on 2", "c on 2"]);
    // HTTP/2 is what is expected from now on; what was begun is kept.
    assert!(scene.dialled_as(1, Protocol::Http1).is_empty());
    assert_eq!(scene.open(&["d", "e"]), ["d on 2", "e on 2"]);
}
