//! Header of encrypted packets (RFC 3078 §3): what stays readable of the data.

/// The two bytes after protocol 0x00fd, where CCP agreed on MPPE or MPPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Bit A: the sender has changed the key or reset its history with this packet. Set on every packet
    /// of a stateless session.
    pub flushed: bool,
    /// Bit C: compressed by MPPC.
    pub compressed: bool,
    /// Bit D: encrypted.
    pub encrypted: bool,
    /// Number of the packet, 12 bits, wraps.
    pub coherency_count: u16,
}

impl Header {
    /// Reads the front of an information field; None when it is too short.
    pub fn decode(information: &[u8]) -> Option<Self> {
        let bits = u16::from_be_bytes(*information.first_chunk()?);
        Some(Self {
            flushed: bits & 0x8000 != 0,
            compressed: bits & 0x2000 != 0,
            encrypted: bits & 0x1000 != 0,
            coherency_count: bits & 0x0fff,
        })
    }
}
