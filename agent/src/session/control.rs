//! The control connection: TCP segments to PPTP messages to phases (RFC 2637, chapters 2 and 3).

use std::net::Ipv4Addr;
use std::time::Duration;

use super::Correlator;
use super::call::{Call, ConnectionKey, Serial};
use super::connection::{Connection, identify};
use crate::event::control::{ControlGarbage, ControlMessage};
use crate::event::session::{Cause, Phase};
use crate::event::{Body, Event, Party, Severity};
use crate::observation::{FlowKey, Segment};
use crate::time::Timestamp;
use crate::wire::pptp::Message;
use crate::wire::stream::{Garbage, Item};
use crate::wire::tcp::Flags;

/// Result of every reply that accepts (RFC 2637, sections 2.2, 2.8 and 2.10).
const ACCEPTED: u8 = 1;

/// A SYN without an answer for this long is a failed connection; Linux retries for about 127 s
/// with growing pauses, the longest of which is 64 s.
const SYN_WAIT: Duration = Duration::from_secs(75);

impl Correlator {
    /// A TCP segment from or to port 1723.
    pub(super) fn segment(&mut self, at: Timestamp, segment: &Segment, out: &mut Vec<Event>) {
        let (key, sender) = identify(segment);
        let is_open_request = segment.flags.contains(Flags::SYN) && !segment.flags.contains(Flags::ACK);
        if is_open_request && sender == Party::Client {
            self.open_request(at, key, segment.sequence, out);
        }
        if !self.connections.contains_key(&key) && !self.join(at, key, segment.payload.is_empty()) {
            return;
        }
        let Some(connection) = self.connections.get_mut(&key) else { return };
        connection.last_seen = at;
        // What the other end acknowledges, it has: a gap in what we saw of it will not be filled.
        let answered =
            segment.acknowledgement.map(|ack| connection.streams.of_mut(sender.peer()).acknowledged(ack));
        let syn = segment.flags.contains(Flags::SYN);
        let mut items = connection.streams.of_mut(sender).segment(segment.sequence, syn, &segment.payload);
        if segment.flags.contains(Flags::FIN) || segment.flags.contains(Flags::RST) {
            items.extend(connection.streams.of_mut(sender).finish());
        }
        let calls = connection.calls.clone();
        for serial in &calls {
            if let Some(call) = self.calls.get_mut(serial) {
                call.last_seen = call.last_seen.max(at);
            }
        }
        if segment.flags.contains(Flags::SYN) && segment.flags.contains(Flags::ACK) && sender == Party::Server
        {
            for serial in calls {
                self.advance_to(at, serial, Phase::Control, Cause::TcpEstablished, Some(sender), out);
            }
        }
        for item in answered.into_iter().flatten() {
            self.item(at, key, sender.peer(), item, out);
        }
        for item in items {
            self.item(at, key, sender, item, out);
        }
        if segment.flags.contains(Flags::RST) {
            self.disconnect(at, key, Cause::TcpReset, sender, out);
        } else if segment.flags.contains(Flags::FIN) {
            self.finish_half(at, key, sender, out);
        }
    }

    /// Joins a connection whose beginning was not seen. It belongs to the call between its ends that
    /// was met by its traffic, if there is only one. Returns whether the connection is followed.
    fn join(&mut self, at: Timestamp, key: ConnectionKey, is_bare: bool) -> bool {
        let ends = (*key.client.ip(), *key.server.ip());
        let mut orphans = self
            .calls
            .iter()
            .filter(|(_, call)| call.connection.is_none() && (call.client, call.server) == ends);
        let orphan = match (orphans.next(), orphans.next()) {
            (Some((serial, _)), None) => Some(*serial),
            _ => None,
        };
        // A bare FIN or RST of a connection that nobody knows tells nothing.
        if is_bare && orphan.is_none() {
            return false;
        }
        if self.connections.len() >= self.config.max_sessions {
            self.evicted += 1;
            return false;
        }
        self.connections.insert(key, Connection::new(at));
        if let Some(serial) = orphan {
            self.bind(serial, key);
        }
        true
    }

    /// The call is on this connection.
    fn bind(&mut self, serial: Serial, key: ConnectionKey) {
        let Some(call) = self.calls.get_mut(&serial) else { return };
        let Some(connection) = self.connections.get_mut(&key) else { return };
        if call.connection.is_none() {
            call.connection = Some(key);
            call.client_port = Some(key.client.port());
            connection.calls.push(serial);
        }
    }

