//! The lab: a real VPN in a virtual machine.

mod debian;
mod equal;
mod faults;
mod initramfs;
mod kernel;
mod matrix;
pub(crate) mod qemu;
mod rootfs;
pub(crate) mod run;
mod shell;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use pptpscope_tests::scenario::{self, Scenario};

use crate::console::{self, Style, paint, progress};
use crate::{agent, package, paths, setup};
use kernel::Kernel;
use qemu::Accel;
use run::{Played, Progress};

/// `cargo xtask lab …`.
#[derive(Subcommand)]
pub(crate) enum Task {
    /// Play scenarios and judge what the agent says.
    Run(RunArguments),
    /// Play scenarios on several kernels and print the table.
    Matrix(matrix::MatrixArguments),
    /// Play every scenario that breaks something, and print what the agent concluded.
    Faults(faults::FaultsArguments),
    /// Show the scenarios of the project.
    List,
    /// Boot a guest with the VPN up and give its shell.
    Shell(MachineArguments),
    /// Make everything a guest needs, without booting one.
    Build {
        #[command(flatten)]
        machine: MachineArguments,
        /// Look for a newer kernel of the series.
        #[arg(long)]
        refresh: bool,
    },
}

/// What a guest is made of.
#[derive(Args, Clone)]
pub(crate) struct MachineArguments {
    /// Kernel series: 5.10, 6.1, 6.12 or 7.
    #[arg(long, default_value = "6.1", value_name = "SERIES")]
    pub(crate) kernel: String,
    /// What executes the guest: QEMU itself, or KVM where it really works.
    #[arg(long, value_enum, default_value_t = Accel::Tcg)]
    pub(crate) accel: Accel,
    /// Leave the agent out: VPN, faults and ground truth alone.
    #[arg(long)]
    pub(crate) no_agent: bool,
}

/// `cargo xtask lab run …`.
#[derive(Args)]
pub(crate) struct RunArguments {
    /// Scenario of the project; may be given several times.
    #[arg(long = "scenario", value_name = "NAME")]
    scenarios: Vec<String>,
    /// Scenario file from anywhere; may be given several times.
    #[arg(long = "scenario-file", value_name = "PATH")]
    files: Vec<PathBuf>,
    /// All scenarios of the project.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    machine: MachineArguments,
    /// Folder for what a run leaves behind; of several scenarios each gets a folder in it.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Seconds that a run may take, instead of the scenario's own.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    timeout: Option<u64>,
    /// Guests at the same time.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=16))]
    jobs: u8,
}

/// Does one of the lab's tasks; `false` when a scenario did not pass.
///
/// # Errors
/// When something that the task needs cannot be had.
pub(crate) fn task(task: Task) -> Result<bool> {
    match task {
        Task::Run(arguments) => run(&arguments),
        Task::Matrix(arguments) => matrix::matrix(&arguments),
        Task::Faults(arguments) => faults::faults(&arguments),
        Task::List => list().map(|()| true),
        Task::Shell(machine) => shell::shell(&machine),
        Task::Build { machine, refresh } => {
            if refresh {
                kernel::forget(&machine.kernel)?;
            }
            let lab = Lab::prepare(&machine)?;
            progress(&format!("ready: kernel {}", lab.kernel.release));
            Ok(true)
        }
    }
}

/// All that guests of one kernel have in common.
pub(crate) struct Lab {
    pub(crate) kernel: Kernel,
    pub(crate) initramfs: PathBuf,
    pub(crate) root: PathBuf,
    pub(crate) accel: Accel,
    /// Folder with the agent; none when it is left out.
    pub(crate) agent: Option<PathBuf>,
}

impl Lab {
    /// Makes or finds everything.
    ///
    /// # Errors
    /// When something cannot be had.
    pub(crate) fn prepare(arguments: &MachineArguments) -> Result<Self> {
        setup::lab_packages()?;
        let agent = if arguments.no_agent { None } else { Some(agent::build_for_lab(agent::Profile::Lab)?) };
        if let Some(programs) = &agent {
            // For the scenario that installs it.
            let root = paths::target().join("package/lab");
            let program = programs.join("pptpscope");
            package::make(&program, &root, &programs.join("pptpscope.deb"), "gzip")?;
        }
        let kernel = kernel::get(&arguments.kernel)?;
        let initramfs = initramfs::get(&kernel)?;
        let root = rootfs::get()?;
        let accel = qemu::choose(arguments.accel, &kernel)?;
        Ok(Self { kernel, initramfs, root, accel, agent })
    }
}

