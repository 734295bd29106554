//! What the account of a call says about its negotiation.

use std::sync::Arc;

use super::script::{Script, call_reply, call_request, start_request};
use crate::event::auth::{AuthResult, Outcome as Proof};
use crate::event::control::Peer;
use crate::event::echo::EchoMissed;
use crate::event::ppp::{Outcome, Summary};
use crate::event::session::{Cause, End, LinkState, Phase};
use crate::event::{Body, Party};
use crate::wire::ppp::lcp::{AuthenticationMethod, LcpOption};
use crate::wire::ppp::ras::RasError;
use crate::wire::ppp::{Frame, Protocol, chap, cp, lcp, pap};
use crate::wire::pptp::codes::{GeneralError, MessageType, OutgoingCallResult, SimpleResult};
use crate::wire::pptp::message::{EchoReply, EchoRequest, OutgoingCallReply, SetLinkInfo};
use crate::wire::pptp::peer::Software;
use crate::wire::tcp::Flags;

const CLIENT: Party = Party::Client;
const SERVER: Party = Party::Server;

fn all<T>(script: &Script, pick: impl Fn(&Body) -> Option<T>) -> Vec<T> {
    script.events.iter().filter_map(|event| pick(&event.body)).collect()
}

fn summaries(script: &Script) -> Vec<Summary> {
    all(script, |body| match body {
        Body::PppSummary { ppp_summary } => Some(ppp_summary.clone()),
        _ => None,
    })
}

fn proofs(script: &Script) -> Vec<AuthResult> {
    all(script, |body| match body {
        Body::AuthResult { auth_result } => Some(auth_result.clone()),
        _ => None,
    })
}

fn misses(script: &Script) -> Vec<EchoMissed> {
    all(script, |body| match body {
        Body::ControlEchoMissed { control_echo_missed } => Some(*control_echo_missed),
        Body::PppEchoMissed { ppp_echo_missed } => Some(*ppp_echo_missed),
        _ => None,
    })
}

/// Ends the call by RST; what `session.end` says.
fn end(script: &mut Script) -> End {
    script.segment(CLIENT, &[Flags::RST], &[]);
    script.wait_ms(1500);
    let ends = all(script, |body| match body {
        Body::SessionEnd { session_end } => Some(session_end.clone()),
        _ => None,
    });
    ends.into_iter().next().expect("an end")
}

fn lcp(id: u8, body: cp::Body<LcpOption>) -> Frame {
    Frame::Lcp(lcp::Packet { id, body })
}

#[test]
fn a_healthy_call_has_its_layers_and_its_proof() {
    let mut script = Script::new();
    script.up();
    let layers = summaries(&script);
    assert!(layers.iter().all(Summary::is_open));
    let [Summary::Lcp(link), Summary::Ccp(_), Summary::Ipcp(addresses)] = &layers[..] else {
        panic!("{layers:?}")
    };
    assert_eq!(link.client.offered, [LcpOption::MagicNumber { magic: 5 }]);
    assert_eq!((link.negotiation_ns, link.client.answer_max_ns), (30_000_000, Some(10_000_000)));
    // Its first request, for 0.0.0.0, was never answered in this script.
    assert_eq!((addresses.client.requests, addresses.client.unanswered), (2, 1));
    let [proof] = &proofs(&script)[..] else { panic!() };
    assert_eq!((proof.outcome, proof.authenticator, proof.attempt), (Proof::Success, SERVER, 1));
    assert_eq!(proof.protocol, Some(AuthenticationMethod::MsChapV2));
    assert_eq!(proof.identity.as_deref(), Some("alice"));
    assert_eq!((proof.response_ns, proof.result_ns), (Some(10_000_000), Some(10_000_000)));
    let end = end(&mut script);
    assert_eq!(end.negotiation, layers);
    let peer = |peer: Option<Arc<Peer>>| peer.and_then(|peer| peer.software);
    assert_eq!(peer(end.client_peer), Some(Software::PptpLinux));
    assert_eq!(peer(end.server_peer), Some(Software::Pptpd));
    assert_eq!((end.client_lcp, end.termination, end.control_echo), (None, None, None));
}

