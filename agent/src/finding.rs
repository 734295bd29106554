//! Conclusions: what is wrong with a call, why, and what to do about it.
//!
//! Events of the correlator in, `finding` events out. Pure, like the correlator that it is a part of:
//! the same events give the same findings, live, in `analyze` and in `replay`.
//!
//! * [`dossier`] gathers what is known about a call, [`history`] about a client, [`clock`] about a log.
//! * [`fact`] and `facts` are the vocabulary: statements that one source can confirm.
//! * [`rule`] tells what a rule is and how sure its conclusion; `rules` has all of them.
//! * [`ledger`] chooses the cause, and knows what was said.
//! * [`catalogue`] explains each code.

#[macro_use]
mod fact;
mod advice;
pub mod catalogue;
mod clock;
mod dossier;
mod facts;
mod history;
mod ledger;
mod rule;
mod rules;

#[cfg(test)]
mod case_tests;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::event::finding::{Finding, State};
use crate::event::session::{Origin as Met, Phase};
use crate::event::{Body, Event, SessionRef};
use crate::observation::{Observation, Origin, What};
use crate::session::ClockOffset as Offset;
use crate::time::Timestamp;
use clock::LogClock;
use dossier::{Dossier, Sources};
use facts::logs::ENOUGH_FRAMES;
use history::{Ended, History};
use ledger::{Ledger, Saying};
use rule::{Rule, Verdict};

/// Clients whose history is kept.
const MAX_HISTORIES: usize = 4096;
/// How often they are looked through for those that are over.
const SWEEP: Duration = Duration::from_secs(1);
/// How long after its end a call can still be concluded about: drops are counted in the kernel and read
/// every second, lines of a log come when their writer gets to it.
const GRACE: Duration = Duration::from_secs(3);
/// Calls in that time at most; of more the oldest are let go of at once.
const MAX_ENDED: usize = 1024;
/// Processes whose lines belong to no call that is known; the one that was quiet longest goes first.
const MAX_LOOSE: usize = 256;

/// A call, or a process that belongs to none, and what was said about it.
#[derive(Debug)]
struct Case {
    dossier: Dossier,
    ledger: Ledger,
    check: Option<Timestamp>,
    /// The client's address in the tunnel.
    address: Option<Ipv4Addr>,
}

impl Case {
    fn new(dossier: Dossier) -> Self {
        Self { dossier, ledger: Ledger::default(), check: None, address: None }
    }
}

/// Names the lines of one process: the log, and its pid, or whom they are about.
type Process = (Arc<str>, Option<u32>, Option<String>);

/// Draws conclusions from events.
#[derive(Debug)]
pub struct Engine {
    host: String,
    sources: Sources,
    /// In boxes: the nodes of a tree are half empty.
    calls: BTreeMap<Uuid, Box<Case>>,
    loose: BTreeMap<Process, Case>,
    clients: BTreeMap<Ipv4Addr, (History, Ledger)>,
    /// By the log.
    clocks: BTreeMap<String, (LogClock, Ledger)>,
    /// Which call that is up has which address in its tunnel.
    addresses: BTreeMap<Ipv4Addr, Uuid>,
    /// When histories are looked through next.
    sweep: Timestamp,
    /// When time alone may change a conclusion.
    checks: BTreeSet<(Timestamp, Uuid)>,
    /// Calls that are over, and until when they are kept.
    ended: VecDeque<(Timestamp, Uuid)>,
}

impl Engine {
    /// Knows nothing yet. `host` is the name in the events.
    pub const fn new(host: String) -> Self {
        Self {
            host,
            sources: Sources { kernel: false, wire: false, log: false, radius: false },
            calls: BTreeMap::new(),
            loose: BTreeMap::new(),
            clients: BTreeMap::new(),
            clocks: BTreeMap::new(),
            addresses: BTreeMap::new(),
            sweep: Timestamp::from_unix_ns(0),
            checks: BTreeSet::new(),
            ended: VecDeque::new(),
        }
    }