/// The scenario files of the project, in the order of their names.
///
/// # Errors
/// When the folder cannot be read.
pub(crate) fn project_scenarios() -> Result<Vec<PathBuf>> {
    let dir = paths::scenarios();
    let entries = std::fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Runs of the project's scenarios that are `wanted`, each with its usual folder, on a kernel series.
///
/// # Errors
/// When a scenario cannot be read.
pub(crate) fn project_runs(
    series: &str,
    wanted: impl Fn(&Scenario) -> bool,
) -> Result<Vec<(Scenario, PathBuf)>> {
    let mut runs = Vec::new();
    for file in project_scenarios()? {
        let scenario = scenario::load(&file)?;
        if wanted(&scenario) {
            let out = run_folder(&scenario.name, series);
            runs.push((scenario, out));
        }
    }
    Ok(runs)
}

/// Whether the scenario's name begins with one of `prefixes`; all do when there is none.
fn begins_like(scenario: &Scenario, prefixes: &[String]) -> bool {
    prefixes.is_empty() || prefixes.iter().any(|prefix| scenario.name.starts_with(prefix))
}

/// The usual folder of a run.
pub(crate) fn run_folder(name: &str, series: &str) -> PathBuf {
    paths::target().join("lab").join(format!("{name}-{series}"))
}

fn list() -> Result<()> {
    for file in project_scenarios()? {
        let scenario = scenario::load(&file)?;
        println!("{:18} {}", paint(Style::Heading, &scenario.name), scenario.about);
    }
    Ok(())
}

fn wanted(arguments: &RunArguments) -> Result<Vec<Scenario>> {
    let mut files = if arguments.all { project_scenarios()? } else { Vec::new() };
    for name in &arguments.scenarios {
        let file = paths::scenarios().join(format!("{name}.toml"));
        if !file.is_file() {
            bail!("there is no scenario {name}: `cargo xtask lab list` shows them");
        }
        files.push(file);
    }
    files.extend(arguments.files.iter().cloned());
    if files.is_empty() {
        bail!("which scenario? --scenario NAME, --scenario-file PATH or --all");
    }
    files.iter().map(|file| Ok(scenario::load(file)?)).collect()
}

fn run(arguments: &RunArguments) -> Result<bool> {
    let scenarios = wanted(arguments)?;
    let lab = Lab::prepare(&arguments.machine)?;
    let base = match &arguments.out {
        Some(dir) => std::path::absolute(dir)?,
        None => paths::target().join("lab"),
    };
    let one_out = arguments.out.is_some() && scenarios.len() == 1;
    let out = |scenario: &Scenario| match one_out {
        true => base.clone(),
        false => base.join(format!("{}-{}", scenario.name, lab.kernel.series)),
    };
    let runs: Vec<(Scenario, PathBuf)> = scenarios
        .into_iter()
        .map(|scenario| {
            let out = out(&scenario);
            (scenario, out)
        })
        .collect();
    let played = play_all(&lab, runs, arguments.timeout, arguments.jobs)?;
    Ok(played.iter().all(|played| played.passed))
}

/// Plays scenarios, `jobs` at a time, and shows how each ended. In the order in which they ended.
///
/// # Errors
/// When a guest cannot be started at all.
pub(crate) fn play_all(
    lab: &Lab,
    runs: Vec<(Scenario, PathBuf)>,
    timeout: Option<u64>,
    jobs: u8,
) -> Result<Vec<Played>> {
    let start = Instant::now();
    let count = runs.len();
    let several = count > 1;
    let queue = Mutex::new(runs.into_iter());
    let done: Mutex<Vec<Result<Played>>> = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..usize::from(jobs).min(count) {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().ok().and_then(|mut queue| queue.next());
                    let Some((scenario, out)) = next else { break };
                    let label = if several { format!("{:18} ", scenario.name) } else { String::new() };
                    let limit = Duration::from_secs(timeout.unwrap_or(scenario.timeout));
                    let played = run::play(lab, &scenario, &out, limit, &mut |what| {
                        show_progress(&label, &what);
                    });
                    if let Ok(played) = &played {
                        show(played, &out, several);
                    }
                    if let Ok(mut done) = done.lock() {
                        done.push(played);
                    }
                }
            });
        }
    });
    let done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let played = done.into_iter().collect::<Result<Vec<Played>>>()?;
    if several {
        let failed: Vec<&Played> = played.iter().filter(|played| !played.passed).collect();
        let time = console::seconds(start.elapsed());
        if failed.is_empty() {
            progress(&format!("{count} scenarios passed in {time}"));
        } else {
            progress(&format!("{} of {count} scenarios failed in {time}:", failed.len()));
            for failure in failed.iter().flat_map(|played| played.failures()) {
                println!("           {} {failure}", paint(Style::Bad, "FAIL"));
            }
        }
    }
    Ok(played)
}

fn show_progress(label: &str, what: &Progress<'_>) {
    match what {
        Progress::Booted(release) => progress(&format!("{label}booted {release}")),
        Progress::Step(text) | Progress::Say(text) => progress(&format!("{label}{text}")),
        Progress::Event(_) => {}
    }
}

/// Shows the judgement: everything for one scenario, of several only what failed.
fn show(played: &Played, out: &Path, several: bool) {
    let checks = played.checks.iter().filter(|check| !several || !check.passed);
    let lines: Vec<String> = checks
        .map(|check| {
            let (mark, style) = if check.passed { ("ok  ", Style::Good) } else { ("FAIL", Style::Bad) };
            format!("           {} {}: {}", paint(style, mark), check.name, check.detail)
        })
        .collect();
    // One write, so that two guests do not mix their lines.
    let mut text = lines.join("\n");
    if !text.is_empty() {
        text.push('\n');
    }
    print!("{text}");
    progress(&format!(
        "{} {} on {}: {} checks, boot {:.1} s, all {:.1} s; {}",
        console::outcome(played.passed),
        played.scenario,
        played.kernel_release,
        played.checks.len(),
        played.boot_seconds,
        played.wall_seconds,
        out.display()
    ));
}
