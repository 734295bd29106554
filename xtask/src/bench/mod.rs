//! `cargo xtask bench`: what the agent costs, next to a peer in the same run.
//!
//! The method, and figures: `docs/overhead.md`.

mod analyze;
mod kernel;
mod veth;

use std::fs;
use std::path::PathBuf;

use anyhow::Result;
use clap::Subcommand;

use crate::paths;

/// `cargo xtask bench`.
#[derive(Subcommand)]
pub(crate) enum Task {
    /// Read a generated capture with `pptpscope analyze` and with tshark.
    Analyze(analyze::Arguments),
    /// Hand packets to each kernel program, next to one that does nothing. Needs root.
    Kernel(kernel::Arguments),
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
        Task::Kernel(arguments) => kernel::bench(arguments),
        Task::Veth(arguments) => veth::bench(arguments),
    }
}

/// Where captures and figures go.
fn folder() -> Result<PathBuf> {
    let dir = paths::target().join("bench");
    fs::create_dir_all(&dir)?;
    Ok(dir)
}
