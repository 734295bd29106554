//! Remote addresses that send more to port 1723, or more ICMP errors, than may go into the ring.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use aya::Ebpf;
use aya::maps::{HashMap, MapData, MapError};
use pptpscope_common::{Kind, Source, SourceKey};

use super::error::{LoadError, ReadError};
use super::load::take;

const SOURCES: &str = "SOURCES";

/// Entries of the map.
const MAX_SOURCES: usize = 16384;

/// An address that was limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitedSource {
    /// It.
    pub address: Ipv4Addr,
    /// What it sent too much of.
    pub kind: Kind,
    /// Packets without a record since the last look.
    pub limited: u64,
}

/// The map, and what of it is known.
pub(super) struct Sources {
    map: HashMap<MapData, SourceKey, Source>,
    known: BTreeMap<SourceKey, u64>,
}

impl Sources {
    pub(super) fn new(ebpf: &mut Ebpf) -> Result<Self, LoadError> {
        Ok(Self { map: take(ebpf, SOURCES)?, known: BTreeMap::new() })
    }

    /// Who was limited since the last time. Reads the whole map: to be asked when the accounting of
    /// the ring says that somebody was.
    pub(super) fn limited(&mut self) -> Result<Vec<LimitedSource>, ReadError> {
        let mut now = BTreeMap::new();
        let mut all = Vec::new();
        // Entries come and go meanwhile; no walk is longer than the map is large.
        for entry in self.map.iter().take(MAX_SOURCES) {
            let (key, source) = match entry {
                Ok(entry) => entry,
                Err(MapError::KeyNotFound) => continue,
                Err(source) => return Err(ReadError { name: SOURCES, source }),
            };
            if source.limited == 0 {
                continue;
            }
            // An entry that was evicted and came again counts from zero.
            let before = self.known.get(&key).copied().filter(|before| *before <= source.limited);
            let limited = source.limited - before.unwrap_or(0);
            now.insert(key, source.limited);
            if let (true, Some(kind)) = (limited > 0, Kind::from_byte(key.kind as u8)) {
                all.push(LimitedSource { address: key.address.into(), kind, limited });
            }
        }
        self.known = now;
        all.sort_by_key(|source| source.address);
        Ok(all)
    }
}
