//! Help for tests and fuzzing.
#[cfg(feature = "arbitrary")]
pub(crate) fn arbitrary_bytes(u: &mut arbitrary::Unstructured<'_>) -> arbitrary::Result<bytes::Bytes> {
    Ok(bytes::Bytes::from(<Vec<u8> as arbitrary::Arbitrary>::arbitrary(u)?))
}
