//! Calls met by their traffic: they were up before the agent, or their control connection is not
//! visible here.
//!
//! A flow that belongs to no known call is a stranger. After a short wait for its other half, the
//! two are joined: by their addresses when only one pair is possible, else by the acknowledgements
//! that one half carries for the sequence numbers of the other (RFC 2637, section 4.1). What
//! remains single becomes a call of which one call id is known.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use super::Correlator;
use super::call::{Call, Serial};
use crate::event::session::{Cause, Origin, Phase};
use crate::event::{Event, Party};
use crate::observation::{Direction, Flow, FlowKey};
use crate::time::Timestamp;

/// How long a stranger waits for its other half.
const PAIRING_WAIT: Duration = Duration::from_secs(3);
/// Strangers held at most; the kernel's map bounds them too.
const MAX_STRANGERS: usize = 8192;
/// How long packets of an ended call are still known as such.
const TOMBSTONE_TIME: Duration = Duration::from_secs(60);
/// Ended flows remembered at most.
const MAX_TOMBSTONES: usize = 32_768;
/// An acknowledgement this close to the highest sequence number may belong to it.
const ACK_DISTANCE: u32 = 1024;

/// Flows that belong to no known call. One that does not fit is seen again with the next counters.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    /// Those of one direction between two addresses are neighbours here.
    flows: BTreeMap<FlowKey, Stranger>,
    /// In the order in which their waits end.
    waiting: BTreeSet<(Timestamp, FlowKey)>,
    /// Seen since the last look for pairs.
    fresh: BTreeSet<FlowKey>,
    /// Flows that were compared with another, for the tests.
    #[cfg(test)]
    pub(super) compared: std::cell::Cell<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Stranger {
    since: Timestamp,
    seen: Timestamp,
    direction: Direction,
    flow: Flow,
}

impl Strangers {
    fn see(&mut self, at: Timestamp, key: FlowKey, direction: Direction, flow: &Flow) {
        if let Some(known) = self.flows.get_mut(&key) {
            if known.direction == direction {
                known.seen = at;
                known.flow = *flow;
                self.fresh.insert(key);
            }
        } else if self.flows.len() < MAX_STRANGERS {
            self.flows.insert(key, Stranger { since: at, seen: at, direction, flow: *flow });
            self.waiting.insert((at, key));
            self.fresh.insert(key);
        }
    }

    /// Takes a flow out: its call is known.
    pub(super) fn forget(&mut self, key: &FlowKey) {
        self.remove(key);
    }

