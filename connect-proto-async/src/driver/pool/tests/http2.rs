//! HTTP/2: many calls at once on a connection.

use super::*;

/// A pool for so many connections, with the first open and one call on it.
fn open(connections: usize) -> Scene {
    let mut scene = Scene::new(|config| {
        config.protocol = Protocol::Http2;
        config.http2_connections = connections;
    });
    scene.open(&["x"]);
    scene.dialled(1);
    scene
}

#[test]
fn all_calls_wait_for_one_dial() {
    let mut scene = Scene::http2();
    assert_eq!(scene.open(&["a", "b", "c"]), ["a waits", "dial 1", "b waits", "c waits"]);
    assert_eq!(scene.dialled(1), ["a on 1", "b on 1", "c on 1"]);
    assert_eq!(scene.open(&["d"]), ["d on 1"]);
    assert_eq!(scene.pool.counters().dials, 1);
}

#[test]
fn a_failed_dial_fails_all_that_waited_for_it_and_the_next_call_dials_at_once() {
    let mut scene = Scene::http2();
    scene.open(&["a", "b"]);
    assert_eq!(
        scene.dial_fails(1),
        ["a fails: no connection could be made: no route", "b fails: no connection could be made: no route"]
    );
    assert_eq!(scene.open(&["c"]), ["c waits", "dial 2"]);
}

#[test]
fn another_connection_is_made_only_when_those_there_are_full() {
    let mut scene = open(2);
    assert_eq!(scene.open(&["a"]), ["a on 1"]);
    assert!(scene.filled(1).is_empty());
    assert_eq!(scene.open(&["b", "c"]), ["b waits", "dial 2", "c waits"]);
    assert_eq!(scene.dialled(2), ["b on 2", "c on 2"]);
}

#[test]
fn a_stream_that_comes_free_first_takes_the_call_that_waits_for_another_connection() {
    let mut scene = open(2);
    scene.filled(1);
    scene.open(&["a"]);
    assert_eq!(scene.freed(1), ["a on 1"]);
    assert!(scene.dialled(2).is_empty());
}

#[test]
fn at_the_limit_calls_wait_in_a_full_connection() {
    let mut scene = open(1);
    scene.filled(1);
    assert_eq!(scene.open(&["a"]), ["a on 1"]);
}

#[test]
fn a_busy_connection_gets_a_call_again_once_one_of_its_calls_has_ended() {
    let mut scene = open(1);
    scene.open(&["a"]);
    assert!(scene.refused("a", Refusal::Busy).is_empty());
    assert_eq!(scene.open(&["b"]), ["b waits"]);
    assert_eq!(scene.freed(1), ["a on 1", "b on 1"]);
}

#[test]
fn when_no_further_connection_can_be_made_calls_make_do_with_a_full_one() {
    let mut scene = open(2);
    scene.filled(1);
    scene.open(&["a"]);
    assert_eq!(scene.dial_fails(2), ["a on 1"]);
    // For a while, no further dial delays calls.
    assert_eq!(scene.open(&["b"]), ["b on 1"]);
    scene.sleep(secs(1));
    assert_eq!(scene.open(&["c"]), ["c waits", "dial 3"]);
}

#[test]
fn a_call_goes_to_the_least_loaded_connection() {
    let mut scene = open(2);
    scene.filled(1);
    scene.open(&["a"]);
    scene.dialled(2);
    scene.freed(1);
    assert_eq!(scene.open(&["b", "c", "d"]), ["b on 1", "c on 1", "d on 2"]);
}

#[test]
fn a_suspect_connection_is_replaced_while_its_calls_go_on() {
    let mut scene = open(1);
    assert_eq!(scene.suspect(1), ["shut down 1"]);
    assert_eq!(scene.open(&["a"]), ["a waits", "dial 2"]);
    assert_eq!(scene.dialled(2), ["a on 2"]);
    assert!(scene.freed(1).is_empty());
    assert_eq!(scene.open(&["b"]), ["b on 2"]);
    assert!(scene.ended(1).is_empty());
    assert_eq!(scene.pool.counters().evictions, 1);
}

#[test]
fn a_connection_that_goes_away_is_replaced() {
    let mut scene = open(1);
    scene.open(&["a", "b"]);
    assert_eq!(scene.refused("b", Refusal::GoingAway), ["dial 2"]);
    assert_eq!(scene.refused("a", Refusal::GoingAway), [""; 0]);
    assert_eq!(scene.dialled(2), ["a on 2", "b on 2"]);
}

#[test]
fn after_a_request_for_calm_the_next_dial_waits_longer_each_time() {
    let mut scene = open(1);
    let mut dial = 1;
    for pause in [1, 2, 4, 8, 16, 30, 30] {
        assert!(scene.calm(dial).is_empty());
        scene.ended(dial);
        assert_eq!(scene.open(&["a"]), ["a waits"]);
        assert_eq!(scene.timer(), Some(secs(pause)));
        assert!(scene.pass(secs(pause) - Duration::from_nanos(1)).is_empty());
        assert_eq!(scene.pass(Duration::from_nanos(1)), [format!("dial {}", dial + 1)]);
        dial += 1;
        assert_eq!(scene.dialled(dial), [format!("a on {dial}")]);
    }
    assert_eq!(scene.backed_off, 7, "and its keep-alive is backed off as often");
}

#[test]
fn a_connection_that_lived_for_a_while_makes_the_pause_short_again() {
    let mut scene = open(1);
    scene.calm(1);
    scene.open(&["a"]);
    scene.pass(secs(1));
    scene.dialled(2);
    scene.pass(secs(60));
    scene.calm(2);
    scene.open(&["b"]);
    assert_eq!(scene.timer(), Some(secs(1)));
    scene.pass(secs(1));
    assert_eq!(scene.backed_off, 2, "but its keep-alive stays backed off");
}

#[test]
fn a_failed_dial_does_not_shorten_the_pause() {
    let mut scene = open(3);
    scene.calm(1);
    scene.open(&["a"]);
    scene.pass(secs(1));
    for number in [2, 3] {
        scene.dialled(number);
        scene.filled(number);
        scene.open(&["b"]);
    }
    scene.calm(2);
    assert_eq!(scene.dial_fails(4), ["b on 3"]);
    scene.sleep(secs(1));
    assert_eq!(scene.open(&["c"]), ["c on 3"]);
    scene.sleep(secs(1));
    assert_eq!(scene.open(&["d"]), ["d waits", "dial 5"]);
}

#[test]
fn a_server_that_turns_out_to_speak_http1_gets_a_connection_for_each_call() {
    let mut scene = Scene::http2();
    scene.open(&["a", "b", "c"]);
    assert_eq!(scene.dialled_as(1, Protocol::Http1), ["a on 1", "dial 2", "dial 3"]);
}
