//! Names that are given again: call ids, units, ports; and calls that were there before the agent.

use super::script::{CLIENT, SERVER, Script, carried};
use crate::event::session::{Origin as Met, Phase};
use crate::event::{Body, Event, Party};
use crate::observation::{Direction, FlowKey, Origin, What};
use crate::wire::pptp::codes::{DisconnectResult, GeneralError, SimpleResult};
use crate::wire::pptp::message::{CallClearRequest, CallDisconnectNotify, EchoReply, EchoRequest};
use crate::wire::tcp::Flags;

/// Interface of each call that went up, in order.
fn interfaces(script: &Script) -> Vec<Option<String>> {
    let up = |event: &Event| match &event.body {
        Body::SessionUp { session_up } => Some(session_up.interface.clone()),
        _ => None,
    };
    script.events.iter().filter_map(up).collect()
}

fn sessions(script: &Script) -> Vec<uuid::Uuid> {
    let start = |event: &Event| match event.body {
        Body::SessionStart { .. } => event.session.as_ref().map(|session| session.id),
        _ => None,
    };
    script.events.iter().filter_map(start).collect()
}

#[test]
fn a_unit_and_its_addresses_are_given_again() {
    let mut script = Script::new();
    script.up();
    script.segment(Party::Client, &[Flags::RST], &[]);
    script.observe(Origin::Devices, What::InterfaceGone(0));
    script.wait_ms(1500);
    // The next client gets the same ids, the same addresses and the same name from another index.
    script.port += 1;
    script.connect();
    script.call();
    script.lcp();
    script.challenge_and_response("bob");
    script.chap_success();
    script.ccp();
    script.ipcp();
    assert_eq!(interfaces(&script).len(), 1, "the old interface is not the new call's");
    script.interface(9);
    assert_eq!(interfaces(&script), [Some("ppp0".into()), Some("ppp9".into())]);
    let last = script.events.last().and_then(|event| event.session.clone()).expect("a session");
    assert_eq!(last.user.as_deref(), Some("bob"));
    assert_eq!(sessions(&script).len(), 2);
}

#[test]
fn a_call_whose_interface_a_log_has_named_still_gets_its_unit() {
    let mut script = Script::new();
    script.connect();
    script.call();
    let serial = *script.correlator.calls.iter().next().expect("a call").0;
    // pppd says "Using interface" before it is up, and long before the device is seen to have addresses.
    script.correlator.calls.set_interface(serial, "ppp0");
    script.lcp();
    script.challenge_and_response("alice");
    script.chap_success();
    script.ccp();
    script.ipcp();
    script.interface(9);
    let call = script.correlator.calls.get(serial).expect("the call");
    assert_eq!((call.books.unit, call.interface()), (Some(9), Some("ppp9")));
}

#[test]
fn a_drop_on_a_name_that_was_given_again_is_the_new_calls() {
    let mut script = Script::new();
    script.up();
    // The old call lingers while the new one has its interface already.
    script.segment(Party::Client, &[Flags::RST], &[]);
    (script.port, script.client_call_id, script.server_call_id) = (40_002, 12, 23);
    script.up();
    let on = script.correlator.calls.on_interface("ppp0").expect("a call");
    assert_eq!(script.correlator.calls.get(on).and_then(|call| call.client_call_id), Some(12));
    script.wait_ms(1500);
    assert_eq!(script.correlator.calls.on_interface("ppp0"), Some(on));
}

#[test]
fn a_call_id_is_given_again_on_the_same_connection() {
    let mut script = Script::new();
    script.up();
    script.message(Party::Client, CallClearRequest { call_id: 11 });
    script.message(
        Party::Server,
        CallDisconnectNotify {
            call_id: 22,
            result: DisconnectResult::Request,
            error: GeneralError::None,
            cause_code: 0,
            call_statistics: String::new(),
        },
    );
    // Before the old call is forgotten, and with its ids.
    script.call();
    script.counters(Party::Client, carried(5, None));
    script.wait_ms(20_000);
    assert_eq!(sessions(&script).len(), 2);
    assert_eq!(script.correlator.totals().live, 1);
    let (_, call) = script.correlator.calls.iter().next().expect("the new call");
    assert_eq!((call.client_call_id, call.phases.current()), (Some(11), Phase::Lcp));
    assert_eq!(call.traffic.of(Party::Client).packets, 5);
}

