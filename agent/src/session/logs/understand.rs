//! What a line says about its group, and the session events of groups where there is no wire.

use std::net::Ipv4Addr;

use super::super::Correlator;
use super::group::Group;
use super::{Id, MAX_NAMED, Speaker, Voice, lines};
use crate::event::session::{Cause, End, Mppe, Origin, Phase, Start, Up};
use crate::event::{Body, Event, Party, Severity};
use crate::observation::Log;
use crate::observation::log::{Class, Message, Quality, Value};
use crate::time::Timestamp;
use crate::wire::ppp::{Frame, chap, pap};

/// Processes and interfaces that lines of a group may come from.
pub(super) const MAX_VOICES: usize = 16;

impl Correlator {
    /// Takes what the line says into its group; may find that its process belongs to another one.
    pub(super) fn understand(&mut self, at: Timestamp, quality: Quality, id: Id, log: &Log) {
        let Some(message) = &log.message else { return };
        let text = |name: &str| message.fields.get(name).and_then(Value::as_str);
        let address = |name: &str| message.fields.get(name).and_then(Value::as_address);
        let number = |name: &str| message.fields.get(name).and_then(Value::as_u64);
        let right = match &*message.id {
            lines::WORKER_REAPS => {
                number("pppd_pid").and_then(|pid| u32::try_from(pid).ok()).map(|pid| (pid, id))
            }
            lines::PPPD_NUMBER => {
                address("number").and_then(|client| self.worker(id, log, |group| group.client, client))
            }
            lines::PPPD_REMOTE => address("remote_address")
                .and_then(|remote| self.worker(id, log, |group| group.promised, remote)),
            _ => None,
        };
        let mut id = id;
        if let Some((pid, right)) = right {
            self.move_process(at, log.host.as_ref(), pid, right);
            if Some(pid) == log.pid {
                id = right;
            }
        }
        let Some(group) = self.logs.groups.get_mut(&id) else { return };
        if matches!(&*message.id, lines::PPPD_NUMBER | lines::PPPD_REMOTE | lines::WORKER_REAPS) {
            group.guess = false;
        }
        if message.class == Class::Cause {
            group.decisive.get_or_insert_with(|| message.id.clone().into_owned());
        }
        group.note_frame(message);
        match &*message.id {
            lines::WORKER_STARTED => group.client = address("client"),
            lines::WORKER_CALL => {
                group.starts_pppd = true;
                group.step(Phase::Lcp, Cause::CallEstablished, None);
            }
            lines::CLIENT_CALL => {
                let id = |name| number(name).and_then(|id| u16::try_from(id).ok());
                group.call_ids = id("call_id").zip(id("peer_call_id"));
            }
            lines::PPPD_INTERFACE => group.interface = text("interface").map(str::to_owned),
            lines::PPPD_RENAMED => group.interface = text("name").map(str::to_owned),
            lines::PPPD_CONNECT | lines::ACCEL_CONNECT => {
                group.interface = text("interface").map(str::to_owned);
                group.client = group.client.or(address("client"));
                group.step(Phase::Lcp, Cause::CallEstablished, None);
            }
            lines::PPPD_NUMBER => {
                group.client = group.client.or(address("number"));
                group.step(Phase::Ccp, Cause::Authenticated, Some(Party::Server));
            }
            lines::PPPD_COMPRESSION => {
                group.mppe = text("method").and_then(mppe);
                group.step(Phase::Ipcp, Cause::CcpOpened, None);
            }
            lines::PPPD_LOCAL => group.local = address("local_address"),
            lines::PPPD_REMOTE => {
                group.remote = address("remote_address");
                group.step(Phase::Up, Cause::IpcpOpened, None);
            }
            lines::PPPD_TERMINATED => group.step(Phase::Closing, Cause::LogMessage, None),
            lines::PPPD_EXIT => {
                group.pppd_exits = true;
                group.step(Phase::Closed, Cause::LogMessage, None);
            }
            lines::WORKER_FINISHED => group.step(Phase::Closed, Cause::LogMessage, None),
            other => {
                if lines::AUTHENTICATED.contains(&other) {
                    group.name_user(text("user"));
                    group.auth_protocol = text("protocol").map(auth_protocol);
                    group.step(Phase::Ccp, Cause::Authenticated, None);
                } else if lines::REFUSED.contains(&other) {
                    group.name_user(text("user"));
                    group.ending.get_or_insert(Cause::AuthenticationFailed);
                } else if lines::PPPD_PEER_TERMINATED.contains(&other) && text("protocol") == Some("LCP") {
                    group.step(Phase::Closing, Cause::LcpTerminateRequest, None);
                } else if lines::WORKER_REMOTE.contains(&other) {
                    group.promised = address("address");
                }
            }
        }
        let (call, interface, user) = (group.call, group.interface.clone(), group.user.clone());
        if let Some((serial, _)) = call.filter(|_| !group.guess) {
            self.tell_call(serial, interface.as_deref(), user.as_deref());
        }
        self.compare_clocks(at, quality, id, log);
    }

