//! GRE through a veth pair: what watching it costs in throughput, by the agent and by others.
//!
//! Run by `cargo xtask bench veth`, as root. Makes a network namespace of its own. One processor
//! sends, and receives in the same breath (a veth pair has no hardware between); whoever watches may
//! run on any. Everything is measured in rounds, one after another: alone, with a program that does nothing, with the
//! agent at TC and in XDP, with tcpdump, with bpftrace, alone again. A burst is short, so that most bursts are over before
//! anything else gets the processor, and the best of many counts.

mod empty;
mod link;
mod watcher;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use link::Link;
use pptpscope_tests::statistics::{Sample, ended, verdict};
use serde::Serialize;
use watcher::{Saw, Watcher};

type Error = Box<dyn std::error::Error>;

/// Goals of the project: loss of throughput, and the part of it that tcpdump costs; start, seconds.
const LOSS_PERCENT: f64 = 2.0;
const OF_TCPDUMP: f64 = 0.1;
const START_SECONDS: f64 = 1.0;

/// Bursts of one measurement; the fastest counts.
const BURSTS: u32 = 300;

/// Measures what watching a veth pair costs.
#[derive(Parser)]
struct Arguments {
    /// The agent.
    #[arg(long)]
    agent: PathBuf,
    /// Rounds.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Packets of a burst.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(100..=50_000))]
    packets: u32,
    /// Bytes of PPP in each packet; may be given several times.
    #[arg(long, default_values_t = [1400, 100], value_parser = clap::value_parser!(u16).range(8..=1460))]
    size: Vec<u16>,
    /// Without bpftrace.
    #[arg(long)]
    no_bpftrace: bool,
    /// Where the figures go, as JSON.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Fail when a goal is missed.
    #[arg(long)]
    check: bool,
}

/// One watcher at one size.
#[derive(Debug, Serialize)]
struct Row {
    watcher: &'static str,
    ppp_bytes: u16,
    /// Of the rounds, the one in the middle.
    packets_per_second: f64,
    /// Against the round's measurement alone, the one in the middle; percent.
    loss_percent: f64,
    /// The same between the best rounds of both.
    best_loss_percent: f64,
}

#[derive(Debug, Serialize)]
struct Report {
    rows: Vec<Row>,
    /// From the start of the agent's process to its `agent.start`, in seconds.
    start_seconds: Vec<f64>,
    left_out: Vec<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    ended(run(&arguments), arguments.check)
}

fn run(arguments: &Arguments) -> Result<bool, Error> {
    let link = Link::new()?;
    let mut report = Report { rows: Vec::new(), start_seconds: Vec::new(), left_out: Vec::new() };
    let mut watchers = vec![
        Watcher::Nobody,
        Watcher::Empty,
        Watcher::Agent,
        Watcher::AgentXdp,
        Watcher::Tcpdump,
        Watcher::Bpftrace,
    ];
    if arguments.no_bpftrace {
        watchers.retain(|watcher| *watcher != Watcher::Bpftrace);
    }
    for size in &arguments.size {
        measure(arguments, &link, &mut watchers, *size, &mut report)?;
    }
    let met = show(&report);
    if let Some(out) = &arguments.out {
        fs::write(out, serde_json::to_string_pretty(&report)? + "\n")?;
    }
    Ok(met)
}

