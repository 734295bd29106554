//! The raw socket of a daemon takes a packet.
//!
//! match-proto: int raw_rcv(struct sock *sk, struct sk_buff *skb)

use aya_ebpf::macros::kprobe;
use aya_ebpf::programs::ProbeContext;
use pptpscope_common::layout::Field;

use super::layout::{field, layout};
use super::outer::{GRE, Outer};
use super::verdict;

/// Remembers the buffer of a GRE packet, which the clone for the socket shares with the original. The
/// kernel's own GRE handler comes next, finds no use for the original and frees it: that is no loss.
///
/// Attached only while a module handles GRE; without one there is no such false alarm.
#[kprobe]
pub fn path_raw_rcv(context: ProbeContext) -> u32 {
    remember(&context);
    0
}

#[inline(always)]
fn remember(context: &ProbeContext) -> Option<()> {
    let skb: u64 = context.arg(1)?;
    let layout = layout()?;
    let outer = Outer::of_skb(layout, skb)?;
    if outer.protocol != GRE {
        return None;
    }
    let head: u64 = field(layout, skb, Field::SkBuffHead)?;
    let verdict = verdict::current()?;
    verdict.raw_head = head;
    verdict.raw_source = outer.source;
    Some(())
}
