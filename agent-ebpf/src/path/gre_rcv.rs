//! The kernel's GRE demultiplexer (net/ipv4/gre_demux.c).
//!
//! match-proto: static int gre_rcv(struct sk_buff *skb)
//!
//! By its module name: ip_gre has a function of the same name.

use aya_ebpf::macros::kprobe;
use aya_ebpf::programs::ProbeContext;
use pptpscope_common::drop::{OWN_NETNS, Reason};
use pptpscope_common::layout::{Field, Layout};

use super::layout::{at, field, layout};
use super::outer::Outer;
use super::{device, verdict};

/// Bytes that gre_rcv wants to see.
const SHORTEST: u32 = 12;
/// Versions for which the kernel has handlers (GREPROTO_MAX).
const VERSIONS: u8 = 2;

/// Says why gre_rcv would free the packet.
#[kprobe]
pub fn path_gre_rcv(context: ProbeContext) -> u32 {
    judge(&context);
    0
}

#[inline(always)]
fn judge(context: &ProbeContext) -> Option<()> {
    let skb: u64 = context.arg(0)?;
    let layout = layout()?;
    let verdict = verdict::about(skb)?;
    let device: u64 = field(layout, skb, Field::SkBuffDev)?;
    let Some(ifindex) = device::own_ifindex(layout, device) else {
        // A raw socket of another namespace may have taken it: its buffer is soon that of another packet.
        verdict.raw_head = 0;
        verdict.flags = 0;
        return None;
    };
    verdict.flags = OWN_NETNS;
    verdict.ifindex = ifindex;
    if let Some(outer) = Outer::of_skb(layout, skb) {
        outer.identify(verdict);
    }
    let is_cloned = verdict::is_cloned(verdict, field(layout, skb, Field::SkBuffHead)?);
    verdict.reason = reason(layout, skb, is_cloned)? as u8;
    Some(())
}

/// None when the packet cannot be read.
#[inline(always)]
fn reason(layout: &Layout, skb: u64, is_cloned: bool) -> Option<Reason> {
    if field::<u32>(layout, skb, Field::SkBuffLen)? < SHORTEST {
        return Some(Reason::GreShort);
    }
    let data: u64 = field(layout, skb, Field::SkBuffData)?;
    let [_, flags]: [u8; 2] = at(data)?;
    if flags & 0x7f >= VERSIONS {
        return Some(Reason::GreVersionUnknown);
    }
    Some(if is_cloned { Reason::RawSocketClone } else { Reason::GreNoHandler })
}
