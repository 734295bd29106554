//! The Prometheus view of the events and of the agent's own state. Labels are bounded: phases, reasons, codes and
//! names of the configuration; never a client, a user or a call.

mod book;
mod gre;
pub mod manual;
mod round_trips;
pub mod server;
mod state;

use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, TextEncoder};
use serde::Serialize;
use uuid::Uuid;

use crate::event::agent::Status;
use crate::event::echo::Echo;
use crate::event::finding::State as FindingState;
use crate::event::mppe::{STALL_CAUSES, StallState};
use crate::event::radius::Outcome as RadiusOutcome;
use crate::event::session::Phase;
use crate::event::{Body, Event};
use crate::finding::catalogue::catalogue;
use crate::kernel::Load;
use crate::wire::radius::Code;
use book::{Book, Definition};
use gre::Gre;

/// A metric that cannot be made: a fault of this program.
#[derive(Debug, thiserror::Error)]
#[error("cannot make a metric")]
pub struct Error(#[from] prometheus::Error);

/// Set-up of a call takes 0.1 s in a laboratory, and 30 s where timers decide.
const SETUP_SECONDS: [f64; 9] = [0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0];
/// An answer takes a millisecond on the same network; 5 s is the usual first repetition.
const RADIUS_SECONDS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0];

/// A host answers at once, a mobile network within a second.
const ECHO_SECONDS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];

/// Metrics of a run. The loop writes, the server's thread reads.
#[derive(Debug)]
pub struct Metrics {
    book: Book,
    started: IntCounter,
    ended: IntCounterVec,
    attempts: IntCounterVec,
    setup: Histogram,
    findings: IntCounterVec,
    gre: Gre,
    drops: IntCounterVec,
    auth: IntCounterVec,
    radius: IntCounterVec,
    radius_latency: HistogramVec,
    stalls: IntCounterVec,
    echo_missed: IntCounterVec,
    echo: HistogramVec,
    mss_violations: IntCounterVec,
    pool: IntGauge,
    garbage: IntCounter,
    log_lines: IntCounterVec,
    /// Calls that are open. As many as the correlator holds.
    calls: Mutex<HashMap<Uuid, Call>>,
    status: Mutex<(Status, Load)>,
}

/// A call that is open.
#[derive(Debug)]
struct Call {
    phase: Phase,
    counted: gre::Counted,
    /// The client's end of the tunnel, while it has one.
    address: Option<Ipv4Addr>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The word that stands for a value in the events.
fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        // A peer may send any number, and each would be a label of its own.
        Ok(serde_json::Value::String(word)) if !word.starts_with("unknown_") => word,
        _ => "other".to_owned(),
    }
}

