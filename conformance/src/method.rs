//! The methods of the `ConformanceService`.

/// The fully qualified name of the service.
pub const SERVICE: &str = "connectrpc.conformance.v1.ConformanceService";

/// A method of the [`SERVICE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// One request, one response.
    Unary,
    /// The same without side effects, so that a Connect client may use GET.
    IdempotentUnary,
    /// A unary method that no server may implement.
    Unimplemented,
    /// Any number of requests, one response.
    ClientStream,
    /// One request, any number of responses.
    ServerStream,
    /// Any number of both, in half or full duplex as the first request says.
    BidiStream,
}

/// How many messages go each way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One request, one response.
    Unary,
    /// Any number of requests, one response.
    ClientStream,
    /// One request, any number of responses.
    ServerStream,
    /// Any number of both.
    BidiStream,
}

impl Method {
    /// Every method, the unimplemented one included.
    pub const ALL: [Method; 6] = [
        Method::Unary,
        Method::IdempotentUnary,
        Method::Unimplemented,
        Method::ClientStream,
        Method::ServerStream,
        Method::BidiStream,
    ];

    /// The name without its service.
    pub fn name(self) -> &'static str {
        match self {
            Method::Unary => "Unary",
            Method::IdempotentUnary => "IdempotentUnary",
            Method::Unimplemented => "Unimplemented",
            Method::ClientStream => "ClientStream",
            Method::ServerStream => "ServerStream",
            Method::BidiStream => "BidiStream",
        }
    }

    /// The method of that [`name`](Self::name).
    pub fn from_name(name: &str) -> Option<Method> {
        Method::ALL.into_iter().find(|method| method.name() == name)
    }

    /// The path of the method: `/service/method`.
    pub fn procedure(self) -> String {
        format!("/{SERVICE}/{}", self.name())
    }

    /// The method at a path.
    pub fn from_procedure(path: &str) -> Option<Method> {
        let (service, name) = path.strip_prefix('/')?.split_once('/')?;
        (service == SERVICE).then(|| Method::from_name(name))?
    }

    /// How many messages go each way.
    pub fn kind(self) -> Kind {
        match self {
            Method::Unary | Method::IdempotentUnary | Method::Unimplemented => Kind::Unary,
            Method::ClientStream => Kind::ClientStream,
            Method::ServerStream => Kind::ServerStream,
            Method::BidiStream => Kind::BidiStream,
        }
    }

    /// Whether a server has to implement the method.
    pub fn is_implemented(self) -> bool {
        self != Method::Unimplemented
    }

    /// Whether the method is declared free of side effects.
    pub fn has_no_side_effects(self) -> bool {
        self == Method::IdempotentUnary
    }

    /// The fully qualified name of its request type.
    pub fn request_type(self) -> String {
        format!("connectrpc.conformance.v1.{}Request", self.name())
    }
}

impl Kind {
    /// Whether a call has exactly one request.
    pub fn has_single_request(self) -> bool {
        matches!(self, Kind::Unary | Kind::ServerStream)
    }

    /// Whether a successful call has exactly one response.
    pub fn has_single_response(self) -> bool {
        matches!(self, Kind::Unary | Kind::ClientStream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_procedure_leads_back_to_its_method() {
        for method in Method::ALL {
            assert_eq!(Method::from_procedure(&method.procedure()), Some(method));
        }
        for path in [
            "",
            "/",
            "/Unary",
            "/connectrpc.conformance.v1.UnknownService/Unary",
            "/connectrpc.conformance.v1.ConformanceService/Unary/",
            "connectrpc.conformance.v1.ConformanceService/Unary",
        ] {
            assert_eq!(Method::from_procedure(path), None, "{path}");
        }
    }
}
