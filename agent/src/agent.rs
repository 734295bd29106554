//! The running agent: kernel and devices in, correlator, lines out.

mod losses;
mod status;

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep};
use tracing::{debug, info, warn};

use crate::event::agent::{Start, StopReason};
use crate::event::{Body, Event, SCHEMA_VERSION, Severity, agent};
use crate::kernel::{self, IngressMode, Kernel, devices};
use crate::observation::{Observation, What};
use crate::session::{Config, Correlator};
use crate::sink::lines::{self, LineSink};
use crate::source::kernel::{KernelClock, flow, record};
use crate::time::Timestamp;
use losses::Losses;

/// How often losses are looked for and the clocks are compared.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// Why the agent cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel programs could not be loaded.
    #[error(transparent)]
    Load(#[from] kernel::LoadError),
    /// The devices of the host cannot be watched.
    #[error(transparent)]
    Devices(#[from] devices::Error),
    /// The events cannot be written.
    #[error(transparent)]
    Sink(#[from] lines::Error),
    /// Signals cannot be caught.
    #[error("cannot catch signals")]
    Signals(#[source] std::io::Error),
    /// The ring cannot be read.
    #[error("cannot wait for the ring of the kernel programs")]
    Ring(#[source] std::io::Error),
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
}
