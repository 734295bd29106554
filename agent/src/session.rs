//! The correlator: observations in, events out. Pure: no I/O, no clock, no randomness, so that live
//! operation, replay and tests run the same code and the same observations give the same bytes.
//!
//! A call is met on its control connection ([`control`]) or by its traffic ([`discovery`]), follows
//! the phases of [`phase`] by what both ends negotiate ([`negotiation`]), and is reported from
//! [`report`].

mod abuse;
mod books;
mod call;
mod calls;
mod connection;
mod control;
mod directory;
mod discovery;
mod drop;
mod echo;
mod encryption;
mod icmp;
mod inner;
mod interfaces;
mod link;
mod logs;
pub mod negotiation;
mod phase;
mod radius;
mod report;
mod silence;
mod stall;
mod tcp;
mod traffic;
mod windows;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use books::Ledger;
pub use books::Sums as BookSums;
use call::{Call, Serial};
use calls::Calls;
use connection::Connections;
use directory::Directory;
use discovery::{Strangers, Tombstones};
use interfaces::Interfaces;
use logs::Logs;
pub use logs::Offset as ClockOffset;
use radius::Exchanges;
use report::Round;

use crate::event::Event;
use crate::event::session::{Cause, Phase};
use crate::finding::Engine;
use crate::observation::{FlowKey, Observation, What};
use crate::time::Timestamp;

/// How soon after the start calls are searched that were up before.
const FIRST_SEARCH: Duration = Duration::from_secs(1);
/// Events that there is always room for.
const FEW_EVENTS: usize = 32;

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
    /// What daemons say makes sessions: there is no wire to see them on.
    pub sessions_from_logs: bool,
    /// Every line of a log makes an event, also the debug dump.
    pub all_log_lines: bool,
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
            sessions_from_logs: false,
            all_log_lines: false,
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
    calls: Calls,
    next_serial: Serial,
    connections: Connections,
    /// Which call a direction belongs to.
    flows: BTreeMap<FlowKey, Serial>,
    strangers: Strangers,
    logs: Logs,
    tombstones: Tombstones,
    directory: Directory,
    exchanges: Exchanges,
    interfaces: Interfaces,
    /// Calls that are looked at before the next statistics, and when.
    looks: BTreeSet<(Timestamp, Serial)>,
    /// Counters of each pppN, by its name.
    tunnels: BTreeMap<String, inner::Tunnel>,
    /// What each address tries on port 1723.
    sources: abuse::Sources,
    ledger: Ledger,
    next_stats: Option<Timestamp>,
    /// Statistics that are due and not all reported yet.
    round: Option<Round>,
    /// When the flow map is searched for calls that nobody knows yet, and how long the wait for that
    /// was; statistics take over when the waits have become as long as their interval.
    next_search: Option<(Timestamp, Duration)>,
    /// Whether every flow is wanted before that.
    wants_flows: bool,
    /// Flows of ended calls, to be taken out of the kernel's map.
    released: Vec<FlowKey>,
    /// The two directions of calls, to be made known to the kernel.
    paired: Vec<(FlowKey, FlowKey)>,
    evicted: u64,
    /// Draws the conclusions from what the rest of this reports.
    findings: Engine,
    /// What it has not read yet.
    said: Vec<Event>,
}

impl Correlator {
    /// An empty correlator.
    pub fn new(config: Config) -> Self {
        let findings = Engine::new(config.host.clone());
        Self {
            config,
            findings,
            said: Vec::new(),
            calls: Calls::default(),
            next_serial: 0,
            connections: Connections::default(),
            flows: BTreeMap::new(),
            strangers: Strangers::default(),
            logs: Logs::default(),
            tombstones: Tombstones::default(),
            directory: Directory::default(),
            exchanges: Exchanges::default(),
            interfaces: Interfaces::default(),
            looks: BTreeSet::new(),
            tunnels: BTreeMap::new(),
            sources: abuse::Sources::default(),
            ledger: Ledger::default(),
            next_stats: None,
            round: None,
            next_search: None,
            wants_flows: false,
            released: Vec::new(),
            paired: Vec::new(),
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
        self.findings.note(observation);
        let said = out.len();
        match &observation.what {
            What::Segment(segment) => self.segment(at, segment, out),
            What::Ppp(frame) => self.ppp_frame(at, observation.origin, frame, out),
            What::Flow(key, direction, flow) => self.flow(at, *key, *direction, flow, out),
            What::PppInterface(interface) => self.ppp_interface(at, interface, out),
            What::InterfaceGone(index) => {
                self.inner_gone(*index);
                self.interface_gone(*index);
            }
            What::Inner(index, direction, inner) => self.inner(at, *index, *direction, inner, out),
            What::Icmp(error) => self.icmp(at, error, out),
            What::Limited { source, packets } => {
                self.sources.note(at, *source, |tally| tally.limited += packets);
            }
            What::Unit(counts) => self.unit_counts(at, counts),
            What::Call(counts) => self.call_counts(counts),
            What::Look { drops_at } => self.look(*drops_at),
            What::Drop(drop) => self.dropped(at, drop, out),
            What::Radius(radius) => self.radius(at, radius, out),
            What::Log(log) if windows::is_windows(log) => self.windows_event(at, observation.clock, log, out),
            What::Log(log) => self.log_line(at, observation.clock, log, out),
            What::Process(process) => self.process(*process),
        }
        if self.may_release(observation) {
            self.release_held(out);
        }
        self.directory.read(out.get(said..).unwrap_or_default());
        self.conclude(said, out);
    }

    /// Lets findings follow the events of `out` from `from` on.
    fn conclude(&mut self, from: usize, out: &mut Vec<Event>) {
        if out.len() == from {
            return;
        }
        // Asked for once and not each time: what is large makes the allocator tidy up all that is small.
        let mut said = std::mem::take(&mut self.said);
        said.extend(out.drain(from..));
        for event in said.drain(..) {
            self.findings.take(event, out);
        }
        said.shrink_to(FEW_EVENTS);
        self.said = said;
    }

    /// Tells that it is `now`: timers run, statistics are due. Before a call of this, the flows of
    /// [`Self::wanted_flows`] should be observed. Of many calls it reports some; the others are due at once
    /// ([`Self::next_deadline`]), so that what is appended to `out` can be taken away meanwhile.
    pub fn advance(&mut self, now: Timestamp, out: &mut Vec<Event>) {
        self.begin(now);
        let said = out.len();
        self.wants_flows = false;
        while let Some(serial) = self.next_due(now) {
            self.expire(now, serial, out);
        }
        self.run_looks(now, out);
        self.report_abuse(now, false, out);
        self.adopt_strangers(now, out);
        self.radius_timeouts(now, out);
        self.release_overdue(now, out);
        self.search_groups(now);
        self.sweep_logs(now, out);
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
            self.round.get_or_insert(Round { next: 0, is_last: false });
            self.sweep(now, out);
        }
        if let Some(round) = self.round {
            let next = self.report_moved(now, round.is_last, round.next, out);
            self.round = next.map(|next| Round { next, ..round });
        }
        self.directory.read(out.get(said..).unwrap_or_default());
        self.conclude(said, out);
        self.findings.advance(now, out);
    }

