//! `pptpscope schema`: the JSON Schema of the events, for validators and code generators.

use std::io::{self, Write};
use std::process::ExitCode;

use crate::event::schema::schema;

pub(super) fn main() -> anyhow::Result<ExitCode> {
    let mut text = serde_json::to_string_pretty(&schema())?;
    text.push('\n');
    match io::stdout().lock().write_all(text.as_bytes()) {
        // `pptpscope schema | head` is no failure.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        written => Ok(written.map(|()| ExitCode::SUCCESS)?),
    }
}
