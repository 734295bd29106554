//! `cargo xtask bench logs`: how many lines of logs are understood in a second, next to grep.
//!
//! The measuring is done by `tests/benches/logs`.

use std::process::Command;

use anyhow::Result;
use clap::Args;

use super::{harness, measured};
use crate::agent;

/// `cargo xtask bench logs`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Lines of each log.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1000..=100_000_000))]
    lines: u64,
    /// Times that each is read; the best counts.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=20))]
    runs: u32,
    /// Fail when the goal is missed.
    #[arg(long)]
    check: bool,
}

/// Builds and runs it; `false` when `--check` was given and the goal is missed.
pub(super) fn bench(arguments: &Arguments) -> Result<bool> {
    let agent = agent::build(agent::Profile::Release)?;
    let program = harness("logs", &["--release"])?;
    let mut command = Command::new(&program);
    command.arg("--program").arg(agent).arg("--folder").arg(super::folder()?);
    command.args(["--lines", &arguments.lines.to_string(), "--runs", &arguments.runs.to_string()]);
    if arguments.check {
        command.arg("--check");
    }
    measured(&mut command)
}
