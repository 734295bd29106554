//! The inside of a tunnel, on its pppN: nearly every packet leaves at once. What stays are fragments, GRE,
//! which is the tunnel's own when it is routed into itself, and TCP segments with SYN, whose maximum segment
//! size (RFC 9293, section 3.7.1) must fit the tunnel.
//!
//! A packet with DF that is larger than the MTU cannot be seen here: the kernel answers it before it
//! is given to the device (`ip_forward`, `ip_finish_output`), which the path tier sees.

use core::ptr::addr_of_mut;

use pptpscope_common::{Inner, InnerKey};

use crate::flow::add;
use crate::maps::{INNER, MTUS};
use crate::packet::{Packet as _, TcPacket, opaque};

/// Protocol numbers (IANA).
const TCP: u8 = 6;
const GRE: u8 = 47;
const FRAGMENT: u8 = 44;

/// MORE_FRAGMENTS and the fragment offset of IPv4.
const FRAGMENTED: u16 = 0x3fff;

/// SYN in the flags of TCP.
const SYN: u8 = 0x02;

/// Bytes of the headers without options.
const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;
const TCP_HEADER: usize = 20;

/// Options of TCP (RFC 9293, section 3.1).
const END: u8 = 0;
const NO_OPERATION: u8 = 1;
const MAXIMUM_SEGMENT_SIZE: u8 = 2;
/// Length of that option, bytes.
const MSS_BYTES: usize = 4;
/// Options that are looked at. Nobody puts this one behind more than a few.
const MAX_OPTIONS: usize = 12;

/// A packet on a pppN: IPv4 or IPv6 from its first byte on.
#[inline(always)]
pub(crate) fn packet(packet: &TcPacket<'_>) {
    let Some(head) = packet.read::<10>(0) else { return };
    if head[0] >> 4 == 4 {
        if u16::from_be_bytes([head[6], head[7]]) & FRAGMENTED != 0 {
            return fragment(packet);
        }
        match head[9] {
            TCP => tcp(packet, usize::from(head[0] & 0x0f) * 4, false),
            GRE => gre(packet),
            _ => {}
        }
    } else if head[0] >> 4 == 6 {
        // Extension headers other than this one do not come before TCP in practice.
        match head[6] {
            TCP => tcp(packet, IPV6_HEADER, true),
            FRAGMENT => fragment(packet),
            _ => {}
        }
    }
}

#[inline(always)]
fn tcp(packet: &TcPacket<'_>, at: usize, is_ipv6: bool) {
    let Some([flags]) = packet.read::<1>(at + 13) else { return };
    if flags & SYN != 0 && at >= IPV4_HEADER {
        syn(packet, at, is_ipv6);
    }
}

#[inline(always)]
fn counters(packet: &TcPacket<'_>) -> Option<*mut Inner> {
    INNER.get_ptr_mut(InnerKey { ifindex: packet.ifindex(), direction: packet.direction() as u32 })
}

#[inline(always)]
fn fragment(packet: &TcPacket<'_>) {
    if let Some(inner) = counters(packet) {
        // SAFETY: a live value of the map; atomic.
        unsafe { add(addr_of_mut!((*inner).fragments), 1) };
    }
}

/// Books a GRE packet over IPv4. A tunnel that is routed into itself is the one thing that sends many.
#[inline(always)]
fn gre(packet: &TcPacket<'_>) {
    let Some(destination) = packet.read::<4>(16) else { return };
    if let Some(inner) = counters(packet) {
        // SAFETY: a live value of the map. The count is atomic; the destination is a single aligned word, of
        // which the last writer's stays.
        unsafe {
            add(addr_of_mut!((*inner).gre), 1);
            (*inner).gre_destination = destination;
        }
    }
}

/// Books a segment with SYN. `at` is where its TCP header begins.
#[inline(always)]
fn syn(packet: &TcPacket<'_>, at: usize, is_ipv6: bool) {
    let Some(inner) = counters(packet) else { return };
    let Some(mss) = maximum_segment_size(packet, at) else {
        // SAFETY: a live value of the map; atomic.
        return unsafe { add(addr_of_mut!((*inner).without_mss), 1) };
    };
    // SAFETY: a live value of the map, which only the agent writes, whole.
    let mtu = unsafe { MTUS.get(packet.ifindex()) }.copied().unwrap_or(0);
    let mut one = Inner::default();
    one.record_mss(mss, is_ipv6, mtu);
    // SAFETY: as above. Several CPUs may send on one pppN; the largest and the last MSS are single
    // words, of which the last writer's stays.
    unsafe {
        add(addr_of_mut!((*inner).syn), one.syn);
        if one.largest_mss > (*inner).largest_mss {
            (*inner).largest_mss = one.largest_mss;
        }
        if one.violations != 0 {
            add(addr_of_mut!((*inner).violations), one.violations);
            (*inner).violating_mss = one.violating_mss;
            (*inner).violated_mtu = one.violated_mtu;
        }
    }
}

/// The option of the segment whose TCP header begins at `at`.
///
/// All ways through one turn of the loop leave it with the same knowledge about `option`, so the verifier
/// follows one of them into the next turn.
#[inline(always)]
fn maximum_segment_size(packet: &TcPacket<'_>, at: usize) -> Option<u16> {
    let [data_offset] = packet.copied::<1>(at + 12)?;
    // Bytes from the beginning of the TCP header.
    let end = usize::from(data_offset >> 4) * 4;
    let mut option = TCP_HEADER;
    for _ in 0..MAX_OPTIONS {
        // The last one may be a byte long; the others are of no interest at the end.
        if option + MSS_BYTES > end {
            return None;
        }
        let [kind, length, high, low] = packet.copied::<MSS_BYTES>(at + option)?;
        if kind == MAXIMUM_SEGMENT_SIZE && usize::from(length) == MSS_BYTES {
            return Some(u16::from_be_bytes([high, low]));
        }
        // The one option without a length; no branch.
        let is_padding = opaque(usize::from(kind ^ NO_OPERATION)).wrapping_sub(1) >> (usize::BITS - 1);
        let step = usize::from(length) * (1 - is_padding) + is_padding;
        // A length of less than two bytes is nonsense, of which the rest cannot be told.
        if kind == END || step + is_padding < 2 {
            return None;
        }
        option += step;
    }
    None
}
