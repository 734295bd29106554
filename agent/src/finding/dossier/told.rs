//! What the correlator itself has concluded about a call, as rules read it: RADIUS exchanges, results of
//! authentication, keep-alives, decryption that stands still, books that do not balance.

use std::net::Ipv4Addr;

use super::{Tally, bump};
use crate::event::auth::{AuthResult, Outcome as Proof};
use crate::event::books::{Books, Stage};
use crate::event::echo::EchoMissed;
use crate::event::finding::quoted;
use crate::event::gre::{OneWay, RoutingLoop};
use crate::event::icmp;
use crate::event::mppe::{Stall, StallState};
use crate::event::mtu::MssViolation;
use crate::event::radius::{Exchange, Outcome};
use crate::event::{Party, PerParty};
use crate::seldom::seldom;
use crate::time::Timestamp;
use crate::wire::icmp::Unreachable;
use crate::wire::radius::Code;

/// RADIUS exchanges about a call.
#[derive(Clone, Debug, Default)]
pub(in crate::finding) struct Radius {
    /// Requests for access whose answer came, of whatever kind.
    pub(in crate::finding) answered: Tally,
    /// Requests for access that were never answered, and what was last asked of whom.
    pub(in crate::finding) silent: Tally,
    pub(in crate::finding) silent_words: String,
    /// Answers that were made with another secret.
    pub(in crate::finding) forged: Tally,
    /// Requests that were repeated after their answer had come.
    pub(in crate::finding) ignored: Tally,
    /// The answer for access that took longest, nanoseconds.
    pub(in crate::finding) slowest: Option<(Timestamp, u64)>,
    /// Access was refused, and in which words.
    pub(in crate::finding) rejected: Option<(Timestamp, String)>,
    /// Access was granted without keys for MPPE.
    pub(in crate::finding) no_keys: Option<Timestamp>,
}

/// What else was told.
#[derive(Clone, Debug, Default)]
pub(in crate::finding) struct Told {
    pub(in crate::finding) radius: Radius,
    /// A response that was never answered: how long it waited is not told, only that the call closed.
    pub(in crate::finding) no_result: Option<(Timestamp, u32)>,
    /// LCP Echo-Requests that were missed, by who asked.
    pub(in crate::finding) lcp_missed: PerParty<Tally>,
    /// The same on the control connection.
    pub(in crate::finding) control_missed: PerParty<Tally>,
    /// The last that was heard of decryption that stands still.
    pub(in crate::finding) stall: Option<(Timestamp, Stall)>,
    /// The same, once it was fatal.
    pub(in crate::finding) stall_fatal: Option<(Timestamp, Stall)>,
    /// The first ICMP error about the call's GRE that is not about its size, in words.
    pub(in crate::finding) icmp_error: Option<(Timestamp, String)>,
    /// The smallest MTU that a router named because a packet of the call did not fit, and which router.
    pub(in crate::finding) path_mtu: Option<(Timestamp, u16, Ipv4Addr)>,
    /// The last that was heard of an end that sends while nothing comes from the other.
    pub(in crate::finding) one_way: Option<(Timestamp, OneWay)>,
    /// When GRE of the call was first sent into its own tunnel, and the last that was heard of it.
    pub(in crate::finding) routing_loop: Option<(Timestamp, RoutingLoop)>,
    /// The last segments with an MSS that does not fit, by who sent them.
    pub(in crate::finding) mss: PerParty<Option<(Timestamp, MssViolation)>>,
    /// The last books.
    pub(in crate::finding) books: Option<(Timestamp, Books)>,
}

seldom!(Told);

/// Packets that are missing without a reason behind a stage.
pub(in crate::finding) struct Gap {
    pub(in crate::finding) at: Timestamp,
    pub(in crate::finding) stage: Stage,
    pub(in crate::finding) missing: u64,
    pub(in crate::finding) of: u64,
}

/// Whether the result says what its messages do not.
pub(super) fn is_news(result: &AuthResult) -> bool {
    result.outcome == Proof::NoResult && result.authenticator == Party::Server
}

