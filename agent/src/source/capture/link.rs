//! From the first byte of a captured packet to its IPv4 header, for the link types that captures of
//! a VPN host may have (IANA, LINKTYPE).

/// Where the IPv4 packet is, and what of the bytes before it names the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Located {
    /// Offset of the IPv4 header.
    pub(super) ip_at: usize,
    /// The part of the link header that is the same for all packets that one station sends to
    /// another on this link: first byte and length.
    pub(super) addresses: (usize, usize),
}

/// Link types.
const NULL: u16 = 0;
const ETHERNET: u16 = 1;
const PPP: u16 = 9;
const RAW_BSD: u16 = 12;
const RAW_OPENBSD: u16 = 14;
const PPP_HDLC: u16 = 50;
const RAW: u16 = 101;
const IEEE802_11: u16 = 105;
const LOOP: u16 = 108;
const LINUX_SLL: u16 = 113;
const IEEE802_11_RADIOTAP: u16 = 127;
const PPP_WITH_DIRECTION: u16 = 204;
const IPV4: u16 = 228;
const LINUX_SLL2: u16 = 276;

/// Ethertypes (IEEE 802 numbers).
const TYPE_IPV4: u16 = 0x0800;
const TYPE_IPV6: u16 = 0x86dd;
const TYPE_PPPOE: u16 = 0x8864;
const TYPE_MPLS: u16 = 0x8847;
const VLAN_TYPES: [u16; 4] = [0x8100, 0x88a8, 0x9100, 0x9200];

/// Protocols of PPP.
const PPP_IPV4: u16 = 0x0021;
const PPP_IPV6: u16 = 0x0057;

/// IP in IP (RFC 2003, RFC 2473).
const PROTOCOL_IPIP: u8 = 4;

/// Whether packets of this link type can be read.
pub const fn is_known(link_type: u16) -> bool {
    matches!(
        link_type,
        NULL | ETHERNET
            | PPP
            | RAW_BSD
            | RAW_OPENBSD
            | PPP_HDLC
            | RAW
            | IEEE802_11
            | LOOP
            | LINUX_SLL
            | IEEE802_11_RADIOTAP
            | PPP_WITH_DIRECTION
            | IPV4
            | LINUX_SLL2
    )
}

/// The IPv4 packet in `bytes`; None when there is none.
#[inline]
pub(super) fn locate(link_type: u16, bytes: &[u8]) -> Option<Located> {
    let (at, kind, addresses) = match link_type {
        ETHERNET => (14, half(bytes, 12)?, (0, 12)),
        LINUX_SLL => (16, half(bytes, 14)?, (0, 14)),
        LINUX_SLL2 => (20, half(bytes, 0)?, (4, 16)),
        RAW | RAW_BSD | RAW_OPENBSD | IPV4 => (0, version(bytes, 0)?, (0, 0)),
        NULL | LOOP => (4, version(bytes, 4)?, (0, 0)),
        PPP | PPP_HDLC => {
            let (at, kind) = ppp(bytes, 0)?;
            (at, kind, (0, 0))
        }
        PPP_WITH_DIRECTION => {
            let (at, kind) = ppp(bytes, 1)?;
            (at, kind, (0, 1))
        }
        IEEE802_11 => wireless(bytes, 0)?,
        IEEE802_11_RADIOTAP => {
            // Its length is little-endian at 2 (radiotap.org).
            wireless(bytes, usize::from(half(bytes, 2)?.swap_bytes()))?
        }
        _ => return None,
    };
    let ip_at = through_encapsulations(bytes, at, kind)?;
    // Tags belong to the link too, but Ethernet's are rare enough to look at the addresses only.
    Some(Located { ip_at, addresses })
}

/// Follows VLAN tags, MPLS, PPPoE, and tunnels of IP in IP, up to the innermost IPv4.
#[inline]
fn through_encapsulations(bytes: &[u8], mut at: usize, mut kind: u16) -> Option<usize> {
    // Bounded: a packet cannot send us in circles.
    for _ in 0..8 {
        match kind {
            TYPE_IPV4 => {
                let first = *bytes.get(at)?;
                let header = usize::from(first & 0x0f) * 4;
                let unfragmented = half(bytes, at + 6)? & 0x3fff == 0;
                if *bytes.get(at + 9)? != PROTOCOL_IPIP || !unfragmented || header < 20 {
                    return Some(at);
                }
                at += header;
                kind = version(bytes, at)?;
            }
            TYPE_IPV6 => {
                // Extension headers are not followed: tunnels do not send any.
                if *bytes.get(at + 6)? != PROTOCOL_IPIP {
                    return None;
                }
                at += 40;
                kind = version(bytes, at)?;
            }
            TYPE_PPPOE => (at, kind) = ppp(bytes, at + 6)?,
            TYPE_MPLS => {
                let bottom = bytes.get(at + 2)? & 1 == 1;
                at += 4;
                kind = if bottom { version(bytes, at)? } else { TYPE_MPLS };
            }
            kind_of_tag if VLAN_TYPES.contains(&kind_of_tag) => {
                kind = half(bytes, at + 2)?;
                at += 4;
            }
            _ => return None,
        }
    }
    None
}

#[inline]
fn half(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
}

/// The ethertype of a packet that begins with its IP header.
#[inline]
fn version(bytes: &[u8], at: usize) -> Option<u16> {
    match bytes.get(at)? >> 4 {
        4 => Some(TYPE_IPV4),
        6 => Some(TYPE_IPV6),
        _ => None,
    }
}

/// Framing of PPP, with or without address and control bytes (RFC 1662), to offset and ethertype.
fn ppp(bytes: &[u8], at: usize) -> Option<(usize, u16)> {
    // 0f 00 is what Cisco's HDLC has there, with an ethertype behind it.
    let at = match bytes.get(at..)? {
        [0xff, 0x03, ..] => at + 2,
        [0x0f | 0x8f, 0x00, ..] => return Some((at + 4, half(bytes, at + 2)?)),
        _ => at,
    };
    let first = *bytes.get(at)?;
    let (at, protocol) = if first & 1 == 1 { (at + 1, u16::from(first)) } else { (at + 2, half(bytes, at)?) };
    match protocol {
        PPP_IPV4 => Some((at, TYPE_IPV4)),
        PPP_IPV6 => Some((at, TYPE_IPV6)),
        _ => None,
    }
}

/// A data frame of IEEE 802.11 with an LLC/SNAP header (RFC 1042).
fn wireless(bytes: &[u8], at: usize) -> Option<(usize, u16, (usize, usize))> {
    let control = *bytes.get(at)?;
    let flags = *bytes.get(at + 1)?;
    // Type 2 is data; bit 6 of the control byte marks one without; bit 6 of the flags encryption.
    if control & 0x0c != 0x08 || control & 0x40 != 0 || flags & 0x40 != 0 {
        return None;
    }
    let both_distribution = flags & 0x03 == 0x03;
    let mut header = if both_distribution { 30 } else { 24 };
    if control & 0x80 != 0 {
        // QoS control, and HT control when the order bit is set.
        header += if flags & 0x80 != 0 { 6 } else { 2 };
    }
    let llc = at + header;
    // Some drivers pad the header to four bytes.
    let llc = [llc, llc.next_multiple_of(4)]
        .into_iter()
        .find(|llc| matches!(bytes.get(*llc..), Some([0xaa, 0xaa, 0x03, 0, 0, 0 | 0xf8, ..])))?;
    Some((llc + 8, half(bytes, llc + 6)?, (at + 4, 18)))
}
