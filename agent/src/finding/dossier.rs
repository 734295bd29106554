//! All that is known about one call, in the form that rules read.
//!
//! Filled from the events of the correlator, so that whatever it learns to report can become a fact.

mod control;
mod link;
mod logs;
mod told;
mod traffic;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use super::fact::View;
use crate::event::finding::Source;
use crate::event::session::{Cause, Origin, Phase};
use crate::event::{Body, Event, Party, PerParty, SessionRef};
use crate::seldom::{Seldom, seldom};
use crate::time::Timestamp;

pub(super) use control::{Control, ECHO_PATIENCE, Reply};
pub(super) use link::{Auth, Ccp, Ipcp, Lcp};
pub(super) use logs::{LogLine, Logs};
pub(super) use told::Told;
pub(super) use traffic::{Loss, Sums, Traffic};

/// Which sources have spoken at all since the start. One that never did is blind, not silent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sources {
    /// Packets are seen live: the kernel of this host can tell what it drops.
    pub(super) kernel: bool,
    /// Packets are seen at all.
    pub(super) wire: bool,
    /// Lines of a daemon's log are read.
    pub(super) log: bool,
    /// RADIUS packets are seen.
    pub(super) radius: bool,
}

/// How often something happened, and when. Each call has two dozen of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) first: Timestamp,
    pub(super) count: u32,
    /// From the first time to the last one, milliseconds: up to 49 days.
    span_ms: u32,
}

impl Tally {
    pub(super) const NONE: Self = Self { first: Timestamp::from_unix_ns(0), count: 0, span_ms: 0 };

    pub(super) fn add(&mut self, at: Timestamp) {
        if self.count == 0 {
            self.first = at;
        }
        self.count = self.count.saturating_add(1);
        self.span_ms = u32::try_from(at.ns_since(self.first) / 1_000_000).unwrap_or(u32::MAX);
    }

    /// When it happened last, to the millisecond; the epoch when it did not.
    pub(super) fn last(&self) -> Timestamp {
        self.first + Duration::from_millis(self.span_ms.into())
    }

    pub(super) const fn any(&self) -> bool {
        self.count > 0
    }

    /// When it happened first, if it did.
    pub(super) fn since(&self) -> Option<Timestamp> {
        self.any().then_some(self.first)
    }
}

seldom!(PerParty<Tally>);

/// Keep-alives of one kind.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Echo {
    /// Requests without a reply since the last one, by who sent them.
    pub(super) pending: PerParty<Tally>,
    /// By who sent them.
    pub(super) replies: PerParty<Tally>,
}

seldom!(Echo);

impl Echo {
    fn request(&mut self, at: Timestamp, by: Party) {
        bump(&mut self.pending, by, at);
    }

    fn reply(&mut self, at: Timestamp, by: Party) {
        *self.pending.of_mut(by.peer()) = Tally::default();
        bump(&mut self.replies, by, at);
    }
}

/// What began the end of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ending {
    pub(super) cause: Cause,
    pub(super) by: Option<Party>,
    pub(super) at: Timestamp,
    /// The phase that was left.
    pub(super) phase: Phase,
}

/// What takes calls on the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) enum Daemon {
    /// pptpd with pppd.
    #[serde(rename = "pptpd")]
    Pptpd,
    /// accel-ppp.
    #[serde(rename = "accel-ppp")]
    AccelPpp,
    /// Windows Routing and Remote Access.
    #[serde(rename = "rras")]
    Rras,
    /// Nobody said.
    #[serde(skip)]
    Unknown,
}

/// One call.
#[derive(Clone, Debug)]
pub(super) struct Dossier {
    pub(super) call: Arc<SessionRef>,
    pub(super) began: Timestamp,
    /// The time up to which is known what is known.
    pub(super) now: Timestamp,
    pub(super) origin: Origin,
    pub(super) phase: Phase,
    /// When each phase was entered first.
    entered: [Option<Timestamp>; Phase::COUNT],
    pub(super) up: Option<Timestamp>,
    pub(super) ending: Option<Ending>,
    /// `session.end` was said.
    pub(super) over: bool,
    pub(super) control: Control,
    pub(super) lcp: Lcp,
    pub(super) auth: Auth,
    pub(super) ccp: Ccp,
    pub(super) ipcp: Ipcp,
    pub(super) traffic: Traffic,
    pub(super) logs: Logs,
    pub(super) told: Seldom<Told>,
    /// Another call that is up has the same address in its tunnel, and whose it is.
    pub(super) same_address: Option<Box<(Timestamp, String)>>,
    pub(super) sources: Sources,
}

