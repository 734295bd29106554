//! One-way calls: packets of one end, none of the other.
//!
//! Known from the counters alone, looked at now and then: an end is silent when its packets have not
//! moved while the other end's have, and when the first and the last packet of that other end that
//! fell into the silence are far enough apart.

use std::time::Duration;

use super::Correlator;
use super::call::Serial;
use crate::event::gre::{OneWay, OneWayState};
use crate::event::session::Phase;
use crate::event::{Body, Event, Party, PerParty, Severity};
use crate::observation::Flow;
use crate::time::Timestamp;

/// Three restart intervals of LCP (RFC 1661, section 4.6): no living end is silent for longer while
/// the other one asks.
const LIMIT_NS: u64 = 9_000_000_000;

/// How soon a call is looked at again that may be one-way.
const NEXT_LOOK: Duration = Duration::from_secs(3);

/// Packets of one end, as far as they matter here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Glance {
    packets: u64,
    first_ns: u64,
    last_ns: u64,
}

#[derive(Clone, Copy, Debug)]
struct Unanswered {
    heard: Party,
    /// A packet that fell into the silence, the earliest that is known.
    first_ns: u64,
    /// Packets of the end that is heard before that one.
    packets_before: u64,
    since_ns: u64,
    was_heard: bool,
    is_reported: bool,
}

/// What is known of the silence of a call.
#[derive(Clone, Debug, Default)]
pub(super) struct Silence {
    now: PerParty<Glance>,
    /// Packets at the look before.
    before: PerParty<u64>,
    unanswered: Option<Box<Unanswered>>,
}

impl Silence {
    /// Takes the latest counters of what `sender` sent.
    pub(super) fn update(&mut self, sender: Party, flow: &Flow) {
        *self.now.of_mut(sender) =
            Glance { packets: flow.packets, first_ns: flow.first_ns, last_ns: flow.last_ns };
    }

    /// Whether the call should be looked at soon.
    pub(super) const fn is_suspected(&self) -> bool {
        self.unanswered.is_some()
    }

    /// Compares the counters with those of the last look. `may_begin`: the control connection is
    /// well, so that silence means something.
    pub(super) fn look(&mut self, may_begin: bool) -> Option<OneWay> {
        let now = self.now;
        let packets = PerParty { client: now.client.packets, server: now.server.packets };
        let before = std::mem::replace(&mut self.before, packets);
        let Some(known) = self.unanswered.as_deref().copied() else {
            self.unanswered = [Party::Client, Party::Server].into_iter().find_map(|heard| {
                let (loud, quiet) = (now.of(heard), now.of(heard.peer()));
                let was_heard = quiet.packets > 0;
                let is_silent = quiet.packets == *before.of(heard.peer())
                    && loud.packets > *before.of(heard)
                    && loud.last_ns > quiet.last_ns;
                // Of an end that was heard before, it is not known which packets came after it, but for
                // the last one.
                let (first_ns, packets_before, since_ns) = if was_heard {
                    (loud.last_ns, loud.packets.saturating_sub(1), quiet.last_ns)
                } else {
                    (loud.first_ns, 0, loud.first_ns)
                };
                let is_reported = false;
                is_silent.then(|| {
                    Box::new(Unanswered { heard, first_ns, packets_before, since_ns, was_heard, is_reported })
                })
            });
            // An end that was never heard may have been silent for long when it is first looked at.
            return self
                .unanswered
                .as_ref()
                .is_some_and(|new| !new.was_heard)
                .then(|| self.judge(may_begin))
                .flatten();
        };
        if now.of(known.heard.peer()).packets != *before.of(known.heard.peer()) {
            self.unanswered = None;
            let until_ns = now.of(known.heard.peer()).last_ns;
            return known.is_reported.then(|| self.event(OneWayState::Ended, known, until_ns));
        }
        self.judge(may_begin)
    }

    fn judge(&mut self, may_begin: bool) -> Option<OneWay> {
        let known = self.unanswered.as_deref_mut()?;
        let last_ns = self.now.of(known.heard).last_ns;
        if known.is_reported || !may_begin || last_ns.saturating_sub(known.first_ns) < LIMIT_NS {
            return None;
        }
        known.is_reported = true;
        let known = *known;
        Some(self.event(OneWayState::Begun, known, last_ns))
    }

    fn event(&self, state: OneWayState, known: Unanswered, until_ns: u64) -> OneWay {
        OneWay {
            state,
            heard: known.heard,
            silent: known.heard.peer(),
            since: Timestamp::from_unix_ns(known.since_ns),
            duration_ns: until_ns.saturating_sub(known.since_ns),
            packets: self.now.of(known.heard).packets.saturating_sub(known.packets_before),
            was_heard: known.was_heard,
        }
    }
}