    fn remove(&mut self, key: &FlowKey) -> Option<Stranger> {
        let stranger = self.flows.remove(key)?;
        self.waiting.remove(&(stranger.since, *key));
        self.fresh.remove(key);
        Some(stranger)
    }

    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        self.waiting.first().map(|(since, _)| *since + PAIRING_WAIT)
    }

    /// Strangers that have waited long enough, and new ones whose other half is there beyond doubt.
    fn ready(&mut self, now: Timestamp) -> BTreeSet<FlowKey> {
        let fresh = std::mem::take(&mut self.fresh);
        let mut ready: BTreeSet<_> = fresh.into_iter().filter(|key| self.is_one_of_two(key)).collect();
        let waited = self.waiting.iter().take_while(|(since, _)| *since + PAIRING_WAIT <= now);
        ready.extend(waited.map(|(_, key)| *key));
        ready
    }

    pub(super) fn sweep(&mut self, now: Timestamp) {
        let gone = |stranger: &Stranger| stranger.seen + TOMBSTONE_TIME <= now;
        let old: Vec<_> =
            self.flows.iter().filter(|(_, stranger)| gone(stranger)).map(|(key, _)| *key).collect();
        for key in old {
            self.remove(&key);
        }
    }

    /// Flows from one address to another.
    fn between(
        &self,
        source: Ipv4Addr,
        destination: Ipv4Addr,
    ) -> impl Iterator<Item = (&FlowKey, &Stranger)> {
        let key = |call_id| FlowKey { source, destination, call_id };
        self.flows.range(key(0)..=key(u16::MAX))
    }

    /// Whether there are just this flow and one back between its addresses.
    fn is_alone(&self, key: &FlowKey) -> bool {
        let is_single = |source, destination| self.between(source, destination).take(2).count() == 1;
        is_single(key.source, key.destination) && is_single(key.destination, key.source)
    }

    fn is_one_of_two(&self, key: &FlowKey) -> bool {
        self.is_alone(key)
            && self.flows.get(key).is_some_and(|stranger| self.other_half(key, &stranger.flow).is_some())
    }

    /// The only possible other half of `key`, or the one whose numbers fit.
    fn other_half(&self, key: &FlowKey, flow: &Flow) -> Option<FlowKey> {
        let has_rivals =
            self.between(key.source, key.destination).filter(|(other, _)| *other != key).take(1).count() > 0;
        let is_only_choice = !has_rivals && self.between(key.destination, key.source).take(2).count() == 1;
        self.between(key.destination, key.source)
            .inspect(|_| {
                #[cfg(test)]
                self.compared.set(self.compared.get() + 1);
            })
            .filter_map(|(other, stranger)| Some((distance(flow, &stranger.flow)?, *other)))
            // Where there is a choice, silence is no evidence.
            .filter(|((evidence, _), _)| is_only_choice || *evidence > 0)
            .min_by_key(|((_, distance), other)| (*distance, *other))
            .map(|(_, other)| other)
    }
}

/// How many of the two halves acknowledge the other, and how far from its numbers they do; None
/// when they cannot belong together.
fn distance(one: &Flow, other: &Flow) -> Option<(u32, u32)> {
    let mut sum = (0, 0);
    for (from, to) in [(one, other), (other, one)] {
        if from.acks > 0 && to.sequence.is_started() {
            let gap = to.sequence.highest.wrapping_sub(from.last_ack).cast_signed().unsigned_abs();
            if gap > ACK_DISTANCE {
                return None;
            }
            sum = (sum.0 + 1, sum.1 + gap);
        }
    }
    Some(sum)
}

/// Flows of calls that ended, so that their last packets do not look like new calls. The oldest makes
/// room.
#[derive(Debug, Default)]
pub(super) struct Tombstones {
    ended: BTreeMap<FlowKey, Timestamp>,
    by_age: BTreeSet<(Timestamp, FlowKey)>,
}

impl Tombstones {
    pub(super) fn bury(&mut self, at: Timestamp, key: FlowKey) {
        self.raise(&key);
        if self.ended.len() >= MAX_TOMBSTONES
            && let Some((_, oldest)) = self.by_age.first().copied()
        {
            self.raise(&oldest);
        }
        self.ended.insert(key, at);
        self.by_age.insert((at, key));
    }

    pub(super) fn contains(&self, key: &FlowKey) -> bool {
        self.ended.contains_key(key)
    }

    pub(super) fn raise(&mut self, key: &FlowKey) {
        if let Some(at) = self.ended.remove(key) {
            self.by_age.remove(&(at, *key));
        }
    }

    pub(super) fn sweep(&mut self, now: Timestamp) {
        while let Some((at, oldest)) = self.by_age.first().copied()
            && at + TOMBSTONE_TIME <= now
        {
            self.raise(&oldest);
        }
    }
}

#[cfg(test)]
impl Strangers {
    pub(super) fn is_sound(&self) -> bool {
        let waiting: BTreeSet<_> = self.flows.iter().map(|(key, stranger)| (stranger.since, *key)).collect();
        waiting == self.waiting && self.fresh.iter().all(|key| self.flows.contains_key(key))
    }
}

