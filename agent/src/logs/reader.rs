//! One log: its lines in, observations out. Remembers what a log leaves out of its lines: the year, the
//! zone, the time of a line without one.

use std::borrow::Cow;
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::catalogue::Program;
use super::envelope::{self, Line, When, journal};
use super::pattern::{Conversion, Piece};
use super::recognise::{self, Recognised};
use super::redact::{is_harmless, redact};
use super::time::{Resolver, Stamp};
use crate::event::log::{Fields, Quality, Value, Zone};
use crate::observation::log::{Dump, Log, MAX_TEXT, Message};
use crate::observation::{Clock, Observation, Origin, What};
use crate::time::Timestamp;
use crate::wire::text::escape_text;

/// Longest line that is looked at, bytes; the rest of a longer one is left out and counted.
pub const MAX_LINE: usize = 16 * 1024;
/// The same of an entry of the journal, which in JSON is several times as long as what it says.
pub const MAX_ENTRY: usize = 8 * MAX_LINE;

/// What a log does not say about itself.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What it is called in observations: its path, or `journal`.
    pub source: String,
    /// Zone of stamps that name none.
    pub zone: TimeZone,
    /// Somebody named that zone; else it is that of this host.
    pub zone_given: bool,
    /// When the log was last written: the year of its stamps is inferred from it.
    pub reference: Timestamp,
    /// When the kernel of the log came up, nanoseconds since 1970, where that is known: for the stamps of
    /// the kernel ring.
    pub boot: Option<u64>,
}

/// What became of the lines of a log. `lines` is the sum of `foreign`, `recognised`, `unknown`, `empty`
/// and `unreadable`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Lines.
    pub lines: u64,
    /// Of programs that the catalogue does not have, of nobody, or of Linux about other things.
    pub foreign: u64,
    /// In the catalogue.
    pub recognised: u64,
    /// Of a program of the catalogue, and not in it.
    pub unknown: u64,
    /// Without text.
    pub empty: u64,
    /// Lines of a journal export that are no entries.
    pub unreadable: u64,
    /// Of the recognised and unknown ones, those without a time of their own.
    pub undated: u64,
    /// Those with a month in another language than English.
    pub localised: u64,
    /// Longer than [`MAX_LINE`], or [`MAX_ENTRY`].
    pub cut: u64,
    /// With bytes that are no UTF-8.
    pub not_utf8: u64,
}

/// Reads the lines of one log.
#[derive(Debug)]
pub struct Reader {
    source: Arc<str>,
    resolver: Resolver,
    boot: Option<u64>,
    last: Timestamp,
    counts: Counts,
    /// Program and process of the line before, for lines that go on.
    speaker: Option<(Program, Option<u32>)>,
    /// Whether lines have stamps here.
    has_stamps: bool,
    /// The line before, for `last message repeated`; empty when that said nothing. It is understood once more
    /// when it is needed, which is seldom.
    previous: String,
    cursor: Option<String>,
}

impl Reader {
    /// Begins a log.
    pub fn new(settings: Settings) -> Self {
        Self {
            source: settings.source.into(),
            resolver: Resolver::new(settings.zone, settings.zone_given, settings.reference),
            boot: settings.boot,
            last: settings.reference,
            counts: Counts::default(),
            speaker: None,
            has_stamps: false,
            previous: String::new(),
            cursor: None,
        }
    }

