//! What is concluded from calls that go wrong, and from calls that do not.

use super::script::{SERVER, Script, call_reply, call_request, carried, start_reply};
use crate::event::finding::{Confidence, Finding, State};
use crate::event::{Body, Event, Party};
use crate::observation::{Direction, IcmpError, Inner, Origin, Quoted, What};
use crate::wire::ppp::cp::Body::{
    ConfigureAck, ConfigureNak, ConfigureReject, ConfigureRequest, ProtocolReject, TerminateRequest,
};
use crate::wire::ppp::cp::TerminateReason;
use crate::wire::ppp::{Frame, Protocol, ccp, lcp};
use crate::wire::pptp::codes::OutgoingCallResult;
use crate::wire::tcp::Flags;

fn finding(event: &Event) -> Option<&Finding> {
    match &event.body {
        Body::Finding { finding } => Some(finding),
        _ => None,
    }
}

/// State and code of every finding so far; `!` marks what is primary.
fn said(script: &Script) -> Vec<String> {
    let word = |finding: &Finding| {
        let mark = if finding.primary { "!" } else { "" };
        format!("{:?} {}{mark}", finding.state, finding.code).to_lowercase()
    };
    script.events.iter().filter_map(finding).map(word).collect()
}

fn last<'a>(script: &'a Script, code: &str) -> &'a Finding {
    script.events.iter().rev().filter_map(finding).find(|finding| finding.code == code).unwrap()
}

fn hang_up(script: &mut Script, by: Party) {
    script.segment(by, &[Flags::FIN, Flags::ACK], &[]);
    script.segment(by.peer(), &[Flags::FIN, Flags::ACK], &[]);
    script.wait_ms(1500);
}

fn lcp_request(script: &mut Script, sender: Party, id: u8) {
    let options = vec![lcp::LcpOption::MagicNumber { magic: 7 + sender as u32 }];
    script.frame(sender, Frame::Lcp(lcp::Packet { id, body: ConfigureRequest { options } }));
}

fn terminate(script: &mut Script, sender: Party, text: &str) {
    let reason = Some(TerminateReason::Text(text.into()));
    script.frame(sender, Frame::Lcp(lcp::Packet { id: 99, body: TerminateRequest { reason } }));
}

#[test]
fn a_healthy_call_says_nothing() {
    let mut script = Script::new();
    script.up();
    terminate(&mut script, Party::Client, "User request");
    hang_up(&mut script, Party::Client);
    assert_eq!(said(&script), Vec::<String>::new());
}

#[test]
fn gre_that_never_comes_is_blocked_on_the_way_here() {
    let mut script = Script::new();
    script.connect();
    script.call();
    for id in 1..=4 {
        lcp_request(&mut script, Party::Server, id);
    }
    assert_eq!(said(&script), ["raised gre.blocked_inbound!"]);
    hang_up(&mut script, Party::Client);
    let found = last(&script, "gre.blocked_inbound");
    assert!(found.primary && found.confidence >= Confidence::Medium, "{found:?}");
    assert_eq!(
        found.consequences.iter().map(|other| other.code.as_str()).collect::<Vec<_>>(),
        ["lcp.timeout"]
    );
    assert!(found.missing.iter().any(|missing| missing.why.contains("log")), "{:?}", found.missing);
    assert!(!found.remedy.is_empty() && found.remedy.iter().all(|remedy| !remedy.text.contains('{')));
    let end = script.events.iter().position(|event| matches!(event.body, Body::SessionEnd { .. })).unwrap();
    let latest = script.events.iter().rposition(|event| finding(event).is_some()).unwrap();
    assert!(latest < end, "findings come before the end");
}

#[test]
fn gre_that_comes_late_takes_the_finding_back() {
    let mut script = Script::new();
    script.connect();
    script.call();
    for id in 1..=3 {
        lcp_request(&mut script, Party::Server, id);
    }
    script.lcp();
    assert_eq!(said(&script), ["raised gre.blocked_inbound!", "withdrawn gre.blocked_inbound"]);
    let found = last(&script, "gre.blocked_inbound");
    assert_eq!(found.state, State::Withdrawn);
    assert_eq!(found.reason.as_deref(), Some("now seen: GRE comes from the client"));
}

#[test]
fn a_client_that_never_hears_the_server() {
    let mut script = Script::new();
    script.connect();
    script.call();
    for id in 1..=4 {
        lcp_request(&mut script, Party::Server, id);
        lcp_request(&mut script, Party::Client, id);
        let options = vec![lcp::LcpOption::MagicNumber { magic: 7 }];
        script.frame(Party::Server, Frame::Lcp(lcp::Packet { id, body: ConfigureAck { options } }));
    }
    hang_up(&mut script, Party::Client);
    assert!(last(&script, "gre.blocked_outbound").primary);
    assert!(script.events.iter().filter_map(finding).all(|finding| finding.code != "gre.blocked_inbound"));
}

