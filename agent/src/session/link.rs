//! The PPP link inside the tunnel: negotiation frames to phases (RFC 1661, section 3).

use super::Correlator;
use super::call::{Call, Serial};
use super::negotiation::Negotiation;
use crate::event::session::{Cause, Mppe, Phase};
use crate::event::{Body, Event, Party, Severity, ppp};
use crate::observation::{Direction, FlowKey, Origin, PppFrame};
use crate::time::Timestamp;
use crate::wire::ppp::ccp::{CcpOption, MppeBits};
use crate::wire::ppp::cp::{self, ConfigureOption};
use crate::wire::ppp::ipcp::IpcpOption;
use crate::wire::ppp::lcp::LcpOption;
use crate::wire::ppp::{Frame, chap, eap, pap};

impl Correlator {
    /// A PPP negotiation frame.
    pub(super) fn ppp_frame(
        &mut self,
        at: Timestamp,
        origin: Origin,
        observed: &PppFrame,
        out: &mut Vec<Event>,
    ) {
        let Some(serial) = self.call_of_flow(at, origin, observed.flow, out) else { return };
        let Some(call) = self.calls.get_mut(&serial) else { return };
        let sender = call.sender_on(&observed.flow);
        if let Origin::Wire { direction, .. } = origin
            && !call.traffic.follows(sender, direction)
        {
            return;
        }
        call.last_seen = call.last_seen.max(at);
        call.negotiation_frames += 1;
        let copy = observed.gre_sequence.is_some_and(|number| call.negotiation.is_copy(sender, number));
        let frame = observed.frame.as_ref().ok();
        if let (Some(frame), false) = (frame, copy) {
            note_user(&mut call.negotiation, sender, frame);
        }
        let ppp_negotiation = ppp::Negotiation {
            sender,
            gre_sequence: observed.gre_sequence,
            copy,
            frame: frame.cloned(),
            error: observed.frame.as_ref().err().map(ToString::to_string),
        };
        let severity = match frame {
            Some(frame) if !is_refusal(frame) => Severity::Info,
            Some(_) => Severity::Warning,
            None => Severity::Notice,
        };
        self.emit(at, severity, serial, Body::PppNegotiation { ppp_negotiation }, out);
        if let (Some(frame), false) = (frame, copy) {
            self.follow_frame(at, serial, sender, frame, out);
        }
    }

    /// The call of a flow. One that nobody knows yet completes a call whose other half is known, if
    /// only one is possible; else it begins a call.
    fn call_of_flow(
        &mut self,
        at: Timestamp,
        origin: Origin,
        flow: FlowKey,
        out: &mut Vec<Event>,
    ) -> Option<Serial> {
        if let Some(serial) = self.flows.get(&flow) {
            return Some(*serial);
        }
        if self.tombstones.contains(&flow) {
            return None;
        }
        let direction = match origin {
            Origin::Wire { direction, .. } => Some(direction),
            Origin::Capture { sender: Some(Party::Server) } => Some(Direction::Egress),
            Origin::Capture { .. } | Origin::Counters | Origin::Devices | Origin::Path => None,
        };
        let sender = self.sender_of(flow, direction.unwrap_or(Direction::Ingress));
        let serial = match self.half_call(flow, sender) {
            Some(serial) => serial,
            None => {
                if !self.make_room(at, out) {
                    return None;
                }
                let (client, server) = match sender {
                    Party::Client => (flow.source, flow.destination),
                    Party::Server => (flow.destination, flow.source),
                };
                let serial = self.take_serial();
                let mut call = Call::begin(at, Phase::Lcp, client, server, None, serial);
                // It was under way: its other half and its counters are in the flow map.
                self.wants_flows = true;
                // With its id from the start, the call does not count as half open.
                match sender {
                    Party::Client => call.server_call_id = Some(flow.call_id),
                    Party::Server => call.client_call_id = Some(flow.call_id),
                }
                call.connection = self.only_connection_between(client, server);
                call.client_port = call.connection.map(|key| key.client.port());
                self.insert(at, serial, call, out);
                return Some(serial);
            }
        };
        self.assign_id(at, serial, sender.peer(), flow.call_id, out);
        Some(serial)
    }

    /// What a frame does to the phase of its call.
    fn follow_frame(
        &mut self,
        at: Timestamp,
        serial: Serial,
        sender: Party,
        frame: &Frame,
        out: &mut Vec<Event>,
    ) {
        match frame {
            Frame::Lcp(packet) => self.lcp(at, serial, sender, packet, out),
            Frame::Pap(packet) => match packet.body {
                pap::Body::AuthenticateAck { .. } => self.authenticated(at, serial, sender, out),
                pap::Body::AuthenticateNak { .. } => self.authentication_failed(serial, sender),
                _ => self.later_phase(at, serial, Phase::Auth, out),
            },
            Frame::Chap(packet) => match packet.body {
                chap::Body::Success { .. } => self.authenticated(at, serial, sender, out),
                chap::Body::Failure { .. } => self.authentication_failed(serial, sender),
                _ => self.later_phase(at, serial, Phase::Auth, out),
            },
            Frame::Eap(packet) => match packet.code {
                eap::Code::Success => self.authenticated(at, serial, sender, out),
                eap::Code::Failure => self.authentication_failed(serial, sender),
                _ => self.later_phase(at, serial, Phase::Auth, out),
            },
            Frame::Ccp(packet) => {
                self.later_phase(at, serial, Phase::Ccp, out);
                let Some(call) = self.calls.get_mut(&serial) else { return };
                let layer = &mut call.negotiation.ccp;
                match &packet.body {
                    cp::Body::ConfigureRequest { .. } => {
                        layer.request(sender);
                    }
                    cp::Body::ConfigureAck { options } => layer.grant(sender.peer(), mppe(options)),
                    _ => return,
                }
                if layer.is_open() {
                    self.advance_to(at, serial, Phase::Ipcp, Cause::CcpOpened, None, out);
                }
            }
            Frame::Ipcp(packet) => {
                self.later_phase(at, serial, Phase::Ipcp, out);
                let Some(call) = self.calls.get_mut(&serial) else { return };
                let layer = &mut call.negotiation.ipcp;
                match &packet.body {
                    cp::Body::ConfigureRequest { .. } => {
                        layer.request(sender);
                    }
                    cp::Body::ConfigureAck { options } => layer.grant(sender.peer(), address(options)),
                    _ => return,
                }
                if layer.is_open() {
                    self.advance_to(at, serial, Phase::Up, Cause::IpcpOpened, None, out);
                }
            }
            Frame::Ipv6cp(_) | Frame::Other { .. } | Frame::Data { .. } => {}
        }
    }

