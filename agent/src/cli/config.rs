//! `pptpscope config`: what holds, and what there is.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use super::EXIT_USAGE;
use crate::config::{Settings, file, manual};
use crate::metrics;

/// Shows the configuration.
#[derive(Debug, Parser)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Print what holds: the files over the defaults, as one file.
    Dump {
        /// The configuration, instead of /etc/pptpscope/pptpscope.toml.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Print a file with every option and its default, commented out.
    Default,
    /// Print docs/configuration.md.
    #[command(hide = true)]
    Manual,
    /// Print docs/metrics.md.
    #[command(hide = true)]
    MetricsManual,
}

pub(super) fn main(args: &Args) -> anyhow::Result<ExitCode> {
    let text = match &args.what {
        What::Dump { config } => match file::load(config.as_deref()) {
            Ok(loaded) => toml::to_string(&loaded.settings.over(Settings::defaults()))?,
            Err(error) => {
                eprintln!("pptpscope: {error}");
                return Ok(ExitCode::from(EXIT_USAGE));
            }
        },
        What::Default => manual::default_file(),
        What::Manual => manual::manual(),
        What::MetricsManual => metrics::manual::manual()?,
    };
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}
