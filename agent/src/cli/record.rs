//! `pptpscope record`: as `run`, but what is observed goes into a file instead of events to standard
//! output.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use super::run;

/// Watches this host and records what it sees, for `pptpscope replay`.
#[derive(Debug, Parser)]
pub(super) struct RecordArgs {
    /// Where the recording goes; a file that exists is overwritten. Holds no secrets, but names and
    /// addresses.
    #[arg(value_name = "FILE")]
    file: PathBuf,

    #[command(flatten)]
    run: run::Args,
}

pub(super) fn main(args: RecordArgs) -> anyhow::Result<ExitCode> {
    let mut run = args.run;
    run.record_into(args.file);
    run::main(&run, false)
}