    fn lcp(
        &mut self,
        at: Timestamp,
        serial: Serial,
        sender: Party,
        packet: &cp::Packet<LcpOption>,
        out: &mut Vec<Event>,
    ) {
        let Some(call) = self.calls.get_mut(&serial) else { return };
        match &packet.body {
            cp::Body::ConfigureRequest { .. } => {
                let was_open = call.negotiation.lcp.request(sender);
                if was_open {
                    self.renegotiate(at, serial, sender, out);
                } else {
                    self.advance_to(at, serial, Phase::Lcp, Cause::LaterPhaseSeen, Some(sender), out);
                }
            }
            cp::Body::ConfigureAck { options } => {
                call.negotiation.lcp.grant(sender.peer(), authentication(options));
                if !call.negotiation.lcp.is_open() {
                    return;
                }
                if call.negotiation.auth_protocol().is_some() {
                    self.advance_to(at, serial, Phase::Auth, Cause::LcpOpened, None, out);
                } else {
                    self.advance_to(at, serial, Phase::Ccp, Cause::NoAuthentication, None, out);
                }
            }
            cp::Body::TerminateRequest { .. } => {
                self.begin_closing(at, serial, Cause::LcpTerminateRequest, Some(sender), out);
            }
            _ => {}
        }
    }

    /// A frame of `phase`: what comes before it is over, whether its end was seen or not.
    fn later_phase(&mut self, at: Timestamp, serial: Serial, phase: Phase, out: &mut Vec<Event>) {
        self.advance_to(at, serial, phase, Cause::LaterPhaseSeen, None, out);
    }

    /// `by` accepted the other's proof.
    fn authenticated(&mut self, at: Timestamp, serial: Serial, by: Party, out: &mut Vec<Event>) {
        if let Some(call) = self.calls.get_mut(&serial) {
            call.negotiation.authenticated();
        }
        self.advance_to(at, serial, Phase::Ccp, Cause::Authenticated, Some(by), out);
    }

    /// `by` refused the other's proof; the call goes on until one of them ends it.
    fn authentication_failed(&mut self, serial: Serial, by: Party) {
        if let Some(call) = self.calls.get_mut(&serial) {
            call.negotiation.authentication_failed(by);
        }
    }
}

/// The name that a client gives when it authenticates itself.
fn note_user(negotiation: &mut Negotiation, sender: Party, frame: &Frame) {
    let name = match frame {
        Frame::Pap(pap::Packet { body: pap::Body::AuthenticateRequest { peer_id }, .. }) => Some(peer_id),
        Frame::Chap(chap::Packet { body: chap::Body::Response { name, .. }, .. }) => Some(name),
        Frame::Eap(packet) => packet.identity.as_ref(),
        _ => None,
    };
    if let (Some(name), Party::Client) = (name, sender) {
        negotiation.set_user(name);
    }
}

/// Whether the frame says no to who the other end claims to be, or ends the link.
const fn is_refusal(frame: &Frame) -> bool {
    match frame {
        Frame::Pap(packet) => matches!(packet.body, pap::Body::AuthenticateNak { .. }),
        Frame::Chap(packet) => matches!(packet.body, chap::Body::Failure { .. }),
        Frame::Eap(packet) => matches!(packet.code, eap::Code::Failure),
        _ => false,
    }
}

/// What the end that asked for these options demands of the other: to authenticate itself.
fn authentication(options: &[LcpOption]) -> Option<String> {
    first(options, |option| match option {
        LcpOption::AuthenticationProtocol { method } => Some(method.to_string()),
        _ => None,
    })
}

/// The encryption among options that were agreed on.
fn mppe(options: &[CcpOption]) -> Option<Mppe> {
    first(options, |option| match option {
        CcpOption::Mppe { bits } => {
            Some(Mppe { bits: bits.key_bits()?.into(), stateful: !bits.contains(MppeBits::STATELESS) })
        }
        _ => None,
    })
}

/// The address among options that were agreed on.
fn address(options: &[IpcpOption]) -> Option<std::net::Ipv4Addr> {
    first(options, |option| match option {
        IpcpOption::IpAddress { address } => Some(*address),
        _ => None,
    })
}

fn first<O: ConfigureOption, T>(options: &[O], pick: impl Fn(&O) -> Option<T>) -> Option<T> {
    options.iter().find_map(pick)
}
