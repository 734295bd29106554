//! The Prometheus view of the events and of the agent's own state. Labels are bounded: phases, reasons, codes and
//! names of the configuration; never a client, a user or a call.

mod book;
pub mod manual;
mod round_trips;
pub mod server;
mod state;

use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, TextEncoder};
use serde::Serialize;
use uuid::Uuid;

use crate::event::agent::Status;
use crate::event::finding::State as FindingState;
use crate::event::gre::Counters;
use crate::event::mppe::{STALL_CAUSES, StallState};
use crate::event::radius::Outcome as RadiusOutcome;
use crate::event::session::Phase;
use crate::event::{Body, Event};
use crate::finding::catalogue::catalogue;
use crate::kernel::ProgramRuns;
use crate::wire::radius::Code;
use book::{Book, Definition};
use round_trips::RoundTripHistogram;

/// A metric that cannot be made: a fault of this program.
#[derive(Debug, thiserror::Error)]
#[error("cannot make a metric")]
pub struct Error(#[from] prometheus::Error);

/// Set-up of a call takes 0.1 s in a laboratory, and 30 s where timers decide.
const SETUP_SECONDS: [f64; 9] = [0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0];
/// An answer takes a millisecond on the same network; 5 s is the usual first repetition.
const RADIUS_SECONDS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0];

/// Shares of what was sent: a thousandth is what nobody notices, a hundredth what TCP suffers from.
const LOSS_RATIOS: [f64; 9] = [0.0, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0];

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
    garbage: IntCounter,
    mss_violations: IntCounterVec,
    log_lines: IntCounterVec,
    /// Calls that are open. As many as the correlator holds.
    calls: Mutex<HashMap<Uuid, Call>>,
    status: Mutex<(Status, Vec<ProgramRuns>)>,
}

#[derive(Debug)]
struct Gre {
    packets: IntCounterVec,
    bytes: IntCounterVec,
    ack_only: IntCounterVec,
    lost: IntCounterVec,
    late: IntCounterVec,
    reordered: IntCounterVec,
    duplicate: IntCounterVec,
    fragments: IntCounterVec,
    round_trips: Arc<RoundTripHistogram>,
    loss: HistogramVec,
}

/// What was counted of a call so far.
#[derive(Debug)]
struct Call {
    phase: Phase,
    from_client: Counters,
    from_server: Counters,
    /// Inside the tunnel.
    address: Option<Ipv4Addr>,
}