    /// SYN from a client: a new connection, unless it is the same SYN again.
    fn open_request(&mut self, at: Timestamp, key: ConnectionKey, isn: u32, out: &mut Vec<Event>) {
        if let Some(known) = self.connections.get(&key) {
            if known.client_isn == Some(isn) {
                for serial in known.calls.clone() {
                    self.rearm_syn_wait(at, serial);
                }
                return;
            }
            for serial in known.calls.clone() {
                self.begin_closing(at, serial, Cause::ConnectionReused, Some(Party::Client), out);
                self.end(at, serial, out);
            }
        }
        if !self.make_room(at, out) {
            return;
        }
        let mut connection = Connection::new(at);
        connection.client_isn = Some(isn);
        self.connections.insert(key, connection);
        let serial = self.begin_on(at, key, Phase::Tcp, out);
        self.rearm_syn_wait(at, serial);
    }

    /// A call in phase `tcp` waits for the answer to its (latest) SYN.
    fn rearm_syn_wait(&mut self, at: Timestamp, serial: Serial) {
        if let Some(call) = self.calls.get_mut(&serial)
            && call.phases.current() == Phase::Tcp
        {
            let before = call.deadline.replace(at + SYN_WAIT);
            self.reschedule(serial, before);
        }
    }

    /// Begins a call on a connection.
    fn begin_on(&mut self, at: Timestamp, key: ConnectionKey, phase: Phase, out: &mut Vec<Event>) -> Serial {
        let serial = self.take_serial();
        let call = Call::begin(at, phase, *key.client.ip(), *key.server.ip(), Some(key), serial);
        self.insert(at, serial, call, out);
        serial
    }

    fn item(&mut self, at: Timestamp, key: ConnectionKey, sender: Party, item: Item, out: &mut Vec<Event>) {
        let garbage = match item {
            Item::Message(message) => return self.message(at, key, sender, message, out),
            // The connection was met in the middle of a message, or its ports are used again.
            Item::Garbage { why: Garbage::Joined, .. } | Item::Restart => return,
            Item::Garbage { bytes, why } => ControlGarbage { sender, bytes, reason: why.to_string() },
            Item::Gap { bytes } => ControlGarbage { sender, bytes, reason: "not seen by the agent".into() },
        };
        let call = self.connections.get(&key).and_then(|connection| connection.calls.last());
        let call = call.and_then(|serial| self.calls.get(serial));
        let body = Body::ControlGarbage { control_garbage: garbage };
        out.push(self.event(at, Severity::Notice, call, body));
    }

    /// One PPTP control message.
    fn message(
        &mut self,
        at: Timestamp,
        key: ConnectionKey,
        sender: Party,
        message: Message,
        out: &mut Vec<Event>,
    ) {
        let serial = self.call_of(at, key, sender, &message, out);
        if let Some(serial) = serial {
            self.bind(serial, key);
            if let Some(call) = self.calls.get_mut(&serial) {
                call.control_messages += 1;
            }
        }
        self.assign_ids(at, serial, sender, &message, out);
        let call = serial.and_then(|serial| self.calls.get(&serial));
        let severity = if is_refusal(&message) { Severity::Warning } else { Severity::Info };
        let body =
            Body::ControlMessage { control_message: ControlMessage { sender, message: message.clone() } };
        out.push(self.event(at, severity, call, body));
        if let Some(serial) = serial {
            self.follow(at, key, serial, sender, &message, out);
        }
    }

    /// The call that a message is about. A request for a call begins one.
    fn call_of(
        &mut self,
        at: Timestamp,
        key: ConnectionKey,
        sender: Party,
        message: &Message,
        out: &mut Vec<Event>,
    ) -> Option<Serial> {
        let on_connection = |correlator: &Self, party: Party, call_id: u16| {
            let calls = &correlator.connections.get(&key)?.calls;
            let has_id = |serial: &&Serial| {
                correlator.calls.get(serial).is_some_and(|call| call.call_id(party) == Some(call_id))
            };
            // The newest first: an id may have been used before.
            calls.iter().rev().find(has_id).copied()
        };
        let by_id = |correlator: &Self, party: Party, call_id: u16| {
            on_connection(correlator, party, call_id).or_else(|| {
                // In mid-call the connection is not bound yet, but the id names a flow.
                let (receiver, other) = match party {
                    Party::Client => (key.client.ip(), key.server.ip()),
                    Party::Server => (key.server.ip(), key.client.ip()),
                };
                let flow = FlowKey { source: *other, destination: *receiver, call_id };
                correlator.flows.get(&flow).copied()
            })
        };
        match message {
            Message::OutgoingCallRequest(request) => {
                self.call_for_request(at, key, sender, request.call_id, out)
            }
            Message::IncomingCallRequest(request) => {
                self.call_for_request(at, key, sender, request.call_id, out)
            }
            Message::OutgoingCallReply(reply) => by_id(self, sender.peer(), reply.peer_call_id)
                .or_else(|| self.only_call_without_id(key, sender)),
            Message::IncomingCallReply(reply) => by_id(self, sender.peer(), reply.peer_call_id)
                .or_else(|| self.only_call_without_id(key, sender)),
            Message::IncomingCallConnected(connected) => by_id(self, sender.peer(), connected.peer_call_id),
            Message::CallClearRequest(clear) => by_id(self, sender, clear.call_id),
            Message::CallDisconnectNotify(notify) => by_id(self, sender, notify.call_id),
            Message::WanErrorNotify(notify) => by_id(self, sender.peer(), notify.peer_call_id),
            Message::SetLinkInfo(info) => by_id(self, sender.peer(), info.peer_call_id),
            Message::StartControlConnectionRequest(_) | Message::StartControlConnectionReply(_) => {
                let first = self.connections.get(&key)?.calls.first().copied();
                // The agent missed the SYN, or the connection had no call on it any more.
                if first.is_none() && self.make_room(at, out) {
                    return Some(self.begin_on(at, key, Phase::Control, out));
                }
                first
            }
            _ => self.connections.get(&key)?.calls.first().copied(),
        }
    }

