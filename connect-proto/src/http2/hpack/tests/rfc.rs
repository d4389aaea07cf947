//! RFC 7541 appendix C, with the tables.

use super::*;

const REQUEST: &[(&str, &str)] =
    &[(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "www.example.com")];
const REQUEST_SECURE: &[(&str, &str)] = &[
    (":method", "GET"),
    (":scheme", "https"),
    (":path", "/index.html"),
    (":authority", "www.example.com"),
    ("custom-key", "custom-value"),
];
const AUTHORITY: (&str, &str) = (":authority", "www.example.com");
const NO_CACHE: (&str, &str) = ("cache-control", "no-cache");
const PRIVATE: (&str, &str) = ("cache-control", "private");
const CUSTOM: (&str, &str) = ("custom-key", "custom-value");
const DATE_21: (&str, &str) = ("date", "Mon, 21 Oct 2013 20:13:21 GMT");
const DATE_22: (&str, &str) = ("date", "Mon, 21 Oct 2013 20:13:22 GMT");
const LOCATION: (&str, &str) = ("location", "https://www.example.com");
const GZIP: (&str, &str) = ("content-encoding", "gzip");
const COOKIE: (&str, &str) = ("set-cookie", "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1");
const FOUND: (&str, &str) = (":status", "302");
const REDIRECT: (&str, &str) = (":status", "307");
const OK: (&str, &str) = (":status", "200");

/// Decodes and compares the fields, the table from the newest entry on, and its size.
fn check(decoder: &mut Decoder, block: &str, fields: &[(&str, &str)], table: &[(&str, &str)], size: usize) {
    assert_eq!(decode_pairs(decoder, &hex(block)), pairs(fields));
    let held: Vec<Pair> = decoder.table().iter().map(|entry| to_pair(&entry.field)).collect();
    assert_eq!(held, pairs(table));
    assert_eq!(decoder.table().size(), size);
}

#[test]
fn c_2_1_literal_with_indexing() {
    let mut decoder = Decoder::new(DEFAULT_TABLE_SIZE);
    let field = &[("custom-key", "custom-header")];
    check(&mut decoder, "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572", field, field, 55);
}

#[test]
fn c_2_2_literal_without_indexing() {
    let mut decoder = Decoder::new(DEFAULT_TABLE_SIZE);
    check(&mut decoder, "040c 2f73 616d 706c 652f 7061 7468", &[(":path", "/sample/path")], &[], 0);
}

#[test]
fn c_2_3_literal_never_indexed() {
    let mut decoder = Decoder::new(DEFAULT_TABLE_SIZE);
    let block = "1008 7061 7373 776f 7264 0673 6563 7265 74";
    check(&mut decoder, block, &[("password", "secret")], &[], 0);
    let fields = decode(&mut decoder, &hex(block));
    assert!(matches!(&fields[..], [Field::Header(_, value)] if value.is_sensitive()));
}

#[test]
fn c_2_4_indexed() {
    check(&mut Decoder::new(DEFAULT_TABLE_SIZE), "82", &[(":method", "GET")], &[], 0);
}

fn requests(blocks: [&str; 3]) {
    let mut decoder = Decoder::new(DEFAULT_TABLE_SIZE);
    check(&mut decoder, blocks[0], REQUEST, &[AUTHORITY], 57);
    let second = [REQUEST, &[NO_CACHE]].concat();
    check(&mut decoder, blocks[1], &second, &[NO_CACHE, AUTHORITY], 110);
    check(&mut decoder, blocks[2], REQUEST_SECURE, &[CUSTOM, NO_CACHE, AUTHORITY], 164);
}

#[test]
fn c_3_requests() {
    requests([
        "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "8286 84be 5808 6e6f 2d63 6163 6865",
        "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
    ]);
}

#[test]
fn c_4_requests_with_huffman() {
    requests([
        "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
        "8286 84be 5886 a8eb 1064 9cbf",
        "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
    ]);
}

fn responses(blocks: [&str; 3]) {
    let mut decoder = Decoder::new(256);
    let table = [LOCATION, DATE_21, PRIVATE, FOUND];
    check(&mut decoder, blocks[0], &[FOUND, PRIVATE, DATE_21, LOCATION], &table, 222);
    let table = [REDIRECT, LOCATION, DATE_21, PRIVATE];
    check(&mut decoder, blocks[1], &[REDIRECT, PRIVATE, DATE_21, LOCATION], &table, 222);
    let third = [OK, PRIVATE, DATE_22, LOCATION, GZIP, COOKIE];
    check(&mut decoder, blocks[2], &third, &[COOKIE, GZIP, DATE_22], 215);
}

#[test]
fn c_5_responses() {
    responses([
        "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133
         2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70
         6c65 2e63 6f6d",
        "4803 3330 37c1 c0bf",
        "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d
         54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049
         5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e
         3d31",
    ]);
}

#[test]
fn c_6_responses_with_huffman() {
    responses([
        "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6
         2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
        "4883 640e ffc1 c0bf",
        "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab
         77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f
         9587 3160 65c0 03ed 4ee5 b106 3d50 07",
    ]);
}

#[test]
fn our_encoder_writes_c_4() {
    let mut encoder = Encoder::new(DEFAULT_TABLE_SIZE);
    let first = encode(&mut encoder, &pairs(REQUEST));
    assert_eq!(first, hex("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff"));
    let second = encode(&mut encoder, &pairs(&[REQUEST, &[NO_CACHE]].concat()));
    assert_eq!(second, hex("8286 84be 5886 a8eb 1064 9cbf"));
    // C.4.3 but for the one field that we do not index.
    let third = encode(&mut encoder, &pairs(REQUEST_SECURE));
    assert_eq!(third, hex("8287 85bf 0088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf"));
}
