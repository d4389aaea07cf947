//! Is this a host?

/// Whether `value` is what a `host` field may hold (RFC 9110, section 7.2: `uri-host [ ":" port ]`).
///
/// An empty host is valid: that is what a target without an authority is sent with.
pub(super) fn is_valid_host(value: &[u8]) -> bool {
    if let Some(literal) = value.strip_prefix(b"[") {
        let Some(end) = literal.iter().position(|byte| *byte == b']') else { return false };
        let (address, rest) = literal.split_at(end);
        let rest = rest.strip_prefix(b"]").unwrap_or_default();
        return !address.is_empty() && address.iter().all(|byte| is_literal(*byte)) && is_port(rest);
    }
    let end = value.iter().position(|byte| *byte == b':').unwrap_or(value.len());
    let (name, port) = value.split_at(end);
    name.iter().all(|byte| is_reg_name(*byte)) && is_port(port)
}

/// Nothing, or a colon and digits.
fn is_port(rest: &[u8]) -> bool {
    match rest.split_first() {
        None => true,
        Some((b':', digits)) => digits.iter().all(u8::is_ascii_digit),
        Some(_) => false,
    }
}

fn is_literal(byte: u8) -> bool {
    byte == b':' || is_reg_name(byte)
}

/// `unreserved / pct-encoded / sub-delims` (RFC 3986, section 3.2.2) without the comma, which would be a list.
fn is_reg_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for good in
            ["", "a", "example.com", "example.com:80", "127.0.0.1:8080", "[::1]", "[::1]:443", "a:", "x_y"]
        {
            assert!(is_valid_host(good.as_bytes()), "{good}");
        }
        for bad in [
            "a b", "a,b", "u@h", "a/b", "a:b", "a:80:80", "[::1", "[]", "[::1]x", "a#", "a?b", "\u{e9}",
            "::1",
        ] {
            assert!(!is_valid_host(bad.as_bytes()), "{bad}");
        }
    }
}
