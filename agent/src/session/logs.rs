//! Joins what the daemons say to calls.
//!
//! The processes of one call form a [`Group`]: the worker that pptpd makes for a control connection, the
//! pppd that the worker starts, on a client pppd and pptp. Lines find their group by process id; groups
//! are joined to each other, and to the call that the wire shows, by the keys of [`Key`], each with how sure
//! it is. A process id counts until a process with the same id starts anew.
//!
//! Where there is no wire, the groups are the sessions ([`super::Config::sessions_from_logs`]).

mod claims;
mod group;
mod held;
mod lines;
mod understand;

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use super::Correlator;
use super::call::Serial;
use super::directory::Description;
use crate::event::log::{Confidence, Join, Key};
use crate::event::session::Origin;
use crate::event::{Body, Event, SessionRef, Severity, log};
use crate::observation::log::{Class, Level, Log, Quality, Value};
use crate::observation::{Clock, Process};
use crate::time::Timestamp;
pub use claims::Offset;
use claims::{Offsets, Recent};
use group::Group;
use held::Held;

/// Groups held at most; the one that was silent for longest goes first.
const MAX_GROUPS: usize = 16_384;
/// Processes whose parent is remembered.
const MAX_PARENTS: usize = 16_384;
/// A process that said nothing for this long is over, whatever it did not say.
const SILENT: Duration = Duration::from_secs(86_400);
/// Processes whose call is over are looked at so often, and forgotten when they were silent since the last look: a
/// logger may be late.
const OVER: Duration = Duration::from_secs(30);
/// So many looks when pppd has not said that it exits: what it runs at the end, such as RADIUS accounting, may hang.
const PATIENT_LOOKS: u8 = 20;
/// pppd starts within this time after its worker said so; on a host that is short of everything it may take long.
const START_WAIT: Duration = Duration::from_secs(15);

/// Workers remembered that wait for their pppd.
const MAX_WAITING: usize = 256;
/// Groups looked at, of those that spoke last, for one that a process without a known parent may belong to.
const MAX_NEAR: usize = 32;
/// Groups looked at for one that can go.
const MAX_LOOKS: usize = 8;
/// Groups looked at, of those that spoke last, for the worker that an address names.
pub(in crate::session) const MAX_NAMED: usize = 1024;

/// Names a group; rises.
type Id = u64;

/// A process in a log. Logs of several hosts may have the same ids; lines without any are told apart by
/// their log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Speaker {
    host: Option<String>,
    what: Voice,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Voice {
    /// A process.
    Pid(u32),
    /// A session of accel-ppp, which serves all in one process.
    Interface(String),
    /// All of a log without process ids.
    Source(Arc<str>),
}

/// What is known from logs.
#[derive(Debug, Default)]
pub(super) struct Logs {
    groups: BTreeMap<Id, Box<Group>>,
    next: Id,
    speakers: BTreeMap<Speaker, Id>,
    /// Groups by when they last said something.
    ages: std::collections::BTreeSet<(Timestamp, Id)>,
    /// Groups that said that they end, and that time has not come to since.
    closing: VecDeque<Id>,
    /// Those that said so before, and when they were looked at last.
    over: VecDeque<(Timestamp, Id)>,
    parents: BTreeMap<u32, u32>,
    parent_order: VecDeque<u32>,
    recent: Recent,
    /// Workers that said they start pppd, and when; those that have theirs stay until their time is over.
    waiting: VecDeque<(Timestamp, Id)>,
    /// Processes that may be of several of them.
    held: VecDeque<Held>,
    /// Magic numbers of servers, and their calls.
    magics: VecDeque<(u32, Serial)>,
    /// A call was met that a group may be waiting for.
    search: bool,
    offsets: Offsets,
    /// Which call has which group.
    of_call: BTreeMap<Serial, Id>,
    /// Ends of sessions that turned out to be part of another one, or had to go.
    merged: Vec<Event>,
}

impl Logs {
    /// The group that the process is known to be of; not if this line is of a new process with the id of an old one.
    fn known_group(&self, speaker: &Speaker, at: Timestamp, log: &Log) -> Option<Id> {
        let id = *self.speakers.get(speaker)?;
        let group = self.groups.get(&id)?;
        let message = log.message.as_ref().map_or("", |message| &*message.id);
        let starts = message == lines::PPPD_STARTED || message == lines::WORKER_STARTED;
        (!(starts && group.has_started(&log.program)) && at < group.last + SILENT).then_some(id)
    }