impl Metrics {
    /// All at zero.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn new() -> Result<Self, Error> {
        let mut book = Book::default();
        let gre = Gre::new(&mut book)?;
        // What alert rules count begins at zero: a counter that begins with one shows no increase.
        let attempts = book.counters(
            "call_attempts_total",
            "Calls that are over and got beyond TCP, by whether they were ever up.",
            &["result"],
        )?;
        for result in ["up", "failed"] {
            attempts.with_label_values(&[result]);
        }
        let radius = book.counters(
            "radius_exchanges_total",
            "RADIUS requests, by how they ended.",
            &["request", "outcome"],
        )?;
        for request in [Code::AccessRequest, Code::AccountingRequest] {
            for outcome in RadiusOutcome::ALL {
                radius.with_label_values(&[&word(&request), &word(&outcome)]);
            }
        }
        let stalls = book.counters(
            "mppe_stalls_total",
            "Times that decryption of a call stopped, by cause.",
            &["cause"],
        )?;
        for cause in STALL_CAUSES {
            stalls.with_label_values(&[cause.name()]);
        }
        let findings = book.counters("findings_total", "Findings raised, by their code.", &["code"])?;
        for entry in catalogue() {
            findings.with_label_values(&[&entry.code]);
        }
        Ok(Self {
            gre,
            findings,
            started: book.counter("calls_started_total", "Calls that began.")?,
            ended: book.counters(
                "calls_ended_total",
                "Calls that are over, by how far they got, whether they were ever up, and what ended them.",
                &["last_phase", "was_up", "reason"],
            )?,
            setup: book.histogram(
                "call_setup_seconds",
                "From the first packet of a call until it is up.",
                &SETUP_SECONDS,
            )?,
            drops: book.counters(
                "drops_total",
                "Packets of calls that this host let go of, by reason (docs/drops.md).",
                &["reason", "harmful"],
            )?,
            auth: book.counters(
                "auth_results_total",
                "Proofs of identity, by protocol and outcome.",
                &["protocol", "outcome"],
            )?,
            attempts,
            radius,
            stalls,
            radius_latency: book.histograms(
                "radius_latency_seconds",
                "From the first sending of a RADIUS request to its answer.",
                &["request"],
                &RADIUS_SECONDS,
            )?,
            echo_missed: book.counters(
                "echo_missed_total",
                "Echo-Requests without a reply.",
                &["protocol"],
            )?,
            echo: book.histograms(
                "call_echo_round_trip_seconds",
                "Of each call at its end: the mean time from an Echo-Request of the sender to its reply, where the agent watches.",
                &["protocol", "sender"],
                &ECHO_SECONDS,
            )?,
            mss_violations: book.counters(
                "mss_violations_total",
                "TCP segments with SYN inside the tunnels whose MSS does not fit, by the end that sent them.",
                &["sender"],
            )?,
            pool: book.gauge(
                "pool_addresses",
                "Addresses that clients have inside their tunnels, of calls that the agent saw come up.",
            )?,
            garbage: book.counter(
                "control_garbage_total",
                "Events about bytes on port 1723 that are no PPTP message.",
            )?,
            log_lines: book.counters(
                "log_events_total",
                "Lines of the daemons that made an event, by class.",
                &["class"],
            )?,
            calls: Mutex::default(),
            status: Mutex::default(),
            book,
        })
    }

    /// Counts an event.
    pub fn observe(&self, event: &Event) {
        let id = event.session.as_ref().map(|session| session.id);
        let mut calls = lock(&self.calls);
        match &event.body {
            Body::SessionStart { session_start } => {
                self.started.inc();
                let call =
                    Call { phase: session_start.phase, counted: gre::Counted::default(), address: None };
                calls.extend(id.map(|id| (id, call)));
            }
            Body::SessionPhase { session_phase } => {
                if let Some(call) = id.and_then(|id| calls.get_mut(&id)) {
                    call.phase = session_phase.phase;
                }
            }
            Body::SessionUp { session_up } => {
                self.setup.observe(session_up.setup_ns as f64 / 1e9);
                if let Some(call) = id.and_then(|id| calls.get_mut(&id)) {
                    call.address = session_up.client_address;
                }
            }
            Body::GreStats { gre_stats } => {
                if let Some(call) = id.and_then(|id| calls.get_mut(&id)) {
                    let now = [Some(&gre_stats.from_client), Some(&gre_stats.from_server)];
                    self.gre.count(&mut call.counted, now);
                }
            }
            Body::SessionEnd { session_end: end } => {
                if let Some(mut call) = id.and_then(|id| calls.remove(&id)) {
                    let last = [end.from_client.as_ref(), end.from_server.as_ref()];
                    self.gre.count(&mut call.counted, last);
                    self.gre.end(last);
                    self.echoes("pptp", end.control_echo.as_deref());
                    self.echoes("lcp", end.lcp_echo.as_deref());
                }
                let was_up = if end.was_up { "true" } else { "false" };
                if end.last_phase != Phase::Tcp {
                    let result = if end.was_up { "up" } else { "failed" };
                    self.attempts.with_label_values(&[result]).inc();
                }
                self.ended.with_label_values(&[&word(&end.last_phase), was_up, &word(&end.reason)]).inc();
            }
            Body::Finding { finding } if finding.state == FindingState::Raised => {
                self.findings.with_label_values(&[&finding.code]).inc();
            }
            Body::Drop { drop } => {
                let harmful = if drop.harmful { "true" } else { "false" };
                self.drops.with_label_values(&[drop.reason.0.name(), harmful]).inc_by(drop.count);
            }
            Body::AuthResult { auth_result } => {
                let protocol = auth_result.protocol.as_ref().map_or_else(|| "other".to_owned(), word);
                self.auth.with_label_values(&[&protocol, &word(&auth_result.outcome)]).inc();
            }
            Body::RadiusExchange { radius_exchange: exchange } => {
                let request = word(&exchange.request);
                self.radius.with_label_values(&[&request, &word(&exchange.outcome)]).inc();
                if let Some(ns) = exchange.latency_ns {
                    self.radius_latency.with_label_values(&[&request]).observe(ns as f64 / 1e9);
                }
            }
            Body::MppeStall { mppe_stall } if mppe_stall.state == StallState::Begun => {
                self.stalls.with_label_values(&[mppe_stall.cause.0.name()]).inc();
            }
            Body::ControlEchoMissed { .. } => self.echo_missed.with_label_values(&["pptp"]).inc(),
            Body::PppEchoMissed { .. } => self.echo_missed.with_label_values(&["lcp"]).inc(),
            Body::MtuMssViolation { mtu_mss_violation: violation } => {
                self.mss_violations.with_label_values(&[&word(&violation.sender)]).inc_by(violation.segments);
            }
            Body::ControlGarbage { .. } => self.garbage.inc(),
            Body::Log { log } => {
                let class = log.class.as_ref().map_or_else(|| "unrecognised".to_owned(), word);
                self.log_lines.with_label_values(&[&class]).inc();
            }
            _ => {}
        }
    }

    /// Counts the keep-alives of a call that is over.
    fn echoes(&self, protocol: &str, echo: Option<&Echo>) {
        let Some(echo) = echo else { return };
        for (sender, stats) in [("client", echo.from_client), ("server", echo.from_server)] {
            if let Some(ns) = stats.and_then(|stats| stats.rtt_avg_ns) {
                self.echo.with_label_values(&[protocol, sender]).observe(ns as f64 / 1e9);
            }
        }
    }

    /// Takes note of the agent's own state, and of what it takes in the kernel.
    pub fn note(&self, status: &Status, load: Load) {
        let mut noted = lock(&self.status);
        noted.0.clone_from(status);
        noted.1 = load;
    }

    /// All of them, in the text format of Prometheus.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn text(&self) -> Result<String, Error> {
        let mut phases: HashMap<String, u64> = HashMap::new();
        // Two calls may be told the same address, which then is in use once.
        let mut addresses = HashSet::new();
        for call in lock(&self.calls).values() {
            *phases.entry(word(&call.phase)).or_default() += 1;
            addresses.extend(call.address);
        }
        self.pool.set(i64::try_from(addresses.len()).unwrap_or(i64::MAX));
        let own = {
            // Not held while the text is made: the loop waits for it.
            let (status, load) = &*lock(&self.status);
            state::book(status, &phases, load)?
        };
        let mut families = self.book.gather();
        families.extend(own.gather());
        Ok(TextEncoder::new().encode_to_string(&families)?)
    }

    /// What there is, for the manual.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn definitions(&self) -> Result<Vec<Definition>, Error> {
        let own = state::book(&Status::default(), &HashMap::new(), &Load::default())?;
        let mut all: Vec<_> = self.book.definitions().chain(own.definitions()).cloned().collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(all)
    }
}

#[cfg(test)]
mod call_tests;
#[cfg(test)]
mod tests;
