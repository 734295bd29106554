//! What the GRE packets of a call add up to, and what became of them, as rules read it.

use std::collections::BTreeMap;

use pptpscope_common::drop::Reason;

use super::Tally;
use crate::event::Party;
use crate::event::drop::{Drop, DropHook, DropStage};
use crate::event::gre::{Counters, GreStats};
use crate::packed::{Packed, Words};
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

impl Sums {
    /// The words of a direction, in the order of the fields.
    const fn words(counters: &Counters) -> [u64; 6] {
        [
            counters.packets,
            counters.received,
            counters.lost,
            counters.reordered,
            counters.duplicate,
            counters.fragments,
        ]
    }

    fn take(words: &mut Words<'_>) -> Self {
        let [packets, received, lost, reordered, duplicate, fragments] = words.take_all();
        Self { packets, received, lost, reordered, duplicate, fragments }
    }
}

/// Counters and drops of a call.
#[derive(Clone, Debug, Default)]
pub(in crate::finding) struct Traffic {
    /// Since the start of the call; None before they were read.
    sums: Option<Packed>,
    pub(in crate::finding) counted_at: Timestamp,
    pub(in crate::finding) drops: BTreeMap<Reason, Dropped>,
}

impl Traffic {
    pub(super) fn counters(&mut self, at: Timestamp, stats: &GreStats) -> bool {
        let sides = [&stats.from_client, &stats.from_server];
        let sums = Some(Packed::of(sides.map(Sums::words).as_flattened()));
        let changed = self.sums != sums;
        self.sums = sums;
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
        let Some(sums) = &self.sums else { return Sums::default() };
        let mut words = sums.words();
        let client = Sums::take(&mut words);
        if sender == Party::Client { client } else { Sums::take(&mut words) }
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
