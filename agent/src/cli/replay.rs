//! `pptpscope replay`: the events of a recorded run, byte for byte.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;

use crate::replay::{ReplayError, replay};
use crate::source::recording::{Error, Recording};

/// Writes the events of a recorded run again, byte for byte.
#[derive(Debug, Parser)]
pub(super) struct Args {
    /// Recording of `pptpscope record` or `pptpscope run --record`; `-` is standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub(super) fn main(args: &Args) -> anyhow::Result<ExitCode> {
    let name = args.file.display();
    let input: Box<dyn Read> = if args.file.as_os_str() == "-" {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(&args.file).with_context(|| format!("cannot open {name}"))?)
    };
    let mut recording = Recording::open(input).with_context(|| name.to_string())?;
    let mut output = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let replayed = replay(&mut recording, &mut output);
    let written = output.flush();
    match replayed.and_then(|()| Ok(written?)) {
        Err(ReplayError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        Err(ReplayError::Recording(error @ Error::Cut { .. })) => {
            eprintln!("pptpscope: warning: {name}: {error}; everything before was replayed");
            Ok(ExitCode::SUCCESS)
        }
        replayed => replayed.map(|()| ExitCode::SUCCESS).with_context(|| name.to_string()),
    }
}
