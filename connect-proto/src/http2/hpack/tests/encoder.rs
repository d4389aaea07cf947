//! What is indexed, and when the size is announced.

use super::*;

/// The forms of the fields of a block, from their first bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    Indexed,
    Inserted,
    Plain,
    Never,
}

fn form(block: &Bytes) -> Form {
    match block[0] {
        0x80.. => Form::Indexed,
        0x40.. => Form::Inserted,
        0x10..0x20 => Form::Never,
        0..0x10 => Form::Plain,
        other => panic!("size update {other:x}"),
    }
}

/// How a field is written the first and the second time.
fn twice(name: &str, value: &str) -> (Form, Form) {
    let mut encoder = Encoder::new(DEFAULT_TABLE_SIZE);
    let mut next = || form(&encode(&mut encoder, &[pair(name, value)]));
    (next(), next())
}

#[test]
fn the_policy() {
    let repeats = (Form::Inserted, Form::Indexed);
    for (name, value) in [
        (":authority", "example.com"),
        (":path", "/pkg.Service/Method"),
        (":status", "418"),
        ("content-type", "application/grpc+proto"),
        ("user-agent", "connect-rust/1.0"),
        ("te", "trailers"),
        ("connect-protocol-version", "1"),
        ("grpc-status", "0"),
        ("access-control-max-age", "7200"),
    ] {
        assert_eq!(twice(name, value), repeats, "{name}");
    }
    for (name, value) in [
        (":path", "/pkg.Service/Method?connect=v1"),
        (":method", "QUERY"),
        ("content-length", "128"),
        ("date", "Mon, 21 Oct 2013 20:13:21 GMT"),
        ("grpc-message", "gone"),
        ("x-metadata", "1"),
    ] {
        assert_eq!(twice(name, value), (Form::Plain, Form::Plain), "{name}");
    }
    for name in ["authorization", "proxy-authorization", "cookie", "set-cookie"] {
        assert_eq!(twice(name, "secret"), (Form::Never, Form::Never), "{name}");
    }
    assert_eq!(twice(":method", "POST"), (Form::Indexed, Form::Indexed));
    assert_eq!(twice(":status", "200"), (Form::Indexed, Form::Indexed));
}

#[test]
fn a_sensitive_value_is_never_indexed_under_any_name() {
    let mut encoder = Encoder::new(DEFAULT_TABLE_SIZE);
    let mut value = HeaderValue::from_static("application/proto");
    let block = |encoder: &mut Encoder, name: &str, value: &HeaderValue| {
        let mut out = BytesMut::new();
        encoder.block(&mut out).header(&name.parse().unwrap(), value);
        form(&out.freeze())
    };
    assert_eq!(block(&mut encoder, "content-type", &value), Form::Inserted);
    value.set_sensitive(true);
    for name in ["content-type", "te", "grpc-timeout", "x-metadata"] {
        assert_eq!(block(&mut encoder, name, &value), Form::Never, "{name}");
    }
}

#[test]
fn a_timeout_leaves_one_entry_for_its_name() {
    let mut encoder = Encoder::new(DEFAULT_TABLE_SIZE);
    let mut decoder = Decoder::new(DEFAULT_TABLE_SIZE);
    for (at, value) in ["1000", "999", "998"].into_iter().enumerate() {
        let field = [pair("connect-timeout-ms", value)];
        let block = encode(&mut encoder, &field);
        assert_eq!(form(&block), if at == 0 { Form::Inserted } else { Form::Plain });
        assert!(at == 0 || block.len() <= 6);
        assert_eq!(decode_pairs(&mut decoder, &block), field);
        assert_eq!(encoder.table_size(), 18 + 4 + 32);
    }
}

#[test]
fn many_paths_evict_nothing() {
    let mut encoder = Encoder::new(DEFAULT_TABLE_SIZE);
    let agent = [pair("user-agent", "connect-rust")];
    encode(&mut encoder, &agent);
    for at in 0..1000 {
        encode(&mut encoder, &[pair(":path", &format!("/pkg.Service/Method{at}"))]);
    }
    assert_eq!(form(&encode(&mut encoder, &agent)), Form::Indexed);
    assert_eq!(form(&encode(&mut encoder, &[pair(":path", "/pkg.Service/Method0")])), Form::Indexed);
    assert_eq!(form(&encode(&mut encoder, &[pair(":path", "/pkg.Service/Method999")])), Form::Plain);
}

#[test]
fn a_huge_value_is_not_indexed() {
    assert_eq!(twice("user-agent", &"x".repeat(2048 - 42)), (Form::Inserted, Form::Indexed));
    assert_eq!(twice("user-agent", &"x".repeat(2048 - 41)), (Form::Plain, Form::Plain));
}

#[test]
fn huffman_only_where_it_is_worth_it() {
    let mut encoder = Encoder::new(0);
    encoder.block(&mut BytesMut::new()).pseudo(Pseudo::Method, b"GET");
    assert_eq!(encode(&mut encoder, &[pair(":path", "/~~~~")]), hex("04 05 2f 7e 7e 7e 7e"));
    assert_eq!(encode(&mut encoder, &[pair(":path", "/aaaa")]), hex("04 84 60 63 18 ff"));
    assert_eq!(encode(&mut encoder, &[pair(":path", "/aaa")]), hex("04 04 2f 61 61 61"));
}

/// The bytes before the one indexed field of the next block.
fn updates(encoder: &mut Encoder) -> Bytes {
    let mut block = encode(encoder, &[pair(":method", "GET")]);
    let updates = block.split_to(block.len() - 1);
    assert_eq!(block, hex("82"));
    updates
}

#[test]
fn size_updates_begin_the_next_block() {
    let mut encoder = Encoder::new(DEFAULT_TABLE_SIZE);
    assert_eq!(updates(&mut encoder), hex(""));
    encoder.set_peer_max(30);
    assert_eq!(updates(&mut encoder), hex("3e"));
    assert_eq!(updates(&mut encoder), hex(""));
    encoder.set_peer_max(0);
    encoder.set_peer_max(8192);
    assert_eq!(updates(&mut encoder), hex("20 3f e1 1f")); // 0, then no more than our own 4096
    encoder.set_peer_max(31);
    encoder.set_peer_max(4096);
    assert_eq!(updates(&mut encoder), hex("3f 00 3f e1 1f"));
    encoder.set_peer_max(8192);
    encoder.set_peer_max(4096);
    assert_eq!(updates(&mut encoder), hex(""));
    encoder.set_peer_max(30);
    encoder.set_peer_max(20);
    assert_eq!(updates(&mut encoder), hex("34")); // once, since it only fell
    encoder.set_peer_max(30);
    encoder.set_peer_max(25);
    assert_eq!(updates(&mut encoder), hex("39")); // once, since it never was below 20
}

#[test]
fn a_cap_of_our_own_is_announced() {
    assert_eq!(updates(&mut Encoder::new(0)), hex("20"));
    let mut encoder = Encoder::new(16_384);
    assert_eq!(updates(&mut encoder), hex(""));
    encoder.set_peer_max(16_384);
    assert_eq!(updates(&mut encoder), hex("3f e1 7f"));
    encoder.set_peer_max(65_536);
    assert_eq!(updates(&mut encoder), hex(""));
}

#[test]
fn without_a_table_nothing_is_kept() {
    let mut encoder = Encoder::new(0);
    let _ = updates(&mut encoder);
    for _ in 0..2 {
        assert_eq!(form(&encode(&mut encoder, &[pair("te", "trailers")])), Form::Plain);
    }
    assert_eq!(encoder.table_size(), 0);
}
