//! What the daemons say in their logs. Lines of class *effect* are no facts: they never decide.

use crate::event::finding::quoted;
use crate::finding::dossier::{Dossier, LogLine};
use crate::finding::fact::Reading;

fn tell(line: Option<&LogLine>) -> Reading {
    Reading::of(line.map(|line| (line.at, format!("{}: {}", line.program, quoted(&line.text)))))
}

fn says(call: &Dossier, patterns: &[&str]) -> Reading {
    tell(call.logs.first(patterns))
}

/// A line of `patterns` whose text has one of `parts`.
fn says_with(call: &Dossier, patterns: &[&str], parts: &[&str]) -> Reading {
    tell(call.logs.lines.iter().find(|line| {
        patterns.iter().any(|pattern| line.is(pattern)) && parts.iter().any(|part| line.text.contains(part))
    }))
}

/// The option bits of MPPE that a line of a debug dump shows: `+S`, `-L`.
fn dump_bits(line: &LogLine) -> Option<(bool, [bool; 3])> {
    let options = line.text.split_once("<mppe ")?.1.split('>').next()?;
    let sent = line.text.starts_with("sent");
    let has = |letter| options.split_whitespace().any(|word| word == letter);
    Some((sent, [has("+L"), has("+M"), has("+S")]))
}

/// Frames that one witness must have told before the silence of the other is strange.
pub(in crate::finding) const ENOUGH_FRAMES: u32 = 3;

