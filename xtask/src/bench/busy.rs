//! `cargo xtask bench busy`: a thousand calls that are up, and fifty new ones each second.
//!
//! The measuring is done by `tests/src/bin/bench-busy`, in a namespace of its own.

use anyhow::Result;
use clap::Args;

use super::measured;
use crate::command::as_root;
use crate::{agent, setup};

/// `cargo xtask bench busy`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Seconds that it lasts once all calls are up.
    #[arg(long, default_value_t = 240, value_parser = clap::value_parser!(u32).range(8..=86_400))]
    seconds: u32,
    /// Fail when the goals are missed.
    #[arg(long)]
    check: bool,
}

/// Builds and runs it; `false` when `--check` was given and a goal is missed.
pub(super) fn bench(arguments: &Arguments) -> Result<bool> {
    let programs = agent::build_for_lab(agent::Profile::Release)?;
    setup::packages(&[("iproute2", "the veth pair")])?;
    let name = |path: std::path::PathBuf| path.display().to_string();
    let (program, watched) = (name(programs.join("bench-busy")), name(programs.join("pptpscope")));
    let (out, seconds) = (name(super::folder()?.join("busy.json")), arguments.seconds.to_string());
    let mut words = vec!["--agent", &watched, "--seconds", &seconds, "--out", &out];
    if arguments.check {
        words.push("--check");
    }
    let mut command = as_root("sending packets in a network namespace", &program, &words)?;
    measured(&mut command)
}
