//! What Windows says about calls: event logs of RemoteAccess, RasClient and NPS, and the accounting logs
//! of IAS and NPS, as they are found in files. Pure: bytes in, observations out.
//!
//! | format | made by | time |
//! |---|---|---|
//! | [`Format::Evtx`] | Event Viewer, `wevtutil epl` | UTC, 100 ns |
//! | [`Format::EventXml`] | `wevtutil qe /f:xml`, Event Viewer, copied from its window | UTC, 100 ns |
//! | [`Format::EventCsv`] | `Get-WinEvent \| Export-Csv`, Event Viewer | local, of a locale |
//! | [`Format::AccountingLegacy`] | IAS format | local, of a locale |
//! | [`Format::AccountingDatabase`] | database-compatible (ODBC) format | local; UTC where Event-Timestamp is |
//! | [`Format::AccountingXml`] | DTS-compliant format | local; UTC where Event-Timestamp is |
//!
//! What an event means, and which parameter is which, is data: `catalogue/*.toml`. An event of these
//! providers that the catalogue does not have is kept with its parameters by number.

mod accounting;
mod catalogue;
mod csv;
mod date;
mod evtx;
mod interpret;
mod message;
mod recognise;
mod record;
mod text;
mod xml;

#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod tests;

pub use date::Order;
pub use recognise::recognise;

use crate::observation::Observation;
use record::Record;

/// Largest file that is read, bytes. Windows keeps 20 MiB of each log unless told otherwise.
pub const MAX_BYTES: u64 = 512 << 20;
/// Events kept of one file.
const MAX_EVENTS: usize = 1_000_000;

/// Kinds of files that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Binary event log.
    Evtx,
    /// Events as XML, with or without a root element.
    EventXml,
    /// Events as a table.
    EventCsv,
    /// IAS format: six fields, then pairs of attribute and value.
    AccountingLegacy,
    /// Database-compatible format: fixed columns.
    AccountingDatabase,
    /// DTS-compliant format: an XML element for each record.
    AccountingXml,
}

impl Format {
    /// In words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Evtx => "Windows event log (EVTX)",
            Self::EventXml => "Windows events (XML)",
            Self::EventCsv => "Windows events (CSV)",
            Self::AccountingLegacy => "IAS accounting log (IAS format)",
            Self::AccountingDatabase => "IAS accounting log (database-compatible format)",
            Self::AccountingXml => "IAS accounting log (DTS XML)",
        }
    }
}

/// What the user knows about a file.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Name of the file, for the events.
    pub source: String,
    /// Local time minus UTC where local times were written, seconds; UTC is assumed without.
    pub utc_offset_seconds: Option<i32>,
    /// Whether dates such as 03/04/2026 have the day first.
    pub date_order: Option<Order>,
}

/// What a file held.
#[derive(Debug, Default)]
pub struct Reading {
    /// One for each event that is about remote access, in the order of time.
    pub observations: Vec<Observation>,
    /// Events and records that were read, of any program.
    pub records: u64,
    /// Those of other programs.
    pub unrelated: u64,
    /// Those that are damaged or have no time.
    pub damaged: u64,
    /// Those beyond the million that is kept of a file.
    pub beyond: u64,
    /// Why the file was not read, or not to its end.
    pub problem: Option<Error>,
}

/// Why a file of Windows cannot be read, or not to its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not what it claims to be.
    #[error("no {}: {what}", .format.name())]
    Format {
        /// What it was taken for.
        format: Format,
        /// What is wrong.
        what: String,
    },
    /// It ends in the middle of an event.
    #[error("it ends in the middle of an event")]
    Cut,
    /// It is damaged in very many places.
    #[error("{faults} of its events are damaged; nothing behind them was read")]
    Damaged {
        /// How many.
        faults: u32,
    },
    /// Day and month cannot be told apart.
    #[error(
        "its dates may have the day or the month first (the first is {example}): name the order with \
         --date-order dmy or --date-order mdy"
    )]
    AmbiguousDates {
        /// The first of them.
        example: String,
    },
    /// Some dates have the day first, others the month.
    #[error("its dates contradict each other: {example} and others; was it written with two locales?")]
    ContradictoryDates {
        /// One of them.
        example: String,
    },
}

/// Reads a whole file.
pub fn read(format: Format, bytes: &[u8], options: &Options) -> Reading {
    let mut intake = Intake::default();
    let result = match format {
        Format::Evtx => evtx::read(bytes, &mut intake),
        Format::EventXml => xml::read_events(&text::decode(bytes), &mut intake),
        Format::EventCsv => csv::read(&text::decode(bytes), &mut intake),
        Format::AccountingLegacy => accounting::legacy::read(&text::decode(bytes), &mut intake),
        Format::AccountingDatabase => accounting::database::read(&text::decode(bytes), &mut intake),
        Format::AccountingXml => xml::read_accounting(&text::decode(bytes), &mut intake),
    };
    intake.finish(result.err(), options)
}

/// Takes the records of a file until all are known: dates can only be read when all were seen.
#[derive(Debug, Default)]
struct Intake {
    records: Vec<Record>,
    reading: Reading,
}

impl Intake {
    fn record(&mut self, record: Record) {
        self.reading.records += 1;
        if !catalogue::is_related(&record.provider, record.id) {
            self.reading.unrelated += 1;
        } else if self.records.len() >= MAX_EVENTS {
            self.reading.beyond += 1;
        } else {
            self.records.push(record);
        }
    }

    fn damaged(&mut self) {
        self.reading.records += 1;
        self.reading.damaged += 1;
    }

    fn finish(self, problem: Option<Error>, options: &Options) -> Reading {
        let Self { records, mut reading } = self;
        reading.problem = problem;
        let order = match date::decide(&records, options.date_order) {
            Ok(order) => order,
            Err(error) => {
                reading.problem = Some(error);
                return reading;
            }
        };
        let clock = date::Clock::new(&records, order, options.utc_offset_seconds);
        for record in &records {
            match clock.time(&record.time) {
                Some(time) => reading.observations.push(interpret::observation(record, time, options)),
                None => reading.damaged += 1,
            }
        }
        // Stable: events of the same instant stay in the order of the file, unless that is newest first.
        if reading.observations.first().map(|first| first.at)
            > reading.observations.last().map(|last| last.at)
        {
            reading.observations.reverse();
        }
        reading.observations.sort_by_key(|observation| observation.at);
        reading
    }
}
