//! The one map entry of each direction of each call.

use crate::sequence::Sequence;

/// One direction of one call: who sends to whom, and the call id that the receiver assigned.
///
/// The call id of an enhanced GRE packet is always the receiver's (RFC 2637, section 4.1), so two
/// clients behind one address differ in it, and the two directions of a call have different keys.
///
/// A host that forwards somebody else's call sees each of its packets twice, once coming in and
/// once going out. `direction` keeps the two sightings apart; without it every forwarded packet
/// would count double and look like a duplicate.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowKey {
    /// IPv4 source, network byte order.
    pub source: [u8; 4],
    /// IPv4 destination, network byte order.
    pub destination: [u8; 4],
    /// Call id in the GRE key field, host byte order.
    pub call_id: u16,
    /// A [`crate::Direction`] as the host sees it.
    pub direction: u8,
    /// Always zero: hash maps compare every byte.
    pub _pad: u8,
}

const _: () = assert!(size_of::<FlowKey>() == 12);

/// The fragments of one IPv4 datagram (RFC 791: addresses, protocol 47, identification).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FragmentKey {
    /// IPv4 source, network byte order.
    pub source: [u8; 4],
    /// IPv4 destination, network byte order.
    pub destination: [u8; 4],
    /// IPv4 identification, host byte order.
    pub identification: u16,
    /// Always zero: hash maps compare every byte.
    pub _pad: u16,
}

const _: () = assert!(size_of::<FragmentKey>() == 12);

/// What is counted of one direction of one call: two cache lines' worth.
///
/// `packets`, `bytes` and the other sums are added atomically. `sequence` is not: a tunnel is
/// received on one CPU (receive-side scaling hashes the addresses only) and transmitted under the
/// lock of its PPP channel or by one pptpctrl process, so its packets come one after another.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(serde::Serialize, serde::Deserialize))]
pub struct Flow {
    /// GRE packets. A fragmented one counts once.
    pub packets: u64,
    /// Bytes of these packets as IPv4 total length, every fragment included.
    pub bytes: u64,
    /// Packets with the A bit and without the S bit (acknowledgement only).
    pub ack_only: u64,
    /// IPv4 fragments, the first ones included.
    pub fragments: u64,
    /// PPP negotiation frames: each was seen by the ring's accounting too.
    pub negotiation: u64,
    /// First packet, CLOCK_MONOTONIC, nanoseconds.
    pub first_ns: u64,
    /// Last packet, CLOCK_MONOTONIC, nanoseconds.
    pub last_ns: u64,
    /// Sequence accounting of the packets with the S bit.
    pub sequence: Sequence,
    /// Acknowledgement number of the last packet with the A bit; see `acks`.
    pub last_ack: u32,
    /// Interface that saw the first packet.
    pub ifindex: u32,
    /// Packets with the A bit.
    pub acks: u64,
}

const _: () = assert!(size_of::<Flow>() == 128);

#[cfg(feature = "user")]
// SAFETY: repr(C), plain integers, every bit pattern valid, no implicit padding (size asserted).
unsafe impl aya::Pod for FlowKey {}
#[cfg(feature = "user")]
// SAFETY: as above.
unsafe impl aya::Pod for FragmentKey {}
#[cfg(feature = "user")]
// SAFETY: as above; 7 * 8 + 56 + 4 + 4 + 8 = 128 bytes.
unsafe impl aya::Pod for Flow {}
