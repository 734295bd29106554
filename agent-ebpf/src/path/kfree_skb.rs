//! The kernel frees a packet as lost.
//!
//! match-proto: TP_PROTO(struct sk_buff *skb, void *location, enum skb_drop_reason reason, struct sock *rx_sk)
//!
//! Without `rx_sk` before 6.12 and without `reason` before 5.17.

use aya_ebpf::Global;
use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use pptpscope_common::drop::{Class, DropKey, EXACT, HAS_CALL, LOCAL, OWN_NETNS, ROUTED, Reason};
use pptpscope_common::layout::{Field, Layout, Text};

use super::layout::{field, is_own, layout};
use super::outer::{GRE, Outer};
use super::{device, verdict};

/// Arguments that the tracepoint has; set at load. A program that reads one more is refused, but
/// the verifier does not look at code that a constant makes unreachable.
#[unsafe(no_mangle)]
static KFREE_SKB_ARGUMENTS: Global<u32> = Global::new(2);

/// The kernel's reason for a frame that only a promiscuous interface hears; set at load, zero where it has none.
#[unsafe(no_mangle)]
static OTHER_HOST: Global<u32> = Global::new(0);

/// Counts the packet if it was a call's.
#[raw_tracepoint(tracepoint = "kfree_skb")]
pub fn path_kfree_skb(context: RawTracePointContext) -> i32 {
    let (skb, location): (u64, u64) = (context.arg(0), context.arg(1));
    let reason = if KFREE_SKB_ARGUMENTS.load() > 2 { context.arg::<u32>(2) } else { 0 };
    count(skb, location, reason);
    0
}

#[inline(always)]
fn count(skb: u64, location: u64, kernel_reason: u32) -> Option<()> {
    let layout = layout()?;
    let in_stack = is_in_stack(layout, location);
    let mut key = match if in_stack { judged(skb) } else { None } {
        Some(key) => key,
        None => match of_packet(layout, skb) {
            Some(key) => key,
            None if in_stack => of_function()?,
            None => return None,
        },
    };
    key.location = location;
    key.kernel_reason = kernel_reason;
    if in_stack {
        key.class = Class::Stack as u8;
    }
    if kernel_reason != 0 && kernel_reason == OTHER_HOST.load() {
        // What goes to another host is no call of this one, and a busy neighbour would fill the table.
        key.source = [0; 4];
        key.destination = [0; 4];
        key.call_id = 0;
        key.flags &= !HAS_CALL;
    }
    verdict::book(&key);
    Some(())
}

/// Whether the function is one of the modules that carry calls.
#[inline(always)]
fn is_in_stack(layout: &Layout, location: u64) -> bool {
    let within = |text: &Text| location >= text.start && location < text.end;
    within(&layout.span) && layout.texts.iter().any(within)
}

/// The key of a packet that a probe has just judged. None when none has, or when it judged the packet
/// to be another network namespace's: the address may since be that of a new packet, which then
/// tells itself whose it is.
#[inline(always)]
fn judged(skb: u64) -> Option<DropKey> {
    let verdict = verdict::current()?;
    if verdict.skb != skb {
        return None;
    }
    // Its address may be that of another packet at once.
    verdict.skb = 0;
    if !verdict::is_own(verdict) {
        return None;
    }
    let mut key = verdict::key(verdict, verdict.reason);
    key.flags |= EXACT;
    Some(key)
}

/// The key of a packet that was not judged, but freed in a function whose probe spoke last on this
/// CPU: of a queue that overflows the oldest goes, and decryption works on a copy.
#[inline(always)]
fn of_function() -> Option<DropKey> {
    let verdict = verdict::current()?;
    verdict::is_own(verdict).then(|| verdict::key(verdict, verdict.reason))
}

/// The key of a packet by what it is. None when it is nobody's call, or in another namespace.
#[inline(always)]
fn of_packet(layout: &Layout, skb: u64) -> Option<DropKey> {
    let mut key = DropKey::default();
    let device: u64 = field(layout, skb, Field::SkBuffDev).unwrap_or(0);
    let outer = Outer::of_skb(layout, skb);
    match outer {
        Some(outer) if outer.protocol == GRE => key.class = Class::Outer as u8,
        Some(outer) if outer.is_control() => key.class = Class::Control as u8,
        _ if device::is_ppp(layout, device) => key.class = Class::Inner as u8,
        _ => return None,
    }
    let socket: u64 = field(layout, skb, Field::SkBuffSk).unwrap_or(0);
    if device == 0 {
        if !is_own(layout, field(layout, socket, Field::SockNet)?) {
            return None;
        }
    } else {
        key.ifindex = device::own_ifindex(layout, device)?;
    }
    key.flags = OWN_NETNS;
    if socket != 0 {
        key.flags |= LOCAL;
    }
    if field::<u64>(layout, skb, Field::SkBuffRefdst).is_some_and(|route| route != 0) {
        key.flags |= ROUTED;
    }
    key.reason = Reason::Undecided as u8;
    if key.class != Class::Inner as u8
        && let Some(outer) = outer
    {
        key.source = outer.source;
        key.destination = outer.destination;
        if outer.protocol == GRE
            && let Some(call_id) = outer.call_id()
        {
            key.call_id = call_id;
            key.flags |= HAS_CALL;
        }
    }
    Some(key)
}
