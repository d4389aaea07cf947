//! Headers, trailers and query parameters in the suite's form: names, each with its values in order.
//!
//! Values are those of the wire, also for keys that end in `-bin`: these stay base64 text.

use crate::proto::Header;

/// Groups name and value pairs by name, ignoring case, in the order in which the names first appear.
///
/// The suite looks at one entry per name only, so a name must not appear in two.
pub fn group<N, V>(pairs: impl IntoIterator<Item = (N, V)>) -> Vec<Header>
where
    N: AsRef<str>,
    V: Into<String>,
{
    let mut headers: Vec<Header> = Vec::new();
    for (name, value) in pairs {
        let name = name.as_ref();
        let known = headers.iter_mut().find(|header| header.name.eq_ignore_ascii_case(name));
        match known {
            Some(header) => header.value.push(value.into()),
            None => headers.push(Header { name: name.to_owned(), value: vec![value.into()] }),
        }
    }
    headers
}

/// One name and value pair per value, in order: each is a header line of its own.
pub fn pairs(headers: &[Header]) -> impl Iterator<Item = (&str, &str)> {
    headers.iter().flat_map(|header| {
        let values = header.value.iter();
        values.map(|value| (header.name.as_str(), value.as_str()))
    })
}

/// The decoded parameters of a URL's query, given without its `?`.
pub fn query_params(query: &str) -> Vec<Header> {
    group(form_urlencoded::parse(query.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_one_name_stay_together_and_in_order() {
        let headers = group([("X-A", "1"), ("x-b", "2"), ("x-a", "3")]);
        assert_eq!(headers.len(), 2);
        let flat: Vec<_> = pairs(&headers).collect();
        assert_eq!(flat, [("X-A", "1"), ("X-A", "3"), ("x-b", "2")]);
    }

    #[test]
    fn query_parameters_are_decoded() {
        let params = query_params("connect=v1&encoding=json&message=%7B%22a%22%3A1%7D");
        let flat: Vec<_> = pairs(&params).collect();
        assert_eq!(flat, [("connect", "v1"), ("encoding", "json"), ("message", r#"{"a":1}"#)]);
    }
}
