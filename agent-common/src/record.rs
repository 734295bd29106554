//! The records of the ring: a fixed header, then the packet from its IPv4 header on.

use crate::account::Kind;

/// Bytes of the packet that a record can carry. A PPTP control segment and a negotiation frame fit
/// whole on links of up to this MTU; longer ones are cut and counted.
pub const SNAP_BYTES: usize = 2016;

/// Flag of [`RecordHeader::flags`]: the packet was longer than [`SNAP_BYTES`].
pub const TRUNCATED: u8 = 1;

/// Which way a packet passed the interface.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "user", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "user", serde(rename_all = "snake_case"))]
pub enum Direction {
    /// Received by this host.
    Ingress = 0,
    /// Sent by this host.
    Egress = 1,
}

impl Direction {
    /// The direction of a record's byte.
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Ingress),
            1 => Some(Self::Egress),
            _ => None,
        }
    }
}

/// Header of a record.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordHeader {
    /// When the program saw the packet, CLOCK_MONOTONIC, nanoseconds.
    pub at_ns: u64,
    /// Interface that saw it.
    pub ifindex: u32,
    /// Length of the IPv4 datagram on the wire (its total length field), bytes.
    pub total_bytes: u16,
    /// Bytes of the datagram that follow this header.
    pub captured_bytes: u16,
    /// A [`Kind`].
    pub kind: u8,
    /// A [`Direction`].
    pub direction: u8,
    /// [`TRUNCATED`] or zero.
    pub flags: u8,
    /// Always zero.
    pub _pad: [u8; 5],
}

const _: () = assert!(size_of::<RecordHeader>() == 24);

/// A record as the kernel programs build it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Record {
    /// What the packet is.
    pub header: RecordHeader,
    /// The packet, from its IPv4 header on; valid up to `header.captured_bytes`.
    pub packet: [u8; SNAP_BYTES],
}

const _: () = assert!(size_of::<Record>() == 2040);

impl RecordHeader {
    /// Splits a ring entry into its header and the bytes of the packet.
    ///
    /// None when the entry is shorter than it says: the two sides were built apart.
    pub fn split(entry: &[u8]) -> Option<(Self, &[u8])> {
        let (head, packet) = entry.split_at_checked(size_of::<Self>())?;
        let header = Self {
            at_ns: u64::from_ne_bytes(head[0..8].try_into().ok()?),
            ifindex: u32::from_ne_bytes(head[8..12].try_into().ok()?),
            total_bytes: u16::from_ne_bytes(head[12..14].try_into().ok()?),
            captured_bytes: u16::from_ne_bytes(head[14..16].try_into().ok()?),
            kind: head[16],
            direction: head[17],
            flags: head[18],
            _pad: [0; 5],
        };
        Kind::from_byte(header.kind)?;
        Direction::from_byte(header.direction)?;
        Some((header, packet.get(..usize::from(header.captured_bytes))?))
    }
}

#[cfg(test)]
mod tests {
    use super::{Direction, Kind, RecordHeader};

    #[test]
    fn refuses_entries_that_lie_about_their_length() {
        let mut entry = [0u8; 30];
        entry[14..16].copy_from_slice(&6u16.to_ne_bytes());
        let (header, packet) = RecordHeader::split(&entry).unwrap();
        assert_eq!((Kind::from_byte(header.kind), packet.len()), (Some(Kind::Control), 6));
        assert_eq!(Direction::from_byte(header.direction), Some(Direction::Ingress));
        assert!(RecordHeader::split(&entry[..29]).is_none());
        assert!(RecordHeader::split(&entry[..23]).is_none());
        entry[16] = 9;
        assert!(RecordHeader::split(&entry).is_none());
    }
}
