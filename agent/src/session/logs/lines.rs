//! What single messages of the catalogue say about a call.

use crate::observation::log::{Class, Level, Log};

pub(super) const PPPD_STARTED: &str = "pppd.pppd_started_by_uid";
pub(super) const PPPD_INTERFACE: &str = "pppd.using_interface";
pub(super) const PPPD_RENAMED: &str = "pppd.renamed_interface_to";
pub(super) const PPPD_CONNECT: &str = "pppd.connect";
pub(super) const PPPD_LOCAL: &str = "pppd.local_ip_address";
pub(super) const PPPD_REMOTE: &str = "pppd.remote_ip_address";
pub(super) const PPPD_NUMBER: &str = "pppd.peer_from_calling_number_authorized";
pub(super) const PPPD_COMPRESSION: &str = "pppd.compression_enabled";
pub(super) const PPPD_EXIT: &str = "pppd.exit";
pub(super) const PPPD_TERMINATED: &str = "pppd.connection_terminated";
pub(super) const PPPD_PEER_TERMINATED: [&str; 2] = ["pppd.terminated_by_peer", "pppd.terminated_by_peer_2"];
pub(super) const WORKER_STARTED: &str = "pptpd.ctrl_client_control_connection_started";
pub(super) const WORKER_FINISHED: &str = "pptpd.ctrl_client_control_connection_finished";
pub(super) const WORKER_CALL: &str = "pptpd.ctrl_starting_call_launching_pppd_opening_gre";
pub(super) const WORKER_REAPS: &str = "pptpd.ctrl_reaping_child_ppp";
pub(super) const WORKER_REMOTE: [&str; 2] =
    ["pptpd.ctrl_remote_address", "pptpd.ctrl_pppd_launcher_remote_address"];
pub(super) const CLIENT_CALL: &str = "pptp.outgoing_call_established_call_id_peer_s_call";
pub(super) const ACCEL_CONNECT: &str = "accel-ppp.connect";

/// Messages by which the server says that it accepted the client, or the client that it was accepted.
pub(super) const AUTHENTICATED: [&str; 4] = [
    "pppd.peer_authenticated_with",
    "pppd.pap_peer_authentication_succeeded_for",
    "pppd.authentication_succeeded",
    "accel-ppp.authentication_succeeded",
];

/// Messages by which the client was refused.
pub(super) const REFUSED: [&str; 10] = [
    "pppd.peer_failed_chap_authentication",
    "pppd.peer_failed_chap_session_verification",
    "pppd.pap_peer_authentication_failed_for",
    "pppd.no_chap_secret_found_for_authenticating",
    "pppd.chap_authentication_failed",
    "pppd.chap_authentication_failed_2",
    "pppd.pap_authentication_failed",
    "pppd.ms_chap_authentication_failed",
    "accel-ppp.authentication_failed",
    "accel-ppp.authentication_failed_2",
];

/// Whether the line is said by a process that serves one call.
pub(super) fn is_of_a_call(log: &Log) -> bool {
    match &*log.program {
        "pppd" | "pptp" => true,
        // The manager serves all of them. The queue of a worker says what it does without a prefix.
        "pptpd" => {
            ["CTRL", "GRE", "discarding duplicate packet"].iter().any(|begin| log.text.starts_with(begin))
        }
        "accel-ppp" => log.message.as_ref().is_some_and(|message| message.fields.contains_key("interface")),
        _ => false,
    }
}

/// Whether the line is said by what pptpd starts before it becomes pppd.
pub(super) fn is_of_launcher(log: &Log) -> bool {
    log.program == "pptpd" && log.text.starts_with("CTRL (PPPD Launcher)")
}

/// Whether the line is worth an event of its own: not the debug dump, which the wire shows, and not what a
/// program tells its developers.
pub(super) fn is_of_interest(log: &Log) -> bool {
    log.message.as_ref().is_none_or(|message| {
        message.dump.is_none() && (message.level > Level::Debug || message.class == Class::Cause)
    })
}