#[test]
fn a_refused_proof_is_told_with_its_code_and_a_later_success_takes_it_back() {
    let mut script = Script::new();
    script.connect();
    script.call();
    script.lcp();
    script.challenge_and_response("alice");
    script.chap_failure();
    let found = last(&script, "auth.rejected");
    assert_eq!(found.confidence, Confidence::High);
    assert_eq!(
        found.statement,
        "203.0.113.1 refuses user alice of 198.51.100.7: E=691 authentication failure."
    );
    script.challenge_and_response("alice");
    script.chap_success();
    assert_eq!(last(&script, "auth.rejected").state, State::Withdrawn);
}

#[test]
fn a_call_that_nobody_answers() {
    let mut script = Script::new();
    script.segment(Party::Client, &[Flags::SYN], &[]);
    script.wait_ms(3000);
    assert_eq!(said(&script), Vec::<String>::new());
    script.wait_ms(1500);
    assert_eq!(said(&script), ["raised control.unreachable!"]);
    let mut script = Script::new();
    script.segment(Party::Client, &[Flags::SYN], &[]);
    script.segment(Party::Server, &[Flags::RST, Flags::ACK], &[]);
    script.wait_ms(1500);
    assert_eq!(last(&script, "control.unreachable").confidence, Confidence::High);
}

#[test]
fn a_daemon_that_accepts_and_is_silent() {
    let mut script = Script::new();
    script.connect();
    script.message(Party::Client, super::script::start_request());
    script.wait_ms(4500);
    assert_eq!(said(&script), ["raised control.pool_exhausted!"]);
    // The client gives up; then a place is free, and the daemon answers nobody.
    script.segment(Party::Client, &[Flags::FIN, Flags::ACK], &[]);
    script.wait_ms(2000);
    script.message(Party::Server, start_reply(1.into()));
    script.segment(Party::Server, &[Flags::FIN, Flags::ACK], &[]);
    script.wait_ms(1500);
    assert!(last(&script, "control.pool_exhausted").primary, "{:?}", said(&script));
    assert!(!said(&script).iter().any(|word| word.contains("undecided")), "{:?}", said(&script));
}

#[test]
fn a_daemon_that_is_slow_and_then_takes_the_call_is_not_full() {
    let mut script = Script::new();
    script.connect();
    script.message(Party::Client, super::script::start_request());
    script.wait_ms(4500);
    script.message(Party::Server, start_reply(1.into()));
    script.message(Party::Client, call_request(11));
    script.message(Party::Server, call_reply(3, 11, OutgoingCallResult::from(1)));
    assert_eq!(said(&script), ["raised control.pool_exhausted!", "withdrawn control.pool_exhausted"]);
}

#[test]
fn a_refused_call_is_told_in_the_words_of_the_reply() {
    let mut script = Script::new();
    script.connect();
    script.message(Party::Client, call_request(11));
    script.message(Party::Server, call_reply(0, 11, OutgoingCallResult::from(7)));
    let found = last(&script, "control.refused");
    assert!(found.primary && found.statement.contains("result 7 do_not_accept"), "{}", found.statement);
    assert!(found.statement.starts_with(&SERVER.to_string()));
}

#[test]
fn a_server_that_hangs_up_without_a_frame() {
    let mut script = Script::new();
    script.connect();
    script.call();
    hang_up(&mut script, Party::Server);
    assert!(last(&script, "daemon.pppd_start_failed").primary);
}

#[test]
fn encryption_that_one_end_does_not_have() {
    let authenticated = || {
        let mut script = Script::new();
        script.connect();
        script.call();
        script.lcp();
        script.challenge_and_response("alice");
        script.chap_success();
        script
    };
    let request = |script: &mut Script, sender, bits: u32| {
        let options = vec![ccp::CcpOption::Mppe { bits: bits.into() }];
        script.frame(sender, Frame::Ccp(ccp::Packet { id: 1, body: ConfigureRequest { options } }));
    };
    let mut script = authenticated();
    request(&mut script, Party::Server, 0x0100_0040);
    let body = ProtocolReject { rejected_protocol: Protocol::Ccp };
    script.frame(Party::Client, Frame::Lcp(lcp::Packet { id: 3, body }));
    terminate(&mut script, Party::Server, "MPPE required but peer refused");
    hang_up(&mut script, Party::Server);
    assert!(last(&script, "mppe.not_offered").primary);

    let mut script = authenticated();
    request(&mut script, Party::Server, 0x0100_0040);
    request(&mut script, Party::Client, 0x0100_0020);
    terminate(&mut script, Party::Server, "MPPE required but peer negotiation failed");
    hang_up(&mut script, Party::Server);
    let found = last(&script, "mppe.strength_mismatch");
    assert!(found.primary, "{:?}", said(&script));

    let mut script = authenticated();
    request(&mut script, Party::Server, 0x0100_0040);
    terminate(&mut script, Party::Client, "MPPE required but not available");
    hang_up(&mut script, Party::Client);
    assert!(last(&script, "mppe.kernel_missing").primary);
}

