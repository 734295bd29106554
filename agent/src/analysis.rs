//! Captures in, events out: the correlator of live operation, driven by the time of the packets.
//!
//! Nothing here looks at a clock, so the same captures give the same events.

use std::time::Duration;

use crate::event::agent::Table;
use crate::event::analysis::{CaptureFile, DocumentFile, Recognised, Start, Stop};
use crate::event::{Body, Event, SCHEMA_VERSION, Severity};
use crate::session::{Config, Correlator};
use crate::source::capture::{Captures, Copies, Counter, Frame};
use crate::source::document::{Documents, Summary};
use crate::source::radius;
use crate::source::recognise::Kind;
use crate::time::Timestamp;

/// How long after the last packet time goes on: until calls that have just closed are reported, and
/// calls that are known by their traffic only are taken up (the longest wait of the correlator for
/// something that is about to come).
const AFTERMATH: Duration = Duration::from_secs(3);

/// A gap of more than this is jumped over when no call lasts through it, nanoseconds.
const LONG_GAP_NS: u64 = 3_600_000_000_000;

/// What `pptpscope analyze` was asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// `host` of the events.
    pub host: String,
    /// Interval of `gre.stats` and `session.stats`.
    pub stats_interval: Duration,
    /// Calls that are followed at once.
    pub max_sessions: u32,
    /// Every line of a log makes an event, also the debug dump.
    pub all_log_lines: bool,
    /// What to do with packets that are captured more than once.
    pub copies: Copies,
    /// Ports and secrets of RADIUS servers.
    pub radius: radius::Settings,
    /// Leave out packets before.
    pub from: Option<Timestamp>,
    /// Leave out packets after.
    pub until: Option<Timestamp>,
}

impl Options {
    /// Whether what happened at `at` is left out.
    fn is_outside(&self, at: Timestamp) -> bool {
        self.from.is_some_and(|from| at < from) || self.until.is_some_and(|until| at > until)
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            host: "capture".into(),
            stats_interval: Duration::from_secs(10),
            max_sessions: 16_384,
            all_log_lines: false,
            copies: Copies::Auto,
            radius: radius::Settings::default(),
            from: None,
            until: None,
        }
    }
}

/// Reads captures to their ends and gives each event to `sink`, until that fails.
///
/// # Errors
///
/// Those of `sink`. What is wrong with the captures is in [`Captures::members`] afterwards.
pub fn run<E>(
    captures: &mut Captures,
    options: &Options,
    progress: impl FnMut(),
    sink: impl FnMut(&Event) -> Result<(), E>,
) -> Result<(), E> {
    run_with(captures, &mut Documents::default(), options, progress, sink)
}

/// As [`run`], with what logs say beside the packets.
///
/// # Errors
///
/// Those of `sink`.
pub fn run_with<E>(
    captures: &mut Captures,
    documents: &mut Documents,
    options: &Options,
    mut progress: impl FnMut(),
    sink: impl FnMut(&Event) -> Result<(), E>,
) -> Result<(), E> {
    let max_sessions = options.max_sessions as usize;
    let mut counter =
        Counter::new(max_sessions.saturating_mul(2), options.copies).with_radius(options.radius.clone());
    captures.look_ahead(&mut counter);
    let mut analysis = Analysis {
        opening: Some(opening(options, captures, documents)),
        correlator: Correlator::new(Config {
            stats_interval: options.stats_interval,
            max_sessions,
            sessions_from_logs: captures.members().next().is_none(),
            all_log_lines: options.all_log_lines,
            ..Config::for_host(options.host.clone())
        }),
        counter,
        host: options.host.clone(),
        now: Timestamp::default(),
        due: None,
        span: None,
        outside: 0,
        events: Vec::new(),
        sink,
    };
    let mut packets = 0u32;
    while let Some((file, frame)) = captures.next() {
        packets = packets.wrapping_add(1);
        if packets.is_multiple_of(1 << 14) {
            progress();
        }
        if options.is_outside(frame.at) {
            analysis.outside += 1;
            continue;
        }
        if documents.at().is_some_and(|at| at <= frame.at) {
            analysis.told(documents, Some(frame.at), options)?;
        }
        analysis.packet(file, &frame)?;
    }
    analysis.told(documents, None, options)?;
    analysis.begin(Timestamp::default())?;
    analysis.finish(options, captures, documents)
}

/// The first line: what is read, and how.
fn opening(options: &Options, captures: &Captures, documents: &Documents) -> Start {
    let captured = captures.members().map(|(name, _, problem)| {
        let is_none = problem.is_some_and(|problem| !problem.is_harmless());
        (name, if is_none { Kind::Unknown } else { Kind::Capture })
    });
    let documents = documents.members().map(|document| (document.name, document.kind));
    let recognised = captured.chain(documents);
    Start {
        schema_version: SCHEMA_VERSION.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        files: captures.members().map(|(name, ..)| name.to_owned()).collect(),
        recognised: recognised
            .map(|(name, kind)| Recognised { name: name.to_owned(), kind: kind.name().to_owned() })
            .collect(),
        stats_interval_ns: u64::try_from(options.stats_interval.as_nanos()).unwrap_or(u64::MAX),
        max_sessions: options.max_sessions,
        copies: options.copies,
        from: options.from,
        until: options.until,
    }
}

struct Analysis<S> {
    /// The first line, until it is written.
    opening: Option<Start>,
    correlator: Correlator,
    counter: Counter,
    host: String,
    /// The latest time of a packet: packets may be out of order, time never goes back.
    now: Timestamp,
    /// When the correlator has something to do.
    due: Option<Timestamp>,
    /// Times of the earliest and the latest packet.
    span: Option<(Timestamp, Timestamp)>,
    outside: u64,
    events: Vec<Event>,
    sink: S,
}

