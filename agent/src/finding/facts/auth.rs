//! What authentication shows.

use super::lcp::{terminated_with, terminated_with_code};
use super::times;
use crate::event::Party;
use crate::finding::dossier::{Dossier, the};
use crate::finding::fact::Reading;
use crate::wire::ppp::lcp::AuthenticationMethod;

/// Challenges without an answer that are no chance any more.
const ENOUGH_CHALLENGES: u32 = 2;

facts! { Dossier;
    REJECTED: Negotiation, "the proof of an end is refused" => |call| {
        let proof = call.auth.rejected.as_ref();
        Reading::of(proof.map(|proof| (proof.at, format!("{} refuses: {}", the(proof.by), proof.words))))
    };
    REJECTED_BY_CODE: Negotiation, "Windows gives an authentication error when it closes the link" => |call| {
        terminated_with_code(call, &[646, 647, 648, 649, 691, 709, 812, 919, 930])
    };
    REJECTED_BY_WORD: Negotiation, "an end closes the link because authentication failed" => |call| {
        terminated_with(call, &["Authentication failed", "Failed to authenticate ourselves", "login failed"])
    };
    UNANSWERED: Negotiation, "the challenge is repeated and not answered" => |call| {
        let asker = [Party::Server, Party::Client].into_iter().find(|party| call.auth.unanswered.of(*party).count >= ENOUGH_CHALLENGES);
        Reading::of(asker.filter(|_| call.auth.accepted.is_none()).map(|asker| {
            let tally = call.auth.unanswered.of(asker);
            (tally.first, format!("{} of {}", times(tally, "challenge"), the(asker)))
        }))
    };
    RESPONSE_UNANSWERED: Negotiation, "the client answers the challenge and gets neither success nor failure" => |call| {
        let tally = &call.auth.answered.client;
        let since = if tally.count >= 2 { 0 } else { 3_000_000_000 };
        let waited = tally.any() && call.ns_since(tally.first) >= since;
        let is_so = waited && call.auth.accepted.is_none() && call.auth.rejected.is_none();
        Reading::of(is_so.then(|| (tally.first, times(tally, "response"))))
    };
    NO_RESULT: Negotiation, "the client's response was never answered until the call closed" => |call| {
        let told = call.told.no_result.filter(|_| call.auth.accepted.is_none() && call.auth.rejected.is_none());
        Reading::of(told.map(|(at, responses)| (at, format!("{responses} responses"))))
    };
    REFUSED_TO_PROVE: Negotiation, "no common authentication protocol: an end refuses what the other demands" => |call| {
        if call.lcp.exchange.opened.is_some() && call.auth.agreed.is_some() {
            return Reading::Silent;
        }
        let refuser = [Party::Client, Party::Server].into_iter().find(|party| !call.auth.refused.of(*party).is_empty());
        Reading::of(refuser.and_then(|party| {
            let refused = call.auth.refused.of(party);
            let (at, words) = refused.first()?;
            let wanted = call.auth.wanted.of(party.peer()).as_ref();
            let wanted = wanted.map_or("an authentication".into(), ToString::to_string);
            let times = if refused.len() > 1 { format!(", {} times", refused.len()) } else { String::new() };
            Some((*at, format!("{} demands {wanted}, {} {words}{times}", the(party.peer()), the(party))))
        }))
    };
    REFUSAL_TOLD: Negotiation, "an end closes the link because the other does not authenticate itself" => |call| {
        terminated_with(call, &["peer refused to authenticate", "couldn't negotiate eap", "No auth is possible"])
    };
    LINK_NEVER_OPENED: Negotiation, "LCP did not open" => |call| {
        Reading::flag(call.lcp.exchange.opened.is_none() && call.up.is_none() && call.is_ending(), None)
    };
    EAP_REFUSED: Negotiation, "the client refuses the EAP method" => |call| {
        let failed = call.auth.rejected.is_some() || (call.is_ending() && call.auth.accepted.is_none());
        Reading::flag(call.auth.eap_nak.is_some() && failed, call.auth.eap_nak)
    };
    WEAK_METHOD: Negotiation, "a weak authentication protocol is in use" => |call| {
        let weak = call.auth.agreed.as_ref().filter(|method| {
            matches!(method, AuthenticationMethod::Pap | AuthenticationMethod::ChapMd5 | AuthenticationMethod::MsChap)
        });
        Reading::of(weak.filter(|_| call.auth.accepted.is_some()).map(|method| {
            (call.auth.accepted.unwrap_or_default(), method.to_string())
        }))
    };
    NO_METHOD: Negotiation, "the call is up without authentication" => |call| {
        let is_so = call.up.is_some() && call.is_whole() && call.lcp.exchange.opened.is_some() && call.auth.agreed.is_none() && !call.auth.asked.server.any();
        Reading::flag(is_so, call.up)
    };
    ACCEPTED: Negotiation, "the proof was accepted" => |call| {
        Reading::flag(call.auth.accepted.is_some(), call.auth.accepted)
    };
}