#[test]
fn noise_is_of_other_keys_unless_so_much_is_lost_that_the_count_has_come_again() {
    let noisy = |highest| {
        let mut script = Script::new();
        script.up();
        let mut flow = carried(10, None);
        flow.sequence.record(highest);
        flow.packets += 1;
        script.counters(Party::Server, flow);
        script.wait_ms(20_000);
        for (id, protocol) in (3..).zip([0x00e1, 0x1234, 0x4321]) {
            let body = ProtocolReject { rejected_protocol: protocol.into() };
            script.frame(Party::Client, Frame::Lcp(lcp::Packet { id, body }));
        }
        terminate(&mut script, Party::Client, "User request");
        hang_up(&mut script, Party::Client);
        said(&script).iter().any(|said| said.contains("mppe.key_mismatch"))
    };
    assert!(noisy(20));
    assert!(!noisy(20_000));
}

#[test]
fn options_that_bounce_are_named() {
    let mut script = Script::new();
    script.connect();
    script.call();
    for id in 1..=5 {
        let options = vec![lcp::LcpOption::Mru { mru: 9000 }];
        script.frame(Party::Client, Frame::Lcp(lcp::Packet { id, body: ConfigureRequest { options } }));
        let options = vec![lcp::LcpOption::Mru { mru: 1400 }];
        script.frame(Party::Server, Frame::Lcp(lcp::Packet { id, body: ConfigureNak { options } }));
    }
    hang_up(&mut script, Party::Client);
    let found = last(&script, "lcp.no_convergence");
    assert!(found.primary && found.statement.contains("mru"), "{}", found.statement);
}

#[test]
fn a_client_that_refuses_to_authenticate_itself() {
    let mut script = Script::new();
    script.connect();
    script.call();
    let method = lcp::AuthenticationMethod::MsChapV2;
    let options = vec![lcp::LcpOption::AuthenticationProtocol { method }];
    let body = ConfigureRequest { options: options.clone() };
    script.frame(Party::Server, Frame::Lcp(lcp::Packet { id: 1, body }));
    script.frame(Party::Client, Frame::Lcp(lcp::Packet { id: 1, body: ConfigureReject { options } }));
    terminate(&mut script, Party::Server, "peer refused to authenticate");
    hang_up(&mut script, Party::Server);
    let found = last(&script, "auth.protocol_mismatch");
    assert!(found.primary, "{:?}", said(&script));
    assert!(found.evidence.iter().any(|evidence| evidence.detail.contains("ms_chap_v2")), "{found:?}");
}

#[test]
fn what_cannot_be_decided_is_said_to_be_so() {
    let mut script = Script::new();
    script.connect();
    script.call();
    script.lcp();
    hang_up(&mut script, Party::Client);
    let found = last(&script, "undecided");
    assert_eq!((found.confidence, found.state), (Confidence::Low, State::Raised));
    assert!(!found.missing.is_empty(), "{found:?}");
}

#[test]
fn a_client_that_fails_again_and_again_is_told_once() {
    let mut script = Script::new();
    for call in 0..7 {
        script.port += 1;
        script.client_call_id += 1;
        script.server_call_id += 1;
        let _ = call;
        script.connect();
        script.call();
        script.lcp();
        script.challenge_and_response("alice");
        script.chap_failure();
        hang_up(&mut script, Party::Server);
    }
    let flapping: Vec<_> =
        script.events.iter().filter_map(finding).filter(|found| found.code == "session.flapping").collect();
    assert_eq!(flapping.len(), 1);
    assert!(flapping[0].evidence[0].detail.contains("auth.rejected"), "{:?}", flapping[0]);
    script.wait_ms(700_000);
    assert_eq!(last(&script, "session.flapping").state, State::Resolved);
}

