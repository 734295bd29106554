//! ICMP errors (RFC 792) about a call or a control connection: they quote the packet that they complain
//! about. One of them can end a call (see docs/drops.md), and one that never comes is a black hole.

use pptpscope_common::Kind;

use crate::ip::Datagram;
use crate::limit;
use crate::packet::Packet;

/// Bytes before the quoted packet.
const HEADER: usize = 8;

/// Protocols of quoted packets.
const TCP: u8 = 6;
const GRE: u8 = 47;

/// The server's port.
const PPTP: u16 = 1723;

/// Protocol type of PPTP in GRE.
const PPP: u16 = 0x880b;

/// Tells to report an ICMP error that quotes enhanced GRE or a segment of port 1723.
#[inline(always)]
pub(crate) fn icmp<P: Packet>(packet: &P, datagram: &Datagram) -> Option<Kind> {
    // Destination unreachable, source quench, redirect, time exceeded, parameter problem.
    let [kind] = packet.read::<1>(datagram.payload_at())?;
    if !matches!(kind, 3..=5 | 11 | 12) || datagram.is_later_fragment() {
        return None;
    }
    let quoted = datagram.payload_at() + HEADER;
    let header = packet.read::<20>(quoted)?;
    let length = usize::from(header[0] & 0x0f) * 4;
    if header[0] >> 4 != 4 || length < header.len() || datagram.payload() < HEADER + length + 8 {
        return None;
    }
    let [a, b, c, d] = packet.read::<4>(quoted + length)?;
    let (first, second) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    let is_ours = match header[9] {
        GRE => first & 7 == 1 && second == PPP,
        TCP => first == PPTP || second == PPTP,
        _ => false,
    };
    if is_ours { limit::check(packet, datagram, Kind::Icmp) } else { None }
}
