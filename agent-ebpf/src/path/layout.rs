//! Reading the kernel's structures.

use aya_ebpf::Global;
use aya_ebpf::helpers::bpf_probe_read_kernel;
use aya_ebpf::macros::map;
use aya_ebpf::maps::Array;
use pptpscope_common::layout::{ABSENT, Field, Layout};

/// The one [`Layout`]. The agent writes it, and again when a module comes or goes.
#[map]
pub(crate) static LAYOUT: Array<Layout> = Array::with_max_entries(1, 0);

/// Inode number of the agent's network namespace; set at load.
#[unsafe(no_mangle)]
static NETNS: Global<u32> = Global::new(0);

/// The layout of the running kernel.
#[inline(always)]
pub(crate) fn layout() -> Option<&'static Layout> {
    LAYOUT.get(0)
}

/// The value of a field of the structure at `base`. None when the field is not known, or is nothing
/// that can be read.
#[inline(always)]
pub(crate) fn field<T>(layout: &Layout, base: u64, field: Field) -> Option<T> {
    let offset = layout.offsets[field.index()];
    // Kernel memory is the upper half of the addresses; a null pointer is common.
    if offset == ABSENT || base == 0 {
        return None;
    }
    at(base + u64::from(offset))
}

/// The value at an address of the kernel.
#[inline(always)]
pub(crate) fn at<T>(address: u64) -> Option<T> {
    // SAFETY: the helper reads any address and fails on what is not mapped; every T used here is
    // made of integers.
    unsafe { bpf_probe_read_kernel(address as *const T) }.ok()
}

/// Whether this `struct net` is the agent's.
#[inline(always)]
pub(crate) fn is_own(layout: &Layout, net: u64) -> bool {
    field::<u32>(layout, net, Field::NetInum) == Some(NETNS.load())
}
