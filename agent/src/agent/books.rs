//! The counters of the books: reads them, one look after the other, and arms the probes that fire
//! for every packet when a difference stays.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use pptpscope_common::passage::{PassageKey, UnitPassage};
use tokio::time::Instant;
use tracing::{info, warn};

use super::{Agent, Error};
use crate::books::arming::{Arming, Limits, Order, Why};
use crate::event::agent::{ArmReason, Armed, DisarmReason, Disarmed};
use crate::event::{Body, Severity};
use crate::kernel::{LinkStats, ppp_stats};
use crate::observation::{CallCounts, Clock, Direction, FlowKey, Observation, Origin, UnitCounts, What};
use crate::source::kernel::{KernelClock, flow};
use crate::time::Timestamp;

/// How long after a report the counters are read again: what was under way then has come.
const AGAIN: Duration = Duration::from_secs(1);

/// What the agent remembers between two looks.
#[derive(Debug)]
pub(super) struct Books {
    arming: Arming,
    limits: Limits,
    is_deep: bool,
    /// When the counters are read again.
    again: Option<Instant>,
    /// When drops were last read to the end.
    pub(super) drops_at: Timestamp,
    /// Since when which probes count.
    since: BTreeMap<&'static str, Timestamp>,
    armed_at: Option<(Timestamp, u64)>,
    /// Whether netlink was said to give no statistics.
    said_blind: bool,
}

/// Probes that count for the books.
const INPUT: &str = "path_ppp_input";
const FRAME: &str = "path_ppp_frame";
const MPPE: &str = "path_mppe_in";
const XMIT: &str = "path_ppp_xmit";
const PPTP_XMIT: &str = "path_pptp_xmit";
const PPTP_CORE: &str = "path_pptp_core";
const DELIVER: &str = "path_deliver";
const PTY: &str = "path_pty_sent";
const COUNTING: [&str; 8] = [INPUT, FRAME, MPPE, XMIT, PPTP_XMIT, PPTP_CORE, DELIVER, PTY];

impl Books {
    pub(super) fn new(is_deep: bool) -> Self {
        let limits = Limits::default();
        Self {
            arming: Arming::new(limits, is_deep),
            limits,
            is_deep,
            again: None,
            drops_at: Timestamp::default(),
            since: BTreeMap::new(),
            armed_at: None,
            said_blind: false,
        }
    }

    pub(super) const fn is_armed(&self) -> bool {
        self.arming.is_armed()
    }

    /// The count of a probe, when it counts.
    fn counted(&self, probe: &str, count: u64) -> Option<u64> {
        self.since.contains_key(probe).then_some(count)
    }
}

impl Agent {
    /// Notes which probes count from now on.
    pub(super) fn note_probes(&mut self) {
        let now = KernelClock::now();
        for probe in COUNTING {
            if self.kernel.is_attached(probe) {
                self.books.since.entry(probe).or_insert(now);
            } else {
                self.books.since.remove(probe);
            }
        }
    }

    /// Arms from the start, when the user asked for it.
    pub(super) fn arm_deep(&mut self) -> Result<(), Error> {
        if self.books.is_deep { self.arm(ArmReason::Deep, 0) } else { Ok(()) }
    }

    /// Reads every counter but those of the flow map, which is read next.
    pub(super) fn read_units(&mut self) -> Result<(), Error> {
        let now = KernelClock::now();
        let mut counted = BTreeSet::new();
        for (key, passage) in self.kernel.calls()? {
            let flow = flow_key(&key);
            counted.insert(flow);
            let counts = CallCounts {
                flow,
                socket_in: self.books.counted(PPTP_CORE, passage.socket_in).filter(|count| *count > 0),
                delivered: self.books.counted(DELIVER, passage.delivered),
                interface: Some(passage.ifindex).filter(|index| *index != 0),
            };
            self.observe_count(now, What::Call(counts));
        }
        if self.books.since.contains_key(DELIVER) {
            // The kernel makes an entry for the first packet: of a call without one nothing was delivered.
            for (key, _) in self.kernel.flows()? {
                let flow = FlowKey {
                    source: key.source.into(),
                    destination: key.destination.into(),
                    call_id: key.call_id,
                };
                if key.direction == Direction::Ingress as u8 && counted.insert(flow) {
                    let counts = CallCounts { flow, socket_in: None, delivered: Some(0), interface: None };
                    self.observe_count(now, What::Call(counts));
                }
            }
        }
        let stats = self.link_stats();
        let mut passages: BTreeMap<u32, UnitPassage> = self.kernel.units()?.into_iter().collect();
        for (index, stats) in &stats {
            let passage = passages.remove(index).unwrap_or_default();
            let counts = self.unit_counts(*index, &passage, Some(*stats));
            self.observe_count(KernelClock::now(), What::Unit(counts));
        }
        Ok(())
    }

    /// Tells that all counters were read.
    pub(super) fn complete_look(&mut self) {
        let drops_at = self.books.drops_at;
        self.observe_count(KernelClock::now(), What::Look { drops_at });
    }

    /// A report was written: the counters are read once more, soon.
    pub(super) fn look_again_soon(&mut self) {
        self.books.again = Some(Instant::now() + AGAIN);
    }

