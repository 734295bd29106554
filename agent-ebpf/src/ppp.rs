//! The framing of PPP inside GRE (RFC 1661, section 6): enough to tell negotiation from data.

use crate::packet::Packet;

/// The HDLC address and control bytes (RFC 1662, section 3.1), absent after address and control
/// field compression.
const ADDRESS: u8 = 0xff;
const CONTROL: u8 = 0x03;

/// Whether the frame of `length` bytes at `at` has a protocol of 0x8000 and above: LCP,
/// authentication and the network control protocols, which are never encrypted.
///
/// The first byte of the protocol decides. After protocol field compression the only byte is odd
/// and stands for 0x00XX; otherwise the first of two is even, and its top bit is that of the
/// protocol.
#[inline(always)]
pub(crate) fn is_negotiation<P: Packet>(packet: &P, at: usize, length: usize) -> bool {
    if length < 2 {
        return false;
    }
    let Some([first, second]) = packet.read::<2>(at) else { return false };
    if first != ADDRESS || second != CONTROL {
        return is_control_protocol(first);
    }
    if length < 4 {
        return false;
    }
    packet.read::<1>(at + 2).is_some_and(|[first]| is_control_protocol(first))
}

#[inline(always)]
fn is_control_protocol(first: u8) -> bool {
    first & 0x81 == 0x80
}
