//! What the link control protocol shows.

use super::times;
use crate::event::Party;
use crate::event::finding::quoted;
use crate::finding::dossier::{Dossier, the};
use crate::finding::fact::Reading;
use crate::time::Timestamp;
use crate::wire::ppp::cp::TerminateReason;

/// Requests without an answer that are no chance any more: pppd sends one every 3 s.
const ENOUGH_REQUESTS: u32 = 3;
/// What is asked in less time was asked before the tunnel stood, and comes all at once.
const ENOUGH_WAITED_NS: u64 = 1_500_000_000;
/// Refusals of one exchange that show that it does not converge: pppd gives up after 5 Naks of its
/// own and 10 requests.
const ENOUGH_REFUSALS: u32 = 4;

/// The reason that an end of the link gives when it closes it.
pub(in crate::finding) fn termination(call: &Dossier) -> Option<(Timestamp, Party, String)> {
    call.lcp.exchange.terminated.as_deref().map(|(at, by, reason)| {
        let words = match reason {
            Some(TerminateReason::Text(text)) => quoted(text),
            Some(TerminateReason::Microsoft { error, .. }) => format!("Microsoft error {error}"),
            None => "no reason given".into(),
        };
        (*at, *by, words)
    })
}

/// When an end closes the link with one of these texts, which end, and the whole text.
pub(in crate::finding) fn termination_with<'a>(
    call: &'a Dossier,
    texts: &[&str],
) -> Option<(Timestamp, Party, &'a str)> {
    call.lcp.exchange.terminations().find_map(|(at, by, reason)| match reason {
        Some(TerminateReason::Text(text)) if texts.iter().any(|part| text.contains(part)) => {
            Some((*at, *by, text.as_str()))
        }
        _ => None,
    })
}

/// Whether an end closes the link with one of these texts.
pub(in crate::finding) fn terminated_with(call: &Dossier, texts: &[&str]) -> Reading {
    let found = termination_with(call, texts);
    Reading::of(
        found.map(|(at, by, text)| (at, format!("Terminate-Request of {}: {}", the(by), quoted(text)))),
    )
}

/// Whether an end closes the link with one of these error codes of Microsoft.
pub(in crate::finding) fn terminated_with_code(call: &Dossier, codes: &[u32]) -> Reading {
    let found = call.lcp.exchange.terminations().find_map(|(at, by, reason)| match reason {
        Some(TerminateReason::Microsoft { error, .. }) if codes.contains(error) => {
            Some((*at, format!("Terminate-Request of {}: Microsoft error {error}", the(*by))))
        }
        _ => None,
    });
    Reading::of(found)
}

