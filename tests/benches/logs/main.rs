//! How many lines of logs are understood in a second, next to grep with the same texts.
//!
//! Run by `cargo xtask bench logs`. One thread does all of it; what it gives must be right, or there are no
//! figures.

mod corpus;

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use clap::Parser;
use corpus::{Corpus, Envelope, literals, mixed};
use pptpscope::logs::reader::{Reader, Settings};
use pptpscope::time::Timestamp;
use pptpscope_tests::statistics::{Sample, ended, verdict};
use serde::Serialize;

type Error = Box<dyn std::error::Error>;

/// Goal of the project, for the logs of syslog.
const LINES_PER_SECOND: f64 = 1e6;

/// Measures how fast logs are read.
#[derive(Parser)]
struct Arguments {
    /// Lines of each log.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1000..=100_000_000))]
    lines: u64,
    /// Times that each is read; the best counts.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=20))]
    runs: u32,
    /// The agent, to be measured as a whole.
    #[arg(long)]
    program: PathBuf,
    /// Folder for the logs, which are removed afterwards, and for the figures.
    #[arg(long)]
    folder: PathBuf,
    /// Fail when the goal is missed.
    #[arg(long)]
    check: bool,
    /// What `cargo bench` adds.
    #[arg(long, hide = true)]
    bench: bool,
}

/// One log. Rates are lines per second; the reader's is that of one thread.
#[derive(Debug, Serialize)]
struct Row {
    log: &'static str,
    lines: u64,
    bytes: usize,
    reader: f64,
    analyze: f64,
    grep: f64,
    grep_matches: u64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    ended(run(&arguments), arguments.check)
}

fn run(arguments: &Arguments) -> Result<bool, Error> {
    let texts = arguments.folder.join("literals.txt");
    let literals = literals();
    fs::write(&texts, literals.join("\n") + "\n")?;
    println!("of ten lines four are of pppd's debug dump, three other messages, three of nobody");
    println!(
        "{:10}{:>12}{:>12}{:>14}{:>14}{:>14}",
        "", "lines", "bytes", "reader /s", "analyze /s", "grep -F /s"
    );
    let logs: [(&str, &[Envelope]); 2] = [
        ("syslog", &[Envelope::Rfc3164, Envelope::Rsyslog, Envelope::Rfc5424]),
        ("journal", &[Envelope::Journal]),
    ];
    let mut rows = Vec::new();
    for (name, envelopes) in logs {
        let row = measure(arguments, name, &mixed(arguments.lines, envelopes), &texts)?;
        println!(
            "{:10}{:12}{:12}{:14.0}{:14.0}{:14.0}",
            row.log, row.lines, row.bytes, row.reader, row.analyze, row.grep
        );
        rows.push(row);
    }
    fs::remove_file(&texts)?;
    fs::write(arguments.folder.join("logs.json"), serde_json::to_string_pretty(&rows)? + "\n")?;
    let met = rows.iter().any(|row| row.log == "syslog" && row.reader >= LINES_PER_SECOND);
    println!(
        "{} texts for grep; a million lines of syslog per second and core: {}",
        literals.len(),
        verdict(met)
    );
    Ok(met)
}

fn measure(arguments: &Arguments, log: &'static str, corpus: &Corpus, texts: &Path) -> Result<Row, Error> {
    let file = arguments.folder.join(format!("bench-{log}.log"));
    fs::write(&file, &corpus.text)?;
    let (mut reader, mut analyze, mut grep) = (Sample::default(), Sample::default(), Sample::default());
    let mut grep_matches = 0;
    for _ in 0..arguments.runs {
        reader.add(read(corpus, &file)?);
        let mut command = Command::new(&arguments.program);
        command.args(["analyze", "--json", "--all-log-lines"]).arg(&file).stdout(Stdio::null());
        analyze.add(time(&mut command)?.0);
        let mut command = Command::new("grep");
        // Bytes, as the reader of the lines takes them: grep is several times slower in other locales.
        command.env("LC_ALL", "C").args(["-c", "-F", "-f"]).arg(texts).arg(&file).stdout(Stdio::piped());
        let (seconds, said) = time(&mut command)?;
        grep.add(seconds);
        grep_matches = said.trim().parse()?;
    }
    fs::remove_file(&file)?;
    // A few texts have quotation marks, which stand otherwise in a journal.
    if grep_matches < corpus.ours / 20 * 19 {
        return Err(format!("grep finds {grep_matches} lines of {}", corpus.ours).into());
    }
    let lines = corpus.lines as f64;
    Ok(Row {
        log,
        lines: corpus.lines,
        bytes: corpus.text.len(),
        reader: lines / reader.minimum(),
        analyze: lines / analyze.minimum(),
        grep: lines / grep.minimum(),
        grep_matches,
    })
}

/// Reads every line of the file; the seconds that it took.
fn read(corpus: &Corpus, file: &Path) -> Result<f64, Error> {
    let settings = Settings {
        source: "bench".into(),
        zone: jiff::tz::TimeZone::UTC,
        zone_given: true,
        reference: Timestamp::from_unix_ns(1_795_800_000_000_000_000),
        boot: None,
    };
    let mut reader = Reader::new(settings);
    let mut observed = 0u64;
    let start = Instant::now();
    let mut lines = BufReader::with_capacity(1 << 16, File::open(file)?);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line)? > 0 {
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        observed += u64::from(std::hint::black_box(reader.line(text)).is_some());
        line.clear();
    }
    let seconds = start.elapsed().as_secs_f64();
    let counts = reader.counts();
    if (counts.lines, counts.recognised, observed) != (corpus.lines, corpus.ours, corpus.ours) {
        return Err(format!("{} lines of {} recognised: {counts:?}", counts.recognised, corpus.ours).into());
    }
    Ok(seconds)
}

/// Runs a command; its seconds and what it said.
fn time(command: &mut Command) -> Result<(f64, String), Error> {
    let start = Instant::now();
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).spawn()?.wait_with_output()?;
    let seconds = start.elapsed().as_secs_f64();
    if !output.status.success() {
        return Err(format!("{command:?} ended with {}", output.status).into());
    }
    Ok((seconds, String::from_utf8_lossy(&output.stdout).into_owned()))
}
