//! The end of the agent: everything is detached, and nothing is left behind.

use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};

use super::{Agent, Error};
use crate::event::agent::{self, StopReason};
use crate::event::{Body, Severity};
use crate::source::kernel::{KernelClock, flow};

/// How long logs are read at the end: whoever floods them does not keep the agent alive.
const LAST_LOGS: Duration = Duration::from_secs(2);

impl Agent {
    /// Detaches everything, then takes and writes what is left.
    pub(super) async fn stop(mut self, reason: StopReason) -> Result<(), Error> {
        self.service.stopping();
        let interfaces = self.watch.report();
        let probes = self.probes();
        self.disarm_at_end()?;
        self.watch.detach_all(&mut self.kernel);
        self.read_units()?;
        self.kernel.detach_path();
        while self.drain()? {}
        let patience = Instant::now() + LAST_LOGS;
        let mut has_more = true;
        while has_more && Instant::now() < patience {
            has_more = self.read_logs()?;
        }
        if has_more {
            self.follower.give_up();
            warn!("the logs were not read to their end: agent.stop has the bytes as lost");
        }
        let now = KernelClock::now();
        let flows = self.kernel.flows()?;
        self.flows_used = flows.len() as u64;
        for (key, counters) in flows {
            self.correlator.observe(&flow(&key, counters, self.clock, now), &mut self.events);
        }
        self.take_inner(None)?;
        self.take_limited()?;
        self.report_drops(true, true).await?;
        self.complete_look();
        while !self.correlator.finish(now, &mut self.events) {
            self.write_events()?;
        }
        self.write_events()?;
        self.report_losses()?;
        let status = agent::Status { interfaces, probes, ..self.status()? };
        let agent_stop = agent::Stop { reason, status };
        let last = self.event(Severity::Info, Body::AgentStop { agent_stop });
        self.correlator.line(&last);
        self.correlator.close();
        for name in self.sinks.close(&last)? {
            warn!(sink = name, "some events were not delivered: the receiver is too slow or gone");
        }
        info!("stopped; everything is detached");
        Ok(())
    }
}
