//! What packages take from the command line: shell completions and manual pages.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use clap_complete::Shell;

use crate::sink::journal;

/// Prints the completions for a shell.
#[derive(Debug, Parser)]
pub(super) struct Completions {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// Writes manual pages into a folder.
#[derive(Debug, Parser)]
pub(super) struct ManPages {
    /// The folder.
    folder: PathBuf,
}

pub(super) fn completions(args: &Completions, mut command: clap::Command) -> anyhow::Result<ExitCode> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut command, "pptpscope", &mut text);
    match io::stdout().lock().write_all(&text) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Prints the message catalogue of the journal.
pub(super) fn journal_catalogue() -> anyhow::Result<ExitCode> {
    match io::stdout().lock().write_all(journal::catalogue().as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}

pub(super) fn man_pages(args: &ManPages, command: clap::Command) -> anyhow::Result<ExitCode> {
    clap_mangen::generate_to(command, &args.folder)
        .with_context(|| format!("cannot write manual pages into {}", args.folder.display()))?;
    Ok(ExitCode::SUCCESS)
}
