//! Bombs: small messages that expand to a lot are refused, and cost no more memory than the limit allows.
//!
//! The formats differ in what they can do. Ten GiB take 8 KiB in Brotli, 320 KiB in Zstandard, 10 MiB in gzip and deflate, and
//! 480 MiB in Snappy. One KiB expands to 1.2 GiB in Brotli, 32 MiB in Zstandard, and 1 MiB in gzip and deflate.

#![cfg(target_os = "linux")]

mod bomb;

use bomb::{KIB, MIB, alone, bomb, peak};
use connect_proto::compress::{Compressions, DecompressError};

const TEN_GIB: u64 = 10 << 30;

/// Refuses a bomb by a limit. What that cost.
fn refuse(name: &str, bomb: &[u8], limit: usize) -> usize {
    let compressions = Compressions::default();
    let compression = compressions.find(name).expect("its feature is enabled");
    let before = peak();
    let refused = compression.decompress(bomb, limit);
    let cost = peak() - before;
    assert_eq!(refused, Err(DecompressError::TooLarge), "{name}, to {limit}");
    cost
}

/// `factor`: how much of the limit may be taken, output and window together.
fn check(name: &str, wire_len: usize, at_least: u64, factor: usize) {
    // What a decoder takes however little comes out, and what the system takes in pages.
    const OWN: usize = MIB;
    let (small, of_a_kib) = bomb(name, KIB, TEN_GIB);
    let (large, expanded) = bomb(name, wire_len, TEN_GIB);
    assert!(large.len() <= wire_len && expanded >= at_least, "{} B for {expanded} B", large.len());
    println!("{name}: 1 KiB for {of_a_kib} B, {} B for {expanded} B", large.len());
    // The peak only grows: the small limits are first.
    for limit in [0, 64 * KIB, MIB, 4 * MIB] {
        for bomb in [&small, &large] {
            if bomb.len() == small.len() && of_a_kib <= limit as u64 {
                continue;
            }
            let cost = refuse(name, bomb, limit);
            println!("{name}: {} B, to {limit} B: {cost} B", bomb.len());
            assert!(cost <= factor * limit + OWN, "{name}: {cost} B for a limit of {limit} B");
        }
    }
}

#[test]
fn gzip() {
    alone("gzip", || check("gzip", 11 * MIB, TEN_GIB - 1032, 2));
}

#[test]
fn deflate() {
    alone("deflate", || check("deflate", 11 * MIB, TEN_GIB - 1032, 2));
}

/// The decoder has a window beside the output.
#[test]
fn br() {
    alone("br", || check("br", 8 * KIB, TEN_GIB, 4));
}

#[test]
fn zstd() {
    alone("zstd", || check("zstd", 321 * KIB, TEN_GIB, 2));
}

#[test]
fn snappy() {
    alone("snappy", || check("snappy", 16 * MIB, 300 << 20, 2));
}

/// As much comes out of them as they are said to expand to.
#[test]
fn bombs_are_valid() {
    let compressions = Compressions::default();
    for (name, wire_len, expanded) in [
        ("gzip", KIB, MIB - 30 * KIB),
        ("deflate", KIB, MIB - 30 * KIB),
        ("br", 40, 48 * MIB),
        ("zstd", KIB, 31 * MIB),
        ("snappy", 16 * KIB, 320 * KIB),
    ] {
        let compression = compressions.find(name).expect("its feature is enabled");
        let (bomb, comes_out) = bomb(name, wire_len, TEN_GIB);
        assert!(comes_out >= expanded as u64, "{name}: {comes_out} B");
        let limit = usize::try_from(comes_out).expect("it fits") - 1;
        assert_eq!(compression.decompress(&bomb, limit), Err(DecompressError::TooLarge), "{name}");
    }
}

/// A window of a gigabyte is an extension that nobody asks for over HTTP.
#[test]
fn brotli_has_no_large_window() {
    let compressions = Compressions::default();
    let refused = compressions.find("br").expect("it is enabled").decompress(&bomb::large_window(), KIB);
    assert_eq!(refused, Err(DecompressError::Corrupt));
}
