//! What the negotiation and use of encryption show.

use pptpscope_common::drop::Reason;

use super::lcp::{terminated_with, terminated_with_code, termination_with};
use super::times;
use super::{logs, radius};
use crate::event::Party;
use crate::event::mppe::StallState;
use crate::finding::dossier::{Dossier, the};
use crate::finding::fact::Reading;
use crate::wire::ppp::Protocol;
use crate::wire::ppp::ccp::MppeBits;
use crate::wire::ppp::lcp::AuthenticationMethod;

/// Protocol numbers refused after encryption began that show noise: real peers refuse one or two.
const ENOUGH_NOISE: usize = 3;

const STRENGTHS: [MppeBits; 3] = [MppeBits::BITS_40, MppeBits::BITS_56, MppeBits::BITS_128];

/// Whether two ends want encryption, but no key length of one is one of the other's.
fn strengths_differ(one: MppeBits, other: MppeBits) -> bool {
    let any = |bits: MppeBits| STRENGTHS.iter().any(|strength| bits.contains(*strength));
    let common = STRENGTHS.iter().any(|strength| one.contains(*strength) && other.contains(*strength));
    any(one) && any(other) && !common
}

/// What each end wants at most: asked for, or offered in a Nak.
fn wants(call: &Dossier, party: Party) -> Option<MppeBits> {
    (*call.ccp.asked.of(party)).or(*call.ccp.offered.of(party))
}

fn both(call: &Dossier, differ: fn(MppeBits, MppeBits) -> bool) -> Reading {
    let (Some(client), Some(server)) = (wants(call, Party::Client), wants(call, Party::Server)) else {
        return Reading::Silent;
    };
    let is_so = call.ccp.exchange.opened.is_none() && differ(client, server);
    let at = call.ccp.exchange.requests.server.since().or(call.ccp.exchange.requests.client.since());
    Reading::of(at.filter(|_| is_so).map(|at| (at, format!("client {client}, server {server}"))))
}

/// What pppd says to its peer when it finds no MPPE in its kernel, or no keys.
const NOT_AVAILABLE_TEXT: &str = "MPPE required but not available";

/// Which end says that its kernel has no MPPE.
pub(in crate::finding) fn told_of_kernel(call: &Dossier) -> Option<Party> {
    termination_with(call, &[NOT_AVAILABLE_TEXT]).map(|(_, by, _)| by)
}