    /// The group of a worker that has this value, where the pppd that speaks is in another one.
    fn worker(
        &self,
        id: Id,
        log: &Log,
        of: impl Fn(&Group) -> Option<Ipv4Addr>,
        value: Ipv4Addr,
    ) -> Option<(u32, Id)> {
        let pid = log.pid?;
        if self.logs.groups.get(&id).is_some_and(|group| of(group) == Some(value)) {
            return None;
        }
        let lately = self.logs.ages.iter().rev().take(MAX_NAMED).map(|(_, other)| *other);
        let mut fitting = lately.filter(|other| {
            let is_it = |group: &Group| {
                group.host == log.host && !group.ended && of(group) == Some(value) && group.starts_pppd
            };
            *other != id && self.logs.groups.get(other).is_some_and(|group| is_it(group))
        });
        let right = fitting.next()?;
        fitting.next().is_none().then_some((pid, right))
    }

    /// The pppd with this id was taken to be of another worker. What it said goes with it.
    pub(super) fn move_process(&mut self, at: Timestamp, host: Option<&String>, pid: u32, to: Id) {
        let speaker = Speaker { host: host.cloned(), what: Voice::Pid(pid) };
        // Who says that it has had thousands of children is no worker.
        if self.logs.groups.get(&to).is_none_or(|group| group.voices.len() >= MAX_VOICES) {
            return;
        }
        let from = self.logs.speakers.insert(speaker.clone(), to);
        self.evict_pppd(host, pid, to);
        let Some(from) = from.filter(|from| *from != to) else {
            if let Some(group) = self.logs.groups.get_mut(&to) {
                group.add("pppd".into(), Some(pid));
                if !group.voices.contains(&speaker) {
                    group.voices.push(speaker);
                }
            }
            return;
        };
        let Some(wrong) = self.logs.groups.get_mut(&from) else { return };
        wrong.voices.retain(|known| *known != speaker);
        wrong.processes.retain(|(_, known)| *known != Some(pid));
        let said = (wrong.interface.take(), wrong.user.take(), wrong.local.take(), wrong.remote.take());
        let rest = (wrong.auth_protocol.take(), wrong.mppe.take());
        let is_empty = wrong.processes.is_empty();
        if is_empty {
            // It was a session for want of better knowledge; nobody waits for its end now.
            if wrong.announced && !wrong.ended {
                let end = wrong.end(at, &self.config.host);
                self.logs.merged.push(end);
            }
            self.forget_group(from);
        }
        let Some(right) = self.logs.groups.get_mut(&to) else { return };
        right.add("pppd".into(), Some(pid));
        right.voices.push(speaker);
        right.interface = said.0.or(right.interface.take());
        right.user = said.1.or(right.user.take());
        right.local = said.2.or(right.local);
        right.remote = said.3.or(right.remote);
        right.auth_protocol = right.auth_protocol.take().or(rest.0);
        right.mppe = right.mppe.or(rest.1);
    }

    /// Group `id` has the pppd `pid`: another one that was taken for it must find its place anew, and what it
    /// told is not of this call.
    pub(super) fn evict_pppd(&mut self, host: Option<&String>, pid: u32, id: Id) {
        let Some(group) = self.logs.groups.get_mut(&id) else { return };
        let others: Vec<u32> = group
            .processes
            .iter()
            .filter(|(program, _)| program == "pppd")
            .filter_map(|(_, other)| *other)
            .filter(|other| *other != pid)
            .collect();
        if others.is_empty() {
            return;
        }
        (group.interface, group.user, group.local, group.remote) = (None, None, None, None);
        (group.auth_protocol, group.mppe, group.decisive, group.ending) = (None, None, None, None);
        for other in others {
            let voice = Speaker { host: host.cloned(), what: Voice::Pid(other) };
            group.voices.retain(|known| *known != voice);
            group.processes.retain(|(_, known)| *known != Some(other));
            self.logs.speakers.remove(&voice);
        }
        group.guess = false;
    }

