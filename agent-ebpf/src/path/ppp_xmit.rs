//! A packet enters a unit to be sent (drivers/net/ppp/ppp_generic.c).
//!
//! match-proto: static netdev_tx_t ppp_start_xmit(struct sk_buff *skb, struct net_device *dev)

use aya_ebpf::macros::kprobe;
use aya_ebpf::programs::ProbeContext;
use pptpscope_common::drop::{OWN_NETNS, Reason};

use super::layout::layout;
use super::passage::{pass, unit};
use super::{device, verdict};

/// Says whose the packet is. Every reason for it to be freed before the channel has it is that the
/// unit cannot send; without this probe a verdict on an earlier packet at the same address would be
/// taken for one on this.
#[kprobe]
pub fn path_ppp_xmit(context: ProbeContext) -> u32 {
    judge(&context);
    0
}

#[inline(always)]
fn judge(context: &ProbeContext) -> Option<()> {
    let skb: u64 = context.arg(0)?;
    let device: u64 = context.arg(1)?;
    let layout = layout()?;
    let verdict = verdict::about(skb)?;
    verdict.flags = 0;
    verdict.ifindex = device::own_ifindex(layout, device)?;
    verdict.source = [0; 4];
    verdict.destination = [0; 4];
    verdict.flags = OWN_NETNS;
    verdict.reason = Reason::PppNotSent as u8;
    pass!(unit(verdict.ifindex), unit_out);
    Some(())
}
