//! What is remembered of one call.

use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::sync::Arc;

use super::results;
use super::words::{bytes, cause, count, fields, name, seconds};
use crate::event::finding::{Finding, State};
use crate::event::gre::Counters;
use crate::event::log::{Class, Level, Log};
use crate::event::session::{Cause, End, Mppe, Origin, Phase, PhaseTime, Up};
use crate::event::{Body, Event, PerParty, SessionRef};
use crate::logs::catalogue;
use crate::packed::{Packed, Words};
use crate::seldom::{Seldom, seldom};
use crate::time::Timestamp;
use crate::wire::ppp::Protocol;

/// Lines of a story; a call that negotiates for ever tells only how it began.
const MAX_LINES: usize = 120;
/// Results of a call that are told; a user may try passwords for ever.
const MAX_RESULTS: usize = 24;
/// Bytes of a line; a peer may send long names.
const MAX_LINE: usize = 400;

/// One message, frame or line of a log, and how often it came in a row.
#[derive(Debug)]
struct Line {
    after_ns: u64,
    /// The end of the call, or the daemon.
    sender: String,
    text: String,
    times: u32,
}

/// What of `session.up` is told.
#[derive(Debug)]
struct Agreed {
    auth_protocol: Option<Box<str>>,
    mppe: Option<Mppe>,
    client_address: Option<Ipv4Addr>,
    server_address: Option<Ipv4Addr>,
    setup_ns: u64,
}

impl From<&Up> for Agreed {
    fn from(up: &Up) -> Self {
        Self {
            auth_protocol: up.auth_protocol.as_deref().map(Into::into),
            mppe: up.mppe,
            client_address: up.client_address,
            server_address: up.server_address,
            setup_ns: up.setup_ns,
        }
    }
}

/// What of the counters of a direction is told. It is kept as [`Packed`].
#[derive(Debug)]
struct Carried {
    packets: u64,
    bytes: u64,
    received: u64,
    lost: u64,
    missing: u64,
    reordered: u64,
    late: u64,
    duplicate: u64,
    ack_only: u64,
    fragments: u64,
}

impl Carried {
    /// The words of a direction, in the order of the fields.
    const fn words(counters: &Counters) -> [u64; 10] {
        [
            counters.packets,
            counters.bytes,
            counters.received,
            counters.lost,
            counters.missing,
            counters.reordered,
            counters.late,
            counters.duplicate,
            counters.ack_only,
            counters.fragments,
        ]
    }

    fn take(words: &mut Words<'_>) -> Self {
        let [packets, bytes, received, lost, missing, reordered, late, duplicate, ack_only, fragments] =
            words.take_all();
        Self { packets, bytes, received, lost, missing, reordered, late, duplicate, ack_only, fragments }
    }
}

/// Messages, results and findings, which few of many calls have room for.
#[derive(Debug, Default)]
struct Details {
    lines: Vec<Line>,
    /// What came of a layer, by its name.
    results: Vec<(&'static str, String)>,
    findings: Vec<Finding>,
}

seldom!(Details);

/// The life of a call, up to its last event.
#[derive(Debug)]
pub(super) struct Story {
    began: Timestamp,
    session: Option<Arc<SessionRef>>,
    client_port: Option<u16>,
    by_traffic: bool,
    /// Only logs tell of it.
    by_log: bool,
    details: Seldom<Details>,
    left_out: u64,
    /// Bytes that they take.
    taken: usize,
    room: usize,
    phase: Option<Phase>,
    phases: Vec<PhaseTime>,
    up: Option<Agreed>,
    carried: Option<Packed>,
    end: Option<Box<End>>,
    lcp_frames: PerParty<u32>,
}

impl Story {
    pub(super) fn begin(at: Timestamp) -> Self {
        Self {
            began: at,
            session: None,
            client_port: None,
            by_traffic: false,
            by_log: false,
            details: Seldom::default(),
            left_out: 0,
            taken: 0,
            room: 0,
            phase: None,
            phases: Vec::new(),
            up: None,
            carried: None,
            end: None,
            lcp_frames: PerParty { client: 0, server: 0 },
        }
    }

    pub(super) const fn began(&self) -> Timestamp {
        self.began
    }

    /// Bytes that the messages and frames take.
    pub(super) const fn taken(&self) -> usize {
        self.taken
    }

    /// Takes an event, with `room` for what a message says; returns how much it took of that.
    pub(super) fn take(&mut self, event: &Event, session: &Arc<SessionRef>, room: usize) -> usize {
        let before = self.taken;
        self.room = room;
        self.take_event(event, session);
        self.taken - before
    }

