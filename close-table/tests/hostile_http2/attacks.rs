//! The attacks of HTTP/2, each named after what it is known by.

use crate::frames::*;

pub(crate) struct Attack {
    pub(crate) name: &'static str,
    /// Which limit stops it.
    pub(crate) limit: &'static str,
    /// Arguments of the server.
    pub(crate) server: Vec<&'static str>,
    pub(crate) start: Vec<u8>,
    /// What is sent after it, by number from 1 on, and how often.
    pub(crate) again: Box<dyn Fn(u64) -> Vec<u8> + Sync>,
    pub(crate) times: u64,
    /// Whether the client reads what it is told, while it writes.
    pub(crate) reads: bool,
    pub(crate) told: &'static str,
    /// Whether the connection carries a further call, on this stream.
    pub(crate) kept: bool,
    pub(crate) next_id: u32,
    /// The most memory it may take, in KiB.
    pub(crate) memory: u64,
}

const CALM: &str = "GOAWAY ENHANCE_YOUR_CALM";
const PROTOCOL: &str = "GOAWAY PROTOCOL_ERROR";
const MANY: u64 = 200_000;

fn id(n: u64) -> u32 {
    (2 * n + 1) as u32
}

fn begun(more: &[u8]) -> Vec<u8> {
    [PREFACE, &settings(&[]), more].concat()
}

fn attack(
    name: &'static str,
    limit: &'static str,
    start: &[u8],
    again: impl Fn(u64) -> Vec<u8> + Sync + 'static,
    told: &'static str,
) -> Attack {
    Attack {
        name,
        limit,
        server: Vec::new(),
        start: begun(start),
        again: Box::new(again),
        times: MANY,
        reads: true,
        told,
        kept: false,
        next_id: 1_000_001,
        memory: 2 << 10,
    }
}

/// Once, and not again.
fn once(name: &'static str, limit: &'static str, frames: &[u8], told: &'static str) -> Attack {
    Attack { times: 0, ..attack(name, limit, frames, |_| Vec::new(), told) }
}

/// Once, and the connection lives.
fn survived(name: &'static str, limit: &'static str, frames: &[u8], told: &'static str) -> Attack {
    Attack { kept: true, ..once(name, limit, frames, told) }
}

pub(crate) fn attacks() -> Vec<Attack> {
    let mut all = floods();
    all.extend(memory());
    all.extend(rules());
    all
}

fn floods() -> Vec<Attack> {
    vec![
        attack(
            "CVE-2023-44487 rapid reset",
            "guards.resets: 1,000 and 100 a second",
            &[],
            |n| [open(id(n)), reset(id(n))].concat(),
            CALM,
        ),
        attack(
            "CVE-2025-8671 made you reset: window overflow",
            "guards.faults: 100 and 10 a second",
            &[],
            |n| [open(id(n)), window_update(id(n), 0x7fff_ffff)].concat(),
            CALM,
        ),
        attack(
            "CVE-2024-27316 CONTINUATION flood",
            "max_continuations: 16",
            &frame(HEADERS, 0, 1, &stream_block(&[])),
            |_| frame(CONTINUATION, 0, 1, &literal("x-more", "x")),
            CALM,
        ),
        attack(
            "CVE-2024-27316 the same in large frames",
            "max_header_list: 64 KiB",
            &frame(HEADERS, 0, 1, &stream_block(&[])),
            |_| frame(CONTINUATION, 0, 1, &literal("x-more", &"x".repeat(100)).repeat(140)),
            CALM,
        ),
        Attack {
            memory: 3 << 10,
            ..attack(
                "CVE-2019-9511 data dribble: window updates of 1",
                "guards.empty_frames: 1,000 and 100 a second",
                &open(1),
                |_| window_update(1, 1),
                CALM,
            )
        },
        attack(
            "CVE-2019-9512 ping flood",
            "guards.pings: 200 and 10 a second",
            &[],
            |_| frame(PING, 0, 0, b"12345678"),
            CALM,
        ),
        attack(
            "CVE-2019-9513 resource loop: PRIORITY",
            "guards.empty_frames: 1,000 and 100 a second",
            &[],
            |n| frame(PRIORITY, 0, id(n), &[0, 0, 0, 0, 16]),
            CALM,
        ),
        attack(
            "CVE-2019-9514 reset flood: requests that are none",
            "guards.faults: 100 and 10 a second",
            &[],
            |n| frame(HEADERS, END_HEADERS, id(n), &literal("X-Upper", "x")),
            CALM,
        ),
        attack(
            "CVE-2019-9515 settings flood",
            "guards.settings: 50 and 1 a second",
            &[],
            |_| settings(&[]),
            CALM,
        ),
        attack(
            "CVE-2019-9518 empty DATA",
            "guards.empty_frames: 1,000 and 100 a second",
            &open(1),
            |_| frame(DATA, 0, 1, &[]),
            CALM,
        ),
        attack(
            "streams beyond the limit, without an end",
            "guards.refused: 1,000 and 100 a second",
            &[],
            |n| open(id(n)),
            CALM,
        ),
        attack(
            "frames of an unknown type",
            "guards.empty_frames: 1,000 and 100 a second",
            &[],
            |_| frame(0x42, 0, 0, b"what"),
            CALM,
        ),
    ]
}

