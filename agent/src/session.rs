//! The correlator: observations in, events out. Pure: no I/O, no clock, no randomness, so that live
//! operation, replay and tests run the same code and the same observations give the same bytes.
//!
//! A call is met on its control connection ([`control`]) or by its traffic ([`discovery`]), follows
//! the phases of [`phase`] by what both ends negotiate ([`negotiation`]), and is reported from
//! [`report`].

mod call;
mod connection;
mod control;
mod discovery;
mod drop;
mod link;
mod negotiation;
mod phase;
mod report;
mod traffic;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use call::{Call, ConnectionKey, Serial};
use connection::Connection;
use discovery::{Strangers, Tombstones};

use crate::event::Event;
use crate::event::session::{Cause, Phase};
use crate::observation::{FlowKey, Observation, PppInterface, What};
use crate::time::Timestamp;

/// How soon after the start calls are searched that were up before.
const FIRST_SEARCH: Duration = Duration::from_secs(1);

/// What the correlator is told at its start.
#[derive(Clone, Debug)]
pub struct Config {
    /// Name of this host, in every event.
    pub host: String,
    /// Interval of `gre.stats` and `session.stats`.
    pub stats_interval: Duration,
    /// Calls held at most.
    pub max_sessions: usize,
    /// A call without control segment and GRE packet for this long is over.
    pub idle_limit: Duration,
}

impl Config {
    /// The usual settings for `host`.
    pub fn for_host(host: impl Into<String>) -> Self {
        Self {
            host: host.into(),
            stats_interval: Duration::from_secs(10),
            max_sessions: 4096,
            // PPTP ends send an Echo-Request after 60 s of silence (RFC 2637, section 2.5).
            idle_limit: Duration::from_secs(300),
        }
    }
}

/// Sums over all calls, for `agent.status`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Calls held now.
    pub live: u64,
    /// Calls ended early, or never taken up, because the table was full.
    pub evicted: u64,
}

/// Holds every call that is known.
#[derive(Debug)]
pub struct Correlator {
    config: Config,
    calls: BTreeMap<Serial, Call>,
    next_serial: Serial,
    connections: BTreeMap<ConnectionKey, Connection>,
    /// Which call a direction belongs to.
    flows: BTreeMap<FlowKey, Serial>,
    strangers: Strangers,
    tombstones: Tombstones,
    ppp_interfaces: BTreeMap<u32, PppInterface>,
    /// Calls that something must be done about, and when.
    deadlines: BTreeSet<(Timestamp, Serial)>,
    /// Calls in order of arrival that had no call id yet when they came.
    half_open: VecDeque<Serial>,
    next_stats: Option<Timestamp>,
    /// When the flow map is searched for calls that nobody knows yet, and how long the wait for that
    /// was; statistics take over when the waits have become as long as their interval.
    next_search: Option<(Timestamp, Duration)>,
    /// Whether every flow is wanted before that.
    wants_flows: bool,
    /// Flows of ended calls, to be taken out of the kernel's map.
    released: Vec<FlowKey>,
    evicted: u64,
}

