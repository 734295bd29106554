//! IPv4 (RFC 791): what is needed to tell a call's packets from all others.

use crate::packet::Packet;
use crate::{control, gre, icmp, radius, record};

/// Protocol numbers (IANA).
const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const GRE: u8 = 47;

/// Bytes of a header without options.
const HEADER: usize = 20;

/// Bits of the flags and fragment offset field.
const MORE_FRAGMENTS: u16 = 0x2000;
const FRAGMENT_OFFSET: u16 = 0x1fff;

/// An IPv4 datagram, or one fragment of it.
pub(crate) struct Datagram {
    /// Offset of the IPv4 header in the packet.
    pub(crate) at: usize,
    /// Length of the header with its options, bytes.
    pub(crate) header: usize,
    /// The total length field, bytes: at least `header`.
    pub(crate) total: usize,
    /// Source address.
    pub(crate) source: [u8; 4],
    /// Destination address.
    pub(crate) destination: [u8; 4],
    /// Identification of the datagram that this is a fragment of.
    pub(crate) identification: u16,
    /// Flags and fragment offset.
    fragment: u16,
}

impl Datagram {
    /// Offset of what the datagram carries.
    #[inline(always)]
    pub(crate) fn payload_at(&self) -> usize {
        self.at + self.header
    }

    /// Bytes of what the datagram carries.
    #[inline(always)]
    pub(crate) fn payload(&self) -> usize {
        self.total - self.header
    }

    /// Whether more than this packet belongs to the datagram.
    #[inline(always)]
    pub(crate) fn is_fragment(&self) -> bool {
        self.fragment & (MORE_FRAGMENTS | FRAGMENT_OFFSET) != 0
    }

    /// Whether the transport header is elsewhere, in the first fragment.
    #[inline(always)]
    pub(crate) fn is_later_fragment(&self) -> bool {
        self.fragment & FRAGMENT_OFFSET != 0
    }
}

/// The packet at `at`, when it is IPv4 and carries TCP, UDP, GRE or ICMP. Almost all packets leave here or at
/// the port numbers, so nothing is read that those do not need.
#[inline(always)]
pub(crate) fn ipv4<P: Packet>(packet: &P, at: usize) {
    let Some(bytes) = packet.read::<HEADER>(at) else { return };
    let protocol = bytes[9];
    if protocol != TCP && protocol != UDP && protocol != GRE && protocol != ICMP {
        return;
    }
    let Some(datagram) = datagram(&bytes, at) else { return };
    let report = if protocol == GRE {
        gre::gre(packet, &datagram)
    } else if protocol == TCP {
        control::tcp(packet, &datagram)
    } else if protocol == UDP {
        radius::udp(packet, &datagram)
    } else {
        icmp::icmp(packet, &datagram)
    };
    // The only place: the verifier follows the copy of the packet anew at each call.
    if let Some(kind) = report {
        record::submit(packet, &datagram, kind);
    }
}

/// The packet at `at`, when it is IPv4 and carries UDP: nothing else is of interest on loopback.
#[inline(always)]
pub(crate) fn udp<P: Packet>(packet: &P, at: usize) {
    let Some(bytes) = packet.read::<HEADER>(at) else { return };
    if bytes[9] == UDP
        && let Some(datagram) = datagram(&bytes, at)
        && let Some(kind) = radius::udp(packet, &datagram)
    {
        record::submit(packet, &datagram, kind);
    }
}

/// Reads a header.
#[inline(always)]
fn datagram(bytes: &[u8; HEADER], at: usize) -> Option<Datagram> {
    let header = usize::from(bytes[0] & 0x0f) * 4;
    let total = usize::from(u16::from_be_bytes([bytes[2], bytes[3]]));
    // A header that lies about itself is nobody's packet: the kernel drops it (ip_rcv_core).
    if bytes[0] >> 4 != 4 || header < HEADER || total < header {
        return None;
    }
    Some(Datagram {
        at,
        header,
        total,
        source: [bytes[12], bytes[13], bytes[14], bytes[15]],
        destination: [bytes[16], bytes[17], bytes[18], bytes[19]],
        identification: u16::from_be_bytes([bytes[4], bytes[5]]),
        fragment: u16::from_be_bytes([bytes[6], bytes[7]]),
    })
}