#[test]
fn a_refused_password_says_why() {
    let mut script = Script::new();
    script.connect();
    script.call();
    script.lcp();
    script.challenge_and_response("mallory");
    script.chap_failure();
    let reason = cp::TerminateReason::Microsoft { magic: 1, error: 691 };
    script.frame(CLIENT, lcp(9, cp::Body::TerminateRequest { reason: Some(reason) }));
    let [proof] = &proofs(&script)[..] else { panic!() };
    assert_eq!(
        (proof.outcome, proof.error_code, proof.retry_allowed),
        (Proof::Failure, Some(691), Some(false))
    );
    assert_eq!(proof.error, Some(chap::FailureCode::AuthenticationFailure));
    let termination = end(&mut script).termination.expect("a reason");
    assert_eq!((termination.by, termination.protocol), (CLIENT, Protocol::Lcp));
    assert_eq!(
        (termination.error, termination.error_code),
        (Some(RasError::AuthenticationFailure), Some(691))
    );
}

#[test]
fn a_challenge_without_response() {
    let mut script = Script::new();
    script.connect();
    script.call();
    script.lcp();
    let challenge = chap::Body::Challenge { value_size: 16, name: "vpn1".into() };
    for _ in 0..4 {
        script.frame(SERVER, Frame::Chap(chap::Packet { id: 1, body: challenge.clone() }));
    }
    assert_eq!(proofs(&script), []);
    let end = end(&mut script);
    assert_eq!(end.last_phase, Phase::Auth);
    let [proof] = &proofs(&script)[..] else { panic!() };
    assert_eq!((proof.outcome, proof.challenges, proof.challenge_retransmissions), (Proof::NoResponse, 1, 3));
    assert_eq!((proof.responses, proof.identity.as_deref()), (0, None));
}

#[test]
fn pap_requests_that_are_never_judged() {
    let mut script = Script::new();
    script.connect();
    script.call();
    let request = pap::Body::AuthenticateRequest { peer_id: "bob".into() };
    for id in 0..3 {
        script.frame(CLIENT, Frame::Pap(pap::Packet { id, body: request.clone() }));
    }
    end(&mut script);
    let [proof] = &proofs(&script)[..] else { panic!() };
    assert_eq!((proof.outcome, proof.authenticator), (Proof::NoResult, SERVER));
    assert_eq!((proof.responses, proof.response_retransmissions), (1, 2));
    assert_eq!(proof.protocol, Some(AuthenticationMethod::Pap));
    assert_eq!(proof.identity.as_deref(), Some("bob"));
}

#[test]
fn lcp_without_answer_fails_with_the_call() {
    let mut script = Script::new();
    script.connect();
    script.call();
    for _ in 0..10 {
        script.frame(
            SERVER,
            lcp(1, cp::Body::ConfigureRequest { options: vec![LcpOption::Mru { mru: 1400 }] }),
        );
        script.wait_ms(3000);
    }
    assert_eq!(summaries(&script), []);
    end(&mut script);
    let [Summary::Lcp(layer)] = &summaries(&script)[..] else { panic!() };
    assert_eq!(layer.outcome, Outcome::Unanswered);
    assert_eq!((layer.server.requests, layer.server.retransmissions, layer.client.requests), (10, 9, 0));
}

#[test]
fn encryption_that_a_client_does_not_speak() {
    let mut script = Script::new();
    script.connect();
    script.call();
    script.lcp();
    let options = vec![crate::wire::ppp::ccp::CcpOption::Mppe { bits: 0x0100_0040.into() }];
    let request = cp::Body::ConfigureRequest { options: options.clone() };
    script.frame(SERVER, Frame::Ccp(cp::Packet { id: 1, body: request }));
    script.frame(CLIENT, lcp(2, cp::Body::ProtocolReject { rejected_protocol: Protocol::Ccp }));
    let rejected = summaries(&script).into_iter().find_map(|summary| match summary {
        Summary::Ccp(layer) => Some(layer),
        _ => None,
    });
    let layer = rejected.expect("a summary of CCP");
    assert_eq!((layer.outcome, layer.by), (Outcome::Rejected, Some(CLIENT)));
    assert_eq!(layer.server.offered, options);
}

