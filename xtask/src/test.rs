//! `cargo xtask test`: everything that must hold before a change goes in.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};

use crate::command::{line, output};
use crate::console::{Style, outcome, paint, progress, seconds};
use crate::lab::qemu::Accel;
use crate::lab::run::Played;
use crate::lab::{self, Lab, MachineArguments};
use crate::{agent, fuzz, package, paths, setup};

/// `cargo xtask test`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Leave out the lab.
    #[arg(long)]
    no_lab: bool,
    /// Only this step; may be given several times.
    #[arg(long, value_enum, value_name = "STEP")]
    only: Vec<Step>,
    /// Guests at the same time.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=16))]
    jobs: u8,
}

/// The steps, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Step {
    /// rustfmt has nothing to change.
    Format,
    /// clippy has nothing to say, neither for this machine nor for the BPF target.
    Clippy,
    /// Unit tests of all crates, and the native tests on this machine's kernel.
    Unit,
    /// The committed schema is the one that the program prints.
    Schema,
    /// The Debian package: its files, lintian, its unit.
    Package,
    /// Each fuzz target for a minute.
    Fuzz,
    /// All scenarios of the lab on kernel 6.1.
    Lab,
}

/// What passed and what did not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Tally {
    passed: u64,
    failed: u64,
    /// What failed, where a name helps: the end of the output says it once more.
    names: Vec<String>,
}

impl Tally {
    fn one(passed: bool) -> Self {
        Self { passed: u64::from(passed), failed: u64::from(!passed), names: Vec::new() }
    }

    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.names.extend(other.names);
    }
}

/// Runs the steps and ends with the line `N passed, N failed`; `false` when something failed.
///
/// # Errors
/// When something that a step needs cannot be had.
pub(crate) fn test(arguments: &Arguments) -> Result<bool> {
    let wanted = |step: &Step| {
        (arguments.only.is_empty() || arguments.only.contains(step))
            && !(arguments.no_lab && *step == Step::Lab)
    };
    let mut total = Tally::default();
    for step in Step::value_variants().iter().filter(|step| wanted(step)) {
        let name = format!("{step:?}").to_lowercase();
        println!("{}", paint(Style::Heading, &format!("=== {name}")));
        let start = Instant::now();
        let tally = match step {
            Step::Format => Tally::one(runs(agent::cargo()?.args(["fmt", "--all", "--check"]))?),
            Step::Clippy => clippy()?,
            Step::Unit => unit()?,
            Step::Schema => schema()?,
            Step::Package => Tally::one(package::package(&package::Arguments::quick())?),
            Step::Fuzz => Tally::one(fuzz::fuzz(&fuzz::Arguments::minute())?),
            Step::Lab => scenarios(arguments.jobs)?,
        };
        let time = seconds(start.elapsed());
        progress(&format!(
            "{} {name}: {} passed, {} failed, {time}",
            outcome(tally.failed == 0),
            tally.passed,
            tally.failed
        ));
        if tally.failed > 0 && tally.names.is_empty() {
            total.names.push(name);
        }
        total.add(tally);
    }
    for name in &total.names {
        println!("{} {name}", paint(Style::Bad, "FAILED"));
    }
    println!("{} passed, {} failed", total.passed, total.failed);
    Ok(total.failed == 0)
}

fn runs(command: &mut Command) -> Result<bool> {
    progress(&line(command));
    let status = command.stdin(Stdio::null()).status();
    Ok(status.with_context(|| format!("cannot start {}", line(command)))?.success())
}

fn clippy() -> Result<Tally> {
    let mut host = agent::cargo()?;
    host.args(["clippy", "--locked", "--all-targets", "--", "-D", "warnings"]);
    let mut bpf = agent::cargo()?;
    bpf.args(["clippy", "--locked", "--package", "pptpscope-ebpf", "--release"]);
    bpf.args(["--target", "bpfel-unknown-none", "-Z", "build-std=core", "--", "-D", "warnings"]);
    // The pinned compiler is a stable one; only building `core` for the BPF target needs more.
    bpf.env("RUSTC_BOOTSTRAP", "1");
    let mut tally = Tally::one(runs(&mut host)?);
    tally.add(Tally::one(runs(&mut bpf)?));
    Ok(tally)
}