    /// What became of the lines so far.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// Where in the journal the last entry was.
    pub fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }

    /// Takes a line; None when it is about nothing that the catalogue knows.
    pub fn line(&mut self, bytes: &[u8]) -> Option<Observation> {
        self.counts.lines += 1;
        let mut bytes = bytes;
        let mut cut = false;
        let limit = if bytes.starts_with(b"{") { MAX_ENTRY } else { MAX_LINE };
        if bytes.len() > limit {
            bytes = bytes.get(..limit).unwrap_or_default();
            self.counts.cut += 1;
            cut = true;
        }
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => Cow::Borrowed(text),
            // Only the last character is missing: the line was cut there.
            Err(error) if cut && error.error_len().is_none() => {
                let whole = bytes.get(..error.valid_up_to()).unwrap_or_default();
                String::from_utf8_lossy(whole)
            }
            Err(_) => {
                self.counts.not_utf8 += 1;
                String::from_utf8_lossy(bytes)
            }
        };
        if text.starts_with('{') && (journal::is_entry(&text)) {
            return self.journal(&text, cut);
        }
        self.take(envelope::parse(&text), &text, cut)
    }

    fn journal(&mut self, text: &str, cut: bool) -> Option<Observation> {
        let Ok(entry) = journal::parse(text) else {
            self.counts.unreadable += 1;
            return None;
        };
        if entry.lossy {
            self.counts.not_utf8 += 1;
        }
        // The journal counts no repetitions.
        let observation = self.take(entry.line(), "", cut);
        self.cursor = entry.cursor;
        observation
    }

    /// Understands a line; `whole` is its text with the envelope.
    fn take(&mut self, line: Line<'_>, whole: &str, cut: bool) -> Option<Observation> {
        if line.text.trim().is_empty() {
            self.counts.empty += 1;
            return None;
        }
        let has_envelope = line.when != When::Unknown || line.ident.is_some();
        let (times, text) = repeated(line.text);
        if line.ident.is_none()
            && let Some(times) = last_message_repeated(line.text)
        {
            return self.repeat(&line, times);
        }
        let Some((found, pid)) = self.found(&line, text) else {
            self.counts.foreign += 1;
            if has_envelope {
                self.speaker = None;
                self.previous.clear();
            }
            return None;
        };
        self.speaker = Some((found.program, pid));
        let stamp = self.stamp(line.when);
        if found.entry.is_some() {
            self.counts.recognised += 1;
        } else {
            self.counts.unknown += 1;
        }
        self.previous.clear();
        self.previous.push_str(whole);
        let log = self.log(&line, pid, &found, text, times, cut);
        Some(self.observation(stamp, log))
    }

    /// What the text of a line is, and which process said it.
    fn found<'a>(&self, line: &Line<'_>, text: &'a str) -> Option<(Recognised<'a>, Option<u32>)> {
        let mut pid = line.pid;
        let found = match line.program.or_else(|| line.ident.and_then(Program::of_ident)) {
            Some(program) => recognise::of_program(program, text),
            None if line.ident.is_some() => return None,
            None if self.goes_on(line) => {
                let (program, speaker) = self.speaker?;
                pid = speaker;
                recognise::of_program(program, text.trim_start())
            }
            None => recognise::of_anybody(text)?,
        };
        // Linux speaks of everything: what the catalogue does not have of it is about other things.
        (found.program != Program::Kernel || found.entry.is_some()).then_some((found, pid))
    }

    /// Whether the line is the next of a message of several lines: it has no envelope where others have
    /// one, and begins with a blank.
    fn goes_on(&self, line: &Line<'_>) -> bool {
        self.has_stamps && line.when == When::Unknown && line.text.starts_with([' ', '\t'])
    }

    fn observation(&mut self, stamp: Option<Stamp>, log: Log) -> Observation {
        let quality = stamp.map_or(Quality::NONE, |stamp| stamp.quality);
        match stamp {
            Some(stamp) => self.last = stamp.at,
            None => self.counts.undated += 1,
        }
        Observation {
            at: self.last,
            clock: Clock::Log(quality),
            origin: Origin::Log,
            what: What::Log(Box::new(log)),
        }
    }

    /// `last message repeated 3 times`.
    fn repeat(&mut self, line: &Line<'_>, times: u32) -> Option<Observation> {
        let previous = std::mem::take(&mut self.previous);
        let said = envelope::parse(&previous);
        let (_, text) = repeated(said.text);
        let Some((found, pid)) = self.found(&said, text) else {
            self.counts.foreign += 1;
            return None;
        };
        let stamp = self.stamp(line.when);
        self.counts.recognised += 1;
        let log = self.log(&said, pid, &found, text, times, false);
        // The next line may count on.
        self.previous = previous;
        Some(self.observation(stamp, log))
    }

    fn stamp(&mut self, when: When) -> Option<Stamp> {
        let stated = |at: u64, resolution_ns: u64| Stamp {
            at: Timestamp::from_unix_ns(at),
            quality: Quality { resolution_ns, zone: Zone::Stated, year_inferred: false },
        };
        let stamp = match when {
            When::Unknown => None,
            When::Localised => {
                self.counts.localised += 1;
                None
            }
            When::Civil(civil) => self.resolver.resolve(&civil),
            When::Epoch(at) => Some(stated(at, 1000)),
            When::Boot(since) => Some(stated(self.boot?.checked_add(since)?, 1000)),
        };
        self.has_stamps |= stamp.is_some();
        stamp
    }

    fn log(
        &self,
        line: &Line<'_>,
        pid: Option<u32>,
        found: &Recognised<'_>,
        text: &str,
        times: u32,
        cut: bool,
    ) -> Log {
        let is_harmless = is_harmless(text);
        let (text_kept, shortened) = match found.program {
            // It has a way of its own to show passwords.
            program if !is_harmless || program == Program::FreeRadius => shown(&redact(Some(program), text)),
            _ => shown(text),
        };
        Log {
            source: Arc::clone(&self.source),
            host: line.host.map(|host| shown(host).0),
            program: Cow::Borrowed(found.program.name()),
            pid,
            message: message(found, text, is_harmless),
            text: text_kept,
            cut: cut || shortened,
            times,
        }
    }
}

