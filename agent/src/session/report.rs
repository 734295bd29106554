//! From the state of a call to the events about it.

use super::Correlator;
use super::call::{Call, Serial};
use crate::event::session::{Cause, Origin, Phase, PhaseChange, Start};
use crate::event::{Body, Event, Party, Severity};
use crate::observation::PppInterface;
use crate::time::Timestamp;

impl Correlator {
    pub(super) fn event(&self, ts: Timestamp, severity: Severity, call: Option<&Call>, body: Body) -> Event {
        Event { ts, body, severity, host: self.config.host.clone(), session: call.map(Call::reference) }
    }

    /// Appends an event about the call, if it is still there.
    pub(super) fn emit(
        &self,
        ts: Timestamp,
        severity: Severity,
        serial: Serial,
        body: Body,
        out: &mut Vec<Event>,
    ) {
        if let Some(call) = self.calls.get(&serial) {
            out.push(self.event(ts, severity, Some(call), body));
        }
    }

    /// Names the next call.
    pub(super) const fn take_serial(&mut self) -> Serial {
        let serial = self.next_serial;
        self.next_serial += 1;
        serial
    }

    /// Takes a new call up and reports its start.
    pub(super) fn insert(&mut self, at: Timestamp, serial: Serial, call: Call, out: &mut Vec<Event>) {
        let session_start =
            Start { origin: call.origin, phase: call.phases.current(), client_port: call.client_port };
        if Self::is_half_open(&call) {
            self.half_open.push_back(serial);
        }
        if let Some(connection) = call.connection.and_then(|key| self.connections.get_mut(&key)) {
            connection.calls.push(serial);
        }
        let flows: Vec<_> = call.flows().collect();
        self.calls.insert(serial, call);
        self.reschedule(serial, None);
        for flow in flows {
            self.register(at, flow, serial, out);
        }
        self.emit(at, Severity::Info, serial, Body::SessionStart { session_start }, out);
    }

    fn phase_changed(
        &self,
        at: Timestamp,
        serial: Serial,
        change: Option<PhaseChange>,
        out: &mut Vec<Event>,
    ) {
        let Some(session_phase) = change else { return };
        let severity = match session_phase.reason {
            Cause::AuthenticationFailed
            | Cause::ControlRefused
            | Cause::CallRefused
            | Cause::TcpTimeout
            | Cause::Evicted
            | Cause::Idle => Severity::Warning,
            _ => Severity::Info,
        };
        self.emit(at, severity, serial, Body::SessionPhase { session_phase }, out);
    }

    /// Moves the call forward to `phase`.
    pub(super) fn advance_to(
        &mut self,
        at: Timestamp,
        serial: Serial,
        phase: Phase,
        reason: Cause,
        by: Option<Party>,
        out: &mut Vec<Event>,
    ) {
        let Some(call) = self.calls.get_mut(&serial) else { return };
        let before = call.deadline;
        if call.phases.current() == Phase::Tcp {
            // The wait for the answer to SYN is over.
            call.deadline = None;
        }
        let change = call.advance_to(phase, at, reason, by);
        self.reschedule(serial, before);
        self.phase_changed(at, serial, change, out);
        if phase == Phase::Up {
            self.match_interface(at, serial, out);
        }
    }

    /// The link negotiates anew.
    pub(super) fn renegotiate(&mut self, at: Timestamp, serial: Serial, by: Party, out: &mut Vec<Event>) {
        if let Some(call) = self.calls.get_mut(&serial) {
            let change = call.renegotiate(at, by);
            self.phase_changed(at, serial, change, out);
        }
    }

    /// The end of the call begins.
    pub(super) fn begin_closing(
        &mut self,
        at: Timestamp,
        serial: Serial,
        cause: Cause,
        by: Option<Party>,
        out: &mut Vec<Event>,
    ) {
        self.announce_up(at, serial, out);
        let Some(call) = self.calls.get_mut(&serial) else { return };
        let before = call.deadline;
        let change = call.begin_closing(at, cause, by);
        self.reschedule(serial, before);
        self.phase_changed(at, serial, change, out);
    }

