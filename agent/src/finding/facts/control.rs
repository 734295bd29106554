//! What TCP port 1723 shows.

use super::times;
use crate::event::Party;
use crate::event::session::{Cause, Phase};
use crate::finding::dossier::{Dossier, ECHO_PATIENCE};
use crate::finding::fact::Reading;

/// The connection did not come to stand although the client's patience, or ours, has run out.
const SYN_PATIENCE_NS: u64 = 4_000_000_000;
/// A daemon that is there answers in milliseconds.
const REPLY_PATIENCE_NS: u64 = 4_000_000_000;
/// A pppd that starts and finds its options wrong is gone well within this.
const AT_ONCE_NS: u64 = 3_000_000_000;

facts! { Dossier;
    SYN_UNANSWERED: Control, "the client's SYN to port 1723 is not answered" => |call| {
        let waited = call.ns_since(call.began) >= SYN_PATIENCE_NS || call.is_ending();
        let never = call.is_whole() && call.entered(Phase::Control).is_none() && call.entered(Phase::Call).is_none();
        let refused = call.ending.is_some_and(|end| end.cause == Cause::TcpReset);
        Reading::flag(never && waited && !refused, Some(call.began))
    };
    SYN_REFUSED: Control, "the server answers the client's SYN with RST" => |call| {
        let by = |end: &crate::finding::dossier::Ending| {
            end.cause == Cause::TcpReset && end.by == Some(Party::Server) && end.phase == Phase::Tcp
        };
        Reading::of(call.ending.filter(|end| by(end)).map(|end| (end.at, "RST in answer to SYN".into())))
    };
    TCP_STANDS: Control, "the TCP connection to port 1723 stands" => |call| {
        let at = call.entered(Phase::Control).or_else(|| call.entered(Phase::Call));
        Reading::flag(at.is_some(), at)
    };
    CLIENT_ASKS_TO_START: Control, "the client sends Start-Control-Connection-Request" => |call| {
        Reading::flag(call.control.start_request.any(), call.control.start_request.since())
    };
    NO_START_REPLY: Control, "the server does not answer Start-Control-Connection-Request" => |call| {
        let tally = call.control.start_request;
        let reply = call.control.start_reply.as_ref().map(|reply| reply.at);
        let until = reply.or(call.ending.map(|end| end.at)).unwrap_or(call.now);
        let silent_for = until.ns_since(tally.first);
        let is_so = tally.any() && silent_for >= REPLY_PATIENCE_NS;
        let late = if reply.is_some() { "until then" } else { "at all" };
        Reading::of(is_so.then(|| (tally.first, format!("{} s, no answer {late}", silent_for / 1_000_000_000))))
    };
    SERVER_NEVER_SPOKE: Control, "nor any other control message" => |call| {
        let first = call.control.messages.server.since();
        let is_late = first.is_none_or(|first| first.ns_since(call.control.start_request.first) >= REPLY_PATIENCE_NS);
        Reading::flag(call.is_whole() && is_late, None)
    };
    START_REFUSED: Control, "the server refuses the control connection" => |call| {
        let reply = call.control.start_reply.as_ref().filter(|reply| !reply.accepted);
        Reading::of(reply.map(|reply| (reply.at, reply.words())))
    };
    CALL_REFUSED: Control, "the server refuses the call" => |call| {
        let reply = call.control.call_reply.as_ref().filter(|reply| !reply.accepted);
        Reading::of(reply.map(|reply| (reply.at, reply.words())))
    };
    CALL_ACCEPTED: Control, "the server accepts the call" => |call| {
        Reading::of(call.control.call_stands().map(|at| (at, "Outgoing-Call-Reply: result 1".into())))
    };
    LCP_OPEN_AT_CLIENT: Control, "the client says on the control connection that its LCP is open (Set-Link-Info)" => |call| {
        Reading::flag(call.control.lcp_open_at_client.is_some(), call.control.lcp_open_at_client)
    };
    CONTROL_ANSWERS: Control, "the control connection works while GRE does not" => |call| {
        let replies = &call.control.echo.replies;
        Reading::flag(replies.client.any() || replies.server.any(), replies.client.since().or(replies.server.since()))
    };
    ECHO_UNANSWERED: Control, "an Echo-Request on the control connection is not answered" => |call| {
        let pending = &call.control.echo.pending;
        let until = call.ending.map_or(call.now, |end| end.at);
        let lost = [Party::Client, Party::Server].into_iter().find(|party| {
            let tally = pending.of(*party);
            tally.any() && (tally.count > 1 || tally.first + ECHO_PATIENCE <= until)
        });
        Reading::of(lost.map(|party| {
            let tally = pending.of(party);
            (tally.first, format!("{} of {}", times(tally, "Echo-Request"), crate::finding::dossier::the(party)))
        }))
    };
    ECHO_MISSED: Control, "the keep-alive of the control connection was missed" => |call| {
        let missed = &call.told.control_missed;
        let lost = [Party::Server, Party::Client].into_iter().find(|party| missed.of(*party).any());
        Reading::of(lost.map(|party| {
            let words = format!("{} of {}", times(missed.of(party), "Echo-Request"), crate::finding::dossier::the(party));
            (missed.of(party).first, words)
        }))
    };
    SERVER_CLOSES_AT_ONCE: Control, "the server ends the call within seconds of accepting it" => |call| {
        let (Some(end), Some(stood)) = (call.ending, call.control.call_stands()) else { return Reading::Silent };
        let is_so = end.by == Some(Party::Server) && end.at.ns_since(stood) <= AT_ONCE_NS;
        Reading::of(is_so.then(|| (end.at, format!("{:.2} s after its Outgoing-Call-Reply", end.at.ns_since(stood) as f64 / 1e9))))
    };
    NOT_PPTP: Control, "bytes on port 1723 are no PPTP message" => |call| {
        let tally = call.control.garbage.by.client;
        let reason = call.control.garbage.reason.clone().unwrap_or_default();
        let lost_by_us = reason == "not seen by the agent";
        Reading::of((tally.any() && !lost_by_us).then_some((tally.first, reason)))
    };
    NOTHING_SAID: Control, "the client connects to port 1723 and leaves without a word" => |call| {
        let is_so = call.is_whole()
            && call.is_ending()
            && call.entered(Phase::Control).is_some()
            && !call.control.messages.client.any();
        Reading::flag(is_so, Some(call.began))
    };
    CLIENT_GAVE_UP: Control, "the client gives the call up" => |call| {
        let end = call.ending.filter(|end| end.by == Some(Party::Client));
        Reading::of(end.map(|end| (end.at, format!("{:?} in phase {:?}", end.cause, end.phase).to_lowercase())))
    };
    SERVER_CUT_TCP: Control, "the server's TCP ends the connection without a PPTP word" => |call| {
        let end = call.ending.filter(|end| {
            matches!(end.cause, Cause::TcpFin | Cause::TcpReset) && end.by == Some(Party::Server) && end.phase >= Phase::Call
        });
        Reading::of(end.map(|end| (end.at, format!("{:?}", end.cause).to_lowercase())))
    };
}
