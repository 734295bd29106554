//! An event or accounting record as its file has it.

use super::date::Local;
use crate::time::Timestamp;

/// Bytes of one value that are kept.
pub(super) const MAX_VALUE: usize = 4096;
/// Values of one event that are kept.
pub(super) const MAX_VALUES: usize = 128;

/// When something happened, as the file says it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Time {
    /// It does not, or not readably.
    #[default]
    Unknown,
    /// In UTC, with the smallest difference that it can show, nanoseconds.
    Utc(Timestamp, u64),
    /// In the local time of the machine that wrote it.
    Local(Local),
    /// Seconds since 1970, and the local time beside it.
    Both(Timestamp, Local),
}

/// One parameter of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parameter {
    /// Its name; empty where parameters have none.
    pub(super) name: String,
    /// Its value.
    pub(super) value: String,
}

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) time: Time,
    /// Who wrote it; [`super::accounting::PROVIDER`] for records of an accounting log.
    pub(super) provider: String,
    /// Id of the event; Packet-Type of an accounting record.
    pub(super) id: u32,
    /// Machine that it happened on.
    pub(super) computer: String,
    /// Process that wrote it.
    pub(super) pid: Option<u32>,
    pub(super) parameters: Vec<Parameter>,
    /// Binary data of the event.
    pub(super) binary: Vec<u8>,
    /// The text that an administrator reads; empty where the file has parameters only.
    pub(super) message: String,
}

impl Record {
    /// Adds a parameter, as long as there is room.
    pub(super) fn push(&mut self, name: &str, value: &str) {
        if self.parameters.len() < MAX_VALUES {
            self.parameters.push(Parameter { name: cut(name).to_owned(), value: cut(value).to_owned() });
        }
    }

    /// The parameter with this name.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|one| one.name.eq_ignore_ascii_case(name)).map(|one| one.value.as_str())
    }
}

/// At most [`MAX_VALUE`] bytes of a text, whole characters.
pub(super) fn cut(text: &str) -> &str {
    if text.len() <= MAX_VALUE { text } else { text.get(..text.floor_char_boundary(MAX_VALUE)).unwrap_or("") }
}
