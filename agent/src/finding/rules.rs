//! The rules, one file for each family of the catalogue.
//!
//! A rule reads from top to bottom: it concludes when everything in `all` and something in `any` is
//! seen, everything in `silent` is silent, and nothing in `unless` is seen. docs/findings.md tells how
//! sure the conclusion is then.

mod auth;
mod control;
mod daemon;
mod gre;
mod host;
mod ipcp;
mod lcp;
mod mppe;
mod mtu;
mod radius;
mod session;
mod witness;

use super::clock::LogClock;
use super::dossier::Dossier;
use super::history::History;
use super::rule::Rule;

/// Rules about one call, causes before effects: of two that are as sure, the earlier one is the cause.
pub(super) const CALL: &[&[Rule<Dossier>]] = &[
    host::CALL,
    control::RULES,
    daemon::RULES,
    radius::RULES,
    mppe::RULES,
    auth::RULES,
    ipcp::RULES,
    witness::RULES,
    gre::RULES,
    lcp::RULES,
    mtu::RULES,
    session::RULES,
];

/// Rules about a client, or the host, over several calls.
pub(super) const HISTORY: &[&[Rule<History>]] = &[control::HISTORY, session::HISTORY];

/// Rules about the clock of a log.
pub(super) const CLOCK: &[&[Rule<LogClock>]] = &[host::CLOCK];
