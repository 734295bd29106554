//! Holds what the agent said against what really happened.

mod books;
mod compare;
mod dump;
mod expect;
mod finding;
mod logs;
#[cfg(test)]
mod tests;

use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use crate::capture;
use crate::events::{self, Event};
use crate::pppd::{self, Link};
use crate::scenario::{Compare, Scenario};
use crate::truth::{self, Truth, Window};

pub use finding::Row;

/// Capture of the server's uplink.
pub const CAPTURE: &str = "uplink.pcap";
/// What tcpdump said about it.
pub const CAPTURE_REPORT: &str = "uplink.txt";
/// The agent's standard output.
pub const EVENTS: &str = "events.jsonl";
/// The agent's exit code, as text.
pub const AGENT_EXIT: &str = "agent.exit";
/// The server's syslog.
pub const SERVER_LOG: &str = "server.log";

/// One thing that was examined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What.
    pub name: String,
    /// Whether it is as it should be.
    pub passed: bool,
    /// What was found; when it failed, what was expected instead.
    pub detail: String,
}

impl Check {
    /// A check whose result carries its detail either way.
    pub fn new(name: impl Into<String>, result: Result<String, String>) -> Self {
        let passed = result.is_ok();
        let (Ok(detail) | Err(detail)) = result;
        Self { name: name.into(), passed, detail }
    }
}

/// The judgement of a run.
#[derive(Debug)]
pub struct Verdict {
    /// All checks, in the order in which they are shown.
    pub checks: Vec<Check>,
    /// What the capture says, when it could be read.
    pub truth: Truth,
    /// What the server's pppd says.
    pub links: Vec<Link>,
    /// Each fault that has an expectation, and what the agent concluded.
    pub findings: Vec<Row>,
}

/// Examines the folder of a finished run. Without an agent only capture and logs are examined.
pub fn judge(scenario: &Scenario, dir: &Path, with_agent: bool) -> Verdict {
    let mut checks = Vec::new();
    let events = if with_agent { agent(dir, &mut checks) } else { Vec::new() };
    let truth = match read_capture(dir, window(&events)) {
        Ok(truth) => {
            let (frames, calls) = (truth.frames, truth.calls.len());
            checks.push(Check::new("capture is complete", Ok(format!("{frames} frames, {calls} calls"))));
            truth
        }
        Err(error) => {
            checks.push(Check::new("capture is complete", Err(error)));
            Truth::default()
        }
    };
    let links = pppd::links(&read_text(dir, SERVER_LOG).unwrap_or_default());
    if with_agent {
        checks.push(Check::new("ring: one record per control segment and negotiation frame, none lost", {
            compare::ring(&events, &truth)
        }));
        checks.push(Check::new("no probe was refused or disabled", probes(&events)));
        if scenario.follows_server_log() {
            let log = read_text(dir, SERVER_LOG).unwrap_or_default();
            checks.push(Check::new("log: every line of pppd and pptpd is read and known", {
                logs::recognised(&events, &log)
            }));
            checks.push(Check::new("log: every line of a call is attached to its session", {
                logs::attached(&events, &log, scenario.writes_every_line())
            }));
        }
        if scenario.healthy {
            checks
                .push(Check::new("healthy: harmful drops 0, unaccounted 0", books::healthy(&events, &truth)));
        }
        for comparison in &scenario.truth.compare {
            let (name, result) = match comparison {
                Compare::Calls => {
                    ("calls: sessions are the calls of the capture", compare::calls(&events, &truth))
                }
                Compare::Up => ("up: session.up is what pppd logged", compare::up(&events, &links)),
                Compare::Gre => {
                    ("gre: counters equal the capture, to the packet", compare::gre(&events, &truth))
                }
                Compare::Dump => {
                    let log = read_text(dir, SERVER_LOG).unwrap_or_default();
                    ("dump: pppd's debug dump is what was on the wire", dump::agrees(&events, &log))
                }
                Compare::Ring => continue,
            };
            checks.push(Check::new(name, result));
        }
        checks.extend(scenario.expect.iter().map(|check| expect::event(check, &events)));
        checks.extend(scenario.forbid.iter().map(|check| expect::no_event(check, &events)));
    }
    checks.extend(scenario.capture.iter().map(|check| expect::call(check, &truth.calls)));
    for check in &scenario.log {
        checks.push(expect::log(check, read_text(dir, &check.file)));
    }
    let mut findings = Vec::new();
    if with_agent {
        let marks = finding::marks(&read_text(dir, finding::MARKS).unwrap_or_default());
        findings.extend(scenario.finding.iter().map(|check| finding::judge(check, &events, &marks)));
        checks.extend(findings.iter().map(|row| {
            let said = format!("expected {}, got {}", row.expected, row.got);
            Check::new(format!("finding: {}", row.fault), if row.right { Ok(said) } else { Err(said) })
        }));
    }
    Verdict { checks, truth, links, findings }
}

