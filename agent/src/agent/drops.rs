//! `drop`: what the path tier has counted since the last look, put into words.

mod conntrack;
mod rules;
mod sockets;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::Ipv4Addr;

use pptpscope_common::drop::{Class, DropCount, DropKey, HAS_CALL, LOCAL, OWN_NETNS, ROUTED, Reason};

use tokio::task::{JoinHandle, spawn_blocking};
use tracing::debug;

use conntrack::Conntrack;
use rules::{Dropped, Rules};
use sockets::Sockets;

use super::{Agent, Error};
use crate::event::drop::{Drop, DropHook, DropReason, DropRule, DropStage};
use crate::kernel::{Device, Symbol, classify, gre_sockets, lookup_symbols};
use crate::observation::{Clock, FlowKey, Observation, Origin, What};
use crate::source::kernel::KernelClock;
use crate::time::Timestamp;

/// An entry that was not added to for this long may give its place to another.
const IDLE_NS: u64 = 60_000_000_000;

/// What tells two kinds of drops apart in the output.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    reason: DropReason,
    stage: DropStage,
    location: Option<String>,
    kernel_reason: Option<String>,
    hook: Option<DropHook>,
    rule: Option<DropRule>,
    source: Option<Ipv4Addr>,
    destination: Option<Ipv4Addr>,
    call_id: Option<u16>,
    ifindex: Option<u32>,
}

impl Kind {
    /// One of which nothing else is known.
    const fn of(reason: Reason, stage: DropStage) -> Self {
        Self {
            reason: DropReason(reason),
            stage,
            location: None,
            kernel_reason: None,
            hook: None,
            rule: None,
            source: None,
            destination: None,
            call_id: None,
            ifindex: None,
        }
    }
}

/// How often a kind came, and how much of that was reported.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    total: u64,
    reported: u64,
    last_ns: u64,
}

/// What was counted and reported so far.
#[derive(Debug, Default)]
pub(super) struct Drops {
    /// Counts of the kernel's map, as they were at the last look.
    seen: BTreeMap<DropKey, u64>,
    tallies: BTreeMap<Kind, Tally>,
    /// Functions at addresses. None: nothing was found there.
    symbols: BTreeMap<u64, Option<Symbol>>,
    /// The search for more of them.
    search: Option<Search>,
    /// What it looks for.
    pending: Vec<u64>,
    sockets: Sockets,
    rules: Rules,
    conntrack: Conntrack,
    /// Whether the last look took all that the map had: it knew every place, and the firewall's rules.
    is_complete: bool,
    /// Sums of all kinds, for the status.
    harmful: u64,
    benign: u64,
}

/// A search for the functions at addresses. It takes some 100 ms, so another thread does it; until
/// then the drops there are not taken.
type Search = JoinHandle<io::Result<BTreeMap<u64, Symbol>>>;

impl Agent {
    /// Reports what was dropped since the last look: what is harmless only when `all` is asked for,
    /// and what fell in a place that is not known yet only when it is the `last` look.
    pub(super) async fn report_drops(&mut self, all: bool, last: bool) -> Result<(), Error> {
        // The sockets first: what is freed later than that can only make the difference smaller.
        if let Ok(sockets) = gre_sockets() {
            self.drops.sockets.look(&sockets);
        }
        let read_at = KernelClock::now();
        let entries = self.kernel.drops()?;
        // Connection tracking counts before it lets a packet be freed: all of these are in its count.
        self.drops.conntrack.look(self.drops.is_complete);
        self.resolve(&entries, last).await;
        self.read_rules(&entries, last).await;
        for (key, count) in &entries {
            self.take(key, count);
        }
        // As long as some of what was freed is not taken yet, the difference means nothing.
        let is_complete = self.drops.unknown(&entries).is_empty() && !self.drops.rules.is_reading();
        let unseen = if is_complete { self.drops.sockets.unseen() } else { Vec::new() };
        for ((local, remote), count) in unseen {
            let kind = Kind {
                source: Some(remote).filter(|address| !address.is_unspecified()),
                destination: Some(local).filter(|address| !address.is_unspecified()),
                ..Kind::of(Reason::RawSocketFull, DropStage::Outer)
            };
            self.drops.add(kind, count, 0);
        }
        self.make_room(&entries);
        let now = KernelClock::now();
        self.drops.is_complete = is_complete;
        if is_complete {
            self.books.drops_at = read_at;
        }
        let observations = self.drops.report(all, |last_ns| match last_ns {
            0 => now,
            _ => self.clock.time_of_day(last_ns),
        });
        for observation in observations {
            self.observe(&observation)?;
        }
        Ok(())
    }

    /// Harmful and benign drops so far.
    pub(super) const fn drop_totals(&self) -> (u64, u64) {
        (self.drops.harmful, self.drops.benign)
    }

