//! The running agent: kernel and devices in, correlator, lines out.

mod books;
mod drops;
mod listeners;
mod logs;
mod losses;
mod only;
mod reload;
mod service;
mod status;
mod stop;
mod take;
mod tape;
mod watch;

use std::fs::File;
use std::future::{self, Future};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};
use tracing::{info, warn};

use crate::event::agent::{Start, StopReason};
use crate::event::{Body, Event, SCHEMA_VERSION, Severity};
use crate::kernel::{
    self, DebugLog, DeviceChange, Devices, DevicesError, IngressMode, Kernel, LinkLayer, LoadError,
    ReadError, Records,
};
use crate::observation::Observation;
use crate::session::{self, Correlator};
use crate::sink::{self, Sinks};
use crate::source::follow::{self, Follower};
use crate::source::kernel::KernelClock;
use crate::source::radius::{self, Inspector};
use crate::source::recording::{Header, Recorder};
use crate::time::Timestamp;
use books::Books;
use drops::Drops;
use logs::Parents;
use losses::Losses;
use only::Claim;
pub use reload::{Live, Reload};
use service::Service;
use tape::Tape;
use watch::Watch;

/// How often losses are looked for and the clocks are compared.
const HOUSEKEEPING: Duration = Duration::from_secs(1);
/// How often a RADIUS server on this host is looked for.
const LISTENERS: Duration = Duration::from_secs(5);
/// How often the logs are looked at.
const LOG_INTERVAL: Duration = Duration::from_millis(200);

