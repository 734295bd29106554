//! A channel hands a frame, or word of a damaged one, to PPP (drivers/net/ppp/ppp_generic.c).
//!
//! match-proto: void ppp_input(struct ppp_channel *chan, struct sk_buff *skb)
//! match-proto: void ppp_input_error(struct ppp_channel *chan, int code)
//!
//! From 7.x on ppp_input_error has no code; it is not read.

use aya_ebpf::macros::kprobe;
use aya_ebpf::programs::ProbeContext;
use pptpscope_common::drop::{OWN_NETNS, Reason, Verdict};
use pptpscope_common::layout::{Field, Layout};
use pptpscope_common::passage::is_control;

use super::layout::{at, field, is_own, layout};
use super::passage::{pass, unit as passage_of};
use super::{device, verdict};

/// Frames that wait for pppd at most (PPP_MAX_RQLEN).
pub(crate) const QUEUE: u32 = 32;

/// `file.kind` of a channel (enum in ppp_generic.c): says that the offsets are right.
const CHANNEL: u32 = 2;

/// Protocols from here on go to the channel's queue: LCP, authentication.
const LINK_PROTOCOLS: u8 = 0xc0;

/// Says why ppp_input would free the frame, or an older one for it.
#[kprobe]
pub fn path_ppp_input(context: ProbeContext) -> u32 {
    judge(&context);
    0
}

#[inline(always)]
fn judge(context: &ProbeContext) -> Option<()> {
    let channel: u64 = context.arg(0)?;
    let skb: u64 = context.arg(1)?;
    let layout = layout()?;
    let verdict = verdict::about(skb)?;
    let channel: u64 = field(layout, channel, Field::PppChannelChannel)?;
    if channel == 0 {
        // Whose it was nobody knows any more, unless pptp_rcv_core was asked.
        verdict.reason = Reason::PppNoUnit as u8;
        return Some(());
    }
    let unit = identify(layout, channel, verdict)?;
    if field::<u32>(layout, skb, Field::SkBuffLen)? == 0 {
        verdict.reason = Reason::PppBadProtocol as u8;
        return Some(());
    }
    let data: u64 = field(layout, skb, Field::SkBuffData)?;
    let protocol: u8 = at(data)?;
    if !is_control(protocol) {
        pass!(passage_of(verdict.ifindex), channel_in);
    }
    // A compressed protocol field is one odd byte, of a network protocol.
    let waits = unit == 0 || (protocol & 1 == 0 && protocol >= LINK_PROTOCOLS);
    if waits && field::<u32>(layout, channel, Field::ChannelQueue)? >= QUEUE {
        verdict.reason = Reason::PppChannelQueueFull as u8;
    }
    Some(())
}

/// Counts: frames were damaged before the next good one.
#[kprobe]
pub fn path_ppp_error(context: ProbeContext) -> u32 {
    count(&context);
    0
}

#[inline(always)]
fn count(context: &ProbeContext) -> Option<()> {
    let channel: u64 = context.arg(0)?;
    let layout = layout()?;
    let channel: u64 = field(layout, channel, Field::PppChannelChannel)?;
    let mut verdict = Verdict::default();
    identify(layout, channel, &mut verdict)?;
    verdict::note(&verdict, Reason::PppLinkError);
    Some(())
}

/// Notes the channel's unit, and returns it: zero while there is none. None when the channel is of
/// another network namespace, or no channel.
#[inline(always)]
fn identify(layout: &Layout, channel: u64, verdict: &mut Verdict) -> Option<u64> {
    if field::<u32>(layout, channel, Field::ChannelKind)? != CHANNEL
        || !is_own(layout, field(layout, channel, Field::ChannelNet)?)
    {
        verdict.flags = 0;
        return None;
    }
    verdict.flags |= OWN_NETNS;
    let unit: u64 = field(layout, channel, Field::ChannelUnit)?;
    if unit != 0 {
        verdict.ifindex = device::own_ifindex(layout, device::of_unit(layout, unit)?)?;
    }
    Some(unit)
}