facts! { Dossier;
    OPTION_UNKNOWN: Log, "pppd does not know one of its options" => |call| {
        says(call, &["pppd.in_file_unrecognized_option", "pppd.unrecognized_option"])
    };
    PLUGIN_UNFIT: Log, "pppd cannot use a plugin" => |call| {
        says(call, &["pppd.plugin_is_for_pppd_version_this_is", "pppd.couldn_t_load_plugin"])
    };
    NO_PPP_DEVICE: Log, "pppd cannot open /dev/ppp" => |call| {
        says(call, &["pppd.couldn_t_open_dev_ppp*", "pppd.couldn_t_open_the_dev_ppp_device*", "pppd.couldn_t_create_new_ppp_unit"])
    };
    NO_LINE_DISCIPLINE: Log, "pppd cannot set the PPP line discipline" => |call| {
        says(call, &["pppd.couldn_t_set_tty_to_ppp_discipline*"])
    };
    NO_SECRETS: Log, "pppd finds no secret that it could demand" => |call| {
        says(call, &[
            "pppd.the_remote_system_is_required_to_authenticate_itself*", "pppd.but_i_couldn_t_find_any_suitable_secret*",
            "pppd.none_of_the_available_passwords_would_let_it*",
        ])
    };
    LAUNCH_FAILED: Log, "pptpd cannot start pppd" => |call| {
        says(call, &["pptpd.ctrl_pppd_launcher_failed_to_launch_ppp_daemon", "pptpd.mgr_failed_to_exec"])
    };
    GRE_SEND_REFUSED: Log, "this host refuses to send the daemon's GRE" => |call| {
        says_with(call, &["pptpd.gre_xmit_failed_from_decaps_hdlc", "pptpd.gre_re_xmit_failed_from_decaps_hdlc"], &["not permitted", "denied"])
    };
    GRE_REFUSED_BY_PEER: Log, "the daemon's read of GRE fails with an ICMP error" => |call| {
        says_with(call, &["pptpd.gre_read_fd_buffer_len_from_network_failed", "pptp.short_read"], &["rotocol not available", "refused"])
    };
    GRE_OF_OTHERS: Log, "the daemon discards GRE of another call" => |call| {
        says(call, &["pptpd.gre_discarding_packet_by_header_check", "pptp.discarding_gre"])
    };
    LCP_TIMEOUT: Log, "pppd gave up asking for LCP" => |call| {
        says_with(call, &["pppd.timeout_sending_config_requests"], &["LCP"])
    };
    IPCP_TIMEOUT: Log, "pppd gave up asking for IPCP" => |call| {
        says_with(call, &["pppd.timeout_sending_config_requests"], &["IPCP"])
    };
    ECHO_FAILED: Log, "pppd got no answer to its LCP echoes" => |call| {
        says(call, &["pppd.no_response_to_echo_requests", "accel-ppp.lcp_no_echo_reply"])
    };
    LOOPED: Log, "pppd sees its own packets" => |call| {
        says(call, &["pppd.serial_line_is_looped_back", "pppd.appear_to_have_received_our_own_echo_reply", "accel-ppp.lcp_echo_loop_back_detected"])
    };
    AUTH_FAILED: Log, "the daemon refuses the client, or is refused" => |call| {
        says(call, &[
            "pppd.peer_failed_chap_authentication", "pppd.pap_peer_authentication_failed_for", "pppd.chap_authentication_failed",
            "pppd.chap_authentication_failed_2", "pppd.ms_chap_authentication_failed", "pppd.pap_authentication_failed",
            "pppd.no_chap_secret_found_for_authenticating", "accel-ppp.authentication_failed*",
            "accel-ppp.mschap_v2_user_not_found", "pppd.peer_failed_chap_session_verification", "pppd.unknown_ms_chap_authentication_failure",
        ])
    };
    WINDOWS_REFUSES: Log, "Windows refuses the user" => |call| {
        says(call, &["windows.remoteaccess.20271", "windows.nps.6273", "windows.ias.access_reject", "windows.remoteaccess.20249"])
    };
    NO_SECRET_FOR_USER: Log, "the user is not in chap-secrets" => |call| {
        says(call, &["pppd.no_chap_secret_found_for_authenticating", "accel-ppp.mschap_v2_user_not_found", "accel-ppp.mschap_v1_user_not_found"])
    };
    TERMINATED_WITH_691: Log, "the peer's Terminate-Request holds an authentication error of Windows" => |call| {
        // pppd shows bytes as `cat -v` does: 00 3c cd 74, then 00 00 02 b3 (691).
        says_with(call, &["pppd.terminated_by_peer"], &["<M-Mt^@^@^BM-3", "<M-Mt^@^@^BM-1", "<M-Mt^@^@^BM-^G", "<M-Mt^@^@^BM-^H", "<M-Mt^@^@^BM-^I", "<M-Mt^@^@^CM-\""])
    };
    AUTH_TIMED_OUT: Log, "pppd waited in vain for an answer to its challenge" => |call| {
        says(call, &["pppd.chap_authentication_timed_out", "accel-ppp.mschap_v2_timeout", "accel-ppp.mschap_v1_timeout", "accel-ppp.chap_md5_timeout"])
    };
    AUTH_REFUSED: Log, "the peer refuses to authenticate itself as demanded" => |call| {
        says(call, &["pppd.peer_refused_to_authenticate_terminating_link", "accel-ppp.cann_t_negotiate_authentication_type"])
    };
    RADIUS_SILENT: Log, "the RADIUS client gets no answer" => |call| {
        says(call, &["pppd.rc_send_server_no_reply_from_radius_server", "accel-ppp.radius_server_not_responding*", "accel-ppp.radius_no_available_servers", "accel-ppp.radius_no_servers_available"])
    };
    RADIUS_DIGEST: Log, "the RADIUS client gets answers with a wrong authenticator" => |call| {
        says(call, &["pppd.rc_check_reply_received_invalid_reply_digest_from"])
    };
    RADIUS_SECRET: Log, "the RADIUS server finds that the shared secrets differ" => |call| {
        says_with(call, &["freeradius.dropping_packet_without_response_because_of_error*", "freeradius.unprintable_characters_in_the_password*"], &["shared secret", "Message-Authenticator"])
    };
    RADIUS_UNKNOWN_CLIENT: Log, "the RADIUS server does not know this host" => |call| {
        says(call, &["freeradius.ignoring_request_to_from_unknown_client*"])
    };
    RADIUS_NO_PASSWORD: Log, "the RADIUS server has no password that MS-CHAP could be checked with" => |call| {
        let direct = says(call, &["freeradius.failed_no_nt_lm_password*", "freeradius.failed_no_nt_password*"]);
        if direct.is_seen() {
            return direct;
        }
        says_with(call, &["freeradius.login_incorrect*"], &["No NT-Password", "No NT/LM-Password"])
    };
    RADIUS_REFUSES: Log, "the RADIUS server refuses the user" => |call| {
        says(call, &["freeradius.login_incorrect*", "freeradius.invalid_user*", "freeradius.rejected_in_post_auth*", "freeradius.ms_chap2_response_is_incorrect"])
    };
    RADIUS_SLOW: Log, "the RADIUS server's back end is slow" => |call| {
        says(call, &["freeradius.ignoring_duplicate_packet*", "freeradius.unresponsive_child*", "freeradius.received_conflicting_packet*"])
    };
    MPPE_NO_KERNEL: Log, "pppd finds no MPPE in the kernel" => |call| {
        says(call, &["pppd.mppe_required_but_kernel_has_no_support", "accel-ppp.mppe_mppe_requested_but_not_supported_by_kernel"])
    };
    MPPE_NO_KEYS: Log, "pppd has no keys for MPPE" => |call| {
        says(call, &["pppd.mppe_required_but_keys_are_not_available*", "pppd.mppe_required_but_ms_chap_v2*", "pppd.mppe_required_but_auth_done*"])
    };
    MPPE_REFUSED: Log, "MPPE is required and the peer refuses it" => |call| {
        says(call, &["pppd.mppe_required_but_peer_refused"])
    };
    MPPE_NOT_AGREED: Log, "MPPE is required and the peer does not agree" => |call| {
        says(call, &["pppd.mppe_required_but_peer_negotiation_failed"])
    };
    MPPE_STATEFUL: Log, "the peer wants stateful MPPE, which is refused" => |call| {
        says(call, &["pppd.refusing_mppe_stateful_mode_offered_by_peer"])
    };
    MPPE_BITS_DIFFER: Log, "the two ends show key lengths that exclude each other" => |call| {
        let bits: Vec<_> = call.logs.lines.iter().filter_map(|line| Some((line, dump_bits(line)?))).collect();
        let of = |wanted: bool| bits.iter().find(|(_, (sent, _))| *sent == wanted);
        let (Some((ours, (_, one))), Some((theirs, (_, other)))) = (of(true), of(false)) else { return Reading::Silent };
        let common = one.iter().zip(other).any(|(one, other)| *one && *other);
        let both = one.contains(&true) && other.contains(&true);
        Reading::of((both && !common).then(|| (ours.at, format!("{}; {}", quoted(&ours.text), quoted(&theirs.text)))))
    };
    MPPE_TOO_MANY_ERRORS: Log, "pppd gives up after too many MPPE errors" => |call| {
        says(call, &["pppd.too_many_mppe_errors_closing_lcp", "pppd.lost_compression_sync_disabling_compression"])
    };
    RANDOM_PROTOCOLS: Log, "pppd receives protocols without meaning" => |call| {
        let count = call.logs.lines.iter().filter(|line| line.is("pppd.unsupported_protocol_0x_received*")).count();
        if count >= 4 { says(call, &["pppd.unsupported_protocol_0x_received*"]) } else { Reading::Silent }
    };
    POOL_EMPTY: Log, "the daemon has no address left" => |call| {
        says(call, &["pptpd.mgr_no_free_connection_slots_or_ips*", "accel-ppp.ppp_no_free_ipv4_address", "accel-ppp.ippool_pool_is_empty*"])
    };
    ADDRESS_TAKEN: Log, "the address is in use already" => |call| {
        says(call, &["accel-ppp.ppp_requested_ipv4_address_already_assigned*", "pppd.interface_configuration_failed"])
    };
    ADDRESS_REFUSED: Log, "pppd does not agree on the addresses" => |call| {
        says(call, &["pppd.peer_refused_to_agree_to*", "pppd.could_not_determine_local_ip_address", "pppd.peer_is_not_authorized_to_use_remote_address"])
    };
    CONTROL_TIMED_OUT: Log, "the daemon got no answer to its control echo" => |call| {
        says(call, &["pptpd.ctrl_session_timed_out_ending_call", "pptp.closing_control_connection_due_to_missing_echo_reply", "accel-ppp.pptp_no_echo_reply"])
    };
    NOT_PPTP: Log, "the daemon was sent something that is not PPTP" => |call| {
        says(call, &["pptpd.mgr_initial_packet*", "pptpd.mgr_dropped_s*", "accel-ppp.pptp_invalid*", "accel-ppp.pptp_message_is_too*", "pptpd.ctrl_bad_magic_cookie*"])
    };
    UNREACHABLE: Log, "the client could not connect to port 1723" => |call| {
        says(call, &["pptp.connect", "pptp.could_not_open_control_connection_to", "pppd.could_not_open_control_connection_to"])
    };
    ROUTING_LOOP: Log, "the kernel finds the tunnel routed into itself" => |call| {
        says(call, &["kernel.recursion_detected", "kernel.dead_loop_on_virtual_device*", "accel-ppp.ppp_ipcp_to_avoid_kernel_soft_lockup*"])
    };
    CONNTRACK_FULL: Log, "the kernel's connection tracking is full" => |call| says(call, &["kernel.nf_conntrack_table_full*"]);
    HELPER_MISSING: Log, "the connection tracking helper for PPTP is not there" => |call| says(call, &["kernel.no_such_helper", "kernel.nf_conntrack_default_automatic_helper*"]);
    TOO_LARGE: Log, "packets are too large for the path" => |call| {
        says(call, &["pptp.transmitted_gre_packet_triggered_an_icmp*", "kernel.mppe_compress_osize*", "kernel.mppe_decompress_osize*", "kernel.ppp_compressor_dropped_pkt"])
    };
    SENT_NOT_SEEN: Log, "pppd logs frames that it sends, and not one is on the wire" => |call| {
        let sent = &call.logs.dumped.sent;
        let is_so = call.is_whole() && sent.count >= ENOUGH_FRAMES && !call.lcp.frames.server.any();
        Reading::of(is_so.then(|| (sent.first, format!("{} sent", super::times(sent, "frame")))))
    };
    CAME_NOT_READ: Log, "frames of the client are on the wire, and pppd logs none" => |call| {
        let dumped = &call.logs.dumped;
        let (speaks, reads) = (dumped.sent.count >= ENOUGH_FRAMES, dumped.received.any());
        let came = &call.lcp.frames.client;
        let is_so = call.is_whole() && speaks && !reads && came.count >= ENOUGH_FRAMES;
        Reading::of(is_so.then(|| (came.first, super::times(came, "frame"))))
    };
    ENDED_BY_SIGNAL: Log, "pppd was told to end by a signal" => |call| says(call, &["pppd.terminating_on_signal"]);
    ANY_CAUSE: Log, "a daemon names a cause" => |call| tell(call.logs.first_cause());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::log::Class;
    use crate::time::Timestamp;

    /// Every id that a fact of this file is made of.
    fn patterns() -> Vec<&'static str> {
        let programs = ["pppd.", "pptpd.", "pptp.", "accel-ppp.", "freeradius.", "kernel."];
        let facts = include_str!("logs.rs").split("#[cfg(test)]").next().unwrap_or_default();
        facts.split('"').filter(|text| programs.iter().any(|program| text.starts_with(program))).collect()
    }

    #[test]
    fn every_message_that_a_fact_waits_for_can_come() {
        let ids: Vec<String> = crate::logs::catalogue::Program::ALL
            .into_iter()
            .flat_map(|program| crate::logs::catalogue::catalogue(program).entries())
            .map(|entry| entry.id.to_string())
            .collect();
        assert!(patterns().len() > 60);
        for pattern in patterns() {
            let comes = match pattern.strip_suffix('*') {
                Some(beginning) => ids.iter().any(|id| id.starts_with(beginning)),
                None => ids.iter().any(|id| id == pattern),
            };
            assert!(comes, "no message of the catalogue is {pattern}");
        }
    }

    #[test]
    fn bits_of_a_dump() {
        let line = |text: &str| LogLine {
            at: Timestamp::default(),
            program: "pppd".into(),
            id: "".into(),
            class: Class::Progress,
            text: text.into(),
        };
        let sent = line("sent [CCP ConfReq id=0x1 <mppe +H -M +S -L -D -C>]");
        assert_eq!(dump_bits(&sent), Some((true, [false, false, true])));
        let received = line("rcvd [CCP ConfReq id=0x1 <mppe +H -M -S +L -D -C>]");
        assert_eq!(dump_bits(&received), Some((false, [true, false, false])));
        assert_eq!(dump_bits(&line("rcvd [CCP ConfReq id=0x1]")), None);
    }
}
