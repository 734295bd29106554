//! Calls met by their traffic: they were up before the agent, or their control connection is not
//! visible here.
//!
//! A flow that belongs to no known call is a stranger. After a short wait for its other half, the
//! two are joined: by their addresses when only one pair is possible, else by the acknowledgements
//! that one half carries for the sequence numbers of the other (RFC 2637, section 4.1). What
//! remains single becomes a call of which one call id is known.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Correlator;
use super::call::{Call, Serial};
use crate::event::session::{Cause, Phase};
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
const MAX_TOMBSTONES: usize = 4096;
/// An acknowledgement this close to the highest sequence number may belong to it.
const ACK_DISTANCE: u32 = 1024;

/// Flows that belong to no known call.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    flows: BTreeMap<FlowKey, Stranger>,
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
            }
        } else if self.flows.len() < MAX_STRANGERS {
            self.flows.insert(key, Stranger { since: at, seen: at, direction, flow: *flow });
        }
    }

    pub(super) fn forget(&mut self, key: &FlowKey) {
        self.flows.remove(key);
    }

    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        self.flows.values().map(|stranger| stranger.since + PAIRING_WAIT).min()
    }

    /// Strangers that have waited long enough, or whose other half is there.
    fn ready(&self, now: Timestamp) -> Vec<FlowKey> {
        self.flows
            .iter()
            .filter(|(key, stranger)| {
                stranger.since + PAIRING_WAIT <= now || self.other_half(key, &stranger.flow).is_some()
            })
            .map(|(key, _)| *key)
            .collect()
    }

    pub(super) fn sweep(&mut self, now: Timestamp) {
        self.flows.retain(|_, stranger| stranger.seen + TOMBSTONE_TIME > now);
    }

    /// The only possible other half of `key`, or the one whose numbers fit.
    fn other_half(&self, key: &FlowKey, flow: &Flow) -> Option<FlowKey> {
        let is_reverse = |other: &FlowKey| other.source == key.destination && other.destination == key.source;
        let candidates: Vec<_> = self.flows.iter().filter(|(other, _)| is_reverse(other)).collect();
        let has_rivals = self
            .flows
            .keys()
            .any(|other| other.source == key.source && other.destination == key.destination && other != key);
        let is_only_choice = candidates.len() == 1 && !has_rivals;
        candidates
            .into_iter()
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

/// Flows of calls that ended, so that their last packets do not look like new calls.
#[derive(Debug, Default)]
pub(super) struct Tombstones {
    ended: BTreeMap<FlowKey, Timestamp>,
}

impl Tombstones {
    pub(super) fn bury(&mut self, at: Timestamp, key: FlowKey) {
        if self.ended.len() >= MAX_TOMBSTONES {
            self.sweep(at);
        }
        if self.ended.len() < MAX_TOMBSTONES {
            self.ended.insert(key, at);
        }
    }

    pub(super) fn contains(&self, key: &FlowKey) -> bool {
        self.ended.contains_key(key)
    }

    pub(super) fn raise(&mut self, key: &FlowKey) {
        self.ended.remove(key);
    }

    pub(super) fn sweep(&mut self, now: Timestamp) {
        self.ended.retain(|_, at| *at + TOMBSTONE_TIME > now);
    }
}

impl Correlator {
    /// Counters of one direction.
    pub(super) fn flow(&mut self, at: Timestamp, key: FlowKey, direction: Direction, flow: &Flow) {
        if let Some(call) = self.flows.get(&key).and_then(|serial| self.calls.get_mut(serial)) {
            let sender = call.sender_on(&key);
            if !call.traffic.follows(sender, direction) {
                return;
            }
            if flow.packets != call.traffic.of(sender).packets {
                call.last_seen = call.last_seen.max(at);
            }
            call.traffic.update(sender, flow);
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
            let Some(stranger) = self.strangers.flows.remove(&key) else { continue };
            let sender = self.sender_of(key, stranger.direction);
            if let Some(serial) = self.half_call(key, sender) {
                self.assign_id(now, serial, sender.peer(), key.call_id, out);
                self.flow(now, key, stranger.direction, &stranger.flow);
                continue;
            }
            let other = self.strangers.other_half(&key, &stranger.flow);
            let other = other.and_then(|other| Some((other, self.strangers.flows.remove(&other)?)));
            self.adopt(now, key, &stranger, other, out);
        }
    }

    /// Which end sends on a flow that belongs to no known call. This host is the VPN host: what
    /// comes in is from a client, unless a control connection between the two says otherwise.
    pub(super) fn sender_of(&self, flow: FlowKey, direction: Direction) -> Party {
        self.role_of(flow.source, flow.destination).unwrap_or(match direction {
            Direction::Egress => Party::Server,
            Direction::Ingress => Party::Client,
        })
    }

    /// The call between these ends whose other half is known and this one is not, if there is only
    /// one.
    pub(super) fn half_call(&self, flow: FlowKey, sender: Party) -> Option<Serial> {
        let mut halves = self.calls.iter().filter(|(_, call)| {
            (call.address(sender), call.address(sender.peer())) == (flow.source, flow.destination)
                && call.call_id(sender.peer()).is_none()
                && call.call_id(sender).is_some()
        });
        match (halves.next(), halves.next()) {
            (Some((serial, _)), None) => Some(*serial),
            _ => None,
        }
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
        call.connection = self.only_connection_between(client, server);
        call.client_port = call.connection.map(|key| key.client.port());
        let halves = [Some((sender, stranger)), other.as_ref().map(|(_, half)| (sender.peer(), half))];
        for (from, half) in halves.into_iter().flatten() {
            call.traffic.follows(from, half.direction);
            call.traffic.update(from, &half.flow);
        }
        let carries_data = call.traffic.carries_data();
        self.insert(now, serial, call, out);
        if carries_data {
            self.advance_to(now, serial, Phase::Up, Cause::TrafficSeen, None, out);
        }
    }
}
