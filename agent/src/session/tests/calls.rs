//! Whole calls.

use super::script::{
    CLIENT, CLIENT_TUNNEL, SERVER, SERVER_TUNNEL, Script, call_reply, call_request, carried,
};
use crate::event::session::{Cause, Mppe, Origin, Phase};
use crate::event::{Body, Event, Party};
use crate::observation::Flow;
use crate::wire::ppp::{Frame, cp, lcp};
use crate::wire::pptp::codes::OutgoingCallResult;
use crate::wire::pptp::message::CallClearRequest;
use crate::wire::tcp::Flags;

fn terminate() -> Frame {
    Frame::Lcp(lcp::Packet { id: 3, body: cp::Body::TerminateRequest { reason: None } })
}

fn find<T>(events: &[Event], pick: impl Fn(&Body) -> Option<T>) -> T {
    events.iter().find_map(|event| pick(&event.body)).expect("no such event")
}

fn end(script: &Script) -> crate::event::session::End {
    find(&script.events, |body| match body {
        Body::SessionEnd { session_end } => Some(session_end.clone()),
        _ => None,
    })
}

#[test]
fn a_healthy_call_tells_its_story() {
    let mut script = Script::new();
    script.up();
    script.counters(Party::Client, carried(50, Some(40)));
    script.counters(Party::Server, carried(41, Some(49)));
    script.frame(Party::Client, terminate());
    script.message(Party::Client, CallClearRequest { call_id: 11 });
    script.segment(Party::Client, &[Flags::FIN, Flags::ACK], &[]);
    script.segment(Party::Server, &[Flags::FIN, Flags::ACK], &[]);
    script.wait_ms(1500);
    assert_eq!(
        script.story(),
        [
            "start",
            "control by tcpestablished",
            "call by controlestablished",
            "lcp by callestablished",
            "auth by lcpopened",
            "ccp by authenticated",
            "ipcp by ccpopened",
            "up by ipcpopened",
            "up",
            "closing by lcpterminaterequest",
            "closed by tcpfin",
            "end lcpterminaterequest some(client)",
        ]
    );
    let up = find(&script.events, |body| match body {
        Body::SessionUp { session_up } => Some(session_up.clone()),
        _ => None,
    });
    assert_eq!(up.user.as_deref(), Some("alice"));
    assert_eq!(up.auth_protocol.as_deref(), Some("ms_chap_v2"));
    assert_eq!(up.interface.as_deref(), Some("ppp0"));
    assert_eq!((up.server_address, up.client_address), (Some(SERVER_TUNNEL), Some(CLIENT_TUNNEL)));
    assert_eq!(up.mppe, Some(Mppe { bits: 128, stateful: false }));
    let phases: Vec<_> = up.phases.iter().map(|time| time.phase).collect();
    use Phase::{Auth, Call, Ccp, Control, Ipcp, Lcp, Tcp};
    assert_eq!(phases, [Tcp, Control, Call, Lcp, Auth, Ccp, Ipcp]);
    assert_eq!(up.phases.iter().map(|time| time.duration_ns).sum::<u64>(), up.setup_ns);
    let end = end(&script);
    assert!(end.was_up && end.last_phase == Phase::Up);
    assert_eq!((end.from_client.unwrap().packets, end.from_server.unwrap().packets), (50, 41));
    let session = script.events.last().and_then(|event| event.session.clone()).expect("a session");
    assert_eq!((session.client, session.server), (Some(CLIENT), Some(SERVER)));
    assert_eq!((session.client_call_id, session.server_call_id), (Some(11), Some(22)));
    assert_eq!(script.correlator.take_released().len(), 2);
    assert_eq!(script.correlator.totals().live, 0);
}

#[test]
fn a_refused_password_is_the_cause_of_the_end() {
    let mut script = Script::new();
    script.connect();
    script.call();
    script.lcp();
    script.challenge_and_response("mallory");
    script.chap_failure();
    script.frame(Party::Server, terminate());
    script.segment(Party::Server, &[Flags::FIN], &[]);
    script.segment(Party::Client, &[Flags::FIN], &[]);
    script.wait_ms(1500);
    let end = end(&script);
    assert_eq!((end.reason, end.by), (Cause::AuthenticationFailed, Some(Party::Server)));
    assert_eq!((end.last_phase, end.was_up), (Phase::Auth, false));
    let session = script.events.last().and_then(|event| event.session.clone()).expect("a session");
    assert_eq!(session.user.as_deref(), Some("mallory"));
}

#[test]
fn a_second_try_that_succeeds_clears_the_refusal() {
    let mut script = Script::new();
    script.connect();
    script.call();
    script.lcp();
    script.challenge_and_response("alice");
    script.chap_failure();
    script.challenge_and_response("alice");
    script.chap_success();
    script.frame(Party::Client, terminate());
    script.segment(Party::Client, &[Flags::RST], &[]);
    script.wait_ms(1500);
    assert_eq!(end(&script).reason, Cause::LcpTerminateRequest);
}