impl Told {
    pub(super) fn exchange(&mut self, at: Timestamp, exchange: &Exchange) -> bool {
        if exchange.request != Code::AccessRequest {
            return false;
        }
        let radius = &mut self.radius;
        match exchange.outcome {
            Outcome::Timeout => {
                radius.silent.add(at);
                radius.silent_words =
                    format!("{}, asked {} times", exchange.server, u64::from(exchange.retransmissions) + 1);
            }
            Outcome::WrongSecret => radius.forged.add(at),
            Outcome::AnswerIgnored => radius.ignored.add(at),
            Outcome::Rejected => {
                let words = exchange.facts.reply_message.as_deref().map(quoted);
                let error = exchange.facts.chap_error.map(|error| format!("E={error}"));
                let words: Vec<String> = error.into_iter().chain(words).collect();
                radius.rejected.get_or_insert((at, words.join(", ")));
            }
            Outcome::Accepted if exchange.facts.mppe_keys == Some(false) => {
                radius.no_keys.get_or_insert(at);
            }
            Outcome::Accepted | Outcome::Challenged | Outcome::Unknown => {}
        }
        if exchange.answer.is_some() {
            radius.answered.add(at);
        }
        if let Some(latency) = exchange.latency_ns
            && radius.slowest.is_none_or(|(_, slowest)| slowest < latency)
        {
            radius.slowest = Some((at, latency));
        }
        true
    }

    pub(super) fn no_result(&mut self, at: Timestamp, result: &AuthResult) {
        self.no_result.get_or_insert((at, result.responses + result.response_retransmissions));
    }

    pub(super) fn lcp_missed(&mut self, at: Timestamp, missed: &EchoMissed) {
        bump(&mut self.lcp_missed, missed.sender, at);
    }

    pub(super) fn control_missed(&mut self, at: Timestamp, missed: &EchoMissed) {
        bump(&mut self.control_missed, missed.sender, at);
    }

    pub(super) fn icmp(&mut self, at: Timestamp, error: &icmp::Error) {
        if error.quoted != icmp::QuotedProtocol::Gre {
            return;
        }
        match (error.unreachable, error.next_hop_mtu_bytes) {
            (Some(Unreachable::FragmentationNeeded), Some(mtu)) => {
                if self.path_mtu.is_none_or(|(_, known, _)| mtu < known) {
                    self.path_mtu = Some((at, mtu, error.reporter));
                }
            }
            (Some(Unreachable::FragmentationNeeded), None) => {}
            (unreachable, _) => {
                let code = unreachable.map_or(String::new(), |code| format!(" ({code})"));
                let what = format!("{}{code}", error.kind).replace('_', " ");
                self.icmp_error.get_or_insert_with(|| (at, format!("{what} from {}", error.reporter)));
            }
        }
    }

    pub(super) fn one_way(&mut self, at: Timestamp, one_way: &OneWay) {
        self.one_way = Some((at, one_way.clone()));
    }

    pub(super) fn routing_loop(&mut self, at: Timestamp, routing_loop: &RoutingLoop) {
        let since = self.routing_loop.map_or(at, |(since, _)| since);
        self.routing_loop = Some((since, *routing_loop));
    }

    pub(super) fn mss(&mut self, at: Timestamp, violation: &MssViolation) {
        *self.mss.of_mut(violation.sender) = Some((at, violation.clone()));
    }

    pub(super) fn stall(&mut self, at: Timestamp, stall: &Stall) {
        self.stall = Some((at, *stall));
        if stall.state == StallState::Fatal {
            self.stall_fatal.get_or_insert((at, *stall));
        }
    }

    pub(super) fn books(&mut self, at: Timestamp, books: &Books) -> bool {
        let is_news = self.books.as_ref().is_none_or(|(_, known)| known != books);
        self.books = Some((at, books.clone()));
        is_news
    }

    /// Where most packets are missing without a reason.
    pub(in crate::finding) fn gap(&self) -> Option<Gap> {
        let (at, books) = self.books.as_ref()?;
        let stages = books.received.stages.iter().chain(&books.sent.stages);
        let worst = stages.max_by_key(|stage| stage.unaccounted)?;
        Some(Gap { at: *at, stage: worst.stage, missing: worst.unaccounted, of: worst.packets })
    }
}
