//! What a header carries.

use std::{fmt, ops::Deref};

use bytes::Bytes;

/// The bytes after a header, shared with the buffer they came in.
///
/// They may contain a password (PAP in PPP in GRE), so they have no serialised form and `Debug`
/// shows only how many there are.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Payload(Bytes);

impl Payload {
    /// The bytes, for the next decoder.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

impl Deref for Payload {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}