    /// A look between reports, where one is due.
    pub(super) fn look_if_due(&mut self) -> Result<(), Error> {
        let is_due = self.books.again.is_some_and(|due| due <= Instant::now());
        if !is_due && !self.correlator.has_ending_calls() {
            return self.decide_arming();
        }
        if is_due {
            self.books.again = None;
        }
        self.look()?;
        self.decide_arming()
    }

    /// Reads all counters and compares them.
    fn look(&mut self) -> Result<(), Error> {
        self.read_units()?;
        let now = KernelClock::now();
        for (key, counters) in self.kernel.flows()? {
            self.observe_count(now, flow(&key, counters, self.clock, now).what);
        }
        self.complete_look();
        self.write_events()
    }

    /// The last counts of a unit that is gone.
    pub(super) fn unit_gone(&mut self, index: u32, stats: Option<LinkStats>) {
        let passage = self.kernel.take_unit(index).unwrap_or_default();
        let counts = self.unit_counts(index, &passage, stats);
        self.observe_count(KernelClock::now(), What::Unit(counts));
    }

    /// Forgets the counts of directions that are over.
    pub(super) fn forget_calls(&mut self, flows: &[FlowKey]) {
        for flow in flows {
            self.kernel.remove_call(&PassageKey {
                source: flow.source.octets(),
                destination: flow.destination.octets(),
                call_id: flow.call_id,
                _pad: 0,
            });
        }
    }

    /// Takes the armed probes away before the agent ends.
    pub(super) fn disarm_at_end(&mut self) -> Result<(), Error> {
        if self.books.armed_at.is_some() { self.disarm(DisarmReason::End) } else { Ok(()) }
    }

    fn unit_counts(&self, index: u32, passage: &UnitPassage, stats: Option<LinkStats>) -> UnitCounts {
        let books = &self.books;
        let since = [INPUT, FRAME, XMIT].iter().map(|probe| books.since.get(probe).copied());
        UnitCounts {
            index,
            // None as soon as one of them does not count.
            counted_since: since.collect::<Option<Vec<_>>>().and_then(|since| since.into_iter().max()),
            channel_in: books.counted(INPUT, passage.channel_in),
            unit_in: books.counted(FRAME, passage.unit_in),
            unit_control: books.counted(FRAME, passage.unit_control),
            decryption_in: books.counted(MPPE, passage.mppe_in),
            unit_out: books.counted(XMIT, passage.unit_out),
            channel_out: books.counted(PPTP_XMIT, passage.channel_out),
            pty_out: books.counted(PTY, passage.pty_out),
            rx_packets: stats.map(|stats| stats.rx_packets),
        }
    }

    fn link_stats(&mut self) -> BTreeMap<u32, LinkStats> {
        match ppp_stats() {
            Ok(stats) => stats,
            Err(error) => {
                if !std::mem::replace(&mut self.books.said_blind, true) {
                    warn!("the books lack the counters of the ppp interfaces: {error}");
                }
                BTreeMap::new()
            }
        }
    }

    fn observe_count(&mut self, at: Timestamp, what: What) {
        let observation = Observation { at, clock: Clock::Agent, origin: Origin::Counters, what };
        self.correlator.observe(&observation, &mut self.events);
    }

    fn decide_arming(&mut self) -> Result<(), Error> {
        let fired = self.kernel.armed_fired()?;
        let unaccounted = self.correlator.books().unaccounted;
        match self.books.arming.decide(KernelClock::now(), unaccounted, fired) {
            Some(Order::Arm) => self.arm(ArmReason::Unaccounted, unaccounted),
            Some(Order::Disarm(Why::Time)) => self.disarm(DisarmReason::Time),
            Some(Order::Disarm(Why::Rate)) => self.disarm(DisarmReason::Rate),
            None => Ok(()),
        }
    }

    fn arm(&mut self, reason: ArmReason, unaccounted: u64) -> Result<(), Error> {
        let duration_ns = match reason {
            ArmReason::Unaccounted => u64::try_from(self.books.limits.duration.as_nanos()).ok(),
            ArmReason::Deep => None,
        };
        info!(?reason, unaccounted, "probes that fire for every packet are attached");
        self.books.armed_at = Some((KernelClock::now(), self.kernel.armed_fired()?));
        self.kernel.arm(true);
        self.note_probes();
        // What the new probes count is compared with the others from here on.
        self.look()?;
        let agent_armed = Armed { reason, unaccounted, duration_ns };
        self.write(Severity::Notice, Body::AgentArmed { agent_armed })?;
        self.look_again_soon();
        self.report_status()
    }

    fn disarm(&mut self, reason: DisarmReason) -> Result<(), Error> {
        self.kernel.arm(false);
        self.note_probes();
        let (since, before) = self.books.armed_at.take().unwrap_or_default();
        let fired = self.kernel.armed_fired()?.saturating_sub(before);
        let armed_ns = KernelClock::now().ns_since(since);
        let unaccounted = self.correlator.books().unaccounted;
        info!(?reason, fired, "probes that fire for every packet are gone");
        let agent_disarmed = Disarmed { reason, armed_ns, fired, unaccounted };
        self.write(Severity::Notice, Body::AgentDisarmed { agent_disarmed })
    }
}

fn flow_key(key: &PassageKey) -> FlowKey {
    FlowKey { source: key.source.into(), destination: key.destination.into(), call_id: key.call_id }
}
