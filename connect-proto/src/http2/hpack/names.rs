//! The names that both sides know by a number: those of the static table and those that RPCs carry.
//!
//! The decoder makes their [`HeaderName`]s without an allocation; the encoder knows by the number what to index, and
//! finds entries of its table by it.

use http::HeaderName;

use super::{Field, Pseudo, static_table};
use crate::fields::Places;

/// What the encoder does with a field that the static table does not have as a whole. [`Encoder`](super::Encoder) says
/// which names have which.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Policy {
    /// The value repeats: it goes into the dynamic table.
    Value,
    /// The value varies, the name is long: one entry is kept for the sake of its name.
    Name,
    /// The value repeats as long as it has no query: it goes into the table while there is room.
    Path,
    /// The value varies: not indexed.
    Plain,
    /// The value is a secret: never indexed, by intermediaries neither (RFC 7541 section 7.1.3).
    Never,
}

macro_rules! more {
    ($($name:literal $policy:ident)*) => {
        /// Names that are not in the static table.
        const MORE: [(&str, Policy); [$($name),*].len()] = [$(($name, Policy::$policy)),*];

        static HEADER_NAMES: [HeaderName; MORE.len()] = [$(HeaderName::from_static($name)),*];
    };
}

more! {
    "te" Value
    "origin" Value
    "trailer" Value
    "connect-protocol-version" Value
    "connect-accept-encoding" Value
    "connect-content-encoding" Value
    "connect-timeout-ms" Name
    "grpc-accept-encoding" Value
    "grpc-encoding" Value
    "grpc-message" Plain
    "grpc-status" Value
    "grpc-status-details-bin" Plain
    "grpc-timeout" Name
    "x-grpc-web" Value
    "x-user-agent" Value
    "x-request-id" Name
    "x-forwarded-for" Plain
    "x-forwarded-host" Plain
    "x-forwarded-proto" Plain
    "x-real-ip" Plain
    "traceparent" Name
    "tracestate" Plain
    "baggage" Plain
    "access-control-allow-credentials" Value
    "access-control-allow-headers" Value
    "access-control-allow-methods" Value
    "access-control-expose-headers" Value
    "access-control-max-age" Value
    "access-control-request-headers" Value
    "access-control-request-method" Value
}

/// The number of a known name: the first index in the static table, or one after its last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Id(u8);

impl Id {
    pub(super) const fn of(pseudo: Pseudo) -> Self {
        Id(match pseudo {
            Pseudo::Authority => 1,
            Pseudo::Method => 2,
            Pseudo::Path => 4,
            Pseudo::Scheme => 6,
            Pseudo::Status => 8,
        })
    }

    /// The first index in the static table, if the name is there.
    pub(super) fn static_index(self) -> Option<usize> {
        let index = usize::from(self.0);
        (index <= static_table::LEN).then_some(index)
    }

    /// What the encoder does with it.
    pub(super) fn policy(self) -> Policy {
        KNOWN.get(usize::from(self.0)).map_or(Policy::Plain, |(_, policy)| *policy)
    }
}

/// A name as it came: known to HTTP or not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Name {
    /// A pseudo-header.
    Pseudo(Pseudo),
    /// A lower-case token.
    Header(HeaderName),
    /// Anything else.
    Bad,
}

impl Name {
    /// The name of these bytes. It allocates for names that neither `http` nor this module knows.
    pub(super) fn from_bytes(bytes: &[u8]) -> Self {
        if let Some(pseudo) = Pseudo::from_bytes(bytes) {
            return Self::Pseudo(pseudo);
        }
        let more = find(bytes).and_then(|id| usize::from(id.0).checked_sub(static_table::LEN + 1));
        match more.and_then(|at| HEADER_NAMES.get(at)) {
            Some(name) => Self::Header(name.clone()),
            None => HeaderName::from_lowercase(bytes).map_or(Self::Bad, Self::Header),
        }
    }
}

impl From<&Field> for Name {
    fn from(field: &Field) -> Self {
        match field {
            Field::Pseudo(pseudo, _) => Self::Pseudo(*pseudo),
            Field::Header(name, _) | Field::BadValue(name) => Self::Header(name.clone()),
            Field::BadName => Self::Bad,
        }
    }
}

/// The number of the known name with these bytes, in lower case.
pub(super) fn find(name: &[u8]) -> Option<Id> {
    let is = |id: usize| KNOWN.get(id).is_some_and(|(known, _)| known.as_bytes() == name);
    PLACES.find(name, is).filter(|id| *id > 0).map(|id| Id(id as u8))
}

/// The known names by their number, of which the static table's are its indices; none has 0.
static KNOWN: [(&str, Policy); 1 + static_table::LEN + MORE.len()] = known();

static PLACES: Places = Places::of(&names());

#[allow(clippy::indexing_slicing, reason = "evaluated at compile time")]
const fn known() -> [(&'static str, Policy); 1 + static_table::LEN + MORE.len()] {
    let mut known = [("", Policy::Plain); 1 + static_table::LEN + MORE.len()];
    let mut at = 0;
    while at < static_table::LEN {
        known[1 + at] = (static_table::ROWS[at].0, static_table::ROWS[at].2);
        at += 1;
    }
    at = 0;
    while at < MORE.len() {
        known[1 + static_table::LEN + at] = MORE[at];
        at += 1;
    }
    known
}

#[allow(clippy::indexing_slicing, reason = "evaluated at compile time")]
const fn names() -> [&'static str; 1 + static_table::LEN + MORE.len()] {
    let known = known();
    let mut names = [""; 1 + static_table::LEN + MORE.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = known[at].0;
        at += 1;
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_name_is_found_by_its_first_number() {
        for (id, (name, policy)) in KNOWN.iter().enumerate().skip(1) {
            let first = KNOWN.iter().position(|(other, _)| other == name).unwrap();
            let found = find(name.as_bytes()).unwrap();
            assert_eq!(usize::from(found.0), first, "{name}");
            assert_eq!(found.policy(), *policy, "{name}");
            assert_eq!(found.static_index().is_some(), id <= static_table::LEN, "{name}");
            match Name::from_bytes(name.as_bytes()) {
                Name::Pseudo(pseudo) => {
                    assert_eq!(pseudo.as_str(), *name);
                    assert_eq!(Id::of(pseudo), found);
                }
                Name::Header(header) => assert_eq!(header.as_str(), *name),
                Name::Bad => panic!("{name}"),
            }
        }
    }

    #[test]
    fn others_are_not() {
        for name in [&b""[..], b"t", b"tE", b"Accept", b"x-other", b":protocol", b"content-typf"] {
            assert_eq!(find(name), None);
        }
        assert_eq!(Name::from_bytes(b"x-other"), Name::Header(HeaderName::from_static("x-other")));
        for bad in [&b""[..], b":protocol", b"Accept", b"a b", b"a:", b"\x80"] {
            assert_eq!(Name::from_bytes(bad), Name::Bad);
        }
    }

    #[test]
    fn names_are_found_in_few_steps() {
        let steps = |name: &str| PLACES.steps(name, usize::from(find(name.as_bytes()).unwrap().0));
        let all = KNOWN.iter().skip(1).map(|(name, _)| steps(name));
        assert!(all.max() <= Some(4), "the multipliers of the hash no longer suit the names");
    }
}
