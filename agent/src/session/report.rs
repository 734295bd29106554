//! From the state of a call to the events about it.

use super::Correlator;
use super::call::{Call, Serial};
use super::echo::Echoes;
use super::interfaces::addresses;
use crate::event::auth::{AuthResult, Outcome};
use crate::event::echo::EchoMissed;
use crate::event::session::{Cause, Origin, Phase, PhaseChange, Start};
use crate::event::{Body, Event, Party, Severity};
use crate::observation::PppInterface;
use crate::seldom::Seldom;
use crate::time::Timestamp;

/// Calls whose statistics are reported at once: their events are held together until they are written.
const CALLS_AT_ONCE: usize = 64;

/// A round of statistics that is under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Round {
    /// It goes on with the call of this serial.
    pub(super) next: Serial,
    /// It is the last one, about every call.
    pub(super) is_last: bool,
}

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
        if let Some(call) = self.calls.get(serial) {
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
        if let Some(key) = call.connection {
            self.connections.attach(&key, serial);
        }
        let flows: Vec<_> = call.flows().collect();
        let client = call.client;
        self.calls.insert(serial, call);
        self.call_begins(at, serial, client);
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
        let change = self.calls.change(serial, |call| {
            if call.phases.current() == Phase::Tcp {
                // The wait for the answer to SYN is over.
                call.deadline = None;
            }
            call.advance_to(phase, at, reason, by)
        });
        self.phase_changed(at, serial, change.flatten(), out);
        if phase == Phase::Up {
            self.match_interface(at, serial, out);
        }
    }

    /// The link negotiates anew.
    pub(super) fn renegotiate(&mut self, at: Timestamp, serial: Serial, by: Party, out: &mut Vec<Event>) {
        let change = self.calls.change(serial, |call| call.renegotiate(at, by));
        self.phase_changed(at, serial, change.flatten(), out);
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
        let change = self.calls.change(serial, |call| call.begin_closing(at, cause, by)).flatten();
        if change.is_some() {
            self.give_up(at, serial, out);
        }
        self.phase_changed(at, serial, change, out);
    }

    /// What was under way in the call will not be finished any more.
    fn give_up(&mut self, at: Timestamp, serial: Serial, out: &mut Vec<Event>) {
        let given_up = self.calls.change(serial, |call| {
            let negotiation = &mut call.negotiation;
            let results = negotiation.give_up(at);
            let missed = |echoes: &mut Seldom<Echoes>| -> Vec<EchoMissed> {
                echoes.filled().map(|echoes| echoes.give_up(at).collect()).unwrap_or_default()
            };
            (results, missed(&mut negotiation.control_echo), missed(&mut negotiation.lcp_echo))
        });
        let Some((results, control, lcp)) = given_up else { return };
        for result in results {
            self.authentication_result(at, serial, result, out);
        }
        for missed in control {
            self.control_echo_missed(at, serial, missed, out);
        }
        for missed in lcp {
            self.lcp_echo_missed(at, serial, missed, out);
        }
        self.report_layers(at, serial, out);
    }

    /// Reports the layers of PPP that opened or failed.
    pub(super) fn report_layers(&mut self, at: Timestamp, serial: Serial, out: &mut Vec<Event>) {
        let layers = self.calls.change(serial, |call| call.negotiation.report());
        for ppp_summary in layers.into_iter().flatten() {
            let severity = if ppp_summary.is_open() { Severity::Info } else { Severity::Notice };
            self.emit(at, severity, serial, Body::PppSummary { ppp_summary }, out);
        }
    }

    pub(super) fn authentication_result(
        &mut self,
        at: Timestamp,
        serial: Serial,
        auth_result: AuthResult,
        out: &mut Vec<Event>,
    ) {
        let severity = match auth_result.outcome {
            Outcome::Success => Severity::Info,
            Outcome::Failure | Outcome::NoResponse | Outcome::NoResult => Severity::Warning,
        };
        let call = self.calls.get(serial).map(|call| call.reference().id);
        if let (Outcome::Failure | Outcome::NoResult, Some(call)) = (auth_result.outcome, call) {
            self.radius_given_up(at, call, out);
        }
        self.emit(at, severity, serial, Body::AuthResult { auth_result }, out);
    }

    pub(super) fn control_echo_missed(
        &self,
        at: Timestamp,
        serial: Serial,
        control_echo_missed: EchoMissed,
        out: &mut Vec<Event>,
    ) {
        self.emit(at, Severity::Notice, serial, Body::ControlEchoMissed { control_echo_missed }, out);
    }

    pub(super) fn lcp_echo_missed(
        &self,
        at: Timestamp,
        serial: Serial,
        ppp_echo_missed: EchoMissed,
        out: &mut Vec<Event>,
    ) {
        self.emit(at, Severity::Notice, serial, Body::PppEchoMissed { ppp_echo_missed }, out);
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
        let change = self.calls.change(serial, |call| call.close(at, cause, by));
        self.phase_changed(at, serial, change.flatten(), out);
    }

    /// Reports the end of the call and forgets it.
    pub(super) fn end(&mut self, now: Timestamp, serial: Serial, out: &mut Vec<Event>) {
        self.look_at(now, serial, out);
        let Some(mut call) = self.calls.remove(serial) else { return };
        for flow in call.flows() {
            if self.flows.get(&flow) == Some(&serial) {
                self.flows.remove(&flow);
                self.released.push(flow);
                self.tombstones.bury(now, flow);
            }
        }
        if let Some(look) = call.next_look.take() {
            self.looks.remove(&(look, serial));
        }
        if let Some(key) = call.connection {
            self.connections.detach(now, &key, serial);
        }
        if call.client_call_id.is_none() && call.connection.is_some() {
            self.sources.note(now, call.client, |tally| tally.without_call += 1);
        }
        self.close_stall(now, &call, out);
        self.close_books(now, serial, &mut call, out);
        let gre_stats = call.traffic.report(true);
        out.push(self.event(now, Severity::Info, Some(&call), Body::GreStats { gre_stats }));
        let mut session_end = call.end(now, Cause::Idle);
        (session_end.processes, session_end.log_message) = self.said_of(serial);
        self.call_ends(serial, &call);
        let severity = if session_end.was_up { Severity::Info } else { Severity::Warning };
        out.push(self.event(now, severity, Some(&call), Body::SessionEnd { session_end }));
    }

    /// Statistics and books of the calls where they moved, or of every call when `all`: of some calls, from the
    /// one with the serial `from` on. Returns where the next ones begin.
    pub(super) fn report_moved(
        &mut self,
        now: Timestamp,
        all: bool,
        from: Serial,
        out: &mut Vec<Event>,
    ) -> Option<Serial> {
        let mut moved: Vec<Serial> = self
            .calls
            .iter_from(from)
            .filter(|(_, call)| all || call.traffic.has_moved() || call.books.have_moved())
            .map(|(serial, _)| *serial)
            .take(CALLS_AT_ONCE + 1)
            .collect();
        let next = (moved.len() > CALLS_AT_ONCE).then(|| moved.pop()).flatten();
        for serial in moved {
            if all || self.calls.get(serial).is_some_and(|call| call.traffic.has_moved()) {
                self.report_statistics(now, serial, out);
            }
            self.report_books(now, serial, all, out);
        }
        next
    }

    fn report_statistics(&mut self, now: Timestamp, serial: Serial, out: &mut Vec<Event>) {
        self.look_at(now, serial, out);
        self.look_for_silence(now, serial, out);
        let stats = self.calls.change(serial, |call| (call.stats(now), call.traffic.report(false)));
        let Some((session_stats, gre_stats)) = stats else { return };
        self.emit(now, Severity::Info, serial, Body::GreStats { gre_stats }, out);
        self.emit(now, Severity::Info, serial, Body::SessionStats { session_stats }, out);
    }

    /// Brings up to date what belongs to the call and is kept elsewhere, and reports what is wrong with it.
    fn look_at(&mut self, now: Timestamp, serial: Serial, out: &mut Vec<Event>) {
        self.note_tcp(serial);
        self.look_for_cleartext(now, serial, out);
        self.look_inside(now, serial, out);
    }

    /// Reports that the call is up, once.
    pub(super) fn announce_up(&mut self, now: Timestamp, serial: Serial, out: &mut Vec<Event>) {
        let up = self.calls.change(serial, |call| {
            let since = call.up_pending.take()?;
            if !call.phases.is_ending() {
                call.deadline = None;
            }
            Some(call.up(since))
        });
        let Some(mut session_up) = up.flatten() else { return };
        (session_up.processes, _) = self.said_of(serial);
        self.emit(now, Severity::Info, serial, Body::SessionUp { session_up }, out);
    }

    /// A pppN appeared or changed: the call that was waiting for it is complete.
    pub(super) fn ppp_interface(&mut self, at: Timestamp, interface: &PppInterface, out: &mut Vec<Event>) {
        self.unit_seen(at, interface.index);
        self.interfaces.set(interface);
        let Some(pair) = addresses(interface) else { return };
        // Addresses are given again: of several calls the youngest has them now.
        if let Some(serial) = self.calls.awaiting(pair).pop() {
            self.match_interface(at, serial, out);
        }
    }

    /// Joins the call and the pppN that has its addresses.
    fn match_interface(&mut self, at: Timestamp, serial: Serial, out: &mut Vec<Event>) {
        let Some(call) = self.calls.get(serial) else { return };
        if call.origin == Origin::Traffic && call.negotiation.address_of(Party::Client).is_none() {
            // Nothing to join by: what is known is all there will be.
            self.announce_up(at, serial, out);
            return;
        }
        let index = call.tunnel_addresses().and_then(|pair| self.interfaces.with_addresses(pair));
        if let Some(index) = index {
            self.join_unit(serial, index);
            self.announce_up(at, serial, out);
        }
    }
}
