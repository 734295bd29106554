//! `agent.status`: what the agent knows about itself.

use pptpscope_common::{Kind, Refusal};

use super::{Agent, Error};
use crate::event::agent::{Account, Refused, Ring, Status, Table};

impl Agent {
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
        Ok(Status {
            uptime_ns: u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX),
            interfaces: self.watch.report(),
            ring: Ring { control: account(Kind::Control), ppp: account(Kind::Ppp) },
            refused: Refused {
                short: refused(Refusal::Short),
                version_0: refused(Refusal::Version0),
                version_unknown: refused(Refusal::VersionUnknown),
                not_pptp: refused(Refusal::NotPptp),
                flows_full: refused(Refusal::FlowsFull),
                fragment_unmatched: refused(Refusal::FragmentUnmatched),
            },
            flows: Table { used: self.flows_used, limit: self.kernel.max_flows().into() },
            sessions: Table { used: sessions.live, limit: self.options.max_sessions.into() },
            sessions_evicted: sessions.evicted,
            undecodable: self.undecodable + self.records.malformed(),
            netlink_overruns: self.devices.overflows(),
            events_written: self.sink.written(),
            events_dropped: self.sink.dropped(),
            rss_bytes: resident_bytes(),
        })
    }
}

/// Resident memory of this process (proc(5), statm, second field), bytes.
fn resident_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    pages.checked_mul(rustix::param::page_size() as u64)
}
