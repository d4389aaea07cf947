//! The kinds of RPC.

/// Which side sends how many messages.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Kind {
    /// One request message, one response message, without envelopes.
    Unary,
    /// Any number of request messages, one response message.
    ClientStream,
    /// One request message, any number of response messages.
    ServerStream,
    /// Any number in both directions.
    Bidi(Duplex),
}

/// Whether the directions of a bidi stream overlap.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Duplex {
    /// The response begins when the request has ended: all that HTTP/1.1 can carry.
    Half,
    /// Messages flow in both directions at once: needs HTTP/2.
    Full,
}

/// How many messages one direction carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Cardinality {
    One,
    Many,
}

impl Kind {
    /// Whether messages travel in envelopes.
    #[must_use]
    pub const fn is_streaming(self) -> bool {
        !matches!(self, Kind::Unary)
    }

    pub(crate) const fn requests(self) -> Cardinality {
        match self {
            Kind::Unary | Kind::ServerStream => Cardinality::One,
            Kind::ClientStream | Kind::Bidi(_) => Cardinality::Many,
        }
    }

    pub(crate) const fn responses(self) -> Cardinality {
        match self {
            Kind::Unary | Kind::ClientStream => Cardinality::One,
            Kind::ServerStream | Kind::Bidi(_) => Cardinality::Many,
        }
    }
}