impl Correlator {
    /// The call is to be looked at again in a while.
    pub(super) fn look_again(&mut self, now: Timestamp, serial: Serial) {
        let at = now + NEXT_LOOK;
        let is_new = self.calls.change(serial, |call| {
            let is_new = call.next_look.is_none();
            call.next_look.get_or_insert(at);
            is_new
        });
        if is_new == Some(true) {
            self.looks.insert((at, serial));
        }
    }

    /// Looks at the calls whose turn it is.
    pub(super) fn run_looks(&mut self, now: Timestamp, out: &mut Vec<Event>) {
        while let Some(&(at, serial)) = self.looks.first()
            && at <= now
        {
            self.looks.pop_first();
            self.calls.change(serial, |call| call.next_look = None);
            self.look_for_silence(now, serial, out);
        }
    }

    /// Looks whether a call is one-way.
    pub(super) fn look_for_silence(&mut self, now: Timestamp, serial: Serial, out: &mut Vec<Event>) {
        let connection = self.calls.get(serial).and_then(|call| self.connections.get(&call.connection?));
        let is_well = connection.is_some_and(|connection| connection.tcp.is_answered());
        let looked = self.calls.change(serial, |call| {
            let is_open = call.phases.current() >= Phase::Lcp && !call.phases.is_ending();
            let found = call.silence.look(is_well && is_open);
            (found, call.silence.is_suspected() && is_open)
        });
        let Some((found, again)) = looked else { return };
        if again {
            self.look_again(now, serial);
        }
        if let Some(gre_one_way) = found {
            let severity = match gre_one_way.state {
                OneWayState::Begun => Severity::Warning,
                OneWayState::Ended => Severity::Info,
            };
            self.emit(now, severity, serial, Body::GreOneWay { gre_one_way }, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    fn flow(packets: u64, first_s: u64, last_s: u64) -> Flow {
        Flow { packets, first_ns: first_s * S, last_ns: last_s * S, ..Flow::default() }
    }

    #[test]
    fn an_end_that_was_never_heard() {
        let mut silence = Silence::default();
        assert!(silence.look(true).is_none() && !silence.is_suspected());
        silence.update(Party::Server, &flow(3, 100, 106));
        assert!(silence.look(true).is_none() && silence.is_suspected());
        silence.update(Party::Server, &flow(4, 100, 109));
        let found = silence.look(true).unwrap();
        assert_eq!(
            (found.state, found.heard, found.silent),
            (OneWayState::Begun, Party::Server, Party::Client)
        );
        assert_eq!((found.packets, found.was_heard, found.duration_ns), (4, false, 9 * S));
        assert_eq!(found.since, Timestamp::from_unix_ns(100 * S));
        // Said once.
        silence.update(Party::Server, &flow(5, 100, 112));
        assert!(silence.look(true).is_none());
        silence.update(Party::Client, &flow(1, 113, 113));
        let found = silence.look(true).unwrap();
        assert_eq!((found.state, found.duration_ns), (OneWayState::Ended, 13 * S));
        assert!(silence.look(true).is_none() && !silence.is_suspected());
    }

    #[test]
    fn an_idle_call_and_one_late_answer_are_no_silence() {
        let mut silence = Silence::default();
        silence.update(Party::Client, &flow(10, 1, 20));
        silence.update(Party::Server, &flow(10, 1, 20));
        assert!(silence.look(true).is_none());
        // One echo request after a long pause, looked at before the answer came.
        silence.update(Party::Server, &flow(11, 1, 60));
        assert!(silence.look(true).is_none());
        assert!(silence.look(true).is_none());
        silence.update(Party::Client, &flow(11, 1, 61));
        assert!(silence.look(true).is_none() && !silence.is_suspected());
    }

    #[test]
    fn an_end_that_falls_silent() {
        let mut silence = Silence::default();
        silence.update(Party::Client, &flow(10, 1, 20));
        silence.update(Party::Server, &flow(10, 1, 20));
        silence.look(true);
        silence.update(Party::Client, &flow(20, 1, 30));
        assert!(silence.look(true).is_none() && silence.is_suspected());
        silence.update(Party::Client, &flow(29, 1, 38));
        assert!(silence.look(true).is_none());
        silence.update(Party::Client, &flow(30, 1, 39));
        assert!(silence.look(false).is_none(), "while the control connection is not well");
        let found = silence.look(true).unwrap();
        assert_eq!((found.heard, found.packets, found.was_heard), (Party::Client, 11, true));
        assert_eq!((found.since, found.duration_ns), (Timestamp::from_unix_ns(20 * S), 19 * S));
    }
}
