//! What a decoder refuses, and what it does not take more of.

use super::*;

#[test]
fn indices_outside_of_the_tables() {
    assert_eq!(fault("80"), DecodeError::InvalidIndex);
    assert_eq!(fault("be"), DecodeError::InvalidIndex); // 62
    assert_eq!(fault("ff 80 80 80 80 08"), DecodeError::InvalidIndex);
    assert_eq!(fault("7f 00 01 61"), DecodeError::InvalidIndex); // a name of index 63
    assert_eq!(fault("0f 2f 01 61"), DecodeError::InvalidIndex); // a name of index 62
    assert_eq!(fault("40 01 61 01 62 bf"), DecodeError::InvalidIndex); // one entry, the second one asked for
}

#[test]
fn blocks_that_end_inside_of_a_field() {
    for cut in
        ["ff", "40", "40 01", "40 01 61", "40 01 61 02 62", "41 81", "3f", "3f ff", "00 7f", "04 7f ff"]
    {
        assert_eq!(fault(cut), DecodeError::Truncated, "{cut}");
    }
}

#[test]
fn integers_that_overflow() {
    assert_eq!(fault("ff ff ff ff ff 7f"), DecodeError::IntegerTooLarge);
    assert_eq!(fault("ff 80 80 80 80 80 00"), DecodeError::IntegerTooLarge);
    assert_eq!(fault("00 7f ff ff ff ff ff ff ff 00"), DecodeError::IntegerTooLarge);
}

#[test]
fn huffman_padding() {
    assert_eq!(fault("44 82 1f ff"), DecodeError::HuffmanPadding); // 'a', then 11 ones
    assert_eq!(fault("44 81 18"), DecodeError::HuffmanPadding); // 'a', then zeros
    assert_eq!(fault("44 81 ff"), DecodeError::HuffmanPadding); // 8 ones
    assert_eq!(fault("44 84 ff ff ff ff"), DecodeError::HuffmanEos);
    assert_eq!(fault("44 85 1f ff ff ff ff"), DecodeError::HuffmanEos);
}

#[test]
fn table_size_updates() {
    assert_eq!(fault("3f e2 1f"), DecodeError::SizeUpdateTooLarge); // 4097
    assert_eq!(fault("20 20 20"), DecodeError::MisplacedSizeUpdate);
    assert_eq!(fault("82 20"), DecodeError::MisplacedSizeUpdate);
    let mut decoder = Decoder::new(DEFAULT_TABLE_SIZE);
    assert_eq!(decode_pairs(&mut decoder, &hex("40 01 61 01 62 be")), pairs(&[("a", "b"), ("a", "b")]));
    assert_eq!(decode_pairs(&mut decoder, &hex("20 3f e1 1f 82")), pairs(&[(":method", "GET")]));
    assert_eq!((decoder.table().size(), decoder.table().max()), (0, 4096));
}

#[test]
fn a_lowered_setting_has_to_be_followed() {
    let lowered = |sizes: &[usize], block: &str| {
        let mut decoder = Decoder::new(DEFAULT_TABLE_SIZE);
        sizes.iter().for_each(|size| decoder.set_max_table_size(*size));
        decode_within(&mut decoder, &hex(block), usize::MAX).1.err()
    };
    assert_eq!(lowered(&[30], "82"), Some(DecodeError::MissingSizeUpdate));
    assert_eq!(lowered(&[30], ""), Some(DecodeError::MissingSizeUpdate));
    assert_eq!(lowered(&[30], "3e 82"), None); // 30
    assert_eq!(lowered(&[30], "3d 82"), None); // 29
    assert_eq!(lowered(&[30], "3f 00 82"), Some(DecodeError::SizeUpdateTooLarge)); // 31
    assert_eq!(lowered(&[0, 4096], "82"), Some(DecodeError::MissingSizeUpdate));
    assert_eq!(lowered(&[0, 4096], "3e 82"), Some(DecodeError::MissingSizeUpdate));
    assert_eq!(lowered(&[0, 4096], "20 3e 82"), None);
    assert_eq!(lowered(&[8192], "82"), None);
    assert_eq!(lowered(&[8192, 4096], "82"), None);
    let mut decoder = Decoder::new(DEFAULT_TABLE_SIZE);
    decoder.set_max_table_size(0);
    assert_eq!(decode_pairs(&mut decoder, &hex("20 82")), pairs(&[(":method", "GET")]));
    assert_eq!(decode_pairs(&mut decoder, &hex("82")), pairs(&[(":method", "GET")]));
}