    /// Groups that such a process may belong to: a worker says that it starts pppd, and pppd comes within a moment.
    fn waiting_groups(&self, at: Timestamp, log: &Log) -> Vec<Id> {
        let fits = |id: &Id| {
            let group = self.groups.get(id);
            group.is_some_and(|group| group.host == log.host && group.waits_for(log))
        };
        if log.program == "pptp" {
            let lately = self.ages.iter().rev().take_while(|(last, _)| at <= *last + START_WAIT);
            lately.take(MAX_NEAR).map(|(_, id)| *id).filter(fits).collect()
        } else {
            let near = self.waiting.iter().filter(|(said, _)| at <= *said + START_WAIT);
            near.map(|(_, id)| *id).filter(fits).collect()
        }
    }
}

#[cfg(test)]
impl Logs {
    /// Groups and processes.
    pub(super) fn remembered(&self) -> (usize, usize) {
        (self.groups.len(), self.speakers.len())
    }

    /// Whether a process is known.
    pub(super) fn remembers(&self, pid: u32) -> bool {
        self.speakers.keys().any(|speaker| speaker.what == Voice::Pid(pid))
    }

    /// Every table is within its bound, and none points to what is gone.
    pub(super) fn is_bounded(&self) -> bool {
        let voices: usize = self.groups.values().map(|group| group.voices.len()).sum();
        self.groups.len() <= MAX_GROUPS
            && self.ages.len() == self.groups.len()
            && self.speakers.len() <= voices
            && voices <= self.groups.len() + understand::MAX_VOICES
            && self.closing.len() + self.over.len() <= 2 * MAX_GROUPS
            && self.waiting.len() <= MAX_WAITING
            && held::is_bounded(&self.held)
            && self.parents.len() <= MAX_PARENTS
            && self.speakers.values().all(|id| self.groups.contains_key(id))
    }
}

impl Correlator {
    /// The process table says who started whom.
    pub(super) fn process(&mut self, process: Process) {
        let logs = &mut self.logs;
        if logs.parents.insert(process.pid, process.parent).is_none() {
            logs.parent_order.push_back(process.pid);
            if logs.parent_order.len() > MAX_PARENTS
                && let Some(oldest) = logs.parent_order.pop_front()
            {
                logs.parents.remove(&oldest);
            }
        }
    }

    /// A line of a log.
    pub(super) fn log_line(&mut self, at: Timestamp, clock: Clock, log: &Log, out: &mut Vec<Event>) {
        if !self.hold(at, clock, log) {
            self.take_line(at, clock, log, None, out);
        }
    }

    /// A line of a process of which is known whose it is, as far as it ever will be; and what told so, where it had
    /// to wait for that.
    fn take_line(
        &mut self,
        at: Timestamp,
        clock: Clock,
        log: &Log,
        told: Option<(Id, Join)>,
        out: &mut Vec<Event>,
    ) {
        let quality = match clock {
            Clock::Log(quality) => quality,
            _ => Quality::NONE,
        };
        let stated = at;
        let at = self.logs.offsets.correct(&log.source, at);
        let told = told.filter(|(id, _)| self.logs.groups.contains_key(id));
        let Some((id, join)) = told.or_else(|| self.group_of(at, log)) else {
            let (session, join) = self.call_without_process(at, quality, log).unzip();
            self.report_line(stated, quality, log, session, join, out);
            return;
        };
        self.age(at, id);
        if log.message.as_ref().is_some_and(|message| message.id == lines::WORKER_CALL) {
            self.wait_for_pppd(at, id);
        }
        self.understand(stated, quality, id, log);
        self.note_closing(id);
        if let Some((offset, is_off)) = self.logs.offsets.take_news() {
            // Now that the offset is known: the finding has the time of the packets.
            let at = self.logs.offsets.correct(&log.source, stated);
            self.findings.clock(at, &offset, is_off, out);
        }
        // The line may have told that its process belongs to another group.
        let id = self.logs.speakers.get(&speaker_of(log)).copied().unwrap_or(id);
        self.claim_call(at, id);
        let serial = self.logs.groups.get(&id).and_then(|group| group.call.map(|(serial, _)| serial));
        if serial.is_none() && self.config.sessions_from_logs {
            self.follow_group(stated, id, out);
        }
        let join = match self.logs.groups.get(&id).and_then(|group| group.call) {
            Some((_, joined)) if joined.confidence < join.confidence => joined,
            _ => join,
        };
        let session = self.session_of(serial, id);
        let dump = log.message.as_ref().and_then(|message| message.dump.as_ref());
        if let (Some(session), Some(dump)) = (&session, dump) {
            self.findings.dumped(at, session.id, dump.sent, out);
        }
        self.report_line(stated, quality, log, session, Some(join), out);
        if self.config.sessions_from_logs {
            self.end_group(stated, id, out);
            out.append(&mut self.logs.merged);
        }
    }

