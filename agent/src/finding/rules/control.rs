//! `control.*`: the connection to TCP port 1723.

use crate::event::finding::Confidence;
use crate::finding::dossier::{Dossier, Reply};
use crate::finding::facts::{control, gre, host, logs};
use crate::finding::history::History;
use crate::finding::rule::Rule;

pub(in crate::finding) const RULES: &[Rule<Dossier>] = &[
    // Nobody listens: the server's own kernel says so.
    Rule {
        code: "control.unreachable",
        all: &[control::SYN_REFUSED],
        supports: &[logs::UNREACHABLE, host::NO_LISTENER],
        confidence: Confidence::High,
        say: |call| {
            format!(
                "Nobody listens on TCP port 1723 of {}: {}'s connection is refused.",
                call.server(),
                call.client()
            )
        },
        ..Rule::BLANK
    },
    // Silence: the SYN or its answer is filtered.
    Rule {
        code: "control.unreachable",
        all: &[control::SYN_UNANSWERED],
        supports: &[logs::UNREACHABLE, host::SYN_DROPPED],
        confidence: Confidence::Medium,
        say: |call| {
            format!(
                "{}'s SYN to TCP port 1723 of {} is never answered: it, or its answer, is filtered.",
                call.client(),
                call.server()
            )
        },
        ..Rule::BLANK
    },
    Rule {
        code: "control.unreachable",
        all: &[logs::UNREACHABLE],
        unless: &[control::TCP_STANDS],
        confidence: Confidence::Medium,
        say: |_| "The client cannot connect to TCP port 1723 of the server.".into(),
        ..Rule::BLANK
    },
    Rule {
        code: "control.refused",
        any: &[control::START_REFUSED, control::CALL_REFUSED],
        confidence: Confidence::High,
        say: |call| {
            let reply = call.control.call_reply.as_ref().or(call.control.start_reply.as_ref());
            let words = reply.map(Reply::words).unwrap_or_default();
            format!("{} refuses the call of {}: {words}.", call.server(), call.client())
        },
        ..Rule::BLANK
    },
    // The kernel completes the handshake in the backlog; pptpd with a full pool does not accept().
    Rule {
        code: "control.pool_exhausted",
        all: &[
            control::TCP_STANDS,
            control::CLIENT_ASKS_TO_START,
            control::NO_START_REPLY,
            control::SERVER_NEVER_SPOKE,
        ],
        unless: &[control::CALL_ACCEPTED],
        supports: &[logs::POOL_EMPTY],
        confidence: Confidence::Medium,
        say: |call| {
            format!(
                "{} takes the TCP connection of {} and never answers: its daemon accepts no more calls, all addresses are in use.",
                call.server(),
                call.client()
            )
        },
        ..Rule::BLANK
    },
    Rule {
        code: "control.pool_exhausted",
        all: &[logs::POOL_EMPTY],
        confidence: Confidence::High,
        say: |_| "The daemon has no address left for another client.".into(),
        ..Rule::BLANK
    },
    Rule {
        code: "control.echo_lost",
        any: &[control::ECHO_UNANSWERED, logs::CONTROL_TIMED_OUT],
        unless: &[gre::ONE_SIDED_LOOP],
        supports: &[logs::CONTROL_TIMED_OUT, control::ECHO_MISSED],
        confidence: Confidence::Medium,
        say: |call| {
            format!(
                "The control connection between {} and {} is dead: its keep-alive is not answered.",
                call.client(),
                call.server()
            )
        },
        ..Rule::BLANK
    },
    Rule {
        code: "control.scanner",
        any: &[control::NOT_PPTP, logs::NOT_PPTP],
        confidence: Confidence::High,
        say: |call| format!("{} connects to port 1723 and speaks something that is not PPTP.", call.client()),
        ..Rule::BLANK
    },
];

pub(in crate::finding) const HISTORY: &[Rule<History>] = &[Rule {
    code: "control.scanner",
    any: &[host::BARE_CONNECTS, host::NOT_PPTP_LOGGED],
    confidence: Confidence::Medium,
    say: |history| format!("{} probes port 1723 and makes no call.", history.name()),
    ..Rule::BLANK
}];