#[test]
fn a_refused_call_ends_in_phase_call() {
    let mut script = Script::new();
    script.connect();
    script.message(Party::Client, call_request(11));
    script.message(Party::Server, call_reply(0, 11, OutgoingCallResult::from(4)));
    script.segment(Party::Client, &[Flags::RST], &[]);
    script.wait_ms(1500);
    let end = end(&script);
    assert_eq!((end.reason, end.by), (Cause::CallRefused, Some(Party::Server)));
    assert_eq!(end.last_phase, Phase::Call);
}

#[test]
fn a_syn_without_answer_times_out() {
    let mut script = Script::new();
    script.segment(Party::Client, &[Flags::SYN], &[]);
    script.wait_ms(74_000);
    assert_eq!(script.story(), ["start"]);
    script.wait_ms(2_000);
    script.wait_ms(2_000);
    let end = end(&script);
    assert_eq!((end.reason, end.last_phase), (Cause::TcpTimeout, Phase::Tcp));
}

#[test]
fn copies_made_by_the_network_do_not_renegotiate() {
    let mut script = Script::new();
    script.connect();
    script.call();
    script.lcp();
    let request = cp::Body::ConfigureRequest { options: vec![lcp::LcpOption::MagicNumber { magic: 5 }] };
    let frame = Frame::Lcp(lcp::Packet { id: 1, body: request });
    // The client's request had GRE number 0.
    script.numbered_frame(Party::Client, 0, frame.clone());
    assert_eq!(script.story().last().map(String::as_str), Some("auth by lcpopened"));
    script.numbered_frame(Party::Client, 77, frame);
    assert_eq!(script.story().last().map(String::as_str), Some("lcp by lcprenegotiation"));
}

#[test]
fn a_call_in_progress_is_found_by_its_traffic() {
    let mut script = Script::new();
    script.counters(Party::Client, carried(50, Some(40)));
    script.counters(Party::Server, carried(41, Some(49)));
    script.wait_ms(5_000);
    assert_eq!(script.story(), ["start", "up by trafficseen", "up"]);
    let start = find(&script.events, |body| match body {
        Body::SessionStart { session_start } => Some(session_start.origin),
        _ => None,
    });
    assert_eq!(start, Origin::Traffic);
    let session = script.events.last().and_then(|event| event.session.clone()).expect("a session");
    assert_eq!((session.client, session.server), (Some(CLIENT), Some(SERVER)));
    assert_eq!((session.client_call_id, session.server_call_id), (Some(11), Some(22)));
    // Its control connection, seen from the middle, ends it.
    script.message(Party::Client, CallClearRequest { call_id: 11 });
    script.segment(Party::Client, &[Flags::RST], &[]);
    script.wait_ms(40_000);
    assert_eq!(end(&script).reason, Cause::CallClearRequest);
}

#[test]
fn a_call_that_is_met_while_it_rests_is_up_when_it_carries_data() {
    let mut script = Script::new();
    let resting =
        |acks| Flow { packets: acks, bytes: acks * 40, acks, last_ack: 7, ack_only: acks, ..Flow::default() };
    script.counters(Party::Client, resting(2));
    script.counters(Party::Server, resting(1));
    script.wait_ms(5_000);
    assert_eq!(script.story(), ["start"]);
    script.counters(Party::Client, carried(5, Some(7)));
    script.wait_ms(6_000);
    assert_eq!(script.story(), ["start", "up by trafficseen", "up"]);
}

#[test]
fn a_call_in_progress_that_ends_before_it_was_found_is_one_call() {
    let mut script = Script::new();
    script.frame(Party::Client, terminate());
    assert!(script.correlator.wants_all_flows(script.now));
    script.frame(Party::Server, Frame::Lcp(lcp::Packet { id: 3, body: cp::Body::TerminateAck }));
    script.counters(Party::Client, carried(50, Some(40)));
    script.counters(Party::Server, carried(41, Some(49)));
    script.segment(Party::Client, &[Flags::RST], &[]);
    script.wait_ms(1_500);
    assert_eq!(script.story().iter().filter(|line| *line == "start").count(), 1);
    let end = end(&script);
    assert_eq!((end.reason, end.by), (Cause::LcpTerminateRequest, Some(Party::Client)));
    assert_eq!((end.from_client.unwrap().packets, end.from_server.unwrap().packets), (50, 41));
}

