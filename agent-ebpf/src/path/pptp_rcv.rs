//! The receive function of the PPTP module (drivers/net/ppp/pptp.c).
//!
//! match-proto: static int pptp_rcv(struct sk_buff *skb)

use aya_ebpf::macros::kprobe;
use aya_ebpf::programs::ProbeContext;
use pptpscope_common::drop::{OWN_NETNS, Reason};
use pptpscope_common::layout::{Field, Layout};

use super::layout::{at, field, layout};
use super::outer::Outer;
use super::{device, verdict};

/// Says why pptp_rcv would free the packet: its header, or the lack of a call.
#[kprobe]
pub fn path_pptp_rcv(context: ProbeContext) -> u32 {
    judge(&context);
    0
}

#[inline(always)]
fn judge(context: &ProbeContext) -> Option<()> {
    let skb: u64 = context.arg(0)?;
    let layout = layout()?;
    let verdict = verdict::about(skb)?;
    // The probe at gre_rcv has identified the packet, unless it could not be attached.
    if !verdict::is_own(verdict) {
        let device: u64 = field(layout, skb, Field::SkBuffDev)?;
        let Some(ifindex) = device::own_ifindex(layout, device) else {
            verdict.raw_head = 0;
            return None;
        };
        verdict.ifindex = ifindex;
        verdict.flags = OWN_NETNS;
        Outer::of_skb(layout, skb)?.identify(verdict);
    }
    let is_cloned = verdict::is_cloned(verdict, field(layout, skb, Field::SkBuffHead)?);
    verdict.reason = reason(layout, skb, is_cloned)? as u8;
    Some(())
}

/// None when the packet cannot be read.
#[inline(always)]
fn reason(layout: &Layout, skb: u64, is_cloned: bool) -> Option<Reason> {
    let data: u64 = field(layout, skb, Field::SkBuffData)?;
    let header: [u8; 4] = at(data)?;
    // The conditions of pptp_rcv: checksum and routing clear, key set, flags clear, PPP inside.
    let well_formed = header[0] & 0xe0 == 0x20 && header[1] & 0x78 == 0 && header[2..] == [0x88, 0x0b];
    Some(if !well_formed {
        Reason::PptpBadHeader
    } else if is_cloned {
        Reason::RawSocketClone
    } else {
        Reason::PptpUnknownCall
    })
}
