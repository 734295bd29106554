//! `mtu.*`: packets that are too large.

use crate::event::finding::Confidence;
use crate::finding::dossier::Dossier;
use crate::finding::facts::{gre, logs};
use crate::finding::rule::Rule;

pub(in crate::finding) const RULES: &[Rule<Dossier>] = &[
    Rule {
        code: "mtu.fragmentation",
        all: &[gre::FRAGMENTED],
        supports: &[gre::REASSEMBLY_FAILED],
        confidence: Confidence::High,
        say: |call| {
            format!(
                "Packets of the call of {} are larger than its path: each is sent as two fragments.",
                call.client()
            )
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
    Rule {
        code: "mtu.black_hole",
        all: &[logs::TOO_LARGE],
        confidence: Confidence::Medium,
        say: |_| "Packets are larger than the path, or the link, takes.".into(),
        ..Rule::BLANK
    },
];
