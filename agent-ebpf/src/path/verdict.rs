//! What the probes hand on, and the entries that count.

use core::ptr::addr_of_mut;

use aya_ebpf::bindings::BPF_NOEXIST;
use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{HashMap, PerCpuArray};
use pptpscope_common::drop::{CLONED, Class, DropCount, DropKey, HAS_CALL, OWN_NETNS, Reason, Verdict};

use crate::flow::add;

/// The last verdict of each CPU.
///
/// The functions that matter run with bottom halves disabled, one after the other for one packet. A
/// verdict that a softirq has overwritten in between costs a reason, never a count.
#[map]
static VERDICTS: PerCpuArray<Verdict> = PerCpuArray::with_max_entries(1, 0);

/// How often what was dropped, why and where. Size at load. When it is full, UNBOOKED counts; the
/// agent removes entries that have been idle.
#[map]
pub(crate) static DROPS: HashMap<DropKey, DropCount> = HashMap::with_max_entries(1024, 0);

/// Drops that found [`DROPS`] full.
#[map]
static UNBOOKED: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

/// This CPU's verdict.
#[inline(always)]
pub(crate) fn current() -> Option<&'static mut Verdict> {
    // SAFETY: the map's own memory for this CPU; see VERDICTS for who else may write it.
    VERDICTS.get_ptr_mut(0).map(|verdict| unsafe { &mut *verdict })
}

/// This CPU's verdict, about this packet and still open.
#[inline(always)]
pub(crate) fn about(skb: u64) -> Option<&'static mut Verdict> {
    let verdict = current()?;
    if verdict.skb != skb {
        verdict.skb = skb;
        verdict.source = [0; 4];
        verdict.destination = [0; 4];
        verdict.ifindex = 0;
        verdict.call_id = 0;
        verdict.flags = 0;
    }
    verdict.reason = Reason::Undecided as u8;
    Some(verdict)
}

/// Whether a raw socket has just taken a clone of the packet with this buffer. Asked once: the next
/// packet may lie in the same buffer.
#[inline(always)]
pub(crate) fn is_cloned(verdict: &mut Verdict, head: u64) -> bool {
    if verdict.raw_head == head && verdict.raw_source == verdict.source {
        verdict.flags |= CLONED;
    }
    verdict.raw_head = 0;
    verdict.flags & CLONED != 0
}

/// Whether the packet is known to belong to the agent's network namespace.
#[inline(always)]
pub(crate) fn is_own(verdict: &Verdict) -> bool {
    verdict.flags & OWN_NETNS != 0
}

/// The key of something that happened to the packet of a verdict.
#[inline(always)]
pub(crate) fn key(verdict: &Verdict, reason: u8) -> DropKey {
    DropKey {
        location: 0,
        kernel_reason: 0,
        ifindex: verdict.ifindex,
        source: verdict.source,
        destination: verdict.destination,
        call_id: verdict.call_id,
        class: Class::Stack as u8,
        reason,
        flags: verdict.flags & (OWN_NETNS | HAS_CALL),
        _pad: [0; 3],
    }
}

/// Counts what happened to the packet of a verdict without its being freed.
#[inline(always)]
pub(crate) fn note(verdict: &Verdict, reason: Reason) {
    book(&key(verdict, reason as u8));
}

/// Counts.
///
/// Not inlined: a program that counts in several places needs it once.
#[inline(never)]
pub(crate) fn book(key: &DropKey) {
    // SAFETY: a helper without preconditions.
    let now = unsafe { bpf_ktime_get_ns() };
    let entry = match DROPS.get_ptr_mut(key) {
        Some(entry) => Some(entry),
        None => {
            let fresh = DropCount::default();
            // When another CPU was faster, its entry is as good.
            let _ = DROPS.insert(key, fresh, BPF_NOEXIST as u64);
            DROPS.get_ptr_mut(key)
        }
    };
    match entry {
        // SAFETY: a live value of the map; the count is added atomically, and of two times that are
        // written at once either is the last one.
        Some(entry) => unsafe {
            add(addr_of_mut!((*entry).count), 1);
            (*entry).last_ns = now;
        },
        None => {
            if let Some(count) = UNBOOKED.get_ptr_mut(0) {
                // SAFETY: as above: memory of this CPU, added to atomically because a probe may
                // interrupt another one.
                unsafe { add(count, 1) };
            }
        }
    }
}
