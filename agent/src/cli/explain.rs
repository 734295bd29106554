//! `pptpscope explain`: the catalogue of findings, offline.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

use crate::finding::catalogue::{catalogue, entry, list, manual, page};

/// Tells what a finding means, what decides it, and what to do about it.
#[derive(Debug, Parser)]
#[command(after_long_help = "EXAMPLES:\n  \
    pptpscope explain gre.blocked_inbound\n  \
    pptpscope explain mppe          all codes of the family\n  \
    pptpscope explain --list\n\n\
    EXIT STATUS:\n  \
    0 explained    1 there is no such code")]
pub(super) struct Args {
    /// A code, such as `auth.rejected`, or a family, such as `auth`.
    #[arg(value_name = "CODE", required_unless_present_any = ["list", "manual"])]
    codes: Vec<String>,

    /// Show all codes.
    #[arg(long)]
    list: bool,

    /// Print docs/findings.md.
    #[arg(long, hide = true, conflicts_with = "list")]
    manual: bool,
}

pub(super) fn main(args: &Args) -> anyhow::Result<ExitCode> {
    let mut text = String::new();
    let mut code = ExitCode::SUCCESS;
    if args.list {
        text.push_str(&list());
    }
    if args.manual {
        text.push_str(&manual());
    }
    for wanted in &args.codes {
        let family = format!("{wanted}.");
        let mut pages: Vec<String> = entry(wanted).map(page).into_iter().collect();
        if pages.is_empty() {
            pages = catalogue().iter().filter(|entry| entry.code.starts_with(&family)).map(page).collect();
        }
        if pages.is_empty() {
            eprintln!(
                "pptpscope: there is no finding {wanted}{}; all: pptpscope explain --list",
                nearest(wanted)
            );
            code = ExitCode::FAILURE;
        }
        for page in pages {
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(&page);
        }
    }
    match io::stdout().lock().write_all(text.as_bytes()) {
        // `pptpscope explain --list | head` is no failure.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(code),
        written => Ok(written.map(|()| code)?),
    }
}

/// `, but X` for the code that shares a part with what was asked for.
fn nearest(wanted: &str) -> String {
    let parts: Vec<&str> = wanted.split(['.', '_', '-']).filter(|part| part.len() > 2).collect();
    let shared = |code: &str| parts.iter().filter(|part| code.contains(**part)).count();
    let best =
        catalogue().iter().max_by_key(|entry| shared(&entry.code)).filter(|entry| shared(&entry.code) > 0);
    best.map_or(String::new(), |entry| format!(", but {}", entry.code))
}
