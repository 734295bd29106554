//! What changes while the agent runs: SIGHUP has the configuration read anew.

use std::time::Duration;

use tracing::info;

use super::Agent;
use crate::privacy::Privacy;
use crate::source::radius::Secrets;

/// What needs no restart.
#[derive(Debug)]
pub struct Live {
    /// Interval of `agent.status`.
    pub status_interval: Duration,
    /// Shared secrets of RADIUS servers.
    pub secrets: Secrets,
    /// What becomes of names and addresses; None: nothing.
    pub privacy: Option<Privacy>,
}

/// Reads the configuration. None when it cannot be used: the reader has said why.
pub type Reload = Box<dyn FnMut() -> Option<Live>>;

impl Agent {
    /// What SIGHUP has read.
    #[must_use]
    pub fn reloading(mut self, reload: Reload) -> Self {
        self.reload = Some(reload);
        self
    }

    /// Reads the configuration anew and takes what needs no restart.
    pub(super) fn reload(&mut self) {
        let Some(live) = self.reload.as_mut().and_then(|reload| reload()) else { return };
        self.options.status_interval = live.status_interval;
        self.radius.set_secrets(live.secrets);
        self.sinks.set_privacy(live.privacy);
        info!("the configuration was read anew");
    }
}