/// Why the agent cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel programs could not be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A map cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The devices of the host cannot be followed.
    #[error(transparent)]
    Devices(#[from] DevicesError),
    /// The events cannot be written.
    #[error(transparent)]
    Sink(#[from] sink::Error),
    /// The recording cannot be begun.
    #[error("cannot begin the recording {}: {source}", path.display())]
    Record {
        /// Where it should go.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Another agent is there.
    #[error(transparent)]
    Claim(#[from] only::ClaimError),
    /// Signals cannot be caught.
    #[error("cannot catch signals: {0}")]
    Signals(#[source] io::Error),
    /// The ring cannot be waited for.
    #[error("cannot wait for the ring of the kernel programs: {0}")]
    Ring(#[source] io::Error),
}

/// What `pptpscope run` was asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// Interfaces to watch; empty: choose.
    pub interfaces: Vec<String>,
    /// Hook for received packets.
    pub ingress: IngressMode,
    /// Interval of `gre.stats` and `session.stats`.
    pub stats_interval: Duration,
    /// Ports and secrets of RADIUS servers.
    pub radius: radius::Settings,
    /// Interval of `agent.status`.
    pub status_interval: Duration,
    /// Calls that are followed at once.
    pub max_sessions: u32,
    /// Size of the ring, bytes.
    pub ring_bytes: u32,
    /// When to end without a signal.
    pub duration: Option<Duration>,
    /// Whether the kernel programs log rare packets.
    pub kernel_log: bool,
    /// Logs that are followed.
    pub logs: follow::Options,
    /// Every recognised line of a log makes an event, also the debug dump.
    pub all_log_lines: bool,
    /// Whether the probes that fire for every packet are attached from the start.
    pub deep: bool,
    /// Where everything that is observed is recorded: the file, and its name for messages.
    pub record: Option<(PathBuf, Arc<File>)>,
}

/// Everything that the loop works with.
pub struct Agent {
    options: Options,
    host: String,
    started: Instant,
    kernel: Kernel,
    records: Records,
    debug_log: Option<DebugLog>,
    devices: Devices,
    watch: Watch,
    correlator: Tape,
    clock: KernelClock,
    losses: Losses,
    drops: Drops,
    follower: Follower,
    /// Lines that were read and not heard yet; kept for its allocation.
    lines: Vec<Observation>,
    parents: Parents,
    books: Books,
    next_benign: Instant,
    radius: Inspector,
    /// When to look again for a RADIUS server on this host.
    next_listeners: Instant,
    undecodable: u64,
    /// Packets beyond the limit of their address, at the last look.
    suppressed: u64,
    /// Entries of the flow map when it was last read whole.
    flows_used: u64,
    sinks: Sinks,
    /// Reads the configuration anew.
    reload: Option<Reload>,
    service: Service,
    /// Events of the observation at hand; kept for its allocation.
    events: Vec<Event>,
    /// That there is no other agent here.
    _claim: Claim,
}

impl Agent {
    /// Loads the kernel programs and attaches them. Needs a tokio runtime.
    ///
    /// # Errors
    ///
    /// See [`Error`]; nothing stays in the kernel then.
    pub fn start(options: Options, sinks: Sinks) -> Result<Self, Error> {
        let claim = Claim::new(only::NAME)?;
        let mut kernel = Kernel::load(&kernel::Config {
            max_sessions: options.max_sessions,
            ring_bytes: options.ring_bytes,
            radius_ports: options.radius.ports.clone(),
            debug: options.kernel_log,
            ..kernel::Config::default()
        })?;
        // Both are there: nobody took them before.
        let records = kernel.records().map_err(Error::Ring)?.ok_or(LoadError::Missing { name: "RING" })?;
        let debug_log = if options.kernel_log { kernel.debug_log().map_err(Error::Ring)? } else { None };
        let uname = rustix::system::uname();
        let host = uname.nodename().to_string_lossy().into_owned();
        let config = session::Config {
            stats_interval: options.stats_interval,
            max_sessions: options.max_sessions as usize,
            all_log_lines: options.all_log_lines,
            ..session::Config::for_host(host.clone())
        };
        let record = options.record.as_ref();
        let recorder = record.map(|(path, file)| recorder(path, Arc::clone(file), &config)).transpose()?;
        let correlator = Tape::new(Correlator::new(config), recorder);
        let mut agent = Self {
            started: Instant::now(),
            records,
            debug_log,
            devices: Devices::open()?,
            watch: Watch::new(&options.interfaces, options.ingress),
            correlator,
            clock: KernelClock::sample(),
            losses: Losses::default(),
            drops: Drops::default(),
            follower: Follower::start(&options.logs, KernelClock::now(), logs::booted(KernelClock::now())),
            lines: Vec::new(),
            parents: Parents::default(),
            books: Books::new(options.deep),
            next_benign: Instant::now() + options.stats_interval,
            radius: Inspector::new(options.radius.clone()),
            next_listeners: Instant::now() + LISTENERS,
            undecodable: 0,
            suppressed: 0,
            flows_used: 0,
            events: Vec::new(),
            _claim: claim,
            kernel,
            options,
            host,
            sinks,
            reload: None,
            service: Service::find(),
        };
        let agent_start = Start {
            schema_version: SCHEMA_VERSION.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            kernel_release: uname.release().to_string_lossy().into_owned(),
            stats_interval_ns: u64::try_from(agent.options.stats_interval.as_nanos()).unwrap_or(u64::MAX),
            max_sessions: agent.options.max_sessions,
            ring_bytes: agent.options.ring_bytes,
        };
        agent.watch.set_local_server(listeners::any_on(&agent.options.radius.ports));
        // Attached first: whoever reads `agent.start` may rely on everything after it being seen.
        agent.watch.apply(&mut agent.kernel, &agent.devices);
        agent.write(Severity::Info, Body::AgentStart { agent_start })?;
        let present: Vec<_> = agent.devices.current().filter_map(watch::ppp_interface).collect();
        for what in present {
            agent.observe(&Observation::of_device(KernelClock::now(), what))?;
        }
        agent.note_probes();
        agent.arm_deep()?;
        agent.report_status()?;
        Ok(agent)
    }

    /// Watches until a signal, the end of the time, or until nobody reads the events any more. Then
    /// detaches everything and writes the last figures.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub async fn run(mut self) -> Result<(), Error> {
        let debug_log = self.debug_log.take();
        let reason = tokio::select! {
            reason = self.watch_until_end() => reason?,
            error = pass_on(debug_log) => return Err(Error::Ring(error)),
        };
        self.stop(reason).await
    }

    async fn watch_until_end(&mut self) -> Result<StopReason, Error> {
        let mut stop = Box::pin(stop_signal(self.options.duration)?);
        // SIGHUP means to open files and to read the configuration anew. Without files and service the
        // terminal is gone: ending without detaching would leave filters behind.
        let mut hangup = signal(SignalKind::hangup()).map_err(Error::Signals)?;
        let mut housekeeping = interval(HOUSEKEEPING);
        housekeeping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut next_logs = Instant::now();
        let mut next_status = self.started + self.options.status_interval;
        info!("watching; end with Ctrl-C");
        self.service.ready(self.watch.report().len());
        loop {
            let due = self.correlator.next_deadline().map(|at| at.ns_since(KernelClock::now()));
            tokio::select! {
                reason = &mut stop => return Ok(reason),
                _ = hangup.recv() => {
                    if !self.sinks.reopens() && !self.service.is_managed() {
                        return Ok(StopReason::Signal);
                    }
                    self.sinks.reopen();
                    self.reload();
                    next_status = next_status.min(Instant::now() + self.options.status_interval);
                }
                ready = self.records.readable() => ready.map_err(Error::Ring)?,
                change = self.devices.next() => self.device_changed(change?)?,
                () = wait(due) => {}
                () = sleep_until(next_logs) => {}
                () = sleep_until(next_status) => {
                    next_status = Instant::now() + self.options.status_interval;
                    self.report_status()?;
                }
                _ = housekeeping.tick() => {
                    self.service.alive();
                    self.clock = KernelClock::sample();
                    self.look_for_listeners()?;
                    self.correlator.flush();
                    let probes_changed = self.refresh_path();
                    self.take_limited()?;
                    self.look_for_drops().await?;
                    self.look_if_due()?;
                    self.report_losses()?;
                    if probes_changed {
                        self.report_status()?;
                    }
                }
            }
            let has_more = self.drain()?;
            // The wire first, then what the daemons say of it, then what follows from both: also after a while in
            // which this process did not run.
            if next_logs <= Instant::now() && !has_more {
                // What there is more of waits in the file until the next turn; the ring cannot wait.
                if !self.read_logs()? {
                    next_logs = Instant::now() + LOG_INTERVAL;
                }
                // What came meanwhile: a flow of it must not be met in the map before its call is.
                self.drain()?;
            }
            self.advance()?;
            if self.sinks.is_closed() {
                return Ok(StopReason::OutputClosed);
            }
        }
    }

    /// Watches loopback while a RADIUS server on this host listens.
    fn look_for_listeners(&mut self) -> Result<(), Error> {
        if Instant::now() < self.next_listeners {
            return Ok(());
        }
        self.next_listeners = Instant::now() + LISTENERS;
        if self.watch.set_local_server(listeners::any_on(&self.options.radius.ports)) {
            self.watch.apply(&mut self.kernel, &self.devices);
            self.report_status()?;
        }
        Ok(())
    }

    fn observe(&mut self, observation: &Observation) -> Result<(), Error> {
        self.correlator.observe(observation, &mut self.events);
        self.write_events()
    }

    fn device_changed(&mut self, change: DeviceChange) -> Result<(), Error> {
        let watched_before = self.watch.report();
        match &change {
            DeviceChange::Removed { index, stats, .. } => {
                self.take_inner(Some(*index))?;
                self.watch.gone(&mut self.kernel, *index);
                self.unit_gone(*index, *stats);
            }
            // The modules came just before it: its first packets are soon to be counted.
            DeviceChange::Changed(device) if device.layer == LinkLayer::Ppp => {
                self.refresh_path();
            }
            DeviceChange::Changed(_) => {}
        }
        self.watch.apply(&mut self.kernel, &self.devices);
        if let Some(what) = watch::ppp_change(&change) {
            self.observe(&Observation::of_device(KernelClock::now(), what))?;
        }
        if self.watch.report() != watched_before {
            self.report_status()?;
        }
        Ok(())
    }

    /// Follows modules that came or went. True when a probe changed its state.
    fn refresh_path(&mut self) -> bool {
        let has_changed = self.kernel.refresh_path();
        if has_changed {
            self.note_probes();
        }
        has_changed
    }

    fn report_status(&mut self) -> Result<(), Error> {
        let agent_status = self.status()?;
        self.write(Severity::Info, Body::AgentStatus { agent_status })
    }

    /// Reports harmful drops at once, and the others at the interval of statistics.
    async fn look_for_drops(&mut self) -> Result<(), Error> {
        let all = self.next_benign <= Instant::now();
        if all {
            self.next_benign = Instant::now() + self.options.stats_interval;
        }
        self.report_drops(all, false).await
    }

    fn report_losses(&mut self) -> Result<(), Error> {
        let status = self.status()?;
        self.sinks.note(&status, || self.kernel.measure(&mut self.records));
        for agent_loss in self.losses.since(&status) {
            warn!(stage = ?agent_loss.stage, lost = agent_loss.lost, "lost; {}", agent_loss.remedy);
            self.write(Severity::Warning, Body::AgentLoss { agent_loss })?;
        }
        Ok(())
    }

    /// An event of the agent itself.
    fn event(&self, severity: Severity, body: Body) -> Event {
        Event { ts: KernelClock::now(), body, severity, host: self.host.clone(), session: None }
    }

    fn write(&mut self, severity: Severity, body: Body) -> Result<(), Error> {
        let event = self.event(severity, body);
        self.correlator.line(&event);
        Ok(self.sinks.write(&event)?)
    }

    fn write_events(&mut self) -> Result<(), Error> {
        for event in self.events.drain(..) {
            self.sinks.write(&event)?;
        }
        Ok(())
    }
}

impl Observation {
    /// A change of a device, seen now.
    fn of_device(at: Timestamp, what: crate::observation::What) -> Self {
        use crate::observation::{Clock, Origin};
        Self { at, clock: Clock::Agent, origin: Origin::Devices, what }
    }
}

/// Begins a recording.
fn recorder(path: &Path, file: Arc<File>, config: &session::Config) -> Result<Recorder, Error> {
    let ns = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let mut header = Header::new(
        config.host.clone(),
        ns(config.stats_interval),
        u32::try_from(config.max_sessions).unwrap_or(u32::MAX),
        ns(config.idle_limit),
    );
    header.all_log_lines = config.all_log_lines;
    Recorder::start(BufWriter::new(file), &header)
        .map_err(|source| Error::Record { path: path.to_owned(), source })
}

/// Waits for `ns`, or for ever.
async fn wait(ns: Option<u64>) {
    match ns {
        Some(ns) => sleep(Duration::from_nanos(ns)).await,
        None => future::pending().await,
    }
}

/// Passes the debug records of the kernel programs on, for ever.
async fn pass_on(debug_log: Option<DebugLog>) -> io::Error {
    match debug_log {
        Some(log) => match log.run().await {
            Ok(()) => future::pending().await,
            Err(error) => error,
        },
        None => future::pending().await,
    }
}

/// Completes when the agent should end. The handlers are in place when this returns.
fn stop_signal(duration: Option<Duration>) -> Result<impl Future<Output = StopReason>, Error> {
    let catch = |kind| signal(kind).map_err(Error::Signals);
    let mut interrupt = catch(SignalKind::interrupt())?;
    let mut terminate = catch(SignalKind::terminate())?;
    let end = wait(duration.map(|duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)));
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => StopReason::Signal,
            _ = terminate.recv() => StopReason::Signal,
            () = end => StopReason::Duration,
        }
    })
}
