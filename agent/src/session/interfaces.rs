//! The pppN of this host.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use crate::observation::PppInterface;

/// Both addresses of a tunnel, in either order: which end is ours, the two sources may see differently.
pub(super) type Pair = (Ipv4Addr, Ipv4Addr);

/// The two addresses as a key.
pub(super) fn pair(one: Ipv4Addr, other: Ipv4Addr) -> Pair {
    (one.min(other), one.max(other))
}

/// Every pppN that is there, by index and by addresses.
#[derive(Debug, Default)]
pub(super) struct Interfaces {
    by_index: BTreeMap<u32, PppInterface>,
    by_addresses: BTreeSet<(Pair, u32)>,
}

/// Addresses of an interface, once IPCP has set both.
pub(super) fn addresses(interface: &PppInterface) -> Option<Pair> {
    Some(pair(interface.local?, interface.peer?))
}

impl Interfaces {
    /// An interface appeared or changed.
    pub(super) fn set(&mut self, interface: &PppInterface) {
        self.remove(interface.index);
        if let Some(pair) = addresses(interface) {
            self.by_addresses.insert((pair, interface.index));
        }
        self.by_index.insert(interface.index, interface.clone());
    }

    /// An interface is gone.
    pub(super) fn remove(&mut self, index: u32) {
        if let Some(pair) = self.by_index.remove(&index).as_ref().and_then(addresses) {
            self.by_addresses.remove(&(pair, index));
        }
    }

    pub(super) fn get(&self, index: u32) -> Option<&PppInterface> {
        self.by_index.get(&index)
    }

    pub(super) fn name(&self, index: u32) -> Option<&str> {
        self.get(index).map(|interface| interface.name.as_str())
    }

    /// Index of the interface with these addresses. The youngest, should there be two: indexes rise.
    pub(super) fn with_addresses(&self, pair: Pair) -> Option<u32> {
        let (_, index) = self.by_addresses.range((pair, 0)..=(pair, u32::MAX)).next_back()?;
        Some(*index)
    }
}
