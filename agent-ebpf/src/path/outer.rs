//! The IPv4 packet in an skb.

use pptpscope_common::drop::{HAS_CALL, Verdict};
use pptpscope_common::layout::{Field, Layout};

use super::layout::{at, field};

/// Protocol numbers (IANA).
pub(crate) const TCP: u8 = 6;
pub(crate) const GRE: u8 = 47;

/// ETH_P_IP as it lies in memory.
const IPV4: u16 = 0x0800_u16.to_be();

/// What identifies an outer packet.
#[derive(Clone, Copy)]
pub(crate) struct Outer {
    /// IPv4 protocol.
    pub(crate) protocol: u8,
    /// IPv4 source.
    pub(crate) source: [u8; 4],
    /// IPv4 destination.
    pub(crate) destination: [u8; 4],
    /// Address of what the packet carries.
    pub(crate) payload: u64,
    /// Whether the transport header is in this packet and not in another fragment.
    pub(crate) is_first: bool,
}

impl Outer {
    /// The packet of an skb, by its network header. None when it is not IPv4.
    #[inline(always)]
    pub(crate) fn of_skb(layout: &Layout, skb: u64) -> Option<Self> {
        if field::<u16>(layout, skb, Field::SkBuffProtocol)? != IPV4 {
            return None;
        }
        let head: u64 = field(layout, skb, Field::SkBuffHead)?;
        let offset: u16 = field(layout, skb, Field::SkBuffNetworkHeader)?;
        Self::at(head + u64::from(offset))
    }

    /// The packet at an address.
    #[inline(always)]
    pub(crate) fn at(address: u64) -> Option<Self> {
        let header: [u8; 20] = at(address)?;
        if header[0] >> 4 != 4 {
            return None;
        }
        Some(Self {
            protocol: header[9],
            source: [header[12], header[13], header[14], header[15]],
            destination: [header[16], header[17], header[18], header[19]],
            payload: address + u64::from(header[0] & 0x0f) * 4,
            is_first: header[6] & 0x1f == 0 && header[7] == 0,
        })
    }

    /// The call id, when the packet is GRE as RFC 2637 has it: version 1 with a key.
    #[inline(always)]
    pub(crate) fn call_id(&self) -> Option<u16> {
        if !self.is_first {
            return None;
        }
        let gre: [u8; 8] = at(self.payload)?;
        (gre[0] & 0x20 != 0 && gre[1] & 0x07 == 1).then_some(u16::from_be_bytes([gre[6], gre[7]]))
    }

    /// Whether it is a segment of a control connection.
    #[inline(always)]
    pub(crate) fn is_control(&self) -> bool {
        const PPTP: [u8; 2] = 1723_u16.to_be_bytes();
        if self.protocol != TCP || !self.is_first {
            return false;
        }
        let Some([a, b, c, d]) = at::<[u8; 4]>(self.payload) else { return false };
        [a, b] == PPTP || [c, d] == PPTP
    }

    /// Notes whose packet it is.
    #[inline(always)]
    pub(crate) fn identify(&self, verdict: &mut Verdict) {
        verdict.source = self.source;
        verdict.destination = self.destination;
        if let Some(call_id) = self.call_id() {
            verdict.call_id = call_id;
            verdict.flags |= HAS_CALL;
        }
    }
}
