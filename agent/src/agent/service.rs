//! What the service manager is told: sd_notify(3). Nothing, where nobody listens.

use std::time::Duration;

use libsystemd::daemon::{self, NotifyState};
use tokio::time::Instant;
use tracing::debug;

/// The agent as a service of systemd.
#[derive(Debug)]
pub(super) struct Service {
    is_managed: bool,
    /// How often a sign of life is due, and when the next one is.
    watchdog: Option<(Duration, Instant)>,
}

impl Service {
    /// Who started us, as the environment tells.
    pub(super) fn find() -> Self {
        let is_managed = std::env::var_os("NOTIFY_SOCKET").is_some();
        // sd_watchdog_enabled(3) recommends half of the time after which the service is killed.
        let period = daemon::watchdog_enabled(false).filter(|limit| is_managed && !limit.is_zero());
        Self { is_managed, watchdog: period.map(|limit| (limit / 2, Instant::now())) }
    }

    /// Whether a service manager watches: it ends the agent by SIGTERM, and means reloading by SIGHUP.
    pub(super) const fn is_managed(&self) -> bool {
        self.is_managed
    }

    /// Everything is attached.
    pub(super) fn ready(&self, interfaces: usize) {
        let status = format!("watching {interfaces} interfaces");
        self.tell(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    /// The end has begun: it takes some seconds.
    pub(super) fn stopping(&self) {
        self.tell(&[NotifyState::Stopping]);
    }

    /// The loop is alive: called in every round, says so when it is due.
    pub(super) fn alive(&mut self) {
        let now = Instant::now();
        let Some((period, next)) = &mut self.watchdog else { return };
        if *next <= now {
            *next = now + *period;
            self.tell(&[NotifyState::Watchdog]);
        }
    }

    fn tell(&self, state: &[NotifyState]) {
        if self.is_managed
            && let Err(error) = daemon::notify(false, state)
        {
            debug!(%error, "the service manager cannot be told");
        }
    }
}