    /// Notes who can speak. To be told of each observation before its events.
    pub fn note(&mut self, observation: &Observation) {
        match observation.origin {
            Origin::Wire { .. } | Origin::Path => {
                self.sources.kernel = true;
                self.sources.wire = true;
            }
            Origin::Capture { .. } | Origin::Counters => self.sources.wire = true,
            _ => {}
        }
        self.sources.log |= matches!(observation.what, What::Log(_));
        self.sources.radius |= matches!(observation.what, What::Radius(_));
    }

    /// Takes an event and passes it on to `out`, with the findings that follow from it. Those about
    /// the end of a call come before the event that ends it.
    pub fn take(&mut self, event: Event, out: &mut Vec<Event>) {
        let mut found = Vec::new();
        let ends = matches!(event.body, Body::SessionEnd { .. });
        match &event.session {
            Some(session) => self.call(session, &event, &mut found),
            None => self.stray(&event, &mut found),
        }
        if ends {
            out.append(&mut found);
            out.push(event);
        } else {
            out.push(event);
            out.append(&mut found);
        }
    }

    /// The daemon of call `id` says that it has sent a frame of negotiation, or received one.
    pub fn dumped(&mut self, at: Timestamp, id: Uuid, is_sent: bool, out: &mut Vec<Event>) {
        let Some(case) = self.calls.get_mut(&id) else { return };
        if case.dossier.logs.dumped(at, is_sent) == ENOUGH_FRAMES {
            case.dossier.now = case.dossier.now.max(at);
            self.examine(id, out);
        }
    }

    /// The clock of a log was compared with that of the packets; `is_off` when the two are so far from each other that
    /// their times say nothing about what came first.
    pub fn clock(&mut self, at: Timestamp, offset: &Offset, is_off: bool, out: &mut Vec<Event>) {
        let source = &offset.source;
        let new = || (LogClock::new(source.clone(), at), Ledger::default());
        let (clock, ledger) = self.clocks.entry(source.clone()).or_insert_with(new);
        clock.now = clock.now.max(at);
        (clock.offset_ns, clock.samples) = (offset.offset_ns, offset.samples);
        clock.off_since = is_off.then(|| clock.off_since.unwrap_or(at));
        let verdicts =
            rules::CLOCK.iter().copied().flatten().filter_map(|rule| rule.conclude(clock)).collect();
        let sayings = ledger.settle(verdicts, false, |code| objection(rules::CLOCK, code, clock));
        out.extend(sayings.into_iter().map(|saying| of_log(&self.host, clock, saying)));
    }

    /// Time has come to `now`: waits end.
    pub fn advance(&mut self, now: Timestamp, out: &mut Vec<Event>) {
        while let Some(&(at, id)) = self.checks.first()
            && at <= now
        {
            self.checks.pop_first();
            let Some(case) = self.calls.get_mut(&id) else { continue };
            case.check = None;
            case.dossier.now = case.dossier.now.max(now);
            self.examine(id, out);
        }
        while self.ended.front().is_some_and(|(until, _)| *until <= now) {
            self.let_go(out);
        }
        if now < self.sweep {
            return;
        }
        self.sweep = now + SWEEP;
        let host = &self.host;
        self.clients.retain(|_, (history, ledger)| {
            let stale = history.is_stale(now);
            if stale {
                let sayings = ledger.resolve("nothing of this kind for ten minutes");
                out.extend(sayings.into_iter().map(|saying| of_client(host, now, history, saying)));
            }
            !stale
        });
    }

    /// Nothing more will come: what only a log knows is concluded.
    pub fn finish(&mut self, now: Timestamp, out: &mut Vec<Event>) {
        for (_, mut case) in std::mem::take(&mut self.loose) {
            case.dossier.over = true;
            settle(&self.host, case.dossier.now.max(Timestamp::default()).min(now), &mut case, out);
        }
    }

