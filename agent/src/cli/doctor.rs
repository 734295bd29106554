//! `pptpscope doctor`: what is wrong with this host, before anyone calls.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::doctor::{Report, Status, examine, gather, write_text};

/// Exit codes.
const FAILED: u8 = 1;
const WRONG_USAGE: u8 = 2;

/// Checks the firewall, the modules, the daemons' configuration and the rest of a PPTP host.
#[derive(Debug, Parser)]
#[command(
    after_long_help = "Changes nothing: reads files of /proc, /sys and /etc, and asks nft and iptables-save for the \
    rules. To each RADIUS server that is configured it sends one packet without credentials. Without root it \
    sees less, and says what.\n\n\
    EXIT STATUS:\n  \
    0 no check failed    1 a check failed (--strict: or warns)    2 wrong usage\n\n\
    EXAMPLES:\n  \
    sudo pptpscope doctor\n  \
    sudo pptpscope doctor --json | jq '.checks[] | select(.status==\"fail\")'\n  \
    pptpscope doctor --root /mnt/image"
)]
pub(super) struct Args {
    /// Write the report as JSON (its schema: `pptpscope schema doctor`).
    #[arg(long)]
    json: bool,

    /// Read files below this folder instead of the running host.
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,

    /// Ask the firewall about packets of this client, not of any.
    #[arg(long, value_name = "ADDRESS")]
    client: Option<Ipv4Addr>,

    /// Warnings count as failures in the exit status.
    #[arg(long)]
    strict: bool,
}

pub(super) fn main(args: &Args) -> anyhow::Result<ExitCode> {
    let options = gather::Options { root: args.root.clone(), client: args.client };
    let facts = match gather::facts(&options) {
        Ok(facts) => facts,
        Err(error) => {
            eprintln!("pptpscope: {error}");
            return Ok(ExitCode::from(WRONG_USAGE));
        }
    };
    let report = examine(&facts);
    let stdout = io::stdout();
    let colour = stdout.is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let mut output = BufWriter::new(stdout.lock());
    let written =
        if args.json { write_json(&report, &mut output) } else { write_text(&report, colour, &mut output) };
    match written.and_then(|()| output.flush()) {
        // `pptpscope doctor | head` is no failure.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        written => written?,
    }
    let worst = if args.strict { Status::Warn } else { Status::Fail };
    let failed = report.checks.iter().any(|check| check.status >= worst);
    Ok(if failed { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}

fn write_json(report: &Report, output: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *output, report)?;
    output.write_all(b"\n")
}