    fn take_event(&mut self, event: &Event, session: &Arc<SessionRef>) {
        if self.session.as_ref() != Some(session) {
            self.session = Some(Arc::clone(session));
        }
        match &event.body {
            Body::SessionStart { session_start } => {
                self.client_port = session_start.client_port;
                self.by_traffic = session_start.origin == Origin::Traffic;
                self.by_log = session_start.origin == Origin::Log;
                self.phase = Some(session_start.phase);
            }
            Body::SessionPhase { session_phase } => {
                self.phase = Some(session_phase.phase);
                let time =
                    PhaseTime { phase: session_phase.previous, duration_ns: session_phase.previous_ns };
                match self.phases.iter_mut().find(|known| known.phase == time.phase) {
                    Some(known) => known.duration_ns += time.duration_ns,
                    None => {
                        self.phases.reserve_exact(1);
                        self.phases.push(time);
                    }
                }
            }
            Body::SessionUp { session_up } => self.up = Some(session_up.into()),
            Body::GreStats { gre_stats } => {
                let sides = [&gre_stats.from_client, &gre_stats.from_server];
                self.carried = Some(Packed::of(sides.map(Carried::words).as_flattened()));
            }
            Body::SessionEnd { session_end } => {
                for (label, echo) in
                    [("echo", &session_end.control_echo), ("lcp echo", &session_end.lcp_echo)]
                {
                    if let Some(echo) = echo {
                        self.result(label, results::keep_alive(echo));
                    }
                }
                self.end = Some(Box::new(session_end.clone()));
            }
            Body::PppSummary { ppp_summary } => {
                let (layer, text) = results::layer(ppp_summary);
                // A layer may be negotiated anew.
                if let Some(details) = self.details.filled() {
                    details.results.retain(|(label, _)| *label != layer);
                }
                self.result(layer, text);
            }
            Body::AuthResult { auth_result } => self.result("auth", results::authentication(auth_result)),
            Body::RadiusExchange { radius_exchange } => {
                self.result("radius", results::radius(radius_exchange));
            }
            Body::Finding { finding } => {
                if let Some(details) = self.details.filled() {
                    details.findings.retain(|known| known.id != finding.id);
                }
                if finding.state != State::Withdrawn {
                    self.details.findings.push((**finding).clone());
                }
            }
            Body::ControlMessage { control_message } => {
                let value = serde_json::to_value(control_message).unwrap_or_default();
                let message = value.get("message").and_then(|message| message.as_str()).unwrap_or("?");
                let text = format!("{message}  {}", fields(&value, &["sender", "message"]));
                self.line(event.ts, name(control_message.sender), text);
            }
            Body::ControlGarbage { control_garbage } => {
                let (number, why) = (control_garbage.bytes, &control_garbage.reason);
                let text = format!("{} that are no PPTP message: {why}", count(number, "byte"));
                self.line(event.ts, name(control_garbage.sender), text);
            }
            Body::PppNegotiation { ppp_negotiation } => {
                let Some(frame) = &ppp_negotiation.frame else {
                    let why = ppp_negotiation.error.as_deref().unwrap_or("unknown");
                    self.line(
                        event.ts,
                        name(ppp_negotiation.sender),
                        format!("ppp frame that cannot be read: {why}"),
                    );
                    return;
                };
                if frame.protocol() == Protocol::Lcp {
                    *self.lcp_frames.of_mut(ppp_negotiation.sender) += 1;
                }
                let value = serde_json::to_value(ppp_negotiation).unwrap_or_default();
                let hidden = ["sender", "gre_sequence", "protocol", "code", "id", "copy"];
                let code = frame.code_name().unwrap_or_default();
                let id = frame.id().map_or(String::new(), |id| format!(" {id}"));
                let copy = if ppp_negotiation.copy { "  (copy)" } else { "" };
                let text = format!("{} {code}{id}  {}{copy}", frame.protocol(), fields(&value, &hidden));
                self.line(event.ts, name(ppp_negotiation.sender), text);
            }
            Body::Log { log } if self.is_told(log) => {
                let meaning =
                    log.message.as_deref().and_then(meaning).filter(|_| log.class != Some(Class::Progress));
                let meaning = meaning.map_or(String::new(), |meaning| format!("  ({meaning})"));
                self.line(event.ts, log.program.to_string(), format!("{}{meaning}", log.text));
            }
            _ => {}
        }
    }

