//! Enhanced GRE, the tunnel of PPTP (RFC 2637 §4.1).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! |C|R|K|S|s|Recur|A| Flags | Ver |         Protocol Type         |
//! |    Key (HW) Payload Length    |       Key (LW) Call ID        |
//! |                  Sequence Number (Optional)                   |
//! |               Acknowledgment Number (Optional)                |
//! ```

use bytes::{Buf as _, Bytes};
use pptpscope_common::Refusal;

use super::{payload::Payload, read::Reader};

/// Protocol type of PPP in enhanced GRE.
pub const PROTOCOL_PPP: u16 = 0x880b;

const CHECKSUM: u16 = 0x8000;
const ROUTING: u16 = 0x4000;
const KEY: u16 = 0x2000;
const SEQUENCE: u16 = 0x1000;
const ACKNOWLEDGEMENT: u16 = 0x0080;
const VERSION: u16 = 0x0007;
/// Strict source route, recursion control and the reserved flags: always zero.
const RESERVED: u16 = 0x0f78;

/// A packet of the tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// The call, by the number that its *receiver* chose in the control connection.
    pub call_id: u16,
    /// Length of the payload that the header declares, bytes; 0 in a bare acknowledgement.
    pub payload_bytes: u16,
    /// Number of this packet, present when it has a payload.
    pub sequence: Option<u32>,
    /// Highest number that the sender has received.
    pub acknowledgement: Option<u32>,
    /// What was captured of the payload: a PPP frame. Bytes after the declared length are cut off.
    pub payload: Payload,
    /// Bytes of the payload that were sent but not captured.
    pub missing_bytes: usize,
}

/// Why bytes are not a packet of a PPTP tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The header is cut.
    #[error("GRE header cut: {0} bytes")]
    Short(usize),
    /// The payload is shorter than the header declares, and the capture did not cut it.
    #[error("GRE payload of call {call_id}: {declared} bytes declared, {present} present")]
    ShortPayload {
        /// Call of the packet.
        call_id: u16,
        /// Length that the header declares.
        declared: u16,
        /// Length that is there.
        present: usize,
    },
    /// GRE of RFC 2784 or 2890: another tunnel's.
    #[error("GRE version 0, not a PPTP tunnel")]
    Version0,
    /// Versions 2 to 7 are not defined.
    #[error("GRE version {0} is not defined")]
    VersionUnknown(u8),
    /// Version 1 with a protocol other than PPP.
    #[error("GRE version 1 with protocol 0x{0:04x}, PPTP uses 0x880b")]
    NotPpp(u16),
    /// Version 1 without a key, so without a call.
    #[error("GRE version 1 without a key")]
    NoKey,
    /// Bits are set that RFC 2637 wants zero: checksum, routing, strict source route, recursion, flags.
    #[error("GRE version 1 with forbidden bits 0x{0:04x}")]
    ForbiddenBits(u16),
}

impl Error {
    /// The reason under which the kernel programs count the same packet.
    pub const fn refusal(self) -> Refusal {
        match self {
            Self::Short(_) | Self::ShortPayload { .. } => Refusal::Short,
            Self::Version0 => Refusal::Version0,
            Self::VersionUnknown(_) => Refusal::VersionUnknown,
            Self::NotPpp(_) | Self::NoKey | Self::ForbiddenBits(_) => Refusal::NotPptp,
        }
    }
}

impl Packet {
    /// Decodes a packet that begins with its GRE header: the payload of an IP packet, of which the
    /// capture lacks `missing_bytes` at the end (for a first fragment: what the others carry).
    ///
    /// # Errors
    ///
    /// When it is not a packet of a PPTP tunnel, or shorter than it says.
    pub fn decode(bytes: Bytes, missing_bytes: usize) -> Result<Self, Error> {
        let mut reader = Reader::new(&bytes);
        let short = Error::Short(bytes.len());
        let flags = reader.u16().ok_or(short)?;
        match flags & VERSION {
            0 => return Err(Error::Version0),
            1 => {}
            version => return Err(Error::VersionUnknown(version as u8)),
        }
        let protocol = reader.u16().ok_or(short)?;
        if protocol != PROTOCOL_PPP {
            return Err(Error::NotPpp(protocol));
        }
        if flags & KEY == 0 {
            return Err(Error::NoKey);
        }
        let forbidden = flags & (CHECKSUM | ROUTING | RESERVED);
        if forbidden != 0 {
            return Err(Error::ForbiddenBits(forbidden));
        }
        let payload_bytes = reader.u16().ok_or(short)?;
        let call_id = reader.u16().ok_or(short)?;
        let mut optional =
            |bit| if flags & bit == 0 { Ok(None) } else { reader.u32().map(Some).ok_or(short) };
        let sequence = optional(SEQUENCE)?;
        let acknowledgement = optional(ACKNOWLEDGEMENT)?;

        let present = reader.rest().len();
        let declared = usize::from(payload_bytes);
        if declared > present.saturating_add(missing_bytes) {
            return Err(Error::ShortPayload { call_id, declared: payload_bytes, present });
        }
        let mut rest = bytes;
        rest.advance(rest.len() - present);
        rest.truncate(declared);
        Ok(Self {
            call_id,
            payload_bytes,
            sequence,
            acknowledgement,
            missing_bytes: declared - rest.len(),
            payload: Payload::from(rest),
        })
    }

    /// Writes the packet; the declared length is that of the payload.
    pub fn encode(&self) -> Vec<u8> {
        let bit = |set: bool, mask| if set { mask } else { 0 };
        let flags = KEY
            | 1
            | bit(self.sequence.is_some(), SEQUENCE)
            | bit(self.acknowledgement.is_some(), ACKNOWLEDGEMENT);
        let mut out = Vec::with_capacity(16 + self.payload.len());
        for field in [flags, PROTOCOL_PPP, self.payload_bytes, self.call_id] {
            out.extend(field.to_be_bytes());
        }
        for number in [self.sequence, self.acknowledgement].into_iter().flatten() {
            out.extend(number.to_be_bytes());
        }
        out.extend_from_slice(&self.payload);
        out
    }

    /// Acknowledges without carrying anything.
    pub const fn is_ack_only(&self) -> bool {
        self.sequence.is_none() && self.acknowledgement.is_some()
    }
}
