//! The inner tier: what the programs on each pppN count, and the MTUs that they count by.

use aya::Ebpf;
use aya::maps::{HashMap, MapData, MapError};
use pptpscope_common::{Direction, Inner, InnerKey};

use super::error::{LoadError, ReadError};
use super::load::{Kernel, take};

/// Maps of the programs: see agent-ebpf/src/maps.rs.
pub(super) const INNER: &str = "INNER";
pub(super) const MTUS: &str = "MTUS";

/// The two maps.
pub(super) struct InnerMaps {
    counters: HashMap<MapData, InnerKey, Inner>,
    mtus: HashMap<MapData, u32, u32>,
}

fn keys(index: u32) -> [(Direction, InnerKey); 2] {
    [Direction::Ingress, Direction::Egress]
        .map(|direction| (direction, InnerKey { ifindex: index, direction: direction as u32 }))
}

impl InnerMaps {
    pub(super) fn new(ebpf: &mut Ebpf) -> Result<Self, LoadError> {
        Ok(Self { counters: take(ebpf, INNER)?, mtus: take(ebpf, MTUS)? })
    }

    /// Makes room for the counters of an interface; those of an earlier one with its index are gone.
    pub(super) fn open(&mut self, index: u32, mtu: u32) -> Result<(), ReadError> {
        for (_, key) in keys(index) {
            self.counters
                .insert(key, Inner::default(), 0)
                .map_err(|source| ReadError { name: INNER, source })?;
        }
        self.set_mtu(index, mtu)
    }

    fn set_mtu(&mut self, index: u32, mtu: u32) -> Result<(), ReadError> {
        self.mtus.insert(index, mtu, 0).map_err(|source| ReadError { name: MTUS, source })
    }

    fn of(&self, index: u32) -> Result<Vec<(Direction, Inner)>, ReadError> {
        let mut all = Vec::with_capacity(2);
        for (direction, key) in keys(index) {
            match self.counters.get(&key, 0) {
                Ok(inner) => all.push((direction, inner)),
                Err(MapError::KeyNotFound) => {}
                Err(source) => return Err(ReadError { name: INNER, source }),
            }
        }
        Ok(all)
    }

    pub(super) fn forget(&mut self, index: u32) {
        // What is not there need not go.
        for (_, key) in keys(index) {
            let _ = self.counters.remove(&key);
        }
        let _ = self.mtus.remove(&index);
    }
}

impl Kernel {
    /// The counters of a pppN that is watched with [`Kernel::attach_inner`], or was until it vanished.
    ///
    /// # Errors
    /// The kernel refuses to read the map.
    pub fn inner(&self, index: u32) -> Result<Vec<(Direction, Inner)>, ReadError> {
        self.inner.of(index)
    }

    /// The MTU of a pppN changed.
    ///
    /// # Errors
    /// The kernel refuses to change the map.
    pub fn set_inner_mtu(&mut self, index: u32, mtu: u32) -> Result<(), ReadError> {
        self.inner.set_mtu(index, mtu)
    }

    /// Leaves a pppN alone and forgets its counters.
    pub fn detach_inner(&mut self, index: u32) {
        self.detach(index);
        self.inner.forget(index);
    }
}
