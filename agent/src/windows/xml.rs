//! Events and accounting records as XML. No document type is read and no entity is expanded but the
//! five of XML, so nothing in a file is larger than the file.

use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

use super::record::{MAX_VALUE, Record, Time, cut};
use super::{Error, Intake, accounting};
use crate::time::Timestamp;

/// Elements inside each other; events of Windows have four.
const MAX_DEPTH: usize = 32;
/// Elements of one event.
const MAX_LEAVES: usize = 512;
/// Faults after which a text is given up: each costs a search for the next event.
const MAX_FAULTS: u32 = 1000;
/// Attributes of one element.
const MAX_ATTRIBUTES: usize = 16;

/// An element without its children: where it is, its attributes and its text.
#[derive(Debug, Default)]
pub(super) struct Leaf {
    /// Names from below the event on, as `System/EventID`.
    path: String,
    attributes: Vec<(String, String)>,
    text: String,
}

impl Leaf {
    fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Reads every `<Event>` of a log.
pub(super) fn read_events(text: &str, intake: &mut Intake) -> Result<(), Error> {
    elements(text, |leaves| match leaves.map(record) {
        Some(Some(record)) => intake.record(record),
        Some(None) | None => intake.damaged(),
    })
}

/// Reads every `<Event>` of a DTS-compliant accounting log.
pub(super) fn read_accounting(text: &str, intake: &mut Intake) -> Result<(), Error> {
    elements(text, |leaves| match leaves {
        Some(leaves) => {
            let attributes = leaves.into_iter().map(|leaf| (leaf.path, leaf.text));
            intake.record(accounting::record(attributes));
        }
        None => intake.damaged(),
    })
}

/// The first event of a text.
pub(super) fn event(text: &str) -> Option<Record> {
    let mut first = None;
    let _ = elements(text, |leaves| {
        if first.is_none() {
            first = leaves.and_then(record);
        }
    });
    first
}

/// Gives the leaves of every `<Event>` to `sink`; None for one that is damaged. Goes on after it.
///
/// # Errors
///
/// When it ends inside of an event, or so many are damaged that it is no log.
fn elements(text: &str, mut sink: impl FnMut(Option<Vec<Leaf>>)) -> Result<(), Error> {
    let mut rest = text;
    for _ in 0..MAX_FAULTS {
        let mut reader = Reader::from_str(rest);
        match stretch(&mut reader, &mut sink) {
            Ok(complete) => return if complete { Ok(()) } else { Err(Error::Cut) },
            Err(fault) => {
                if fault.inside {
                    sink(None);
                }
                let end = if fault.unclosed { Err(Error::Cut) } else { Ok(()) };
                // The error is before this position; the next event begins behind it.
                let position = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX);
                let from = rest.ceil_char_boundary(position.max(1));
                let Some(behind) = rest.get(from..) else { return end };
                let Some(next) = behind.find("<Event") else { return end };
                rest = behind.get(next..).unwrap_or("");
            }
        }
    }
    Err(Error::Damaged { faults: MAX_FAULTS })
}

/// What is wrong with a text.
struct Fault {
    /// An event is damaged by it.
    inside: bool,
    /// Something begins and never ends.
    unclosed: bool,
}

/// Reads until something is wrong. Ok tells whether the text ended outside of an event.
fn stretch(reader: &mut Reader<&[u8]>, sink: &mut impl FnMut(Option<Vec<Leaf>>)) -> Result<bool, Fault> {
    let mut depth = 0;
    let mut current: Option<Builder> = None;
    loop {
        let event = reader.read_event().map_err(|error| Fault {
            inside: current.is_some(),
            unclosed: matches!(error, quick_xml::Error::Syntax(_)),
        })?;
        match event {
            Event::Start(start) => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(Fault { inside: current.is_some(), unclosed: false });
                }
                match &mut current {
                    Some(builder) => builder.open(&start),
                    None if start.local_name().as_ref() == "Event" => current = Some(Builder::new(depth)),
                    None => {}
                }
            }
            Event::Empty(empty) => {
                if let Some(builder) = &mut current {
                    builder.open(&empty);
                    builder.close();
                }
            }
            Event::End(_) => {
                if current.as_ref().is_some_and(|builder| builder.depth == depth) {
                    sink(current.take().map(|builder| builder.leaves));
                } else if let Some(builder) = &mut current {
                    builder.close();
                }
                depth = depth.saturating_sub(1);
            }
            Event::Text(text) => {
                if let Some(builder) = &mut current {
                    builder.text(&text);
                }
            }
            Event::CData(text) => {
                if let Some(builder) = &mut current {
                    builder.text(&text);
                }
            }
            Event::GeneralRef(reference) => {
                if let Some(builder) = &mut current {
                    match reference.resolve_char_ref() {
                        Ok(Some(character)) => builder.text(character.encode_utf8(&mut [0; 4])),
                        _ => builder.text(predefined(&reference)),
                    }
                }
            }
            Event::Eof => return Ok(current.is_none()),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
    }
}