/// `cargo test`, whose summaries are added up.
fn unit() -> Result<Tally> {
    setup::lab_packages()?;
    let mut command = agent::cargo()?;
    command.args(["test", "--locked", "--no-fail-fast"]);
    command.env("PPTPSCOPE_PROMTOOL", setup::promtool()?).env("PPTPSCOPE_CLICKHOUSE", setup::clickhouse()?);
    progress(&line(&command));
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", line(&command)))?;
    let mut tally = Tally::default();
    let stdout = child.stdout.take().context("cargo has no standard output")?;
    for text in BufReader::new(stdout).lines() {
        let text = text?;
        if let Some(summary) = summary(&text) {
            tally.add(summary);
        }
        if let Some(name) = text.strip_suffix(" ... FAILED") {
            tally.names.push(name.to_owned());
        }
        println!("{text}");
    }
    if !child.wait()?.success() && tally.failed == 0 {
        // It did not come to the tests: something does not compile, or a test killed its process.
        tally.failed = 1;
    }
    Ok(tally)
}

/// The numbers in `test result: ok. 12 passed; 0 failed; …`.
fn summary(line: &str) -> Option<Tally> {
    let rest = line.strip_prefix("test result: ")?;
    let count = |what: &str| {
        let (before, _) = rest.split_once(what)?;
        before.rsplit(' ').next()?.parse().ok()
    };
    Some(Tally { passed: count(" passed")?, failed: count(" failed")?, names: Vec::new() })
}

fn schema() -> Result<Tally> {
    let path = paths::workspace().join("docs/schema/events-1.json");
    let committed = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let program = agent::build(agent::Profile::Lab)?;
    let printed = output(Command::new(&program).arg("schema"))?;
    if printed == committed {
        return Ok(Tally::one(true));
    }
    let differs = printed.lines().zip(committed.lines()).position(|(new, old)| new != old);
    let line = differs.unwrap_or_else(|| printed.lines().count().min(committed.lines().count())) + 1;
    println!(
        "{} is not what `pptpscope schema` prints, from line {line} on. If the change is meant:\n    {} schema > {}",
        path.display(),
        program.display(),
        path.display()
    );
    Ok(Tally::one(false))
}

/// How many scenarios that failed are played once more, a tenth of all: more than this is no matter of load.
const AGAIN_AT_MOST: usize = 6;

/// All scenarios. One that fails while guests compete for the processors is played once more, alone:
/// what it tests must hold, but a slow machine may spoil the timing of a script. Both are told, and the
/// failed run stays beside the other in a folder of its own.
fn scenarios(jobs: u8) -> Result<Tally> {
    let machine = MachineArguments { kernel: "6.1".into(), accel: Accel::Tcg, no_agent: false };
    let lab = Lab::prepare(&machine)?;
    let series = machine.kernel.as_str();
    let played = lab::play_all(&lab, lab::project_runs(series, |_| true)?, None, jobs)?;
    let mut failed: Vec<Played> = played.iter().filter(|played| !played.passed).cloned().collect();
    if jobs > 1 && !failed.is_empty() && failed.len() <= AGAIN_AT_MOST {
        progress("once more, alone");
        for played in &failed {
            let kept = lab::run_folder(&format!("{}-first", played.scenario), series);
            if kept.exists() {
                fs::remove_dir_all(&kept).with_context(|| format!("cannot remove {}", kept.display()))?;
            }
            let out = lab::run_folder(&played.scenario, series);
            fs::rename(&out, &kept).with_context(|| format!("cannot rename {}", out.display()))?;
        }
        let is_one = |name: &str| failed.iter().any(|played| played.scenario == name);
        let runs = lab::project_runs(series, |scenario| is_one(&scenario.name))?;
        let again = lab::play_all(&lab, runs, None, 1)?;
        for played in again.iter().filter(|played| played.passed) {
            progress(&format!("{} failed beside another guest and passed alone", played.scenario));
        }
        failed = again.into_iter().filter(|played| !played.passed).collect();
    }
    Ok(Tally {
        passed: (played.len() - failed.len()) as u64,
        failed: failed.len() as u64,
        names: failed.iter().flat_map(Played::failures).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_summaries_of_cargo_test() {
        let line = "test result: FAILED. 47 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.08s";
        assert_eq!(summary(line), Some(Tally { passed: 47, failed: 3, names: Vec::new() }));
        assert_eq!(summary("test result: ok."), None);
        assert_eq!(summary("running 3 tests"), None);
    }
}
