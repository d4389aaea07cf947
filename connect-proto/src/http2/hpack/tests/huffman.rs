//! The code against appendix B's own codes, a bit by bit decoder and itself.

use std::collections::HashMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn encoded(text: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::from(&b"before"[..]);
    encode(text, encoded_len(text), &mut out);
    assert_eq!(out.len(), 6 + encoded_len(text));
    out.split_off(6).to_vec()
}

fn decoded(input: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let mut out = BytesMut::from(&b"before"[..]);
    let result = decode(input, &mut out);
    assert!(result.is_ok() || &out[..] == b"before");
    result.map(|()| out.split_off(6).to_vec())
}

/// Section 5.2, bit by bit.
fn reference(input: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let symbols: HashMap<u64, usize> = WORDS.into_iter().zip(0..).collect();
    let (mut out, mut code, mut len) = (Vec::new(), 0u64, 0u64);
    for bit in input.iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1)) {
        code = code << 1 | u64::from(bit);
        len += 1;
        if let Some(symbol) = symbols.get(&(code << 8 | len)) {
            out.push(u8::try_from(*symbol).map_err(|_| DecodeError::HuffmanEos)?);
            (code, len) = (0, 0);
        }
    }
    if len < 8 && code == (1 << len) - 1 { Ok(out) } else { Err(DecodeError::HuffmanPadding) }
}

#[test]
fn codes_of_appendix_b() {
    for (symbol, code, len) in [
        (0, 0x1ff8, 13),
        (1, 0x7fffd8, 23),
        (9, 0xffffea, 24),
        (10, 0x3ffffffc, 30),
        (usize::from(b' '), 0x14, 6),
        (usize::from(b'!'), 0x3f8, 10),
        (usize::from(b'0'), 0, 5),
        (usize::from(b'9'), 0x1f, 6),
        (usize::from(b'<'), 0x7ffc, 15),
        (usize::from(b'A'), 0x21, 6),
        (usize::from(b'\\'), 0x7fff0, 19),
        (usize::from(b'a'), 3, 5),
        (usize::from(b'z'), 0x7b, 7),
        (128, 0xfffe6, 20),
        (199, 0x1ffffec, 25),
        (200, 0x3ffffe2, 26),
        (249, 0xffffffe, 28),
        (255, 0x3ffffee, 26),
        (256, 0x3fffffff, 30),
    ] {
        assert_eq!(WORDS[symbol], code << 8 | len, "symbol {symbol}");
    }
}

#[test]
fn the_code_is_complete() {
    let kraft: u64 = LENGTHS.iter().map(|len| 1 << (MAX_LEN - usize::from(*len))).sum();
    assert_eq!(kraft, 1 << MAX_LEN);
}

#[test]
fn steps_agree_with_the_codes() {
    for (bits, step) in (0u64..).zip(STEPS) {
        let text = [step as u8, (step >> 8) as u8];
        let (first, both) = (u64::from(step >> 16 & 0xff), u64::from(step >> 24));
        let symbols = match (step, first == both) {
            (0, _) => continue,
            (_, true) => &text[..1],
            (_, false) => &text[..],
        };
        let word = symbols.iter().fold(0, |code, symbol| {
            let word = WORDS[usize::from(*symbol)];
            code << (word & 0xff) | word >> 8
        });
        assert_eq!(word, bits >> (STEP as u64 - both));
        assert_eq!(first, WORDS[usize::from(text[0])] & 0xff);
    }
}

#[test]
fn every_symbol_alone_and_in_the_middle() {
    for symbol in 0..=255 {
        for text in [&[symbol][..], &[b'a', symbol, b'b'], &[symbol; 9]] {
            assert_eq!(decoded(&encoded(text)).as_deref(), Ok(text));
            assert_eq!(reference(&encoded(text)).as_deref(), Ok(text));
        }
    }
    assert_eq!(decoded(b""), Ok(Vec::new()));
}

#[test]
fn the_end_of_a_string() {
    // 'a' is 00011; what follows is padding, cut codes or EOS.
    for input in [
        &[0x1f][..],
        &[0x1e],
        &[0x1f, 0xff],
        &[0xff],
        &[0xff; 3],
        &[0xff; 4],
        &[0xff; 9],
        &[0x1f, 0xff, 0xff, 0xff],
        &[0x1f, 0xff, 0xff, 0xff, 0xff],
        &[0x00],
        &[0x00, 0x00, 0x07],
    ] {
        assert_eq!(decoded(input), reference(input), "{input:x?}");
    }
}

proptest! {
    #[test]
    fn round_trip(text in prop_oneof![vec(any::<u8>(), 0..100), "[ -~]{0,100}".prop_map(String::into_bytes)]) {
        prop_assert_eq!(decoded(&encoded(&text)), Ok(text));
    }

    #[test]
    fn any_bytes_as_bit_by_bit(input in prop_oneof![
        vec(any::<u8>(), 0..40),
        vec(prop_oneof![Just(0xff), Just(0xfe), any::<u8>()], 0..12),
    ]) {
        prop_assert_eq!(decoded(&input), reference(&input));
    }
}
