//! The correlator of the running agent, and the recording of all that goes into it.

use std::ops::{Deref, DerefMut};

use serde::Serialize;
use tracing::warn;

use crate::event::Event;
use crate::observation::Observation;
use crate::session::Correlator;
use crate::source::recording::Recorder;
use crate::time::Timestamp;

/// A correlator that may be recorded. A recording that cannot be written ends with a warning; the
/// agent goes on.
#[derive(Debug)]
pub(super) struct Tape {
    correlator: Correlator,
    recorder: Option<Recorder>,
}

impl Tape {
    pub(super) const fn new(correlator: Correlator, recorder: Option<Recorder>) -> Self {
        Self { correlator, recorder }
    }

    pub(super) fn observe(&mut self, observation: &Observation, out: &mut Vec<Event>) {
        self.record(|recorder| recorder.observe(observation));
        self.correlator.observe(observation, out);
    }

    pub(super) fn advance(&mut self, now: Timestamp, out: &mut Vec<Event>) {
        // The loop calls this whenever it wakes up; nothing is due most of the time. Without a deadline,
        // time has not begun.
        let is_due = self.correlator.next_deadline().is_none_or(|due| due <= now);
        if is_due || self.correlator.wants_all_flows(now) {
            self.record(|recorder| recorder.advance(now));
            self.correlator.advance(now, out);
        }
    }

    /// As [`Correlator::finish`]: recorded once, whoever replays it calls it as often as it wants.
    #[must_use]
    pub(super) fn finish(&mut self, now: Timestamp, out: &mut Vec<Event>) -> bool {
        if !self.correlator.is_finishing() {
            self.record(|recorder| recorder.finish(now));
        }
        self.correlator.finish(now, out)
    }

    /// An event that the correlator did not make is written.
    pub(super) fn line(&mut self, event: &impl Serialize) {
        self.record(|recorder| recorder.line(event));
    }

    /// Makes the recording readable up to here.
    pub(super) fn flush(&mut self) {
        self.record(Recorder::flush);
    }

    /// Ends the recording.
    pub(super) fn close(&mut self) {
        if let Some(Err(error)) = self.recorder.take().map(Recorder::close) {
            warn!(%error, "the end of the recording could not be written");
        }
    }

    fn record(&mut self, write: impl FnOnce(&mut Recorder) -> std::io::Result<()>) {
        if let Some(Err(error)) = self.recorder.as_mut().map(write) {
            warn!(%error, "the recording ends here: it cannot be written");
            self.recorder = None;
        }
    }
}

impl Deref for Tape {
    type Target = Correlator;

    fn deref(&self) -> &Correlator {
        &self.correlator
    }
}

impl DerefMut for Tape {
    fn deref_mut(&mut self) -> &mut Correlator {
        &mut self.correlator
    }
}
