//! How many packets passed each place behind the wire: what the books are kept of.
//!
//! Counted are packets of user traffic, told from negotiation as on the wire: everything whose PPP
//! protocol is below 0x8000. Negotiation frames are told one by one anyway, and go to pppd.

/// What passed the places of one ppp unit. Keyed by its interface index.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnitPassage {
    /// Handed to PPP by the channel (`ppp_input`).
    pub channel_in: u64,
    /// Taken by the unit (`ppp_receive_nonmp_frame`).
    pub unit_in: u64,
    /// Negotiation frames taken by the unit: the interface counts them with the others.
    pub unit_control: u64,
    /// Given to decryption (`mppe_decompress`).
    pub mppe_in: u64,
    /// Given to the unit to be sent (`ppp_start_xmit`).
    pub unit_out: u64,
    /// Given to the PPTP socket to be sent (`pptp_xmit`).
    pub channel_out: u64,
    /// While armed: decrypted, and refused by decryption (`mppe_decompress` returned).
    pub mppe_done: u64,
    /// As above.
    pub mppe_refused: u64,
    /// While armed: taken by the pty (`ppp_async_send` returned 1).
    pub pty_out: u64,
}

const _: () = assert!(size_of::<UnitPassage>() == 72);

/// One direction of one call, as the kernel's own functions see it: they do not know on which side
/// of the host they are.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PassageKey {
    /// IPv4 source, network byte order.
    pub source: [u8; 4],
    /// IPv4 destination, network byte order.
    pub destination: [u8; 4],
    /// Call id in the GRE key field, host byte order.
    pub call_id: u16,
    /// Always zero: hash maps compare every byte.
    pub _pad: u16,
}

const _: () = assert!(size_of::<PassageKey>() == 12);

/// What passed the places of one direction of a call.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallPassage {
    /// Reached the PPTP socket of the call (`pptp_rcv_core`).
    pub socket_in: u64,
    /// While armed: delivered by the IPv4 layer, behind the firewall (`raw_local_deliver`).
    pub delivered: u64,
    /// Interface of the unit that the socket feeds; zero when there is none.
    pub ifindex: u32,
    /// Always zero.
    pub _pad: u32,
}

const _: () = assert!(size_of::<CallPassage>() == 24);

/// Whether a PPP frame is negotiation. `protocol` is the first byte of its protocol field: one odd
/// byte is a compressed field, of user traffic; else the top bit is that of the whole number.
pub const fn is_control(protocol: u8) -> bool {
    protocol & 0x81 == 0x80
}

#[cfg(feature = "user")]
// SAFETY: repr(C), plain integers, every bit pattern valid, no implicit padding (size asserted).
unsafe impl aya::Pod for UnitPassage {}
#[cfg(feature = "user")]
// SAFETY: as above.
unsafe impl aya::Pod for PassageKey {}
#[cfg(feature = "user")]
// SAFETY: as above.
unsafe impl aya::Pod for CallPassage {}

#[cfg(test)]
mod tests {
    use super::is_control;

    #[test]
    fn negotiation_is_what_has_the_top_bit_and_is_no_compressed_field() {
        for control in [0x80, 0xc0, 0xc2] {
            assert!(is_control(control), "{control:#x}");
        }
        for data in [0x00, 0x21, 0x57, 0xfd, 0x41, 0xc1] {
            assert!(!is_control(data), "{data:#x}");
        }
    }
}
