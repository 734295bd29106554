//! `pptpscope analyze`: what captures tell, without privileges and on any machine.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use super::progress::Progress;
use crate::analysis::{self, Options};
use crate::event::Event;
use crate::sink::account::Account;
use crate::source::capture::{self, Captures};
use crate::time::Timestamp;

/// Reads captures and tells the story of each call.
#[derive(Debug, Parser)]
#[command(after_long_help = "FORMATS:\n  \
    pcap and pcapng, either byte order, any resolution, also compressed with gzip. Links: Ethernet with \
    VLANs, PPPoE and MPLS, Linux cooked (any), raw IP, loopback, PPP, 802.11.\n\n\
    Needs no privileges and nothing of the kernel. Secrets in the capture are dropped while reading.\n\n\
    EXIT STATUS:\n  \
    0 all files were read    1 a file could not be opened or is damaged; what could be read was analysed\n\n\
    EXAMPLES:\n  \
    pptpscope analyze uplink.pcap\n  \
    zcat old.pcap.gz | pptpscope analyze --json - | jq 'select(.event==\"session.end\")'")]
pub(super) struct Args {
    /// Captures; several are merged by time. `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Write the events as JSON Lines, as live operation does.
    #[arg(long)]
    json: bool,

    /// What to do with packets that were on the wire once and are in the capture more than once.
    #[arg(long, value_enum, default_value_t = Copies::Auto)]
    copies: Copies,

    /// Leave out packets before this time (RFC 3339).
    #[arg(long, value_name = "TIME", value_parser = time)]
    from: Option<Timestamp>,

    /// Leave out packets after this time (RFC 3339).
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Timestamp>,

    /// Name of the host in the events.
    #[arg(long, default_value = "capture")]
    host: String,

    /// Seconds, in the time of the packets, between gre.stats and session.stats.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    stats_interval: u32,

    /// Calls that are followed at once.
    #[arg(long, value_name = "CALLS", default_value_t = 16_384, value_parser = clap::value_parser!(u32).range(4..=1_000_000))]
    max_sessions: u32,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Copies {
    /// Leave out what another link or file shows again, and what a mirror port doubles.
    Auto,
    /// Leave out every packet that shows again within a millisecond.
    Drop,
    /// Count every packet.
    Keep,
}

fn time(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|error| format!("{error}; write it as 2026-01-31T23:59:59.5Z"))
}

pub(super) fn main(args: &Args) -> anyhow::Result<ExitCode> {
    let options = Options {
        host: args.host.clone(),
        stats_interval: Duration::from_secs(args.stats_interval.into()),
        max_sessions: args.max_sessions,
        copies: match args.copies {
            Copies::Auto => capture::Copies::Auto,
            Copies::Drop => capture::Copies::Drop,
            Copies::Keep => capture::Copies::Keep,
        },
        from: args.from,
        until: args.until,
    };
    let mut captures = Captures::open(&args.files);
    let progress = Progress::start(&captures);
    let mut output = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let step = || progress.step();
    let written = if args.json {
        analysis::run(&mut captures, &options, step, |event| write_line(&mut output, event))
    } else {
        let mut account = Account::new(io::stdout().is_terminal());
        analysis::run(&mut captures, &options, step, |event| account.event(event, &mut output))
    };
    progress.finish();
    match written.and_then(|()| output.flush()) {
        // `pptpscope analyze … | head` is no failure.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
        written => written?,
    }
    Ok(report(&captures))
}

fn write_line(output: &mut impl Write, event: &Event) -> io::Result<()> {
    serde_json::to_writer(&mut *output, event)?;
    output.write_all(b"\n")
}

/// Says on standard error what is wrong with the captures.
fn report(captures: &Captures) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for (name, _, problem) in captures.members() {
        let Some(problem) = problem else { continue };
        if problem.is_harmless() {
            eprintln!("pptpscope: warning: {name}: {problem}; everything before it was read");
        } else {
            eprintln!("pptpscope: {name}: {problem}");
            code = ExitCode::FAILURE;
        }
    }
    code
}
