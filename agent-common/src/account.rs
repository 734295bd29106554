//! The accounting of the ring, per kind, and of what the wire tier refused to count.

/// Kinds of ring records. The discriminant is the `kind` byte of a record and the index into the
/// accounting map.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A TCP segment from or to port 1723.
    Control = 0,
    /// A GRE packet that carries a PPP negotiation frame (protocol 0x8000 and above).
    Ppp = 1,
    /// A UDP datagram from or to a RADIUS server.
    Radius = 2,
    /// An ICMP error that quotes a GRE packet or a segment of port 1723.
    Icmp = 3,
}

/// Ports of RADIUS servers that the programs can look for.
pub const RADIUS_PORTS: usize = 8;

impl Kind {
    /// Every kind, in the order of the accounting map.
    pub const ALL: [Self; 4] = [Self::Control, Self::Ppp, Self::Radius, Self::Icmp];

    /// The kind of a record's first byte.
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Control),
            1 => Some(Self::Ppp),
            2 => Some(Self::Radius),
            3 => Some(Self::Icmp),
            _ => None,
        }
    }
}

/// Accounting of one kind, per CPU. `seen == submitted + ring_full + suppressed`, always.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Packets that the programs classified as this kind.
    pub seen: u64,
    /// Records that entered the ring.
    pub submitted: u64,
    /// Records that found the ring full.
    pub ring_full: u64,
    /// Packets beyond the limit of their remote address, see [`crate::Limit`].
    pub suppressed: u64,
    /// Submitted records that were cut to [`crate::SNAP_BYTES`].
    pub truncated: u64,
}

const _: () = assert!(size_of::<Account>() == 40);

/// Why a packet of protocol 47 was not booked on a call. The discriminant is the index into the
/// refusal map.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// Shorter than its own headers say.
    Short = 0,
    /// GRE version 0 (RFC 2784): another tunnel's, nobody's call.
    Version0 = 1,
    /// GRE version 2 or above: not defined.
    VersionUnknown = 2,
    /// Version 1 without the protocol type 0x880B or the key that RFC 2637 demands, or with one of
    /// the bits that it forbids (checksum, routing, strict source route, recursion, flags).
    NotPptp = 3,
    /// The flow map is full: raise `--max-sessions`.
    FlowsFull = 4,
    /// A fragment whose first fragment was not seen.
    FragmentUnmatched = 5,
}

impl Refusal {
    /// Every refusal, in the order of the map.
    pub const ALL: [Self; 6] = [
        Self::Short,
        Self::Version0,
        Self::VersionUnknown,
        Self::NotPptp,
        Self::FlowsFull,
        Self::FragmentUnmatched,
    ];
}

#[cfg(feature = "user")]
// SAFETY: repr(C), plain integers, every bit pattern valid, no padding (size asserted).
unsafe impl aya::Pod for Account {}
