//! What the path tier has counted: drops, and what passes for the books.

use aya::Ebpf;
use aya::maps::{HashMap, MapData, MapError, PerCpuArray};
use pptpscope_common::drop::{DropCount, DropKey};
use pptpscope_common::passage::{CallPassage, PassageKey, UnitPassage};

use crate::kernel::error::{LoadError, ReadError};
use crate::kernel::load::{Kernel, take};

/// Map of the counts, and entries that it holds: one for each call, reason and place.
pub(in crate::kernel) const DROPS: &str = "DROPS";
pub(in crate::kernel) const MAX_DROPS: u32 = 8192;

/// Maps of what passes, for the books.
pub(in crate::kernel) const UNITS: &str = "UNITS";
pub(in crate::kernel) const CALLS: &str = "CALLS";

const UNBOOKED: &str = "UNBOOKED";
const ARMED_FIRED: &str = "ARMED_FIRED";

/// The maps of the path programs.
pub(super) struct Counts {
    drops: HashMap<MapData, DropKey, DropCount>,
    unbooked: PerCpuArray<MapData, u64>,
    units: HashMap<MapData, u32, UnitPassage>,
    calls: HashMap<MapData, PassageKey, CallPassage>,
    fired: PerCpuArray<MapData, u64>,
}

impl Counts {
    pub(super) fn of(ebpf: &mut Ebpf) -> Result<Self, LoadError> {
        Ok(Self {
            drops: take(ebpf, DROPS)?,
            unbooked: take(ebpf, UNBOOKED)?,
            units: take(ebpf, UNITS)?,
            calls: take(ebpf, CALLS)?,
            fired: take(ebpf, ARMED_FIRED)?,
        })
    }
}

impl Kernel {
    /// What was dropped since the start, and how often.
    ///
    /// # Errors
    /// The kernel refuses to read the map.
    pub fn drops(&self) -> Result<Vec<(DropKey, DropCount)>, ReadError> {
        self.path
            .counts
            .drops
            .iter()
            .take(MAX_DROPS as usize)
            .filter(|entry| !matches!(entry, Err(MapError::KeyNotFound)))
            .collect::<Result<_, _>>()
            .map_err(|source| ReadError { name: DROPS, source })
    }

    /// Forgets an entry that nothing is added to any more.
    pub fn remove_drop(&mut self, key: &DropKey) {
        // One that is gone already is as good.
        let _ = self.path.counts.drops.remove(key);
    }

    /// Entries that fit.
    pub fn max_drops(&self) -> u64 {
        MAX_DROPS.into()
    }

    /// Drops that were not counted because there was no room.
    ///
    /// # Errors
    /// The kernel refuses to read the map.
    pub fn drops_unbooked(&self) -> Result<u64, ReadError> {
        let per_cpu =
            self.path.counts.unbooked.get(&0, 0).map_err(|source| ReadError { name: UNBOOKED, source })?;
        Ok(per_cpu.iter().sum())
    }

    /// Times that the probes of [`Self::arm`] have fired.
    ///
    /// # Errors
    /// The kernel refuses to read the map.
    pub fn armed_fired(&self) -> Result<u64, ReadError> {
        let per_cpu =
            self.path.counts.fired.get(&0, 0).map_err(|source| ReadError { name: ARMED_FIRED, source })?;
        Ok(per_cpu.iter().sum())
    }

    /// What passed each unit, by its interface.
    ///
    /// # Errors
    /// The kernel refuses to read the map.
    pub fn units(&self) -> Result<Vec<(u32, UnitPassage)>, ReadError> {
        let all = self.path.counts.units.iter().take(self.max_flows() as usize);
        all.filter(|entry| !matches!(entry, Err(MapError::KeyNotFound)))
            .collect::<Result<_, _>>()
            .map_err(|source| ReadError { name: UNITS, source })
    }

    /// What passed a unit that is going; forgets it.
    pub fn take_unit(&mut self, ifindex: u32) -> Option<UnitPassage> {
        let passage = self.path.counts.units.get(&ifindex, 0).ok();
        // One that is gone already is as good.
        let _ = self.path.counts.units.remove(&ifindex);
        passage
    }

    /// What passed of each direction of the calls in the kernel.
    ///
    /// # Errors
    /// The kernel refuses to read the map.
    pub fn calls(&self) -> Result<Vec<(PassageKey, CallPassage)>, ReadError> {
        let all = self.path.counts.calls.iter().take(self.max_flows() as usize);
        all.filter(|entry| !matches!(entry, Err(MapError::KeyNotFound)))
            .collect::<Result<_, _>>()
            .map_err(|source| ReadError { name: CALLS, source })
    }

    /// Forgets what passed of a direction of a call.
    pub fn remove_call(&mut self, key: &PassageKey) {
        // As above.
        let _ = self.path.counts.calls.remove(key);
    }
}
