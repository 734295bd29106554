//! `auth.*`: who the client is.

use crate::event::finding::Confidence;
use crate::finding::dossier::Dossier;
use crate::finding::facts::{auth, gre, lcp, logs, radius};
use crate::finding::rule::Rule;

fn user(call: &Dossier) -> String {
    call.call.user.as_ref().map_or("the user".into(), |user| format!("user {user}"))
}

pub(in crate::finding) const RULES: &[Rule<Dossier>] = &[
    Rule {
        code: "auth.rejected",
        any: &[
            auth::REJECTED,
            auth::REJECTED_BY_CODE,
            auth::REJECTED_BY_WORD,
            logs::AUTH_FAILED,
            logs::TERMINATED_WITH_691,
            logs::WINDOWS_REFUSES,
            logs::RADIUS_REFUSES,
        ],
        unless: &[
            auth::ACCEPTED,
            auth::UNANSWERED,
            logs::RADIUS_NO_PASSWORD,
            logs::RADIUS_SILENT,
            logs::RADIUS_DIGEST,
            logs::RADIUS_SECRET,
            logs::RADIUS_UNKNOWN_CLIENT,
            radius::SILENT,
            radius::FORGED,
            radius::IGNORED,
            auth::EAP_REFUSED,
        ],
        supports: &[
            logs::AUTH_FAILED,
            logs::NO_SECRET_FOR_USER,
            logs::RADIUS_REFUSES,
            auth::REJECTED_BY_WORD,
            radius::REJECTED,
        ],
        confidence: Confidence::High,
        say: |call| {
            let words = call.auth.rejected.as_ref().map(|proof| proof.words.as_str());
            let why = words.filter(|words| !words.is_empty()).map(|words| format!(": {words}"));
            let why = why.unwrap_or_default();
            match call.sources.wire {
                true => format!("{} refuses {} of {}{why}.", call.server(), user(call), call.client()),
                false => "The server refuses the user: name, password or policy.".into(),
            }
        },
        ..Rule::BLANK
    },
    Rule {
        code: "auth.no_response",
        all: &[auth::UNANSWERED],
        unless: &[auth::RESPONSE_UNANSWERED],
        supports: &[logs::AUTH_TIMED_OUT],
        confidence: Confidence::Medium,
        say: |call| format!("{} does not answer the challenge, although LCP works.", call.client()),
        ..Rule::BLANK
    },
    Rule {
        code: "auth.no_response",
        all: &[logs::AUTH_TIMED_OUT],
        unless: &[logs::RADIUS_SILENT, auth::RESPONSE_UNANSWERED, auth::UNANSWERED],
        against: &[gre::LOST],
        confidence: Confidence::Medium,
        say: |_| "The challenge is not answered, or the answer gets no verdict.".into(),
        ..Rule::BLANK
    },
    Rule {
        code: "auth.no_result",
        all: &[auth::NO_RESULT],
        unless: &[
            auth::ACCEPTED,
            auth::REJECTED,
            radius::SILENT,
            radius::FORGED,
            radius::IGNORED,
            logs::RADIUS_SILENT,
            logs::RADIUS_DIGEST,
            logs::RADIUS_SECRET,
            logs::RADIUS_UNKNOWN_CLIENT,
        ],
        supports: &[radius::SLOW, logs::RADIUS_SLOW],
        confidence: Confidence::Medium,
        say: |call| {
            format!(
                "{} answers the challenge and {} never says yes or no: whatever checks passwords hangs.",
                call.client(),
                call.server()
            )
        },
        ..Rule::BLANK
    },
    Rule {
        code: "auth.protocol_mismatch",
        any: &[auth::REFUSAL_TOLD, logs::AUTH_REFUSED, auth::EAP_REFUSED],
        // Whoever hears himself refuses what he demands.
        unless: &[lcp::LOOPED, lcp::LOOPBACK_TOLD, logs::LOOPED],
        supports: &[auth::REFUSED_TO_PROVE, logs::AUTH_REFUSED],
        confidence: Confidence::High,
        say: |call| {
            format!("{} and {} have no authentication protocol in common.", call.client(), call.server())
        },
        ..Rule::BLANK
    },
    Rule {
        code: "auth.protocol_mismatch",
        all: &[auth::REFUSED_TO_PROVE, auth::LINK_NEVER_OPENED],
        unless: &[lcp::LOOPED, lcp::LOOPBACK_TOLD, logs::LOOPED],
        supports: &[lcp::TERMINATED],
        confidence: Confidence::High,
        say: |call| {
            format!("{} and {} have no authentication protocol in common.", call.client(), call.server())
        },
        ..Rule::BLANK
    },
    Rule {
        code: "auth.weak",
        any: &[
            auth::WEAK_METHOD,
            auth::NO_METHOD,
            crate::finding::facts::mppe::WEAK_KEY,
            crate::finding::facts::mppe::NO_ENCRYPTION,
        ],
        confidence: Confidence::High,
        say: |call| {
            let mut weak = Vec::new();
            if auth::WEAK_METHOD.read(call).is_seen() {
                weak.push(
                    call.auth
                        .agreed
                        .as_ref()
                        .map_or(String::new(), |method| format!("authenticated by {method}")),
                );
            }
            if auth::NO_METHOD.read(call).is_seen() {
                weak.push("not authenticated".into());
            }
            if crate::finding::facts::mppe::WEAK_KEY.read(call).is_seen() {
                weak.push("encrypted with less than 128 bits".into());
            }
            if crate::finding::facts::mppe::NO_ENCRYPTION.read(call).is_seen() {
                weak.push("not encrypted".into());
            }
            format!("The call of {} is {}.", call.client(), weak.join(" and "))
        },
        ..Rule::BLANK
    },
];