fn memory() -> Vec<Attack> {
    // A field of 4 KB in the dynamic table, and then an index of one byte for it, again and again.
    let value = vec![b'v'; 4000];
    let large = [&[0x40, 1, b'x', 0x7f, 0xa1, 0x1e], &value[..]].concat();
    let bomb = stream_block(&[large, vec![0xbe; 12_000]].concat());
    let unanswered = |name, limit, again: fn(u64) -> Vec<u8>, start: &[u8]| Attack {
        server: vec!["2"],
        reads: false,
        times: 100_000,
        ..attack(name, limit, start, again, "")
    };
    let small_window = settings(&[(INITIAL_WINDOW_SIZE, 0)]);
    vec![
        Attack {
            next_id: 3,
            ..survived(
                "HPACK bomb: 12,000 times a field of 4 KB, 48 MB",
                "max_header_list: 64 KiB",
                &frame(HEADERS, END_HEADERS, 1, &bomb),
                "1 RST_STREAM NO_ERROR, 1 answered",
            )
        },
        Attack {
            next_id: 3,
            ..survived(
                "CVE-2019-9516 zero-length headers: 5,000 empty names",
                "field rules (RFC 9113, 8.2.1)",
                &frame(HEADERS, END_HEADERS, 1, &stream_block(&[0, 0, 0].repeat(5000))),
                "1 RST_STREAM PROTOCOL_ERROR",
            )
        },
        Attack {
            next_id: 3,
            ..survived(
                "3,000 fields of 1 byte each",
                "max_headers: 100, max_header_list: 64 KiB",
                &frame(HEADERS, END_HEADERS, 1, &stream_block(&[0, 1, b'a', 1, b'b'].repeat(3000))),
                "1 RST_STREAM NO_ERROR, 1 answered",
            )
        },
        Attack {
            memory: 4 << 10,
            ..unanswered(
                "CVE-2019-9517 internal data buffering: answers not read",
                "max_unwritten_replies, write_stall (here 2 s)",
                |n| call(id(n)),
                &[],
            )
        },
        unanswered(
            "CVE-2019-9512 pings whose answers are not read",
            "max_unwritten_replies: 256, write_stall (here 2 s)",
            |n| [frame(PING, 0, 0, b"12345678"), call(id(n))].concat(),
            &[],
        ),
        Attack {
            next_id: 2001,
            times: 240,
            kept: true,
            told: "240 answered",
            memory: 4 << 10,
            ..attack(
                "slow read: windows of 0 on 240 streams",
                "max_concurrent_streams: 250, limits.write_stall: 60 s",
                &small_window,
                |n| call(id(n)),
                "",
            )
        },
        Attack {
            times: 4000,
            kept: true,
            next_id: 3,
            ..attack(
                "a prefix that declares 3 GiB, and 62 MiB of it",
                "limits.message: 4 MiB",
                &[open(1), frame(DATA, 0, 1, &[0, 0xc0, 0, 0, 0])].concat(),
                |_| frame(DATA, 0, 1, &[b'x'; 16 << 10]),
                "1 RST_STREAM NO_ERROR, 1 answered",
            )
        },
    ]
}

fn rules() -> Vec<Attack> {
    let fields = |extra: &[u8]| frame(HEADERS, END_HEADERS, 1, &stream_block(extra));
    let smuggled = |name, extra: &[u8]| Attack {
        next_id: 3,
        ..survived(name, "field rules (RFC 9113, 8.2)", &fields(extra), "1 RST_STREAM PROTOCOL_ERROR")
    };
    let corrupt = |name, limit, extra: &[u8]| once(name, limit, &fields(extra), "GOAWAY COMPRESSION_ERROR");
    vec![
        corrupt("a table size beyond the limit", "header_table: 4 KiB", &[0x3f, 0xe2, 0x1f]),
        corrupt("Huffman padding of a byte", "RFC 7541, 5.2", &[0, 1, b'x', 0x82, 0xff, 0xff]),
        once(
            "window overflow of the connection",
            "RFC 9113, 6.9.1",
            &window_update(0, 0x7fff_ffff),
            "GOAWAY FLOW_CONTROL_ERROR",
        ),
        once("a window update of 0", "RFC 9113, 6.9", &window_update(0, 0), PROTOCOL),
        once("an id that goes back", "RFC 9113, 5.1.1", &[open(5), open(3)].concat(), PROTOCOL),
        once("an id of a server", "RFC 9113, 5.1.1", &open(2), PROTOCOL),
        once("DATA on an idle stream", "RFC 9113, 5.1", &frame(DATA, 0, 7, b"x"), PROTOCOL),
        once(
            "a frame of 16 MiB",
            "max_frame_size: 16 KiB",
            &[0xff, 0xff, 0xff, DATA, 0, 0, 0, 0, 1],
            "GOAWAY FRAME_SIZE_ERROR",
        ),
        Attack {
            start: b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n".to_vec(),
            ..once("half a preface", "RFC 9113, 3.4", &[], "")
        },
        smuggled("smuggling: transfer-encoding", &literal("transfer-encoding", "chunked")),
        smuggled("smuggling: CR LF in a value", &literal("x-a", "b\r\nhost: evil")),
        smuggled("smuggling: a colon in a name", &literal("x:a", "b")),
        Attack {
            next_id: 3,
            ..survived(
                "smuggling: a content-length that disagrees",
                "RFC 9113, 8.1.1",
                &[fields(&literal("content-length", "5")), frame(DATA, END_STREAM, 1, b"123456")].concat(),
                "1 RST_STREAM PROTOCOL_ERROR",
            )
        },
    ]
}
