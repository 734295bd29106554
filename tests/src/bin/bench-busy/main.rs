//! A busy day in minutes: calls come and go at a steady rate while a thousand are up and carry data. The agent
//! must see each of them whole, lose nothing and stay small.
//!
//! Run by `cargo xtask bench busy`, as root. Makes a network namespace of its own with a veth pair: what clients
//! send comes in at the watched end, what the server sends goes out there. The packets are made by
//! [`pptpscope_tests::generate`]; nobody answers them. The daemons' lines are written into a file that the agent follows.

mod agent;
mod daemons;
mod traffic;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use agent::Agent;
use clap::Parser;
use daemons::Daemons;
use pptpscope_tests::statistics::{ended, verdict};
use serde::Serialize;
use traffic::Traffic;

type Error = Box<dyn std::error::Error>;

/// Goals of the project.
const RESIDENT_MIB: f64 = 48.0;
const EVENTS_PER_SECOND: f64 = 5000.0;
/// How much more the last quarter may take than the second one, percent: flat. What is remembered of calls that
/// are over fills up in the first one.
const GROWTH_PERCENT: f64 = 3.0;

/// Lets the agent watch a busy host.
#[derive(Parser)]
struct Arguments {
    /// The agent.
    #[arg(long)]
    agent: PathBuf,
    /// Seconds that it lasts once all calls are up.
    #[arg(long, default_value_t = 240, value_parser = clap::value_parser!(u32).range(8..=86_400))]
    seconds: u32,
    /// Calls that are up.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=4000))]
    up: u32,
    /// Calls that are set up, and that end, each second.
    #[arg(long, default_value_t = 55, value_parser = clap::value_parser!(u32).range(1..=1000))]
    setups: u32,
    /// Seconds between statistics of each call: they make most of the events.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=3600))]
    stats_interval: u32,
    /// Without what the daemons write.
    #[arg(long)]
    no_logs: bool,
    /// Where the figures go, as JSON.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Fail when a goal is missed.
    #[arg(long)]
    check: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    calls: u64,
    packets: u64,
    lines: u64,
    events_per_second: f64,
    /// Resident memory: at most, and on the average of the second and of the last quarter.
    resident_mib: [f64; 3],
    /// Of the agent, of one processor, percent.
    processor_percent: f64,
    /// What is wrong with what it saw.
    problems: Vec<String>,
}

/// The file that the daemons write.
struct Log(PathBuf);

impl Log {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("pptpscope-bench-busy-{}.log", std::process::id())))
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    ended(run(&arguments), arguments.check)
}

fn run(arguments: &Arguments) -> Result<bool, Error> {
    let log = (!arguments.no_logs).then(Log::new);
    let log = log.as_ref().map(|log| log.0.as_path());
    let daemons = log.map(Daemons::new).transpose()?;
    let mut traffic = Traffic::new(arguments.up, arguments.setups, daemons)?;
    let clients = traffic.clients();
    let mut agent = Agent::start(&arguments.agent, traffic::WATCHED, log, arguments.stats_interval, clients)?;
    let filling = f64::from(arguments.up) / f64::from(arguments.setups);
    println!(
        "{} calls in {filling:.0} s, then {} s with {} a second",
        arguments.up, arguments.seconds, arguments.setups
    );
    traffic.last(Duration::from_secs_f64(filling), &mut |_| Ok(()))?;
    agent.begin_measuring()?;
    let whole = Duration::from_secs(u64::from(arguments.seconds));
    traffic.last(whole, &mut |elapsed| agent.look(elapsed, whole))?;
    let measured = agent.measured()?;
    let sent = traffic.end()?;
    let saw = agent.stop()?;

    let [_, second, last] = measured.resident_mib;
    let growth = (last / second - 1.0) * 100.0;
    let mut problems = saw.differences(&sent);
    problems.extend(saw.losses);
    let report = Report {
        calls: sent.calls,
        packets: sent.packets,
        lines: sent.lines,
        events_per_second: measured.events_per_second,
        resident_mib: measured.resident_mib,
        processor_percent: measured.processor_percent,
        problems,
    };
    println!(
        "{} calls, {} packets, {} lines, {:.0} events a second, {:.1} % of one processor",
        report.calls, report.packets, report.lines, report.events_per_second, report.processor_percent
    );
    for problem in &report.problems {
        println!("  {problem}");
    }
    let goals = [
        (
            format!("{:.0} events a second, at least {EVENTS_PER_SECOND:.0}", report.events_per_second),
            report.events_per_second >= EVENTS_PER_SECOND,
        ),
        (
            format!("{:.1} MiB resident, at most {RESIDENT_MIB:.0}", report.resident_mib[0]),
            report.resident_mib[0] <= RESIDENT_MIB,
        ),
        (
            format!("{growth:+.1} % in the last quarter, at most {GROWTH_PERCENT:.0}"),
            growth <= GROWTH_PERCENT,
        ),
        ("every call seen whole, nothing lost".to_owned(), report.problems.is_empty()),
    ];
    for (goal, is_met) in &goals {
        println!("{goal}: {}", verdict(*is_met));
    }
    if let Some(out) = &arguments.out {
        fs::write(out, serde_json::to_string_pretty(&report)? + "\n")?;
    }
    Ok(goals.iter().all(|(_, is_met)| *is_met))
}
