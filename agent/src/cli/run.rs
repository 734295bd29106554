//! `pptpscope run`: the options, and what happens before the agent watches.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, fmt, reload};

use super::{EXIT_PRIVILEGE, EXIT_USAGE};
use crate::agent::{Agent, Live, Options, Reload};
use crate::config::change::needs_restart;
use crate::config::value::Number;
use crate::config::{Settings, file};
use crate::kernel::{IngressMode, check_privileges, confine};
use crate::metrics::{Metrics, server};
use crate::sink::Sinks;
use crate::sink::spec::{self, SinkSpec};
use crate::tls::Identity;

/// Watches until SIGINT or SIGTERM.
#[derive(Clone, Debug, Parser)]
#[command(after_long_help = "CONFIGURATION:\n  \
    /etc/pptpscope/pptpscope.toml and /etc/pptpscope/pptpscope.d/*.toml have the same options; the command line \
    wins. All of them: pptpscope config default\n\n\
    PRIVILEGES:\n  \
    CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON; root has them.\n\n\
    Standard output carries events only; messages for people go to standard error.")]
pub(super) struct Args {
    #[command(flatten)]
    settings: Settings,

    /// Where events go: TYPE[:TO][,KEY=VALUE]...; may be given more than once. Types are stdout, file:PATH,
    /// journal, syslog:udp://HOST:PORT, syslog:tcp://HOST:PORT, syslog:tls://HOST:PORT, syslog:/dev/log,
    /// socket:PATH, clickhouse:http://HOST:8123, otlp:http://HOST:4318/v1/logs, both also with https://, and none.
    /// Keys are events=session.*+finding, severity=warning, buffer=4M, when-full=drop-newest|drop-oldest; for
    /// files rotate-size=100M, rotate-age=24h, keep=7, compress, fsync; for clickhouse table=pptpscope; for
    /// clickhouse and otlp headers-file=FILE; with tls:// and https:// ca-file=FILE, certificate-file=FILE,
    /// key-file=FILE; for socket, syslog, clickhouse and otlp spool=FILE, spool-size=256M. [default: stdout]
    #[arg(long = "sink", value_name = "SINK")]
    sinks: Vec<SinkSpec>,

    /// Follow no log.
    #[arg(long, conflicts_with_all = ["files", "journal"])]
    no_logs: bool,

    /// Say more on standard error; twice: also what the kernel programs log of rare packets.
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,

    /// The configuration, instead of /etc/pptpscope/pptpscope.toml; its drop-ins are in the folder with the same
    /// name and .d for .toml.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Read no configuration file.
    #[arg(long, conflicts_with = "config")]
    no_config: bool,

    /// Check configuration and command line, and end.
    #[arg(long)]
    check_config: bool,
}

impl Args {
    /// Records into `file`.
    pub(super) fn record_into(&mut self, file: PathBuf) {
        self.settings.record = Some(file);
    }

    /// What the command line says.
    fn layer(&self) -> Settings {
        let mut layer = self.settings.clone();
        if self.no_logs {
            layer.logs.follow = Some(false);
        } else if layer.logs.files.is_some() || layer.logs.journal == Some(true) {
            // Naming logs means to follow them, whatever a file says.
            layer.logs.follow = Some(true);
        }
        if !self.sinks.is_empty() {
            layer.sinks = Some(spec::name_by_type(&self.sinks));
        }
        if self.verbose > 0 {
            layer.verbosity = Some(Number::near(self.verbose.into()));
        }
        layer
    }

    /// Command line over files over defaults; and the files.
    fn resolve(&self) -> Result<file::Loaded, file::Error> {
        let loaded =
            if self.no_config { file::Loaded::default() } else { file::load(self.config.as_deref())? };
        let settings = self.layer().over(loaded.settings).over(Settings::defaults());
        Ok(file::Loaded { settings, files: loaded.files })
    }
}

/// What the settings name, read and checked.
struct Named {
    specs: spec::Named,
    radius: crate::source::radius::Settings,
    token: Option<server::Token>,
    tls: Option<Arc<rustls::ServerConfig>>,
    privacy: Option<crate::privacy::Privacy>,
}

impl Named {
    fn read(settings: &Settings) -> anyhow::Result<Self> {
        let specs = settings.sinks();
        spec::check_together(&specs).map_err(anyhow::Error::msg)?;
        for (name, spec) in &specs {
            spec.check_files().with_context(|| format!("cannot use the sink {name}"))?;
        }
        Ok(Self {
            specs,
            radius: settings.radius.settings()?,
            token: settings.metrics.token()?,
            tls: settings.metrics.identity()?.map(Identity::server).transpose()?,
            privacy: settings.privacy.privacy()?,
        })
    }
}

/// Watches; writes the events to standard output only when `with_events`.
pub(super) fn main(args: &Args, with_events: bool) -> anyhow::Result<ExitCode> {
    let file::Loaded { settings, files } = match args.resolve() {
        Ok(loaded) => loaded,
        Err(error) => {
            eprintln!("pptpscope: {error}");
            return Ok(ExitCode::from(EXIT_USAGE));
        }
    };
    let verbosity = settings.verbosity.map_or(0, Number::get);
    let Named { specs, radius, token, tls, privacy } = match Named::read(&settings) {
        Ok(named) => named,
        Err(error) => {
            eprintln!("pptpscope: {error:#}");
            return Ok(ExitCode::from(EXIT_USAGE));
        }
    };
    if args.check_config {
        let files: Vec<_> = files.iter().map(|path| path.display().to_string()).collect();
        let files = if files.is_empty() { "no file".to_owned() } else { files.join(", ") };
        eprintln!("pptpscope: the configuration is valid ({files})");
        return Ok(ExitCode::SUCCESS);
    }
    let (level, set_level) = reload::Layer::new(level(verbosity));
    let for_people = fmt::layer()
        .with_writer(io::stderr)
        .with_target(false)
        .with_ansi(io::IsTerminal::is_terminal(&io::stderr()) && std::env::var_os("NO_COLOR").is_none());
    tracing_subscriber::registry().with(level).with(for_people).init();
    if let Err(missing) = check_privileges() {
        eprintln!("pptpscope: {missing}");
        return Ok(ExitCode::from(EXIT_PRIVILEGE));
    }
    // Root without its capabilities may not write into the folders of other users.
    let record = settings.record.as_ref().map(|path| {
        let file = File::create(path);
        let file = file.with_context(|| format!("cannot begin the recording {}", path.display()))?;
        anyhow::Ok((path.clone(), Arc::new(file)))
    });
    let record = record.transpose()?;
    // Before there is another thread: each has its own.
    if let Err(error) = confine(with_events && specs.values().any(SinkSpec::makes_files)) {
        tracing::warn!("the agent keeps all its capabilities: {error}");
    }
    let uname = rustix::system::uname();
    let mut sinks =
        if with_events { spec::begin(&specs, &uname.nodename().to_string_lossy())? } else { Sinks::new() };
    if privacy.is_some() && settings.record.is_some() {
        tracing::warn!("the recording holds names and addresses as they are: privacy is for what sinks get");
    }
    sinks.set_privacy(privacy);
    if let Some(address) = settings.metrics.listen {
        let metrics = Arc::new(Metrics::new()?);
        let scheme = if tls.is_some() { "https" } else { "http" };
        let address = server::start(address, tls, token, Arc::clone(&metrics))
            .with_context(|| format!("cannot serve metrics on {address}"))?;
        tracing::info!("metrics: {scheme}://{address}/metrics");
        sinks.set_metrics(metrics);
    }
    let seconds = |seconds: u32| Duration::from_secs(seconds.into());
    let options = Options {
        interfaces: settings.interfaces.clone().unwrap_or_default(),
        ingress: settings.ingress.map_or(IngressMode::Auto, Into::into),
        stats_interval: seconds(settings.stats_interval().get()),
        radius,
        status_interval: seconds(settings.status_interval().get()),
        max_sessions: settings.max_sessions().get(),
        ring_bytes: settings.ring_bytes().get(),
        duration: settings.duration.map(seconds),
        kernel_log: verbosity >= 2,
        logs: settings.logs.options(),
        all_log_lines: settings.logs.all_lines.unwrap_or(false),
        deep: settings.deep.unwrap_or(false),
        record,
    };
    // One thread is enough: the work is rare, and every thread costs memory.
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the event loop")?
        .block_on(async {
            let agent = Agent::start(options, sinks)?;
            agent.reloading(reloader(args.clone(), settings, set_level)).run().await
        })?;
    Ok(ExitCode::SUCCESS)
}

const fn level(verbosity: u32) -> LevelFilter {
    match verbosity {
        0 => LevelFilter::INFO,
        1 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    }
}

/// Reads the configuration anew: what needs no restart is taken, what does is named, and what is wrong leaves
/// everything as it was.
fn reloader(args: Args, started_with: Settings, set_level: reload::Handle<LevelFilter, Registry>) -> Reload {
    let read = move || -> anyhow::Result<Live> {
        let new = args.resolve()?.settings;
        let live = Live {
            status_interval: Duration::from_secs(new.status_interval().get().into()),
            secrets: new.radius.settings()?.secrets,
            privacy: new.privacy.privacy()?,
        };
        let left = needs_restart(&started_with, &new)?;
        set_level.reload(level(new.verbosity.map_or(0, Number::get)))?;
        if !left.is_empty() {
            tracing::warn!("changed, but read at the start only: {}; restart to use it", left.join(", "));
        }
        Ok(live)
    };
    Box::new(move || {
        read().inspect_err(|error| tracing::error!("the configuration stays as it was: {error:#}")).ok()
    })
}