    /// Looks for the functions at addresses that were not met before, and takes what an earlier
    /// search has found.
    async fn resolve(&mut self, entries: &[(DropKey, DropCount)], wait: bool) {
        let drops = &mut self.drops;
        if drops.search.as_ref().is_some_and(|search| wait || search.is_finished()) {
            drops.take_search().await;
        }
        let new = drops.unknown(entries);
        if drops.search.is_some() || new.is_empty() {
            return;
        }
        // What the search does not find is not looked for again.
        drops.pending = new.clone();
        drops.search = Some(spawn_blocking(move || lookup_symbols(&new)));
        if wait {
            drops.take_search().await;
        }
    }

    /// Reads the rules of the firewall when it has dropped something.
    async fn read_rules(&mut self, entries: &[(DropKey, DropCount)], wait: bool) {
        self.drops.rules.take(wait).await;
        let is_firewall = |key: &DropKey| self.reason(key) == Some(Reason::NetfilterDrop);
        let is_new = |key: &DropKey, count: &DropCount| {
            key.flags & OWN_NETNS != 0 && self.drops.seen.get(key).is_none_or(|seen| *seen < count.count)
        };
        if entries.iter().any(|(key, count)| is_new(key, count) && is_firewall(key)) {
            self.drops.rules.refresh(wait).await;
        }
    }

    /// Why packets of an entry were freed. None: the function there is not known yet.
    fn reason(&self, key: &DropKey) -> Option<Reason> {
        let symbol = match key.location {
            0 => None,
            location => self.drops.symbols.get(&location)?.as_ref(),
        };
        Some(classify(key, symbol.map(|symbol| symbol.function.as_str()), self.kernel_reason(key)))
    }

    fn kernel_reason(&self, key: &DropKey) -> Option<&str> {
        Some(key.kernel_reason)
            .filter(|number| *number != 0)
            .and_then(|number| self.kernel.drop_reason(number))
    }

    /// Adds what an entry of the map has more than at the last look.
    fn take(&mut self, key: &DropKey, count: &DropCount) {
        let Some(mut reason) = self.reason(key) else { return };
        // What they say is a part of what is told.
        if reason == Reason::NetfilterDrop && self.drops.rules.is_reading() {
            return;
        }
        let before = self.drops.seen.insert(*key, count.count).unwrap_or(0);
        let more = count.count.saturating_sub(before);
        if more == 0 || key.flags & OWN_NETNS == 0 {
            return;
        }
        let symbol = self.drops.symbols.get(&key.location).and_then(Option::as_ref);
        let function = symbol.map(|symbol| symbol.function.as_str());
        let address =
            |bytes: [u8; 4]| Some(Ipv4Addr::from(bytes)).filter(|address| !address.is_unspecified());
        let (source, destination) = (address(key.source), address(key.destination));
        // In the second before a module's probes are attached, or where the kernel has no probes:
        // if a daemon has a socket for these ends, it has a copy.
        if reason == Reason::Undecided
            && matches!(function, Some("gre_rcv" | "pptp_rcv"))
            && self.drops.sockets.has(source, destination)
        {
            reason = Reason::RawSocketClone;
        }
        // From 6.12 on a full socket does not count as one that takes it (raw_v4_input).
        if reason == Reason::NoReceiver && self.drops.sockets.refuses(source, destination) {
            reason = Reason::RawSocketFull;
        }
        let mut kind = Kind {
            reason: DropReason(reason),
            stage: match Class::from_byte(key.class) {
                Some(Class::Control) => DropStage::Control,
                Some(Class::Inner) => DropStage::Inner,
                Some(Class::Stack) => DropStage::Stack,
                Some(Class::Outer) | None => DropStage::Outer,
            },
            location: symbol.map(|symbol| format!("{}+{:#x}", symbol.function, symbol.offset)),
            kernel_reason: self.kernel_reason(key).map(str::to_owned),
            hook: (reason == Reason::NetfilterDrop).then_some(match key.flags {
                flags if flags & LOCAL != 0 => DropHook::Output,
                flags if flags & ROUTED != 0 => DropHook::Routed,
                _ => DropHook::Prerouting,
            }),
            rule: None,
            source,
            destination,
            call_id: (key.flags & HAS_CALL != 0).then_some(key.call_id),
            ifindex: Some(key.ifindex).filter(|index| *index != 0),
        };
        if reason == Reason::RawSocketFull
            && let (Some(source), Some(destination)) = (source, destination)
        {
            *self.drops.sockets.freed.entry((destination, source)).or_default() += more;
        }
        if reason == Reason::NetfilterDrop {
            kind.rule = self.rule(&kind);
            // The hook of connection tracking comes first: what it refuses no rule has seen.
            let is_early = kind.hook != Some(DropHook::Routed);
            let is_ruled = kind.rule.as_ref().is_some_and(|rule| rule.certain);
            let untracked = if is_early && !is_ruled { self.drops.conntrack.take(more) } else { 0 };
            if untracked > 0 {
                let reason = DropReason(Reason::ConntrackFull);
                self.drops.add(Kind { reason, rule: None, ..kind.clone() }, untracked, count.last_ns);
            }
            if untracked < more {
                self.drops.add(kind, more - untracked, count.last_ns);
            }
            return;
        }
        self.drops.add(kind, more, count.last_ns);
    }