#[test]
fn hpack_bomb_counts_each_reference() {
    let mut bomb = b"\x40\x01a\x7f\xd1\x1e".to_vec(); // a: 4,000 bytes
    bomb.extend([b'x'; 4000]);
    bomb.extend([0xbe; 10_000]);
    bomb.extend(b"\x40\x01z\x01z");
    let mut decoder = Decoder::new(DEFAULT_TABLE_SIZE);
    let (fields, end) = decode_within(&mut decoder, &bomb.into(), 16_384);
    assert_eq!(end, Ok(BlockEnd::TooLarge));
    assert_eq!(fields.len(), 4);
    // In step to the end of the block, and fit for the next one.
    assert_eq!(decode_pairs(&mut decoder, &hex("be")), pairs(&[("z", "z")]));
}

#[test]
fn a_list_may_count_exactly_its_limit() {
    let block = hex("40 01 61 01 62 be"); // 34 each
    let end = |limit| decode_within(&mut Decoder::new(DEFAULT_TABLE_SIZE), &block, limit);
    assert_eq!(end(68), (vec![end(68).0[0].clone(); 2], Ok(BlockEnd::Complete { size: 68 })));
    assert_eq!(end(67).1, Ok(BlockEnd::TooLarge));
    assert_eq!(end(67).0.len(), 1);
    assert_eq!(end(33).0.len(), 0);
}

#[test]
fn after_the_limit_small_fields_do_not_slip_through() {
    let block = hex("04 05 78 78 78 78 78 82");
    let (fields, end) = decode_within(&mut Decoder::new(DEFAULT_TABLE_SIZE), &block, 41);
    assert_eq!((fields.len(), end), (0, Ok(BlockEnd::TooLarge)));
}

#[test]
fn after_the_limit_the_block_is_still_checked() {
    let (_, end) = decode_within(&mut Decoder::new(DEFAULT_TABLE_SIZE), &hex("82 44 81 ff"), 0);
    assert_eq!(end, Err(DecodeError::HuffmanPadding));
}

#[test]
fn a_field_that_http_refuses_stays_in_the_table() {
    let mut decoder = Decoder::new(DEFAULT_TABLE_SIZE);
    let name = || HeaderName::from_static("b");
    let (fields, end) = decode_within(&mut decoder, &hex("40 01 41 01 62  40 01 62 01 0a  be bf"), 999);
    let bad = [Field::BadName, Field::BadValue(name())];
    assert_eq!(fields, [&bad[..], &[bad[1].clone(), bad[0].clone()]].concat());
    assert_eq!(end, Ok(BlockEnd::Complete { size: 4 * 34 }));
    assert_eq!(decoder.table().size(), 68);
    // The names of both are still names.
    let (fields, _) = decode_within(&mut decoder, &hex("0f 2f 01 63  0f 30 01 63"), 999);
    assert_eq!(fields, [Field::Header(name(), HeaderValue::from_static("c")), Field::BadName]);
}

#[test]
fn names_that_are_bad() {
    for block in ["00 00 01 61", "00 02 3a 61 00", "00 01 41 00", "00 03 61 20 62 00", "00 02 61 3a 00"] {
        let (fields, _) = decode_within(&mut Decoder::new(0), &hex(block), 999);
        assert_eq!(fields, [Field::BadName], "{block}");
    }
}

#[test]
fn an_entry_pins_no_block() {
    let mut decoder = Decoder::new(DEFAULT_TABLE_SIZE);
    let block = hex("40 01 61 01 62 41 01 63 41 8c f1e3 c2e5 f23a 6ba0 ab90 f4ff");
    drop(decode(&mut decoder, &block));
    assert!(block.is_unique());
}

#[test]
fn huffman_strings_reuse_one_buffer() {
    let mut decoder = Decoder::new(DEFAULT_TABLE_SIZE);
    let block = hex("04 8c f1e3 c2e5 f23a 6ba0 ab90 f4ff");
    let value = |decoder: &mut Decoder| match decode(decoder, &block).pop() {
        Some(Field::Pseudo(_, value)) => value,
        other => panic!("{other:?}"),
    };
    let first = value(&mut decoder).as_ptr();
    let mut seen = 0;
    for _ in 0..1000 {
        seen += usize::from(value(&mut decoder).as_ptr() == first);
    }
    assert!(seen > 5, "{seen}");
}

#[test]
fn known_names_are_static() {
    let mut decoder = Decoder::new(DEFAULT_TABLE_SIZE);
    let block = hex("00 0c 67 72 70 63 2d 74 69 6d 65 6f 75 74 00"); // grpc-timeout
    let name = |decoder: &mut Decoder| match decode(decoder, &block).pop() {
        Some(Field::Header(name, _)) => name.as_str().as_ptr(),
        other => panic!("{other:?}"),
    };
    assert_eq!(name(&mut decoder), name(&mut decoder));
}