facts! { Dossier;
    SERVER_ASKS_AND_ASKS: Negotiation, "the server repeats its LCP Configure-Request" => |call| {
        let tally = &call.lcp.exchange.requests.server;
        let enough = tally.count >= ENOUGH_REQUESTS || (tally.count >= 2 && call.is_ending());
        Reading::of((enough && call.lcp.exchange.opened.is_none()).then(|| (tally.first, times(tally, "Configure-Request"))))
    };
    CLIENT_ASKS_AND_ASKS: Negotiation, "the client repeats its LCP Configure-Request" => |call| {
        let tally = &call.lcp.exchange.requests.client;
        let enough = tally.count >= ENOUGH_REQUESTS || (tally.count >= 2 && call.is_ending());
        Reading::of((enough && call.lcp.exchange.opened.is_none()).then(|| (tally.first, times(tally, "Configure-Request"))))
    };
    HEARS_NOTHING: Negotiation, "an end asks for LCP again and again and hears nothing" => |call| {
        let enough = |party: &Party| {
            let unheard = call.lcp.unheard.of(*party);
            unheard.count >= ENOUGH_REQUESTS && unheard.last().ns_since(unheard.first) >= ENOUGH_WAITED_NS
        };
        let deaf = [Party::Server, Party::Client].into_iter().find(enough);
        Reading::of(deaf.filter(|_| call.lcp.exchange.opened.is_none()).map(|deaf| {
            let tally = call.lcp.unheard.of(deaf);
            (tally.first, format!("{} of {}", times(tally, "Configure-Request"), the(deaf)))
        }))
    };
    NEVER_OPENED: Negotiation, "LCP was asked for again and again and did not open" => |call| {
        let requests = &call.lcp.exchange.requests;
        let is_so = call.failed() && call.lcp.exchange.opened.is_none() && requests.server.count.max(requests.client.count) >= ENOUGH_REQUESTS;
        Reading::flag(is_so, requests.server.since().or(requests.client.since()))
    };
    SERVER_ANSWERED: Negotiation, "the server has answered the client's Configure-Request" => |call| {
        Reading::flag(call.lcp.exchange.answers_of(Party::Server) > 0, call.lcp.exchange.acks.server.since())
    };
    CLIENT_ANSWERED: Negotiation, "the client answers the server's Configure-Request" => |call| {
        Reading::flag(call.lcp.exchange.answers_of(Party::Client) > 0, call.lcp.exchange.acks.client.since())
    };
    SERVER_SPEAKS: Negotiation, "the server sends LCP frames" => |call| {
        let tally = &call.lcp.frames.server;
        Reading::of(tally.since().map(|at| (at, times(tally, "frame"))))
            .unless_blind(call.beginning_unseen())
    };
    OPENED: Negotiation, "LCP opened" => |call| {
        Reading::flag(call.lcp.exchange.opened.is_some() || call.up.is_some(), call.lcp.exchange.opened)
    };
    REFUSED_AGAIN_AND_AGAIN: Negotiation, "one end refuses the other's LCP options again and again" => |call| {
        let exchange = &call.lcp.exchange;
        let refusals = |party| exchange.refusals.of(party).count();
        let by = [Party::Client, Party::Server].into_iter().find(|party| {
            refusals(*party) >= ENOUGH_REFUSALS && exchange.opened.is_none()
        });
        Reading::of(by.map(|by| {
            let since = exchange.refusals.of(by).since().unwrap_or_default();
            (since, format!("{} refuses {} {} times", the(by), exchange.refusals.of(by).options.join(", "), refusals(by)))
        }))
    };
    LOOPED: Negotiation, "an end's own magic number comes back" => |call| {
        Reading::flag(call.lcp.looped.is_some(), call.lcp.looped)
    };
    ECHO_UNANSWERED: Negotiation, "LCP Echo-Requests are not answered" => |call| {
        let lost = [Party::Server, Party::Client].into_iter().find(|party| call.lcp.echo.pending.of(*party).count >= 2);
        Reading::of(lost.map(|party| {
            let tally = call.lcp.echo.pending.of(party);
            (tally.first, format!("{} of {}", times(tally, "Echo-Request"), the(party)))
        }))
    };
    ECHO_MISSED: Negotiation, "LCP Echo-Requests were missed, one after the other" => |call| {
        let missed = &call.told.lcp_missed;
        let lost = [Party::Server, Party::Client].into_iter().find(|party| missed.of(*party).count >= 2);
        Reading::of(lost.map(|party| (missed.of(party).first, format!("{} of {}", times(missed.of(party), "Echo-Request"), the(party)))))
    };
    ECHO_ANSWERED: Negotiation, "an LCP Echo-Request was answered after those" => |call| {
        let pending = &call.lcp.echo.pending;
        let replies = call.lcp.echo.replies.of(Party::Client).last().max(call.lcp.echo.replies.of(Party::Server).last());
        let missed = call.told.lcp_missed.client.last().max(call.told.lcp_missed.server.last());
        let is_so = call.told.lcp_missed.client.any() || call.told.lcp_missed.server.any();
        let none_waits = pending.client.count < 2 && pending.server.count < 2;
        Reading::flag(is_so && replies > missed && none_waits && !DECLARED_DEAD.read(call).is_seen(), Some(replies))
    };
    DECLARED_DEAD: Negotiation, "an end declares the other dead" => |call| {
        terminated_with(call, &["Peer not responding"])
    };
    USER_ENDED: Negotiation, "an end closes the link because its user wants so" => |call| {
        terminated_with(call, &["User request", "Link inactive", "Connect time expired", "Traffic limit"])
    };
    LOOPBACK_TOLD: Negotiation, "an end says that the link is looped back" => |call| {
        terminated_with(call, &["Loopback detected"])
    };
    TERMINATED: Negotiation, "an end closes the link" => |call| {
        Reading::of(termination(call).map(|(at, by, words)| (at, format!("{}: {words}", the(by)))))
    };
    WAS_UP: Negotiation, "the call was up" => |call| Reading::flag(call.up.is_some(), call.up);
}