    /// The rule that drops such packets.
    fn rule(&self, kind: &Kind) -> Option<DropRule> {
        let device =
            kind.ifindex.and_then(|index| self.devices.current().find(|device| device.index == index));
        let destination = kind.destination?;
        let is_own = |device: &Device| device.addresses.iter().any(|address| address.local == destination);
        self.drops.rules.deciding(&Dropped {
            stage: Some(kind.stage).filter(|stage| matches!(stage, DropStage::Outer | DropStage::Control))?,
            hook: kind.hook?,
            source: kind.source?,
            destination,
            interface: device.map(|device| device.name.as_str()),
            is_local: self.devices.current().any(is_own),
        })
    }

    /// Takes entries out of the map that have been idle, once it is half full.
    fn make_room(&mut self, entries: &[(DropKey, DropCount)]) {
        if (entries.len() as u64) * 2 < self.kernel.max_drops() {
            return;
        }
        let newest = entries.iter().map(|(_, count)| count.last_ns).max().unwrap_or(0);
        for (key, _) in entries.iter().filter(|(_, count)| count.last_ns + IDLE_NS < newest) {
            self.kernel.remove_drop(key);
            self.drops.seen.remove(key);
        }
    }
}

impl Drops {
    /// Places of which nothing is known yet.
    fn unknown(&self, entries: &[(DropKey, DropCount)]) -> Vec<u64> {
        let places: BTreeSet<u64> = entries
            .iter()
            .map(|(key, _)| key.location)
            .filter(|location| *location != 0 && !self.symbols.contains_key(location))
            .collect();
        places.into_iter().collect()
    }

    async fn take_search(&mut self) {
        let Some(search) = self.search.take() else { return };
        let mut found = match search.await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                debug!(%error, "the kernel does not show its symbols");
                BTreeMap::new()
            }
            Err(_) => BTreeMap::new(),
        };
        let pending = std::mem::take(&mut self.pending);
        self.symbols.extend(pending.into_iter().map(|address| (address, found.remove(&address))));
    }

    fn add(&mut self, kind: Kind, count: u64, last_ns: u64) {
        *if kind.reason.0.is_harmful() { &mut self.harmful } else { &mut self.benign } += count;
        let tally = self.tallies.entry(kind).or_default();
        tally.total += count;
        tally.last_ns = tally.last_ns.max(last_ns);
    }

    /// What was added since the last report.
    fn report(&mut self, all: bool, time: impl Fn(u64) -> Timestamp) -> Vec<Observation> {
        let mut observations = Vec::new();
        for (kind, tally) in &mut self.tallies {
            let harmful = kind.reason.0.is_harmful();
            let count = tally.total - tally.reported;
            // A reset ends a stall: that is to be told when it happens.
            let is_urgent = harmful || kind.reason.0 == Reason::MppeReset;
            if count == 0 || !(is_urgent || all) {
                continue;
            }
            tally.reported = tally.total;
            let what = Drop {
                reason: kind.reason,
                harmful,
                count,
                total: tally.total,
                stage: kind.stage,
                location: kind.location.clone(),
                kernel_reason: kind.kernel_reason.clone(),
                hook: kind.hook,
                rule: kind.rule.clone().map(Box::new),
                source: kind.source,
                destination: kind.destination,
                call_id: kind.call_id,
                ifindex: kind.ifindex,
            };
            observations.push(Observation {
                at: time(tally.last_ns),
                clock: Clock::Kernel,
                origin: Origin::Path,
                what: What::Drop(what),
            });
        }
        // What stops decryption comes before what makes it go on.
        observations.sort_by_key(|observation| observation.at);
        // Kinds name addresses, and anybody can send from many of them.
        if self.tallies.len() > MAX_KINDS {
            self.tallies.retain(|_, tally| tally.reported < tally.total);
        }
        observations
    }
}

/// Kinds whose totals are kept.
const MAX_KINDS: usize = 16_384;

impl Drop {
    /// The direction of the call that the packet belonged to.
    pub(crate) fn flow(&self) -> Option<FlowKey> {
        Some(FlowKey { source: self.source?, destination: self.destination?, call_id: self.call_id? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn harmful_ones_are_reported_at_once_and_benign_ones_when_asked() {
        let mut drops = Drops::default();
        let kind = |reason| Kind::of(reason, DropStage::Stack);
        drops.add(kind(Reason::PptpAckOnly), 4, 1);
        drops.add(kind(Reason::PptpOldSequence), 2, 1);
        let counts = |observations: Vec<Observation>| -> Vec<(u64, u64)> {
            let count = |observation: &Observation| match &observation.what {
                What::Drop(what) => (what.count, what.total),
                _ => (0, 0),
            };
            observations.iter().map(count).collect()
        };
        let time = Timestamp::from_unix_ns;
        assert_eq!(counts(drops.report(false, time)), [(2, 2)]);
        drops.add(kind(Reason::PptpOldSequence), 1, 2);
        assert_eq!(counts(drops.report(true, time)), [(4, 4), (1, 3)]);
        assert!(drops.report(true, time).is_empty());
        assert_eq!((drops.harmful, drops.benign), (3, 4));
    }
}
