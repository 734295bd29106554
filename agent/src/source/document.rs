//! Files that are no captures: logs and event logs. Each gives observations in the order of time; they
//! are merged with each other and with the packets.

use std::fmt;
use std::time::Duration;

use super::capture::Input;
use super::recognise::Kind;
use crate::logs::reader::{MAX_ENTRY, Reader, Settings};
use crate::observation::{Clock, Observation};
use crate::time::Timestamp;
use crate::windows;

/// What became of the lines or records of a document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Lines or records.
    pub records: u64,
    /// Those that became observations.
    pub observed: u64,
    /// Those about something else.
    pub unrelated: u64,
    /// Those that cannot be read, or have no time.
    pub damaged: u64,
    /// Those that there was no room for.
    pub beyond: u64,
}

/// A document, as it is read.
pub trait Document {
    /// The next observation, none earlier than the one before.
    fn next(&mut self) -> Option<Observation>;
    /// What became of its lines so far.
    fn counts(&self) -> Counts;
    /// Why it is not read to its end.
    fn problem(&self) -> Option<String>;
}

/// Several documents, as one stream in the order of time.
#[derive(Debug, Default)]
pub struct Documents {
    members: Vec<Member>,
}

struct Member {
    name: String,
    kind: Kind,
    document: Box<dyn Document>,
    next: Option<Observation>,
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.kind.name())
    }
}

/// What is known about one document.
#[derive(Clone, Debug)]
pub struct Summary<'a> {
    /// As it was named.
    pub name: &'a str,
    /// What it is.
    pub kind: Kind,
    /// What became of its lines.
    pub counts: Counts,
    /// Why it was not read to its end.
    pub problem: Option<String>,
}

impl Documents {
    /// Adds a document.
    pub fn add(&mut self, name: String, kind: Kind, mut document: Box<dyn Document>) {
        let next = document.next();
        self.members.push(Member { name, kind, document, next });
    }

    /// When the next observation is to be taken.
    pub fn at(&self) -> Option<Timestamp> {
        self.members.iter().filter_map(|member| member.next.as_ref()).map(due).min()
    }

    /// The next observation of all.
    #[expect(clippy::should_implement_trait, reason = "at() looks ahead, which an iterator does not")]
    pub fn next(&mut self) -> Option<Observation> {
        let waiting = self.members.iter_mut().filter(|member| member.next.is_some());
        let earliest = waiting.min_by_key(|member| member.next.as_ref().map(due))?;
        let following = earliest.document.next();
        std::mem::replace(&mut earliest.next, following)
    }

    /// Each document.
    pub fn members(&self) -> impl Iterator<Item = Summary<'_>> {
        self.members.iter().map(|member| Summary {
            name: &member.name,
            kind: member.kind,
            counts: member.document.counts(),
            problem: member.document.problem(),
        })
    }
}

/// When an observation is to be taken. A stamp that is cut to seconds names the beginning of its second:
/// only at the end of that is it certain that what was said had happened.
fn due(observation: &Observation) -> Timestamp {
    match observation.clock {
        Clock::Log(quality) if quality.resolution_ns >= COARSE_NS => {
            observation.at + Duration::from_nanos(quality.resolution_ns)
        }
        _ => observation.at,
    }
}

/// Resolution from which on stamps are cut to seconds, nanoseconds.
const COARSE_NS: u64 = 1_000_000_000;

/// A log of daemons, read line by line.
struct Lines {
    input: Input,
    reader: Reader,
    problem: Option<String>,
    /// The line that is too long so far was taken; the rest of it is left out.
    skipping: bool,
}

impl Lines {
    /// Takes the next line; None at the end.
    fn line(&mut self) -> Option<Option<Observation>> {
        loop {
            let available = match self.input.fill(1) {
                Ok([]) => return None,
                Ok(available) => available,
                Err(error) => {
                    self.problem = Some(error.to_string());
                    return None;
                }
            };
            let mut length = available.iter().position(|byte| *byte == b'\n');
            if length.is_none() && available.len() <= MAX_ENTRY {
                // More of the line may follow.
                let before = available.len();
                let more = self.input.fill(MAX_ENTRY + 1).unwrap_or_default();
                length = more
                    .iter()
                    .position(|byte| *byte == b'\n')
                    .or((more.len() <= MAX_ENTRY && more.len() >= before).then_some(more.len()));
            }
            let available = self.input.available();
            let taken = length.unwrap_or(available.len());
            let line = available.get(..taken).unwrap_or_default();
            let observation = (!self.skipping).then(|| self.reader.line(line));
            self.skipping = length.is_none();
            self.input.consume(taken.saturating_add(usize::from(length.is_some())));
            if let Some(observation) = observation {
                return Some(observation);
            }
        }
    }
}

impl Document for Lines {
    fn next(&mut self) -> Option<Observation> {
        loop {
            if let Some(observation) = self.line()? {
                return Some(observation);
            }
        }
    }

    fn counts(&self) -> Counts {
        let counts = self.reader.counts();
        Counts {
            records: counts.lines,
            observed: counts.recognised + counts.unknown,
            unrelated: counts.foreign + counts.empty,
            damaged: counts.unreadable,
            beyond: 0,
        }
    }

    fn problem(&self) -> Option<String> {
        let counts = self.reader.counts();
        self.problem.clone().or_else(|| {
            (counts.localised > 0).then(|| {
                format!(
                    "{} lines have the month in another language than English, and so no time: let the logger \
                     run with LC_TIME=C, or use RFC 3339 stamps",
                    counts.localised
                )
            })
        })
    }
}

/// Reads a log of daemons.
pub fn log(input: Input, settings: Settings) -> Box<dyn Document> {
    Box::new(Lines { input, reader: Reader::new(settings), problem: None, skipping: false })
}

/// A file of Windows. It is read at once: Event Viewer writes the newest event first.
struct Windows {
    observations: std::vec::IntoIter<Observation>,
    counts: Counts,
    problem: Option<String>,
}

impl Document for Windows {
    fn next(&mut self) -> Option<Observation> {
        self.observations.next()
    }

    fn counts(&self) -> Counts {
        self.counts
    }

    fn problem(&self) -> Option<String> {
        self.problem.clone()
    }
}

/// Reads a file of Windows to its end.
pub fn windows(format: windows::Format, mut input: Input, options: &windows::Options) -> Box<dyn Document> {
    let mut bytes = Vec::new();
    let mut problem = None;
    loop {
        match input.fill(1) {
            Ok([]) => break,
            Ok(more) if bytes.len() as u64 + more.len() as u64 > windows::MAX_BYTES => {
                let most = windows::MAX_BYTES >> 20;
                problem = Some(format!("longer than {most} MiB: export the events of interest only"));
                break;
            }
            Ok(more) => {
                let taken = more.len();
                bytes.extend_from_slice(more);
                input.consume(taken);
            }
            Err(error) => {
                problem = Some(error.to_string());
                break;
            }
        }
    }
    let reading = windows::read(format, &bytes, options);
    let counts = Counts {
        records: reading.records,
        observed: reading.observations.len() as u64,
        unrelated: reading.unrelated,
        damaged: reading.damaged,
        beyond: reading.beyond,
    };
    let problem = problem.or_else(|| reading.problem.map(|error| error.to_string()));
    Box::new(Windows { observations: reading.observations.into_iter(), counts, problem })
}
