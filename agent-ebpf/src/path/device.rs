//! What a `struct net_device` tells.

use pptpscope_common::layout::{ABSENT, Field, Layout};

use super::layout::{field, is_own};

/// ARPHRD_PPP (include/uapi/linux/if_arp.h).
const PPP: u16 = 512;

/// Alignment of the private part of a device (NETDEV_ALIGN).
const ALIGN: u64 = 32;

/// Whether the device is a ppp unit.
#[inline(always)]
pub(crate) fn is_ppp(layout: &Layout, device: u64) -> bool {
    field::<u16>(layout, device, Field::NetDeviceType) == Some(PPP)
}

/// The device's index, if it is in the agent's network namespace.
#[inline(always)]
pub(crate) fn own_ifindex(layout: &Layout, device: u64) -> Option<u32> {
    let net: u64 = field(layout, device, Field::NetDeviceNet)?;
    if !is_own(layout, net) {
        return None;
    }
    field(layout, device, Field::NetDeviceIfindex)
}

/// The device of a `struct ppp`, which is the device's private part (netdev_priv). Kernels from
/// 7.x on have no pointer back.
#[inline(always)]
pub(crate) fn of_unit(layout: &Layout, unit: u64) -> Option<u64> {
    let size = layout.offsets[Field::NetDeviceSize.index()];
    if size == ABSENT || unit == 0 {
        return None;
    }
    let device = unit - ((u64::from(size) + ALIGN - 1) & !(ALIGN - 1));
    // Checked, because where the private part begins is a habit of the kernel and no promise.
    is_ppp(layout, device).then_some(device)
}
