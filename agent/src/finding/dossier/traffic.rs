//! What the GRE packets of a call add up to, and what became of them, as rules read it.

use std::collections::BTreeMap;

use pptpscope_common::drop::Reason;

use super::Tally;
use crate::event::drop::{Drop, DropHook, DropStage};
use crate::event::gre::{Counters, GreStats};
use crate::event::{Party, PerParty};
use crate::time::Timestamp;

/// Drops of one reason.
#[derive(Clone, Debug, Default)]
pub(in crate::finding) struct Dropped {
    pub(in crate::finding) packets: u64,
    pub(in crate::finding) reports: Tally,
    pub(in crate::finding) hook: Option<DropHook>,
    pub(in crate::finding) stage: Option<DropStage>,
    pub(in crate::finding) location: Option<String>,
    pub(in crate::finding) kernel_reason: Option<String>,
    /// Sent by the server's end, where the addresses tell.
    pub(in crate::finding) from: Option<std::net::Ipv4Addr>,
}

/// Losses of one direction, of what was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::finding) struct Loss {
    pub(in crate::finding) packets: u64,
    pub(in crate::finding) of: u64,
}

impl Loss {
    /// In thousandths.
    pub(in crate::finding) fn per_mille(self) -> u64 {
        (self.packets * 1000).checked_div(self.of).unwrap_or(0)
    }
}

/// What the rules want to know of a direction's [`Counters`]: held for every call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::finding) struct Sums {
    pub(in crate::finding) packets: u64,
    pub(in crate::finding) received: u64,
    pub(in crate::finding) lost: u64,
    pub(in crate::finding) reordered: u64,
    pub(in crate::finding) duplicate: u64,
    pub(in crate::finding) fragments: u64,
}

impl From<&Counters> for Sums {
    fn from(counters: &Counters) -> Self {
        Self {
            packets: counters.packets,
            received: counters.received,
            lost: counters.lost,
            reordered: counters.reordered,
            duplicate: counters.duplicate,
            fragments: counters.fragments,
        }
    }
}

/// Counters and drops of a call.
#[derive(Clone, Debug, Default)]
pub(in crate::finding) struct Traffic {
    /// Since the start of the call; None before they were read.
    pub(in crate::finding) sums: Option<Box<PerParty<Sums>>>,
    pub(in crate::finding) counted_at: Timestamp,
    pub(in crate::finding) drops: BTreeMap<Reason, Dropped>,
}

impl Traffic {
    pub(super) fn counters(&mut self, at: Timestamp, stats: &GreStats) -> bool {
        let sums = PerParty { client: (&stats.from_client).into(), server: (&stats.from_server).into() };
        let changed = self.sums.as_deref() != Some(&sums);
        self.sums = Some(Box::new(sums));
        self.counted_at = at;
        changed
    }

    pub(super) fn dropped(&mut self, at: Timestamp, drop: &Drop) {
        let dropped = self.drops.entry(drop.reason.0).or_default();
        dropped.packets = dropped.packets.saturating_add(drop.count);
        dropped.reports.add(at);
        dropped.hook = drop.hook.or(dropped.hook);
        dropped.stage = Some(drop.stage);
        dropped.from = drop.source.or(dropped.from);
        if drop.location.is_some() {
            dropped.location.clone_from(&drop.location);
        }
        if drop.kernel_reason.is_some() {
            dropped.kernel_reason.clone_from(&drop.kernel_reason);
        }
    }

    /// Sums of what `sender` sent.
    pub(in crate::finding) fn of(&self, sender: Party) -> Sums {
        self.sums.as_ref().map(|sums| *sums.of(sender)).unwrap_or_default()
    }

    /// Losses among what `sender` sent.
    pub(in crate::finding) fn loss(&self, sender: Party) -> Loss {
        let sums = self.of(sender);
        Loss { packets: sums.lost, of: sums.received + sums.lost }
    }

    /// Packets that were dropped for a reason.
    pub(in crate::finding) fn drops_of(&self, reason: Reason) -> Option<&Dropped> {
        self.drops.get(&reason)
    }
}
