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
use super::call::Call;
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

    pub(super) fn sweep(&mut self, now: Timestamp) {
        self.flows.retain(|_, stranger| stranger.seen + TOMBSTONE_TIME > now);
    }

    /// The only possible other half of `key`, or the one whose numbers fit.
    fn other_half(&self, key: &FlowKey, flow: &Flow) -> Option<FlowKey> {
        let is_reverse = |other: &FlowKey| other.source == key.destination && other.destination == key.source;
        let candidates: Vec<_> = self.flows.iter().filter(|(other, _)| is_reverse(other)).collect();
        let rivals = self
            .flows
            .keys()
            .filter(|other| other.source == key.source && other.destination == key.destination)
            .count();
        if let ([(only, _)], 1) = (candidates.as_slice(), rivals) {
            return Some(**only);
        }
        candidates
            .into_iter()
            .filter_map(|(other, stranger)| Some((distance(flow, &stranger.flow)?, *other)))
            .min()
            .map(|(_, other)| other)
    }
}

/// How far the acknowledgements of each half are from the numbers of the other; None when they
/// cannot belong together.
fn distance(one: &Flow, other: &Flow) -> Option<u32> {
    let gap = |from: &Flow, to: &Flow| {
        if from.acks == 0 || !to.sequence.is_started() {
            return Some(0);
        }
        let gap = to.sequence.highest.wrapping_sub(from.last_ack).cast_signed().unsigned_abs();
        (gap <= ACK_DISTANCE).then_some(gap)
    };
    if one.acks == 0 && other.acks == 0 {
        return None;
    }
    Some(gap(one, other)? + gap(other, one)?)
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

    /// Makes calls of the strangers that have waited long enough.
    pub(super) fn adopt_strangers(&mut self, now: Timestamp, out: &mut Vec<Event>) {
        if self.strangers.next_deadline().is_none_or(|due| due > now) {
            return;
        }
        let waited: Vec<FlowKey> = self
            .strangers
            .flows
            .iter()
            .filter(|(_, stranger)| stranger.since + PAIRING_WAIT <= now)
            .map(|(key, _)| *key)
            .collect();
        for key in waited {
            // Its other half may have taken it along already.
            let Some(stranger) = self.strangers.flows.remove(&key) else { continue };
            let other = self.strangers.other_half(&key, &stranger.flow);
            let other = other.and_then(|other| Some((other, self.strangers.flows.remove(&other)?)));
            self.adopt(now, key, &stranger, other, out);
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
        // This host is the VPN host: what comes in is from a client, unless a control connection
        // between the two says otherwise.
        let sender = self.role_of(key.source, key.destination).unwrap_or({
            if stranger.direction == Direction::Egress { Party::Server } else { Party::Client }
        });
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