/// The entry of the catalogue and its values.
fn message(found: &Recognised<'_>, text: &str, is_harmless: bool) -> Option<Message> {
    let entry = found.entry?;
    let mut fields = Fields::new();
    let conversions = entry.pattern.pieces().iter().filter_map(|piece| match piece {
        Piece::Value(conversion) => Some(*conversion),
        Piece::Literal(_) => None,
    });
    let dump = found.dump(text);
    for ((name, conversion), value) in entry.fields.iter().zip(conversions).zip(found.values.as_slice()) {
        // Values of this name are not for anybody's eyes.
        if name.starts_with("secret") || found.is_dump {
            continue;
        }
        let value = if is_harmless { Cow::Borrowed(*value) } else { redact(None, value) };
        fields.insert(Cow::Borrowed(*name), typed(conversion, without_password(found, name, &value)));
    }
    let named = |name: &'static str, value: Option<Value>, fields: &mut Fields| {
        if let Some(value) = value {
            fields.entry(Cow::Borrowed(name)).or_insert(value);
        }
    };
    named("interface", found.interface.map(|name| Value::Text(shown(name).0)), &mut fields);
    named("request", found.request.map(Value::Unsigned), &mut fields);
    named("module", found.module.map(|name| Value::Text(shown(name).0)), &mut fields);
    Some(Message {
        id: Cow::Borrowed(&entry.id),
        class: entry.class,
        level: entry.level,
        fields,
        dump: dump.map(|dump| Dump { sent: dump.sent, frame: dump.frame, cut: dump.cut }),
    })
}

/// FreeRADIUS writes `user/password` where it is told to.
fn without_password<'a>(found: &Recognised<'_>, name: &str, value: &'a str) -> &'a str {
    if found.program != Program::FreeRadius || name != "user" {
        return value;
    }
    let (skip, rest) = value.strip_prefix("host/").map_or((0, value), |rest| (5, rest));
    match rest.find('/') {
        Some(at) => value.get(..skip + at).unwrap_or(value),
        None => value,
    }
}

fn typed(conversion: Conversion, text: &str) -> Value {
    let value = match conversion {
        Conversion::Unsigned => text.parse().ok().map(Value::Unsigned),
        Conversion::Hex => u64::from_str_radix(text, 16).ok().map(Value::Unsigned),
        Conversion::Signed => {
            text.parse().map(Value::Unsigned).or_else(|_| text.parse().map(Value::Signed)).ok()
        }
        _ => None,
    };
    value.unwrap_or_else(|| Value::Text(shown(text).0))
}

/// The text with control characters escaped, cut at [`MAX_TEXT`] bytes; and whether it was cut.
fn shown(text: &str) -> (String, bool) {
    let text = text.trim_end();
    let mut end = text.len().min(MAX_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let kept = text.get(..end).unwrap_or_default();
    (escape_text(kept), end < text.len())
}

/// `message repeated 3 times: [ text]`, as rsyslog writes it: how often, and the text.
fn repeated(text: &str) -> (u32, &str) {
    let inner = || {
        let (times, rest) = text.strip_prefix("message repeated ")?.split_once(" times: [")?;
        let inside = rest.strip_suffix(']')?;
        Some((times.parse().ok()?, inside.strip_prefix(' ').unwrap_or(inside)))
    };
    inner().unwrap_or((1, text))
}

/// `last message repeated 3 times`, as older loggers write it.
fn last_message_repeated(text: &str) -> Option<u32> {
    text.strip_prefix("last message repeated ")
        .or_else(|| text.strip_prefix("message repeated "))?
        .strip_suffix(" times")?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests;
