//! A message to send.
pub struct Outbound;
pub struct Encoding;
pub(crate) struct Form;
pub(crate) struct GetTarget;