impl View for Dossier {
    fn blind(&self, source: Source) -> Option<&'static str> {
        let (can_speak, why) = match source {
            Source::Control | Source::Negotiation | Source::Gre => {
                (self.sources.wire, "no packets of the call were read")
            }
            Source::Kernel | Source::Icmp => (
                self.sources.kernel,
                "the kernel of the VPN host was not watched, only packets or logs were read",
            ),
            Source::Log => (self.sources.log, "no log of the daemons was read"),
            Source::Radius => (self.sources.radius, "no RADIUS packets were seen on this host"),
            Source::Inner | Source::History => (true, ""),
        };
        (!can_speak).then_some(why)
    }
}

impl Dossier {
    pub(super) fn new(call: Arc<SessionRef>, at: Timestamp, sources: Sources) -> Self {
        Self {
            call,
            began: at,
            now: at,
            origin: Origin::Traffic,
            phase: Phase::Tcp,
            entered: [None; Phase::COUNT],
            up: None,
            ending: None,
            over: false,
            control: Control::default(),
            lcp: Lcp::default(),
            auth: Auth::default(),
            ccp: Ccp::default(),
            ipcp: Ipcp::default(),
            traffic: Traffic::default(),
            logs: Logs::default(),
            told: Seldom::default(),
            same_address: None,
            sources,
        }
    }

    /// Takes an event of the call. Returns whether a rule may conclude something else now.
    pub(super) fn take(&mut self, event: &Event) -> bool {
        let at = event.ts;
        self.now = self.now.max(at);
        if let Some(call) = &event.session
            && *call != self.call
        {
            self.call = Arc::clone(call);
        }
        match &event.body {
            Body::SessionStart { session_start } => {
                self.origin = session_start.origin;
                self.enter(session_start.phase, at);
            }
            Body::SessionPhase { session_phase: change } => {
                if change.phase >= Phase::Closing {
                    self.ending.get_or_insert(Ending {
                        cause: change.reason,
                        by: change.by,
                        at,
                        phase: change.previous,
                    });
                }
                self.enter(change.phase, at);
            }
            Body::SessionEnd { session_end: end } => {
                self.ending.get_or_insert(Ending {
                    cause: end.reason,
                    by: end.by,
                    at,
                    phase: end.last_phase,
                });
                if end.was_up {
                    self.up.get_or_insert(at);
                }
                self.over = true;
            }
            Body::ControlMessage { control_message } => {
                self.control.message(at, control_message.sender, &control_message.message);
            }
            Body::ControlGarbage { control_garbage } => self.control.garbage(at, control_garbage),
            Body::PppNegotiation { ppp_negotiation } => {
                if let (Some(frame), false) = (&ppp_negotiation.frame, ppp_negotiation.copy) {
                    link::take(self, at, ppp_negotiation.sender, frame);
                }
            }
            Body::GreStats { gre_stats } => return self.traffic.counters(at, gre_stats),
            Body::Drop { drop } => self.traffic.dropped(at, drop),
            Body::Log { log } => return self.logs.take(at, log),
            Body::RadiusExchange { radius_exchange } => return self.told.exchange(at, radius_exchange),
            Body::AuthResult { auth_result } if told::is_news(auth_result) => {
                self.told.no_result(at, auth_result);
            }
            Body::PppEchoMissed { ppp_echo_missed } => self.told.lcp_missed(at, ppp_echo_missed),
            Body::ControlEchoMissed { control_echo_missed } => {
                self.told.control_missed(at, control_echo_missed);
            }
            Body::MppeStall { mppe_stall } => self.told.stall(at, mppe_stall),
            Body::IcmpError { icmp_error } => self.told.icmp(at, icmp_error),
            Body::GreRoutingLoop { gre_routing_loop } => self.told.routing_loop(at, gre_routing_loop),
            Body::GreOneWay { gre_one_way } => self.told.one_way(at, gre_one_way),
            Body::MtuMssViolation { mtu_mss_violation } => self.told.mss(at, mtu_mss_violation),
            Body::Books { books } => return self.told.books(at, books),
            _ => return false,
        }
        true
    }