    /// The group of a line, and what links it; None for lines that are about no single call.
    fn group_of(&mut self, at: Timestamp, log: &Log) -> Option<(Id, Join)> {
        if !lines::is_of_a_call(log) {
            return None;
        }
        let speaker = speaker_of(log);
        if let Some(group) = self.logs.known_group(&speaker, at, log) {
            if let Some(group) = self.logs.groups.get_mut(&group) {
                group.add(log.program.clone(), log.pid);
            }
            return Some((group, Join { key: Key::Pid, confidence: Confidence::High }));
        }
        let has_room = |logs: &Logs, id: Id| {
            logs.groups.get(&id).is_some_and(|group| group.voices.len() < understand::MAX_VOICES)
        };
        let parent = self.parent_group(at, log).filter(|(id, _)| has_room(&self.logs, *id));
        let (group, join) = parent.unwrap_or_else(|| {
            let group = self.logs.next;
            self.logs.next += 1;
            self.logs.groups.insert(group, Box::new(Group::begin(at, group, log)));
            self.logs.ages.insert((at, group));
            (group, Join { key: Key::Pid, confidence: Confidence::High })
        });
        if let Some(group) = self.logs.groups.get_mut(&group) {
            group.add(log.program.clone(), log.pid);
            group.guess |= join.confidence == Confidence::Low;
            group.voices.push(speaker.clone());
        }
        self.logs.speakers.insert(speaker, group);
        self.bound_groups();
        Some((group, join))
    }

    /// The group of the process that started this one.
    fn parent_group(&mut self, at: Timestamp, log: &Log) -> Option<(Id, Join)> {
        let pid = log.pid?;
        if let Some(parent) = self.logs.parents.get(&pid) {
            let speaker = Speaker { host: log.host.clone(), what: Voice::Pid(*parent) };
            if let Some(id) = self.logs.speakers.get(&speaker).copied()
                && let Some(group) = self.logs.groups.get_mut(&id)
            {
                if log.program == "pppd" && group.guess {
                    self.evict_pppd(log.host.as_ref(), pid, id);
                }
                if self.logs.groups.get(&id).is_some_and(|group| group.takes(&log.program)) {
                    return Some((id, Join { key: Key::ParentPid, confidence: Confidence::High }));
                }
            }
            // Its parent is known, and is none of ours.
            return None;
        }
        // Where several wait, the one that waits for longest is tried: what follows corrects it.
        let waiting = self.logs.waiting_groups(at, log);
        let Some(first) = waiting.iter().min().copied() else { return self.neighbour(at, log) };
        let confidence = if waiting.len() > 1 { Confidence::Low } else { Confidence::Medium };
        Some((first, Join { key: Key::Time, confidence }))
    }

    /// A log that begins in mid-call leaves out that the worker started pppd: process ids that follow each
    /// other are of one call, until the worker names its child.
    fn neighbour(&self, at: Timestamp, log: &Log) -> Option<(Id, Join)> {
        let pid = log.pid?;
        let is_start = log.message.as_ref().is_some_and(|message| message.id == lines::WORKER_STARTED);
        let lately = self.logs.ages.iter().rev().take_while(|(last, _)| at <= *last + START_WAIT);
        let distances = lately.take(MAX_NEAR).filter_map(|(_, id)| {
            let group = self.logs.groups.get(id)?;
            let distance = group.distance_to(&log.program, pid)?;
            (group.host == log.host && !is_start).then_some((distance, *id))
        });
        let (_, id) = distances.min()?;
        Some((id, Join { key: Key::Time, confidence: Confidence::Low }))
    }

    /// The worker of this group has said that it starts pppd.
    fn wait_for_pppd(&mut self, at: Timestamp, id: Id) {
        let waiting = &mut self.logs.waiting;
        while waiting.front().is_some_and(|(said, _)| *said + START_WAIT < at) || waiting.len() >= MAX_WAITING
        {
            waiting.pop_front();
        }
        waiting.push_back((at, id));
    }

    fn age(&mut self, at: Timestamp, id: Id) {
        if let Some(group) = self.logs.groups.get_mut(&id) {
            let now = at.max(group.last);
            self.logs.ages.remove(&(group.last, id));
            group.last = now;
            group.is_fresh = true;
            self.logs.ages.insert((now, id));
        }
    }

