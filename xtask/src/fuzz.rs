//! `cargo xtask fuzz`: a while of libFuzzer on each target of `fuzz/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use clap::Args;
use pptpscope_tests::generate::{self, Plan};

use crate::command::{exists, run, run_quietly};
use crate::console::progress;
use crate::{agent, paths};

/// The release of cargo-fuzz that is known to work with the pinned compiler.
const CARGO_FUZZ: &str = "cargo-fuzz@0.13.2";

/// What is fuzzed: the names of `fuzz/fuzz_targets`.
const TARGETS: [&str; 7] = ["ppp", "packet", "stream", "radius", "capture", "recording", "log"];

/// `cargo xtask fuzz`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Seconds for each target.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    seconds: u32,
    /// Only this target; may be given several times.
    #[arg(long, value_name = "TARGET", value_parser = TARGETS)]
    only: Vec<String>,
}

impl Arguments {
    /// Every target for a minute.
    pub(crate) const fn minute() -> Self {
        Self { seconds: 60, only: Vec::new() }
    }
}

/// Fuzzes every target, as many at a time as there are processors; `false` when one fails. The input that made it
/// fail is kept.
///
/// # Errors
/// When cargo-fuzz cannot be installed, or the targets cannot be built.
pub(crate) fn fuzz(arguments: &Arguments) -> Result<bool> {
    let path = tool()?;
    progress("building    fuzz targets");
    run(command(&path)?.arg("build"))?;
    let wanted =
        |target: &&&str| arguments.only.is_empty() || arguments.only.iter().any(|only| only == **target);
    let queue = Mutex::new(TARGETS.iter().filter(wanted));
    let sound = AtomicBool::new(true);
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..processors {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().ok().and_then(|mut queue| queue.next());
                    let Some(target) = next else { break };
                    if let Err(error) = fuzz_one(&path, target, arguments.seconds) {
                        crate::console::error(&format!("{error:#}"));
                        sound.store(false, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    Ok(sound.into_inner())
}

fn fuzz_one(path: &Path, target: &str, seconds: u32) -> Result<()> {
    let corpus = paths::target().join("fuzz-corpus").join(target);
    fs::create_dir_all(&corpus)?;
    progress(&format!("fuzzing     {target} for {seconds} s"));
    if target == "capture" {
        seed(&corpus)?;
    }
    let mut cargo = command(path)?;
    cargo.args(["run", target]).arg(&corpus);
    let own = paths::workspace().join("fuzz/corpus").join(target);
    if own.is_dir() {
        cargo.arg(own);
    }
    cargo.args(["--", "-rss_limit_mb=1024", "-timeout=10", "-verbosity=0"]);
    cargo.arg(format!("-max_total_time={seconds}"));
    run(&mut cargo)
}

/// `cargo fuzz` in its folder.
fn command(path: &Path) -> Result<Command> {
    let mut cargo = agent::cargo()?;
    let path = prepend(path, &cargo)?;
    // The sanitizer is not stable; the pinned compiler knows it when asked like this.
    cargo.env("RUSTC_BOOTSTRAP", "1").env("PATH", path);
    cargo.current_dir(paths::workspace().join("fuzz"));
    cargo.arg("fuzz");
    Ok(cargo)
}

/// Small captures to begin with: libFuzzer would need long to find the first packet.
fn seed(corpus: &Path) -> Result<()> {
    for (calls, ends) in [(1, true), (2, false)] {
        let file = fs::File::create(corpus.join(format!("generated-{calls}.pcap")))?;
        generate::pcap(file, &Plan { calls, open: calls, bytes: 0, down: 40, up: 20, ends })?;
    }
    Ok(())
}

fn prepend(first: &Path, command: &Command) -> Result<std::ffi::OsString> {
    let set = command.get_envs().find(|(name, _)| *name == "PATH").and_then(|(_, value)| value);
    let old = set.map(ToOwned::to_owned).or_else(|| std::env::var_os("PATH")).unwrap_or_default();
    Ok(std::env::join_paths(std::iter::once(first.to_owned()).chain(std::env::split_paths(&old)))?)
}

/// The folder of cargo-fuzz, installed when it is missing.
fn tool() -> Result<PathBuf> {
    let root = paths::cache()?.join("tools").join(CARGO_FUZZ);
    if !root.join("bin/cargo-fuzz").is_file() && !exists("cargo-fuzz") {
        progress(&format!("installing  {CARGO_FUZZ}"));
        let mut install = Command::new("cargo");
        install.args(["install", CARGO_FUZZ, "--locked", "--quiet", "--root"]).arg(&root);
        run_quietly(&mut install).context("cargo-fuzz is needed to fuzz")?;
    }
    Ok(root.join("bin"))
}
