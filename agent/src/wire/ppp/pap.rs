//! Password Authentication Protocol (RFC 1334 §2).
//!
//! The password is on the wire in clear text. It is dropped here: no type can hold it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::wire::{read::Reader, text};

use super::{Error, Protocol, cp::Raw};

codes! {
    /// Codes of PAP (RFC 1334 §2.2).
    Code: u8 {
        /// Name and password.
        AuthenticateRequest = 1 "authenticate_request",
        /// Accepted.
        AuthenticateAck = 2 "authenticate_ack",
        /// Refused.
        AuthenticateNak = 3 "authenticate_nak",
    }
}

/// A packet of PAP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "PapPacket")]
pub struct Packet {
    /// Matches an answer to its request.
    pub id: u8,
    /// Code and contents.
    #[serde(flatten)]
    pub body: Body,
}

/// Contents of a packet, by code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
#[schemars(rename = "PapBody")]
pub enum Body {
    /// Who the peer says it is. The password was dropped.
    AuthenticateRequest {
        /// Name of the user.
        peer_id: String,
    },
    /// Accepted.
    AuthenticateAck {
        /// More, in words.
        message: String,
    },
    /// Refused.
    AuthenticateNak {
        /// More, in words.
        message: String,
    },
    /// A code that PAP does not define; contents were dropped.
    Unknown {
        /// The code.
        #[serde(rename = "number")]
        code: u8,
    },
}

impl Packet {
    /// Decodes the information field of a frame, of which the capture lacks `missing` bytes at the end.
    ///
    /// # Errors
    ///
    /// When a length is impossible or a field is cut.
    pub fn decode(bytes: &[u8], missing: usize) -> Result<Self, Error> {
        let raw = Raw::decode(Protocol::Pap, bytes, missing)?;
        let body = match Code::from(raw.code) {
            Code::AuthenticateRequest => field(raw).map(|peer_id| Body::AuthenticateRequest { peer_id }),
            // Some peers leave out the message with its length.
            Code::AuthenticateAck if raw.data.is_empty() => {
                Ok(Body::AuthenticateAck { message: String::new() })
            }
            Code::AuthenticateNak if raw.data.is_empty() => {
                Ok(Body::AuthenticateNak { message: String::new() })
            }
            Code::AuthenticateAck => field(raw).map(|message| Body::AuthenticateAck { message }),
            Code::AuthenticateNak => field(raw).map(|message| Body::AuthenticateNak { message }),
            Code::Unknown(code) => Ok(Body::Unknown { code }),
        }?;
        Ok(Self { id: raw.id, body })
    }

    /// Writes the information field of a frame, with an empty password.
    pub fn encode(&self) -> Vec<u8> {
        let data = match &self.body {
            Body::AuthenticateRequest { peer_id } => {
                [&[peer_id.len() as u8], peer_id.as_bytes(), &[0]].concat()
            }
            Body::AuthenticateAck { message } | Body::AuthenticateNak { message } => {
                [&[message.len() as u8], message.as_bytes()].concat()
            }
            Body::Unknown { .. } => Vec::new(),
        };
        Raw { code: self.code().number(), id: self.id, data: &data, cut: false }.encode()
    }

    /// Code of the packet.
    pub const fn code(&self) -> Code {
        match &self.body {
            Body::AuthenticateRequest { .. } => Code::AuthenticateRequest,
            Body::AuthenticateAck { .. } => Code::AuthenticateAck,
            Body::AuthenticateNak { .. } => Code::AuthenticateNak,
            Body::Unknown { code } => Code::Unknown(*code),
        }
    }
}

/// Reads the first field: a byte of length, then text.
fn field(raw: Raw<'_>) -> Result<String, Error> {
    let mut reader = Reader::new(raw.data);
    let length = reader.u8().map(usize::from);
    let field = length.and_then(|length| reader.take(length));
    field.map(text::escape).ok_or(Error::Field { protocol: Protocol::Pap, code: raw.code })
}
