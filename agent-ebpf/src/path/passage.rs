//! The entries that count what passes, for the books.

use aya_ebpf::bindings::BPF_NOEXIST;
use aya_ebpf::macros::map;
use aya_ebpf::maps::HashMap;
use pptpscope_common::drop::{HAS_CALL, Verdict};
use pptpscope_common::passage::{CallPassage, PassageKey, UnitPassage};

/// What passed each unit, by its interface index. Size at load: `max_sessions`. The agent removes
/// the entries of units that are gone.
#[map]
static UNITS: HashMap<u32, UnitPassage> = HashMap::with_max_entries(1024, 0);

/// What passed of each direction of a call, where the kernel knows calls. Size at load:
/// `max_sessions`. The agent removes the entries of ended calls.
#[map]
static CALLS: HashMap<PassageKey, CallPassage> = HashMap::with_max_entries(1024, 0);

/// The counts of a unit. None when there is no unit, or no room.
#[inline(always)]
pub(crate) fn unit(ifindex: u32) -> Option<*mut UnitPassage> {
    if ifindex == 0 {
        return None;
    }
    match UNITS.get_ptr_mut(ifindex) {
        Some(passage) => Some(passage),
        None => open_unit(ifindex),
    }
}

/// Not inlined: a new unit is rare, and the empty value would take stack from every packet.
#[inline(never)]
fn open_unit(ifindex: u32) -> Option<*mut UnitPassage> {
    // When another CPU was faster, its entry is as good.
    let _ = UNITS.insert(ifindex, UnitPassage::default(), BPF_NOEXIST as u64);
    UNITS.get_ptr_mut(ifindex)
}

/// The counts of the call that the packet of a verdict belongs to.
#[inline(always)]
pub(crate) fn call(verdict: &Verdict) -> Option<*mut CallPassage> {
    if verdict.flags & HAS_CALL == 0 {
        return None;
    }
    let key = PassageKey {
        source: verdict.source,
        destination: verdict.destination,
        call_id: verdict.call_id,
        _pad: 0,
    };
    match CALLS.get_ptr_mut(key) {
        Some(passage) => Some(passage),
        None => open_call(&key),
    }
}

/// As [`open_unit`].
#[inline(never)]
fn open_call(key: &PassageKey) -> Option<*mut CallPassage> {
    let _ = CALLS.insert(key, CallPassage::default(), BPF_NOEXIST as u64);
    CALLS.get_ptr_mut(key)
}

/// Adds one to a count of a map's value.
macro_rules! pass {
    ($passage:expr, $count:ident) => {
        if let Some(passage) = $passage {
            // SAFETY: a live value of the map, and the counts are only ever added to atomically.
            unsafe { $crate::flow::add(core::ptr::addr_of_mut!((*passage).$count), 1) };
        }
    };
}
pub(crate) use pass;
