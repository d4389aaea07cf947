//! The sixteen codes that an RPC can fail with.

use std::fmt;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $number:literal, $http:literal;)*) => {
        /// Why an RPC failed: the codes that Connect and gRPC share.
        ///
        /// See the Connect protocol reference, section "Error Codes".
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
        pub enum Code { $($(#[$doc])* $name = $number,)* }

        impl Code {
            /// Every code, in the order of their numbers.
            pub const ALL: &'static [Code] = &[$(Code::$name,)*];

            /// The name on the wire, such as `not_found`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Code::$name => $text,)* }
            }

            /// The code of this name on the wire; `None` for a name that is not one of the sixteen.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($text => Some(Code::$name),)* _ => None }
            }

            /// The HTTP status that a unary Connect response with this code carries.
            #[must_use]
            pub const fn http_status(self) -> http::StatusCode {
                match self { $(Code::$name => status($http),)* }
            }
        }
    };
}

codes! {
    /// The caller cancelled the operation.
    Canceled = "canceled", 1, 499;
    /// An error that fits no other code.
    Unknown = "unknown", 2, 500;
    /// The request is invalid whatever the state of the system.
    InvalidArgument = "invalid_argument", 3, 400;
    /// The deadline passed before the operation completed.
    DeadlineExceeded = "deadline_exceeded", 4, 504;
    /// The requested resource does not exist.
    NotFound = "not_found", 5, 404;
    /// The resource to create exists already.
    AlreadyExists = "already_exists", 6, 409;
    /// The caller may not do this.
    PermissionDenied = "permission_denied", 7, 403;
    /// A quota, a limit or some other resource is used up.
    ResourceExhausted = "resource_exhausted", 8, 429;
    /// The system is not in the state that the operation needs.
    FailedPrecondition = "failed_precondition", 9, 400;
    /// The operation was aborted, usually by a conflict.
    Aborted = "aborted", 10, 409;
    /// The operation went past the valid range.
    OutOfRange = "out_of_range", 11, 400;
    /// The operation is not implemented or not supported.
    Unimplemented = "unimplemented", 12, 501;
    /// An invariant was broken.
    Internal = "internal", 13, 500;
    /// The service cannot be reached at the moment.
    Unavailable = "unavailable", 14, 503;
    /// Data was lost or damaged beyond repair.
    DataLoss = "data_loss", 15, 500;
    /// The caller did not say credibly who it is.
    Unauthenticated = "unauthenticated", 16, 401;
}

const fn status(code: u16) -> http::StatusCode {
    match http::StatusCode::from_u16(code) {
        Ok(status) => status,
        Err(_) => http::StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl Code {
    /// The code that stands for an HTTP status when a response has no usable Connect error of its own.
    ///
    /// See the Connect protocol reference, section "HTTP to Error Code".
    #[must_use]
    pub const fn from_http_status(status: u16) -> Self {
        match status {
            400 => Code::Internal,
            401 => Code::Unauthenticated,
            403 => Code::PermissionDenied,
            404 => Code::Unimplemented,
            429 | 502 | 503 | 504 => Code::Unavailable,
            _ => Code::Unknown,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        assert_eq!(Code::ALL.len(), 16);
        for &code in Code::ALL {
            assert_eq!(Code::from_name(code.as_str()), Some(code));
        }
        assert_eq!(Code::from_name("cancelled"), None);
    }
}
