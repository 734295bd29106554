//! The facts that rules are made of, by who confirms them.

pub(super) mod auth;
pub(super) mod control;
pub(super) mod gre;
pub(super) mod host;
pub(super) mod inner;
pub(super) mod ip;
pub(super) mod lcp;
pub(super) mod logs;
pub(super) mod mppe;
pub(super) mod radius;

use crate::finding::dossier::Tally;

/// `3 times, last 12:00:01.5` of a tally, in the words of evidence.
fn times(tally: &Tally, what: &str) -> String {
    match tally.count {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s in {:.1} s", tally.last().ns_since(tally.first) as f64 / 1e9),
    }
}
