//! `ipcp.*`: addresses.

use crate::event::finding::Confidence;
use crate::finding::dossier::Dossier;
use crate::finding::facts::{ip, logs};
use crate::finding::rule::Rule;

pub(in crate::finding) const RULES: &[Rule<Dossier>] = &[
    Rule {
        code: "ipcp.pool_exhausted",
        any: &[ip::NO_ADDRESS_CODE, ip::ASKS_FOR_ONE],
        unless: &[logs::ADDRESS_REFUSED],
        supports: &[logs::POOL_EMPTY],
        confidence: Confidence::Medium,
        say: |call| {
            format!(
                "{} gives {} no address: its pool is empty, or there is none.",
                call.server(),
                call.client()
            )
        },
        ..Rule::BLANK
    },
    Rule {
        code: "ipcp.address_conflict",
        any: &[ip::SAME_ADDRESS, logs::ADDRESS_TAKEN],
        confidence: Confidence::High,
        say: |call| format!("The address for {} is in use already.", call.client()),
        ..Rule::BLANK
    },
    Rule {
        code: "ipcp.refused",
        any: &[ip::REFUSED_AGAIN_AND_AGAIN, logs::ADDRESS_REFUSED, logs::IPCP_TIMEOUT],
        supports: &[ip::NO_NETWORK],
        confidence: Confidence::High,
        say: |call| {
            format!("{} and {} do not agree on the addresses of the tunnel.", call.client(), call.server())
        },
        ..Rule::BLANK
    },
    Rule {
        code: "ipcp.refused",
        any: &[ip::CLOSED, ip::NO_NETWORK],
        unless: &[ip::NO_ADDRESS_CODE, ip::REFUSED_AGAIN_AND_AGAIN, crate::finding::facts::mppe::DEMANDED],
        confidence: Confidence::Medium,
        say: |call| format!("{} and {} agree on no network protocol.", call.client(), call.server()),
        ..Rule::BLANK
    },
];
