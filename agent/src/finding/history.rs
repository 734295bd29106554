//! What is known about a client over several calls.

use std::collections::VecDeque;
use std::net::Ipv4Addr;

use super::dossier::Tally;
use super::fact::View;
use crate::event::finding::Source;
use crate::time::Timestamp;

/// Ends of calls that are remembered.
const REMEMBERED: usize = 16;
/// How far back ends count, nanoseconds.
pub(super) const SPAN_NS: u64 = 600_000_000_000;

/// A call that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) at: Timestamp,
    /// How long it was up, nanoseconds.
    pub(super) up_ns: u64,
    /// Code of the finding that tells why it failed.
    pub(super) cause: Option<&'static str>,
}

/// One client.
#[derive(Clone, Debug)]
pub(super) struct History {
    pub(super) client: Ipv4Addr,
    pub(super) now: Timestamp,
    pub(super) ended: VecDeque<Ended>,
    /// Connections without one message.
    pub(super) bare: Tally,
    /// Lines of a daemon about something that is not PPTP.
    pub(super) not_pptp_logged: Tally,
}

impl View for History {
    fn blind(&self, _: Source) -> Option<&'static str> {
        None
    }
}

impl History {
    pub(super) const fn new(client: Ipv4Addr, now: Timestamp) -> Self {
        let (bare, not_pptp_logged) = (Tally::NONE, Tally::NONE);
        Self { client, now, ended: VecDeque::new(), bare, not_pptp_logged }
    }

    /// The client, in sentences.
    pub(super) fn name(&self) -> String {
        self.client.to_string()
    }

    pub(super) fn end(&mut self, ended: Ended) {
        if self.ended.len() == REMEMBERED {
            self.ended.pop_front();
        }
        self.ended.push_back(ended);
    }

    /// Ends within the span before now.
    pub(super) fn recent(&self) -> impl Iterator<Item = &Ended> {
        self.ended.iter().filter(|ended| self.now.ns_since(ended.at) <= SPAN_NS)
    }

    /// Whether nothing of it matters any more.
    pub(super) fn is_stale(&self, now: Timestamp) -> bool {
        let last = self.ended.back().map_or(Timestamp::default(), |ended| ended.at);
        let last = last.max(self.bare.last()).max(self.not_pptp_logged.last());
        now.ns_since(last) > SPAN_NS
    }
}
