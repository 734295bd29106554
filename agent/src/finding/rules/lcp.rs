//! `lcp.*`: the link between the two ends of PPP.

use crate::event::finding::Confidence;
use crate::finding::dossier::Dossier;
use crate::finding::facts::{auth, control, gre, lcp, logs};
use crate::finding::rule::Rule;

pub(in crate::finding) const RULES: &[Rule<Dossier>] = &[
    Rule {
        code: "lcp.loopback",
        any: &[lcp::LOOPED, lcp::LOOPBACK_TOLD, logs::LOOPED],
        supports: &[logs::LOOPED],
        confidence: Confidence::High,
        say: |call| format!("The link of {} is looped back: an end receives its own packets.", call.client()),
        ..Rule::BLANK
    },
    Rule {
        code: "lcp.no_convergence",
        all: &[lcp::REFUSED_AGAIN_AND_AGAIN],
        unless: &[auth::REFUSED_TO_PROVE],
        confidence: Confidence::High,
        say: |call| {
            let refusals = &call.lcp.exchange.refusals;
            let names = [refusals.client.options.join(", "), refusals.server.options.join(", ")];
            let names: Vec<&str> =
                names.iter().map(String::as_str).filter(|names| !names.is_empty()).collect();
            format!(
                "{} and {} do not agree on LCP: {} bounces between them.",
                call.client(),
                call.server(),
                names.join(", ")
            )
        },
        ..Rule::BLANK
    },
    Rule {
        code: "lcp.echo_failed",
        all: &[lcp::WAS_UP],
        any: &[lcp::DECLARED_DEAD, lcp::ECHO_UNANSWERED, lcp::ECHO_MISSED],
        unless: &[lcp::USER_ENDED, lcp::ECHO_ANSWERED, logs::ROUTING_LOOP],
        supports: &[logs::ECHO_FAILED, gre::LOST],
        confidence: Confidence::Medium,
        say: |call| format!("The link of {} is dead: its LCP echoes are not answered.", call.client()),
        ..Rule::BLANK
    },
    Rule {
        code: "lcp.echo_failed",
        all: &[logs::ECHO_FAILED],
        unless: &[logs::ROUTING_LOOP],
        supports: &[lcp::ECHO_UNANSWERED, lcp::DECLARED_DEAD],
        confidence: Confidence::Medium,
        say: |_| "The link went dead in mid-call: pppd's LCP echoes were not answered.".into(),
        ..Rule::BLANK
    },
    // What is left when nothing tells why: no conclusion about the cause.
    Rule {
        code: "lcp.timeout",
        any: &[lcp::HEARS_NOTHING, lcp::NEVER_OPENED, logs::LCP_TIMEOUT],
        unless: &[lcp::OPENED, lcp::REFUSED_AGAIN_AND_AGAIN, auth::REFUSED_TO_PROVE, logs::AUTH_REFUSED],
        supports: &[logs::LCP_TIMEOUT, gre::LOST_HERE],
        against: &[control::LCP_OPEN_AT_CLIENT],
        confidence: Confidence::Low,
        say: |call| {
            match call.sources.wire {
                true => format!("LCP with {} is not answered, and what was seen does not tell why.", call.client()),
                false => "LCP is not answered: GRE is lost on the way, in one direction at least; the log does not tell where.".into(),
            }
        },
        ..Rule::BLANK
    },
];