/// All rounds at one size.
fn measure(
    arguments: &Arguments,
    link: &Link,
    watchers: &mut Vec<Watcher>,
    size: u16,
    report: &mut Report,
) -> Result<(), Error> {
    let mut times: Vec<Sample> = vec![Sample::default(); watchers.len()];
    let mut losses = times.clone();
    let mut sender = link.sender(size)?;
    for round in 0..arguments.rounds {
        let mut alone = f64::NAN;
        let mut index = 0;
        while let Some(watcher) = watchers.get(index).copied() {
            let running = match watcher.start(&arguments.agent, link::WATCHED) {
                Ok(running) => running,
                Err(error) if matches!(watcher, Watcher::Bpftrace | Watcher::Empty) => {
                    // Old releases and new kernels do not always go together; old kernels have no TCX.
                    let left_out = format!("{} is left out, it does not run here: {error}", watcher.name());
                    eprintln!("{left_out}");
                    report.left_out.push(left_out);
                    watchers.remove(index);
                    continue;
                }
                Err(error) => return Err(format!("{}: {error}", watcher.name()).into()),
            };
            if let Some(seconds) = running.start_seconds {
                report.start_seconds.push(seconds);
            }
            let mut best = f64::INFINITY;
            let mut sent = 0;
            for _ in 0..BURSTS {
                let start = Instant::now();
                sender.burst(arguments.packets)?;
                let time = start.elapsed();
                let arrived = link.drain()?;
                if arrived != u64::from(arguments.packets) {
                    return Err(format!("{arrived} of {} packets arrived", arguments.packets).into());
                }
                best = best.min(time.as_nanos() as f64 / arrived as f64);
                sent += arrived;
            }
            // Who does not look costs nothing.
            match running.stop()? {
                Saw::Packets(packets) if packets < sent / 10 * 9 => {
                    return Err(format!("{} saw {packets} of {sent} packets", watcher.name()).into());
                }
                Saw::Flows(flows) if flows != u64::from(link::CALLS) => {
                    return Err(format!("{} saw {flows} of {} calls", watcher.name(), link::CALLS).into());
                }
                _ => {}
            }
            if watcher == Watcher::Nobody {
                alone = best;
            }
            let loss = (1.0 - alone / best) * 100.0;
            if let (Some(times), Some(losses)) = (times.get_mut(index), losses.get_mut(index)) {
                times.add(best);
                losses.add(loss);
            }
            eprintln!(
                "round {:2}, {size:4} bytes, {:10} {best:8.1} ns a packet, {loss:5.1} %",
                round + 1,
                watcher.name()
            );
            index += 1;
        }
    }
    let alone = times.first().map_or(f64::NAN, Sample::minimum);
    for (watcher, (times, losses)) in watchers.iter().zip(times.iter().zip(&losses)) {
        report.rows.push(Row {
            watcher: watcher.name(),
            ppp_bytes: size,
            packets_per_second: 1e9 / times.median(),
            loss_percent: losses.median(),
            best_loss_percent: (1.0 - alone / times.minimum()) * 100.0,
        });
    }
    Ok(())
}

/// Prints the report; whether all goals are met.
fn show(report: &Report) -> bool {
    let mut met = true;
    println!("{:12}{:>8}{:>14}{:>10}{:>14}", "", "bytes", "Mpackets/s", "loss %", "best rounds %");
    for row in &report.rows {
        println!(
            "{:12}{:8}{:14.3}{:10.2}{:14.2}",
            row.watcher,
            row.ppp_bytes,
            row.packets_per_second / 1e6,
            row.loss_percent,
            row.best_loss_percent
        );
    }
    let of = |name: &str, bytes: u16| {
        report
            .rows
            .iter()
            .find(|row| row.watcher == name && row.ppp_bytes == bytes)
            .map(|row| row.loss_percent)
    };
    for row in report.rows.iter().filter(|row| row.watcher == Watcher::Agent.name()) {
        let little = row.loss_percent <= LOSS_PERCENT;
        println!(
            "{} bytes: at most {LOSS_PERCENT} % lost with the agent: {}",
            row.ppp_bytes,
            verdict(little)
        );
        let tcpdump = of(Watcher::Tcpdump.name(), row.ppp_bytes).unwrap_or(f64::NAN);
        let less = row.loss_percent <= tcpdump * OF_TCPDUMP;
        println!("{} bytes: at most a tenth of tcpdump's loss: {}", row.ppp_bytes, verdict(less));
        met &= little && less;
    }
    let start: Sample = report.start_seconds.iter().copied().collect();
    let quick = start.median() <= START_SECONDS;
    println!(
        "from the agent's start to everything attached: {:.2} s (best {:.2}), at most {START_SECONDS} s: {}",
        start.median(),
        start.minimum(),
        verdict(quick)
    );
    for left_out in &report.left_out {
        println!("{left_out}");
    }
    met && quick
}
