//! Compressed messages that are small and expand to as much as their format allows, made by hand: no encoder has to go
//! through what they stand for. And what it takes to measure what they cost.

use std::process::Command;
use std::{env, fs};

pub(crate) const KIB: usize = 1 << 10;
pub(crate) const MIB: usize = 1 << 20;

/// Runs a test in a process of its own, so that all memory which that ever had is the test's.
pub(crate) fn alone(test: &str, body: fn()) {
    const ALONE: &str = "BOMBS_ALONE";
    if env::var_os(ALONE).is_some() {
        return body();
    }
    let program = env::current_exe().expect("it runs");
    let output = Command::new(program).args([test, "--exact", "--nocapture"]).env(ALONE, "1").output();
    let output = output.expect("it runs once more");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told = String::from_utf8_lossy(&output.stdout);
    println!("{told}");
    assert!(told.contains("1 passed"), "there is such a test");
}

/// The most memory that the process ever had, as the system has counted.
pub(crate) fn peak() -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    let kib: usize = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kib * KIB
}

/// Bits, the first of a byte being its lowest.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    len: usize,
}

impl Bits {
    /// The lowest bits of a number, the lowest first.
    fn put(&mut self, count: u32, value: u32) {
        for at in 0..count {
            if self.len.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let last = self.bytes.last_mut().expect("there is room");
            *last |= u8::from(value >> at & 1 == 1) << (self.len % 8);
            self.len += 1;
        }
    }
}

/// A message of at most `wire_len` bytes in a compression of this name that expands to `expanded` bytes, or to as much as
/// there is room for. Both sizes as they are: the message, and what it expands to.
pub(crate) fn bomb(name: &str, wire_len: usize, expanded: u64) -> (Vec<u8>, u64) {
    match name {
        "gzip" => {
            let head = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
            deflate(&head, wire_len, expanded)
        }
        "deflate" => deflate(&[0x78, 0x01], wire_len, expanded),
        "br" => brotli(wire_len, expanded),
        "zstd" => zstd(wire_len, expanded),
        "snappy" => snappy(wire_len, expanded),
        other => panic!("no bomb of {other}"),
    }
}

/// One block of a code in which a match of 258 bytes takes two bits, both 0: 1,032 bytes for each byte 0. It has no end, as
/// none is reached.
fn deflate(head: &[u8], wire_len: usize, expanded: u64) -> (Vec<u8>, u64) {
    let mut bits = Bits::default();
    bits.put(3, 0b100); // not the last block, dynamic codes
    bits.put(5, 286 - 257); // codes of literals and lengths
    bits.put(5, 0); // one code of a distance
    bits.put(4, 18 - 4); // lengths of codes of lengths of codes: of 18 (zeros), 2 and 1
    for at in 0..18 {
        bits.put(3, [0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 2][at]);
    }
    let zeros = |bits: &mut Bits, count: u32| {
        bits.put(1, 0b0);
        bits.put(7, count - 11);
    };
    bits.put(2, 0b11); // the literal 0: two bits
    zeros(&mut bits, 138);
    zeros(&mut bits, 117);
    bits.put(2, 0b11); // the end of the block: two bits
    zeros(&mut bits, 28);
    bits.put(2, 0b01); // 258 bytes: one bit
    bits.put(2, 0b01); // the distance 1: one bit
    bits.put(2, 0b01); // a literal 0, then nothing but matches
    let mut message = [head, &bits.bytes].concat();
    let matches = (expanded / 1032).min((wire_len - message.len()) as u64);
    message.resize(message.len() + usize::try_from(matches).expect("it fits"), 0);
    (message, matches * 1032)
}

/// Blocks of 16 MiB, each of one command: a byte 0, and a copy of all the rest.
fn brotli(wire_len: usize, expanded: u64) -> (Vec<u8>, u64) {
    const BLOCK: u32 = 16 << 20;
    let mut bits = Bits::default();
    bits.put(4, 0b1111); // a window of 16 MiB
    let mut blocks = 0;
    while bits.bytes.len() + 14 <= wire_len && blocks * u64::from(BLOCK) < expanded {
        bits.put(1, 0); // not the last one
        bits.put(2, 2); // its length in 6 nibbles
        bits.put(24, BLOCK - 1);
        bits.put(1, 0); // compressed
        bits.put(3, 0); // one type each of literals, commands and distances
        bits.put(6, 0); // no direct distances
        bits.put(2, 0); // the context of literals
        bits.put(2, 0); // one code each of literals and distances
        for (width, symbol) in [(8, 0), (10, 399), (6, 16)] {
            bits.put(4, 0b0001); // a code of one symbol, which takes no bits
            bits.put(width, symbol);
        }
        bits.put(24, BLOCK - 1 - 2118); // the length of the copy
        bits.put(1, 0); // from the byte before
        blocks += 1;
    }
    bits.put(2, 0b11); // an empty last one
    (bits.bytes, blocks * u64::from(BLOCK))
}

/// `hello`, in a window of 1 GiB: not Brotli as RFC 7932 has it.
pub(crate) fn large_window() -> Vec<u8> {
    let mut bits = Bits::default();
    bits.put(8, 0b0001_0001);
    bits.put(6, 30);
    bits.put(1, 0); // not the last block
    bits.put(2, 0); // its length in 4 nibbles
    bits.put(16, 5 - 1);
    bits.put(1, 1); // uncompressed
    [&bits.bytes[..], b"hello", &[0b11]].concat() // and an empty last block
}

/// Blocks of 128 KiB that are one byte, repeated.
fn zstd(wire_len: usize, expanded: u64) -> (Vec<u8>, u64) {
    const BLOCK: u32 = 128 << 10;
    let mut message = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 13 << 3]; // a window of 8 MiB
    let mut blocks = 0;
    while message.len() + 4 <= wire_len && blocks * u64::from(BLOCK) < expanded {
        message.extend_from_slice(&(BLOCK << 3 | 0b10).to_le_bytes()[..3]);
        message.push(0);
        blocks += 1;
    }
    (message, blocks * u64::from(BLOCK))
}

/// Chunks of 64 KiB, each a byte 0 and copies of the one before.
fn snappy(wire_len: usize, expanded: u64) -> (Vec<u8>, u64) {
    const BLOCK: u64 = 64 << 10;
    // Its length as a varint; a literal of one byte; then 65,535 bytes in copies of at most 64 from a distance of 1.
    let mut chunk = vec![0x80, 0x80, 0x04, 0, 0];
    let copy = |len: usize| [u8::try_from(len - 1).expect("64 at most") << 2 | 0b10, 1, 0];
    chunk.extend(std::iter::repeat_n(copy(64), 1023).flatten());
    chunk.extend(copy(63));
    let checksum = ((crc32c_of_zeros(64 << 10).rotate_right(15)).wrapping_add(0xa282_ead8)).to_le_bytes();
    let len = u32::try_from(chunk.len() + 4).expect("a chunk is small").to_le_bytes();
    let chunk = [&[0], &len[..3], &checksum, &chunk].concat();
    let mut message = b"\xff\x06\x00\x00sNaPpY".to_vec();
    let mut blocks = 0;
    while message.len() + chunk.len() <= wire_len && blocks * BLOCK < expanded {
        message.extend_from_slice(&chunk);
        blocks += 1;
    }
    (message, blocks * BLOCK)
}

fn crc32c_of_zeros(len: usize) -> u32 {
    let crc = (0..8 * len).fold(!0_u32, |crc, _| crc >> 1 ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 });
    !crc
}
