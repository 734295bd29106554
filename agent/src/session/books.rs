//! The books of each call: its counters, stage by stage, against each other and the named losses.

use std::collections::BTreeMap;

use pptpscope_common::drop::Reason;

use super::Correlator;
use super::call::{Call, Serial};
use crate::books::segment::{Look, Segment};
use crate::event::books::{Books, Datapath, HostBooks, Loss, Side, Stage, StageBook};
use crate::event::drop::{Drop, DropReason};
use crate::event::{Body, Event, Party, Severity};
use crate::observation::{CallCounts, Direction, FlowKey, UnitCounts};
use crate::seldom::seldom;
use crate::time::Timestamp;

/// Sums over all calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// User traffic that came from the network.
    pub received: u64,
    /// User traffic that came from ppp interfaces.
    pub sent: u64,
    /// What is missing without a reason.
    pub unaccounted: u64,
}

/// Counters that belong to no call yet, or are told by interface.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Of the ppp interfaces, by index.
    units: BTreeMap<u32, Unit>,
    calls: BTreeMap<FlowKey, CallCounts>,
    drops_at: Timestamp,
    /// Of calls that ended.
    ended: Sums,
    /// The same, stage by stage.
    host: Vec<HostBooks>,
}

/// A ppp interface.
#[derive(Clone, Copy, Debug)]
struct Unit {
    /// When it was first seen.
    since: Timestamp,
    /// The first call that was joined to it. A unit of `pppd persist` has several.
    first: Option<Serial>,
    /// Its counters, and when they were read.
    counts: Option<(Timestamp, UnitCounts)>,
    /// It is no more; its last counts are those of a call that has not ended yet.
    is_gone: bool,
}

/// The books of one call.
#[derive(Clone, Debug)]
pub(super) struct CallBooks {
    /// Interface of its unit.
    pub(super) unit: Option<u32>,
    datapath: Datapath,
    received: Way,
    sent: Way,
    /// What was reported last.
    reported: Option<(Side, Side)>,
}

seldom!(CallBooks);

impl Default for CallBooks {
    fn default() -> Self {
        Self {
            unit: None,
            datapath: Datapath::Userspace,
            received: Way::new(&Stage::RECEIVED),
            sent: Way::new(&Stage::SENT),
            reported: None,
        }
    }
}

impl CallBooks {
    /// Adds these to the books of the host, when there are any.
    fn add_to(&self, host: &mut Vec<HostBooks>) {
        if self.unit.is_none() {
            return;
        }
        let index = host.iter().position(|known| known.datapath == self.datapath).unwrap_or_else(|| {
            let datapath = self.datapath;
            host.push(HostBooks { datapath, calls: 0, received: Side::default(), sent: Side::default() });
            host.len() - 1
        });
        if let Some(books) = host.get_mut(index) {
            books.calls += 1;
            books.received.add(self.received.side(), &Stage::RECEIVED);
            books.sent.add(self.sent.side(), &Stage::SENT);
        }
    }

    fn sides(&self) -> (Side, Side) {
        (self.received.side(), self.sent.side())
    }

    /// Whether they are kept, and are not as they were reported last.
    pub(super) fn have_moved(&self) -> bool {
        self.unit.is_some() && self.reported.as_ref() != Some(&self.sides())
    }

    fn sums(&self) -> Sums {
        Sums {
            received: self.received.entered(),
            sent: self.sent.entered(),
            unaccounted: self.received.unaccounted() + self.sent.unaccounted(),
        }
    }
}

type Counts = BTreeMap<Stage, u64>;

/// When the counters of a way were read.
#[derive(Clone, Copy)]
struct Times {
    flows: Timestamp,
    unit: Timestamp,
    drops: Timestamp,
}

impl Times {
    const fn of(&self, stage: Stage) -> Timestamp {
        match stage {
            Stage::Uplink => self.flows,
            _ => self.unit,
        }
    }
}

/// A segment, and the counters at its beginning.
#[derive(Clone, Copy, Debug, Default)]
struct Step {
    segment: Segment,
    entered: u64,
    left: u64,
    booked: u64,
    excused: u64,
    /// Of the missing packets.
    discarded: u64,
}

/// One direction through this host.
#[derive(Clone, Debug)]
struct Way {
    stages: &'static [Stage],
    counts: Counts,
    losses: BTreeMap<(Stage, Reason), u64>,
    steps: BTreeMap<(Stage, Stage), Step>,
    /// Stages that are compared with the next one, and are counted all the time.
    base: Option<Counts>,
}

impl Way {
    const fn new(stages: &'static [Stage]) -> Self {
        Self { stages, counts: Counts::new(), losses: BTreeMap::new(), steps: BTreeMap::new(), base: None }
    }

