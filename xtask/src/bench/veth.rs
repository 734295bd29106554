//! `cargo xtask bench veth`: throughput of GRE through a veth pair, watched and not.
//!
//! The measuring is done by `tests/src/bin/bench-veth`, in a namespace of its own.

use anyhow::Result;
use clap::Args;

use super::measured;
use crate::command::as_root;
use crate::{agent, setup};

/// `cargo xtask bench veth`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Rounds; in each one everything is measured once.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Leave bpftrace out.
    #[arg(long)]
    no_bpftrace: bool,
    /// Fail when the goals are missed.
    #[arg(long)]
    check: bool,
}

/// Builds and runs it; `false` when `--check` was given and a goal is missed.
pub(super) fn bench(arguments: &Arguments) -> Result<bool> {
    let programs = agent::build_for_lab(agent::Profile::Release)?;
    let mut peers = vec![("iproute2", "the veth pair"), ("tcpdump", "what we compare with")];
    if !arguments.no_bpftrace {
        peers.push(("bpftrace", "what we compare with"));
    }
    setup::packages(&peers)?;
    let name = |path: std::path::PathBuf| path.display().to_string();
    let (program, watched) = (name(programs.join("bench-veth")), name(programs.join("pptpscope")));
    let (out, rounds) = (name(super::folder()?.join("veth.json")), arguments.rounds.to_string());
    let mut words = vec!["--agent", &watched, "--rounds", &rounds, "--out", &out];
    if arguments.no_bpftrace {
        words.push("--no-bpftrace");
    }
    if arguments.check {
        words.push("--check");
    }
    let mut command = as_root("sending packets in a network namespace", &program, &words)?;
    measured(&mut command)
}