#[test]
fn calls_in_progress_are_searched_soon_and_then_with_the_statistics() {
    let mut script = Script::new();
    let mut searches = 0;
    for _ in 0..95 {
        let next = script.now + std::time::Duration::from_millis(100);
        searches += usize::from(script.correlator.wants_all_flows(next));
        script.wait_ms(100);
    }
    // After 1, 3 and 7 seconds; the next time is the statistics' at 10.
    assert_eq!(searches, 3);
}

#[test]
fn two_calls_in_progress_behind_one_address_are_joined_by_their_numbers() {
    let mut script = Script::new();
    let calls = [(11, 22, 500, 300), (12, 23, 9000, 7000)];
    for (client_call_id, server_call_id, up, down) in calls {
        (script.client_call_id, script.server_call_id) = (client_call_id, server_call_id);
        script.counters(Party::Client, carried(up, Some(down - 2)));
        script.counters(Party::Server, carried(down, Some(up - 1)));
    }
    script.wait_ms(5_000);
    let mut pairs: Vec<_> = script
        .events
        .iter()
        .filter(|event| matches!(event.body, Body::SessionStart { .. }))
        .filter_map(|event| event.session.as_ref())
        .map(|session| (session.client_call_id, session.server_call_id))
        .collect();
    pairs.sort();
    assert_eq!(pairs, [(Some(11), Some(22)), (Some(12), Some(23))]);
}

#[test]
fn a_call_id_used_again_ends_the_old_call() {
    let mut script = Script::new();
    script.up();
    script.port = 40_002;
    script.connect();
    script.call();
    assert!(script.story().contains(&"end callidreused none".to_owned()));
    assert_eq!(script.correlator.totals().live, 1);
    assert_eq!(script.correlator.take_released().len(), 2);
}

#[test]
fn the_last_packets_of_an_ended_call_are_no_new_call() {
    let mut script = Script::new();
    script.up();
    script.segment(Party::Client, &[Flags::RST], &[]);
    script.wait_ms(1_500);
    script.correlator.take_released();
    script.frame(Party::Server, terminate());
    script.counters(Party::Server, carried(3, None));
    script.wait_ms(10_000);
    assert_eq!(script.story().iter().filter(|line| *line == "start").count(), 1);
    assert_eq!(script.correlator.take_released(), [script.flow_from(Party::Server)]);
}

#[test]
fn an_up_call_without_interface_is_reported_after_a_while() {
    let mut script = Script::new();
    script.connect();
    script.call();
    script.lcp();
    script.challenge_and_response("alice");
    script.chap_success();
    script.ccp();
    script.ipcp();
    assert_eq!(script.story().last().map(String::as_str), Some("up by ipcpopened"));
    script.wait_ms(4_900);
    assert_eq!(script.story().last().map(String::as_str), Some("up by ipcpopened"));
    script.wait_ms(200);
    assert_eq!(script.story().last().map(String::as_str), Some("up"));
    // What follows names the interface all the same.
    script.interface(7);
    script.segment(Party::Client, &[Flags::RST], &[]);
    script.wait_ms(2_000);
    let last = script.events.last().and_then(|event| event.session.as_ref());
    assert!(last.is_some_and(|session| session.interface.is_some()));
    assert_eq!(script.story().iter().filter(|line| *line == "up").count(), 1);
}

#[test]
fn the_same_observations_give_the_same_bytes() {
    let run = || {
        let mut script = Script::new();
        script.up();
        script.counters(Party::Client, carried(50, Some(40)));
        script.wait_ms(20_000);
        script.segment(Party::Client, &[Flags::RST], &[]);
        script.wait_ms(2_000);
        serde_json::to_string(&script.events).expect("JSON")
    };
    assert_eq!(run(), run());
}

#[test]
fn segments_that_do_not_fit_the_tunnel_are_told_once_and_summed_up() {
    use crate::observation::{Direction, Inner, What};

    let mut script = Script::new();
    script.up();
    let inside = |script: &mut Script, violations: u64| {
        // What is inside came in packets.
        let packets = script.events.len() as u32;
        script.counters(Party::Client, carried(packets, None));
        let mut inner = Inner { syn: violations, violations, largest_mss: 1460, ..Inner::default() };
        (inner.violating_mss, inner.violated_mtu) = (1460, 1396);
        script.observe(crate::observation::Origin::Counters, What::Inner(0, Direction::Ingress, inner));
        // The next statistics.
        script.wait_ms(11_000);
    };
    for violations in [3, 3, 4] {
        inside(&mut script, violations);
    }
    let told: Vec<_> = script
        .events
        .iter()
        .filter_map(|event| match &event.body {
            Body::MtuMssViolation { mtu_mss_violation: told } => {
                Some((told.sender, told.segments, told.total, told.mss_bytes, told.mtu_bytes))
            }
            _ => None,
        })
        .collect();
    assert_eq!(told, [(Party::Client, 3, 3, 1460, 1396), (Party::Client, 1, 4, 1460, 1396)]);
}
