//! The maps. The agent sets the sizes marked "at load" from its configuration.

use aya_ebpf::macros::map;
use aya_ebpf::maps::{HashMap, LruHashMap, PerCpuArray, RingBuf};
use pptpscope_common::{
    Account, Flow, FlowKey, FragmentKey, Inner, InnerKey, Kind, Limiter, Record, Refusal, Source, SourceKey,
};

/// One entry per direction of each call. Size at load: `max_sessions * 2`.
///
/// Not LRU: a flood of invented call ids may not evict live calls. When it is full, new flows are
/// refused and counted. The agent removes the entries of ended calls.
#[map]
pub(crate) static FLOWS: HashMap<FlowKey, Flow> = HashMap::with_max_entries(1024, 0);

/// The call id of the other direction, for the flows of calls that were agreed on, with
/// [`pptpscope_common::PEER_KNOWN`]. `direction` of the key is zero. Size at load: as FLOWS.
///
/// LRU: nothing but invented call replies can fill it, and without an entry only round trips are
/// missing. It is read when a flow opens, not with every packet.
#[map]
pub(crate) static PEERS: LruHashMap<FlowKey, u32> = LruHashMap::with_max_entries(1024, 0);

/// Where a new flow is put together: it is larger than what is left of the stack.
#[map]
pub(crate) static NEW_FLOW: PerCpuArray<Flow> = PerCpuArray::with_max_entries(1, 0);

/// Remote addresses that speak to port 1723 or send ICMP errors, and their limits.
///
/// LRU, but a flood of invented addresses cannot push the others out: NEWCOMERS lets in few.
#[map]
pub(crate) static SOURCES: LruHashMap<SourceKey, Source> = LruHashMap::with_max_entries(16384, 0);

/// The limit of addresses that are not in SOURCES.
#[map]
pub(crate) static NEWCOMERS: PerCpuArray<Limiter> = PerCpuArray::with_max_entries(1, 0);

/// What is counted on each pppN. Size at load: `max_sessions * 2`. The agent adds and removes the
/// entries with the interfaces.
#[map]
pub(crate) static INNER: HashMap<InnerKey, Inner> = HashMap::with_max_entries(1024, 0);

/// MTU of each pppN, by interface index; kept by the agent. Size at load: `max_sessions`.
#[map]
pub(crate) static MTUS: HashMap<u32, u32> = HashMap::with_max_entries(512, 0);

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
