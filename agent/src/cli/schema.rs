//! `pptpscope schema`: the JSON Schemas of what the program writes, for validators and code generators.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use crate::config::file;
use crate::doctor;
use crate::event::schema::schema;

/// Prints a JSON Schema (2020-12).
#[derive(Debug, Parser)]
pub(super) struct Args {
    /// Of what.
    #[arg(value_enum, default_value_t = Of::Events)]
    of: Of,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Of {
    /// The lines of `run`, `analyze` and `replay`.
    Events,
    /// The report of `doctor --json`.
    Doctor,
    /// The configuration file.
    Config,
}

pub(super) fn main(args: &Args) -> anyhow::Result<ExitCode> {
    let schema = match args.of {
        Of::Events => schema(),
        Of::Doctor => doctor::schema(),
        Of::Config => file::schema().try_into()?,
    };
    let mut text = serde_json::to_string_pretty(&schema)?;
    text.push('\n');
    match io::stdout().lock().write_all(text.as_bytes()) {
        // `pptpscope schema | head` is no failure.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        written => Ok(written.map(|()| ExitCode::SUCCESS)?),
    }
}