impl<E, S: FnMut(&Event) -> Result<(), E>> Analysis<S> {
    #[inline]
    fn packet(&mut self, file: usize, frame: &Frame<'_>) -> Result<(), E> {
        self.reach(frame.at)?;
        if let Some(observation) = self.counter.packet(file, frame) {
            self.correlator.observe(&observation, &mut self.events);
            if self.correlator.wants_all_flows(self.now) {
                // A call that was under way has been met: what its flows carried shows the rest of it.
                self.advance(self.now)?;
            } else {
                self.after_correlator()?;
            }
        }
        Ok(())
    }

    /// Takes what documents say up to `until`.
    #[cold]
    fn told(
        &mut self,
        documents: &mut Documents,
        until: Option<Timestamp>,
        options: &Options,
    ) -> Result<(), E> {
        while documents.at().is_some_and(|at| until.is_none_or(|until| at <= until))
            && let Some(observation) = documents.next()
        {
            if !options.is_outside(observation.at) {
                self.reach(observation.at)?;
                self.correlator.observe(&observation, &mut self.events);
                self.after_correlator()?;
            }
        }
        Ok(())
    }

    /// Begins at `at`, if that was not done.
    fn begin(&mut self, at: Timestamp) -> Result<(), E> {
        let Some(analysis_start) = self.opening.take() else { return Ok(()) };
        self.now = at;
        if at != Timestamp::default() {
            self.correlator.begin(at);
            self.due = self.correlator.next_deadline();
        }
        self.emit(Body::AnalysisStart { analysis_start })
    }

    /// Lets time pass until `at`.
    #[inline]
    fn reach(&mut self, at: Timestamp) -> Result<(), E> {
        if self.opening.is_some() {
            self.begin(at)?;
        }
        let (first, last) = self.span.unwrap_or((at, at));
        self.span = Some((first.min(at), last.max(at)));
        if at > self.now {
            if self.due.is_some_and(|due| due <= at) {
                self.pass_time(at)?;
            }
            self.now = at;
        }
        Ok(())
    }

    /// Does what is due up to `until`, each at its time.
    #[cold]
    fn pass_time(&mut self, until: Timestamp) -> Result<(), E> {
        while let Some(due) = self.due.filter(|due| *due <= until) {
            let mut at = due.max(self.now);
            if self.correlator.totals().live == 0 && until.ns_since(at) > LONG_GAP_NS {
                at = until;
            }
            self.now = at;
            self.advance(at)?;
        }
        Ok(())
    }

    /// Lets the correlator's time pass, with the counters that it wants for that.
    #[cold]
    fn advance(&mut self, at: Timestamp) -> Result<(), E> {
        if self.correlator.wants_all_flows(at) {
            self.observe_flows(at);
        } else {
            for key in self.correlator.wanted_flows(at) {
                if let Some(observation) = self.counter.flow(&key, at) {
                    self.correlator.observe(&observation, &mut self.events);
                }
            }
        }
        self.correlator.advance(at, &mut self.events);
        self.after_correlator()
    }

    fn observe_flows(&mut self, at: Timestamp) {
        for observation in self.counter.flows(at) {
            self.correlator.observe(&observation, &mut self.events);
        }
    }

    fn after_correlator(&mut self) -> Result<(), E> {
        for key in self.correlator.take_released() {
            self.counter.remove(&key);
        }
        for (one, other) in self.correlator.take_paired() {
            self.counter.pair(one, other);
        }
        self.due = self.correlator.next_deadline();
        for event in self.events.drain(..) {
            (self.sink)(&event)?;
        }
        Ok(())
    }

    fn finish(&mut self, options: &Options, captures: &Captures, documents: &Documents) -> Result<(), E> {
        let end = self.now + AFTERMATH;
        if self.span.is_some() {
            self.observe_flows(self.now);
            self.after_correlator()?;
            self.pass_time(end)?;
            self.now = end;
            self.observe_flows(end);
            while !self.correlator.finish(end, &mut self.events) {
                self.after_correlator()?;
            }
            self.after_correlator()?;
        }
        let books = self.counter.books();
        let totals = self.correlator.totals();
        let analysis_stop = Stop {
            first: self.span.map(|(first, _)| first),
            last: self.span.map(|(_, last)| last),
            packets: books.packets,
            bytes: books.bytes,
            outside: self.outside,
            other: books.other,
            copies: books.copies,
            control: books.control,
            ppp: books.ppp,
            icmp: books.icmp,
            radius: books.radius,
            refused: books.refused,
            undecodable: books.undecodable,
            sessions: Table { used: totals.live, limit: options.max_sessions.into() },
            sessions_evicted: totals.evicted,
            files: captures
                .members()
                .map(|(name, packets, problem)| CaptureFile {
                    name: name.to_owned(),
                    packets,
                    problem: problem.map(ToString::to_string),
                })
                .collect(),
            documents: documents.members().map(document_file).collect(),
        };
        self.emit(Body::AnalysisStop { analysis_stop })
    }

    fn emit(&mut self, body: Body) -> Result<(), E> {
        let event =
            Event { ts: self.now, body, severity: Severity::Info, host: self.host.clone(), session: None };
        (self.sink)(&event)
    }
}

fn document_file(document: Summary<'_>) -> DocumentFile {
    let Summary { name, kind, counts, problem } = document;
    DocumentFile {
        name: name.to_owned(),
        kind: kind.name().to_owned(),
        records: counts.records,
        observed: counts.observed,
        unrelated: counts.unrelated,
        damaged: counts.damaged,
        beyond: counts.beyond,
        problem,
    }
}
