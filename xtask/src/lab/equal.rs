//! Capture and log of a run, read by the same agent: they must tell what the live agent told.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use pptpscope_tests::judge::{CAPTURE, Check, EVENTS, SERVER_LOG};
use pptpscope_tests::scenario::Scenario;
use pptpscope_tests::{equality, events};

/// Feeds capture and log of the run in `out` to `analyze` and compares the events field by field, but for what
/// `docs/analyze.md` lists.
///
/// # Errors
/// When the agent in folder `programs` cannot be started.
pub(super) fn check(programs: &Path, scenario: &Scenario, out: &Path) -> Result<Check> {
    let name = "analyze: capture and log tell what the live agent told";
    let live = std::fs::read_to_string(out.join(EVENTS)).map_err(|error| error.to_string());
    let live = match live.and_then(|text| events::parse(&text)) {
        Ok(live) => live,
        Err(error) => return Ok(Check::new(name, Err(error))),
    };
    if let Some(loss) = live.iter().find(|event| event.name == "agent.loss") {
        let why = format!("not compared: the agent itself reports a loss ({})", loss.body());
        return Ok(Check::new(name, Ok(why)));
    }
    if let Some(abuse) = live.iter().find(|event| event.body()["limited"].as_u64().unwrap_or(0) > 0) {
        let why = format!("not compared: the limit of an address held packets back ({})", abuse.body());
        return Ok(Check::new(name, Ok(why)));
    }
    // Sent packets are counted on their way into the queue of the interface, and captured behind it.
    if let Some(full) = live.iter().find(|event| event.body()["reason"] == "queue_full") {
        let why = format!("not compared: the queue of an interface was full ({})", full.body());
        return Ok(Check::new(name, Ok(why)));
    }
    if scenario.finding.iter().any(|check| check.expect == "host.clock_unsynchronised") {
        let why = "not compared: lines of another clock stand elsewhere".to_owned();
        return Ok(Check::new(name, Ok(why)));
    }
    let mut analyze = Command::new(programs.join("pptpscope"));
    analyze.args(["analyze", "--json"]).arg(out.join(CAPTURE));
    let with_log = scenario.follows_server_log();
    // Of an empty file nobody can tell what it is.
    let log = out.join(SERVER_LOG);
    if with_log && std::fs::metadata(&log).is_ok_and(|log| log.len() > 0) {
        analyze.arg(log);
        // Others that the agent of some scenarios follows.
        let others = ["kernel.log", "radius.log"].into_iter().filter(|name| scenario.follows(name));
        analyze.args(others.map(|name| out.join(name)).filter(|log| log.exists()));
    }
    if scenario.writes_every_line() {
        analyze.arg("--all-log-lines");
    }
    for (option, event) in [("--from", live.first()), ("--until", live.last())] {
        if let Some(at) = event.and_then(|event| event.value["ts"].as_str()) {
            analyze.args([option, at]);
        }
    }
    let interval = live.first().and_then(|start| start.body()["stats_interval_ns"].as_u64());
    if let Some(interval) = interval {
        analyze.arg("--stats-interval").arg((interval / 1_000_000_000).max(1).to_string());
    }
    let output = analyze.output().with_context(|| format!("cannot start {analyze:?}"))?;
    let read = if output.status.success() {
        events::parse(&String::from_utf8_lossy(&output.stdout))
    } else {
        Err(format!(
            "analyze ends with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        ))
    };
    Ok(Check::new(name, read.and_then(|capture| equality::compare(&live, &capture, with_log))))
}
