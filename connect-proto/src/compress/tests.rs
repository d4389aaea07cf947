//! What every compression of this crate keeps to.

use proptest::prelude::*;

use super::*;

fn all() -> Vec<Arc<dyn Compression>> {
    Compressions::default().known.to_vec()
}

#[test]
fn names_are_those_of_the_protocol() {
    let names: Vec<String> = all().iter().map(|compression| compression.name().to_owned()).collect();
    for name in &names {
        assert!(["gzip", "zstd", "br", "deflate", "snappy"].contains(&name.as_str()), "{name}");
    }
    let accepted = Compressions::default();
    let accepted = accepted.accept_value().map(|names| names.to_str().unwrap().to_owned());
    assert_eq!(accepted.unwrap_or_default(), names.join(","));
}

#[test]
fn output_of_just_the_limit_passes_and_one_byte_more_does_not() {
    for compression in all() {
        for len in [1, 511, 512, 513, 65_536, 65_537, 200_000] {
            let input = vec![7; len];
            let small = compression.compress(&input).unwrap();
            assert_eq!(compression.decompress(&small, len).as_deref(), Ok(&*input), "{compression:?} {len}");
            let refused = compression.decompress(&small, len - 1);
            assert_eq!(refused, Err(DecompressError::TooLarge), "{compression:?} {len}");
        }
        let nothing = compression.compress(b"").unwrap();
        assert_eq!(compression.decompress(&nothing, 0), Ok(Bytes::new()), "{compression:?}");
    }
}

#[test]
fn a_bomb_costs_no_more_than_the_limit() {
    for compression in all() {
        let bomb = compression.compress(&vec![0; 16 << 20]).unwrap();
        assert!(bomb.len() < 1 << 20, "{compression:?}");
        assert_eq!(compression.decompress(&bomb, 1 << 16), Err(DecompressError::TooLarge), "{compression:?}");
    }
}

#[test]
fn truncated_input_is_corrupt_wherever_it_ends() {
    for compression in all() {
        let whole = compression.compress(b"hello hello hello").unwrap();
        for len in 1..whole.len() {
            let cut = compression.decompress(&whole[..len], 100);
            // Snappy's framing has no mark at the end, so that its beginning alone is a valid, empty whole.
            let is_empty_frame = compression.name() == "snappy" && len == 10;
            let expected = if is_empty_frame { Ok(Bytes::new()) } else { Err(DecompressError::Corrupt) };
            assert_eq!(cut, expected, "{compression:?} {len}");
        }
    }
}

#[test]
fn bytes_after_the_end_are_corrupt() {
    for compression in all() {
        let whole = compression.compress(b"hello").unwrap();
        for garbage in [&b"\0"[..], b"x", b"\x1f\x8b", &[0; 64]] {
            for limit in [100, 5] {
                let refused = compression.decompress(&[&whole, garbage].concat(), limit);
                assert_eq!(refused, Err(DecompressError::Corrupt), "{compression:?} {garbage:?}");
            }
        }
    }
}

proptest! {
    #[test]
    fn any_input_round_trips(input: Vec<u8>, repeat in 1usize..2_000) {
        let input = input.repeat(repeat);
        for compression in all() {
            let small = compression.compress(&input).unwrap();
            prop_assert_eq!(compression.compress(&input).unwrap(), &small, "the same each time");
            let back = compression.decompress(&small, input.len());
            prop_assert_eq!(back.as_deref(), Ok(&*input));
        }
    }

    #[test]
    fn any_bytes_are_refused_or_bounded(input: Vec<u8>, changed: Vec<u8>, at: prop::sample::Index) {
        for compression in all() {
            let _ = compression.decompress(&input, 100);
            let mut small = compression.compress(&input).unwrap().to_vec();
            let at = at.index(small.len() + 1);
            small.splice(at..at, changed.clone());
            prop_assert!(compression.decompress(&small, 100).map_or(0, |out| out.len()) <= 100);
        }
    }
}