/// Which end sent.
const DIRECTIONS: [&str; 2] = ["from_client", "from_server"];

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
        let mut gre = |name: &str, help: &str| book.counters(name, help, &["direction"]);
        let gre = Gre {
            packets: gre("gre_packets_total", "GRE packets of calls; a fragmented one counts once.")?,
            bytes: gre("gre_bytes_total", "Bytes of these packets, as IPv4 total length.")?,
            ack_only: gre("gre_ack_only_packets_total", "Packets with an acknowledgement and no payload.")?,
            lost: gre(
                "gre_lost_packets_total",
                "Sequence numbers that did not come within 64 packets. Those that came later are in gre_late_packets_total: subtract them.",
            )?,
            late: gre("gre_late_packets_total", "Packets that came after they had been counted as lost.")?,
            reordered: gre("gre_reordered_packets_total", "First arrivals below the highest number seen.")?,
            duplicate: gre("gre_duplicate_packets_total", "Sequence numbers seen before.")?,
            fragments: gre("gre_fragments_total", "IPv4 fragments of GRE packets.")?,
            round_trips: book.round_trips(
                "gre_ack_round_trip_seconds",
                "From a GRE packet to its acknowledgement, one sample at a time: of packets from the server, network and client.",
                DIRECTIONS,
            )?,
            loss: book.histograms(
                "call_loss_ratio",
                "Calls that are over, by the share of their packets that never came.",
                &["direction"],
                &LOSS_RATIOS,
            )?,
        };
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
            garbage: book.counter(
                "control_garbage_total",
                "Events about bytes on port 1723 that are no PPTP message.",
            )?,
            mss_violations: book.counters(
                "mtu_mss_violations_total",
                "TCP connections in tunnels that announce segments too large for their pppN, by who announces.",
                &["sender"],
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
                let call = Call {
                    phase: session_start.phase,
                    from_client: Counters::default(),
                    from_server: Counters::default(),
                    address: None,
                };
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
                    self.gre.count(call, Some(&gre_stats.from_client), Some(&gre_stats.from_server));
                }
            }
            Body::SessionEnd { session_end: end } => {
                if let Some(mut call) = id.and_then(|id| calls.remove(&id)) {
                    self.gre.count(&mut call, end.from_client.as_ref(), end.from_server.as_ref());
                    self.gre.conclude(&call);
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
            Body::ControlGarbage { .. } => self.garbage.inc(),
            Body::MtuMssViolation { mtu_mss_violation: mss_violation } => {
                let sender = word(&mss_violation.sender);
                self.mss_violations.with_label_values(&[&sender]).inc_by(mss_violation.segments);
            }
            Body::Log { log } => {
                let class = log.class.as_ref().map_or_else(|| "unrecognised".to_owned(), word);
                self.log_lines.with_label_values(&[&class]).inc();
            }
            _ => {}
        }
    }

    /// Takes note of the agent's own state, and of what its programs cost where the kernel measures it.
    pub fn note(&self, status: &Status, runs: Vec<ProgramRuns>) {
        let mut noted = lock(&self.status);
        noted.0.clone_from(status);
        noted.1 = runs;
    }

    /// All of them, in the text format of Prometheus.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn text(&self) -> Result<String, Error> {
        let mut own = Book::default();
        let (mut phases, mut addresses) = (HashMap::new(), HashSet::new());
        for call in lock(&self.calls).values() {
            *phases.entry(word(&call.phase)).or_default() += 1;
            addresses.extend(call.address);
        }
        state::calls(&mut own, &phases, addresses.len())?;
        let noted = lock(&self.status);
        state::agent(&mut own, &noted.0)?;
        state::programs(&mut own, &noted.1)?;
        let mut families = self.book.gather();
        families.extend(own.gather());
        Ok(TextEncoder::new().encode_to_string(&families)?)
    }

    /// What there is, for the manual.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn definitions(&self) -> Result<Vec<Definition>, Error> {
        let mut own = Book::default();
        state::calls(&mut own, &HashMap::new(), 0)?;
        state::agent(&mut own, &Status::default())?;
        state::programs(&mut own, &[])?;
        let mut all: Vec<_> = self.book.definitions().chain(own.definitions()).cloned().collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(all)
    }
}

impl Gre {
    /// Adds what the counters of a call have more than before.
    fn count(&self, call: &mut Call, from_client: Option<&Counters>, from_server: Option<&Counters>) {
        let directions = [(&mut call.from_client, from_client), (&mut call.from_server, from_server)];
        for (direction, (before, now)) in DIRECTIONS.into_iter().zip(directions) {
            let Some(now) = now else { continue };
            // What was lost once stays counted as lost; that it came late is counted too.
            let ever_lost = |counters: &Counters| counters.lost + counters.late;
            let pairs = [
                (&self.packets, before.packets, now.packets),
                (&self.bytes, before.bytes, now.bytes),
                (&self.ack_only, before.ack_only, now.ack_only),
                (&self.lost, ever_lost(before), ever_lost(now)),
                (&self.late, before.late, now.late),
                (&self.reordered, before.reordered, now.reordered),
                (&self.duplicate, before.duplicate, now.duplicate),
                (&self.fragments, before.fragments, now.fragments),
            ];
            for (counter, before, now) in pairs {
                counter.with_label_values(&[direction]).inc_by(now.saturating_sub(before));
            }
            let (earlier, later) = (before.ack_rtt.unwrap_or_default(), now.ack_rtt.unwrap_or_default());
            self.round_trips.add(direction, &earlier, &later);
            *before = *now;
        }
    }

    /// A call is over.
    fn conclude(&self, call: &Call) {
        for (direction, counters) in DIRECTIONS.into_iter().zip([&call.from_client, &call.from_server]) {
            let sent = counters.received + counters.lost;
            if sent > 0 {
                self.loss.with_label_values(&[direction]).observe(counters.lost as f64 / sent as f64);
            }
        }
    }
}

#[cfg(test)]
mod tests;
