//! The control connection: TCP segments to PPTP messages to phases (RFC 2637, chapters 2 and 3).

use std::sync::Arc;
use std::time::Duration;

use super::Correlator;
use super::call::{Call, ConnectionKey, Serial};
use super::connection::identify;
use crate::event::control::{ControlGarbage, ControlMessage, ControlResult, Peer};
use crate::event::session::{Cause, LinkState, Phase};
use crate::event::{Body, Event, Party, Severity};
use crate::observation::{FlowKey, Segment};
use crate::time::Timestamp;
use crate::wire::pptp::Message;
use crate::wire::pptp::message::SetLinkInfo;
use crate::wire::stream::{Garbage, Item};
use crate::wire::tcp::Flags;

/// Result of every reply that accepts (RFC 2637, sections 2.2, 2.8 and 2.10).
const ACCEPTED: u8 = 1;

/// The control character map that holds before LCP has agreed on another (RFC 2637, section 2.15).
const DEFAULT_ACCM: u32 = 0xffff_ffff;

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
        if !self.connections.contains(&key) && !self.join(at, key, segment) {
            return;
        }
        let Some(connection) = self.connections.get_mut(&key) else { return };
        connection.last_seen = at;
        connection.tcp.segment(at, sender, segment);
        // What the other end acknowledges, it has: a gap in what we saw of it will not be filled.
        let answered =
            segment.acknowledgement.map(|ack| connection.streams.of_mut(sender.peer()).acknowledged(ack));
        let syn = segment.flags.contains(Flags::SYN);
        let mut items = connection.streams.of_mut(sender).segment(segment.sequence, syn, &segment.payload);
        if segment.flags.contains(Flags::FIN) || segment.flags.contains(Flags::RST) {
            items.extend(connection.streams.of_mut(sender).finish());
        }
        let calls = connection.calls().to_vec();
        for serial in &calls {
            self.calls.change(*serial, |call| call.last_seen = call.last_seen.max(at));
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
    fn join(&mut self, at: Timestamp, key: ConnectionKey, segment: &Segment) -> bool {
        let is_bare = segment.payload.is_empty();
        // A bare acknowledgement may be the last word of a connection that is over.
        if is_bare && !segment.flags.contains(Flags::FIN) && !segment.flags.contains(Flags::RST) {
            return false;
        }
        let orphan = self.calls.only_orphan(key.ends());
        // A bare FIN or RST of a connection that nobody knows tells nothing.
        if is_bare && orphan.is_none() {
            return false;
        }
        self.connections.open(at, key, None, self.max_connections());
        if let Some(serial) = orphan {
            self.bind(serial, key);
        }
        true
    }

    /// The call is on this connection.
    fn bind(&mut self, serial: Serial, key: ConnectionKey) {
        let is_orphan = self.calls.get(serial).is_some_and(|call| call.connection.is_none());
        if is_orphan && self.connections.attach(&key, serial) {
            self.calls.change(serial, |call| {
                call.connection = Some(key);
                call.client_port = Some(key.client.port());
            });
        }
    }

    /// SYN from a client: a new connection, unless it is the same SYN again.
    fn open_request(&mut self, at: Timestamp, key: ConnectionKey, isn: u32, out: &mut Vec<Event>) {
        if let Some(known) = self.connections.get(&key) {
            let calls = known.calls().to_vec();
            if known.client_isn == Some(isn) {
                for serial in calls {
                    self.rearm_syn_wait(at, serial);
                }
                return;
            }
            for serial in calls {
                self.begin_closing(at, serial, Cause::ConnectionReused, Some(Party::Client), out);
                self.end(at, serial, out);
            }
        }
        if !self.make_room(at, out) {
            return;
        }
        self.sources.note(at, *key.client.ip(), |tally| tally.connections += 1);
        self.connections.open(at, key, Some(isn), self.max_connections());
        let serial = self.begin_on(at, key, Phase::Tcp, out);
        self.rearm_syn_wait(at, serial);
    }

    /// A call in phase `tcp` waits for the answer to its (latest) SYN.
    fn rearm_syn_wait(&mut self, at: Timestamp, serial: Serial) {
        self.calls.change(serial, |call| {
            if call.phases.current() == Phase::Tcp {
                call.deadline = Some(at + SYN_WAIT);
            }
        });
    }

    /// Begins a call on a connection.
    fn begin_on(&mut self, at: Timestamp, key: ConnectionKey, phase: Phase, out: &mut Vec<Event>) -> Serial {
        let serial = self.take_serial();
        let mut call = Call::begin(at, phase, *key.client.ip(), *key.server.ip(), Some(key), serial);
        if let Some(connection) = self.connections.get(&key) {
            call.negotiation.peers = connection.peers.clone();
        }
        self.insert(at, serial, call, out);
        serial
    }

    fn item(&mut self, at: Timestamp, key: ConnectionKey, sender: Party, item: Item, out: &mut Vec<Event>) {
        let is_foreign =
            sender == Party::Client && matches!(item, Item::Garbage { why: Garbage::NotPptp(_), .. });
        let garbage = match item {
            Item::Message(message) => return self.message(at, key, sender, message, out),
            // The connection was met in the middle of a message, or its ports are used again.
            Item::Garbage { why: Garbage::Joined, .. } | Item::Restart => return,
            Item::Garbage { bytes, why } => ControlGarbage { sender, bytes, reason: why.to_string() },
            Item::Gap { bytes } => ControlGarbage { sender, bytes, reason: "not seen by the agent".into() },
        };
        if is_foreign
            && let Some(connection) = self.connections.get_mut(&key)
            && !std::mem::replace(&mut connection.had_garbage, true)
        {
            self.sources.note(at, *key.client.ip(), |tally| tally.garbage += 1);
        }
        let call = self.connections.calls_on(&key).last().and_then(|serial| self.calls.get(*serial));
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
            self.calls.change(serial, |call| call.control_messages += 1);
        }
        self.assign_ids(at, serial, sender, &message, out);
        let call = serial.and_then(|serial| self.calls.get(serial));
        let severity = if is_refusal(&message) { Severity::Warning } else { Severity::Info };
        let body =
            Body::ControlMessage { control_message: ControlMessage { sender, message: message.clone() } };
        out.push(self.event(at, severity, call, body));
        if let Some(serial) = serial {
            self.note(at, key, serial, sender, &message, out);
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
            let calls = correlator.connections.calls_on(&key);
            let has_id = |serial: &&Serial| {
                correlator.calls.get(**serial).is_some_and(|call| call.call_id(party) == Some(call_id))
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
                let first = self.connections.calls_on(&key).first().copied();
                // The agent missed the SYN, or the connection had no call on it any more.
                if first.is_none() && self.make_room(at, out) {
                    return Some(self.begin_on(at, key, Phase::Control, out));
                }
                first
            }
            _ => self.connections.calls_on(&key).first().copied(),
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
        for serial in self.connections.calls_on(&key) {
            let Some(call) = self.calls.get(*serial) else { continue };
            let unanswered = call.call_id(sender.peer()).is_none() && !call.phases.is_ending();
            if unanswered && call.call_id(sender).is_none_or(|known| known == call_id) {
                return Some(*serial);
            }
        }
        self.make_room(at, out).then(|| self.begin_on(at, key, Phase::Call, out))
    }

    /// The call of the connection that still waits for `party`'s id, if there is only one.
    fn only_call_without_id(&self, key: ConnectionKey, party: Party) -> Option<Serial> {
        let mut waiting = self.connections.calls_on(&key).iter().filter(|serial| {
            self.calls
                .get(**serial)
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
        let window = match message {
            Message::OutgoingCallRequest(request) => Some(request.receive_window_size),
            Message::OutgoingCallReply(reply) => Some(reply.receive_window_size),
            Message::IncomingCallReply(reply) => Some(reply.receive_window_size),
            _ => None,
        };
        if let Some(window) = window {
            self.calls.change(serial, |call| call.traffic.set_window(sender, window));
        }
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
        let flows = self.calls.change(serial, |call| {
            let before = call.flow_from(party.peer());
            match party {
                Party::Client => call.client_call_id = Some(call_id),
                Party::Server => call.server_call_id = Some(call_id),
            }
            (before, call.flow_from(party.peer()))
        });
        let Some((before, after)) = flows.filter(|(before, after)| before != after) else { return };
        if let Some(flow) = before.filter(|flow| self.flows.get(flow) == Some(&serial)) {
            self.flows.remove(&flow);
            self.released.push(flow);
        }
        if let Some(flow) = after {
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
        if let Some(call) = self.calls.get(serial)
            && let (Some(one), Some(other)) = (call.flow_from(Party::Client), call.flow_from(Party::Server))
        {
            self.paired.push((one, other));
        }
    }

    /// What a message tells about the two ends and their connection.
    fn note(
        &mut self,
        at: Timestamp,
        key: ConnectionKey,
        serial: Serial,
        sender: Party,
        message: &Message,
        out: &mut Vec<Event>,
    ) {
        let peer = Peer::of(message).map(|peer| self.connections.introduce(sender, peer));
        if let (Some(peer), Some(connection)) = (&peer, self.connections.get_mut(&key)) {
            *connection.peers.of_mut(sender) = Some(Arc::clone(peer));
        }
        let missed = self.calls.change(serial, |call| {
            let negotiation = &mut call.negotiation;
            if peer.is_some() {
                *negotiation.peers.of_mut(sender) = peer;
            }
            let ends_it = is_refusal(message)
                || matches!(
                    message,
                    Message::CallDisconnectNotify(_) | Message::StopControlConnectionRequest(_)
                );
            if ends_it && negotiation.control_result.is_none() {
                negotiation.control_result = ControlResult::of(sender, message).map(Box::new);
            }
            match message {
                Message::EchoRequest(echo) => negotiation.control_echo.request(at, sender, echo.identifier),
                Message::EchoReply(echo) => {
                    negotiation.control_echo.reply(at, sender, echo.identifier);
                    None
                }
                _ => None,
            }
        });
        if let Some(missed) = missed.flatten() {
            self.control_echo_missed(at, serial, missed, out);
        }
    }

    /// Set-Link-Info of the client: it announces its control character map when its LCP opens or closes.
    fn link_info(&mut self, at: Timestamp, serial: Serial, info: &SetLinkInfo, out: &mut Vec<Event>) {
        let is_default = info.send_accm == DEFAULT_ACCM;
        let state = self.calls.change(serial, |call| {
            let state = match call.negotiation.client_lcp {
                _ if !is_default => LinkState::Opened,
                Some(LinkState::Opened | LinkState::Closed) => LinkState::Closed,
                Some(LinkState::NotOpened) | None => LinkState::NotOpened,
            };
            call.negotiation.client_lcp = Some(state);
            state
        });
        if state == Some(LinkState::Opened) {
            self.advance_to(at, serial, Phase::Auth, Cause::SetLinkInfo, Some(Party::Client), out);
        }
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
            Message::SetLinkInfo(info) if sender == Party::Client => self.link_info(at, serial, info, out),
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
            self.look_again(at, serial);
        } else {
            self.begin_closing(at, serial, Cause::CallRefused, Some(sender), out);
        }
    }

    fn calls_on(&self, key: ConnectionKey) -> Vec<Serial> {
        self.connections.calls_on(&key).to_vec()
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
            self.note_tcp(serial);
            self.begin_closing(at, serial, cause, Some(by), out);
            self.close(at, serial, cause, Some(by), out);
        }
        self.connections.remove(&key);
    }

    /// Takes what is known of the call's control connection while it is there.
    pub(super) fn note_tcp(&mut self, serial: Serial) {
        let connection = self.calls.get(serial).and_then(|call| self.connections.get(&call.connection?));
        if let Some(tcp) = connection.map(|connection| connection.tcp.note()) {
            self.calls.change(serial, |call| call.tcp = Some(tcp));
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
