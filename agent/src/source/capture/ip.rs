//! IPv4 headers of captured packets, judged as the kernel programs judge them (`agent-ebpf`, `ip.rs`).

use pptpscope_common::FragmentKey;

/// Protocol numbers (IANA).
pub(super) const ICMP: u8 = 1;
pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
pub(super) const GRE: u8 = 47;

const HEADER: usize = 20;
const MORE_FRAGMENTS: u16 = 0x2000;
const FRAGMENT_OFFSET: u16 = 0x1fff;

/// An IPv4 datagram, or one fragment of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Datagram<'a> {
    /// Captured bytes from the IPv4 header on, at most `total`.
    pub(super) bytes: &'a [u8],
    /// Length of the header with its options, bytes.
    pub(super) header: usize,
    /// The total length field, bytes: at least `header`.
    pub(super) total: usize,
    /// The frame was shorter on the wire than its total length says.
    pub(super) is_short: bool,
    pub(super) protocol: u8,
    pub(super) source: [u8; 4],
    pub(super) destination: [u8; 4],
    pub(super) identification: u16,
    fragment: u16,
}

impl<'a> Datagram<'a> {
    /// The datagram at the beginning of `bytes`, of which the wire had `wire_bytes`; None unless it is
    /// TCP, UDP, GRE or ICMP with a sound header.
    #[inline]
    pub(super) fn read(bytes: &'a [u8], wire_bytes: usize) -> Option<Self> {
        let head = bytes.first_chunk::<HEADER>()?;
        let protocol = head[9];
        if ![TCP, UDP, GRE, ICMP].contains(&protocol) {
            return None;
        }
        let header = usize::from(head[0] & 0x0f) * 4;
        let total = usize::from(u16::from_be_bytes([head[2], head[3]]));
        if head[0] >> 4 != 4 || header < HEADER || total < header {
            return None;
        }
        Some(Self {
            bytes: bytes.get(..total).unwrap_or(bytes),
            header,
            total,
            is_short: wire_bytes < total,
            protocol,
            source: [head[12], head[13], head[14], head[15]],
            destination: [head[16], head[17], head[18], head[19]],
            identification: u16::from_be_bytes([head[4], head[5]]),
            fragment: u16::from_be_bytes([head[6], head[7]]),
        })
    }

    /// `N` bytes at `at` of what it carries; None where the capture ends before.
    #[inline]
    pub(super) fn at<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.bytes.get(self.header + at..)?.first_chunk().copied()
    }

    /// Bytes of what it carries.
    #[inline]
    pub(super) const fn payload(&self) -> usize {
        self.total - self.header
    }

    #[inline]
    pub(super) const fn is_fragment(&self) -> bool {
        self.fragment & (MORE_FRAGMENTS | FRAGMENT_OFFSET) != 0
    }

    #[inline]
    pub(super) const fn is_later_fragment(&self) -> bool {
        self.fragment & FRAGMENT_OFFSET != 0
    }

    pub(super) const fn has_more_fragments(&self) -> bool {
        self.fragment & MORE_FRAGMENTS != 0
    }

    /// Where a fragment's payload belongs, bytes.
    pub(super) const fn fragment_at(&self) -> usize {
        (self.fragment & FRAGMENT_OFFSET) as usize * 8
    }

    /// What all fragments of the datagram have in common.
    pub(super) const fn fragment_key(&self) -> FragmentKey {
        FragmentKey {
            source: self.source,
            destination: self.destination,
            identification: self.identification,
            _pad: 0,
        }
    }
}
