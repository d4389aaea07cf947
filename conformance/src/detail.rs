//! Error details: the suite has them as `Any`, RPC errors as a type name and bytes.

use prost_types::Any;

const TYPE_URL_PREFIX: &str = "type.googleapis.com/";

/// The detail of a received error, as the suite expects it: its type as a URL.
pub fn to_any(type_name: &str, value: impl Into<Vec<u8>>) -> Any {
    let type_url =
        if type_name.contains('/') { type_name.to_owned() } else { format!("{TYPE_URL_PREFIX}{type_name}") };
    Any { type_url, value: value.into() }
}

/// The fully qualified type name of a message in an `Any`.
pub fn type_name(any: &Any) -> &str {
    any.type_url.rsplit_once('/').map_or(any.type_url.as_str(), |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_prefix_comes_and_goes() {
        let any = to_any("google.protobuf.Empty", []);
        assert_eq!(any.type_url, "type.googleapis.com/google.protobuf.Empty");
        assert_eq!(type_name(&any), "google.protobuf.Empty");
        assert_eq!(to_any("example.com/a.B", []).type_url, "example.com/a.B");
    }
}
