//! `pptpscope run`: the options, and what happens before the agent watches.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Parser, ValueEnum};
use tracing::Level;

use super::EXIT_PRIVILEGE;
use crate::agent::{Agent, Options};
use crate::kernel::{IngressMode, check_privileges};
use crate::sink::lines::LineSink;

/// Watches until SIGINT or SIGTERM.
#[derive(Debug, Parser)]
#[command(after_long_help = "PRIVILEGES:\n  \
    CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON; root has them.\n\n\
    Standard output carries events only; messages for people go to standard error.")]
pub(super) struct Args {
    /// Watch this interface instead of choosing; may be given more than once. One that does not
    /// exist yet is waited for.
    #[arg(short, long = "interface", value_name = "NAME")]
    interfaces: Vec<String>,

    /// Hook for received packets.
    #[arg(long, value_enum, default_value_t = Ingress::Auto)]
    ingress: Ingress,

    /// Seconds between gre.stats and session.stats of a call that carries packets.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    stats_interval: u32,

    /// Seconds between agent.status events.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    status_interval: u32,

    /// Calls that are followed at once. The kernel keeps two map entries of about 200 bytes for
    /// each, taken at the start.
    #[arg(long, value_name = "CALLS", default_value_t = 4096, value_parser = clap::value_parser!(u32).range(4..=1_000_000))]
    max_sessions: u32,

    /// Size of the ring between kernel and agent: a power of two and a multiple of the page size.
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 20, value_parser = ring_bytes)]
    ring_bytes: u32,

    /// Also record everything that is observed into this file, for `pptpscope replay`.
    #[arg(long, value_name = "FILE")]
    pub(super) record: Option<PathBuf>,

    /// End after this many seconds instead of waiting for a signal.
    #[arg(long, value_name = "SECONDS")]
    duration: Option<u32>,

    /// Say more on standard error; twice: also what the kernel programs log of rare packets.
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Ingress {
    /// XDP where the driver does it natively, else TC.
    Auto,
    /// Native XDP only.
    Xdp,
    /// TC only: when another program owns XDP, or the driver resets its link for it.
    Tc,
}

fn ring_bytes(text: &str) -> Result<u32, String> {
    let bytes: u32 = text.parse().map_err(|error| format!("{error}"))?;
    if !bytes.is_power_of_two() || !(4096..=1 << 30).contains(&bytes) {
        return Err("not a power of two from 4096 to 1073741824".into());
    }
    Ok(bytes)
}

/// Watches; writes the events to standard output only when `with_events`.
pub(super) fn main(args: &Args, with_events: bool) -> anyhow::Result<ExitCode> {
    let level = match args.verbose {
        0 => Level::INFO,
        1 => Level::DEBUG,
        _ => Level::TRACE,
    };
    tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_max_level(level)
        .with_target(false)
        .with_ansi(io::IsTerminal::is_terminal(&io::stderr()) && std::env::var_os("NO_COLOR").is_none())
        .init();
    if let Err(missing) = check_privileges() {
        eprintln!("pptpscope: {missing}");
        return Ok(ExitCode::from(EXIT_PRIVILEGE));
    }
    let sink = if with_events { LineSink::start(io::stdout()) } else { LineSink::start(io::sink()) }?;
    let options = Options {
        interfaces: args.interfaces.clone(),
        ingress: match args.ingress {
            Ingress::Auto => IngressMode::Auto,
            Ingress::Xdp => IngressMode::Xdp,
            Ingress::Tc => IngressMode::Tc,
        },
        stats_interval: Duration::from_secs(args.stats_interval.into()),
        status_interval: Duration::from_secs(args.status_interval.into()),
        max_sessions: args.max_sessions,
        ring_bytes: args.ring_bytes,
        duration: args.duration.map(|seconds| Duration::from_secs(seconds.into())),
        kernel_log: args.verbose >= 2,
        record: args.record.clone(),
    };
    // One thread is enough: the work is rare, and every thread costs memory.
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the event loop")?
        .block_on(async { Agent::start(options, sink)?.run().await })?;
    Ok(ExitCode::SUCCESS)
}
