//! `pptpscope analyze`: what captures and logs tell, without privileges and on any machine.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Parser, ValueEnum};
use jiff::tz::{Offset, TimeZone};

use super::progress::Progress;
use crate::analysis::{self, Options};
use crate::config;
use crate::event::Event;
use crate::logs::reader::Settings;
use crate::sink::account::Account;
use crate::source::capture::{self, Captures, Input};
use crate::source::document::{self, Documents};
use crate::source::recognise::{self, Kind};
use crate::time::Timestamp;
use crate::windows;

/// Reads captures and logs and tells the story of each call.
#[derive(Debug, Parser)]
#[command(after_long_help = "FORMATS:\n  \
    pcap and pcapng, either byte order, any resolution, also compressed with gzip. Links: Ethernet with \
    VLANs, PPPoE and MPLS, Linux cooked (any), raw IP, loopback, PPP, 802.11.\n  \
    Logs of pppd, pptpd, pptp-linux, accel-ppp, FreeRADIUS and the kernel: syslog in its forms, journalctl -o \
    json, and the daemons' own files.\n  \
    Event logs of Windows (RemoteAccess, RasClient, NPS) as EVTX, XML or CSV; accounting logs of IAS and NPS \
    in all three formats. What a file is, its content tells.\n\n\
    Needs no privileges and nothing of the kernel. Secrets in the capture are dropped while reading.\n\n\
    EXIT STATUS:\n  \
    0 all files were read    1 a file could not be opened or is damaged; what could be read was analysed\n\n\
    EXAMPLES:\n  \
    pptpscope analyze uplink.pcap\n  \
    zcat old.pcap.gz | pptpscope analyze --json - | jq 'select(.event==\"session.end\")'")]
pub(super) struct Args {
    /// Captures and logs in any mix and order; they are merged by time. `-` is standard input.
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

    /// Time zone of logs that have local times without naming theirs, as +02:00; else UTC is assumed.
    #[arg(long, value_name = "OFFSET", value_parser = offset, allow_hyphen_values = true)]
    zone: Option<i32>,

    /// Whether dates such as 03/04/2026 have the day or the month first, where a log does not show it.
    #[arg(long, value_enum, value_name = "ORDER")]
    date_order: Option<DateOrder>,

    #[command(flatten)]
    radius: config::Radius,

    /// Write an event for every line of a log that is recognised, also for debug output.
    #[arg(long)]
    all_log_lines: bool,

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

#[derive(Clone, Copy, Debug, ValueEnum)]
enum DateOrder {
    /// Day, month, year.
    Dmy,
    /// Month, day, year.
    Mdy,
}

/// Seconds ahead of UTC.
fn offset(text: &str) -> Result<i32, String> {
    let wrong = || "write it as +02:00, -0330 or Z".to_owned();
    if matches!(text, "Z" | "z" | "UTC") {
        return Ok(0);
    }
    let (sign, rest) = match text.split_at_checked(1) {
        Some(("+", rest)) => (1, rest),
        Some(("-", rest)) => (-1, rest),
        _ => return Err(wrong()),
    };
    let digits = rest.replace(':', "");
    let (hours, minutes) = digits.split_at_checked(2).ok_or_else(wrong)?;
    let number = |text: &str, most: i32| match text {
        "" => Some(0),
        _ => text.parse().ok().filter(|number| text.len() == 2 && (0..=most).contains(number)),
    };
    let (hours, minutes) = (number(hours, 14).ok_or_else(wrong)?, number(minutes, 59).ok_or_else(wrong)?);
    Ok(sign * (hours * 3600 + minutes * 60))
}

fn time(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|error| format!("{error}; write it as 2026-01-31T23:59:59.5Z"))
}