/// What one of the five entities of XML stands for.
fn predefined(name: &str) -> &'static str {
    match name {
        "lt" => "<",
        "gt" => ">",
        "amp" => "&",
        "quot" => "\"",
        "apos" => "'",
        _ => "\u{fffd}",
    }
}

/// Collects the leaves of one event.
struct Builder {
    /// How deep the event itself is.
    depth: usize,
    path: Vec<String>,
    /// Leaves that are open, by their place in `leaves`; None for one that was not kept.
    open: Vec<Option<usize>>,
    leaves: Vec<Leaf>,
}

impl Builder {
    const fn new(depth: usize) -> Self {
        Self { depth, path: Vec::new(), open: Vec::new(), leaves: Vec::new() }
    }

    fn open(&mut self, start: &BytesStart<'_>) {
        self.path.push(cut(start.local_name().as_ref()).to_owned());
        let kept = self.leaves.len() < MAX_LEAVES;
        self.open.push(kept.then_some(self.leaves.len()));
        if kept {
            let mut all = start.attributes();
            let attributes = all.with_checks(false).flatten().take(MAX_ATTRIBUTES).filter_map(|one| {
                let value = one.normalized_value(XmlVersion::Implicit1_0).ok()?;
                Some((cut(one.key.local_name().as_ref()).to_owned(), cut(&value).to_owned()))
            });
            let attributes = attributes.collect();
            self.leaves.push(Leaf { path: self.path.join("/"), attributes, text: String::new() });
        }
    }

    fn close(&mut self) {
        self.path.pop();
        self.open.pop();
    }

    fn text(&mut self, text: &str) {
        let Some(Some(leaf)) = self.open.last() else { return };
        let Some(leaf) = self.leaves.get_mut(*leaf) else { return };
        let room = MAX_VALUE.saturating_sub(leaf.text.len());
        leaf.text.push_str(text.get(..text.floor_char_boundary(room)).unwrap_or(""));
    }
}

/// The event that the leaves are.
fn record(leaves: Vec<Leaf>) -> Option<Record> {
    let mut record = Record::default();
    let mut has_id = false;
    for leaf in &leaves {
        let text = leaf.text.trim();
        match leaf.path.as_str() {
            "System/Provider" => {
                let name = leaf.attribute("Name").or_else(|| leaf.attribute("EventSourceName"));
                record.provider = name.unwrap_or_default().to_owned();
            }
            "System/EventID" => {
                record.id = text.parse().ok()?;
                has_id = true;
            }
            "System/TimeCreated" => {
                record.time = leaf.attribute("SystemTime").and_then(utc).unwrap_or_default();
            }
            "System/Computer" => record.computer = text.to_owned(),
            "System/Execution" => {
                record.pid =
                    leaf.attribute("ProcessID").and_then(|pid| pid.parse().ok()).filter(|pid| *pid > 0);
            }
            "EventData/Data" | "UserData/EventXML/Param" => {
                record.push(leaf.attribute("Name").unwrap_or_default(), text);
            }
            "EventData/Binary" => record.binary = hexadecimal(text),
            "RenderingInfo/Message" => record.message = text.to_owned(),
            _ => {}
        }
    }
    (has_id && !record.provider.is_empty()).then_some(record)
}

/// `2020-03-23T19:40:08.225301000Z`, or with a blank and `UTC`. Digits below 100 ns are zero.
fn utc(text: &str) -> Option<Time> {
    let text = text.trim().trim_end_matches(" UTC").replacen(' ', "T", 1);
    let text = if text.ends_with('Z') { text } else { format!("{text}Z") };
    Some(Time::Utc(text.parse::<Timestamp>().ok()?, 100))
}

fn hexadecimal(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .take(2 * MAX_VALUE)
        .filter_map(|one| one.to_digit(16))
        .map(|digit| digit as u8)
        .collect();
    digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect()
}
