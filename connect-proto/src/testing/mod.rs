//! Help for tests and fuzzing.

#[cfg(any(feature = "testing", test))]
pub mod grammar;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
pub(crate) mod snapshot;

#[cfg(feature = "arbitrary")]
pub(crate) fn arbitrary_bytes(u: &mut arbitrary::Unstructured<'_>) -> arbitrary::Result<bytes::Bytes> {
    Ok(bytes::Bytes::from(<Vec<u8> as arbitrary::Arbitrary>::arbitrary(u)?))
}
