//! The one map entry of each direction of each call.

use core::mem::offset_of;

use crate::payload::{Content, Lengths, Mppe};
use crate::round_trip::{ACK_TIMEOUT_NS, Awaited, RoundTrips};
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

/// What is counted of one direction of one call.
///
/// Cache lines of 64 bytes: every packet writes the first two, a packet with payload the third, an
/// encrypted one the fourth. The rest is written now and then.
///
/// `packets`, `bytes`, `acks` and other plain sums are added atomically. `sequence`, `lengths` and
/// `mppe` are not: a tunnel is received on one CPU (receive-side scaling hashes the addresses only)
/// and transmitted under the lock of its PPP channel or by one pptpctrl process, so its packets come
/// one after another.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(serde::Serialize, serde::Deserialize))]
pub struct Flow {
    /// GRE packets. A fragmented one counts once.
    pub packets: u64,
    /// Bytes of these packets as IPv4 total length, every fragment included.
    pub bytes: u64,
    /// Last packet, CLOCK_MONOTONIC, nanoseconds: as of the kernel's tick, so up to 10 ms early, but not
    /// before the first packet.
    pub last_ns: u64,
    /// Packets with the A bit.
    pub acks: u64,
    /// When the packet of this direction was sent whose acknowledgement is awaited in the entry of
    /// the other one. Zero: none is.
    pub sampled_ns: u64,
    /// The packet of the other direction whose acknowledgement is awaited in this one.
    pub awaited: Awaited,
    /// Sequence accounting of the packets with the S bit.
    pub sequence: Sequence,
    /// Acknowledgement number of the last packet with the A bit; see `acks`.
    pub last_ack: u32,
    /// Call id of the other direction, plus [`PEER_KNOWN`]; zero before it is known.
    pub peer: u32,
    /// IP packets in clear among the payloads (PPP protocols 0x0021 and 0x0057).
    pub cleartext: u64,
    /// Payload lengths of the packets with the S bit.
    pub lengths: Lengths,
    /// MPPE frames among the payloads.
    pub mppe: Mppe,
    /// Packets with the A bit and without the S bit (acknowledgement only).
    pub ack_only: u64,
    /// IPv4 fragments, the first ones included.
    pub fragments: u64,
    /// PPP negotiation frames: each was seen by the ring's accounting too.
    pub negotiation: u64,
    /// First packet, CLOCK_MONOTONIC, nanoseconds.
    pub first_ns: u64,
    /// Interface that saw the first packet.
    pub ifindex: u32,
    /// Most packets of the other direction that were under way when an acknowledgement of this one
    /// ended a sample: those sent after the acknowledged one.
    pub outstanding: u32,
    /// Round trips that acknowledgements of this direction have ended.
    pub round_trips: RoundTrips,
    /// Always zero.
    pub _pad: [u64; 4],
}

/// Bit of [`Flow::peer`].
pub const PEER_KNOWN: u32 = 1 << 16;

const _: () = assert!(size_of::<Flow>() == 512);
const _: () = assert!(offset_of!(Flow, lengths) == 128 && offset_of!(Flow, ack_only) == 256);

impl Flow {
    /// Books what a packet with sequence number `number` carries. Returns whether it is ahead of all others.
    #[inline(always)]
    pub fn record_payload(&mut self, number: u32, bytes: u16, content: Content) -> bool {
        let is_newest = self.sequence.record(number);
        self.lengths.record(bytes);
        if content.is_mppe {
            self.mppe.record(content.mppe);
        } else if content.is_cleartext {
            self.cleartext += 1;
        } else if content.is_negotiation {
            self.negotiation += 1;
        }
        is_newest
    }

    /// Whether the next new packet of this direction may begin a sample: none is in flight, or it was in
    /// vain; and the other direction is known, or it is time to look for it. That is with the first
    /// packet, with every 32nd, and where `looks`: with the first one of each tick, so that a call with
    /// little traffic does not wait for the 32nd.
    #[inline(always)]
    pub const fn may_sample(&self, now_ns: u64, looks: bool) -> bool {
        (self.sampled_ns == 0 || now_ns.saturating_sub(self.sampled_ns) > ACK_TIMEOUT_NS)
            && (self.peer != 0 || looks || self.packets & 31 == 1)
    }

    /// `self` sent a new packet at `now_ns`; `other` will acknowledge it.
    #[inline(always)]
    pub fn begin_sample(&mut self, other: &mut Self, number: u32, now_ns: u64) {
        self.sampled_ns = now_ns;
        if other.awaited.begin(number, now_ns) {
            other.round_trips.timeouts += 1;
        }
    }

    /// A packet of `self` acknowledges `ack`, which ends the sample that waits here. `other` sent the
    /// packet; its entry may be gone.
    #[inline(always)]
    pub fn end_sample(&mut self, other: Option<&mut Self>, ack: u32, now_ns: u64) {
        let duration_ns = self.awaited.end(now_ns);
        self.round_trips.record(duration_ns);
        if let Some(other) = other {
            other.sampled_ns = 0;
            let outstanding = other.sequence.highest.wrapping_sub(ack);
            // An acknowledgement of what was not sent yet is nonsense.
            if outstanding < 1 << 31 && outstanding > self.outstanding {
                self.outstanding = outstanding;
            }
        }
    }
}

#[cfg(feature = "user")]
// SAFETY: repr(C), plain integers, every bit pattern valid, no implicit padding (size asserted).
unsafe impl aya::Pod for FlowKey {}
#[cfg(feature = "user")]
// SAFETY: as above.
unsafe impl aya::Pod for FragmentKey {}
#[cfg(feature = "user")]
// SAFETY: as above; 5 * 8 + 16 + 56 + 4 + 4 + 8 = 128, then 64 + 64, then 4 * 8 + 4 + 4 + 184 + 32.
unsafe impl aya::Pod for Flow {}