    /// When [`Self::advance`] has something to do.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let check = self.checks.first().map(|(at, _)| *at);
        let until = self.ended.front().map(|(until, _)| *until);
        check.into_iter().chain(until).min()
    }

    /// An event about a call.
    fn call(&mut self, session: &Arc<SessionRef>, event: &Event, out: &mut Vec<Event>) {
        let sources = Sources { wire: true, ..self.sources };
        let case = match self.calls.entry(session.id) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) if matches!(event.body, Body::SessionStart { .. }) => {
                place.insert(Box::new(Case::new(Dossier::new(Arc::clone(session), event.ts, sources))))
            }
            Entry::Vacant(_) => return,
        };
        // A call that only logs tell of: packets would say nothing about it.
        let by_log = matches!(&event.body, Body::SessionStart { session_start } if session_start.origin == Met::Log)
            || case.dossier.origin == Met::Log;
        case.dossier.sources = if by_log { Sources { log: true, ..Sources::default() } } else { sources };
        let mut changed = case.dossier.take(event);
        if let Body::SessionUp { session_up } = &event.body
            && let Some(address) = session_up.client_address
        {
            changed |= self.note_address(session.id, address, event.ts);
        }
        if changed {
            self.examine(session.id, out);
        }
        if matches!(event.body, Body::SessionEnd { .. }) {
            self.ended.push_back((event.ts + GRACE, session.id));
            if self.ended.len() > MAX_ENDED {
                self.let_go(out);
            }
        }
    }

    /// Call `id` has `address` in its tunnel. Returns whether another one that is not over has it too.
    fn note_address(&mut self, id: Uuid, address: Ipv4Addr, at: Timestamp) -> bool {
        if let Some(case) = self.calls.get_mut(&id) {
            case.address = Some(address);
        }
        let Some(before) = self.addresses.insert(address, id).filter(|before| *before != id) else {
            return false;
        };
        let Some(other) = self.calls.get(&before).filter(|case| !case.dossier.is_ending()) else {
            return false;
        };
        let words = format!("{address} is that of {} too", other.dossier.client());
        if let Some(case) = self.calls.get_mut(&id) {
            case.dossier.same_address = Some(Box::new((at, words)));
        }
        true
    }

    /// Forgets the call that has been over for longest.
    fn let_go(&mut self, out: &mut Vec<Event>) {
        let Some((_, id)) = self.ended.pop_front() else { return };
        let Some(case) = self.calls.remove(&id) else { return };
        if let Some(at) = case.check {
            self.checks.remove(&(at, id));
        }
        if let Some(address) = case.address.filter(|address| self.addresses.get(address) == Some(&id)) {
            self.addresses.remove(&address);
        }
        self.remember(&case, out);
    }

    /// An event about no call: a line of a process, or a drop that concerns a call by its addresses.
    fn stray(&mut self, event: &Event, out: &mut Vec<Event>) {
        match &event.body {
            Body::Drop { drop } => {
                let (Some(source), Some(destination)) = (drop.source, drop.destination) else { return };
                let between = |call: &SessionRef| {
                    (call.client, call.server) == (Some(source), Some(destination))
                        || (call.client, call.server) == (Some(destination), Some(source))
                };
                // Of several the youngest that is not up: a call that is up has its flows booked on it.
                let candidates = self.calls.values().filter(|case| between(&case.dossier.call));
                let candidate = candidates.max_by_key(|case| (case.dossier.up.is_none(), case.dossier.began));
                let id = candidate.map(|case| case.dossier.call.id);
                if let Some(case) = id.and_then(|id| self.calls.get_mut(&id)) {
                    let id = case.dossier.call.id;
                    case.dossier.take(event);
                    self.examine(id, out);
                }
            }
            Body::Log { log } => {
                // Windows names no process: the connection, or the user, tells whose line it is.
                let subject =
                    ["coid", "user", "client_address"].iter().find_map(|name| log.fields.get(*name));
                let subject = subject.filter(|_| log.pid.is_none()).map(ToString::to_string);
                let process = (log.source.clone(), log.pid, subject);
                if self.loose.len() >= MAX_LOOSE && !self.loose.contains_key(&process) {
                    let quiet = self
                        .loose
                        .iter()
                        .min_by_key(|(_, case)| case.dossier.now)
                        .map(|(key, _)| key.clone());
                    let quiet = quiet.and_then(|key| self.loose.remove(&key));
                    if let Some(mut case) = quiet {
                        case.dossier.over = true;
                        settle(&self.host, event.ts, &mut case, out);
                    }
                }
                let host = &self.host;
                let id = Uuid::new_v5(
                    &Uuid::NAMESPACE_OID,
                    format!("log:{}:{:?}:{:?}", process.0, process.1, process.2).as_bytes(),
                );
                let case = self.loose.entry(process).or_insert_with(|| {
                    let sources = Sources { log: true, ..Sources::default() };
                    Case::new(Dossier::new(Arc::new(SessionRef::nameless(id)), event.ts, sources))
                });
                if case.dossier.take(event) {
                    settle(host, event.ts, case, out);
                }
            }
            _ => {}
        }
    }

    /// Lets the rules look at a call.
    fn examine(&mut self, id: Uuid, out: &mut Vec<Event>) {
        let Some(case) = self.calls.get_mut(&id) else { return };
        settle(&self.host, case.dossier.now, case, out);
        let check = case.dossier.next_check();
        if case.check != check {
            if let Some(before) = std::mem::replace(&mut case.check, check) {
                self.checks.remove(&(before, id));
            }
            if let Some(at) = check {
                self.checks.insert((at, id));
            }
        }
    }

    /// Adds a call that is over to the history of its client.
    fn remember(&mut self, case: &Case, out: &mut Vec<Event>) {
        let dossier = &case.dossier;
        let Some(client) = dossier.call.client else { return };
        if self.clients.len() >= MAX_HISTORIES && !self.clients.contains_key(&client) {
            let oldest =
                self.clients.iter().min_by_key(|(_, (history, _))| history.now).map(|(client, _)| *client);
            oldest.and_then(|client| self.clients.remove(&client));
        }
        let (history, ledger) = self
            .clients
            .entry(client)
            .or_insert_with(|| (History::new(client, dossier.now), Ledger::default()));
        history.now = history.now.max(dossier.now);
        let end = dossier.ending.map_or(dossier.now, |end| end.at);
        if facts::control::NOTHING_SAID.read(dossier).is_seen() {
            history.bare.add(end);
        } else {
            let up_ns = dossier.up.map_or(0, |up| end.ns_since(up));
            history.end(Ended { at: end, up_ns, cause: case.ledger.primary() });
        }
        let verdicts =
            rules::HISTORY.iter().copied().flatten().filter_map(|rule| rule.conclude(history)).collect();
        let sayings = ledger.settle(verdicts, false, |code| objection(rules::HISTORY, code, history));
        out.extend(sayings.into_iter().map(|saying| of_client(&self.host, history.now, history, saying)));
    }
}

