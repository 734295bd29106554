//! The maps. The agent sets the sizes marked "at load" from its configuration.

use aya_ebpf::macros::map;
use aya_ebpf::maps::{HashMap, LruHashMap, PerCpuArray, RingBuf};
use pptpscope_common::{Account, Flow, FlowKey, FragmentKey, Kind, Record, Refusal};

/// One entry per direction of each call. Size at load: `max_sessions * 2`.
///
/// Not LRU: a flood of invented call ids may not evict live calls. When it is full, new flows are
/// refused and counted. The agent removes the entries of ended calls.
#[map]
pub(crate) static FLOWS: HashMap<FlowKey, Flow> = HashMap::with_max_entries(1024, 0);

/// The flow of a datagram whose later fragments are still to come. Size at load.
///
/// LRU: nobody tells when a datagram is complete, and an evicted entry costs the bytes of one
/// datagram, which `Refusal::FragmentUnmatched` shows.
#[map]
pub(crate) static FRAGMENTS: LruHashMap<FragmentKey, FlowKey> = LruHashMap::with_max_entries(1024, 0);

/// Records for the agent. Size at load, bytes.
#[map]
pub(crate) static RING: RingBuf = RingBuf::with_byte_size(1 << 20, 0);

/// The accounting of the ring, indexed by [`Kind`].
#[map]
pub(crate) static ACCOUNTS: PerCpuArray<Account> = PerCpuArray::with_max_entries(Kind::ALL.len() as u32, 0);

/// Packets of protocol 47 that belong to no call, indexed by [`Refusal`].
#[map]
pub(crate) static REFUSALS: PerCpuArray<u64> = PerCpuArray::with_max_entries(Refusal::ALL.len() as u32, 0);

/// Where a record is put together: it is larger than the 512 bytes of a program's stack.
///
/// One per CPU is enough: the hooks run with bottom halves disabled, so that no program of ours
/// interrupts another one on the same CPU.
#[map]
pub(crate) static SCRATCH: PerCpuArray<Record> = PerCpuArray::with_max_entries(1, 0);

/// Counts a packet of protocol 47 that belongs to no call.
#[inline(always)]
pub(crate) fn refuse(why: Refusal) {
    if let Some(count) = REFUSALS.get_ptr_mut(why as u32) {
        // SAFETY: the map's own memory for this CPU; see SCRATCH for why nobody else writes it.
        unsafe { *count += 1 };
    }
}
