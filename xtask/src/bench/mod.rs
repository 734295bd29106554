//! `cargo xtask bench`: what the agent costs, next to a peer in the same run.
//!
//! The method, and figures: `docs/overhead.md`.

mod analyze;
mod busy;
mod kernel;
mod logs;
mod veth;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::Subcommand;
use serde::Deserialize;

use crate::command::line;
use crate::console::progress;
use crate::{agent, paths};

/// `cargo xtask bench`.
#[derive(Subcommand)]
pub(crate) enum Task {
    /// Read a generated capture with `pptpscope analyze` and with tshark.
    Analyze(analyze::Arguments),
    /// Let the agent watch a thousand calls, and fifty new ones each second. Needs root.
    Busy(busy::Arguments),
    /// Hand packets to each kernel program, next to one that does nothing. Needs root.
    Kernel(kernel::Arguments),
    /// Read generated logs, next to grep with the same texts.
    Logs(logs::Arguments),
    /// Send GRE through a veth pair: alone, with the agent, with tcpdump, with bpftrace. Needs root.
    Veth(veth::Arguments),
}

/// Runs a benchmark; `false` when `--check` was given and a goal is missed.
///
/// # Errors
/// When something cannot be built, installed or started.
pub(crate) fn bench(task: &Task) -> Result<bool> {
    match task {
        Task::Analyze(arguments) => analyze::bench(arguments),
        Task::Busy(arguments) => busy::bench(arguments),
        Task::Kernel(arguments) => kernel::bench(arguments),
        Task::Logs(arguments) => logs::bench(arguments),
        Task::Veth(arguments) => veth::bench(arguments),
    }
}

/// Where captures and figures go.
fn folder() -> Result<PathBuf> {
    let dir = paths::target().join("bench");
    fs::create_dir_all(&dir)?;
    Ok(dir)
}

/// Runs a program that measures; `false` when it says that a goal is missed.
fn measured(command: &mut Command) -> Result<bool> {
    let line = line(command);
    progress(&line);
    let status = command.status().with_context(|| format!("cannot start {line}"))?;
    match status.code() {
        Some(0) => Ok(true),
        Some(1) => Ok(false),
        _ => bail!("{line} ended with {status}"),
    }
}

/// A line of `cargo build --message-format=json`.
#[derive(Deserialize)]
struct Message {
    executable: Option<String>,
    target: Option<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

/// Builds a benchmark of `tests/benches`, and returns the path of its program.
fn harness(name: &str, extra: &[&str]) -> Result<String> {
    let mut cargo = agent::cargo()?;
    cargo.args(["build", "--locked", "--package", "pptpscope-tests", "--bench", name]).args(extra);
    cargo.arg("--message-format=json-render-diagnostics");
    progress("building the benchmark");
    let output = Command::output(cargo.stderr(Stdio::inherit()))
        .with_context(|| format!("cannot start {}", line(&cargo)))?;
    if !output.status.success() {
        bail!("the benchmark does not build");
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let built =
        text.lines().filter_map(|line| serde_json::from_str::<Message>(line).ok()).find_map(|message| {
            message.executable.filter(|_| message.target.is_some_and(|target| target.name == name))
        });
    built.context("cargo names no benchmark that it has built")
}
