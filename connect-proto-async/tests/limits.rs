//! `docs/limits.md` tells the defaults as they are, and all of them.

use std::fmt::Debug;

use connect_proto::client::CallConfig;
use connect_proto::connection::ConnectionConfig;
use connect_proto::{call, http1, http2, server};
use connect_proto_async::{PoolConfig, ServerConfig};

/// A field and its values.
type Row = (String, Vec<String>);

/// The rows of the table below the heading that names a type.
fn documented(name: &str) -> Vec<Row> {
    let sections = include_str!("../../docs/limits.md").split("\n## ");
    let section = sections.filter(|section| section.lines().next().is_some_and(|line| line.ends_with(name)));
    let rows = section.flat_map(str::lines).filter_map(|line| {
        let (field, rest) = line.strip_prefix("| `")?.split_once("` | ")?;
        let (default, _) = rest.split_once(" |")?;
        Some((field.to_owned(), default.split(" and ").map(plain).collect()))
    });
    rows.collect()
}

/// A value of a table as `Debug` shows it.
fn plain(value: &str) -> String {
    let mut words = value.split(' ');
    let number = words.next().unwrap_or_default().replace(',', "");
    let scaled = |factor: u64| (number.parse::<u64>().expect("a number") * factor).to_string();
    match words.next() {
        Some("KiB") => scaled(1 << 10),
        Some("MiB") => scaled(1 << 20),
        Some("s") => scaled(1) + "s",
        Some("min") => scaled(60) + "s",
        _ => match number.as_str() {
            "none" | "unlimited" => "None".to_owned(),
            "HTTP/1.1" => "Http1".to_owned(),
            _ => number,
        },
    }
}

const TLS_TIMEOUT: &str = "tls_handshake_timeout";

/// The fields of a value with the numbers, durations and names in them, but for those of `others`.
fn actual(value: &impl Debug, others: &[&str]) -> Vec<Row> {
    let text = format!("{value:?}");
    let (_, fields) = text.split_once(" { ").expect("a struct with fields");
    let fields = fields.strip_suffix(" }").expect("a struct with fields");
    let mut depth = 0;
    let fields = fields.split(|c| {
        depth += i32::from("{([".contains(c)) - i32::from("})]".contains(c));
        c == ',' && depth == 0
    });
    let fields = fields.map(|field| field.trim().split_once(": ").expect("a name and a value"));
    let fields = fields.filter(|(name, _)| !others.contains(name));
    fields.map(|(name, value)| (name.to_owned(), values(value))).collect()
}

fn values(value: &str) -> Vec<String> {
    let words = value.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let words: Vec<_> = words.map(str::to_owned).collect();
    match &words[..] {
        [_] => words,
        // What is around it: the names of types and of fields.
        _ => words.into_iter().filter(|word| word.starts_with(|c: char| c.is_ascii_digit())).collect(),
    }
}

#[test]
fn the_tables_are_the_defaults() {
    let authority = http::uri::Authority::from_static("localhost");
    let call = CallConfig::new(http::uri::Scheme::HTTP, authority, "json").expect("a codec");
    let not_limits = ["scheme", "authority", "codec", "unary_type", "stream_type", "accept", "user_agent"];
    let http2 = http2::Limits::default();
    for (name, actual) in [
        (": `ServerConfig`", actual(&ServerConfig::default(), &["connection", "calls", "tls", TLS_TIMEOUT])),
        ("`server::ServerConfig`", actual(&server::ServerConfig::default(), &["compressions", "limits"])),
        ("`PoolConfig`", actual(&PoolConfig::default(), &[])),
        ("`client::CallConfig`", actual(&call, &[&not_limits[..], &["limits"]].concat())),
        ("`call::Limits`", actual(&call::Limits::default(), &[])),
        ("`ConnectionConfig`", actual(&ConnectionConfig::default(), &["http1", "http2"])),
        ("`http1::Limits`", actual(&http1::Limits::default(), &[])),
        ("`http2::Limits`", actual(&http2, &["guards"])),
        ("`http2::Guards`", actual(&http2.guards, &[])),
    ] {
        assert!(!actual.is_empty());
        assert_eq!(documented(name), actual, "{name}");
    }
}

#[cfg(feature = "tls")]
#[test]
fn the_limit_of_tls_is_its_default() {
    let mut actual = actual(&ServerConfig::default(), &[]);
    actual.retain(|(name, _)| name == TLS_TIMEOUT);
    assert_eq!(documented("the feature `tls`"), actual);
}