    fn position(&self, stage: Stage) -> usize {
        self.stages.iter().position(|other| *other == stage).unwrap_or(0)
    }

    fn book(&mut self, stage: Stage, reason: Reason, count: u64) {
        *self.losses.entry((stage, reason)).or_default() += count;
    }

    /// What was booked between two stages.
    fn booked(&self, from: Stage, to: Stage) -> u64 {
        let range = self.position(from)..self.position(to);
        let lost = self.losses.iter().filter(|((stage, _), _)| range.contains(&self.position(*stage)));
        lost.map(|(_, count)| count).sum()
    }

    /// Compares the counters. `is_fresh` says that all of them began with the call; else what they
    /// show now is where they begin.
    fn look(&mut self, counts: Counts, times: Times, is_fresh: bool, excused: u64) {
        let base = self.base.get_or_insert_with(|| if is_fresh { Counts::new() } else { counts.clone() });
        self.counts = counts
            .into_iter()
            .map(|(stage, count)| (stage, count.saturating_sub(base.get(&stage).copied().unwrap_or(0))))
            .collect();
        let is_balanced = |stage: &Stage| self.counts.contains_key(stage) && *stage != Stage::Decryption;
        let known: Vec<Stage> = self.stages.iter().copied().filter(is_balanced).collect();
        let always: Vec<Stage> = known.iter().copied().filter(|stage| !is_armed_only(*stage)).collect();
        let mut pairs: Vec<(Stage, Stage)> = always.windows(2).map(|pair| (pair[0], pair[1])).collect();
        // What armed probes count says on which side of them something is missing.
        pairs.extend(known.windows(2).map(|pair| (pair[0], pair[1])).filter(|pair| is_armed_only(pair.0)));
        for (from, to) in pairs {
            let entered = self.counts.get(&from).copied().unwrap_or(0);
            let left = self.counts.get(&to).copied().unwrap_or(0);
            let booked = self.booked(from, to);
            let excused = if to == Stage::Channel { excused } else { 0 };
            let step = self.steps.entry((from, to)).or_insert_with(|| {
                let zero = Step::default();
                if is_armed_only(from) { Step { entered, left, booked, excused, ..zero } } else { zero }
            });
            let look = Look {
                entered_at: times.of(from),
                left_at: times.of(to).min(times.drops),
                entered: entered.saturating_sub(step.entered),
                left: left.saturating_sub(step.left),
                booked: booked.saturating_sub(step.booked),
                excused: excused.saturating_sub(step.excused),
            };
            step.segment.look(&look);
            step.discarded = look.excused_missing();
        }
    }

    fn always(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(|((from, _), _)| !is_armed_only(*from)).map(|(_, step)| step)
    }

    fn unaccounted(&self) -> u64 {
        self.always().map(|step| step.segment.unaccounted()).sum()
    }

    fn entered(&self) -> u64 {
        self.stages.first().and_then(|first| self.counts.get(first)).copied().unwrap_or(0)
    }

    fn side(&self) -> Side {
        let known: Vec<Stage> =
            self.stages.iter().copied().filter(|stage| self.counts.contains_key(stage)).collect();
        let mut stages: Vec<StageBook> = known
            .iter()
            .map(|stage| {
                let step = self.steps.iter().find(|((from, _), _)| from == stage).map(|(_, step)| step);
                let discarded = step.map_or(0, |step| step.discarded);
                let lost = (discarded > 0 && !is_armed_only(*stage))
                    .then_some(Loss { reason: DropReason(Reason::DaemonDiscarded), packets: discarded });
                StageBook {
                    stage: *stage,
                    packets: self.counts.get(stage).copied().unwrap_or(0),
                    lost: lost.into_iter().collect(),
                    unaccounted: step.map_or(0, |step| step.segment.unaccounted()),
                }
            })
            .collect();
        for ((stage, reason), packets) in &self.losses {
            // Where the stage before is not counted, the last one that is.
            let at = known.iter().rposition(|known| self.position(*known) <= self.position(*stage));
            if let Some(book) = at.and_then(|at| stages.get_mut(at)) {
                book.lost.push(Loss { reason: DropReason(*reason), packets: *packets });
            }
        }
        let is_compared = self.always().next().is_some();
        Side {
            stages,
            unaccounted: is_compared.then(|| self.unaccounted()),
            in_transit: self.always().map(|step| step.segment.in_transit()).sum(),
        }
    }
}

const fn is_armed_only(stage: Stage) -> bool {
    matches!(stage, Stage::Delivered | Stage::Pty)
}

