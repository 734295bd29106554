//! Consumers of events: any number at once, each with a queue, a thread, and a filter of its own, so that
//! none of them slows another one or the agent. Those whose receiver may be away for long can have a [`spool`]
//! on disk.
//!
//! | sink | goes to |
//! |---|---|
//! | [`lines`] | standard output |
//! | [`file`](mod@file) | a file that rotates |
//! | [`journal`] | journald, with fields |
//! | [`syslog`] | a syslog daemon, RFC 5424 |
//! | [`socket`] | a stream socket of this host |
//! | [`http`] | ClickHouse, or a collector of OpenTelemetry |

pub mod account;
pub mod entry;
pub mod file;
pub mod filter;
pub mod http;
pub mod journal;
pub mod lines;
mod otlp;
pub mod queue;
mod rows;
pub mod socket;
pub mod spec;
pub mod spool;
mod stream;
pub mod syslog;
pub mod worker;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::event::Event;
use crate::event::agent::Status;
use crate::kernel::Load;
use crate::metrics::Metrics;
use crate::privacy::Privacy;

use entry::Entry;
use worker::{Report, Sink};

/// How long the last events may take when the agent ends.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Errors of the sinks.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A thread could not be started.
    #[error("cannot start the thread of a sink")]
    Thread(#[source] io::Error),
    /// An event could not be written as JSON: a fault of this program.
    #[error("cannot write an event as JSON")]
    Json(#[from] serde_json::Error),
    /// A sink cannot begin.
    #[error("cannot begin the sink {name}: {source}")]
    Begin {
        /// Which.
        name: String,
        /// Why not.
        source: io::Error,
    },
}

/// All sinks of a run.
#[derive(Debug, Default)]
pub struct Sinks {
    sinks: Vec<Sink>,
    /// The sink without which there is no use in going on.
    stdout: Option<usize>,
    reopens: bool,
    metrics: Option<Arc<Metrics>>,
    privacy: Option<Privacy>,
}

impl Sinks {
    /// None yet: events go nowhere.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a sink.
    pub fn add(&mut self, sink: Sink) {
        self.sinks.push(sink);
    }

    /// Adds the one whose end is the end of the agent: standard output.
    pub fn add_stdout(&mut self, sink: Sink) {
        self.stdout = Some(self.sinks.len());
        self.sinks.push(sink);
    }

    /// Says that one of them has a file, which SIGHUP opens anew.
    pub const fn set_reopens(&mut self) {
        self.reopens = true;
    }

    /// Counts all events in `metrics`, whatever becomes of them.
    pub fn set_metrics(&mut self, metrics: Arc<Metrics>) {
        self.metrics = Some(metrics);
    }

    /// What is done to every event before a sink has it.
    pub fn set_privacy(&mut self, privacy: Option<Privacy>) {
        self.privacy = match (privacy, self.privacy.take()) {
            (Some(privacy), Some(before)) => Some(privacy.after(before)),
            (privacy, _) => privacy,
        };
    }

    fn entry(&self, event: &Event) -> Result<Arc<Entry>, Error> {
        Ok(match &self.privacy {
            Some(privacy) => Entry::of(&privacy.apply(event)?)?,
            None => Entry::of(event)?,
        })
    }

    /// Takes note of the agent's state, once a second, and of what it takes in the kernel.
    pub fn note(&self, status: &Status, measure: impl FnOnce() -> Load) {
        if let Some(metrics) = &self.metrics {
            metrics.note(status, measure());
        }
    }

    /// Whether SIGHUP means something to them.
    pub const fn reopens(&self) -> bool {
        self.reopens
    }

    /// Opens all files anew.
    pub fn reopen(&self) {
        self.sinks.iter().for_each(Sink::reopen);
    }

    /// Hands an event to every sink that wants it.
    ///
    /// # Errors
    /// When it is no JSON: a fault of this program.
    pub fn write(&self, event: &Event) -> Result<(), Error> {
        if let Some(metrics) = &self.metrics {
            metrics.observe(event);
        }
        let entry = self.entry(event)?;
        self.sinks.iter().for_each(|sink| sink.push(&entry));
        Ok(())
    }

    /// What each has done.
    pub fn reports(&self) -> Vec<Report> {
        self.sinks.iter().map(Sink::report).collect()
    }

    /// Whether nobody reads standard output any more.
    pub fn is_closed(&self) -> bool {
        self.stdout.and_then(|index| self.sinks.get(index)).is_some_and(Sink::is_over)
    }

    /// Hands out `last`, then ends every sink. A receiver that does not take anything is given two
    /// seconds. Returns the names of the sinks that lost events, but for standard output when its reader has
    /// ended the run.
    ///
    /// # Errors
    /// When `last` is no JSON: a fault of this program.
    pub fn close(self, last: &Event) -> Result<Vec<String>, Error> {
        let last = self.entry(last)?;
        let over = self.stdout.filter(|_| self.is_closed());
        self.sinks.iter().for_each(|sink| sink.push_last(&last));
        let deadline = Instant::now() + CLOSE_TIMEOUT;
        self.sinks.iter().for_each(|sink| sink.close(deadline));
        let lost = self
            .sinks
            .iter()
            .enumerate()
            .filter(|(index, sink)| !sink.wait(deadline) && over != Some(*index));
        Ok(lost.map(|(_, sink)| sink.report().name).collect())
    }
}
