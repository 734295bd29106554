//! From the first byte of a packet to its IPv4 header.

use crate::ip;
use crate::packet::Packet;

/// Ethertypes (IEEE 802 numbers).
const IPV4: u16 = 0x0800;
const VLAN: u16 = 0x8100;
const SERVICE_VLAN: u16 = 0x88a8;

/// Bytes of the two MAC addresses before the ethertype.
const ADDRESSES: usize = 12;

/// An Ethernet frame: IPv4 behind up to two VLAN tags (802.1Q, 802.1ad).
///
/// A tag that the hardware has already taken off is not in the frame: then there is none to skip.
#[inline(always)]
pub(crate) fn ethernet<P: Packet>(packet: &P) {
    let mut at = ADDRESSES;
    // The frame's own type and those behind the two tags.
    for _ in 0..3 {
        let Some(bytes) = packet.read::<2>(at) else { return };
        match u16::from_be_bytes(bytes) {
            IPV4 => return ip::ipv4(packet, at + 2),
            VLAN | SERVICE_VLAN => at += 4,
            _ => return,
        }
    }
}

/// A packet without link header.
#[inline(always)]
pub(crate) fn bare<P: Packet>(packet: &P) {
    ip::ipv4(packet, 0);
}

/// A frame of the loopback device, which has an Ethernet header and no tags.
#[inline(always)]
pub(crate) fn loopback<P: Packet>(packet: &P) {
    if let Some(bytes) = packet.read::<2>(ADDRESSES)
        && u16::from_be_bytes(bytes) == IPV4
    {
        ip::udp(packet, ADDRESSES + 2);
    }
}