    pub(super) fn enter(&mut self, phase: Phase, at: Timestamp) {
        self.phase = phase;
        if phase == Phase::Up {
            self.up.get_or_insert(at);
        }
        if let Some(entered) = self.entered.get_mut(phase as usize) {
            entered.get_or_insert(at);
        }
    }

    /// When the phase was entered first.
    pub(super) fn entered(&self, phase: Phase) -> Option<Timestamp> {
        self.entered.get(phase as usize).copied().flatten()
    }

    /// The client, in sentences.
    pub(super) fn client(&self) -> String {
        name(self.call.client, "the client")
    }

    /// The server, in sentences.
    pub(super) fn server(&self) -> String {
        name(self.call.server, "the server")
    }

    /// The program that takes the server's calls, as far as anybody said.
    pub(super) fn daemon(&self) -> Daemon {
        let vendor = self.control.server_vendor.as_deref().unwrap_or_default();
        let logged = |program: &str| self.logs.lines.iter().any(|line| line.program == program);
        if logged("accel-ppp") || vendor.starts_with("cananian") {
            Daemon::AccelPpp
        } else if vendor.starts_with("Microsoft") {
            Daemon::Rras
        } else if logged("pptpd") || vendor.starts_with("linux") || vendor.starts_with("MoretonBay") {
            Daemon::Pptpd
        } else {
            Daemon::Unknown
        }
    }

    /// Whether the call was met at its beginning: then what is not there was not there.
    pub(super) fn is_whole(&self) -> bool {
        self.origin == Origin::Control && self.entered(Phase::Tcp).is_some()
    }

    /// Why nothing can be said about the beginning of the call; None when it was seen.
    pub(super) fn beginning_unseen(&self) -> Option<&'static str> {
        (!self.is_whole()).then_some("the beginning of the call was not seen")
    }

    /// Whether the end of the call has begun.
    pub(super) const fn is_ending(&self) -> bool {
        self.ending.is_some()
    }

    /// Whether it ended without ever being up.
    pub(super) const fn failed(&self) -> bool {
        self.is_ending() && self.up.is_none()
    }

    /// Nanoseconds that have passed since `at`.
    pub(super) fn ns_since(&self, at: Timestamp) -> u64 {
        self.now.ns_since(at)
    }

    /// When time alone may change what rules conclude: the next wait that comes to its end.
    pub(super) fn next_check(&self) -> Option<Timestamp> {
        if self.is_ending() {
            return None;
        }
        let waits = [
            (self.phase == Phase::Tcp).then_some(self.began + control::SYN_PATIENCE),
            self.control
                .start_request
                .since()
                .filter(|_| self.control.start_reply.is_none())
                .map(|at| at + control::REPLY_PATIENCE),
            self.control.echo.pending.client.since().map(|at| at + ECHO_PATIENCE),
            self.control.echo.pending.server.since().map(|at| at + ECHO_PATIENCE),
        ];
        waits.into_iter().flatten().filter(|at| *at > self.now).min()
    }
}

/// The name of an end, in sentences.
pub(super) const fn the(party: Party) -> &'static str {
    match party {
        Party::Client => "the client",
        Party::Server => "the server",
    }
}

/// Adds one for `party`.
pub(super) fn bump(tallies: &mut PerParty<Tally>, party: Party, at: Timestamp) {
    tallies.of_mut(party).add(at);
}

/// An address in sentences.
fn name(address: Option<Ipv4Addr>, unknown: &str) -> String {
    address.map_or_else(|| unknown.to_owned(), |address| address.to_string())
}
