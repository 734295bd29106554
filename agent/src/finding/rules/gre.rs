//! `gre.*`: the tunnel itself.

use crate::event::Party;
use crate::event::finding::Confidence;
use crate::finding::dossier::Dossier;
use crate::finding::fact::Fact;
use crate::finding::facts::{control, gre, inner, lcp, logs};
use crate::finding::rule::Rule;

/// Witnesses of a cause: with one of them silence proves no firewall on the way.
const CAUSES_SEEN: &[Fact<Dossier>] = &[
    gre::DROPPED_BY_FIREWALL,
    gre::ICMP_ERROR,
    gre::NO_RECEIVER_HERE,
    gre::IP_REFUSED,
    gre::NO_ROUTE,
    logs::GRE_SEND_REFUSED,
];

const ROUTED_INTO_ITSELF: &str =
    "The tunnel is routed into itself: its own GRE packets go through it instead of to the other end.";

pub(in crate::finding) const RULES: &[Rule<Dossier>] = &[
    // This host itself: the kernel names the rule's place, or refuses the daemon's send().
    Rule {
        code: "gre.blocked_local",
        any: &[gre::DROPPED_BY_FIREWALL, logs::GRE_SEND_REFUSED],
        unless: &[gre::RP_FILTER, logs::CONNTRACK_FULL],
        supports: &[lcp::SERVER_ASKS_AND_ASKS, logs::GRE_SEND_REFUSED, logs::LCP_TIMEOUT],
        confidence: Confidence::High,
        say: |call| {
            let way = match call
                .traffic
                .drops_of(pptpscope_common::drop::Reason::NetfilterDrop)
                .and_then(|dropped| dropped.hook)
            {
                Some(crate::event::drop::DropHook::Output) => "that it sends to",
                Some(_) => "that comes from",
                None => "of",
            };
            format!("The firewall of this host drops GRE (IP protocol 47) {way} {}.", call.client())
        },
        ..Rule::BLANK
    },
    Rule {
        code: "gre.peer_rejects",
        any: &[gre::ICMP_ERROR, logs::GRE_REFUSED_BY_PEER],
        unless: &[lcp::WAS_UP],
        confidence: Confidence::High,
        say: |call| {
            format!(
                "{} answers GRE with an ICMP error: nobody there, or on its NAT, takes the tunnel.",
                call.client()
            )
        },
        ..Rule::BLANK
    },
    Rule {
        code: "gre.no_receiver",
        all: &[gre::NO_RECEIVER_HERE],
        supports: &[lcp::SERVER_ASKS_AND_ASKS],
        confidence: Confidence::High,
        say: |call| {
            format!(
                "Nobody on this host takes the GRE of {}: its daemon or module is not there, and the client is told so.",
                call.client()
            )
        },
        ..Rule::BLANK
    },
    // Requests go out, not one packet comes back, and the control connection works.
    Rule {
        code: "gre.blocked_inbound",
        all: &[control::CALL_ACCEPTED, lcp::SERVER_ASKS_AND_ASKS],
        silent: &[gre::ANY_FROM_CLIENT],
        unless: CAUSES_SEEN,
        supports: &[control::CONTROL_ANSWERS, control::CLIENT_GAVE_UP, gre::NOT_LOST_HERE, logs::LCP_TIMEOUT],
        against: &[control::LCP_OPEN_AT_CLIENT],
        confidence: Confidence::Medium,
        say: |call| {
            format!(
                "GRE (IP protocol 47) from {} does not arrive: the control connection works, {} asks for LCP and not one packet comes back.",
                call.client(),
                call.server()
            )
        },
        ..Rule::BLANK
    },
    // It did arrive, and then no more: nobody hung up, and the control connection works.
    Rule {
        code: "gre.blocked_inbound",
        all: &[gre::CLIENT_FELL_SILENT],
        unless: CAUSES_SEEN,
        over: &[gre::CLIENT_IS_BACK],
        supports: &[lcp::ECHO_UNANSWERED, gre::NOT_LOST_HERE],
        against: &[control::ECHO_UNANSWERED],
        confidence: Confidence::Medium,
        say: |call| {
            format!(
                "GRE (IP protocol 47) from {} does not arrive any more: the control connection works, {} sends and nothing comes back.",
                call.client(),
                call.server()
            )
        },
        ..Rule::BLANK
    },
    // Both speak, but the client shows that it never hears the server.
    Rule {
        code: "gre.blocked_outbound",
        all: &[lcp::SERVER_ASKS_AND_ASKS, lcp::CLIENT_ASKS_AND_ASKS, lcp::SERVER_ANSWERED],
        silent: &[lcp::CLIENT_ANSWERED],
        unless: &[gre::DROPPED_BY_FIREWALL, gre::ICMP_ERROR, gre::NO_ROUTE, logs::GRE_SEND_REFUSED],
        supports: &[logs::LCP_TIMEOUT, control::CLIENT_GAVE_UP],
        against: &[control::LCP_OPEN_AT_CLIENT],
        confidence: Confidence::High,
        say: |call| {
            format!(
                "GRE (IP protocol 47) to {} does not arrive there: its LCP requests come in, are answered, and are repeated as if they were not.",
                call.client()
            )
        },
        ..Rule::BLANK
    },
    Rule {
        code: "gre.nat_call_id",
        any: &[gre::UNKNOWN_CALL, logs::GRE_OF_OTHERS],
        supports: &[lcp::SERVER_ASKS_AND_ASKS],
        confidence: Confidence::Medium,
        say: |call| {
            format!(
                "GRE from {} carries the id of another call: several clients behind one NAT are mixed up, or a call that is over goes on.",
                call.client()
            )
        },
        ..Rule::BLANK
    },
    Rule {
        code: "gre.routing_loop",
        any: &[inner::OWN_GRE_INSIDE, logs::ROUTING_LOOP],
        supports: &[gre::ONE_SIDED_LOOP, lcp::ECHO_UNANSWERED, control::ECHO_UNANSWERED],
        confidence: Confidence::High,
        say: |_| ROUTED_INTO_ITSELF.into(),
        ..Rule::BLANK
    },
    // Where the inside of the tunnel was not seen.
    Rule {
        code: "gre.routing_loop",
        all: &[gre::ONE_SIDED_LOOP],
        any: &[lcp::ECHO_UNANSWERED, control::ECHO_UNANSWERED],
        unless: &[inner::OWN_GRE_INSIDE, logs::ROUTING_LOOP],
        confidence: Confidence::Low,
        say: |_| ROUTED_INTO_ITSELF.into(),
        ..Rule::BLANK
    },
    Rule {
        code: "gre.socket_overflow",
        all: &[gre::SOCKET_FULL],
        confidence: Confidence::High,
        say: |call| {
            format!(
                "The daemon of {} does not read GRE fast enough: packets of {} are dropped at its socket.",
                call.server(),
                call.client()
            )
        },
        ..Rule::BLANK
    },
    Rule {
        code: "gre.loss",
        all: &[gre::LOST],
        supports: &[gre::QUEUE_FULL],
        confidence: Confidence::High,
        say: |call| {
            let worst = [Party::Client, Party::Server]
                .into_iter()
                .max_by_key(|party| call.traffic.loss(*party).per_mille());
            let loss = call.traffic.loss(worst.unwrap_or(Party::Client));
            format!(
                "The path of {} loses packets: {:.1} % on the way here.",
                call.client(),
                loss.per_mille() as f64 / 10.0
            )
        },
        ..Rule::BLANK
    },
    Rule {
        code: "gre.reorder",
        all: &[gre::REORDERED],
        supports: &[gre::OLD_SEQUENCE],
        confidence: Confidence::High,
        say: |call| format!("The path of {} changes the order of packets.", call.client()),
        ..Rule::BLANK
    },
    Rule {
        code: "gre.duplicate",
        all: &[gre::DUPLICATED],
        confidence: Confidence::High,
        say: |call| format!("The path of {} delivers packets twice.", call.client()),
        ..Rule::BLANK
    },
];