pub(super) fn main(args: &Args) -> anyhow::Result<ExitCode> {
    let options = Options {
        host: args.host.clone(),
        stats_interval: Duration::from_secs(args.stats_interval.into()),
        max_sessions: args.max_sessions,
        all_log_lines: args.all_log_lines,
        copies: match args.copies {
            Copies::Auto => capture::Copies::Auto,
            Copies::Drop => capture::Copies::Drop,
            Copies::Keep => capture::Copies::Keep,
        },
        radius: args.radius.settings()?,
        from: args.from,
        until: args.until,
    };
    let (mut captures, mut documents) = open(args);
    let progress = Progress::start(&captures);
    let mut output = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let step = || progress.step();
    let written = if args.json {
        analysis::run_with(&mut captures, &mut documents, &options, step, |event| {
            write_line(&mut output, event)
        })
    } else {
        let mut account = Account::new(io::stdout().is_terminal());
        analysis::run_with(&mut captures, &mut documents, &options, step, |event| {
            account.event(event, &mut output)
        })
    };
    progress.finish();
    match written.and_then(|()| output.flush()) {
        // `pptpscope analyze … | head` is no failure.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
        written => written?,
    }
    Ok(report(&captures, &documents))
}

/// Opens each file as what its content says it is. What cannot be opened or recognised is a capture, which
/// says what is wrong with it.
fn open(args: &Args) -> (Captures, Documents) {
    let (mut captures, mut documents) = (Captures::default(), Documents::default());
    for path in &args.files {
        let name = path.display().to_string();
        let mut input = match Input::open(path) {
            Ok(input) => input,
            Err(error) => {
                captures.add(name, Err(capture::Error::Open(error)));
                continue;
            }
        };
        // A source that fails here will fail again when it is read.
        let kind = recognise::recognise(input.fill(recognise::LOOKED_AT).unwrap_or_default());
        match kind {
            Kind::Windows(format) => {
                let options = windows::Options {
                    source: name.clone(),
                    utc_offset_seconds: args.zone,
                    date_order: args.date_order.map(|order| match order {
                        DateOrder::Dmy => windows::Order::DayFirst,
                        DateOrder::Mdy => windows::Order::MonthFirst,
                    }),
                };
                documents.add(name, kind, document::windows(format, input, &options));
            }
            Kind::Text => {
                let settings = Settings {
                    source: name.clone(),
                    zone: TimeZone::fixed(
                        Offset::from_seconds(args.zone.unwrap_or(0)).unwrap_or(Offset::UTC),
                    ),
                    zone_given: args.zone.is_some(),
                    reference: written(path),
                    boot: None,
                };
                documents.add(name, kind, document::log(input, settings));
            }
            Kind::Capture | Kind::Recording | Kind::Unknown => captures.add(name, Ok(input)),
        }
    }
    (captures, documents)
}

/// When the file was last written; now, where that is not known.
fn written(path: &Path) -> Timestamp {
    let modified = std::fs::metadata(path).and_then(|metadata| metadata.modified());
    let since = modified.unwrap_or_else(|_| SystemTime::now()).duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix_ns(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

fn write_line(output: &mut impl Write, event: &Event) -> io::Result<()> {
    serde_json::to_writer(&mut *output, event)?;
    output.write_all(b"\n")
}

/// Says on standard error what is wrong with the files.
fn report(captures: &Captures, documents: &Documents) -> ExitCode {
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
    for document in documents.members() {
        if let Some(problem) = document.problem {
            eprintln!("pptpscope: {} ({}): {problem}", document.name, document.kind.name());
            code = ExitCode::FAILURE;
        }
    }
    code
}

#[cfg(test)]
mod tests {
    use super::offset;

    #[test]
    fn zones_are_offsets() {
        for (text, seconds) in [("+02:00", 7200), ("-0330", -12600), ("Z", 0), ("+05", 18000)] {
            assert_eq!(offset(text), Ok(seconds), "{text}");
        }
        for text in ["", "2", "Europe/Berlin", "+99:00", "+02:60", "+2:00", "+02:000", "+\u{fc}:1"] {
            assert!(offset(text).is_err(), "{text}");
        }
    }
}
