//! Keep-alives and their round trips.

use std::time::Duration;

use crate::event::echo::{Echo, EchoMissed, EchoStats};
use crate::event::{Party, PerParty};
use crate::time::Timestamp;

/// A request that is younger when the call closes may still have had its reply.
const GRACE: Duration = Duration::from_secs(2);

/// Keep-alives of one kind, by who asks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Echoes {
    of: PerParty<Asked>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Asked {
    sent: u64,
    answered: u64,
    missed: u64,
    late: u64,
    consecutive: u64,
    /// Identifier and time of the last request, until its reply.
    pending: Option<(u32, Timestamp)>,
    rtt_min_ns: u64,
    rtt_max_ns: u64,
    rtt_sum_ns: u64,
}

impl Echoes {
    /// Requests of `party` in a row that have had no reply.
    pub const fn consecutive_misses(&self, party: Party) -> u64 {
        self.of.of(party).consecutive
    }

    /// `by` asks. A request before it that has no reply yet is missed.
    pub(super) fn request(&mut self, at: Timestamp, by: Party, identifier: u32) -> Option<EchoMissed> {
        let asked = self.of.of_mut(by);
        let missed = asked.miss(at, by);
        asked.sent += 1;
        asked.pending = Some((identifier, at));
        missed
    }

    /// `by` replies.
    pub(super) fn reply(&mut self, at: Timestamp, by: Party, identifier: u32) {
        let asked = self.of.of_mut(by.peer());
        match asked.pending {
            Some((known, since)) if known == identifier => {
                let rtt = at.ns_since(since);
                asked.rtt_min_ns = if asked.answered == 0 { rtt } else { asked.rtt_min_ns.min(rtt) };
                asked.rtt_max_ns = asked.rtt_max_ns.max(rtt);
                asked.rtt_sum_ns = asked.rtt_sum_ns.saturating_add(rtt);
                asked.answered += 1;
                asked.consecutive = 0;
                asked.pending = None;
            }
            _ => asked.late += 1,
        }
    }

    /// The call closes: what has waited for long is missed.
    pub(super) fn give_up(&mut self, at: Timestamp) -> impl Iterator<Item = EchoMissed> + use<> {
        let mut give_up = |party| {
            let asked: &mut Asked = self.of.of_mut(party);
            let waits = asked.pending.is_some_and(|(_, since)| since + GRACE <= at);
            if waits { asked.miss(at, party) } else { None }
        };
        [give_up(Party::Client), give_up(Party::Server)].into_iter().flatten()
    }

    /// The counters; None when nobody asked.
    pub(super) fn stats(&self) -> Option<Box<Echo>> {
        let echo = Echo { from_client: self.of.client.stats(), from_server: self.of.server.stats() };
        (echo != Echo::default()).then(|| Box::new(echo))
    }
}

impl Asked {
    fn miss(&mut self, at: Timestamp, sender: Party) -> Option<EchoMissed> {
        let (identifier, since) = self.pending.take()?;
        self.missed += 1;
        self.consecutive += 1;
        Some(EchoMissed {
            sender,
            identifier,
            waited_ns: at.ns_since(since),
            consecutive: self.consecutive,
            missed: self.missed,
        })
    }

    fn stats(&self) -> Option<EchoStats> {
        let Self { sent, answered, missed, late, rtt_min_ns, rtt_max_ns, rtt_sum_ns, .. } = *self;
        let some = |ns: u64| (answered > 0).then_some(ns);
        (sent + late > 0).then(|| EchoStats {
            sent,
            answered,
            missed,
            late,
            rtt_min_ns: some(rtt_min_ns),
            rtt_avg_ns: rtt_sum_ns.checked_div(answered),
            rtt_max_ns: some(rtt_max_ns),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_unix_ns(ms * 1_000_000)
    }

    #[test]
    fn round_trips_and_misses() {
        let mut echoes = Echoes::default();
        assert_eq!(echoes.stats(), None);
        for (number, rtt) in [(1, 20), (2, 40)] {
            let sent = u64::from(number) * 10_000;
            assert_eq!(echoes.request(at(sent), Party::Server, number), None);
            echoes.reply(at(sent + rtt), Party::Client, number);
        }
        assert_eq!(echoes.request(at(30_000), Party::Server, 3), None);
        let missed = echoes.request(at(40_000), Party::Server, 4).unwrap();
        assert_eq!((missed.identifier, missed.waited_ns, missed.consecutive), (3, 10_000_000_000, 1));
        echoes.reply(at(40_010), Party::Client, 3);
        // Too young to be missed, then not any more.
        assert_eq!(echoes.give_up(at(41_000)).count(), 0);
        let missed = echoes.give_up(at(44_000)).next().unwrap();
        assert_eq!((missed.identifier, missed.consecutive, missed.missed), (4, 2, 2));
        let stats = echoes.stats().unwrap().from_server.unwrap();
        assert_eq!((stats.sent, stats.answered, stats.missed, stats.late), (4, 2, 2, 1));
        assert_eq!(stats.rtt_min_ns.zip(stats.rtt_max_ns), Some((20_000_000, 40_000_000)));
        assert_eq!(stats.rtt_avg_ns, Some(30_000_000));
    }
}
