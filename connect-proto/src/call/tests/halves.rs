//! The sending half, and a drain budget.

use std::time::Duration;

use bytes::Bytes;

use crate::call::send::SendHalf;
use crate::call::{Chunk, Drain, DrainBudget, SendInput, SendState};
use crate::error::{CloseReason, ResetCode};
use crate::time::Instant;
use crate::wire::envelope::{Flags, Prefix};

fn queue(high_water: usize, messages: &[usize]) -> SendHalf {
    let mut send = SendHalf::new(high_water);
    for (index, &len) in messages.iter().enumerate() {
        send.push_envelope(Flags::NONE, Bytes::from(vec![index as u8; len]));
    }
    send
}

fn chunks(send: &mut SendHalf, max: usize) -> Vec<Chunk> {
    std::iter::from_fn(|| send.poll_chunk(max)).collect()
}

fn lens(send: &mut SendHalf, max: usize) -> Vec<usize> {
    chunks(send, max).iter().map(Chunk::len).collect()
}

fn bytes(chunks: &[Chunk]) -> Vec<u8> {
    chunks.iter().flat_map(|chunk| [chunk.prefix(), chunk.payload()].concat()).collect()
}

#[test]
fn a_message_of_any_size_fits_into_an_empty_queue() {
    assert!(queue(0, &[]).has_room(1 << 30));
}

#[test]
fn a_queue_is_full_beyond_its_high_water_mark() {
    // A message of 10 waits as 15 bytes.
    let mut send = queue(100, &[10]);
    assert!(send.has_room(85));
    assert!(!send.has_room(86));
}

#[test]
fn relief_is_told_once_and_only_to_who_was_refused() {
    let mut send = queue(100, &[60]);
    assert!(!send.take_relief());
    assert!(!send.has_room(60));
    assert!(!send.take_relief()); // 65 of 100 still wait
    send.poll_chunk(20).unwrap();
    assert!(send.take_relief()); // 45 do
    assert!(!send.take_relief());
}

#[test]
fn small_messages_travel_together() {
    let mut send = queue(1 << 20, &[16; 10]);
    assert_eq!(lens(&mut send, 1 << 20), [210]);
}

#[test]
fn one_small_message_is_not_copied() {
    let payload = Bytes::from_static(b"hello");
    let mut send = SendHalf::new(100);
    send.push_envelope(Flags::NONE, payload.clone());
    let chunk = send.poll_chunk(100).unwrap();
    assert_eq!(chunk.prefix(), [0, 0, 0, 0, 5]);
    assert_eq!(chunk.payload().as_ptr(), payload.as_ptr());
}

#[test]
fn a_large_message_travels_alone_and_is_not_copied() {
    let payload = Bytes::from(vec![1; 2000]);
    let mut send = queue(1 << 20, &[10, 10]);
    send.push_envelope(Flags::NONE, payload.clone());
    let found = chunks(&mut send, 1 << 20);
    assert_eq!(found.iter().map(Chunk::len).collect::<Vec<_>>(), [30, 2005]);
    assert_eq!(found[1].payload().as_ptr(), payload.as_ptr());
}

#[test]
fn a_chunk_keeps_to_its_maximum() {
    let mut send = queue(1 << 20, &[16, 16, 100]);
    assert_eq!(lens(&mut send, 50), [42, 50, 50, 5]);
}

#[test]
fn a_prefix_is_never_split() {
    let mut send = queue(1 << 20, &[3]);
    assert_eq!(lens(&mut send, 1), [5, 1, 1, 1]);
}

#[test]
fn a_maximum_of_zero_takes_nothing() {
    let mut send = queue(1 << 20, &[3]);
    assert_eq!(send.poll_chunk(0), None);
    assert_eq!(send.queued(), 8);
}

#[test]
fn merging_is_bounded() {
    let mut send = queue(1 << 20, &[1000; 40]);
    assert!(lens(&mut send, 1 << 20).iter().all(|&len| len <= 16 << 10));
}

