//! The PPP link inside the tunnel: negotiation frames to phases (RFC 1661, section 3).

use super::Correlator;
use super::call::{Call, Serial};
use super::negotiation::{Answer, Layer, Negotiation, Verdict};
use crate::event::session::{Cause, Phase};
use crate::event::{Body, Event, Party, Severity, ppp};
use crate::observation::{Direction, FlowKey, Origin, PppFrame};
use crate::time::Timestamp;
use crate::wire::ppp::cp::{self, ConfigureOption};
use crate::wire::ppp::lcp::{AuthenticationMethod, LcpOption};
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
        let taken = self.calls.change(serial, |call| {
            let sender = call.sender_on(&observed.flow);
            if let Origin::Wire { direction, .. } = origin
                && !call.traffic.follows(sender, direction)
            {
                return None;
            }
            call.last_seen = call.last_seen.max(at);
            call.negotiation_frames += 1;
            let copy = observed.gre_sequence.is_some_and(|number| call.negotiation.is_copy(sender, number));
            if let (Ok(frame), false) = (&observed.frame, copy) {
                note_identity(&mut call.negotiation, sender, frame);
            }
            Some((sender, copy))
        });
        let Some((sender, copy)) = taken.flatten() else { return };
        let frame = observed.frame.as_ref().ok();
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
            self.logs.note_magic(serial, sender, frame);
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
            Origin::Capture { .. }
            | Origin::Counters
            | Origin::Devices
            | Origin::Path
            | Origin::Log
            | Origin::Processes => None,
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
                call.connection = self.connections.only_idle((client, server));
                call.client_port = call.connection.map(|key| key.client.port());
                self.insert(at, serial, call, out);
                return Some(serial);
            }
        };
        self.assign_id(at, serial, sender.peer(), flow.call_id, out);
        Some(serial)
    }

    /// What a frame does to its call.
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
            Frame::Pap(packet) => self.pap(at, serial, sender, packet, out),
            Frame::Chap(packet) => self.chap(at, serial, sender, packet, out),
            Frame::Eap(packet) => self.eap(at, serial, sender, packet, out),
            Frame::Ccp(packet) => {
                self.later_phase(at, serial, Phase::Ccp, out);
                let step = self.layer(at, serial, sender, packet, |negotiation| &mut negotiation.ccp, out);
                self.encryption(at, serial, sender, packet, step == Step::Opened, out);
                if step == Step::Opened {
                    self.advance_to(at, serial, Phase::Ipcp, Cause::CcpOpened, None, out);
                }
            }
            Frame::Ipcp(packet) => {
                self.later_phase(at, serial, Phase::Ipcp, out);
                if self.layer(at, serial, sender, packet, |negotiation| &mut negotiation.ipcp, out)
                    == Step::Opened
                {
                    self.advance_to(at, serial, Phase::Up, Cause::IpcpOpened, None, out);
                }
            }
            Frame::Ipv6cp(packet) => {
                self.layer(at, serial, sender, packet, |negotiation| &mut negotiation.ipv6cp, out);
            }
            Frame::Cbcp(_) | Frame::Other { .. } | Frame::Data { .. } => {}
        }
    }

    /// A packet of a layer.
    fn layer<O: ConfigureOption + Clone + PartialEq>(
        &mut self,
        at: Timestamp,
        serial: Serial,
        sender: Party,
        packet: &cp::Packet<O>,
        of: impl FnOnce(&mut Negotiation) -> &mut Layer<O>,
        out: &mut Vec<Event>,
    ) -> Step {
        let step = self.calls.change(serial, |call| {
            let negotiation = &mut call.negotiation;
            if let cp::Body::TerminateRequest { reason } = &packet.body {
                negotiation.terminate(sender, O::PROTOCOL, reason.as_ref());
            }
            let layer = of(negotiation);
            let (answer, options) = match &packet.body {
                cp::Body::ConfigureRequest { options } => {
                    return Step::Asked { begins: layer.request(at, sender, packet.id, options) };
                }
                cp::Body::ConfigureAck { options } => (Answer::Ack, options),
                cp::Body::ConfigureNak { options } => (Answer::Nak, options),
                cp::Body::ConfigureReject { options } => (Answer::Reject, options),
                cp::Body::TerminateRequest { .. } => {
                    layer.terminate(at, sender);
                    return Step::Other;
                }
                _ => return Step::Other,
            };
            if layer.answer(at, sender, packet.id, answer, options) { Step::Opened } else { Step::Other }
        });
        self.report_layers(at, serial, out);
        step.unwrap_or(Step::Other)
    }

    fn lcp(
        &mut self,
        at: Timestamp,
        serial: Serial,
        sender: Party,
        packet: &cp::Packet<LcpOption>,
        out: &mut Vec<Event>,
    ) {
        match self.layer(at, serial, sender, packet, |negotiation| &mut negotiation.lcp, out) {
            Step::Asked { begins } => {
                if begins {
                    // Of a call beyond LCP, also of one that was up before the agent: it begins anew.
                    self.renegotiate(at, serial, sender, out);
                }
                self.advance_to(at, serial, Phase::Lcp, Cause::LaterPhaseSeen, Some(sender), out);
            }
            Step::Opened => {
                let call = self.calls.get(serial);
                if call.is_some_and(|call| call.negotiation.auth_protocol().is_some()) {
                    self.advance_to(at, serial, Phase::Auth, Cause::LcpOpened, None, out);
                } else {
                    self.advance_to(at, serial, Phase::Ccp, Cause::NoAuthentication, None, out);
                }
            }
            Step::Other => {}
        }
        match &packet.body {
            cp::Body::TerminateRequest { .. } => {
                self.begin_closing(at, serial, Cause::LcpTerminateRequest, Some(sender), out);
            }
            cp::Body::ProtocolReject { rejected_protocol } => {
                self.calls.change(serial, |call| call.negotiation.reject(at, sender, *rejected_protocol));
                self.report_layers(at, serial, out);
            }
            cp::Body::EchoRequest { .. } => {
                let missed = self
                    .calls
                    .change(serial, |call| call.negotiation.lcp_echo.request(at, sender, packet.id.into()));
                if let Some(missed) = missed.flatten() {
                    self.lcp_echo_missed(at, serial, missed, out);
                }
            }
            cp::Body::EchoReply { .. } => {
                self.calls.change(serial, |call| {
                    call.negotiation.lcp_echo.reply(at, sender, packet.id.into());
                });
            }
            _ => {}
        }
    }

    fn pap(
        &mut self,
        at: Timestamp,
        serial: Serial,
        sender: Party,
        packet: &pap::Packet,
        out: &mut Vec<Event>,
    ) {
        let verdict =
            |accepted, message: &String| Verdict { accepted, message: message.clone(), ..Verdict::default() };
        match &packet.body {
            pap::Body::AuthenticateRequest { .. } => {
                self.calls.change(serial, |call| {
                    let proofs = call.negotiation.proofs.of_mut(sender);
                    proofs.response(at, packet.id, Some(AuthenticationMethod::Pap));
                });
                self.later_phase(at, serial, Phase::Auth, out);
            }
            pap::Body::AuthenticateAck { message } => {
                self.judged(at, serial, sender, packet.id, &verdict(true, message), out);
            }
            pap::Body::AuthenticateNak { message } => {
                self.judged(at, serial, sender, packet.id, &verdict(false, message), out);
            }
            pap::Body::Unknown { .. } => self.later_phase(at, serial, Phase::Auth, out),
        }
    }

    fn chap(
        &mut self,
        at: Timestamp,
        serial: Serial,
        sender: Party,
        packet: &chap::Packet,
        out: &mut Vec<Event>,
    ) {
        match &packet.body {
            chap::Body::Challenge { .. } => {
                self.calls.change(serial, |call| {
                    call.negotiation.proofs.of_mut(sender.peer()).challenge(at, packet.id);
                });
            }
            chap::Body::Response { value_size, .. } => {
                // Both MS-CHAP have 49 bytes: there only LCP tells which.
                let method = (*value_size == 16).then_some(AuthenticationMethod::ChapMd5);
                self.calls.change(serial, |call| {
                    call.negotiation.proofs.of_mut(sender).response(at, packet.id, method);
                });
            }
            chap::Body::Success { message } => {
                let verdict = Verdict { accepted: true, message: message.clone(), ..Verdict::default() };
                return self.judged(at, serial, sender, packet.id, &verdict, out);
            }
            chap::Body::Failure { error, retry, message, .. } => {
                let verdict =
                    Verdict { accepted: false, error: *error, retry: *retry, message: message.clone() };
                return self.judged(at, serial, sender, packet.id, &verdict, out);
            }
            chap::Body::ChangePassword1
            | chap::Body::ChangePassword2
            | chap::Body::ChangePassword3
            | chap::Body::Unknown { .. } => {}
        }
        self.later_phase(at, serial, Phase::Auth, out);
    }

    fn eap(
        &mut self,
        at: Timestamp,
        serial: Serial,
        sender: Party,
        packet: &eap::Packet,
        out: &mut Vec<Event>,
    ) {
        match packet.code {
            eap::Code::Request => {
                self.calls.change(serial, |call| {
                    let proofs = call.negotiation.proofs.of_mut(sender.peer());
                    proofs.challenge(at, packet.id);
                    if let Some(failure) = packet.failure {
                        proofs.announce(failure.error, failure.retry);
                    }
                });
            }
            eap::Code::Response => {
                self.calls.change(serial, |call| {
                    let proofs = call.negotiation.proofs.of_mut(sender);
                    proofs.response(at, packet.id, Some(AuthenticationMethod::Eap));
                });
            }
            eap::Code::Success | eap::Code::Failure => {
                let accepted = packet.code == eap::Code::Success;
                let verdict = Verdict { accepted, ..Verdict::default() };
                return self.judged(at, serial, sender, packet.id, &verdict, out);
            }
            eap::Code::Unknown(_) => {}
        }
        self.later_phase(at, serial, Phase::Auth, out);
    }

    /// A frame of `phase`: what comes before it is over, whether its end was seen or not.
    fn later_phase(&mut self, at: Timestamp, serial: Serial, phase: Phase, out: &mut Vec<Event>) {
        self.advance_to(at, serial, phase, Cause::LaterPhaseSeen, None, out);
    }

    /// `by` accepted or refused the other's proof. A call that was refused goes on until one end closes it.
    fn judged(
        &mut self,
        at: Timestamp,
        serial: Serial,
        by: Party,
        id: u8,
        verdict: &Verdict,
        out: &mut Vec<Event>,
    ) {
        let result = self.calls.change(serial, |call| call.negotiation.judged(at, by, id, verdict));
        if let Some(result) = result.flatten() {
            self.authentication_result(at, serial, result, out);
        }
        if let (Some(call), false, Party::Server) = (self.calls.get(serial), verdict.accepted, by) {
            self.sources.note(at, call.client, |tally| tally.authentication_failures += 1);
        }
        if verdict.accepted {
            self.advance_to(at, serial, Phase::Ccp, Cause::Authenticated, Some(by), out);
        }
    }
}

/// What a packet did to its layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// One end asks.
    Asked {
        /// A negotiation begins with it.
        begins: bool,
    },
    /// Both ends agree.
    Opened,
    /// Neither.
    Other,
}

/// The name that an end gives when it proves who it is.
fn note_identity(negotiation: &mut Negotiation, sender: Party, frame: &Frame) {
    let name = match frame {
        Frame::Pap(pap::Packet { body: pap::Body::AuthenticateRequest { peer_id }, .. }) => Some(peer_id),
        Frame::Chap(chap::Packet { body: chap::Body::Response { name, .. }, .. }) => Some(name),
        Frame::Eap(packet) => packet.identity.as_ref(),
        _ => None,
    };
    if let Some(name) = name {
        negotiation.proofs.of_mut(sender).set_identity(name);
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
