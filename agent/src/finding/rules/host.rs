//! `host.*`: this host itself.

use crate::event::finding::Confidence;
use crate::finding::clock::LogClock;
use crate::finding::dossier::Dossier;
use crate::finding::facts::{gre, host, lcp, logs};
use crate::finding::rule::Rule;

pub(in crate::finding) const CALL: &[Rule<Dossier>] = &[
    Rule {
        code: "host.conntrack_full",
        any: &[gre::CONNTRACK_FULL, logs::CONNTRACK_FULL],
        supports: &[gre::DROPPED_BY_FIREWALL, logs::GRE_SEND_REFUSED],
        confidence: Confidence::High,
        say: |_| {
            "The connection tracking table of this host is full: packets of new flows are dropped.".into()
        },
        ..Rule::BLANK
    },
    Rule {
        code: "host.rp_filter",
        all: &[gre::RP_FILTER],
        supports: &[lcp::SERVER_ASKS_AND_ASKS],
        confidence: Confidence::High,
        say: |call| {
            format!(
                "The reverse path filter of this host drops the GRE of {}: it would answer through another interface.",
                call.client()
            )
        },
        ..Rule::BLANK
    },
    Rule {
        code: "host.no_route",
        all: &[gre::NO_ROUTE],
        confidence: Confidence::High,
        say: |call| {
            format!("This host has no way to {}: no route, or the next hop is silent.", call.client())
        },
        ..Rule::BLANK
    },
    Rule {
        code: "host.interface_down",
        all: &[gre::INTERFACE_DOWN],
        confidence: Confidence::High,
        say: |call| {
            format!(
                "Somebody took down {} of {} while the call is up.",
                call.call.interface.as_deref().unwrap_or("the interface"),
                call.client()
            )
        },
        ..Rule::BLANK
    },
    Rule {
        code: "host.pppd_stuck",
        all: &[gre::PPPD_DOES_NOT_READ],
        confidence: Confidence::High,
        say: |call| {
            format!(
                "pppd of the call of {} does not read its frames: it is stuck, stopped or starved.",
                call.client()
            )
        },
        ..Rule::BLANK
    },
    Rule {
        code: "host.queue_full",
        all: &[gre::QUEUE_FULL],
        confidence: Confidence::High,
        say: |_| {
            "A queue of this host is full and drops GRE: more comes than the interface or the CPU can take."
                .into()
        },
        ..Rule::BLANK
    },
    Rule {
        code: "host.link_damaged",
        all: &[gre::LINK_DAMAGED],
        confidence: Confidence::High,
        say: |call| format!("Frames of {} are damaged between the daemon and pppd.", call.client()),
        ..Rule::BLANK
    },
    Rule {
        code: "host.unaccounted",
        all: &[host::UNACCOUNTED],
        confidence: Confidence::Medium,
        say: |call| {
            let what = call.told.gap().map_or(String::new(), |gap| {
                format!(": {} packets are missing behind its stage {:?}", gap.missing, gap.stage)
                    .to_lowercase()
            });
            format!("This host loses packets of {} and no reason for it was seen{what}.", call.client())
        },
        ..Rule::BLANK
    },
    Rule {
        code: "host.helper_missing",
        all: &[logs::HELPER_MISSING],
        confidence: Confidence::Medium,
        say: |_| "The connection tracking helper for PPTP is not in use on this host.".into(),
        ..Rule::BLANK
    },
];

pub(in crate::finding) const CLOCK: &[Rule<LogClock>] = &[Rule {
    code: "host.clock_unsynchronised",
    all: &[host::CLOCK_OFF],
    confidence: Confidence::High,
    say: |clock| format!("The clock of {} is {} that of the packets.", clock.source, clock.words()),
    ..Rule::BLANK
}];
