//! `cargo xtask bench kernel`: what a packet costs in each kernel program.
//!
//! The measuring is done by `tests/benches/kernel`, which loads the programs as the agent does.

use anyhow::Result;
use clap::Args;

use super::{harness, measured};
use crate::command::as_root;

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

/// Builds and runs it; `false` when `--check` was given and a goal is missed.
pub(super) fn bench(arguments: &Arguments) -> Result<bool> {
    // In the profile of the tests, which have built most of it: it only makes system calls, and the kernel
    // programs are built alike in every profile.
    let program = harness("kernel", &[])?;
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
    measured(&mut command)
}
