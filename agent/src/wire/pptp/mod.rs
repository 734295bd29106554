//! The control connection of PPTP: fifteen messages on TCP port 1723 (RFC 2637 §2).
//!
//! A client (PNS) and a server (PAC) open it with Start-Control-Connection, then the client opens a
//! call with Outgoing-Call-Request and the server answers. The two call ids that they exchange are
//! the keys of the GRE tunnel. Set-Link-Info follows once PPP is up, Echo keeps the connection alive,
//! Call-Clear-Request, Call-Disconnect-Notify and Stop-Control-Connection end it.
//!
//! Every message has a fixed length and this header, then a body with fixed fields:
//!
//! ```text
//! |            Length             |       PPTP Message Type       |
//! |                         Magic Cookie                          |
//! |     Control Message Type      |           Reserved0           |
//! ```

#[macro_use]
mod fields;
pub mod codes;
pub mod message;
pub mod peer;

use codes::MessageType;
pub use message::Message;

use super::read::Reader;

/// Sent in every message, so that a receiver can tell whether it is in step (RFC 2637 §2).
pub const MAGIC_COOKIE: u32 = 0x1a2b_3c4d;
/// PPTP message type of control messages. Type 2, management, was never defined.
pub const CONTROL_MESSAGE: u16 = 1;
/// Length of the header, bytes.
pub const HEADER_BYTES: usize = 12;
/// Length of the longest message, Incoming-Call-Request, bytes.
pub const MAX_BYTES: usize = 220;

/// The header of a control message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Length of the message with this header, bytes.
    pub length: u16,
    /// Which message it is.
    pub message_type: MessageType,
}

/// Why bytes are not a control message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The message is cut.
    #[error("control message cut: {present} of {needed} bytes")]
    Short {
        /// Bytes that are there.
        present: usize,
        /// Bytes that the header or the type of the message demand.
        needed: usize,
    },
    /// The magic cookie is wrong: not PPTP, or out of step.
    #[error("magic cookie 0x{0:08x} instead of 0x1a2b3c4d")]
    BadMagic(u32),
    /// Not a control message.
    #[error("PPTP message type {0}, 1 is a control message")]
    NotControl(u16),
    /// No control message has this type.
    #[error("control message type {0} is not defined")]
    UnknownType(u16),
    /// The length does not fit the type.
    #[error("{message_type} of {length} bytes")]
    BadLength {
        /// Type of the message.
        message_type: MessageType,
        /// Its length field.
        length: u16,
    },
}

impl Header {
    /// Decodes a header and checks everything in it.
    ///
    /// # Errors
    ///
    /// When it is cut or cannot begin a control message.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let short = Error::Short { present: bytes.len(), needed: HEADER_BYTES };
        let mut reader = Reader::new(bytes);
        let length = reader.u16().ok_or(short)?;
        let class = reader.u16().ok_or(short)?;
        let magic = reader.u32().ok_or(short)?;
        let number = reader.u16().ok_or(short)?;
        reader.u16().ok_or(short)?;
        if magic != MAGIC_COOKIE {
            return Err(Error::BadMagic(magic));
        }
        if class != CONTROL_MESSAGE {
            return Err(Error::NotControl(class));
        }
        let message_type = MessageType::from(number);
        match message_type.length() {
            None => Err(Error::UnknownType(number)),
            Some(expected) if expected != usize::from(length) => {
                Err(Error::BadLength { message_type, length })
            }
            Some(_) => Ok(Self { length, message_type }),
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