/// Compares what the rules conclude about a case with what was said, and says the difference.
fn settle(host: &str, at: Timestamp, case: &mut Case, out: &mut Vec<Event>) {
    let dossier = &case.dossier;
    let mut verdicts: Vec<Verdict> =
        rules::CALL.iter().copied().flatten().filter_map(|rule| rule.conclude(dossier)).collect();
    // Lines of a process that belong to no call: whatever they tell is the cause of what failed.
    if !dossier.sources.wire && verdicts.len() > 1 {
        verdicts.retain(|verdict| verdict.code != ledger::UNDECIDED);
    }
    // A log without packets is read because something failed.
    let failed = dossier.is_ending() || dossier.phase < Phase::Up;
    let sayings = case.ledger.settle(verdicts, failed, |code| objection(rules::CALL, code, dossier));
    out.extend(sayings.into_iter().map(|saying| of_call(host, at, dossier, saying)));
}

/// Why no rule of this code concludes any more: it is over, or it turned out wrong.
fn objection<V: fact::View>(rules: &[&[Rule<V>]], code: &str, view: &V) -> Option<(State, String)> {
    let of_code = || rules.iter().copied().flatten().filter(|rule| rule.code == code);
    let over = of_code().find_map(|rule| rule.over(view)).map(|reason| (State::Resolved, reason));
    over.or_else(|| of_code().find_map(|rule| rule.objection(view)).map(|reason| (State::Withdrawn, reason)))
}

