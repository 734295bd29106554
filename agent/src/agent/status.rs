//! `agent.status`: what the agent knows about itself.

use pptpscope_common::{Kind, Refusal};

use super::{Agent, Error};
use crate::event::agent::{Account, Books, Drops, Probe, ProbeState, Refused, Ring, Sink, Status, Table};
use crate::kernel;
use crate::sink::worker::Report;
use crate::source::clock;

impl Agent {
    /// The probes of the path tier.
    pub(super) fn probes(&self) -> Vec<Probe> {
        let word = |state| match state {
            kernel::ProbeState::Attached => (ProbeState::Attached, None),
            kernel::ProbeState::Waiting(module) => {
                (ProbeState::Waiting, Some(format!("for module {module}")))
            }
            kernel::ProbeState::Idle => (ProbeState::Idle, None),
            kernel::ProbeState::Refused(why) => (ProbeState::Refused, Some(why)),
            kernel::ProbeState::Disabled(why) => (ProbeState::Disabled, Some(why)),
        };
        let probe = |probe: kernel::Probe| {
            let (state, note) = word(probe.state);
            Probe { name: probe.program.to_owned(), target: probe.target, state, note }
        };
        self.kernel.probes().into_iter().map(probe).collect()
    }

    /// The state now.
    pub(super) fn status(&self) -> Result<Status, Error> {
        let accounts = self.kernel.accounts()?;
        let account = |kind: Kind| {
            let sums = &accounts[kind as usize];
            Account {
                seen: sums.seen,
                submitted: sums.submitted,
                ring_full: sums.ring_full,
                suppressed: sums.suppressed,
                truncated: sums.truncated,
            }
        };
        let refusals = self.kernel.refusals()?;
        let refused = |refusal: Refusal| refusals[refusal as usize];
        let sessions = self.correlator.totals();
        let sinks: Vec<Sink> = self.sinks.reports().into_iter().map(Sink::from).collect();
        let books = self.correlator.books();
        Ok(Status {
            uptime_ns: u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX),
            interfaces: self.watch.report(),
            ring: Ring {
                control: account(Kind::Control),
                ppp: account(Kind::Ppp),
                icmp: account(Kind::Icmp),
                radius: account(Kind::Radius),
            },
            logs: self.log_sources(),
            clock: clock::discipline().ok(),
            refused: Refused {
                short: refused(Refusal::Short),
                version_0: refused(Refusal::Version0),
                version_unknown: refused(Refusal::VersionUnknown),
                not_pptp: refused(Refusal::NotPptp),
                flows_full: refused(Refusal::FlowsFull),
                fragment_unmatched: refused(Refusal::FragmentUnmatched),
            },
            inner_interfaces: self.watch.inner_interfaces(),
            capabilities: kernel::held_capabilities(),
            probes: self.probes(),
            drops: Drops {
                harmful: self.drop_totals().0,
                benign: self.drop_totals().1,
                unbooked: self.kernel.drops_unbooked()?,
            },
            books: Books {
                received: books.received,
                sent: books.sent,
                unaccounted: books.unaccounted,
                armed: self.books.is_armed(),
                datapaths: self.correlator.host_books(),
            },
            flows: Table { used: self.flows_used, limit: self.kernel.max_flows().into() },
            units: Table { used: self.kernel.units()?.len() as u64, limit: self.options.max_sessions.into() },
            sessions: Table { used: sessions.live, limit: self.options.max_sessions.into() },
            sessions_evicted: sessions.evicted,
            undecodable: self.undecodable + self.records.malformed(),
            netlink_overruns: self.devices.overflows(),
            events_written: sinks.iter().map(|sink| sink.written).sum(),
            events_dropped: sinks.iter().map(|sink| sink.dropped).sum(),
            sinks,
            rss_bytes: resident_bytes(),
        })
    }
}

impl From<Report> for Sink {
    fn from(report: Report) -> Self {
        let Report { name, written, dropped, waiting, spooled, error } = report;
        Self { name, written, dropped, waiting, spooled, error }
    }
}

/// Resident memory of this process (proc(5), statm, second field), bytes.
fn resident_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    pages.checked_mul(rustix::param::page_size() as u64)
}