    /// Writes what happened to a group that is a session of its own.
    pub(super) fn follow_group(&mut self, at: Timestamp, id: Id, out: &mut Vec<Event>) {
        let host = &self.config.host;
        let Some(group) = self.logs.groups.get_mut(&id) else { return };
        let mut say = |group: &Group, severity, body| {
            out.push(Event { ts: at, body, severity, host: host.clone(), session: Some(group.reference()) });
        };
        if !group.announced {
            group.announced = true;
            let session_start =
                Start { origin: Origin::Log, phase: group.phases.current(), client_port: None };
            say(group, Severity::Info, Body::SessionStart { session_start });
        }
        for (phase, reason, by) in std::mem::take(&mut group.steps) {
            if group.phases.current() >= phase {
                continue;
            }
            if phase >= Phase::Closing {
                group.ending.get_or_insert(reason);
            }
            let Some(session_phase) = group.phases.enter(phase, at, reason, by) else { continue };
            say(group, Severity::Info, Body::SessionPhase { session_phase });
            if phase == Phase::Up && !group.up_announced {
                group.up_announced = true;
                let session_up = Up {
                    user: group.user.clone(),
                    auth_protocol: group.auth_protocol.clone(),
                    interface: group.interface.clone(),
                    server_address: group.local,
                    client_address: group.remote,
                    mppe: group.mppe,
                    client_peer: None,
                    server_peer: None,
                    phases: group.phases.finished(),
                    setup_ns: at.ns_since(group.begun),
                    processes: group.processes(),
                };
                say(group, Severity::Info, Body::SessionUp { session_up });
            }
        }
    }

    /// Writes the end of a group that is a session of its own, once all of its processes are gone.
    pub(super) fn end_group(&mut self, at: Timestamp, id: Id, out: &mut Vec<Event>) {
        let Some(group) = self.logs.groups.get_mut(&id) else { return };
        if group.call.is_some() || !group.announced || group.ended || group.phases.current() != Phase::Closed
        {
            return;
        }
        out.push(group.end(at, &self.config.host));
    }

    /// The log is read: groups that were closing are over.
    pub(in crate::session) fn end_closing_groups(&mut self, out: &mut Vec<Event>) {
        for group in self.logs.groups.values_mut() {
            let is_over = group.phases.is_ending() || group.decisive.is_some();
            if group.announced && !group.ended && group.call.is_none() && is_over {
                out.push(group.end(group.last, &self.config.host));
            }
        }
    }
}

impl Group {
    /// The group moves on to `phase`.
    fn step(&mut self, phase: Phase, reason: Cause, by: Option<Party>) {
        if self.steps.len() < 16 {
            self.steps.push((phase, reason, by));
        }
        self.closing |= phase >= Phase::Closing;
    }

    fn name_user(&mut self, user: Option<&str>) {
        if let Some(user) = user {
            self.user = Some(user.to_owned());
        }
    }

    /// The name of the user in a frame that came.
    fn note_frame(&mut self, message: &Message) {
        let Some(dump) = message.dump.as_ref().filter(|dump| !dump.sent) else { return };
        let user = match &dump.frame {
            Frame::Chap(chap::Packet { body: chap::Body::Response { name, .. }, .. }) => Some(name),
            Frame::Pap(pap::Packet { body: pap::Body::AuthenticateRequest { peer_id }, .. }) => Some(peer_id),
            _ => None,
        };
        self.name_user(user.map(String::as_str));
    }

    pub(super) fn end(&mut self, at: Timestamp, host: &str) -> Event {
        self.ended = true;
        let reason = self.ending.unwrap_or(Cause::LogMessage);
        let (last_phase, was_up) = (self.phases.last_open(), self.phases.was_up());
        let session_end = End {
            phases: self.phases.times(at),
            log_message: self.decisive.clone(),
            processes: self.processes(),
            ..End::bare(reason, last_phase, was_up, at.ns_since(self.begun))
        };
        let severity = if session_end.was_up { Severity::Info } else { Severity::Warning };
        let session = Some(self.reference());
        Event { ts: at, body: Body::SessionEnd { session_end }, severity, host: host.to_owned(), session }
    }
}

/// `MPPE 128-bit stateless`.
fn mppe(method: &str) -> Option<Mppe> {
    let (bits, mode) = method.strip_prefix("MPPE ")?.split_once("-bit ")?;
    Some(Mppe { bits: bits.parse().ok()?, stateful: mode.starts_with("stateful") })
}

/// The protocol by the name that events have for it.
fn auth_protocol(name: &str) -> String {
    match name {
        "CHAP MS-v2" | "MS-CHAPv2" => "ms_chap_v2".into(),
        "MS-CHAP" | "CHAP MS" => "ms_chap".into(),
        other => other.to_lowercase(),
    }
}
