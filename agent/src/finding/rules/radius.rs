//! `radius.*`: the server that knows the passwords.

use crate::event::finding::Confidence;
use crate::finding::dossier::Dossier;
use crate::finding::facts::{auth, logs, radius};
use crate::finding::rule::Rule;

pub(in crate::finding) const RULES: &[Rule<Dossier>] = &[
    Rule {
        code: "radius.secret_mismatch",
        any: &[radius::FORGED, logs::RADIUS_DIGEST, logs::RADIUS_SECRET],
        supports: &[radius::IGNORED, logs::RADIUS_DIGEST, logs::RADIUS_SECRET],
        confidence: Confidence::High,
        say: |_| "The shared secret of the RADIUS client and that of the server differ.".into(),
        ..Rule::BLANK
    },
    // The secret is not known here: an answer came, and its receiver wants another one.
    Rule {
        code: "radius.secret_mismatch",
        all: &[radius::IGNORED],
        unless: &[auth::ACCEPTED, radius::FORGED],
        against: &[radius::SLOW],
        confidence: Confidence::Medium,
        say: |_| "The RADIUS client throws away the answers of its server: the shared secrets differ.".into(),
        ..Rule::BLANK
    },
    Rule {
        code: "radius.timeout",
        any: &[radius::SILENT, logs::RADIUS_SILENT, logs::RADIUS_UNKNOWN_CLIENT],
        unless: &[logs::RADIUS_DIGEST, logs::RADIUS_SECRET, radius::FORGED, radius::IGNORED],
        supports: &[auth::RESPONSE_UNANSWERED],
        confidence: Confidence::High,
        say: |_| "The RADIUS server does not answer: nobody can be authenticated.".into(),
        ..Rule::BLANK
    },
    Rule {
        code: "radius.no_known_password",
        all: &[logs::RADIUS_NO_PASSWORD],
        supports: &[auth::REJECTED],
        confidence: Confidence::High,
        say: |_| {
            "The RADIUS server has neither NT hash nor clear password of the user: it cannot check MS-CHAP."
                .into()
        },
        ..Rule::BLANK
    },
    Rule {
        code: "radius.slow",
        any: &[radius::SLOW, logs::RADIUS_SLOW],
        confidence: Confidence::Medium,
        say: |_| "The RADIUS server answers slowly: its back end holds requests up.".into(),
        ..Rule::BLANK
    },
];