    fn result(&mut self, label: &'static str, text: String) {
        let text = shortened(text);
        let cost = text.len() + size_of::<(&str, String)>();
        if self.details.results.len() < MAX_RESULTS && cost <= self.room {
            self.taken += cost;
            self.details.results.push((label, text));
        } else {
            self.left_out += 1;
        }
    }

    /// Whether a line of a log tells what packets do not: where there are none, all but what says nothing.
    fn is_told(&self, log: &Log) -> bool {
        match log.class {
            None | Some(Class::Cause | Class::Effect) => true,
            Some(Class::Benign) => false,
            Some(Class::Progress) => self.by_log,
            Some(Class::Other) => self.by_log || log.level.is_some_and(|level| level >= Level::Warning),
        }
    }

    fn line(&mut self, at: Timestamp, sender: String, text: String) {
        let text = shortened(text);
        let after_ns = at.ns_since(self.began);
        let cost = text.len() + size_of::<Line>();
        let is_full = self.details.lines.len() >= MAX_LINES || cost > self.room;
        let last = self.details.filled().and_then(|details| details.lines.last_mut());
        match last.filter(|last| last.sender == sender && last.text == text) {
            Some(last) => last.times += 1,
            None if !is_full => {
                self.taken += cost;
                self.details.lines.push(Line { after_ns, sender, text, times: 1 });
            }
            None => self.left_out += 1,
        }
    }

    /// Who, and how it went.
    pub(super) fn heading(&self) -> String {
        let Some(session) = &self.session else { return "unknown".into() };
        let user = session.user.as_ref().map_or(String::new(), |user| format!(", user {user}"));
        let was_up = self.end.as_ref().map_or(self.up.is_some(), |end| end.was_up);
        let how = match (&self.end, was_up) {
            (Some(end), true) => format!("was up; ended by {}", ended(end)),
            (Some(end), false) => {
                format!("FAILED in phase {}: {}", name(end.last_phase), ended(end))
            }
            (None, true) => "up at the end of the capture".into(),
            (None, false) => {
                let phase = self.phase.map(name).unwrap_or_default();
                format!("in phase {phase} at the end of the capture")
            }
        };
        let address = |address: Option<Ipv4Addr>| address.map(|address| address.to_string());
        let client = address(session.client).unwrap_or_else(|| "unknown client".into());
        match address(session.server) {
            Some(server) => format!("{client} to {server}{user}: {how}"),
            None => format!("{client}{user}: {how}"),
        }
    }

    pub(super) fn write(&self, output: &mut impl Write) -> io::Result<()> {
        write!(output, "  began    {}", self.began)?;
        if let Some(session) = &self.session {
            if let Some(port) = self.client_port {
                write!(output, ", client port {port}")?;
            }
            for (id, whose) in [(session.client_call_id, "client's"), (session.server_call_id, "server's")] {
                if let Some(id) = id {
                    write!(output, ", {whose} call id {id}")?;
                }
            }
        }
        if self.by_traffic {
            write!(output, "; met by its traffic: the control connection's beginning is not in the capture")?;
        }
        writeln!(output)?;
        let phases = self.end.as_ref().map_or(&self.phases, |end| &end.phases);
        if !phases.is_empty() {
            let phases: Vec<String> = phases
                .iter()
                .map(|time| format!("{} {}", name(time.phase), seconds(time.duration_ns)))
                .collect();
            writeln!(output, "  phases   {}", phases.join(", "))?;
        }
        for line in &self.details.lines {
            let times = if line.times > 1 { format!("  ×{}", line.times) } else { String::new() };
            let after = line.after_ns as f64 / 1e9;
            writeln!(output, "  {after:>+10.3} s  {}  {}{times}", line.sender, line.text)?;
        }
        if self.left_out > 0 {
            writeln!(output, "               … and {} more messages and frames", self.left_out)?;
        }
        for (label, text) in &self.details.results {
            writeln!(output, "  {label:8} {text}")?;
        }
        if let Some(up) = &self.up {
            writeln!(output, "  agreed   {}", agreed(up))?;
        }
        if let Some(carried) = &self.carried {
            let mut words = carried.words();
            for end in ["client", "server"] {
                writeln!(output, "  {end}   {}", traffic(&Carried::take(&mut words)))?;
            }
        }
        if let Some(end) = &self.end {
            writeln!(output, "  ended    after {}: {}", seconds(end.duration_ns), ended(end))?;
        }
        for finding in &self.details.findings {
            write_finding(finding, output)?;
        }
        if let Some(note) = self.silence() {
            writeln!(output, "  note     {note}")?;
        }
        Ok(())
    }

