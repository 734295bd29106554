//! `cargo xtask bench kernel`: what a packet costs in each kernel program.
//!
//! The measuring is done by `tests/benches/kernel`, which loads the programs as the agent does.

use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Deserialize;

use crate::agent;
use crate::command::{as_root, line};
use crate::console::progress;

/// `cargo xtask bench kernel`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Repetitions of each class of packets; the fastest one counts.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,
    /// Only programs whose name contains this.
    #[arg(long, default_value = "")]
    program: String,
    /// Fail when the goals are missed.
    #[arg(long)]
    check: bool,
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

/// Builds and runs it; `false` when `--check` was given and a goal is missed.
pub(super) fn bench(arguments: &Arguments) -> Result<bool> {
    let program = build()?;
    let out = super::folder()?.join("kernel.json").display().to_string();
    let runs = arguments.runs.to_string();
    let mut words = vec!["--runs", &runs, "--out", &out];
    if !arguments.program.is_empty() {
        words.extend(["--program", &arguments.program]);
    }
    if arguments.check {
        words.push("--check");
    }
    let mut command = as_root("handing packets to kernel programs", &program, &words)?;
    progress(&line(&command));
    let status = command.status().with_context(|| format!("cannot start {program}"))?;
    match status.code() {
        Some(0) => Ok(true),
        Some(1) => Ok(false),
        _ => bail!("{program} ended with {status}"),
    }
}

/// In the profile of the tests, which have built most of it: it only makes system calls, and the
/// kernel programs are built alike in every profile.
fn build() -> Result<String> {
    let mut cargo = agent::cargo()?;
    cargo.args(["build", "--locked", "--package", "pptpscope-tests", "--bench", "kernel"]);
    cargo.arg("--message-format=json-render-diagnostics");
    progress("building the benchmark");
    let output = Command::output(cargo.stderr(std::process::Stdio::inherit()))
        .with_context(|| format!("cannot start {}", line(&cargo)))?;
    if !output.status.success() {
        bail!("the benchmark does not build");
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let built =
        text.lines().filter_map(|line| serde_json::from_str::<Message>(line).ok()).find_map(|message| {
            message.executable.filter(|_| message.target.is_some_and(|target| target.name == "kernel"))
        });
    built.context("cargo names no benchmark that it has built")
}