    /// The call that a call request opens: the one that its connection began with, else a new one.
    /// The same request again (the segment was sent twice) finds the call it opened.
    fn call_for_request(
        &mut self,
        at: Timestamp,
        key: ConnectionKey,
        sender: Party,
        call_id: u16,
        out: &mut Vec<Event>,
    ) -> Option<Serial> {
        let calls = self.connections.get(&key).map(|connection| connection.calls.clone());
        for serial in calls.unwrap_or_default() {
            let Some(call) = self.calls.get(&serial) else { continue };
            let unanswered = call.call_id(sender.peer()).is_none() && !call.phases.is_ending();
            if unanswered && call.call_id(sender).is_none_or(|known| known == call_id) {
                return Some(serial);
            }
        }
        self.make_room(at, out).then(|| self.begin_on(at, key, Phase::Call, out))
    }

    /// The call of the connection that still waits for `party`'s id, if there is only one.
    fn only_call_without_id(&self, key: ConnectionKey, party: Party) -> Option<Serial> {
        let mut waiting = self.connections.get(&key)?.calls.iter().filter(|serial| {
            self.calls
                .get(serial)
                .is_some_and(|call| call.call_id(party).is_none() && !call.phases.is_ending())
        });
        match (waiting.next(), waiting.next()) {
            (Some(serial), None) => Some(*serial),
            _ => None,
        }
    }

    /// Call ids that a message assigns: each end names the id that it wants to receive on.
    fn assign_ids(
        &mut self,
        at: Timestamp,
        serial: Option<Serial>,
        sender: Party,
        message: &Message,
        out: &mut Vec<Event>,
    ) {
        let (own, peer) = match message {
            Message::OutgoingCallRequest(request) => (request.call_id, None),
            Message::IncomingCallRequest(request) => (request.call_id, None),
            Message::OutgoingCallReply(reply) if reply.result.number() == ACCEPTED => {
                (reply.call_id, Some(reply.peer_call_id))
            }
            Message::IncomingCallReply(reply) if reply.result.number() == ACCEPTED => {
                (reply.call_id, Some(reply.peer_call_id))
            }
            _ => return,
        };
        let Some(serial) = serial else { return };
        self.assign_id(at, serial, sender, own, out);
        if let Some(peer) = peer {
            self.assign_id(at, serial, sender.peer(), peer, out);
        }
    }

    /// `party` receives on `call_id` in this call.
    pub(super) fn assign_id(
        &mut self,
        at: Timestamp,
        serial: Serial,
        party: Party,
        call_id: u16,
        out: &mut Vec<Event>,
    ) {
        let Some(call) = self.calls.get_mut(&serial) else { return };
        let id = match party {
            Party::Client => &mut call.client_call_id,
            Party::Server => &mut call.server_call_id,
        };
        if *id == Some(call_id) {
            return;
        }
        *id = Some(call_id);
        if let Some(flow) = call.flow_from(party.peer()) {
            self.register(at, flow, serial, out);
        }
    }

    /// Books a flow on the call. A call that had it before is over: its ids are in use again.
    pub(super) fn register(&mut self, at: Timestamp, flow: FlowKey, serial: Serial, out: &mut Vec<Event>) {
        if let Some(other) = self.flows.get(&flow).copied().filter(|other| *other != serial) {
            self.begin_closing(at, other, Cause::CallIdReused, None, out);
            self.end(at, other, out);
        }
        self.tombstones.raise(&flow);
        self.strangers.forget(&flow);
        self.flows.insert(flow, serial);
    }

