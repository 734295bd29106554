//! The PPTP socket sends a frame (drivers/net/ppp/pptp.c).
//!
//! match-proto: static int pptp_xmit(struct ppp_channel *chan, struct sk_buff *skb)

use aya_ebpf::macros::kprobe;
use aya_ebpf::programs::ProbeContext;
use pptpscope_common::drop::{OWN_NETNS, Reason};
use pptpscope_common::layout::Field;
use pptpscope_common::passage::is_control;

use super::layout::{at, field, is_own, layout};
use super::passage::{pass, unit as passage_of};
use super::{device, verdict};

/// pptp_xmit frees what it cannot send, counts nothing and reports success. It is the only reason
/// for a packet to be freed there.
#[kprobe]
pub fn path_pptp_xmit(context: ProbeContext) -> u32 {
    judge(&context);
    0
}

#[inline(always)]
fn judge(context: &ProbeContext) -> Option<()> {
    let channel: u64 = context.arg(0)?;
    let skb: u64 = context.arg(1)?;
    let layout = layout()?;
    let verdict = verdict::about(skb)?;
    // A ppp_channel's `ppp` is its struct channel.
    let channel: u64 = field(layout, channel, Field::PppChannelChannel)?;
    if !is_own(layout, field(layout, channel, Field::ChannelNet)?) {
        verdict.flags = 0;
        return None;
    }
    verdict.flags = OWN_NETNS;
    verdict.reason = Reason::PptpNotSent as u8;
    let unit: u64 = field(layout, channel, Field::ChannelUnit)?;
    verdict.ifindex = device::own_ifindex(layout, device::of_unit(layout, unit)?)?;
    // The frame begins with its protocol.
    let protocol: u8 = at(field(layout, skb, Field::SkBuffData)?)?;
    if !is_control(protocol) {
        pass!(passage_of(verdict.ifindex), channel_out);
    }
    Some(())
}
