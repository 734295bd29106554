//! What the daemons' logs say about a call, as rules read it.

use std::borrow::Cow;

use super::Tally;
use crate::event::log::{Class, Log};
use crate::seldom::{Seldom, seldom};
use crate::time::Timestamp;

/// Lines remembered for each call.
const MAX_LINES: usize = 64;
/// Lines for which room is made at a time.
const ROOM: usize = 4;

/// A line that was recognised.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::finding) struct LogLine {
    pub(in crate::finding) at: Timestamp,
    pub(in crate::finding) program: Cow<'static, str>,
    /// Its id in the catalogue of messages.
    pub(in crate::finding) id: Cow<'static, str>,
    pub(in crate::finding) class: Class,
    pub(in crate::finding) text: Box<str>,
}

/// The lines of a call, oldest first; of too many the first ones, for causes come before effects.
#[derive(Clone, Debug, Default)]
pub(in crate::finding) struct Logs {
    pub(in crate::finding) lines: Vec<LogLine>,
    pub(in crate::finding) dumped: Seldom<Dumped>,
}

/// Negotiation frames that the call's daemon says it has sent and received: the lines themselves are no events, as a
/// rule.
#[derive(Clone, Debug, Default)]
pub(in crate::finding) struct Dumped {
    pub(in crate::finding) sent: Tally,
    pub(in crate::finding) received: Tally,
}

seldom!(Dumped);

impl Logs {
    pub(super) fn take(&mut self, at: Timestamp, log: &Log) -> bool {
        let Some(id) = &log.message else { return false };
        if self.lines.len() >= MAX_LINES {
            return false;
        }
        if self.lines.len() == self.lines.capacity() {
            // Each call has these: no room for lines that never come.
            self.lines.reserve_exact(ROOM);
        }
        self.lines.push(LogLine {
            at,
            program: log.program.clone(),
            id: id.clone(),
            class: log.class.unwrap_or(Class::Other),
            text: log.text.as_str().into(),
        });
        true
    }

    /// The daemon says that it has sent a frame, or received one. Returns how many it said so of.
    pub(in crate::finding) fn dumped(&mut self, at: Timestamp, is_sent: bool) -> u32 {
        let tally = if is_sent { &mut self.dumped.sent } else { &mut self.dumped.received };
        tally.add(at);
        tally.count
    }

    /// The first line that one of `patterns` names, see [`LogLine::is`].
    pub(in crate::finding) fn first(&self, patterns: &[&str]) -> Option<&LogLine> {
        self.lines.iter().find(|line| patterns.iter().any(|pattern| line.is(pattern)))
    }

    /// The first cause that anybody names.
    pub(in crate::finding) fn first_cause(&self) -> Option<&LogLine> {
        self.lines.iter().find(|line| line.class == Class::Cause)
    }
}

impl LogLine {
    /// Whether `pattern` names the line: an id of the catalogue of messages, or with `*` at its end
    /// all ids that begin so.
    pub(in crate::finding) fn is(&self, pattern: &str) -> bool {
        match pattern.strip_suffix('*') {
            Some(beginning) => self.id.starts_with(beginning),
            None => self.id == pattern,
        }
    }
}