/// Reads the events and checks the frame around them: exit code, first and last event.
fn agent(dir: &Path, checks: &mut Vec<Check>) -> Vec<Event> {
    checks.push(Check::new(
        "agent ends with exit code 0",
        match read_text(dir, AGENT_EXIT) {
            Ok(code) if code.trim() == "0" => Ok("0".to_owned()),
            Ok(code) => Err(format!("exit code {}: see agent.log", code.trim())),
            Err(error) => Err(format!("the agent's end is unknown: {error}")),
        },
    ));
    let parsed = read_text(dir, EVENTS).and_then(|text| events::parse(&text));
    let (events, result) = match parsed {
        Ok(events) => {
            let count = events.len();
            (events, Ok(format!("{count} events")))
        }
        Err(error) => (Vec::new(), Err(error)),
    };
    checks.push(Check::new("events are JSON Lines with ts, event, severity, host", result));
    checks.push(Check::new("agent.start is first, agent.stop last", frame(&events)));
    events
}

fn frame(events: &[Event]) -> Result<String, String> {
    let names: Vec<&str> = events.iter().map(|event| event.name.as_str()).collect();
    let (Some(first), Some(last)) = (names.first(), names.last()) else { return Err("no events".into()) };
    let count = |name: &str| names.iter().filter(|other| **other == name).count();
    let once = count("agent.start") == 1 && count("agent.stop") == 1;
    if once && *first == "agent.start" && *last == "agent.stop" {
        return Ok("once each".into());
    }
    let (starts, stops) = (count("agent.start"), count("agent.stop"));
    Err(format!("first {first}, last {last}, {starts} agent.start, {stops} agent.stop"))
}

/// Every probe of the path tier looks, waits for its module, or is not armed.
fn probes(events: &[Event]) -> Result<String, String> {
    let stop = events.iter().rfind(|event| event.name == "agent.stop").ok_or("there is no agent.stop")?;
    let probes = stop.body().pointer("/status/probes").and_then(Value::as_array);
    let probes = probes.filter(|probes| !probes.is_empty()).ok_or("agent.stop names no probes")?;
    let blind: Vec<String> = probes
        .iter()
        .filter(|probe| !matches!(probe["state"].as_str(), Some("attached" | "waiting" | "idle")))
        .map(ToString::to_string)
        .collect();
    if blind.is_empty() { Ok(format!("{} probes", probes.len())) } else { Err(blind.join("; ")) }
}

/// The part of the capture that the agent can have seen.
fn window(events: &[Event]) -> Window {
    let at = |name: &str| events.iter().find(|event| event.name == name).map(|event| event.at);
    Window {
        from: at("agent.start").unwrap_or(Window::ALL.from),
        to: at("agent.stop").unwrap_or(Window::ALL.to),
    }
}

fn read_capture(dir: &Path, window: Window) -> Result<Truth, String> {
    let file = std::fs::read(dir.join(CAPTURE)).map_err(|error| format!("{CAPTURE}: {error}"))?;
    let frames = capture::read(&file).map_err(|error| error.to_string())?;
    let report = read_text(dir, CAPTURE_REPORT)?;
    match dropped(&report) {
        Some(0) => Ok(truth::from_frames(&frames, window)),
        Some(count) => Err(format!("the kernel dropped {count} packets before tcpdump: raise its buffer")),
        None => {
            Err(format!("{CAPTURE_REPORT} does not say how many packets were dropped: {}", report.trim()))
        }
    }
}

/// The number in tcpdump's `3 packets dropped by kernel`.
fn dropped(report: &str) -> Option<u64> {
    let line = report.lines().find(|line| line.contains(" dropped by kernel"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn read_text(dir: &Path, name: &str) -> Result<String, String> {
    let bytes = std::fs::read(dir.join(name)).map_err(|error| format!("{name}: {error}"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A JSON number at a pointer.
fn number(value: &Value, pointer: &str) -> Option<u64> {
    value.pointer(pointer)?.as_u64()
}
