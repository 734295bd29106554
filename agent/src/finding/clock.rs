//! What is known about the clock that a log is written by.

use super::fact::View;
use crate::event::finding::Source;
use crate::time::Timestamp;

/// The clock of one log.
#[derive(Clone, Debug)]
pub(super) struct LogClock {
    /// The log.
    pub(super) source: String,
    pub(super) now: Timestamp,
    /// That of the packets minus that of the log, nanoseconds.
    pub(super) offset_ns: i64,
    /// Events that both have seen.
    pub(super) samples: u64,
    /// Since when it has been so far off that nobody can compare the two.
    pub(super) off_since: Option<Timestamp>,
}

impl View for LogClock {
    fn blind(&self, _: Source) -> Option<&'static str> {
        None
    }
}

impl LogClock {
    pub(super) const fn new(source: String, now: Timestamp) -> Self {
        Self { source, now, offset_ns: 0, samples: 0, off_since: None }
    }

    /// How far off it is, in words.
    pub(super) fn words(&self) -> String {
        let seconds = self.offset_ns.unsigned_abs() as f64 / 1e9;
        format!("{seconds:.1} s {}", if self.offset_ns > 0 { "behind" } else { "ahead" })
    }
}
