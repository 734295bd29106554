//! Scans and password guessing: what each address tried on port 1723, summed up.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::Correlator;
use crate::event::control::Abuse;
use crate::event::{Body, Event, Severity};
use crate::time::Timestamp;

/// How long an address is watched before it is judged.
const INTERVAL: Duration = Duration::from_secs(60);

/// Addresses watched at once. One more than that is not watched; its packets are limited like all.
const MAX_SOURCES: usize = 4096;

/// From how many on it is worth a line. A client with a wrong password that dials by itself makes two
/// or three a minute.
const WITHOUT_CALL: u64 = 10;
const GARBAGE: u64 = 3;
const FAILURES: u64 = 5;

/// What an address did since it was first seen in its interval.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    since: Timestamp,
    pub(super) connections: u64,
    pub(super) without_call: u64,
    pub(super) garbage: u64,
    pub(super) authentication_failures: u64,
    pub(super) limited: u64,
}

impl Tally {
    const fn is_abuse(&self) -> bool {
        self.without_call >= WITHOUT_CALL
            || self.garbage >= GARBAGE
            || self.authentication_failures >= FAILURES
            || self.limited > 0
    }
}

/// The addresses that are watched.
#[derive(Debug, Default)]
pub(super) struct Sources {
    tallies: BTreeMap<Ipv4Addr, Tally>,
    /// When the oldest interval ends, at the earliest.
    due: Option<Timestamp>,
}

impl Sources {
    /// Adds to the tally of an address.
    pub(super) fn note(&mut self, at: Timestamp, source: Ipv4Addr, add: impl FnOnce(&mut Tally)) {
        if let Some(tally) = self.tallies.get_mut(&source) {
            add(tally);
        } else if self.tallies.len() < MAX_SOURCES {
            let mut tally = Tally { since: at, ..Tally::default() };
            add(&mut tally);
            self.tallies.insert(source, tally);
            self.due.get_or_insert(at + INTERVAL);
        }
    }

    pub(super) const fn next_deadline(&self) -> Option<Timestamp> {
        self.due
    }

    /// Takes out the tallies whose interval is over, or all.
    fn finished(&mut self, now: Timestamp, all: bool) -> Vec<(Ipv4Addr, Tally)> {
        if !all && self.due.is_none_or(|due| due > now) {
            return Vec::new();
        }
        let finished: Vec<_> =
            self.tallies.extract_if(.., |_, tally| all || tally.since + INTERVAL <= now).collect();
        self.due = self.tallies.values().map(|tally| tally.since + INTERVAL).min();
        finished
    }
}

impl Correlator {
    /// Reports the addresses whose interval is over; every address when `all`.
    pub(super) fn report_abuse(&mut self, now: Timestamp, all: bool, out: &mut Vec<Event>) {
        for (source, tally) in self.sources.finished(now, all) {
            if !tally.is_abuse() {
                continue;
            }
            let control_abuse = Abuse {
                source,
                interval_ns: now.ns_since(tally.since),
                connections: tally.connections,
                without_call: tally.without_call,
                garbage: tally.garbage,
                authentication_failures: tally.authentication_failures,
                limited: tally.limited,
            };
            out.push(self.event(now, Severity::Warning, None, Body::ControlAbuse { control_abuse }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_judged_when_its_interval_is_over() {
        let mut sources = Sources::default();
        let at = |s: u64| Timestamp::from_unix_ns(s * 1_000_000_000);
        let (one, two) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2));
        for second in 0..12 {
            sources.note(at(100 + second), one, |tally| tally.without_call += 1);
        }
        sources.note(at(130), two, |tally| tally.limited += 7);
        assert_eq!(sources.next_deadline(), Some(at(160)));
        assert!(sources.finished(at(159), false).is_empty());
        let finished = sources.finished(at(160), false);
        assert_eq!(finished.iter().map(|(source, _)| *source).collect::<Vec<_>>(), [one]);
        assert!(finished[0].1.is_abuse());
        assert_eq!(sources.next_deadline(), Some(at(190)));
        assert_eq!(sources.finished(at(161), true).len(), 1);
        assert_eq!(sources.next_deadline(), None);
    }

    #[test]
    fn a_client_with_a_wrong_password_is_no_guesser() {
        let tally = Tally { connections: 4, authentication_failures: 4, ..Tally::default() };
        assert!(!tally.is_abuse());
        assert!(Tally { authentication_failures: 5, ..tally }.is_abuse());
    }

    #[test]
    fn a_flood_of_addresses_takes_no_more_memory() {
        let mut sources = Sources::default();
        for number in 0..10_000u32 {
            sources.note(Timestamp::default(), Ipv4Addr::from(number), |tally| tally.connections += 1);
        }
        assert_eq!(sources.tallies.len(), MAX_SOURCES);
    }
}
