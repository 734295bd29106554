//! Lines of a pppd that may be of several calls wait until something tells of which.
//!
//! Workers that start their pppd at the same time, and no process table to ask: whose pppd it is shows when the wire
//! carries the magic number of its first request, when it names the client's number or address, or when its worker
//! reaps it. Until then what it says is held, so that no line is reported for the wrong call.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::super::Correlator;
use super::super::call::Serial;
use super::{Id, Logs, Speaker, Voice, lines, speaker_of};
use crate::event::log::{Confidence, Join, Key};
use crate::event::{Event, Party};
use crate::observation::log::{Log, Value};
use crate::observation::{Clock, Observation, What};
use crate::time::Timestamp;
use crate::wire::ppp::cp::Body;
use crate::wire::ppp::lcp::LcpOption;
use crate::wire::ppp::{Frame, lcp};

/// A line is held no longer than this; then the likeliest call gets it.
const HOLD: Duration = Duration::from_secs(10);
/// Processes whose lines are held; the one that began first goes first.
const MAX_HELD: usize = 32;
/// Lines held of one process.
const MAX_LINES: usize = 128;
/// Magic numbers of servers that are remembered.
const MAX_MAGICS: usize = 256;

/// What a process said, and what may tell whose it is.
#[derive(Debug)]
pub(super) struct Held {
    speaker: Speaker,
    /// When it was heard first, by the clock of the wire.
    since: Timestamp,
    lines: Vec<(Timestamp, Clock, Log)>,
    /// Of the Configure-Request that it sent.
    magic: Option<u32>,
    number: Option<Ipv4Addr>,
    remote: Option<Ipv4Addr>,
    /// It starts with the id of one that is held.
    is_over: bool,
}

impl Held {
    fn add(&mut self, at: Timestamp, clock: Clock, log: &Log) {
        if let Some(message) = &log.message {
            let address = |name: &str| message.fields.get(name).and_then(Value::as_address);
            match &*message.id {
                lines::PPPD_NUMBER => self.number = address("number"),
                lines::PPPD_REMOTE => self.remote = address("remote_address"),
                lines::PPPD_STARTED => self.is_over |= !self.lines.is_empty(),
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
    To(Id, Key),
    /// Nothing more is to be waited for.
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
        self.held.iter().map(|held| held.since + HOLD).min()
    }

    /// The only call whose server asked with this magic number.
    fn call_with_magic(&self, magic: u32) -> Option<Serial> {
        let mut calls = self.magics.iter().filter(|(known, _)| *known == magic).map(|(_, serial)| *serial);
        let first = calls.next()?;
        calls.all(|other| other == first).then_some(first)
    }

    fn fate(&self, held: &Held, now: Timestamp) -> Fate {
        let Voice::Pid(pid) = held.speaker.what else { return Fate::Release };
        if self.parents.contains_key(&pid)
            || self.speakers.contains_key(&held.speaker)
            || held.is_over
            || held.lines.len() >= MAX_LINES
            || held.since + HOLD <= now
        {
            return Fate::Release;
        }
        let by_magic = held.magic.and_then(|magic| self.call_with_magic(magic));
        if let Some(id) = by_magic.and_then(|serial| self.of_call.get(&serial).copied()) {
            return Fate::To(id, Key::Frame);
        }
        let Some((_, _, first)) = held.lines.first() else { return Fate::Release };
        let candidates = self.waiting_groups(held.since, first);
        if candidates.len() <= 1 {
            return Fate::Release;
        }
        let only = |is_it: &dyn Fn(&super::Group) -> bool| {
            let mut found = candidates.iter().copied().filter(|id| self.groups.get(id).is_some_and(is_it));
            let first = found.next()?;
            found.next().is_none().then_some(first)
        };
        if let Some(id) = held.number.and_then(|number| only(&|group| group.client == Some(number))) {
            return Fate::To(id, Key::ClientAddress);
        }
        match held.remote.and_then(|remote| only(&|group| group.promised == Some(remote))) {
            Some(id) => Fate::To(id, Key::TunnelAddress),
            None => Fate::Wait,
        }
    }
}

impl Correlator {
    /// Holds the line if nobody can say yet whose process said it.
    pub(super) fn hold(&mut self, at: Timestamp, clock: Clock, log: &Log) -> bool {
        let Some(pid) = log.pid.filter(|_| log.program == "pppd") else { return false };
        let speaker = speaker_of(log);
        let logs = &mut self.logs;
        if let Some(held) = logs.held.iter_mut().find(|held| held.speaker == speaker) {
            held.add(at, clock, log);
            return true;
        }
        let since = logs.offsets.correct(&log.source, at);
        let is_certain = logs.speakers.contains_key(&speaker) || logs.parents.contains_key(&pid);
        if is_certain || logs.waiting_groups(since, log).len() < 2 {
            return false;
        }
        let mut held = Held {
            speaker,
            since,
            lines: Vec::new(),
            magic: None,
            number: None,
            remote: None,
            is_over: logs.held.len() >= MAX_HELD,
        };
        held.add(at, clock, log);
        logs.held.push_back(held);
        true
    }

    /// Whether an observation may tell whose a process is.
    pub(in crate::session) fn may_release(&self, observation: &Observation) -> bool {
        !self.logs.held.is_empty()
            && matches!(observation.what, What::Log(_) | What::Process(_) | What::Ppp(_))
    }

    /// Reports the lines of every process of which it is known by now whose it is, or never will be.
    pub(in crate::session) fn release_held(&mut self, now: Timestamp, out: &mut Vec<Event>) {
        let mut index = 0;
        while let Some(held) = self.logs.held.get(index) {
            match self.logs.fate(held, now) {
                Fate::Wait => index += 1,
                Fate::To(id, key) => self.release(index, Some((id, key)), out),
                Fate::Release => self.release(index, None, out),
            }
        }
    }

    /// Nothing more will tell.
    pub(in crate::session) fn release_all(&mut self, out: &mut Vec<Event>) {
        while !self.logs.held.is_empty() {
            self.release(0, None, out);
        }
    }

    fn release(&mut self, index: usize, to: Option<(Id, Key)>, out: &mut Vec<Event>) {
        let Some(held) = self.logs.held.remove(index) else { return };
        if let (Some((id, _)), Voice::Pid(pid)) = (to, &held.speaker.what) {
            self.move_process(held.since, held.speaker.host.as_ref(), *pid, id);
        }
        let told = to.map(|(_, key)| Join { key, confidence: Confidence::High });
        for (at, clock, log) in held.lines {
            self.take_line(at, clock, &log, told, out);
        }
    }
}
