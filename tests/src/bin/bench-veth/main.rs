//! GRE through a veth pair: what watching it costs in throughput, by the agent and by others.
//!
//! Run by `cargo xtask bench veth`, as root. Makes a network namespace of its own. One processor
//! sends, and receives in the same breath (a veth pair has no hardware between); whoever watches may
//! run on any. Everything is measured in rounds, one after another: alone, with a program that does nothing, with the
//! agent at TC and in XDP, with tcpdump, with bpftrace, alone again. A burst is short, so that most bursts are over before
//! anything else gets the processor, and the best of many counts.
//!
//! There are two times: until the packets of a burst are in the socket at the other end, which is the pair alone, and
//! until something that does what pptpd does has handled them all, short of writing to a terminal.

mod daemon;
mod empty;
mod link;
mod watcher;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use daemon::Daemon;
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

/// How far packets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Way {
    /// Into the socket.
    Pair,
    /// Through a daemon.
    Daemon,
}

const WAYS: [Way; 2] = [Way::Pair, Way::Daemon];

impl Way {
    const fn words(self) -> &'static str {
        match self {
            Self::Pair => "through the pair",
            Self::Daemon => "and a daemon",
        }
    }
}

/// One watcher at one size.
#[derive(Debug, Serialize)]
struct Row {
    watcher: &'static str,
    way: Way,
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
    let mut daemon = Daemon::new()?;
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
        measure(arguments, &link, &mut daemon, &mut watchers, *size, &mut report)?;
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
    daemon: &mut Daemon,
    watchers: &mut Vec<Watcher>,
    size: u16,
    report: &mut Report,
) -> Result<(), Error> {
    let mut times: Vec<[Sample; 2]> = vec![Default::default(); watchers.len()];
    let mut losses = times.clone();
    let mut sender = link.sender(size)?;
    for round in 0..arguments.rounds {
        let mut alone = [f64::NAN; 2];
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
            let mut best = [f64::INFINITY; 2];
            let mut sent = 0;
            for _ in 0..BURSTS {
                let start = Instant::now();
                sender.burst(arguments.packets)?;
                let arrival = start.elapsed();
                let arrived = daemon.handle_all()?;
                let handled = start.elapsed();
                if arrived != u64::from(arguments.packets) {
                    return Err(format!("{arrived} of {} packets arrived", arguments.packets).into());
                }
                for (best, time) in best.iter_mut().zip([arrival, handled]) {
                    *best = best.min(time.as_nanos() as f64 / arrived as f64);
                }
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
            let loss = [0, 1].map(|way| (1.0 - alone[way] / best[way]) * 100.0);
            if let (Some(times), Some(losses)) = (times.get_mut(index), losses.get_mut(index)) {
                for way in [0, 1] {
                    times[way].add(best[way]);
                    losses[way].add(loss[way]);
                }
            }
            eprintln!(
                "round {:2}, {size:4} bytes, {:10} {:8.1} ns a packet, {:5.1} %; with a daemon {:8.1} ns, {:5.1} %",
                round + 1,
                watcher.name(),
                best[0],
                loss[0],
                best[1],
                loss[1]
            );
            index += 1;
        }
    }
    for (index, way) in WAYS.into_iter().enumerate() {
        let alone = times.first().map_or(f64::NAN, |times| times[index].minimum());
        for (watcher, (times, losses)) in watchers.iter().zip(times.iter().zip(&losses)) {
            report.rows.push(Row {
                watcher: watcher.name(),
                way,
                ppp_bytes: size,
                packets_per_second: 1e9 / times[index].median(),
                loss_percent: losses[index].median(),
                best_loss_percent: (1.0 - alone / times[index].minimum()) * 100.0,
            });
        }
    }
    Ok(())
}

/// Prints the report; whether all goals are met.
fn show(report: &Report) -> bool {
    let mut met = true;
    println!("{:18}{:12}{:>8}{:>14}{:>10}{:>14}", "", "", "bytes", "Mpackets/s", "loss %", "best rounds %");
    for row in &report.rows {
        println!(
            "{:18}{:12}{:8}{:14.3}{:10.2}{:14.2}",
            row.way.words(),
            row.watcher,
            row.ppp_bytes,
            row.packets_per_second / 1e6,
            row.loss_percent,
            row.best_loss_percent
        );
    }
    for row in report.rows.iter().filter(|row| row.watcher == Watcher::Agent.name()) {
        let same = |other: &&Row| (other.way, other.ppp_bytes) == (row.way, row.ppp_bytes);
        let tcpdump = report.rows.iter().filter(same).find(|other| other.watcher == Watcher::Tcpdump.name());
        let tcpdump = tcpdump.map_or(f64::NAN, |row| row.loss_percent);
        for (goal, is_met) in [
            (format!("at most {LOSS_PERCENT} % lost with the agent"), row.loss_percent <= LOSS_PERCENT),
            ("at most a tenth of tcpdump's loss".to_owned(), row.loss_percent <= tcpdump * OF_TCPDUMP),
        ] {
            println!("{} bytes {}: {goal}: {}", row.ppp_bytes, row.way.words(), verdict(is_met));
            met &= is_met;
        }
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