fn link_info(accm: u32) -> SetLinkInfo {
    SetLinkInfo { peer_call_id: 22, send_accm: accm, receive_accm: accm }
}

#[test]
fn set_link_info_tells_of_lcp_where_gre_is_not_seen() {
    let mut script = Script::new();
    script.connect();
    script.call();
    script.message(CLIENT, link_info(u32::MAX));
    assert_eq!(script.story().last().map(String::as_str), Some("lcp by callestablished"));
    script.message(CLIENT, link_info(0));
    assert_eq!(script.story().last().map(String::as_str), Some("auth by setlinkinfo"));
    script.message(CLIENT, link_info(u32::MAX));
    let end = end(&mut script);
    assert_eq!((end.client_lcp, end.last_phase), (Some(LinkState::Closed), Phase::Auth));
}

#[test]
fn set_link_info_that_never_changes_says_that_lcp_did_not_open() {
    let mut script = Script::new();
    script.connect();
    script.call();
    script.message(CLIENT, link_info(u32::MAX));
    script.message(CLIENT, link_info(u32::MAX));
    let end = end(&mut script);
    assert_eq!((end.client_lcp, end.last_phase), (Some(LinkState::NotOpened), Phase::Lcp));
}

#[test]
fn keep_alives_of_both_kinds() {
    let mut script = Script::new();
    script.up();
    for id in 0..5 {
        script.frame(SERVER, lcp(id, cp::Body::EchoRequest { magic: 1 }));
        if id != 3 {
            script.frame(CLIENT, lcp(id, cp::Body::EchoReply { magic: 2 }));
        }
        script.wait_ms(30_000);
    }
    for identifier in 0..2 {
        script.message(CLIENT, EchoRequest { identifier });
        let reply = EchoReply { identifier, result: SimpleResult::Ok, error: GeneralError::None };
        script.message(SERVER, reply);
    }
    script.message(SERVER, EchoRequest { identifier: 77 });
    script.wait_ms(60_000);
    let end = end(&mut script);
    let lcp = end.lcp_echo.expect("LCP Echo");
    assert_eq!(lcp.from_client, None);
    let server = lcp.from_server.expect("the server's");
    assert_eq!((server.sent, server.answered, server.missed, server.late), (5, 4, 1, 0));
    assert_eq!((server.rtt_min_ns, server.rtt_max_ns), (Some(10_000_000), Some(10_000_000)));
    let control = end.control_echo.expect("PPTP Echo");
    assert_eq!(control.from_client.map(|echo| (echo.sent, echo.answered, echo.missed)), Some((2, 2, 0)));
    assert_eq!(control.from_server.map(|echo| (echo.sent, echo.answered, echo.missed)), Some((1, 0, 1)));
    let misses: Vec<_> = misses(&script).iter().map(|missed| (missed.sender, missed.identifier)).collect();
    assert_eq!(misses, [(SERVER, 3), (SERVER, 77)]);
}

#[test]
fn the_codes_of_a_refusal_are_in_the_end() {
    let mut script = Script::new();
    script.connect();
    script.message(CLIENT, start_request());
    script.message(CLIENT, call_request(11));
    let reply = call_reply(0, 11, OutgoingCallResult::GeneralError);
    script.message(SERVER, OutgoingCallReply { error: GeneralError::NoResource, cause_code: 7, ..reply });
    let end = end(&mut script);
    assert_eq!(end.reason, Cause::CallRefused);
    let result = end.control_result.expect("codes");
    assert_eq!((result.sender, result.message), (SERVER, MessageType::OutgoingCallReply));
    assert_eq!((result.result.as_str(), result.error), ("general_error", Some(GeneralError::NoResource)));
    assert_eq!(result.cause_code, Some(7));
}