impl Correlator {
    /// A ppp interface was seen.
    pub(super) fn unit_seen(&mut self, at: Timestamp, index: u32) {
        let unit = Unit { since: at, first: None, counts: None, is_gone: false };
        let known = self.ledger.units.entry(index).or_insert(unit);
        if known.is_gone {
            *known = unit;
        }
    }

    /// An interface is gone. The last counts of a unit stay until its call ends.
    pub(super) fn interface_gone(&mut self, index: u32) {
        let call = self.interfaces.name(index).and_then(|name| self.calls.on_interface(name));
        let is_wanted =
            call.and_then(|serial| self.calls.get(serial)).is_some_and(|call| call.books.unit == Some(index));
        match self.ledger.units.get_mut(&index) {
            Some(unit) if is_wanted => unit.is_gone = true,
            _ => {
                self.ledger.units.remove(&index);
            }
        }
        self.interfaces.remove(index);
    }

    /// The call is that of this unit.
    pub(super) fn join_unit(&mut self, serial: Serial, index: u32) {
        if let Some(name) = self.interfaces.name(index) {
            self.calls.set_interface(serial, name);
            self.calls.change(serial, |call| call.books.unit = Some(index));
        }
        if let Some(unit) = self.ledger.units.get_mut(&index) {
            unit.first.get_or_insert(serial);
        }
    }

    pub(super) fn unit_counts(&mut self, at: Timestamp, counts: &UnitCounts) {
        // Of an interface that nobody reported, nobody would report the end.
        if let Some(unit) = self.ledger.units.get_mut(&counts.index).filter(|unit| !unit.is_gone) {
            unit.counts = Some((at, *counts));
        }
    }

    pub(super) fn call_counts(&mut self, counts: &CallCounts) {
        let Some(serial) = self.flows.get(&counts.flow).copied() else { return };
        if counts.socket_in.is_some() {
            self.calls.change(serial, |call| call.books.datapath = Datapath::Kernel);
        }
        // The socket knows its unit, whatever addresses say.
        let is_joined = self.calls.get(serial).is_some_and(|call| call.books.unit == counts.interface);
        if let Some(index) = counts.interface.filter(|_| !is_joined) {
            self.join_unit(serial, index);
        }
        self.ledger.calls.insert(counts.flow, *counts);
    }

    /// Books what was dropped on the call that it belonged to.
    pub(super) fn book_drop(&mut self, serial: Serial, drop: &Drop) {
        let reason = drop.reason.0;
        self.calls.change(serial, |call| {
            let is_sent = match drop.flow() {
                Some(flow) => call.traffic.sighted(call.sender_on(&flow)) == Some(Direction::Egress),
                None => Stage::sent_before(reason).is_some(),
            };
            if is_sent {
                if let Some(stage) = Stage::sent_before(reason) {
                    call.books.sent.book(stage, reason, drop.count);
                }
            } else if let Some(stage) = Stage::received_before(reason) {
                call.books.received.book(stage, reason, drop.count);
            }
        });
    }

    /// All counters were read: compares them.
    pub(super) fn look(&mut self, drops_at: Timestamp) {
        self.ledger.drops_at = self.ledger.drops_at.max(drops_at);
        for (serial, call) in self.calls.books_mut() {
            look_at(&self.ledger, serial, call);
        }
    }

    /// Whether counters are wanted for calls that are about to be reported for the last time.
    pub fn has_ending_calls(&self) -> bool {
        self.calls.iter().any(|(_, call)| call.books.unit.is_some() && call.phases.is_ending())
    }

    /// Sums over all calls, those that ended among them.
    pub fn books(&self) -> Sums {
        self.calls.iter().map(|(_, call)| call.books.sums()).fold(self.ledger.ended, |sum, call| Sums {
            received: sum.received + call.received,
            sent: sum.sent + call.sent,
            unaccounted: sum.unaccounted + call.unaccounted,
        })
    }

    /// What the books of all calls add up to stage by stage, those that ended among them.
    pub fn host_books(&self) -> Vec<HostBooks> {
        let mut host = self.ledger.host.clone();
        for (_, call) in self.calls.iter() {
            call.books.add_to(&mut host);
        }
        host
    }

    /// Appends the books of the call when they are kept and have changed, or in any case when `even_if_same`.
    pub(super) fn report_books(
        &mut self,
        now: Timestamp,
        serial: Serial,
        even_if_same: bool,
        out: &mut Vec<Event>,
    ) {
        let is_wanted = |call: &Call| (even_if_same && call.books.unit.is_some()) || call.books.have_moved();
        if self.calls.get(serial).is_some_and(is_wanted) {
            self.calls.change(serial, |call| call.books.reported = Some(call.books.sides()));
            out.extend(self.calls.get(serial).and_then(|call| self.books_event(now, call, false)));
        }
    }

