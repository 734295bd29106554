//! Phases of a call and the time spent in each.

use crate::event::Party;
use crate::event::session::{Cause, Phase, PhaseChange, PhaseTime};
use crate::time::Timestamp;

/// Where a call is, and how long it was where.
#[derive(Clone, Debug)]
pub(super) struct Phases {
    current: Phase,
    since: Timestamp,
    /// Finished visits.
    spent: Spent,
    /// The furthest phase of this call's current attempt before closing.
    last_open: Phase,
    was_up: bool,
}

/// Time in each phase, in the order of the first visit.
#[derive(Clone, Copy, Debug)]
struct Spent {
    durations_ns: [u64; Phase::COUNT],
    phases: [Phase; Phase::COUNT],
    /// How many of them were visited.
    visited: u8,
}

impl Spent {
    const NONE: Self =
        Self { durations_ns: [0; Phase::COUNT], phases: [Phase::Tcp; Phase::COUNT], visited: 0 };

    fn add(&mut self, phase: Phase, duration_ns: u64) {
        let visited = usize::from(self.visited);
        let known = self.phases.iter().take(visited).position(|known| *known == phase);
        let place = known.unwrap_or(visited);
        if let (Some(name), Some(sum_ns)) = (self.phases.get_mut(place), self.durations_ns.get_mut(place)) {
            *name = phase;
            *sum_ns = sum_ns.saturating_add(duration_ns);
            self.visited = self.visited.max(place as u8 + 1);
        }
    }

    fn times(&self) -> Vec<PhaseTime> {
        let all = self.phases.into_iter().zip(self.durations_ns).take(self.visited.into());
        all.map(|(phase, duration_ns)| PhaseTime { phase, duration_ns }).collect()
    }
}

impl Phases {
    pub(super) fn begin(phase: Phase, at: Timestamp) -> Self {
        Self { current: phase, since: at, spent: Spent::NONE, last_open: phase, was_up: phase == Phase::Up }
    }

    /// Since when.
    pub(super) const fn since(&self) -> Timestamp {
        self.since
    }

    pub(super) const fn current(&self) -> Phase {
        self.current
    }

    /// The phase that the call was in before it began to close.
    pub(super) const fn last_open(&self) -> Phase {
        self.last_open
    }

    pub(super) const fn was_up(&self) -> bool {
        self.was_up
    }

    /// Whether the call is over or about to be.
    pub(super) fn is_ending(&self) -> bool {
        self.current >= Phase::Closing
    }

    /// Enters `phase`; None when the call is there already.
    pub(super) fn enter(
        &mut self,
        phase: Phase,
        at: Timestamp,
        reason: Cause,
        by: Option<Party>,
    ) -> Option<PhaseChange> {
        if phase == self.current {
            return None;
        }
        let previous = self.current;
        let previous_ns = at.ns_since(self.since);
        self.spent.add(previous, previous_ns);
        // A record of another CPU may be older than the one before it: time never runs back here.
        self.since = self.since.max(at);
        self.current = phase;
        if phase < Phase::Closing {
            self.last_open = phase;
        }
        self.was_up |= phase == Phase::Up;
        Some(PhaseChange { phase, previous, previous_ns, reason, by })
    }

    /// Time in every phase, the current one up to `now`.
    pub(super) fn times(&self, now: Timestamp) -> Vec<PhaseTime> {
        let mut all = self.spent;
        all.add(self.current, now.ns_since(self.since));
        all.times()
    }

    /// Time in every phase that was left.
    pub(super) fn finished(&self) -> Vec<PhaseTime> {
        self.spent.times()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_visits_and_remembers_how_far_it_got() {
        let at = Timestamp::from_unix_ns;
        let mut phases = Phases::begin(Phase::Lcp, at(100));
        assert!(phases.enter(Phase::Lcp, at(110), Cause::LcpRenegotiation, None).is_none());
        let change = phases.enter(Phase::Auth, at(150), Cause::LcpOpened, None).unwrap();
        assert_eq!((change.previous, change.previous_ns), (Phase::Lcp, 50));
        phases.enter(Phase::Lcp, at(160), Cause::LcpRenegotiation, None).unwrap();
        phases.enter(Phase::Closing, at(190), Cause::TcpFin, Some(Party::Client)).unwrap();
        assert_eq!((phases.last_open(), phases.was_up(), phases.is_ending()), (Phase::Lcp, false, true));
        let times = phases.times(at(200));
        let ns: Vec<_> = times.iter().map(|t| (t.phase, t.duration_ns)).collect();
        assert_eq!(ns, [(Phase::Lcp, 80), (Phase::Auth, 10), (Phase::Closing, 10)]);
    }

    #[test]
    fn a_step_back_of_the_clock_is_no_time() {
        let at = Timestamp::from_unix_ns;
        let mut phases = Phases::begin(Phase::Tcp, at(100));
        let change = phases.enter(Phase::Control, at(90), Cause::TcpEstablished, None).unwrap();
        assert_eq!(change.previous_ns, 0);
        assert_eq!(phases.times(at(120)).iter().map(|t| t.duration_ns).sum::<u64>(), 20);
    }
}
