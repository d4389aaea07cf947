//! Anything at all: it round trips, or it is refused, within its bounds.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const NAMES: &[&str] = &[
    ":authority",
    ":path",
    ":status",
    ":method",
    "content-type",
    "content-length",
    "user-agent",
    "te",
    "cookie",
    "grpc-timeout",
    "connect-protocol-version",
    "x-tenant",
];

fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => proptest::sample::select(NAMES).prop_map(|name| name.as_bytes().to_vec()),
        1 => "[a-z0-9!#$%&'*+.^_`|~-]{1,40}".prop_map(String::into_bytes),
    ]
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    let any = vec(prop_oneof![Just(b'\t'), b' '..=b'~', 128u8..], 0..60);
    prop_oneof![
        3 => proptest::sample::select(&["", "0", "a", "b", "GET"][..]).prop_map(|value| value.as_bytes().to_vec()),
        1 => any,
        1 => (prop_oneof![Just(b'a'), Just(b'~'), Just(b'\xff')], 0usize..3000).prop_map(|(byte, len)| std::vec![byte; len]),
    ]
}

/// Blocks of fields (name, value, sensitive), each after a change of the table's size or none.
type Blocks = Vec<(Option<usize>, Vec<(Vec<u8>, Vec<u8>, bool)>)>;

fn blocks() -> impl Strategy<Value = Blocks> {
    let size = prop_oneof![Just(0usize), 0usize..300, Just(4096), Just(10_000)];
    let field = (name(), value(), proptest::bool::weighted(0.1));
    vec((proptest::option::weighted(0.2, size), vec(field, 0..12)), 1..12)
}

/// The blocks on the wire, each with the size that its decoder has to be told of.
fn written(blocks: &Blocks) -> Vec<(Option<usize>, Bytes, usize)> {
    let mut encoder = Encoder::new(8192);
    let mut wire = Vec::new();
    for (size, fields) in blocks {
        if let Some(size) = size {
            encoder.set_peer_max(*size);
        }
        let mut out = BytesMut::new();
        let mut block = encoder.block(&mut out);
        for (name, value, sensitive) in fields {
            if let Some(name) = Pseudo::from_bytes(name) {
                block.pseudo(name, value);
            } else {
                let mut value = HeaderValue::from_bytes(value).unwrap();
                value.set_sensitive(*sensitive);
                block.header(&HeaderName::from_lowercase(name).unwrap(), &value);
            }
        }
        wire.push((*size, out.freeze(), encoder.table_size()));
    }
    wire
}

/// One block more, whatever it says; `false` after an error.
fn survives(decoder: &mut Decoder, limit: usize, block: Bytes, max_list: usize) -> bool {
    let (fields, end) = decode_within(decoder, &block, max_list);
    let counted = |field: &Field| match field {
        Field::Pseudo(..) | Field::Header(..) => {
            let (name, value) = to_pair(field);
            name.len() + value.len() + FIELD_OVERHEAD
        }
        Field::BadName | Field::BadValue(_) => FIELD_OVERHEAD,
    };
    assert!(fields.iter().map(counted).sum::<usize>() <= max_list);
    assert!(decoder.table().size() <= decoder.table().max());
    assert!(decoder.table().max() <= limit);
    assert!(decoder.scratch_capacity() <= 1024);
    drop(fields);
    assert!(block.is_unique() || block.is_empty());
    end.is_ok()
}

proptest! {
    #[test]
    fn fields_round_trip(blocks in blocks()) {
        let mut decoder = Decoder::new(DEFAULT_TABLE_SIZE);
        for ((size, wire, held), (_, fields)) in written(&blocks).into_iter().zip(&blocks) {
            if let Some(size) = size {
                decoder.set_max_table_size(size);
            }
            let decoded = decode(&mut decoder, &wire);
            let expected: Vec<Pair> = fields.iter().map(|(name, value, _)| (name.clone(), value.clone())).collect();
            prop_assert_eq!(decoded.iter().map(to_pair).collect::<Vec<_>>(), expected);
            for (field, (name, _, sensitive)) in decoded.iter().zip(fields) {
                if let Field::Header(_, value) = field {
                    prop_assert_eq!(value.is_sensitive(), *sensitive || name == b"cookie");
                }
            }
            prop_assert_eq!(decoder.table().size(), held);
        }
    }

    #[test]
    fn the_limit_of_the_list_does_not_touch_the_table(blocks in blocks(), max_list in 0usize..500) {
        let (mut free, mut limited) = (Decoder::new(DEFAULT_TABLE_SIZE), Decoder::new(DEFAULT_TABLE_SIZE));
        for (size, wire, _) in written(&blocks) {
            if let Some(size) = size {
                free.set_max_table_size(size);
                limited.set_max_table_size(size);
            }
            let all = decode(&mut free, &wire);
            let (some, end) = decode_within(&mut limited, &wire, max_list);
            prop_assert_eq!(&some[..], &all[..some.len()]);
            prop_assert_eq!(end == Ok(BlockEnd::TooLarge), some.len() < all.len());
            prop_assert!(free.table().iter().eq(limited.table().iter()));
        }
    }

    #[test]
    fn random_bytes_never_panic(blocks in vec(vec(any::<u8>(), 0..200), 1..10), max_list in 0usize..2000) {
        let mut decoder = Decoder::new(200);
        for block in blocks {
            if !survives(&mut decoder, 200, block.into(), max_list) {
                break;
            }
        }
    }

    #[test]
    fn spoilt_blocks_never_panic(
        blocks in blocks(),
        spoil in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        max_list in 0usize..20_000,
    ) {
        let mut decoder = Decoder::new(10_000);
        for (_, wire, _) in written(&blocks) {
            let mut wire = wire.to_vec();
            for (at, byte) in spoil.iter().filter(|_| !wire.is_empty()).collect::<Vec<_>>() {
                let at = at.index(wire.len());
                wire[at] ^= byte;
            }
            if !survives(&mut decoder, 10_000, wire.into(), max_list) {
                break;
            }
        }
    }
}
