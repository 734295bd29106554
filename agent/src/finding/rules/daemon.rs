//! `daemon.*`: the programs behind the control connection.

use crate::event::finding::{Confidence, quoted};
use crate::finding::dossier::Dossier;
use crate::finding::facts::{control, gre, lcp, logs};
use crate::finding::rule::Rule;

/// What pppd says, up to its own full stop.
fn words(call: &Dossier) -> String {
    let line = call.logs.first(&[
        "pppd.in_file_unrecognized_option",
        "pppd.unrecognized_option",
        "pppd.plugin_is_for_pppd_version_this_is",
        "pppd.couldn_t_*",
        "pppd.the_remote_system_is_required_to_authenticate_itself*",
        "pppd.but_i_couldn_t_find_any_suitable_secret*",
        "pppd.none_of_the_available_passwords_would_let_it*",
        "pptpd.ctrl_pppd_launcher_failed_to_launch_ppp_daemon",
        "pptpd.mgr_failed_to_exec",
    ]);
    line.map_or_else(|| "it does not say why".to_owned(), |line| quoted(line.text.trim_end_matches('.')))
}

pub(in crate::finding) const RULES: &[Rule<Dossier>] = &[
    // pppd says so itself.
    Rule {
        code: "daemon.pppd_start_failed",
        any: &[
            logs::OPTION_UNKNOWN,
            logs::PLUGIN_UNFIT,
            logs::NO_PPP_DEVICE,
            logs::NO_LINE_DISCIPLINE,
            logs::NO_SECRETS,
            logs::LAUNCH_FAILED,
        ],
        unless: &[lcp::OPENED],
        supports: &[control::SERVER_CLOSES_AT_ONCE],
        against: &[lcp::SERVER_SPEAKS],
        confidence: Confidence::High,
        say: |call| format!("pppd does not start: {}.", words(call)),
        ..Rule::BLANK
    },
    // The picture on the wire: the call is accepted, not one frame comes, the server hangs up.
    Rule {
        code: "daemon.pppd_start_failed",
        all: &[control::CALL_ACCEPTED, control::SERVER_CLOSES_AT_ONCE],
        silent: &[gre::ANY_FROM_SERVER],
        unless: &[gre::DROPPED_BY_FIREWALL, logs::ENDED_BY_SIGNAL, logs::GRE_SEND_REFUSED],
        supports: &[control::SERVER_CUT_TCP],
        confidence: Confidence::Medium,
        say: |call| {
            format!(
                "{} accepts the call of {} and hangs up at once without one PPP frame: its pppd does not start.",
                call.server(),
                call.client()
            )
        },
        ..Rule::BLANK
    },
];
