//! Lines of a pppd that may be of several calls wait until something tells of which.
//!
//! Workers that start their pppd at the same time, and no process table to ask: whose pppd it is shows when the wire
//! carries the magic number of its first request, when it names the client's number or address, or when its worker
//! reaps it. Until then what it says is held, so that no line is reported for the wrong call.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::super::Correlator;
use super::super::call::Serial;
use super::group::Group;
use super::{Id, Logs, Speaker, Voice, lines, speaker_of};
use crate::event::log::{Confidence, Join, Key};
use crate::event::{Event, Party};
use crate::observation::log::{Log, Value};
use crate::observation::{Clock, Observation, What};
use crate::time::Timestamp;
use crate::wire::ppp::cp::Body;
use crate::wire::ppp::lcp::LcpOption;
use crate::wire::ppp::{Frame, lcp};

/// Lines are held no longer than this; then the likeliest call gets them.
const HOLD: Duration = Duration::from_secs(10);
/// Processes whose lines are held; the one that began first goes first.
const MAX_HELD: usize = 32;
/// Lines held of one process.
const MAX_LINES: usize = 128;
/// Groups that one process may be of.
const MAX_CANDIDATES: usize = 64;
/// Magic numbers of servers that are remembered.
const MAX_MAGICS: usize = 256;

/// What a process said, and what may tell whose it is.
#[derive(Debug)]
pub(super) struct Held {
    speaker: Speaker,
    /// When the wait began: time came to this next after it was heard first. Not by its own stamps: they are of
    /// another clock.
    waits: Option<Timestamp>,
    lines: Vec<(Timestamp, Clock, Log)>,
    /// Groups whose workers waited for a pppd then, in the order in which they said so.
    candidates: Vec<Id>,
    /// Of the Configure-Request that it sent.
    magic: Option<u32>,
    number: Option<Ipv4Addr>,
    remote: Option<Ipv4Addr>,
    /// It said that it starts.
    started: bool,
    /// It said that its link is down.
    ending: bool,
    /// Another process with its id starts.
    is_over: bool,
}

impl Held {
    fn add(&mut self, at: Timestamp, clock: Clock, log: &Log) {
        if let Some(message) = &log.message {
            let address = |name: &str| message.fields.get(name).and_then(Value::as_address);
            match &*message.id {
                lines::PPPD_NUMBER => self.number = address("number"),
                lines::PPPD_REMOTE => self.remote = address("remote_address"),
                lines::PPPD_STARTED => self.is_over |= std::mem::replace(&mut self.started, true),
                lines::PPPD_TERMINATED | lines::PPPD_EXIT => self.ending = true,
                id if lines::WORKER_REMOTE.contains(&id) => self.remote = address("address"),
                _ => {}
            }
            if let Some(dump) = message.dump.as_ref().filter(|dump| dump.sent) {
                self.magic = magic_asked(&dump.frame).or(self.magic);
            }
        }
        self.lines.push((at, clock, log.clone()));
    }
}

#[cfg(test)]
pub(super) fn is_bounded(held: &std::collections::VecDeque<Held>) -> bool {
    held.len() <= MAX_HELD && held.iter().all(|held| held.lines.len() <= MAX_LINES)
}

/// The magic number in an LCP Configure-Request.
fn magic_asked(frame: &Frame) -> Option<u32> {
    let Frame::Lcp(lcp::Packet { body: Body::ConfigureRequest { options }, .. }) = frame else { return None };
    options.iter().find_map(|option| match option {
        LcpOption::MagicNumber { magic } => Some(*magic),
        _ => None,
    })
}

/// What becomes of the lines of a process.
enum Fate {
    Wait,
    /// They belong to this group, as this tells.
    To(Id, Join),
    /// What is known without them tells.
    Release,
}

impl Logs {
    /// A frame of the wire: the server's magic number names its pppd.
    pub(in crate::session) fn note_magic(&mut self, serial: Serial, sender: Party, frame: &Frame) {
        if sender == Party::Server
            && let Some(magic) = magic_asked(frame)
        {
            if self.magics.len() == MAX_MAGICS {
                self.magics.pop_front();
            }
            self.magics.push_back((magic, serial));
        }
    }

    /// When the first of the processes has waited for long enough.
    pub(in crate::session) fn next_deadline(&self) -> Option<Timestamp> {
        self.held.front()?.waits.map(|since| since + HOLD)
    }

    /// The only call whose server asked with this magic number.
    fn call_with_magic(&self, magic: u32) -> Option<Serial> {
        let mut calls = self.magics.iter().filter(|(known, _)| *known == magic).map(|(_, serial)| *serial);
        let first = calls.next()?;
        calls.all(|other| other == first).then_some(first)
    }