    /// The last books of a call that ends.
    pub(super) fn close_books(
        &mut self,
        now: Timestamp,
        serial: Serial,
        call: &mut Call,
        out: &mut Vec<Event>,
    ) {
        look_at(&self.ledger, serial, call);
        out.extend(self.books_event(now, call, true));
        call.books.add_to(&mut self.ledger.host);
        let sums = call.books.sums();
        self.ledger.ended.received += sums.received;
        self.ledger.ended.sent += sums.sent;
        self.ledger.ended.unaccounted += sums.unaccounted;
        for flow in call.flows() {
            self.ledger.calls.remove(&flow);
        }
        if let Some(index) = call.books.unit.filter(|index| self.ledger.is_gone(*index)) {
            self.ledger.units.remove(&index);
        }
    }

    fn books_event(&self, now: Timestamp, call: &Call, is_final: bool) -> Option<Event> {
        call.books.unit?;
        let (received, sent) = (call.books.received.side(), call.books.sent.side());
        if received.stages.is_empty() && sent.stages.is_empty() {
            return None;
        }
        let unaccounted = received.unaccounted.unwrap_or(0) + sent.unaccounted.unwrap_or(0);
        let severity = if unaccounted > 0 { Severity::Warning } else { Severity::Info };
        let books = Books { datapath: call.books.datapath, received, sent, is_final };
        Some(self.event(now, severity, Some(call), Body::Books { books }))
    }
}

/// Compares the counters of one call.
fn look_at(ledger: &Ledger, serial: Serial, call: &mut Call) {
    let Some(interface) = call.books.unit.and_then(|index| ledger.units.get(&index)) else { return };
    let (Some((unit_at, unit)), Some(receiver)) = (interface.counts, receiver(call)) else { return };
    let (from_peer, to_peer) = (call.traffic.of(receiver.peer()), call.traffic.of(receiver));
    let in_kernel = call.flow_from(receiver.peer()).and_then(|flow| ledger.calls.get(&flow));
    let received = [
        (Stage::Uplink, Some(from_peer.data_packets())),
        (Stage::Delivered, in_kernel.and_then(|counts| counts.delivered)),
        (Stage::Socket, in_kernel.and_then(|counts| counts.socket_in)),
        (Stage::Channel, unit.channel_in),
        (Stage::Unit, unit.unit_in),
        (Stage::Decryption, unit.decryption_in),
        (
            Stage::Interface,
            unit.rx_packets.zip(unit.unit_control).map(|(packets, control)| packets.saturating_sub(control)),
        ),
    ];
    let sent = [
        (Stage::Unit, unit.unit_out),
        (Stage::Channel, unit.channel_out.filter(|_| call.books.datapath == Datapath::Kernel)),
        (Stage::Pty, unit.pty_out),
        (Stage::Uplink, Some(to_peer.data_packets())),
    ];
    let known = |counts: &[(Stage, Option<u64>)]| -> Counts {
        counts.iter().filter_map(|(stage, count)| Some((*stage, (*count)?))).collect()
    };
    // The counters began with the call, if it is the first one of the unit, and the unit is older than
    // no probe. It may be older than the call: pptp.ko's daemons make it before they dial.
    let is_fresh =
        interface.first == Some(serial) && unit.counted_since.is_some_and(|since| since <= interface.since);
    // A daemon sorts what comes out of order, and discards what comes too late or twice.
    let excused = match call.books.datapath {
        Datapath::Userspace => from_peer.duplicate + from_peer.reordered,
        Datapath::Kernel => 0,
    };
    let times = Times { flows: call.traffic.read_at(), unit: unit_at, drops: ledger.drops_at };
    let is_fresh = is_fresh || call.books.received.base.as_ref().is_some_and(BTreeMap::is_empty);
    call.books.received.look(known(&received), times, is_fresh, excused);
    call.books.sent.look(known(&sent), times, is_fresh, 0);
}

impl Ledger {
    fn is_gone(&self, index: u32) -> bool {
        self.units.get(&index).is_none_or(|unit| unit.is_gone)
    }
}

/// The end of the call that is this host: what it sends goes out here. None when both ends are
/// elsewhere, or nothing was seen yet.
fn receiver(call: &Call) -> Option<Party> {
    [Party::Client, Party::Server].into_iter().find(|party| {
        call.traffic.sighted(*party) == Some(Direction::Egress)
            || call.traffic.sighted(party.peer()) == Some(Direction::Ingress)
    })
}