#[test]
fn a_response_without_a_verdict() {
    let mut script = Script::new();
    script.connect();
    script.call();
    script.lcp();
    script.challenge_and_response("alice");
    script.wait_ms(10_000);
    hang_up(&mut script, Party::Client);
    assert!(last(&script, "auth.no_result").primary, "{:?}", said(&script));
}

#[test]
fn a_keep_alive_that_is_not_answered_is_told_by_time_alone() {
    let mut script = Script::new();
    script.up();
    let echo = crate::wire::pptp::message::EchoRequest { identifier: 1 };
    script.message(Party::Client, echo);
    script.wait_ms(9_000);
    assert_eq!(said(&script), Vec::<String>::new());
    script.wait_ms(1_500);
    assert_eq!(said(&script), ["raised control.echo_lost"]);
}

#[test]
fn two_calls_with_one_address() {
    let mut script = Script::new();
    script.up();
    assert_eq!(said(&script), Vec::<String>::new());
    script.port += 1;
    script.client_call_id += 1;
    script.server_call_id += 1;
    script.up();
    let found = last(&script, "ipcp.address_conflict");
    assert!(found.evidence[0].detail.starts_with("10.9.0.2 is that of"), "{found:?}");
}

#[test]
fn an_authentication_that_gives_no_keys_is_no_missing_kernel() {
    let mut script = Script::new();
    script.connect();
    script.call();
    let method = lcp::AuthenticationMethod::ChapMd5;
    let options = vec![lcp::LcpOption::AuthenticationProtocol { method }];
    let mine = vec![lcp::LcpOption::MagicNumber { magic: 5 }];
    let frame = |body| Frame::Lcp(lcp::Packet { id: 1, body });
    script.frame(Party::Server, frame(ConfigureRequest { options: options.clone() }));
    script.frame(Party::Client, frame(ConfigureRequest { options: mine.clone() }));
    script.frame(Party::Server, frame(ConfigureAck { options: mine }));
    script.frame(Party::Client, frame(ConfigureAck { options }));
    script.challenge_and_response("alice");
    script.chap_success();
    terminate(&mut script, Party::Server, "MPPE required but not available");
    hang_up(&mut script, Party::Server);
    assert!(last(&script, "mppe.no_keys").primary, "{:?}", said(&script));
    assert!(!said(&script).iter().any(|word| word.contains("kernel_missing")), "{:?}", said(&script));
}

#[test]
fn an_end_that_could_not_authenticate_says_nothing_about_its_kernel() {
    let mut script = Script::new();
    script.connect();
    script.call();
    let asked = vec![lcp::LcpOption::AuthenticationProtocol { method: lcp::AuthenticationMethod::MsChapV2 }];
    let mine = vec![lcp::LcpOption::MagicNumber { magic: 5 }];
    let frame = |id, body| Frame::Lcp(lcp::Packet { id, body });
    script.frame(Party::Server, frame(1, ConfigureRequest { options: asked.clone() }));
    script.frame(Party::Client, frame(1, ConfigureReject { options: asked }));
    script.frame(Party::Server, frame(2, ConfigureRequest { options: Vec::new() }));
    script.frame(Party::Client, frame(2, ConfigureAck { options: Vec::new() }));
    script.frame(Party::Client, frame(1, ConfigureRequest { options: mine.clone() }));
    script.frame(Party::Server, frame(1, ConfigureAck { options: mine }));
    // The client demands MPPE and finds no keys; the server has found that nobody proved who he is.
    terminate(&mut script, Party::Client, "MPPE required but not available");
    terminate(&mut script, Party::Server, "peer refused to authenticate");
    hang_up(&mut script, Party::Server);
    assert!(last(&script, "auth.protocol_mismatch").primary, "{:?}", said(&script));
    assert!(!said(&script).iter().any(|word| word.contains("kernel_missing")), "{:?}", said(&script));
}

#[test]
fn requests_that_come_all_at_once_have_not_waited() {
    let mut script = Script::new();
    script.connect();
    script.call();
    for id in 1..=4 {
        lcp_request(&mut script, Party::Client, id);
    }
    assert_eq!(said(&script), Vec::<String>::new());
    script.wait_ms(2000);
    lcp_request(&mut script, Party::Client, 5);
    assert_eq!(said(&script), ["raised lcp.timeout!"]);
}