/// An agent that comes when calls are up: counters and keep-alives are all that it sees at first.
fn met_by_traffic() -> Script {
    let mut script = Script::new();
    script.counters(Party::Client, carried(500, Some(440)));
    script.counters(Party::Server, carried(450, Some(499)));
    script.wait_ms(5000);
    script
}

#[test]
fn a_restarted_agent_takes_a_call_up_with_its_connection() {
    let mut script = met_by_traffic();
    let [id] = sessions(&script)[..] else { panic!() };
    script.message(Party::Client, EchoRequest { identifier: 9 });
    let reply = EchoReply { identifier: 9, result: SimpleResult::Ok, error: GeneralError::None };
    script.message(Party::Server, reply);
    script.message(Party::Client, CallClearRequest { call_id: 11 });
    script.segment(Party::Client, &[Flags::RST], &[]);
    script.wait_ms(1500);
    let last = script.events.last().expect("events");
    assert_eq!(last.session.as_ref().map(|session| session.id), Some(id));
    let Body::SessionEnd { session_end } = &last.body else { panic!("{:?}", last.body) };
    assert!(session_end.was_up);
    let echo = session_end.control_echo.as_ref().and_then(|echo| echo.from_client).expect("an echo");
    assert_eq!((echo.sent, echo.answered), (1, 1));
    assert_eq!(sessions(&script).len(), 1);
}

#[test]
fn a_call_that_was_up_negotiates_anew() {
    let mut script = met_by_traffic();
    script.lcp();
    script.challenge_and_response("alice");
    script.chap_success();
    script.ccp();
    script.ipcp();
    script.interface(0);
    assert_eq!(sessions(&script).len(), 1);
    let last = script.events.last().and_then(|event| event.session.clone()).expect("a session");
    assert_eq!((last.user.as_deref(), last.interface.as_deref()), (Some("alice"), Some("ppp0")));
}

#[test]
fn both_runs_of_a_restarted_agent_see_the_same_call_but_name_it_anew() {
    // An id is derived from the first sight of a call: a second agent cannot know it. It must not be taken
    // for another call by its addresses and call ids, though.
    let (first, second) = (met_by_traffic(), met_by_traffic());
    assert_eq!(sessions(&first), sessions(&second), "the same observations, the same id");
    let mut later = Script::new();
    later.wait_ms(60_000);
    later.counters(Party::Client, carried(500, Some(440)));
    later.counters(Party::Server, carried(450, Some(499)));
    later.wait_ms(5000);
    assert_ne!(sessions(&later), sessions(&first));
    let reference =
        |script: &Script| {
            script.events.iter().find_map(|event| event.session.clone()).map(|session| {
                (session.client, session.server, session.client_call_id, session.server_call_id)
            })
        };
    assert_eq!(reference(&later), reference(&first));
}

#[test]
fn calls_up_at_start_are_met_whatever_side_is_seen_first() {
    for first in [Party::Client, Party::Server] {
        let mut script = Script::new();
        script.counters(first, carried(50, None));
        script.wait_ms(1000);
        script.counters(first.peer(), carried(40, None));
        script.wait_ms(5000);
        let start = script.events.iter().find_map(|event| match &event.body {
            Body::SessionStart { session_start } => Some(session_start.origin),
            _ => None,
        });
        assert_eq!(start, Some(Met::Traffic));
        let session = script.events.first().and_then(|event| event.session.clone()).expect("a session");
        assert_eq!((session.client, session.server), (Some(CLIENT), Some(SERVER)));
        assert_eq!((session.client_call_id, session.server_call_id), (Some(11), Some(22)));
    }
}

#[test]
fn a_call_id_moves_to_another_client() {
    let mut script = Script::new();
    script.up();
    // Another client, another flow: equal ids are no collision, the addresses tell them apart.
    let other =
        FlowKey { source: SERVER, destination: std::net::Ipv4Addr::new(198, 51, 100, 8), call_id: 11 };
    script.observe(Origin::Counters, What::Flow(other, Direction::Egress, carried(9, None)));
    script.wait_ms(5000);
    assert_eq!(script.correlator.totals().live, 2);
}