    /// An end that never took part in the negotiation.
    fn silence(&self) -> Option<&'static str> {
        let last = self.end.as_ref().map_or(self.phase?, |end| end.last_phase);
        if last != Phase::Lcp || self.by_traffic || self.by_log {
            return None;
        }
        match (self.lcp_frames.client, self.lcp_frames.server) {
            (0, 0) => Some("no LCP frame was seen from either end: is GRE in the capture, does it pass?"),
            (0, _) => Some("the client never sent an LCP frame that was seen here"),
            (_, 0) => Some("the server never sent an LCP frame that was seen here"),
            _ => None,
        }
    }
}

/// At most [`MAX_LINE`] bytes, and no more memory than they take.
fn shortened(mut text: String) -> String {
    if let Some(end) = (MAX_LINE.min(text.len())..text.len()).find(|end| text.is_char_boundary(*end)) {
        text.truncate(end);
        text.push('…');
    }
    text.truncate(text.trim_end().len());
    text.shrink_to_fit();
    text
}

/// Why it ended; where only a line of a log tells, what that means.
fn ended(end: &End) -> String {
    let told = end.log_message.as_deref().filter(|_| end.reason == Cause::LogMessage);
    match told.map(|id| (id, meaning(id))) {
        Some((id, Some(meaning))) => format!("{id}, {meaning}"),
        Some((id, None)) => id.to_owned(),
        None => cause(end.reason, end.by),
    }
}

/// What the catalogue says that a message means.
fn meaning(id: &str) -> Option<&'static str> {
    let (_, entry) = catalogue::by_id(id)?;
    Some(entry.meaning).filter(|meaning| !meaning.is_empty())
}

/// What is wrong, why, and what to do.
pub(super) fn write_finding(finding: &Finding, output: &mut impl Write) -> io::Result<()> {
    let role = if finding.primary { "cause" } else { "finding" };
    writeln!(
        output,
        "  {role:8} {} (confidence {}): {}",
        finding.code,
        name(finding.confidence),
        finding.statement
    )?;
    for (mark, evidence) in [("because", &finding.evidence), ("although", &finding.against)] {
        for piece in evidence {
            let detail = if piece.detail.is_empty() { String::new() } else { format!(": {}", piece.detail) };
            writeln!(output, "           {mark} {}{detail}", piece.fact)?;
        }
    }
    for missing in &finding.missing {
        writeln!(output, "           not known, {}: whether {}", missing.why, missing.fact)?;
    }
    for consequence in &finding.consequences {
        writeln!(output, "           from it follows {}", consequence.code)?;
    }
    for remedy in &finding.remedy {
        writeln!(output, "           do: {}", remedy.text)?;
        for line in &remedy.lines {
            writeln!(output, "                 {line}")?;
        }
    }
    Ok(())
}

fn agreed(up: &Agreed) -> String {
    let mut words: Vec<String> = Vec::new();
    words.extend(up.auth_protocol.as_deref().map(str::to_owned));
    words.push(up.mppe.as_ref().map_or("no encryption seen".into(), |mppe| {
        format!("MPPE {} bit {}", mppe.bits, if mppe.stateful { "stateful" } else { "stateless" })
    }));
    words.extend(up.client_address.map(|address| format!("client gets {address}")));
    words.extend(up.server_address.map(|address| format!("server is {address}")));
    words.push(format!("up after {}", seconds(up.setup_ns)));
    words.join(", ")
}

fn traffic(counters: &Carried) -> String {
    let mut words = vec![format!("{} ({})", count(counters.packets, "packet"), bytes(counters.bytes))];
    let expected = counters.received + counters.lost + counters.missing;
    if counters.lost > 0 {
        let share = counters.lost as f64 * 100.0 / expected as f64;
        words.push(format!("{} lost ({share:.2} %)", counters.lost));
    } else if expected > 0 {
        words.push("none lost".into());
    }
    let more = [
        (counters.missing, "missing at the end"),
        (counters.reordered, "reordered"),
        (counters.late, "late"),
        (counters.duplicate, "duplicate"),
        (counters.ack_only, "acknowledgements only"),
        (counters.fragments, "fragments"),
    ];
    words.extend(
        more.iter().filter(|(number, _)| *number > 0).map(|(number, what)| format!("{number} {what}")),
    );
    words.join(", ")
}
