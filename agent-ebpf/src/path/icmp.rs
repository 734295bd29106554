//! An ICMP error reaches raw sockets (net/ipv4/raw.c).
//!
//! match-proto: void raw_icmp_error(struct sk_buff *skb, int protocol, u32 info)

use aya_ebpf::macros::kprobe;
use aya_ebpf::programs::ProbeContext;
use pptpscope_common::drop::{OWN_NETNS, Reason, Verdict};
use pptpscope_common::layout::Field;

use super::layout::{field, layout};
use super::outer::{GRE, Outer};
use super::{device, verdict};

/// Counts errors that quote a GRE packet of this host. A daemon whose socket is connected gets the
/// error from its next read and takes it for the end of the tunnel.
#[kprobe]
pub fn path_icmp_error(context: ProbeContext) -> u32 {
    count(&context);
    0
}

#[inline(always)]
fn count(context: &ProbeContext) -> Option<()> {
    let skb: u64 = context.arg(0)?;
    let protocol: i32 = context.arg(1)?;
    if protocol != i32::from(GRE) {
        return None;
    }
    let layout = layout()?;
    let device: u64 = field(layout, skb, Field::SkBuffDev)?;
    let ifindex = device::own_ifindex(layout, device)?;
    let mut verdict = Verdict { ifindex, flags: OWN_NETNS, ..Verdict::default() };
    // The data begins with the quoted packet: this host is its source.
    Outer::at(field(layout, skb, Field::SkBuffData)?)?.identify(&mut verdict);
    verdict::note(&verdict, Reason::IcmpError);
    Some(())
}
