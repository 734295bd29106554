//! When the probes that fire for every packet are attached, and for how long.

use std::time::Duration;

use crate::time::Timestamp;

/// Bounds of arming.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long the probes stay at most.
    pub duration: Duration,
    /// How long they stay away afterwards at least.
    pub rest: Duration,
    /// How often they may fire in a second on average before they are taken away early.
    pub per_second: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { duration: Duration::from_secs(30), rest: Duration::from_secs(600), per_second: 50_000 }
    }
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Attach the probes.
    Arm,
    /// Take them away.
    Disarm(Why),
}

/// Why the probes are taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Their time is over.
    Time,
    /// They fire too often.
    Rate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    Armed {
        since: Timestamp,
        fired: u64,
    },
    Resting {
        until: Timestamp,
    },
    /// Armed because the user said so.
    Deep,
}

/// Decides. A difference arms once: what was known when the probes came is no reason for the next
/// time.
#[derive(Clone, Copy, Debug)]
pub struct Arming {
    limits: Limits,
    state: State,
    known: u64,
}

impl Arming {
    /// Armed from the start and for good when `deep`, else as differences show.
    pub const fn new(limits: Limits, deep: bool) -> Self {
        Self { limits, state: if deep { State::Deep } else { State::Idle }, known: 0 }
    }

    /// Whether the probes should be there.
    pub const fn is_armed(&self) -> bool {
        matches!(self.state, State::Armed { .. } | State::Deep)
    }

    /// Tells how many packets are unaccounted, and how often the probes have fired.
    pub fn decide(&mut self, now: Timestamp, unaccounted: u64, fired: u64) -> Option<Order> {
        match self.state {
            State::Idle => {
                let is_new = unaccounted > self.known;
                // What was taken back is forgotten.
                self.known = self.known.min(unaccounted);
                if !is_new {
                    return None;
                }
                self.known = unaccounted;
                self.state = State::Armed { since: now, fired };
                Some(Order::Arm)
            }
            State::Armed { since, fired: before } => {
                let elapsed = Duration::from_nanos(now.ns_since(since));
                let limit = self.limits.per_second.saturating_mul(elapsed.as_secs().max(1));
                let why = if fired.saturating_sub(before) > limit {
                    Why::Rate
                } else if elapsed >= self.limits.duration {
                    Why::Time
                } else {
                    return None;
                };
                self.known = unaccounted;
                self.state = State::Resting { until: now + self.limits.rest };
                Some(Order::Disarm(why))
            }
            State::Resting { until } => {
                if until <= now {
                    self.state = State::Idle;
                }
                None
            }
            State::Deep => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix_ns((1_000 + seconds) * 1_000_000_000)
    }

    #[test]
    fn arms_for_a_new_difference_and_only_for_a_time() {
        let mut arming = Arming::new(Limits::default(), false);
        assert_eq!(arming.decide(at(0), 0, 0), None);
        assert_eq!(arming.decide(at(1), 3, 0), Some(Order::Arm));
        assert!(arming.is_armed());
        assert_eq!(arming.decide(at(30), 9, 1000), None);
        assert_eq!(arming.decide(at(31), 9, 1000), Some(Order::Disarm(Why::Time)));
        assert!(!arming.is_armed());
        assert_eq!(arming.decide(at(40), 20, 1000), None, "it rests");
        assert_eq!(arming.decide(at(631), 20, 1000), None);
        assert_eq!(arming.decide(at(632), 20, 1000), Some(Order::Arm), "there are more than it knows of");
    }

    #[test]
    fn the_same_difference_does_not_arm_twice() {
        let mut arming = Arming::new(Limits::default(), false);
        arming.decide(at(0), 3, 0);
        arming.decide(at(30), 3, 0);
        for second in 600..2000 {
            assert_eq!(arming.decide(at(second), 3, 0), None);
        }
        assert_eq!(arming.decide(at(2000), 1, 0), None);
        assert_eq!(arming.decide(at(2001), 2, 0), Some(Order::Arm), "two were taken back, one is new");
    }

    #[test]
    fn a_flood_disarms_early() {
        let mut arming = Arming::new(Limits::default(), false);
        arming.decide(at(0), 1, 500);
        assert_eq!(arming.decide(at(2), 1, 100_500), None);
        assert_eq!(arming.decide(at(3), 1, 150_501), Some(Order::Disarm(Why::Rate)));
    }

    #[test]
    fn deep_stays() {
        let mut arming = Arming::new(Limits::default(), true);
        assert!(arming.is_armed());
        assert_eq!(arming.decide(at(0), 0, u64::MAX), None);
        assert_eq!(arming.decide(at(5000), 7, u64::MAX), None);
        assert!(arming.is_armed());
    }
}