facts! { Dossier;
    REJECTED_BY_CLIENT: Negotiation, "the client refuses MPPE" => |call| {
        let refused = call.lcp.protocol_rejects.client.iter().find(|(_, protocol)| *protocol == Protocol::Ccp);
        let refused = refused.map(|(at, _)| (*at, "Protocol-Reject of CCP".to_owned()));
        let by_option = call.ccp.mppe_rejected.client.map(|at| (at, "Configure-Reject of MPPE".to_owned()));
        Reading::of(refused.or(by_option))
    };
    REJECTED_BY_SERVER: Negotiation, "the server refuses MPPE" => |call| {
        let refused = call.lcp.protocol_rejects.server.iter().find(|(_, protocol)| *protocol == Protocol::Ccp);
        let refused = refused.map(|(at, _)| (*at, "Protocol-Reject of CCP".to_owned()));
        let by_option = call.ccp.mppe_rejected.server.map(|at| (at, "Configure-Reject of MPPE".to_owned()));
        Reading::of(refused.or(by_option))
    };
    DEMANDED: Negotiation, "an end closes the link because encryption is missing" => |call| {
        terminated_with(call, &["MPPE required but peer", "MPPE disabled", "MPPE required"])
    };
    // pppd says the same words when there are no keys: it came without MS-CHAP, or not at all, to CCP.
    KERNEL_TOLD: Negotiation, "an end says that its kernel has no MPPE" => |call| {
        let is_about_keys = [&WITHOUT_KEYS, &radius::NO_KEYS, &logs::MPPE_NO_KEYS].iter().any(|fact| fact.read(call).is_seen());
        if is_about_keys || call.auth.accepted.is_none() {
            return Reading::Silent;
        }
        terminated_with(call, &[NOT_AVAILABLE_TEXT])
    };
    NOT_AVAILABLE: Negotiation, "an end closes the link because it cannot encrypt" => |call| {
        terminated_with(call, &[NOT_AVAILABLE_TEXT])
    };
    WITHOUT_KEYS: Negotiation, "the client was authenticated by a protocol that gives no keys" => |call| {
        let without = call.auth.agreed.as_ref().filter(|method| {
            matches!(method, AuthenticationMethod::Pap | AuthenticationMethod::ChapMd5)
        });
        Reading::of(without.zip(call.auth.accepted).map(|(method, at)| (at, method.to_string())))
    };
    TOO_MANY_ERRORS: Negotiation, "an end closes the link after too many MPPE errors" => |call| {
        terminated_with(call, &["Too many MPPE errors"])
    };
    ENCRYPTION_CODE: Negotiation, "Windows gives an encryption error when it closes the link" => |call| {
        terminated_with_code(call, &[741, 742, 743])
    };
    STRENGTHS_DIFFER: Negotiation, "the two ends want key lengths that exclude each other" => |call| {
        both(call, strengths_differ)
    };
    STATEFUL_TOLD: Negotiation, "an end closes the link because the other wants stateful encryption" => |call| {
        terminated_with(call, &["Refusing MPPE stateful mode"])
    };
    STATES_DIFFER: Negotiation, "one end wants stateless, the other stateful encryption" => |call| {
        both(call, |client, server| {
            !strengths_differ(client, server)
                && client.key_bits().is_some()
                && server.key_bits().is_some()
                && client.contains(MppeBits::STATELESS) != server.contains(MppeBits::STATELESS)
        })
    };
    NEVER_OPENED: Negotiation, "CCP did not open" => |call| {
        let is_so = call.ccp.exchange.opened.is_none() && call.up.is_none() && call.is_ending();
        Reading::flag(is_so, None)
    };
    ONE_SIDED: Negotiation, "only one end asks for encryption" => |call| {
        let requests = &call.ccp.exchange.requests;
        let is_so = (call.ccp.asked.server.is_some() && !requests.client.any() && call.ccp.exchange.answers_of(Party::Client) == 0)
            || (call.ccp.asked.server.is_some() && requests.client.any() && call.ccp.asked.client.is_none());
        Reading::flag(is_so && call.ccp.exchange.opened.is_none(), requests.server.since())
    };
    NOISE: Negotiation, "protocol numbers without meaning are refused after encryption began" => |call| {
        let Some(opened) = call.ccp.exchange.opened else { return Reading::Silent };
        let noise = |party: Party| {
            call.lcp.protocol_rejects.of(party).iter().filter(|(at, protocol)| {
                *at >= opened && !matches!(protocol, Protocol::Ipv6cp | Protocol::Ipcp | Protocol::Ccp | Protocol::Ipv6)
            }).count()
        };
        let by = [Party::Client, Party::Server].into_iter().find(|party| noise(*party) >= ENOUGH_NOISE);
        Reading::of(by.map(|by| (opened, format!("{} refuses {} protocols", the(by), noise(by)))))
    };
    RESETS: Negotiation, "an end asks for resets of CCP" => |call| {
        let by = [Party::Client, Party::Server].into_iter().find(|party| call.ccp.reset_requests.of(*party).any());
        Reading::of(by.map(|by| {
            let tally = call.ccp.reset_requests.of(by);
            (tally.first, format!("{} of {}", times(tally, "Reset-Request"), the(by)))
        }))
    };
    DECRYPTION_FAILS: Kernel, "frames cannot be decrypted" => |call| {
        let reasons = [
            Reason::MppeStalled, Reason::MppeShort, Reason::MppeTooLong, Reason::MppeBadBits, Reason::MppeLate,
            Reason::MppeDesynchronised, Reason::PppReceiveError,
        ];
        let found: Vec<_> = reasons.into_iter().filter_map(|reason| Some((reason, call.traffic.drops_of(reason)?))).collect();
        let at = found.iter().map(|(_, dropped)| dropped.reports.first).min();
        let words: Vec<String> = found.iter().map(|(reason, dropped)| format!("{} {}", dropped.packets, reason.name())).collect();
        Reading::of(at.map(|at| (at, words.join(", "))))
    };
    STALLED: Kernel, "decryption stands still until the peer acknowledges a reset of CCP" => |call| {
        let stall = call.told.stall.as_ref().filter(|(_, stall)| stall.state != StallState::Ended);
        Reading::of(stall.map(|(at, stall)| (*at, format!("{} frames, because of {}", stall.frames, stall.cause.0.name()))))
    };
    STALLED_FOR_GOOD: Kernel, "decryption has stopped for good" => |call| {
        let stall = call.told.stall_fatal.as_ref();
        Reading::of(stall.map(|(at, stall)| (*at, format!("{} frames, because of {}", stall.frames, stall.cause.0.name()))))
    };
    PLAINTEXT: Kernel, "user traffic comes in clear although encryption is in force" => |call| {
        let dropped = call.traffic.drops_of(Reason::MppePlaintext);
        Reading::of(dropped.map(|dropped| (dropped.reports.first, format!("{} packets", dropped.packets))))
    };
    WEAK_KEY: Negotiation, "encryption with less than 128 bits is in use" => |call| {
        let bits = call.ccp.agreed.flatten().and_then(MppeBits::key_bits).filter(|bits| *bits < 128);
        Reading::of(call.up.and_then(|at| bits.map(|bits| (at, format!("{bits} bits")))))
    };
    NO_ENCRYPTION: Negotiation, "the call is up without encryption" => |call| {
        let none = call.ccp.exchange.opened.is_none() || call.ccp.agreed == Some(None);
        Reading::flag(call.is_whole() && call.up.is_some() && none, call.up)
    };
}
