//! `mtu.*`: packets that are too large.

use crate::event::Party;
use crate::event::finding::Confidence;
use crate::finding::dossier::Dossier;
use crate::finding::facts::{gre, inner, logs};
use crate::finding::rule::Rule;

pub(in crate::finding) const RULES: &[Rule<Dossier>] = &[
    Rule {
        code: "mtu.fragmentation",
        any: &[gre::FRAGMENTED, gre::TOO_LARGE],
        supports: &[gre::REASSEMBLY_FAILED],
        confidence: Confidence::High,
        say: |call| {
            format!("Packets of the call of {} are larger than its path takes in one piece.", call.client())
        },
        ..Rule::BLANK
    },
    Rule {
        code: "mtu.black_hole",
        all: &[gre::REASSEMBLY_FAILED],
        unless: &[gre::LOST],
        confidence: Confidence::Medium,
        say: |call| {
            format!("Large packets of {} do not arrive whole: fragments are lost on the way.", call.client())
        },
        ..Rule::BLANK
    },
    // A connected raw socket takes any ICMP error for its own.
    Rule {
        code: "mtu.tunnel_ended",
        all: &[gre::TOO_LARGE, gre::FRAGMENTATION_NEEDED_ENDS],
        supports: &[logs::TOO_LARGE],
        confidence: Confidence::High,
        say: |call| {
            format!(
                "A packet to {} did not fit into the path, a router said so, and the daemon took that for the end of its tunnel.",
                call.client()
            )
        },
        ..Rule::BLANK
    },
    Rule {
        code: "mtu.mss_violation",
        all: &[inner::MSS_TOO_LARGE],
        confidence: Confidence::High,
        say: |call| {
            let of = |party| call.told.mss.of(party).as_ref().map(|(_, last)| (party, last));
            let Some((sender, last)) = of(Party::Client).or_else(|| of(Party::Server)) else {
                return String::new();
            };
            let who = if sender == Party::Client { "from" } else { "to" };
            format!(
                "TCP {who} {} announces segments of {} bytes, and the tunnel takes packets of {}: what is larger is fragmented, or vanishes.",
                call.client(),
                last.mss_bytes,
                last.mtu_bytes
            )
        },
        ..Rule::BLANK
    },
    Rule {
        code: "mtu.black_hole",
        all: &[logs::TOO_LARGE],
        confidence: Confidence::Medium,
        say: |_| "Packets are larger than the path, or the link, takes.".into(),
        ..Rule::BLANK
    },
];