    /// Makes room: of the groups that are done one goes, or else the one that was silent for longest.
    fn bound_groups(&mut self) {
        while self.logs.groups.len() > MAX_GROUPS {
            let done = (0..MAX_LOOKS).find_map(|_| self.next_done());
            let Some(id) = done.or_else(|| self.logs.ages.pop_first().map(|(_, id)| id)) else { return };
            self.forget_group(id);
        }
    }

    /// The next group that said that it ends, when it is done; otherwise it is the last one from here on.
    fn next_done(&mut self) -> Option<Id> {
        let (at, id) = match self.logs.over.pop_front() {
            Some((at, id)) => (Some(at), id),
            None => (None, self.logs.closing.pop_front()?),
        };
        let group = self.logs.groups.get(&id)?;
        if self.is_done(group) {
            return Some(id);
        }
        match at {
            Some(at) => self.logs.over.push_back((at, id)),
            None => self.logs.closing.push_back(id),
        }
        None
    }

    /// Whether all is told of the call of a group that said that it ends.
    fn is_done(&self, group: &Group) -> bool {
        let has_call = group.call.is_some_and(|(serial, _)| self.calls.get(serial).is_some());
        // A session that only the log knows: its end is to be told.
        let is_open = group.announced && !group.ended;
        !has_call && !is_open
    }

    fn forget_group(&mut self, id: Id) {
        if let Some(mut group) = self.logs.groups.remove(&id) {
            self.logs.ages.remove(&(group.last, id));
            for voice in &group.voices {
                if self.logs.speakers.get(voice) == Some(&id) {
                    self.logs.speakers.remove(voice);
                }
            }
            if let Some((serial, _)) = group.call {
                self.logs.of_call.remove(&serial);
            } else if group.announced && !group.ended {
                let end = group.end(group.last, &self.config.host);
                self.logs.merged.push(end);
            }
        }
    }

    /// What events say of the call of a group; None where no call is known.
    fn session_of(&self, serial: Option<Serial>, group: Id) -> Option<Arc<SessionRef>> {
        if let Some(call) = serial.and_then(|serial| self.calls.get(serial)) {
            return Some(call.reference());
        }
        let group = self.logs.groups.get(&group)?;
        match &group.past {
            // The call is over; its daemons have the last word.
            Some(past) => Some(past.clone()),
            None => self.config.sessions_from_logs.then(|| group.reference()),
        }
    }

    /// Appends the event about a line, if it is of interest.
    fn report_line(
        &self,
        at: Timestamp,
        quality: Quality,
        log: &Log,
        session: Option<Arc<SessionRef>>,
        join: Option<Join>,
        out: &mut Vec<Event>,
    ) {
        if !self.config.all_log_lines && !lines::is_of_interest(log) {
            return;
        }
        let message = log.message.as_ref();
        let severity = match message.map(|message| (message.class, message.level)) {
            Some((Class::Cause, _)) => Severity::Warning,
            Some((Class::Effect | Class::Benign | Class::Progress, _)) => Severity::Info,
            Some((Class::Other, Level::Warning | Level::Error)) | None => Severity::Notice,
            Some(_) => Severity::Info,
        };
        let line = log::Log {
            source: log.source.clone(),
            program: log.program.clone(),
            pid: log.pid,
            log_host: log.host.clone(),
            message: message.map(|message| message.id.clone()),
            class: message.map(|message| message.class),
            level: message.map(|message| message.level),
            fields: message.map(|message| message.fields.clone()).unwrap_or_default(),
            text: log.text.clone(),
            times: (log.times > 1).then_some(log.times),
            time: (quality != Quality::NONE).then_some(quality),
            join: join.filter(|_| session.is_some()),
        };
        out.push(Event {
            ts: at,
            body: Body::Log { log: line },
            severity,
            host: self.config.host.clone(),
            session,
        });
    }

    /// The call that a line without a process of its own is about: of FreeRADIUS by the client's address, the
    /// port (pppd's plugin gives its unit) and the name, of the kernel by the interface.
    fn call_without_process(
        &self,
        at: Timestamp,
        quality: Quality,
        log: &Log,
    ) -> Option<(Arc<SessionRef>, Join)> {
        let fields = &log.message.as_ref()?.fields;
        let text = |name: &str| fields.get(name).and_then(Value::as_str);
        if log.program != "freeradius" {
            let serial = self.calls.on_interface(text("interface")?)?;
            let join = Join { key: Key::Interface, confidence: Confidence::High };
            return Some((self.calls.get(serial)?.reference(), join));
        }
        let description = Description {
            client: fields.get("number").and_then(Value::as_address),
            interface: fields.get("port").and_then(Value::as_u64).map(|unit| format!("ppp{unit}")),
            user: text("user"),
            resolution: Duration::from_nanos(quality.resolution_ns),
            ..Description::default()
        };
        let (id, join) = self.directory.find(at, &description)?;
        Some((self.directory.get(id)?.reference.clone(), join))
    }

