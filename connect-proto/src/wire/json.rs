//! JSON as error bodies and end-of-stream messages use it.

use serde_json::Value;

/// The document, whose size the caller bounds and whose depth is at most 127; `None` if it is no JSON.
///
/// Bytes that are not UTF-8 and escapes of half a surrogate pair, as they come about when a message is cut in
/// the middle of a character, are read as U+FFFD.
pub(super) fn parse(body: &[u8]) -> Option<Value> {
    serde_json::from_slice(body).or_else(|_| serde_json::from_str(&mend(body))).ok()
}

/// A string that may be missing or null, which is the same as empty; `None` for any other type.
pub(super) fn optional_string(value: Option<Value>) -> Option<String> {
    match value {
        None | Some(Value::Null) => Some(String::new()),
        Some(Value::String(text)) => Some(text),
        Some(_) => None,
    }
}

/// Writes `text` as a JSON string.
pub(super) fn push_string(out: &mut Vec<u8>, text: &str) {
    // Neither a string nor a vector can fail here.
    let _ = serde_json::to_writer(out, text);
}

/// The body with U+FFFD in place of what is no text.
fn mend(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let mut out = String::with_capacity(text.len());
    let mut rest = &*text;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        let (escape, after) = split_escape(escape);
        out.push_str(escape);
        rest = after;
    }
    out.push_str(rest);
    out
}

/// The first escape or surrogate pair of `text`, which begins with a backslash, and what follows; half a pair
/// comes back as U+FFFD.
fn split_escape(text: &str) -> (&str, &str) {
    const UNIT: usize = r"\uXXXX".len();
    let (len, alone) = match utf16_unit(text) {
        Some(0xd800..=0xdbff) => match text.get(UNIT..).and_then(utf16_unit) {
            Some(0xdc00..=0xdfff) => (2 * UNIT, false),
            _ => (UNIT, true),
        },
        Some(0xdc00..=0xdfff) => (UNIT, true),
        Some(_) => (UNIT, false),
        None => (text.char_indices().nth(2).map_or(text.len(), |(at, _)| at), false),
    };
    let (escape, after) = text.split_at_checked(len).unwrap_or((text, ""));
    (if alone { r"\ufffd" } else { escape }, after)
}

/// The UTF-16 code unit whose escape `text` begins with.
fn utf16_unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix(r"\u")?.get(..4)?;
    digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u16::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn string(body: &[u8]) -> Option<String> {
        parse(body).and_then(|value| value.as_str().map(str::to_owned))
    }

    #[test]
    fn a_message_cut_inside_a_character_is_still_read() {
        assert_eq!(string(br#""a\ud83d""#).as_deref(), Some("a\u{fffd}"));
        assert_eq!(string(br#""\ude00\ud83d\ud83d\ude00""#).as_deref(), Some("\u{fffd}\u{fffd}\u{1f600}"));
        assert_eq!(string(b"\"a\xf0\x9f\"").as_deref(), Some("a\u{fffd}"));
        assert_eq!(string(br#""\\ud83d\ud83d""#).as_deref(), Some("\\ud83d\u{fffd}"));
    }

    #[test]
    fn what_is_no_json_stays_none() {
        for body in
            [&b""[..], b"\"", b"{", b"\\", b"\\u", b"\\ud83d", b"{} {}", b"\"\\x\"", b"\"\\ud83d\\u+123\""]
        {
            assert_eq!(parse(body), None, "{body:?}");
        }
        assert_eq!(parse(&vec![b'['; 100_000]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(body: Vec<u8>) {
            let _ = parse(&body);
        }

        #[test]
        fn any_escapes_are_read_without_panic(body in r#"(\\|u|d8|dc|00|"|é|[0-9a-f]){0,40}"#) {
            let quoted = format!("\"{body}\"");
            let _ = parse(quoted.as_bytes());
            let _ = parse(body.as_bytes());
        }

        #[test]
        fn strings_round_trip(text: String) {
            let mut out = Vec::new();
            push_string(&mut out, &text);
            prop_assert_eq!(string(&out), Some(text));
        }
    }
}
