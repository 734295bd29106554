//! `pptpscope doctor`: the checklist of a PPTP host, without waiting for a call.
//!
//! [`gather`] looks at the host once; every check is a pure function of the [`facts::Facts`] it found.

pub mod accel_conf;
pub mod facts;
pub mod firewall;
pub mod gather;
mod host;
mod pool;
pub mod ppp_options;
pub mod pptpd_conf;
pub mod radius;
mod report;
pub mod secrets;
mod text;

pub use report::{Check, Problem, REPORT_VERSION, Report, Status, Summary, schema};
pub use text::write_text;

use facts::Facts;

/// Judges the facts. Always the same checks, in the same order.
pub fn examine(facts: &Facts) -> Report {
    let mut checks = vec![host::listener(facts)];
    checks.extend(firewall::checks(facts));
    checks.extend([
        host::conntrack(facts),
        host::modules(facts),
        pptpd_conf::check(facts),
        accel_conf::check(facts),
        ppp_options::names_check(facts),
        ppp_options::plugins_check(facts),
        ppp_options::auth_check(facts),
        ppp_options::mtu_check(facts),
        secrets::check(facts),
        pool::check(facts),
        radius::check(facts),
        host::forwarding(facts),
        host::reverse_path(facts),
        host::buffers(facts),
        host::clock(facts),
        host::probes(facts),
    ]);
    Report::new(facts.at, facts.host.clone(), facts.root.clone(), facts.privileged, checks)
}

#[cfg(test)]
mod tests;