#[test]
fn an_empty_message_is_a_prefix() {
    let mut send = queue(100, &[0]);
    assert_eq!(bytes(&chunks(&mut send, 100)), [0; 5]);
}

#[test]
fn an_empty_body_is_nothing() {
    let mut send = SendHalf::new(100);
    send.push_body(Bytes::new());
    assert_eq!((send.queued(), send.poll_chunk(100)), (0, None));
}

#[test]
fn a_message_that_has_begun_is_owed() {
    let mut send = queue(1 << 20, &[100, 100]);
    send.poll_chunk(50).unwrap();
    send.drop_not_begun();
    assert_eq!(send.queued(), 55);
    assert_eq!(lens(&mut send, 1 << 20), [55]);
}

#[test]
fn a_message_that_has_not_begun_is_dropped() {
    let mut send = queue(1 << 20, &[100, 100]);
    send.poll_chunk(105).unwrap();
    send.drop_not_begun();
    assert_eq!((send.queued(), send.poll_chunk(100)), (0, None));
}

#[test]
fn a_reset_is_handed_out_once_and_nothing_after_it() {
    let mut send = queue(100, &[10]);
    send.reset(ResetCode::CANCEL);
    assert_eq!(send.poll_chunk(100), None);
    assert_eq!(send.poll_reset(), Some(ResetCode::CANCEL));
    assert_eq!(send.poll_reset(), None);
    assert_eq!(send.state(), SendState::Stopped);
}

#[test]
fn an_acknowledgement_before_the_end_means_nothing() {
    let mut send = queue(100, &[10]);
    send.step(SendInput::EndSent);
    assert_eq!(send.state(), SendState::Open);
    send.step(SendInput::Finish);
    send.step(SendInput::EndSent);
    assert_eq!(send.state(), SendState::Finishing);
}

proptest::proptest! {
    #[test]
    fn the_messages_come_out_in_order_and_whole_however_they_are_taken(
        // To send a message of so many bytes, or to take so many at most.
        steps in proptest::collection::vec((proptest::bool::ANY, 1usize..3000), 0..60),
        small in 1usize..3000,
    ) {
        let mut send = queue(0, &[]);
        let (mut sent, mut found) = (Vec::new(), Vec::new());
        for (index, (is_message, n)) in steps.into_iter().enumerate() {
            if is_message {
                let payload = vec![index as u8; n % small];
                sent.extend(Prefix { flags: Flags::NONE, len: payload.len() as u32 }.write());
                sent.extend(&payload);
                send.push_envelope(Flags::NONE, Bytes::from(payload));
            } else {
                found.extend(send.poll_chunk(n));
            }
            proptest::prop_assert_eq!(send.queued() + bytes(&found).len(), sent.len());
        }
        found.extend(chunks(&mut send, usize::MAX));
        proptest::prop_assert!(found.iter().all(|chunk| !chunk.is_empty()));
        proptest::prop_assert_eq!(bytes(&found), sent);
    }
}

fn drain(bytes: u64) -> Drain {
    Drain::new(Instant::ORIGIN, DrainBudget { time: Duration::from_secs(1), bytes })
}

#[test]
fn a_drain_takes_exactly_its_budget() {
    let mut drain = drain(10);
    assert_eq!(drain.absorb(10), Ok(()));
    assert_eq!(drain.absorb(0), Ok(()));
    assert_eq!(drain.absorb(1), Err(CloseReason::DrainTooLarge));
    assert_eq!(drain.drained(), 10);
}

#[test]
fn a_drain_does_not_count_what_goes_beyond_it() {
    let mut drain = drain(10);
    assert_eq!(drain.absorb(1000), Err(CloseReason::DrainTooLarge));
    assert_eq!(drain.drained(), 10);
}

#[test]
fn a_drain_refuses_what_is_announced() {
    assert_eq!(drain(10).admit(10), Ok(()));
    assert_eq!(drain(10).admit(11), Err(CloseReason::DrainTooLarge));
}
