//! `cargo xtask bench analyze`: how fast captures are read, next to tshark and to just reading them.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use pptpscope_tests::generate::{self, Plan};
use pptpscope_tests::statistics::verdict;
use serde::Serialize;

use crate::console::progress;
use crate::{agent, setup};

/// `cargo xtask bench analyze`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Size of the capture, bytes.
    #[arg(long, default_value_t = 1_000_000_000)]
    bytes: u64,
    /// Calls in it.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    calls: u32,
    /// Calls that are open at once, when not all of them are: the next so many begin when these are over.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    open: Option<u32>,
    /// Times that each program reads it; the best counts.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=20))]
    runs: u8,
    /// Leave tshark out: it is slow.
    #[arg(long)]
    no_tshark: bool,
    /// Fail when the goals are missed.
    #[arg(long)]
    check: bool,
}

/// Goals of the project.
const TIMES_TSHARK: f64 = 20.0;
const BYTES_PER_SECOND: f64 = 1e9;
const OF_READING: f64 = 1.2;
const MEMORY: u64 = 64 << 20;

#[derive(Debug, Clone, Serialize)]
struct Measured {
    seconds: f64,
    cpu_seconds: f64,
    packets_per_second: f64,
    bytes_per_second: f64,
    peak_rss_bytes: u64,
}

#[derive(Debug, Serialize)]
struct Report {
    bytes: u64,
    packets: u64,
    calls: u32,
    open: u32,
    reading: Measured,
    pptpscope: Measured,
    pptpscope_json: Measured,
    tshark: Option<Measured>,
    times_tshark: Option<f64>,
}

/// Runs it; `false` when `--check` was given and a goal is missed.
pub(super) fn bench(arguments: &Arguments) -> Result<bool> {
    let program = agent::build(agent::Profile::Release)?;
    if !arguments.no_tshark {
        setup::packages(&[("tshark", "what we compare with")])?;
    }
    let dir = super::folder()?;
    let capture = dir.join("analyze.pcap");
    let (bytes, calls) = (arguments.bytes, arguments.calls);
    let open = arguments.open.unwrap_or(calls).min(calls);
    progress(&format!("making a capture of {bytes} bytes, {calls} calls, {open} of them open at once"));
    let plan = Plan { calls, open, bytes, down: 1200, up: 120, ends: true };
    let made = generate::pcap(BufWriter::with_capacity(1 << 20, File::create(&capture)?), &plan)?;

    let best = |name: &str, make: &dyn Fn() -> Command| -> Result<Measured> {
        let mut best: Option<Measured> = None;
        for _ in 0..arguments.runs {
            let run = measure(name, &mut make(), made.bytes, made.packets)?;
            if best.as_ref().is_none_or(|best| run.seconds < best.seconds) {
                best = Some(run);
            }
        }
        best.context("no run")
    };
    let analyze = |extra: &'static [&'static str]| {
        let (program, capture) = (program.clone(), capture.clone());
        move || {
            let mut command = Command::new(&program);
            command.arg("analyze").args(extra).arg(&capture);
            command
        }
    };
    let reading = best("cat", &|| {
        let mut command = Command::new("cat");
        command.arg(&capture);
        command
    })?;
    let pptpscope = best("pptpscope analyze", &analyze(&[]))?;
    let pptpscope_json = best("pptpscope analyze --json", &analyze(&["--json"]))?;
    let tshark = if arguments.no_tshark {
        None
    } else {
        // Once: it takes minutes.
        Some(measure("tshark", &mut tshark(&capture), made.bytes, made.packets)?)
    };
    let times_tshark = tshark.as_ref().map(|tshark| pptpscope.packets_per_second / tshark.packets_per_second);
    let report = Report {
        bytes: made.bytes,
        packets: made.packets,
        calls,
        open,
        reading,
        pptpscope,
        pptpscope_json,
        tshark,
        times_tshark,
    };
    fs::write(dir.join("analyze.json"), serde_json::to_string_pretty(&report)? + "\n")?;
    fs::remove_file(&capture)?;
    Ok(show(&report) || !arguments.check)
}

fn tshark(capture: &Path) -> Command {
    let mut command = Command::new("tshark");
    command.arg("-r").arg(capture).args(["-T", "fields"]);
    command.args(["-e", "gre.key.call_id", "-e", "gre.sequence_number", "-e", "ppp.protocol"]);
    command
}

/// Runs a command to its end, with its output thrown away.
fn measure(name: &str, command: &mut Command, bytes: u64, packets: u64) -> Result<Measured> {
    progress(&format!("running     {name}"));
    let start = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot start {name}"))?;
    let (mut peak_rss_bytes, mut cpu_seconds) = (0, 0.0);
    let status = loop {
        // The high-water mark only rises: the last look before the end is the peak.
        peak_rss_bytes = peak(child.id()).unwrap_or(peak_rss_bytes);
        cpu_seconds = cpu(child.id()).unwrap_or(cpu_seconds);
        if let Some(status) = child.try_wait()? {
            break status;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let seconds = start.elapsed().as_secs_f64();
    if !status.success() {
        bail!("{name} ended with {status}");
    }
    Ok(Measured {
        seconds,
        cpu_seconds,
        packets_per_second: packets as f64 / seconds,
        bytes_per_second: bytes as f64 / seconds,
        peak_rss_bytes,
    })
}

fn peak(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(PathBuf::from("/proc").join(pid.to_string()).join("status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

/// User and system time, in the kernel's hundredths of a second.
fn cpu(pid: u32) -> Option<f64> {
    let stat = fs::read_to_string(PathBuf::from("/proc").join(pid.to_string()).join("stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let ticks = |index: usize| fields.get(index)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / 100.0)
}

/// Prints the report; whether all goals are met.
fn show(report: &Report) -> bool {
    let mut lines = Vec::new();
    let mut row = |name: &str, measured: &Measured| {
        lines.push(format!(
            "{name:26} {:8.2} s  {:9.3} Mpackets/s  {:6.3} GB/s  {:7.1} MiB  {:6.2} s CPU",
            measured.seconds,
            measured.packets_per_second / 1e6,
            measured.bytes_per_second / 1e9,
            measured.peak_rss_bytes as f64 / f64::from(1 << 20),
            measured.cpu_seconds,
        ));
    };
    row("cat", &report.reading);
    row("pptpscope analyze", &report.pptpscope);
    row("pptpscope analyze --json", &report.pptpscope_json);
    if let Some(tshark) = &report.tshark {
        row("tshark -T fields", tshark);
    }
    let ours = &report.pptpscope;
    let fast =
        ours.bytes_per_second >= BYTES_PER_SECOND || ours.seconds <= report.reading.seconds * OF_READING;
    let small = ours.peak_rss_bytes <= MEMORY && report.pptpscope_json.peak_rss_bytes <= MEMORY;
    let beats = report.times_tshark.is_none_or(|times| times >= TIMES_TSHARK);
    if let Some(times) = report.times_tshark {
        lines.push(format!("{times:.1} times tshark, at least {TIMES_TSHARK}: {}", verdict(beats)));
    }
    lines.push(format!("1 GB/s or within 20 % of reading: {}", verdict(fast)));
    lines.push(format!("64 MiB at most: {}", verdict(small)));
    let mut out = std::io::stdout().lock();
    for line in lines {
        // Whoever closed the pipe does not want it.
        let _ = writeln!(out, "{line}");
    }
    fast && small && beats
}
