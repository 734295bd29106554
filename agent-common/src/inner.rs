//! What is counted inside the tunnel: on a pppN, per direction.

/// One direction of one interface.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InnerKey {
    /// Interface index.
    pub ifindex: u32,
    /// A [`crate::Direction`] as the host sees it.
    pub direction: u32,
}

/// Counters of one direction of a pppN. Only fragments, TCP segments with SYN and GRE get there.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(serde::Serialize, serde::Deserialize))]
pub struct Inner {
    /// TCP segments with SYN that name a maximum segment size, IPv4 and IPv6.
    pub syn: u64,
    /// Of these, such whose segments cannot pass: MSS plus 40 (IPv6: 60) exceeds the MTU of the
    /// interface.
    pub violations: u64,
    /// Segments with SYN without the option: 536 bytes hold then (IPv6: 1220).
    pub without_mss: u64,
    /// Fragments of IPv4 and IPv6 packets.
    pub fragments: u64,
    /// Largest MSS seen, bytes.
    pub largest_mss: u32,
    /// MSS of the last violation, bytes; zero before one.
    pub violating_mss: u32,
    /// MTU of the interface at the last violation, bytes.
    pub violated_mtu: u32,
    /// Destination of the last GRE packet over IPv4, in the byte order of the packet.
    pub gre_destination: [u8; 4],
    /// GRE packets over IPv4: to the other end of the tunnel, they are the tunnel's own.
    pub gre: u64,
}

const _: () = assert!(size_of::<Inner>() == 56);

impl Inner {
    /// Bytes of the IP and TCP headers without options.
    const HEADERS: [u32; 2] = [40, 60];

    /// Books a SYN or SYN-ACK that names `mss`. An `mtu` of zero is not known.
    #[inline(always)]
    pub const fn record_mss(&mut self, mss: u16, is_ipv6: bool, mtu: u32) {
        let mss = mss as u32;
        self.syn += 1;
        if mss > self.largest_mss {
            self.largest_mss = mss;
        }
        let headers = if is_ipv6 { Self::HEADERS[1] } else { Self::HEADERS[0] };
        if mtu != 0 && mss + headers > mtu {
            self.violations += 1;
            self.violating_mss = mss;
            self.violated_mtu = mtu;
        }
    }
}

#[cfg(feature = "user")]
// SAFETY: repr(C), plain integers, every bit pattern valid, no padding (2 * 4 bytes).
unsafe impl aya::Pod for InnerKey {}
#[cfg(feature = "user")]
// SAFETY: as above; 4 * 8 + 4 * 4 + 8 = 56 bytes.
unsafe impl aya::Pod for Inner {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_that_fits_exactly_is_no_violation() {
        let mut inner = Inner::default();
        inner.record_mss(1356, false, 1396);
        inner.record_mss(1336, true, 1396);
        inner.record_mss(1460, false, 0);
        assert_eq!((inner.syn, inner.violations, inner.largest_mss), (3, 0, 1460));
        inner.record_mss(1357, false, 1396);
        inner.record_mss(1337, true, 1396);
        assert_eq!((inner.violations, inner.violating_mss, inner.violated_mtu), (2, 1337, 1396));
        inner.record_mss(u16::MAX, true, 1396);
        assert_eq!(inner.violations, 3);
    }
}