/// The event of a saying about a call.
fn of_call(host: &str, at: Timestamp, dossier: &Dossier, saying: Saying) -> Event {
    let call = &dossier.call;
    let fits = advice::mtu(dossier, dossier.told.path_mtu.map(|(_, mtu, _)| mtu));
    let fill = [
        ("mtu", fits.mtu.to_string()),
        ("mru", fits.mru.to_string()),
        ("mss", fits.mss.to_string()),
        ("arithmetic", fits.arithmetic),
        ("client", dossier.client()),
        ("server", dossier.server()),
        ("interface", call.interface.clone().unwrap_or_else(|| "ppp0".into())),
        ("user", call.user.clone().unwrap_or_else(|| "USER".into())),
    ];
    let until =
        (dossier.over && dossier.sources.wire).then(|| dossier.ending.map_or(dossier.now, |end| end.at));
    let remedy = saying.conclusion.entry.remedies(dossier.daemon(), &fill);
    let (severity, mut finding) = payload(call.id, dossier.began, saying);
    finding.until = finding.until.or(until);
    finding.remedy = remedy;
    // What belongs to no call has none.
    let is_call = dossier.sources.wire || dossier.origin == Met::Log || call.client.is_some();
    let session = is_call.then(|| Arc::clone(call));
    Event {
        ts: at,
        body: Body::Finding { finding: Box::new(finding) },
        severity,
        host: host.to_owned(),
        session,
    }
}

/// The event of a saying about a client.
fn of_client(host: &str, at: Timestamp, history: &History, saying: Saying) -> Event {
    let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("client:{}", history.client).as_bytes());
    let fill = [("client", history.client.to_string())];
    let remedy = saying.conclusion.entry.remedies(dossier::Daemon::Unknown, &fill);
    let (severity, mut finding) = payload(id, at, saying);
    finding.client = Some(history.client);
    finding.remedy = remedy;
    let session = None;
    Event {
        ts: at,
        body: Body::Finding { finding: Box::new(finding) },
        severity,
        host: host.to_owned(),
        session,
    }
}

/// The event of a saying about the clock of a log.
fn of_log(host: &str, clock: &LogClock, saying: Saying) -> Event {
    let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("clock:{}", clock.source).as_bytes());
    let remedy = saying.conclusion.entry.remedies(dossier::Daemon::Unknown, &[]);
    let (severity, mut finding) = payload(id, clock.now, saying);
    finding.remedy = remedy;
    let body = Body::Finding { finding: Box::new(finding) };
    Event { ts: clock.now, body, severity, host: host.to_owned(), session: None }
}

fn payload(subject: Uuid, began: Timestamp, saying: Saying) -> (crate::event::Severity, Finding) {
    let Saying { state, conclusion, reason } = saying;
    let (entry, verdict) = (conclusion.entry, conclusion.verdict);
    let is_news = matches!(state, State::Raised | State::Updated);
    let severity = if is_news { entry.severity } else { crate::event::Severity::Info };
    let finding = Finding {
        id: Uuid::new_v5(&subject, entry.code.as_bytes()),
        code: entry.code.clone(),
        state,
        confidence: verdict.confidence,
        primary: conclusion.primary && is_news,
        client: None,
        since: verdict.since().unwrap_or(began),
        until: None,
        statement: verdict.statement,
        evidence: verdict.evidence,
        against: verdict.against,
        missing: verdict.missing,
        consequences: conclusion.consequences,
        remedy: Vec::new(),
        reason,
        link: entry.link(),
    };
    (severity, finding)
}
