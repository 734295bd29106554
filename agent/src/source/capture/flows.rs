//! The flow map of a capture: what the kernel programs count of each direction of each call
//! (`agent-ebpf`, `flow.rs` and `fragment.rs`), counted from packets of a file.

use std::collections::{HashMap, VecDeque};
use std::net::Ipv4Addr;

use foldhash::fast::RandomState;
use pptpscope_common::{Flow, FragmentKey, PEER_KNOWN, Refusal};

use super::gre::Packet;
use super::table::{Entry, Table};
use crate::event::Party;
use crate::observation::FlowKey;

/// Fragmented datagrams remembered, the oldest go first; the kernel's map holds as many.
const MAX_FRAGMENTED: usize = 4096;
/// Flows that are not packed: as many as have packets within a moment.
const MAX_OPEN: usize = 2048;

/// All flows, in the order in which they were met: iterating gives the same order every time.
#[derive(Debug)]
pub(super) struct Flows {
    entries: Table,
    index: HashMap<FlowKey, u32, RandomState>,
    limit: usize,
    /// Call id of the other direction.
    peers: HashMap<FlowKey, u16, RandomState>,
    fragmented: HashMap<FragmentKey, FlowKey, RandomState>,
    fragmented_order: VecDeque<FragmentKey>,
    senders: HashMap<(Ipv4Addr, Ipv4Addr), Party, RandomState>,
}

impl Flows {
    /// Holds `limit` flows at most.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            entries: Table::new(MAX_OPEN),
            index: HashMap::default(),
            limit: limit.min(u32::MAX as usize),
            peers: HashMap::default(),
            fragmented: HashMap::default(),
            fragmented_order: VecDeque::new(),
            senders: HashMap::default(),
        }
    }

    /// Books a packet that is no later fragment. `bytes` is its IPv4 total length.
    #[inline]
    pub(super) fn book(
        &mut self,
        key: FlowKey,
        at_ns: u64,
        bytes: u64,
        fragment: Option<FragmentKey>,
        packet: &Packet,
    ) -> Result<(), Refusal> {
        if let Some(fragment) = fragment {
            self.remember(fragment, key);
        }
        let index = match self.index.get(&key) {
            Some(index) => *index as usize,
            None => self.open(key, at_ns).ok_or(Refusal::FlowsFull)?,
        };
        let Some(flow) = self.entries.flow(index) else { return Ok(()) };
        flow.packets += 1;
        flow.bytes += bytes;
        flow.last_ns = at_ns;
        flow.fragments += u64::from(fragment.is_some());
        let mut samples = false;
        if let Some(number) = packet.sequence {
            let is_newest = flow.record_payload(number, packet.payload_bytes, packet.content);
            samples = is_newest && flow.may_sample(at_ns, true);
        }
        let mut ends = false;
        if let Some(number) = packet.ack {
            flow.last_ack = number;
            flow.acks += 1;
            flow.ack_only += u64::from(packet.sequence.is_none());
            ends = flow.awaited.is_answered_by(number);
        }
        if samples && let Some(number) = packet.sequence {
            self.begin_sample(index, key, number, at_ns);
        }
        if ends && let Some(ack) = packet.ack {
            let other = self.other_direction(index, key);
            if let Some((flow, other)) = self.entries.two(index, other) {
                flow.end_sample(other, ack, at_ns);
            }
        }
        Ok(())
    }

    /// Begins to wait for the acknowledgement of `number`, once the other direction is known.
    fn begin_sample(&mut self, index: usize, key: FlowKey, number: u32, at_ns: u64) {
        let Some(flow) = self.entries.flow(index) else { return };
        if flow.peer == 0 {
            let Some(call_id) = self.peers.get(&key) else { return };
            flow.peer = PEER_KNOWN | u32::from(*call_id);
        }
        let other = self.other_direction(index, key);
        if let Some((flow, Some(other))) = self.entries.two(index, other) {
            flow.begin_sample(other, number, at_ns);
        }
    }

    fn other_direction(&mut self, index: usize, key: FlowKey) -> Option<usize> {
        let call_id = self.entries.flow(index)?.peer as u16;
        let key = FlowKey { source: key.destination, destination: key.source, call_id };
        self.index.get(&key).map(|index| *index as usize)
    }

    /// Notes that two flows are the directions of one call.
    pub(super) fn pair(&mut self, one: FlowKey, other: FlowKey) {
        for (from, to) in [(one, other), (other, one)] {
            if self.peers.len() < self.limit || self.peers.contains_key(&from) {
                self.peers.insert(from, to.call_id);
            }
        }
    }

    /// Books a later fragment on the flow of its first one.
    pub(super) fn book_fragment(&mut self, fragment: FragmentKey, bytes: u64) -> Result<(), Refusal> {
        let index = self.fragmented.get(&fragment).and_then(|key| self.index.get(key));
        let flow = index.and_then(|index| self.entries.flow(*index as usize));
        let flow = flow.ok_or(Refusal::FragmentUnmatched)?;
        flow.bytes += bytes;
        flow.fragments += 1;
        Ok(())
    }

    #[cold]
    fn open(&mut self, key: FlowKey, at_ns: u64) -> Option<usize> {
        if self.entries.len() >= self.limit {
            return None;
        }
        let sender = self.sender(&key);
        let flow = Flow { first_ns: at_ns, ..Flow::default() };
        let index = self.entries.push(Entry { key, sender, flow });
        self.index.insert(key, index as u32);
        Some(index)
    }

    /// Which end sends `key`. Between two addresses that nothing is known of, the one that was seen
    /// first is the client.
    pub(super) fn sender(&mut self, key: &FlowKey) -> Party {
        if let Some(party) = self.senders.get(&(key.source, key.destination)) {
            return *party;
        }
        self.set_sender(key, Party::Client);
        Party::Client
    }

    /// What a packet of `key` tells about who sends it, for the flows that come after.
    pub(super) fn set_sender(&mut self, key: &FlowKey, sender: Party) {
        let known = self.senders.get(&(key.source, key.destination)) == Some(&sender);
        if !known && self.senders.len() < 2 * self.limit {
            self.senders.insert((key.source, key.destination), sender);
            self.senders.insert((key.destination, key.source), sender.peer());
        }
    }

    fn remember(&mut self, fragment: FragmentKey, key: FlowKey) {
        if self.fragmented.insert(fragment, key).is_none() {
            self.fragmented_order.push_back(fragment);
            if self.fragmented_order.len() > MAX_FRAGMENTED
                && let Some(oldest) = self.fragmented_order.pop_front()
            {
                self.fragmented.remove(&oldest);
            }
        }
    }

    /// A copy of a flow, where it is there.
    pub(super) fn get(&self, key: &FlowKey) -> Option<Entry> {
        self.entries.get(*self.index.get(key)? as usize)
    }

    /// Copies of all flows.
    pub(super) fn iter(&self) -> impl Iterator<Item = Entry> {
        self.entries.iter()
    }

    /// How many there are.
    pub(super) const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Takes a flow out.
    pub(super) fn remove(&mut self, key: &FlowKey) {
        self.peers.remove(key);
        let Some(index) = self.index.remove(key) else { return };
        if let Some(moved) = self.entries.swap_remove(index as usize) {
            self.index.insert(moved, index);
        }
    }
}
