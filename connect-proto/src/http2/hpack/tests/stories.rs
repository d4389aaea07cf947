//! What other encoders made of real traffic: stories of http2jp/hpack-test-case, where they lie beside the repository.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::*;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/hpack");

struct Case {
    wire: Bytes,
    headers: Vec<Pair>,
    table_size: Option<usize>,
}

fn story(path: &Path) -> Vec<Case> {
    let story: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let header = |header: &Value| {
        let (name, value) = header.as_object().unwrap().iter().next().unwrap();
        pair(name, value.as_str().unwrap())
    };
    let case = |case: &Value| Case {
        wire: hex(case["wire"].as_str().unwrap()),
        headers: case["headers"].as_array().unwrap().iter().map(header).collect(),
        table_size: case["header_table_size"].as_u64().map(|size| size.try_into().unwrap()),
    };
    story["cases"].as_array().unwrap().iter().map(case).collect()
}

/// All stories by their path; none where there are none.
fn stories() -> Vec<(String, Vec<Case>)> {
    if !Path::new(ROOT).exists() {
        eprintln!("SKIPPED: no HPACK stories at {ROOT}");
        return Vec::new();
    }
    let files = |folder: &str| {
        let entries = fs::read_dir(Path::new(ROOT).join(folder)).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect::<Vec<_>>()
    };
    let folders = ["go-hpack", "nghttp2", "nghttp2-change-table-size", "python-hpack"];
    let stories: Vec<_> = folders
        .iter()
        .flat_map(|folder| files(folder))
        .map(|path| (path.display().to_string(), story(&path)))
        .collect();
    assert_eq!(stories.len(), 27);
    assert_eq!(stories.iter().map(|(_, cases)| cases.len()).sum::<usize>(), 2927);
    stories
}

#[test]
fn are_decoded() {
    for (path, cases) in stories() {
        let mut decoder = Decoder::new(DEFAULT_TABLE_SIZE);
        for (at, case) in cases.iter().enumerate() {
            if let Some(size) = case.table_size {
                decoder.set_max_table_size(size);
            }
            assert_eq!(decode_pairs(&mut decoder, &case.wire), case.headers, "{path} case {at}");
        }
    }
}

#[test]
fn round_trip_through_our_encoder() {
    let (mut ours, mut plain) = (0, 0);
    for (path, cases) in stories() {
        let (mut encoder, mut decoder) = (Encoder::new(usize::MAX), Decoder::new(DEFAULT_TABLE_SIZE));
        for (at, case) in cases.iter().enumerate() {
            if let Some(size) = case.table_size {
                encoder.set_peer_max(size);
                decoder.set_max_table_size(size);
            }
            let block = encode(&mut encoder, &case.headers);
            ours += block.len();
            plain += case.headers.iter().map(|(name, value)| name.len() + value.len() + 2).sum::<usize>();
            assert_eq!(decode_pairs(&mut decoder, &block), case.headers, "{path} case {at}");
            assert_eq!(encoder.table_size(), decoder.table().size(), "{path} case {at}");
        }
    }
    // Traffic of browsers, whose fields we index few of.
    assert!(plain == 0 || ours * 10 < plain * 7, "{ours} of {plain} bytes");
}