    /// The last figures of every call that goes on, before the agent ends. Of many calls it reports some, and
    /// returns whether that were the last ones: while it is `false`, it must be called again.
    #[must_use]
    pub fn finish(&mut self, now: Timestamp, out: &mut Vec<Event>) -> bool {
        let from = out.len();
        let round = self.round.filter(|round| round.is_last).unwrap_or_else(|| {
            self.adopt_strangers(now, out);
            Round { next: 0, is_last: true }
        });
        let next = self.report_moved(now, true, round.next, out);
        self.round = next.map(|next| Round { next, ..round });
        if self.is_finishing() {
            self.conclude(from, out);
            return false;
        }
        self.report_abuse(now, true, out);
        self.radius_finish(now, out);
        self.release_all(out);
        self.end_closing_groups(out);
        self.conclude(from, out);
        self.findings.finish(now, out);
        true
    }

    /// Whether [`Self::finish`] must be called again.
    pub fn is_finishing(&self) -> bool {
        self.round.is_some_and(|round| round.is_last)
    }

    /// When [`Self::advance`] has something to do.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let timer = self.calls.next_deadline();
        let search = self.next_search.map(|(due, _)| due);
        let wait = self.findings.next_deadline();
        let strangers = self.strangers.next_deadline();
        let exchanges = self.exchanges.next_deadline();
        let look = self.looks.first().map(|&(at, _)| at);
        let held = self.logs.next_deadline();
        let others = [look, self.sources.next_deadline(), strangers, exchanges, wait, held];
        let round = self.round.map(|_| Timestamp::default());
        [timer, self.next_stats, round, search].into_iter().chain(others).flatten().min()
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
        let looked_at = self.looks.iter().take_while(|(at, _)| *at <= now).map(|(_, serial)| *serial);
        let due = self.calls.due(now).chain(looked_at);
        due.filter_map(|serial| self.calls.get(serial)).flat_map(Call::flows).collect()
    }

    /// Flows of calls that ended since the last time this was asked.
    pub fn take_released(&mut self) -> Vec<FlowKey> {
        std::mem::take(&mut self.released)
    }

    /// Pairs of flows that became known as the directions of one call since the last time this was
    /// asked.
    pub fn take_paired(&mut self) -> Vec<(FlowKey, FlowKey)> {
        std::mem::take(&mut self.paired)
    }

    /// Sums over all calls.
    pub fn totals(&self) -> Totals {
        Totals { live: self.calls.len() as u64, evicted: self.evicted }
    }

    /// Makes room for one more call that has no call id yet, and says whether there is room.
    /// Such calls may take a quarter of the table; the oldest of them goes first, so that a flood
    /// of connections can neither fill the table nor end a call that stands.
    fn make_room(&mut self, at: Timestamp, out: &mut Vec<Event>) -> bool {
        let limit = (self.config.max_sessions / 4).max(1);
        let full = self.calls.len() >= self.config.max_sessions;
        if (full || self.calls.half_open() >= limit)
            && let Some(oldest) = self.calls.oldest_half_open()
        {
            self.evicted += 1;
            let connection = self.calls.get(oldest).and_then(|call| call.connection);
            self.begin_closing(at, oldest, Cause::Evicted, None, out);
            self.end(at, oldest, out);
            if let Some(key) = connection {
                self.connections.remove_idle(&key);
            }
        }
        if self.calls.len() < self.config.max_sessions {
            return true;
        }
        self.evicted += 1;
        false
    }

    /// Connections held at most: each call has one, as many more may be without.
    const fn max_connections(&self) -> usize {
        self.config.max_sessions.saturating_mul(2)
    }

    /// The next call whose deadline has come, which is taken off it.
    fn next_due(&mut self, now: Timestamp) -> Option<Serial> {
        let serial = self.calls.due(now).next()?;
        self.calls.change(serial, |call| call.deadline = None)?;
        Some(serial)
    }

    /// A call's deadline has come.
    fn expire(&mut self, now: Timestamp, serial: Serial, out: &mut Vec<Event>) {
        let Some(call) = self.calls.get(serial) else { return };
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
        self.connections.sweep(now, limit);
        self.tombstones.sweep(now);
        self.strangers.sweep(now);
    }
}