#[test]
fn an_end_that_hears_itself_refuses_nothing() {
    let mut script = Script::new();
    script.connect();
    script.call();
    let method = lcp::AuthenticationMethod::MsChapV2;
    let magic = lcp::LcpOption::MagicNumber { magic: 9 };
    let options = vec![lcp::LcpOption::AuthenticationProtocol { method: method.clone() }, magic];
    let refused = vec![lcp::LcpOption::AuthenticationProtocol { method }];
    for sender in [Party::Server, Party::Client] {
        let body = ConfigureRequest { options: options.clone() };
        script.frame(sender, Frame::Lcp(lcp::Packet { id: 1, body }));
    }
    for sender in [Party::Server, Party::Client] {
        let body = ConfigureReject { options: refused.clone() };
        script.frame(sender, Frame::Lcp(lcp::Packet { id: 1, body }));
    }
    terminate(&mut script, Party::Server, "peer refused to authenticate");
    hang_up(&mut script, Party::Server);
    assert!(last(&script, "lcp.loopback").primary, "{:?}", said(&script));
}

/// An ICMP error "destination unreachable" about a packet of the server.
fn unreachable(script: &mut Script, code: u8, next_hop_mtu: Option<u16>) {
    let error = IcmpError {
        reporter: [203, 0, 113, 1].into(),
        receiver: SERVER,
        kind: 3,
        code,
        next_hop_mtu,
        quoted_bytes: 1400,
        dont_fragment: true,
        about: Quoted::Gre(script.flow_from(Party::Server)),
    };
    script.observe(Origin::Wire { ifindex: 2, direction: Direction::Ingress }, What::Icmp(error));
}

#[test]
fn a_router_that_names_its_mtu_is_no_end_that_rejects_the_tunnel() {
    let mut script = Script::new();
    script.up();
    unreachable(&mut script, 4, Some(1000));
    assert_eq!(said(&script), ["raised mtu.fragmentation"]);
    let found = last(&script, "mtu.fragmentation");
    assert_eq!(found.evidence[0].detail, "203.0.113.1 takes 1000 bytes");
    let remedy = &found.remedy[0].text;
    assert!(remedy.contains("1000 (path MTU, told by ICMP)"), "{remedy}");
}

#[test]
fn an_end_that_has_no_receiver_rejects_the_tunnel() {
    let mut script = Script::new();
    script.connect();
    script.call();
    lcp_request(&mut script, Party::Server, 1);
    unreachable(&mut script, 2, None);
    assert_eq!(said(&script), ["raised gre.peer_rejects!"]);
    let found = last(&script, "gre.peer_rejects");
    assert_eq!(found.evidence[0].detail, "destination unreachable (protocol) from 203.0.113.1");
}

#[test]
fn segments_that_do_not_fit_the_tunnel_are_told_with_the_clamp() {
    let mut script = Script::new();
    script.up();
    let inner = Inner {
        syn: 4,
        violations: 3,
        largest_mss: 1460,
        violating_mss: 1460,
        violated_mtu: 1400,
        ..Inner::default()
    };
    script.observe(Origin::Counters, What::Inner(0, Direction::Ingress, inner));
    script.counters(Party::Client, carried(5, None));
    script.wait_ms(11_000);
    assert_eq!(said(&script), ["raised mtu.mss_violation"]);
    let found = last(&script, "mtu.mss_violation");
    assert!(found.evidence[0].detail.starts_with("3 from the client"), "{:?}", found.evidence);
    assert!(found.statement.contains("1460") && found.statement.contains("1400"), "{}", found.statement);
}

/// So many GRE packets sent into the tunnel of the script's call, the last to this address.
fn gre_inside(script: &mut Script, gre: u64, gre_destination: [u8; 4]) {
    let inner = Inner { gre, gre_destination, ..Inner::default() };
    script.observe(Origin::Counters, What::Inner(0, Direction::Egress, inner));
}

#[test]
fn gre_of_the_tunnel_in_the_tunnel_is_a_routing_loop() {
    let mut script = Script::new();
    script.up();
    gre_inside(&mut script, 3, super::script::CLIENT.octets());
    assert_eq!(said(&script), ["raised gre.routing_loop"]);
    let found = last(&script, "gre.routing_loop");
    assert_eq!(found.evidence[0].detail, "3 packets to 198.51.100.7");
    gre_inside(&mut script, 5, super::script::CLIENT.octets());
    let told = script.events.iter().filter_map(|event| match &event.body {
        Body::GreRoutingLoop { gre_routing_loop: told } => Some((told.packets, told.total)),
        _ => None,
    });
    assert_eq!(told.collect::<Vec<_>>(), [(3, 3), (2, 5)]);
}

#[test]
fn gre_of_another_tunnel_in_the_tunnel_is_none() {
    let mut script = Script::new();
    script.up();
    gre_inside(&mut script, 3, [192, 0, 2, 77]);
    assert_eq!(said(&script), [""; 0]);
}
