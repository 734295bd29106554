//! `session.*` and `undecided`: calls as a whole.

use crate::event::finding::Confidence;
use crate::finding::dossier::Dossier;
use crate::finding::facts::{control, gre, host, logs};
use crate::finding::history::History;
use crate::finding::rule::Rule;

pub(in crate::finding) const RULES: &[Rule<Dossier>] = &[
    // The last rule of all: the call failed, and no other rule concluded.
    Rule {
        code: "undecided",
        all: &[host::FAILED],
        unless: &[control::NOT_PPTP],
        supports: &[logs::ANY_CAUSE, gre::LOST_HERE],
        confidence: Confidence::Low,
        say: |call| {
            let phase =
                call.ending.map_or(String::new(), |end| format!(" in phase {:?}", end.phase).to_lowercase());
            match call.sources.wire {
                true => {
                    format!("The call of {} failed{phase}; what was seen does not tell why.", call.client())
                }
                false => "Something failed; what was read does not tell why.".into(),
            }
        },
        ..Rule::BLANK
    },
];

pub(in crate::finding) const HISTORY: &[Rule<History>] = &[Rule {
    code: "session.flapping",
    all: &[host::CALLS_END_AGAIN_AND_AGAIN],
    confidence: Confidence::High,
    say: |history| format!("{} calls again and again, and its calls do not last.", history.name()),
    ..Rule::BLANK
}];
