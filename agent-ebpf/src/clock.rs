//! The time of a packet, cheaply.

use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::helpers::generated::bpf_jiffies64;
use aya_ebpf::macros::map;
use aya_ebpf::maps::PerCpuArray;

/// A reading of the clock, and the tick in which it was made.
#[repr(C)]
struct Reading {
    jiffies: u64,
    ns: u64,
}

/// One reading for each CPU, whose programs do not interrupt each other (see `maps::SCRATCH`).
#[map]
static READING: PerCpuArray<Reading> = PerCpuArray::with_max_entries(1, 0);

/// CLOCK_MONOTONIC, nanoseconds.
///
/// On the data path this would be the most expensive instruction of all: reading the processor's
/// counter takes as long as finding the flow (`cargo xtask bench kernel`).
#[inline(always)]
pub(crate) fn now() -> u64 {
    // SAFETY: a helper without preconditions.
    unsafe { bpf_ktime_get_ns() }
}

/// CLOCK_MONOTONIC as it was at some moment of the present tick on this CPU: at most 10 ms ago, 4 ms or
/// 1 ms on most kernels. For "last seen"; durations are measured with [`now`].
///
/// Not `bpf_ktime_get_coarse_ns`, which 5.10 lacks. The number of the tick is a plain load: the
/// kernel puts it in place of the call.
#[inline(always)]
pub(crate) fn recently() -> u64 {
    let Some(reading) = READING.get_ptr_mut(0) else { return now() };
    // SAFETY: a helper without preconditions; the map's own memory for this CPU.
    unsafe {
        let jiffies = bpf_jiffies64();
        if (*reading).jiffies != jiffies {
            (*reading).jiffies = jiffies;
            (*reading).ns = now();
        }
        (*reading).ns
    }
}