    /// The call is over and lingers for its last packets.
    pub(super) fn close(
        &mut self,
        at: Timestamp,
        serial: Serial,
        cause: Cause,
        by: Option<Party>,
        out: &mut Vec<Event>,
    ) {
        let Some(call) = self.calls.get_mut(&serial) else { return };
        let before = call.deadline;
        let change = call.close(at, cause, by);
        self.reschedule(serial, before);
        self.phase_changed(at, serial, change, out);
    }

    /// Reports the end of the call and forgets it.
    pub(super) fn end(&mut self, now: Timestamp, serial: Serial, out: &mut Vec<Event>) {
        let Some(mut call) = self.calls.remove(&serial) else { return };
        if let Some(deadline) = call.deadline.take() {
            self.deadlines.remove(&(deadline, serial));
        }
        for flow in call.flows() {
            if self.flows.get(&flow) == Some(&serial) {
                self.flows.remove(&flow);
                self.released.push(flow);
                self.tombstones.bury(now, flow);
            }
        }
        if let Some(connection) = call.connection.and_then(|key| self.connections.get_mut(&key)) {
            connection.calls.retain(|other| *other != serial);
        }
        let gre_stats = call.traffic.report(true);
        out.push(self.event(now, Severity::Info, Some(&call), Body::GreStats { gre_stats }));
        let session_end = call.end(now, Cause::Idle);
        let severity = if session_end.was_up { Severity::Info } else { Severity::Warning };
        out.push(self.event(now, severity, Some(&call), Body::SessionEnd { session_end }));
    }

    /// Statistics of the calls whose counters moved; of every call when `all`.
    pub(super) fn report_moved(&mut self, now: Timestamp, all: bool, out: &mut Vec<Event>) {
        let moved: Vec<Serial> = self
            .calls
            .iter()
            .filter(|(_, call)| all || call.traffic.has_moved())
            .map(|(serial, _)| *serial)
            .collect();
        for serial in moved {
            let Some(call) = self.calls.get_mut(&serial) else { continue };
            let session_stats = call.stats(now);
            let gre_stats = call.traffic.report(false);
            self.emit(now, Severity::Info, serial, Body::GreStats { gre_stats }, out);
            self.emit(now, Severity::Info, serial, Body::SessionStats { session_stats }, out);
        }
    }

    /// Reports that the call is up, once.
    pub(super) fn announce_up(&mut self, now: Timestamp, serial: Serial, out: &mut Vec<Event>) {
        let Some(call) = self.calls.get_mut(&serial) else { return };
        let Some(since) = call.up_pending.take() else { return };
        let before = call.deadline;
        if !call.phases.is_ending() {
            call.deadline = None;
        }
        let session_up = call.up(since);
        self.reschedule(serial, before);
        self.emit(now, Severity::Info, serial, Body::SessionUp { session_up }, out);
    }

    /// A pppN appeared or changed: the call that was waiting for it is complete.
    pub(super) fn ppp_interface(&mut self, at: Timestamp, interface: &PppInterface, out: &mut Vec<Event>) {
        self.ppp_interfaces.insert(interface.index, interface.clone());
        let waiting: Vec<Serial> = self
            .calls
            .iter()
            .filter(|(_, call)| call.up_pending.is_some() && call.interface.is_none())
            .map(|(serial, _)| *serial)
            .collect();
        for serial in waiting {
            self.match_interface(at, serial, out);
        }
    }

    /// Joins the call and the pppN that has its addresses.
    fn match_interface(&mut self, at: Timestamp, serial: Serial, out: &mut Vec<Event>) {
        let Some(call) = self.calls.get_mut(&serial) else { return };
        if call.origin == Origin::Traffic && call.negotiation.address_of(Party::Client).is_none() {
            // Nothing to join by: what is known is all there will be.
            self.announce_up(at, serial, out);
            return;
        }
        let ends = (call.negotiation.address_of(Party::Server), call.negotiation.address_of(Party::Client));
        let (Some(server), Some(client)) = ends else { return };
        let is_ours = |interface: &&PppInterface| {
            let addresses = (interface.local, interface.peer);
            addresses == (Some(server), Some(client)) || addresses == (Some(client), Some(server))
        };
        if let Some(interface) = self.ppp_interfaces.values().find(is_ours) {
            call.interface = Some(interface.name.clone());
            self.announce_up(at, serial, out);
        }
    }
}