    /// Lines that daemons say about a call of the wire from here on are about `serial`.
    pub(super) fn call_begins(&mut self, at: Timestamp, serial: Serial, client: Ipv4Addr) {
        self.logs.recent.begin(at, client, serial);
        // A call that is met in mid-life: its daemons spoke before.
        self.logs.search |= self.calls.get(serial).is_some_and(|call| call.origin == Origin::Traffic);
    }

    /// A call of the wire is over; what its daemons still say goes to the same session.
    pub(super) fn call_ends(&mut self, serial: Serial, call: &super::call::Call) {
        self.logs.recent.forget(call.client, serial);
        match self.logs.of_call.remove(&serial) {
            Some(id) => {
                if let Some(group) = self.logs.groups.get_mut(&id) {
                    group.past = Some(call.reference());
                    group.is_fresh = true;
                }
            }
            // The logger may be slower than the call was short.
            None => self.logs.recent.end(call.client, call.started, call.reference()),
        }
    }

    /// Processes that serve the call, and the first of their messages that tells a cause.
    pub(super) fn said_of(&self, serial: Serial) -> (Vec<crate::event::session::Process>, Option<String>) {
        let group = self.logs.of_call.get(&serial).and_then(|id| self.logs.groups.get(id));
        group.map(|group| (group.processes(), group.decisive.clone())).unwrap_or_default()
    }

    /// Looks for the calls of groups that spoke before their calls were met.
    pub(super) fn search_groups(&mut self, now: Timestamp) {
        if !std::mem::take(&mut self.logs.search) {
            return;
        }
        let waiting = self.logs.groups.iter().filter(|(_, group)| group.call.is_none() && !group.closing);
        let waiting: Vec<Id> = waiting.map(|(id, _)| *id).collect();
        for id in waiting {
            self.claim_call(now, id);
        }
    }

    /// Remembers that a group says that it ends: such groups go first.
    fn note_closing(&mut self, id: Id) {
        if let Some(group) = self.logs.groups.get_mut(&id)
            && group.closing
            && !std::mem::replace(&mut group.is_swept, true)
        {
            self.logs.closing.push_back(id);
        }
    }

    /// Forgets groups that have been silent since long, and those whose call is over soon.
    pub(super) fn sweep_logs(&mut self, now: Timestamp, out: &mut Vec<Event>) {
        for id in std::mem::take(&mut self.logs.closing) {
            if let Some(group) = self.logs.groups.get_mut(&id) {
                group.is_fresh = false;
                self.logs.over.push_back((now, id));
            }
        }
        while let Some((looked, id)) = self.logs.over.front().copied()
            && looked + OVER <= now
        {
            self.logs.over.pop_front();
            let Some(group) = self.logs.groups.get_mut(&id) else { continue };
            let is_fresh = std::mem::take(&mut group.is_fresh);
            group.looks = if is_fresh { 0 } else { group.looks.saturating_add(1) };
            let is_silent = !is_fresh && (group.has_exited() || group.looks >= PATIENT_LOOKS);
            let is_done = self.logs.groups.get(&id).is_some_and(|group| self.is_done(group));
            if is_silent && is_done {
                self.forget_group(id);
            } else {
                self.logs.over.push_back((now, id));
            }
        }
        while let Some((last, id)) = self.logs.ages.first().copied()
            && last + SILENT < now
        {
            self.logs.ages.pop_first();
            self.forget_group(id);
        }
        out.append(&mut self.logs.merged);
    }

    /// How far the clock of each log is from that of the wire.
    pub fn clock_offsets(&self) -> Vec<Offset> {
        self.logs.offsets.all()
    }
}

fn speaker_of(log: &Log) -> Speaker {
    let interface = || {
        let name = log.message.as_ref()?.fields.get("interface")?.as_str()?;
        (log.program == "accel-ppp").then(|| Voice::Interface(name.to_owned()))
    };
    let what = interface()
        .or_else(|| log.pid.filter(|_| log.program != "accel-ppp").map(Voice::Pid))
        .unwrap_or_else(|| Voice::Source(log.source.clone()));
    Speaker { host: log.host.clone(), what }
}
