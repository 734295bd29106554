//! Takes what the kernel programs have: records of the ring, and counters.

use pptpscope_common::Kind;
use tracing::debug;

use super::{Agent, Error};
use crate::source::kernel::{KernelClock, flow, inner, limited, map_key, map_keys, record};

/// Ring records taken before the timers are looked at again.
const DRAIN_LIMIT: usize = 1024;
/// So often in a row at most: more than the usual ring holds, and a flood does not keep the timers waiting.
const MAX_DRAINS: usize = 16;

impl Agent {
    /// Takes what the ring holds; whether there may be more.
    pub(super) fn drain(&mut self) -> Result<bool, Error> {
        let Self { records, correlator, clock, events, undecodable, radius, .. } = self;
        let taken =
            records.drain(DRAIN_LIMIT, |header, packet| match record(&header, packet, *clock, radius) {
                Ok(observation) => correlator.observe(&observation, events),
                Err(error) => {
                    *undecodable += 1;
                    debug!(%error, bytes = packet.len(), "cannot read a packet of the ring");
                }
            });
        self.forget_released()?;
        self.write_events()?;
        Ok(taken == DRAIN_LIMIT)
    }

    /// Lets the correlator's time pass, with the counters that it wants for that.
    pub(super) fn advance(&mut self) -> Result<(), Error> {
        let now = KernelClock::now();
        let is_look = self.correlator.wants_all_flows(now);
        let wanted = if is_look {
            // What leaves the host is read before what enters it: a packet that passes in between is
            // under way, and not one too many.
            self.read_units()?;
            let flows = self.kernel.flows()?;
            self.flows_used = flows.len() as u64;
            self.take_inner(None)?;
            // The ring has what made these flows: a flow must not be met before its call is.
            for _ in 0..MAX_DRAINS {
                if !self.drain()? {
                    break;
                }
            }
            flows
        } else {
            let mut wanted = Vec::new();
            for key in self.correlator.wanted_flows(now).iter().flat_map(map_keys) {
                wanted.extend(self.kernel.flow(&key)?.map(|counters| (key, counters)));
            }
            wanted
        };
        for (key, counters) in wanted {
            self.correlator.observe(&flow(&key, counters, self.clock, now), &mut self.events);
        }
        if is_look {
            self.complete_look();
            self.look_again_soon();
        }
        self.correlator.advance(now, &mut self.events);
        self.forget_released()?;
        self.write_events()
    }

    /// Takes the counters of the pppN that moved.
    pub(super) fn take_inner(&mut self, only: Option<u32>) -> Result<(), Error> {
        let now = KernelClock::now();
        for (index, direction, counters) in self.watch.moved_inside(&self.kernel, only)? {
            self.correlator.observe(&inner(index, direction, counters, now), &mut self.events);
        }
        self.write_events()
    }

    /// Takes the addresses that are beyond their limit, when there are any.
    pub(super) fn take_limited(&mut self) -> Result<(), Error> {
        let accounts = self.kernel.accounts()?;
        let suppressed = accounts.iter().map(|account| account.suppressed).sum();
        if std::mem::replace(&mut self.suppressed, suppressed) == suppressed {
            return Ok(());
        }
        let now = KernelClock::now();
        // ICMP errors are evidence about others, not an attempt of theirs.
        let sources = self.kernel.limited_sources()?.into_iter();
        for source in sources.filter(|source| source.kind == Kind::Control) {
            self.correlator.observe(&limited(source.address, source.limited, now), &mut self.events);
        }
        self.write_events()
    }

    /// Takes the flows of ended calls out of the kernel's map, and tells it which belong together.
    pub(super) fn forget_released(&mut self) -> Result<(), Error> {
        for (one, other) in self.correlator.take_paired() {
            self.kernel.pair(&map_key(&one), &map_key(&other))?;
        }
        let released = self.correlator.take_released();
        for key in released.iter().flat_map(map_keys) {
            self.kernel.remove_flow(&key)?;
        }
        self.forget_calls(&released);
        Ok(())
    }
}
