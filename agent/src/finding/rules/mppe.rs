//! `mppe.*`: encryption.

use crate::event::finding::Confidence;
use crate::finding::dossier::{Dossier, the};
use crate::finding::facts::{gre, logs, mppe, radius};
use crate::finding::rule::Rule;

pub(in crate::finding) const RULES: &[Rule<Dossier>] = &[
    Rule {
        code: "mppe.kernel_missing",
        any: &[logs::MPPE_NO_KERNEL, mppe::KERNEL_TOLD],
        supports: &[mppe::REJECTED_BY_SERVER],
        confidence: Confidence::High,
        say: |call| match mppe::told_of_kernel(call) {
            Some(by) => format!("The kernel of {} has no MPPE, and encryption is required.", the(by)),
            None => "The kernel has no MPPE, and encryption is required.".into(),
        },
        ..Rule::BLANK
    },
    // The server's own kernel cannot: it refuses what its options would demand.
    Rule {
        code: "mppe.strength_mismatch",
        any: &[mppe::STRENGTHS_DIFFER, logs::MPPE_BITS_DIFFER],
        unless: &[logs::MPPE_NO_KERNEL, mppe::KERNEL_TOLD],
        supports: &[mppe::DEMANDED, logs::MPPE_NOT_AGREED, mppe::NEVER_OPENED],
        confidence: Confidence::High,
        say: |call| {
            format!(
                "{} and {} want MPPE with key lengths that exclude each other.",
                call.client(),
                call.server()
            )
        },
        ..Rule::BLANK
    },
    Rule {
        code: "mppe.stateful_mismatch",
        any: &[mppe::STATEFUL_TOLD, logs::MPPE_STATEFUL],
        supports: &[mppe::STATES_DIFFER],
        confidence: Confidence::High,
        say: |_| "One end wants stateful MPPE, the other only takes stateless.".into(),
        ..Rule::BLANK
    },
    Rule {
        code: "mppe.stateful_mismatch",
        all: &[mppe::STATES_DIFFER],
        any: &[mppe::DEMANDED, mppe::NEVER_OPENED],
        confidence: Confidence::Medium,
        say: |call| {
            format!("{} and {} do not agree whether MPPE is stateless.", call.client(), call.server())
        },
        ..Rule::BLANK
    },
    Rule {
        code: "mppe.not_offered",
        all: &[mppe::DEMANDED],
        any: &[mppe::REJECTED_BY_CLIENT, mppe::REJECTED_BY_SERVER, mppe::ONE_SIDED],
        unless: &[
            mppe::KERNEL_TOLD,
            logs::MPPE_NO_KERNEL,
            mppe::STRENGTHS_DIFFER,
            mppe::STATES_DIFFER,
            logs::MPPE_NO_KEYS,
            radius::NO_KEYS,
        ],
        supports: &[logs::MPPE_REFUSED, logs::MPPE_NOT_AGREED],
        confidence: Confidence::High,
        say: |call| {
            let refuser =
                if mppe::REJECTED_BY_SERVER.read(call).is_seen() { call.server() } else { call.client() };
            format!("{refuser} does not encrypt, and the other end demands MPPE.")
        },
        ..Rule::BLANK
    },
    Rule {
        code: "mppe.not_offered",
        any: &[logs::MPPE_REFUSED, logs::MPPE_NOT_AGREED],
        unless: &[
            mppe::DEMANDED,
            logs::MPPE_NO_KERNEL,
            logs::MPPE_STATEFUL,
            logs::MPPE_BITS_DIFFER,
            logs::MPPE_NO_KEYS,
            mppe::STRENGTHS_DIFFER,
            mppe::STATES_DIFFER,
            mppe::KERNEL_TOLD,
        ],
        confidence: Confidence::Medium,
        say: |_| "MPPE is required here and the peer does not offer an encryption that fits.".into(),
        ..Rule::BLANK
    },
    Rule {
        code: "mppe.no_keys",
        all: &[logs::MPPE_NO_KEYS],
        supports: &[mppe::DEMANDED],
        confidence: Confidence::High,
        say: |_| {
            "MPPE is required and there are no keys for it: what authenticated the client gives none.".into()
        },
        ..Rule::BLANK
    },
    // pppd says the same words as for a kernel without MPPE.
    Rule {
        code: "mppe.no_keys",
        all: &[mppe::WITHOUT_KEYS, mppe::NOT_AVAILABLE],
        supports: &[logs::MPPE_NO_KEYS],
        confidence: Confidence::High,
        say: |call| {
            let method = call.auth.agreed.as_ref().map_or(String::new(), ToString::to_string);
            format!(
                "MPPE is required and {} was authenticated by {method}, which gives no keys for it.",
                call.client()
            )
        },
        ..Rule::BLANK
    },
    Rule {
        code: "mppe.no_keys",
        all: &[radius::NO_KEYS],
        any: &[mppe::DEMANDED, mppe::NEVER_OPENED],
        supports: &[logs::MPPE_NO_KEYS],
        confidence: Confidence::High,
        say: |call| {
            format!("The RADIUS server accepts {} and sends no keys: MPPE cannot begin.", call.client())
        },
        ..Rule::BLANK
    },
    Rule {
        code: "mppe.not_offered",
        all: &[mppe::ENCRYPTION_CODE],
        unless: &[mppe::STRENGTHS_DIFFER, mppe::DEMANDED],
        confidence: Confidence::Medium,
        say: |_| {
            "Windows ends the call because the encryption that one end demands is not offered by the other."
                .into()
        },
        ..Rule::BLANK
    },
    Rule {
        code: "mppe.key_mismatch",
        any: &[mppe::NOISE, logs::RANDOM_PROTOCOLS],
        // Behind such a gap the same keys make noise of frames.
        unless: &[gre::OUT_OF_STEP],
        confidence: Confidence::Medium,
        say: |_| "The two ends encrypt with different keys: what one sends is noise to the other.".into(),
        ..Rule::BLANK
    },
    Rule {
        code: "mppe.plaintext",
        all: &[mppe::PLAINTEXT],
        confidence: Confidence::High,
        say: |call| {
            format!("{} sends traffic in clear on an encrypted call, and the kernel takes it.", call.client())
        },
        ..Rule::BLANK
    },
    Rule {
        code: "mppe.desync",
        any: &[mppe::DECRYPTION_FAILS, mppe::RESETS, mppe::TOO_MANY_ERRORS, logs::MPPE_TOO_MANY_ERRORS],
        supports: &[gre::LOST, gre::REORDERED, mppe::STALLED, mppe::STALLED_FOR_GOOD],
        confidence: Confidence::Medium,
        say: |call| {
            let how = match (mppe::STALLED_FOR_GOOD.read(call).is_seen(), mppe::STALLED.read(call).is_seen())
            {
                (true, _) => "and decryption has stopped for good",
                (_, true) => "and nothing is decrypted until the peer acknowledges a reset of CCP",
                _ => "frames cannot be decrypted",
            };
            let sign = if how.starts_with("and") { "," } else { ":" };
            format!("The encryption of the call of {} has lost its step{sign} {how}.", call.client())
        },
        ..Rule::BLANK
    },
];
