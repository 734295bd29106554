//! RADIUS: what a VPN server asks its authentication server, and what that answers (RFC 2865), and what it
//! tells it about calls (RFC 2866, accounting).
//!
//! A server that authenticates with MS-CHAPv2 passes challenge and response on in an Access-Request; the
//! answer is Accept, with the MPPE keys and perhaps an address, or Reject, with the `E=` text that the
//! server hands on to the client (RFC 2548). No answer within the server's patience is a failed call.
//!
//! ```text
//! |     Code      |  Identifier   |            Length             |
//! |                    Authenticator, 16 bytes                    |
//! |  Attributes:  |     Type      |    Length     |   Value ...   |
//! ```
//!
//! Passwords, challenges, responses and keys are dropped here: their attributes are known by name and
//! have no value. So is the authenticator; [`authenticator`] checks it on the bytes of the packet.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ppp::lcp::AuthenticationMethod;
use super::read::Reader;

pub mod attribute;
pub mod authenticator;
pub mod codes;
mod value;

#[cfg(test)]
mod tests;

pub use attribute::Attribute;
pub use codes::Code;

/// UDP port of authentication (RFC 2865 §3).
pub const AUTHENTICATION_PORT: u16 = 1812;
/// UDP port of accounting (RFC 2866 §3).
pub const ACCOUNTING_PORT: u16 = 1813;
/// Length of code, identifier, length and authenticator, bytes.
pub const HEADER_BYTES: usize = 20;
/// Length of the longest packet, bytes (RFC 2865 §3).
pub const MAX_BYTES: usize = 4096;

/// A packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "RadiusPacket")]
pub struct Packet {
    /// What it asks or answers.
    pub code: Code,
    /// Matches an answer to its request, together with the addresses and ports of both.
    pub id: u8,
    /// In their order.
    pub attributes: Vec<Attribute>,
}

/// Why bytes are no RADIUS packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Error {
    /// Too short for the header.
    #[error("RADIUS packet cut: {present} of at least 20 bytes")]
    Short {
        /// Bytes that are there.
        present: usize,
    },
    /// The length is below 20, above 4096 or beyond what is there.
    #[error("RADIUS packet with length {length}, {present} bytes are there")]
    Length {
        /// Length field.
        length: u16,
        /// Bytes that are there.
        present: usize,
    },
    /// The length of an attribute is below 2 or beyond the packet.
    #[error("RADIUS attribute {kind} has an impossible length")]
    Attribute {
        /// Type of the attribute.
        kind: u8,
    },
}

/// The packet inside `bytes`, split into header and attributes. Padding after its length is left out
/// (RFC 2865 §3).
fn split(bytes: &[u8]) -> Result<(Code, u8, &[u8]), Error> {
    let short = Error::Short { present: bytes.len() };
    let mut reader = Reader::new(bytes);
    let [code, id] = reader.array().ok_or(short)?;
    let length = reader.u16().ok_or(short)?;
    let wrong = Error::Length { length, present: bytes.len() };
    if usize::from(length) > MAX_BYTES {
        return Err(wrong);
    }
    let attributes = usize::from(length).checked_sub(HEADER_BYTES).ok_or(wrong)?;
    reader.take(16).ok_or(short)?;
    Ok((code.into(), id, reader.take(attributes).ok_or(wrong)?))
}

/// Types and values of a list of attributes; the length of each includes its type and length bytes.
fn attributes(bytes: &[u8]) -> impl Iterator<Item = Result<(u8, &[u8]), Error>> {
    let mut reader = Reader::new(bytes);
    std::iter::from_fn(move || {
        let kind = reader.u8()?;
        let length = reader.u8().and_then(|length| length.checked_sub(2));
        let value = length.and_then(|length| reader.take(length.into()));
        if value.is_none() {
            reader = Reader::new(&[]);
        }
        Some(value.map(|value| (kind, value)).ok_or(Error::Attribute { kind }))
    })
}

impl Packet {
    /// Decodes the payload of a UDP datagram.
    ///
    /// # Errors
    ///
    /// When a length is impossible.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let (code, id, rest) = split(bytes)?;
        let mut list = Vec::new();
        for attribute in attributes(rest) {
            let (kind, value) = attribute?;
            Attribute::decode(kind, value, &mut list);
        }
        Ok(Self { code, id, attributes: list })
    }

    /// Writes the packet with this authenticator; what was dropped is empty. Attributes that do not fit
    /// into 4096 bytes are left out.
    pub fn encode(&self, authenticator: &[u8; 16]) -> Vec<u8> {
        let mut out = vec![self.code.number(), self.id, 0, 0];
        out.extend(authenticator);
        for attribute in &self.attributes {
            let bytes = attribute.encode();
            if out.len() + bytes.len() <= MAX_BYTES {
                out.extend(bytes);
            }
        }
        let length = out.len() as u16;
        if let Some(field) = out.get_mut(2..4) {
            field.copy_from_slice(&length.to_be_bytes());
        }
        out
    }

    /// The first value that `pick` finds.
    pub fn find<'a, T>(&'a self, pick: impl FnMut(&'a Attribute) -> Option<T>) -> Option<T> {
        self.attributes.iter().find_map(pick)
    }

    /// Name of the user.
    pub fn user_name(&self) -> Option<&str> {
        self.find(|attribute| match attribute {
            Attribute::UserName(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// Name of the session for accounting.
    pub fn session_id(&self) -> Option<&str> {
        self.find(|attribute| match attribute {
            Attribute::AcctSessionId(id) => Some(id.as_str()),
            _ => None,
        })
    }

    /// How the user proves who they are, by the proof that a request carries.
    pub fn method(&self) -> Option<AuthenticationMethod> {
        self.find(|attribute| match attribute {
            Attribute::UserPassword => Some(AuthenticationMethod::Pap),
            Attribute::ChapPassword => Some(AuthenticationMethod::ChapMd5),
            Attribute::MsChapResponse => Some(AuthenticationMethod::MsChap),
            Attribute::MsChap2Response => Some(AuthenticationMethod::MsChapV2),
            Attribute::EapMessage => Some(AuthenticationMethod::Eap),
            _ => None,
        })
    }
}