    /// What a message does to the phase of its call.
    fn follow(
        &mut self,
        at: Timestamp,
        key: ConnectionKey,
        serial: Serial,
        sender: Party,
        message: &Message,
        out: &mut Vec<Event>,
    ) {
        let by = Some(sender);
        match message {
            Message::StartControlConnectionRequest(_) => {
                self.advance_to(at, serial, Phase::Control, Cause::LaterPhaseSeen, by, out);
            }
            Message::StartControlConnectionReply(reply) if reply.result.number() == ACCEPTED => {
                self.advance_to(at, serial, Phase::Call, Cause::ControlEstablished, by, out);
            }
            Message::StartControlConnectionReply(_) => {
                self.begin_closing(at, serial, Cause::ControlRefused, by, out);
            }
            Message::OutgoingCallRequest(_) | Message::IncomingCallRequest(_) => {
                self.advance_to(at, serial, Phase::Call, Cause::LaterPhaseSeen, by, out);
            }
            Message::OutgoingCallReply(reply) => {
                self.answered(at, serial, reply.result.number() == ACCEPTED, sender, out);
            }
            Message::IncomingCallReply(reply) => {
                self.answered(at, serial, reply.result.number() == ACCEPTED, sender, out);
            }
            Message::CallClearRequest(_) => {
                self.begin_closing(at, serial, Cause::CallClearRequest, by, out);
            }
            Message::CallDisconnectNotify(_) => {
                self.begin_closing(at, serial, Cause::CallDisconnectNotify, by, out);
                self.close(at, serial, Cause::CallDisconnectNotify, by, out);
            }
            Message::StopControlConnectionRequest(_) => {
                for serial in self.calls_on(key) {
                    self.begin_closing(at, serial, Cause::StopControlConnectionRequest, by, out);
                }
            }
            _ => {}
        }
    }

    fn answered(
        &mut self,
        at: Timestamp,
        serial: Serial,
        accepted: bool,
        sender: Party,
        out: &mut Vec<Event>,
    ) {
        if accepted {
            self.advance_to(at, serial, Phase::Lcp, Cause::CallEstablished, Some(sender), out);
        } else {
            self.begin_closing(at, serial, Cause::CallRefused, Some(sender), out);
        }
    }

    fn calls_on(&self, key: ConnectionKey) -> Vec<Serial> {
        self.connections.get(&key).map(|connection| connection.calls.clone()).unwrap_or_default()
    }

    /// FIN of one end. The connection is over when both have sent theirs.
    fn finish_half(&mut self, at: Timestamp, key: ConnectionKey, sender: Party, out: &mut Vec<Event>) {
        let Some(connection) = self.connections.get_mut(&key) else { return };
        *connection.finished.of_mut(sender) = true;
        if connection.finished.client && connection.finished.server {
            self.disconnect(at, key, Cause::TcpFin, sender, out);
        } else {
            for serial in self.calls_on(key) {
                self.begin_closing(at, serial, Cause::TcpFin, Some(sender), out);
            }
        }
    }

    /// The control connection is gone, and every call on it (RFC 2637, section 3.1.3).
    fn disconnect(
        &mut self,
        at: Timestamp,
        key: ConnectionKey,
        cause: Cause,
        by: Party,
        out: &mut Vec<Event>,
    ) {
        for serial in self.calls_on(key) {
            self.begin_closing(at, serial, cause, Some(by), out);
            self.close(at, serial, cause, Some(by), out);
        }
        self.connections.remove(&key);
    }

    /// Who `source` is towards `destination`, as far as a control connection between them tells.
    pub(super) fn role_of(&self, source: Ipv4Addr, destination: Ipv4Addr) -> Option<Party> {
        self.connections.keys().find_map(|key| {
            let ends = (*key.client.ip(), *key.server.ip());
            if ends == (source, destination) {
                Some(Party::Client)
            } else if ends == (destination, source) {
                Some(Party::Server)
            } else {
                None
            }
        })
    }

    /// The control connection between the two, if there is just one and it has no call yet.
    pub(super) fn only_connection_between(
        &self,
        client: Ipv4Addr,
        server: Ipv4Addr,
    ) -> Option<ConnectionKey> {
        let mut between = self.connections.iter().filter(|(key, connection)| {
            (*key.client.ip(), *key.server.ip()) == (client, server) && connection.calls.is_empty()
        });
        match (between.next(), between.next()) {
            (Some((key, _)), None) => Some(*key),
            _ => None,
        }
    }
}

/// Whether the message says no.
const fn is_refusal(message: &Message) -> bool {
    match message {
        Message::StartControlConnectionReply(reply) => reply.result.number() != ACCEPTED,
        Message::OutgoingCallReply(reply) => reply.result.number() != ACCEPTED,
        Message::IncomingCallReply(reply) => reply.result.number() != ACCEPTED,
        _ => false,
    }
}
