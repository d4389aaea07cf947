//! The JSON of an error: the body of a failed unary response, and `error` in an end-of-stream message.
//!
//! See the Connect protocol reference, section "Error".

use http::StatusCode;
use serde_json::{Map, Value};

use super::{base64, json};
use crate::error::{Code, ErrorDetail, RpcError};

/// The body of a failed unary response, which travels as `application/json` whatever the codec of the call.
///
/// It has `code`, `message` unless that is empty, and `details` if there are any, each with `type` and with
/// `value` in unpadded standard base64. The error's metadata is not in it: that travels in header fields.
///
/// ```
/// use connect_proto::error::{Code, RpcError};
/// use connect_proto::wire::error_json;
///
/// let error = RpcError::new(Code::NotFound, "no such \"user\"");
/// assert_eq!(error_json::write(&error), br#"{"code":"not_found","message":"no such \"user\""}"#);
/// ```
#[must_use]
pub fn write(error: &RpcError) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 + error.message().len());
    push(&mut out, error);
    out
}

/// The error that a unary response with this `status`, which is not a success, and with this JSON `body`
/// stands for.
///
/// Never fails, since the call has failed either way:
/// - A `code` that is missing, null or not one of the sixteen gives way to
///   [`Code::from_http_status`]; the message and the details are kept.
/// - A body that is null has no message. One that is no JSON object, or in which a known field has the wrong
///   type or a detail is not base64, as a whole tells nothing: the status alone decides, as in connect-go.
/// - Unknown fields, and what `debug` says, are ignored.
///
/// The caller bounds the size of `body`; the value that is built on the way takes up to about twenty times as
/// much. The metadata of the result is empty.
///
/// ```
/// use connect_proto::error::Code;
/// use connect_proto::wire::error_json;
/// use http::StatusCode;
///
/// let error = error_json::read(br#"{"code":"aborted","message":"try again"}"#, StatusCode::CONFLICT);
/// assert_eq!((error.code(), error.message()), (Code::Aborted, "try again"));
///
/// let error = error_json::read(b"<html>Bad Gateway</html>", StatusCode::BAD_GATEWAY);
/// assert_eq!((error.code(), error.message()), (Code::Unavailable, "HTTP status 502"));
/// ```
#[must_use]
pub fn read(body: &[u8], status: StatusCode) -> RpcError {
    let code = Code::from_http_status(status.as_u16());
    let error = match json::parse(body) {
        Some(Value::Null) => Some(RpcError::new(code, "")),
        Some(Value::Object(fields)) => from_fields(fields, code),
        _ => None,
    };
    error.unwrap_or_else(|| of_status(status)).remote()
}

/// The error that an HTTP status stands for when the response has no Connect error of its own.
pub(crate) fn of_status(status: StatusCode) -> RpcError {
    let status = status.as_u16();
    RpcError::new(Code::from_http_status(status), format!("HTTP status {status}")).remote()
}

/// Writes the error's JSON object.
pub(super) fn push(out: &mut Vec<u8>, error: &RpcError) {
    out.extend_from_slice(b"{\"code\":\"");
    out.extend_from_slice(error.code().as_str().as_bytes());
    out.push(b'"');
    if !error.message().is_empty() {
        out.extend_from_slice(b",\"message\":");
        json::push_string(out, error.message());
    }
    for (index, detail) in error.details().iter().enumerate() {
        out.extend_from_slice(if index == 0 { b",\"details\":[{\"type\":" } else { b",{\"type\":" });
        json::push_string(out, type_name(&detail.type_name));
        out.extend_from_slice(b",\"value\":\"");
        out.extend_from_slice(base64::encode(&detail.value).as_bytes());
        out.extend_from_slice(b"\"}");
    }
    out.extend_from_slice(if error.details().is_empty() { b"}" } else { b"]}" });
}

/// The error that these fields of a JSON object say, with `fallback` in place of a code that is not known;
/// `None` if one of them is not what it has to be.
pub(super) fn from_fields(mut fields: Map<String, Value>, fallback: Code) -> Option<RpcError> {
    let code = json::optional_string(fields.remove("code"))?;
    let message = json::optional_string(fields.remove("message"))?;
    let error = RpcError::new(Code::from_name(&code).unwrap_or(fallback), message);
    match fields.remove("details") {
        None | Some(Value::Null) => Some(error),
        Some(Value::Array(details)) => details.into_iter().try_fold(error, |error, detail| match detail {
            Value::Null => Some(error),
            Value::Object(fields) => Some(error.with_detail(detail_from_fields(fields)?)),
            _ => None,
        }),
        Some(_) => None,
    }
}

fn detail_from_fields(mut fields: Map<String, Value>) -> Option<ErrorDetail> {
    let url = json::optional_string(fields.remove("type"))?;
    let value = json::optional_string(fields.remove("value"))?;
    let value = base64::decode_either(value.as_bytes())?.into();
    Some(ErrorDetail { type_name: type_name(&url).to_owned(), value })
}

/// The type's name without the prefix of a type URL.
fn type_name(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or(url)
}

#[cfg(test)]
mod tests;