    fn fate(&self, held: &Held) -> Fate {
        let Voice::Pid(pid) = held.speaker.what else { return Fate::Release };
        let is_told = self.parents.contains_key(&pid) || self.speakers.contains_key(&held.speaker);
        if is_told || held.is_over {
            return Fate::Release;
        }
        let certain = |key| Join { key, confidence: Confidence::High };
        let by_magic = held.magic.and_then(|magic| self.call_with_magic(magic));
        if let Some(id) = by_magic.and_then(|serial| self.of_call.get(&serial).copied()) {
            return Fate::To(id, certain(Key::Frame));
        }
        let only = |is_it: &dyn Fn(&Group) -> bool| {
            let fits = |id: &Id| self.groups.get(id).is_some_and(|group| is_it(group));
            let mut found = held.candidates.iter().copied().filter(fits);
            let first = found.next()?;
            found.next().is_none().then_some(first)
        };
        if let Some(id) = held.number.and_then(|number| only(&|group| group.client == Some(number))) {
            return Fate::To(id, certain(Key::ClientAddress));
        }
        if let Some(id) = held.remote.and_then(|remote| only(&|group| group.promised == Some(remote))) {
            return Fate::To(id, certain(Key::TunnelAddress));
        }
        let likely = Join { key: Key::Time, confidence: Confidence::Medium };
        // The others have theirs; or its link is down, and so is the connection of one worker.
        let left = only(&Group::lacks_pppd);
        let over = || only(&|group| group.lacks_pppd() && group.closing);
        match left.or_else(|| held.ending.then(over).flatten()) {
            Some(id) => Fate::To(id, likely),
            None => Fate::Wait,
        }
    }

    /// Where the lines go of which nothing more is to be waited for: to the worker that waits for longest.
    fn guess(&self, held: &Held) -> Fate {
        match self.fate(held) {
            Fate::Wait => {
                let lacks = |id: &&Id| self.groups.get(id).is_some_and(|group| group.lacks_pppd());
                let join = Join { key: Key::Time, confidence: Confidence::Low };
                held.candidates.iter().find(lacks).map_or(Fate::Release, |id| Fate::To(*id, join))
            }
            fate => fate,
        }
    }
}

impl Correlator {
    /// Holds the line if nobody can say yet whose process said it.
    pub(super) fn hold(&mut self, at: Timestamp, clock: Clock, log: &Log) -> bool {
        let Some(pid) = log.pid.filter(|_| log.program == "pppd" || lines::is_of_launcher(log)) else {
            return false;
        };
        let speaker = speaker_of(log);
        if let Some(held) = self.logs.held.iter_mut().find(|held| held.speaker == speaker) {
            held.add(at, clock, log);
            return true;
        }
        let corrected = self.logs.offsets.correct(&log.source, at);
        let is_known = self.logs.known_group(&speaker, corrected, log).is_some();
        if is_known || self.logs.parents.contains_key(&pid) {
            return false;
        }
        let mut candidates = self.logs.waiting_groups(corrected, log);
        let mut seen = BTreeSet::new();
        candidates.retain(|id| seen.insert(*id));
        candidates.truncate(MAX_CANDIDATES);
        if candidates.len() < 2 {
            return false;
        }
        // The id is that of a process that is over.
        self.logs.speakers.remove(&speaker);
        let mut held = Held {
            speaker,
            waits: None,
            lines: Vec::new(),
            candidates,
            magic: None,
            number: None,
            remote: None,
            started: false,
            ending: false,
            is_over: false,
        };
        held.add(at, clock, log);
        self.logs.held.push_back(held);
        true
    }

    /// Whether an observation may tell whose a process is.
    pub(in crate::session) fn may_release(&self, observation: &Observation) -> bool {
        !self.logs.held.is_empty()
            && matches!(observation.what, What::Log(_) | What::Process(_) | What::Ppp(_))
    }

    /// Reports the lines of every process of which is known by now whose it is.
    pub(in crate::session) fn release_held(&mut self, out: &mut Vec<Event>) {
        let mut index = 0;
        while let Some(held) = self.logs.held.get(index) {
            let is_too_long = held.lines.len() >= MAX_LINES;
            match if is_too_long { self.logs.guess(held) } else { self.logs.fate(held) } {
                Fate::Wait => index += 1,
                fate => {
                    self.release(index, &fate, out);
                    // Whoever has its pppd is no candidate for the others.
                    index = 0;
                }
            }
        }
        while self.logs.held.len() > MAX_HELD {
            self.release_first(out);
        }
    }

    /// Reports the lines that have waited for long enough.
    pub(in crate::session) fn release_overdue(&mut self, now: Timestamp, out: &mut Vec<Event>) {
        while self.logs.next_deadline().is_some_and(|due| due <= now) {
            self.release_first(out);
        }
        self.logs.held.iter_mut().for_each(|held| held.waits = held.waits.or(Some(now)));
    }

    /// Nothing more will tell.
    pub(in crate::session) fn release_all(&mut self, out: &mut Vec<Event>) {
        while !self.logs.held.is_empty() {
            self.release_first(out);
        }
    }

    fn release_first(&mut self, out: &mut Vec<Event>) {
        if let Some(fate) = self.logs.held.front().map(|held| self.logs.guess(held)) {
            self.release(0, &fate, out);
        }
    }

    fn release(&mut self, index: usize, fate: &Fate, out: &mut Vec<Event>) {
        let Some(held) = self.logs.held.remove(index) else { return };
        let told = match (fate, &held.speaker.what) {
            (Fate::To(id, join), Voice::Pid(pid)) => {
                let at = self.logs.groups.get(id).map_or(Timestamp::default(), |group| group.last);
                self.move_process(at, held.speaker.host.as_ref(), *pid, *id);
                if let Some(group) = self.logs.groups.get_mut(id) {
                    group.guess |= join.confidence == Confidence::Low;
                }
                Some((*id, *join))
            }
            _ => None,
        };
        for (at, clock, log) in held.lines {
            self.take_line(at, clock, &log, told, out);
        }
    }
}