impl Correlator {
    /// An empty correlator.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            calls: BTreeMap::new(),
            next_serial: 0,
            connections: BTreeMap::new(),
            flows: BTreeMap::new(),
            strangers: Strangers::default(),
            tombstones: Tombstones::default(),
            ppp_interfaces: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            half_open: VecDeque::new(),
            next_stats: None,
            next_search: None,
            wants_flows: false,
            released: Vec::new(),
            evicted: 0,
        }
    }

    /// Time begins at `at`, if it has not begun: statistics are due from here on, also when nothing but
    /// data is seen.
    pub fn begin(&mut self, at: Timestamp) {
        if self.next_stats.is_none() {
            self.next_stats = Some(at + self.config.stats_interval);
            self.next_search = Some((at + FIRST_SEARCH, FIRST_SEARCH));
        }
    }

    /// Takes one fact; appends what follows from it to `out`.
    pub fn observe(&mut self, observation: &Observation, out: &mut Vec<Event>) {
        let at = observation.at;
        self.begin(at);
        match &observation.what {
            What::Segment(segment) => self.segment(at, segment, out),
            What::Ppp(frame) => self.ppp_frame(at, observation.origin, frame, out),
            What::Flow(key, direction, flow) => self.flow(at, *key, *direction, flow),
            What::PppInterface(interface) => self.ppp_interface(at, interface, out),
            What::InterfaceGone(index) => {
                self.ppp_interfaces.remove(index);
            }
            What::Drop(drop) => self.dropped(at, drop, out),
        }
    }

    /// Tells that it is `now`: timers run, statistics are due. Before a call of this, the flows of
    /// [`Self::wanted_flows`] should be observed.
    pub fn advance(&mut self, now: Timestamp, out: &mut Vec<Event>) {
        self.begin(now);
        self.wants_flows = false;
        while let Some(&(deadline, serial)) = self.deadlines.first()
            && deadline <= now
        {
            self.deadlines.pop_first();
            self.expire(now, serial, out);
        }
        self.adopt_strangers(now, out);
        if let Some((due, wait)) = self.next_search
            && due <= now
        {
            // Calls that are up when the agent starts show within seconds; later ones begin with a
            // control connection.
            let wait = wait * 2;
            self.next_search = (wait < self.config.stats_interval).then_some((now + wait, wait));
        }
        if self.next_stats.is_some_and(|due| due <= now) {
            self.next_stats = Some(now + self.config.stats_interval);
            self.report_moved(now, false, out);
            self.sweep(now, out);
        }
    }

    /// The last figures of every call that goes on, before the agent ends.
    pub fn finish(&mut self, now: Timestamp, out: &mut Vec<Event>) {
        self.adopt_strangers(now, out);
        self.report_moved(now, true, out);
    }

    /// When [`Self::advance`] has something to do.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let timer = self.deadlines.first().map(|&(deadline, _)| deadline);
        let search = self.next_search.map(|(due, _)| due);
        [timer, self.next_stats, search, self.strangers.next_deadline()].into_iter().flatten().min()
    }

    /// Whether every flow is wanted before `advance(now)`: statistics are due, or calls are searched.
    pub fn wants_all_flows(&self, now: Timestamp) -> bool {
        self.wants_flows
            || self.next_stats.is_some_and(|due| due <= now)
            || self.next_search.is_some_and(|(due, _)| due <= now)
    }

    /// Flows whose counters are wanted before `advance(now)`: something is due for their calls,
    /// perhaps their end.
    pub fn wanted_flows(&self, now: Timestamp) -> Vec<FlowKey> {
        self.deadlines
            .iter()
            .take_while(|(deadline, _)| *deadline <= now)
            .filter_map(|(_, serial)| self.calls.get(serial))
            .flat_map(Call::flows)
            .collect()
    }

    /// Flows of calls that ended since the last time this was asked.
    pub fn take_released(&mut self) -> Vec<FlowKey> {
        std::mem::take(&mut self.released)
    }

    /// Sums over all calls.
    pub fn totals(&self) -> Totals {
        Totals { live: self.calls.len() as u64, evicted: self.evicted }
    }

    /// Whether the call is worth less than a new one: it has no call id yet.
    fn is_half_open(call: &Call) -> bool {
        call.client_call_id.is_none() && call.server_call_id.is_none() && !call.phases.is_ending()
    }

    /// Makes room for one more call that has no call id yet, and says whether there is room.
    /// Such calls may take a quarter of the table; the oldest of them goes first, so that a flood
    /// of connections can neither fill the table nor end a call that stands.
    fn make_room(&mut self, at: Timestamp, out: &mut Vec<Event>) -> bool {
        let calls = &self.calls;
        self.half_open.retain(|serial| calls.get(serial).is_some_and(Self::is_half_open));
        let limit = (self.config.max_sessions / 4).max(1);
        let full = self.calls.len() >= self.config.max_sessions;
        if (full || self.half_open.len() >= limit)
            && let Some(oldest) = self.half_open.pop_front()
        {
            self.evicted += 1;
            self.begin_closing(at, oldest, Cause::Evicted, None, out);
            self.end(at, oldest, out);
        }
        if self.calls.len() < self.config.max_sessions {
            return true;
        }
        self.evicted += 1;
        false
    }

    /// Sets when the call must be looked at again.
    fn reschedule(&mut self, serial: Serial, previous: Option<Timestamp>) {
        let deadline = self.calls.get(&serial).and_then(|call| call.deadline);
        if previous != deadline {
            if let Some(previous) = previous {
                self.deadlines.remove(&(previous, serial));
            }
            if let Some(deadline) = deadline {
                self.deadlines.insert((deadline, serial));
            }
        }
    }

    /// A call's deadline has come.
    fn expire(&mut self, now: Timestamp, serial: Serial, out: &mut Vec<Event>) {
        let Some(call) = self.calls.get_mut(&serial) else { return };
        call.deadline = None;
        match call.phases.current() {
            Phase::Closed => self.end(now, serial, out),
            Phase::Closing => {
                let (cause, by) = call.ending().unwrap_or((Cause::Idle, None));
                self.close(now, serial, cause, by, out);
            }
            Phase::Tcp => {
                self.begin_closing(now, serial, Cause::TcpTimeout, None, out);
                self.close(now, serial, Cause::TcpTimeout, None, out);
            }
            _ => self.announce_up(now, serial, out),
        }
    }

    /// Forgets what nobody speaks of any more.
    fn sweep(&mut self, now: Timestamp, out: &mut Vec<Event>) {
        let limit = self.config.idle_limit;
        let idle: Vec<Serial> = self
            .calls
            .iter()
            .filter(|(_, call)| call.last_seen + limit <= now && !call.phases.is_ending())
            .map(|(serial, _)| *serial)
            .collect();
        for serial in idle {
            self.begin_closing(now, serial, Cause::Idle, None, out);
            self.close(now, serial, Cause::Idle, None, out);
        }
        let calls = &self.calls;
        self.connections.retain(|_, connection| {
            connection.calls.retain(|serial| calls.contains_key(serial));
            !connection.calls.is_empty() || connection.last_seen + limit > now
        });
        self.tombstones.sweep(now);
        self.strangers.sweep(now);
    }
}