impl Correlator {
    /// Counters of one direction.
    pub(super) fn flow(
        &mut self,
        at: Timestamp,
        key: FlowKey,
        direction: Direction,
        flow: &Flow,
        out: &mut Vec<Event>,
    ) {
        if let Some(serial) = self.flows.get(&key).copied() {
            let goes_up = self.calls.change(serial, |call| {
                let sender = call.sender_on(&key);
                if !call.traffic.follows(sender, direction) {
                    return false;
                }
                if flow.packets != call.traffic.of(sender).packets {
                    call.last_seen = call.last_seen.max(at);
                }
                call.traffic.update(at, sender, flow);
                call.silence.update(sender, flow);
                // Its negotiation was not seen, or not all of it.
                call.origin == Origin::Traffic
                    && call.phases.current() < Phase::Up
                    && call.traffic.carries_data()
            });
            if goes_up == Some(true) {
                self.advance_to(at, serial, Phase::Up, Cause::TrafficSeen, None, out);
            }
        } else if self.tombstones.contains(&key) {
            self.released.push(key);
        } else {
            self.strangers.see(at, key, direction, flow);
        }
    }

    /// Finds the calls of the strangers.
    pub(super) fn adopt_strangers(&mut self, now: Timestamp, out: &mut Vec<Event>) {
        for key in self.strangers.ready(now) {
            // Its other half may have taken it along already.
            let Some(stranger) = self.strangers.remove(&key) else { continue };
            let sender = self.sender_of(key, stranger.direction);
            if let Some(serial) = self.half_call(key, sender) {
                self.assign_id(now, serial, sender.peer(), key.call_id, out);
                self.flow(now, key, stranger.direction, &stranger.flow, out);
                continue;
            }
            let other = self.strangers.other_half(&key, &stranger.flow);
            let other = other.and_then(|other| Some((other, self.strangers.remove(&other)?)));
            self.adopt(now, key, &stranger, other, out);
        }
    }

    /// Which end sends on a flow that belongs to no known call. This host is the VPN host: what
    /// comes in is from a client, unless a control connection between the two says otherwise.
    pub(super) fn sender_of(&self, flow: FlowKey, direction: Direction) -> Party {
        self.connections.role_of(flow.source, flow.destination).unwrap_or(match direction {
            Direction::Egress => Party::Server,
            Direction::Ingress => Party::Client,
        })
    }

    /// The call between these ends whose other half is known and this one is not, if there is only
    /// one.
    pub(super) fn half_call(&self, flow: FlowKey, sender: Party) -> Option<Serial> {
        let ends = match sender {
            Party::Client => (flow.source, flow.destination),
            Party::Server => (flow.destination, flow.source),
        };
        self.calls.only_half(ends, sender.peer())
    }

    fn adopt(
        &mut self,
        now: Timestamp,
        key: FlowKey,
        stranger: &Stranger,
        other: Option<(FlowKey, Stranger)>,
        out: &mut Vec<Event>,
    ) {
        let sender = self.sender_of(key, stranger.direction);
        let (client, server) = match sender {
            Party::Client => (key.source, key.destination),
            Party::Server => (key.destination, key.source),
        };
        if !self.make_room(now, out) {
            return;
        }
        let serial = self.take_serial();
        let mut call = Call::begin(now, Phase::Lcp, client, server, None, serial);
        let ids = [Some((sender, key)), other.map(|(other, _)| (sender.peer(), other))];
        for (from, key) in ids.into_iter().flatten() {
            match from {
                Party::Client => call.server_call_id = Some(key.call_id),
                Party::Server => call.client_call_id = Some(key.call_id),
            }
        }
        call.connection = self.connections.only_idle((client, server));
        call.client_port = call.connection.map(|key| key.client.port());
        let halves = [Some((sender, stranger)), other.as_ref().map(|(_, half)| (sender.peer(), half))];
        for (from, half) in halves.into_iter().flatten() {
            call.traffic.follows(from, half.direction);
            call.traffic.update(now, from, &half.flow);
            call.silence.update(from, &half.flow);
        }
        let carries_data = call.traffic.carries_data();
        self.insert(now, serial, call, out);
        if carries_data {
            self.advance_to(now, serial, Phase::Up, Cause::TrafficSeen, None, out);
        }
    }
}
