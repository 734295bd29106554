//! What a hostile network can do to the correlator: not much.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::super::{Config, Correlator};
use super::script::{SERVER, Script, call_reply, call_request, carried, numbered};
use crate::event::{Body, Event, Party};
use crate::observation::{Direction, FlowKey, Origin, PppFrame, Segment, What};
use crate::time::Timestamp;
use crate::wire::ppp::Frame;
use crate::wire::tcp::Flags;

fn small() -> Config {
    Config { max_sessions: 16, ..Config::for_host("vpn1") }
}

fn syn(source: SocketAddrV4) -> What {
    What::Segment(Segment {
        source,
        destination: SocketAddrV4::new(Ipv4Addr::new(203, 0, 113, 1), 1723),
        flags: Flags::SYN,
        sequence: 1,
        acknowledgement: None,
        payload: Bytes::new(),
    })
}

#[test]
fn a_flood_of_connections_cannot_end_a_call_that_stands() {
    let mut script = Script::with(small());
    script.up();
    for number in 0..1000u32 {
        let source = SocketAddrV4::new(Ipv4Addr::from(0x0a00_0000 + number), 1024);
        script.observe(Origin::Wire { ifindex: 2, direction: Direction::Ingress }, syn(source));
        assert!(script.correlator.totals().live <= 16);
    }
    let ended_up = script.events.iter().any(|event| match &event.body {
        Body::SessionEnd { session_end } => session_end.was_up,
        _ => false,
    });
    assert!(!ended_up);
    assert_eq!(script.correlator.totals().evicted, 1000 - 4);
    script.wait_ms(120_000);
    script.wait_ms(120_000);
    assert_eq!(script.correlator.totals().live, 1);
}

/// Every index is true, nothing points to what is gone, and every table is within its bound.
fn check(correlator: &Correlator, max_sessions: usize) -> Result<(), String> {
    let sound = [
        ("calls", correlator.calls.is_sound()),
        ("connections", correlator.connections.is_sound()),
        ("strangers", correlator.strangers.is_sound()),
        ("number of calls", correlator.calls.len() <= max_sessions),
        ("number of connections", correlator.connections.len() <= 2 * max_sessions),
        ("number of flows", correlator.flows.len() <= 2 * max_sessions),
        ("negotiations", correlator.calls.iter().all(|(_, call)| call.negotiation.is_bounded())),
        ("owners of flows", {
            correlator.flows.iter().all(|(flow, serial)| {
                correlator.calls.get(*serial).is_some_and(|call| call.flows().any(|own| own == *flow))
            })
        }),
        ("calls on connections", {
            correlator.connections.attached().all(|(key, serial)| {
                correlator.calls.get(serial).is_some_and(|call| call.connection == Some(key))
            })
        }),
    ];
    match sound.iter().find(|(_, is_sound)| !is_sound) {
        Some((what, _)) => Err(format!("{what}: {correlator:#?}")),
        None => Ok(()),
    }
}

#[test]
fn connections_of_a_flood_are_forgotten_with_its_calls() {
    let mut script = Script::with(small());
    for number in 0..1000u32 {
        let source = SocketAddrV4::new(Ipv4Addr::from(0x0a00_0000 + number), 1024);
        script.observe(Origin::Wire { ifindex: 2, direction: Direction::Ingress }, syn(source));
    }
    assert_eq!(script.correlator.connections.len(), 4);
    check(&script.correlator, 16).unwrap();
}

#[test]
fn a_call_that_changes_its_id_leaves_no_flow_behind() {
    let mut script = Script::new();
    script.connect();
    for call_id in 0..100 {
        script.message(Party::Client, call_request(call_id));
        script.message(Party::Server, call_reply(7, call_id, 1.into()));
        script.message(Party::Server, call_reply(8, call_id, 1.into()));
        check(&script.correlator, 4096).unwrap();
    }
}

/// Comparisons for `calls` calls behind one address that were up when the agent came.
fn comparisons(calls: u16) -> u64 {
    let mut script = Script::new();
    for number in 0..calls {
        (script.client_call_id, script.server_call_id) = (number, number);
        let numbers = (u32::from(number) * 5000) % 4_000_000 + 10;
        let at = script.now;
        script.counters(Party::Client, numbered(numbers, numbers + 999));
        script.counters(Party::Server, numbered(numbers + 1000, numbers - 1));
        // All at once: the time of a script is not the time of a host with many calls.
        script.now = at;
    }
    for _ in 0..6 {
        script.wait_ms(1000);
    }
    assert_eq!(script.correlator.totals().live, u64::from(calls));
    check(&script.correlator, 4096).unwrap();
    script.correlator.strangers.compared.get()
}

#[test]
fn calls_behind_one_address_are_compared_once_with_each_other() {
    // Every flow with every flow back, when its wait ends; not at every look.
    for calls in [50, 100, 200] {
        let compared = comparisons(calls);
        let bound = u64::from(calls) * u64::from(calls) + 10;
        assert!(compared <= bound, "{compared} comparisons for {calls} calls");
    }
}

#[test]
fn calls_at_different_addresses_are_not_compared() {
    let mut script = Script::new();
    let count = 500u32;
    for number in 0..count {
        let client = Ipv4Addr::from(0x0a00_0000 + number);
        let server = Ipv4Addr::new(203, 0, 113, 1);
        let up = FlowKey { source: client, destination: server, call_id: 1 };
        let down = FlowKey { source: server, destination: client, call_id: 2 };
        script.observe(Origin::Counters, What::Flow(up, Direction::Ingress, carried(50, Some(40))));
        script.observe(Origin::Counters, What::Flow(down, Direction::Egress, carried(41, Some(49))));
        script.wait_ms(1);
    }
    assert_eq!(script.correlator.totals().live, u64::from(count));
    let compared = script.correlator.strangers.compared.get();
    assert!(compared <= 4 * u64::from(count), "{compared} comparisons for {count} calls");
}

/// Whether an event of `step` is the statistics of a call.
fn statistics(step: &[Event]) -> usize {
    step.iter().filter(|event| matches!(event.body, Body::SessionStats { .. })).count()
}

#[test]
fn statistics_of_many_calls_are_not_held_together() {
    let mut script = Script::new();
    for number in 0..150u32 {
        let up = FlowKey { source: Ipv4Addr::from(0x0a00_0000 + number), destination: SERVER, call_id: 1 };
        script.observe(Origin::Counters, What::Flow(up, Direction::Ingress, carried(50, None)));
        script.now = Timestamp::from_unix_ns(script.now.unix_ns() - 10_000_000);
    }
    let correlator = &mut script.correlator;
    let mut now = script.now;
    while correlator.totals().live < 150 {
        now = now + Duration::from_secs(1);
        correlator.advance(now, &mut Vec::new());
    }
    let mut in_rounds = |step: &mut dyn FnMut(&mut Correlator, &mut Vec<Event>) -> bool| {
        let mut reported = Vec::new();
        loop {
            let mut events = Vec::new();
            let is_over = step(correlator, &mut events);
            reported.push(statistics(&events));
            if is_over {
                return reported;
            }
        }
    };
    now = now + Duration::from_secs(20);
    let interval = in_rounds(&mut |correlator, events| {
        correlator.advance(now, events);
        correlator.next_deadline() > Some(now)
    });
    assert_eq!(interval, [64, 64, 22]);
    let last = in_rounds(&mut |correlator, events| correlator.finish(now, events));
    assert_eq!(last, [64, 64, 22]);
}

#[test]
fn a_full_table_refuses_and_counts() {
    let mut script = Script::with(small());
    for number in 0..40u16 {
        script.port = 30_000 + number;
        (script.client_call_id, script.server_call_id) = (100 + number, 200 + number);
        script.connect();
        script.call();
    }
    let totals = script.correlator.totals();
    assert_eq!((totals.live, totals.evicted > 0), (16, true));
}

fn address() -> impl Strategy<Value = Ipv4Addr> {
    prop_oneof![Just(Ipv4Addr::new(192, 0, 2, 1)), Just(Ipv4Addr::new(192, 0, 2, 2)), any::<Ipv4Addr>()]
}

fn socket() -> impl Strategy<Value = SocketAddrV4> {
    (address(), prop_oneof![Just(1723u16), 1000..1003u16]).prop_map(|(ip, port)| SocketAddrV4::new(ip, port))
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    use crate::wire::pptp::codes::OutgoingCallResult;
    let request = (0..4u16).prop_map(|id| crate::wire::pptp::Message::from(call_request(id)));
    let reply = (0..4u16, 0..4u16, 0..8u8).prop_map(|(id, peer, result)| {
        crate::wire::pptp::Message::from(call_reply(id, peer, OutgoingCallResult::from(result)))
    });
    prop_oneof![
        Just(Vec::new()),
        prop::collection::vec(any::<u8>(), 0..40),
        prop_oneof![request, reply].prop_map(|message| message.encode()),
    ]
}

fn flow_key() -> impl Strategy<Value = FlowKey> {
    (address(), address(), 0..4u16).prop_map(|(source, destination, call_id)| FlowKey {
        source,
        destination,
        call_id,
    })
}

fn what() -> impl Strategy<Value = What> {
    let segment = (socket(), socket(), any::<u8>(), any::<u32>(), any::<Option<u32>>(), payload());
    let segment = segment.prop_map(|(source, destination, flags, sequence, acknowledgement, payload)| {
        What::Segment(Segment {
            source,
            destination,
            flags: Flags::from(flags),
            sequence,
            acknowledgement,
            payload: payload.into(),
        })
    });
    let bytes = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        // A Configure-Request or -Ack without options, of any control protocol there is.
        (0usize..5, 1..6u8).prop_map(|(protocol, code)| {
            let protocol = [0xc021u16, 0xc223, 0x80fd, 0x8021, 0xc023][protocol];
            [&[0xff, 3], protocol.to_be_bytes().as_slice(), &[code, 1, 0, 4]].concat()
        }),
        // Any packet of any control protocol whose length is right.
        (0usize..9, 1..17u8, 0..3u8, prop::collection::vec(any::<u8>(), 0..60)).prop_map(
            |(protocol, code, id, data)| {
                let protocol =
                    [0xc021u16, 0xc223, 0x80fd, 0x8021, 0x8057, 0xc023, 0xc227, 0xc029, 0x8053][protocol];
                let length = data.len() as u8 + 4;
                [&[0xff, 3], protocol.to_be_bytes().as_slice(), &[code, id, 0, length], &data].concat()
            }
        ),
    ];
    let frame = (flow_key(), any::<Option<u32>>(), bytes).prop_map(|(flow, gre_sequence, bytes)| {
        What::Ppp(PppFrame { flow, gre_sequence, frame: Frame::decode(bytes.into(), 0) })
    });
    let flow = (flow_key(), any::<bool>(), 0..200u32, any::<Option<u32>>()).prop_map(
        |(key, egress, packets, ack)| {
            let direction = if egress { Direction::Egress } else { Direction::Ingress };
            What::Flow(key, direction, carried(packets, ack))
        },
    );
    prop_oneof![segment, frame, flow]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn any_observations_keep_it_within_its_bounds(
        steps in prop::collection::vec((what(), 0..3000u64), 0..120),
    ) {
        let mut script = Script::with(small());
        for (what, wait) in steps {
            script.observe(Origin::Wire { ifindex: 2, direction: Direction::Ingress }, what);
            prop_assert_eq!(check(&script.correlator, 16), Ok(()));
            script.wait_ms(wait);
            prop_assert_eq!(check(&script.correlator, 16), Ok(()));
        }
        // Every call that began ends, once, when nothing more is seen of it.
        for _ in 0..100 {
            script.wait_ms(11_000);
        }
        let count = |pick: fn(&Body) -> bool| script.events.iter().filter(|event| pick(&event.body)).count();
        let starts = count(|body| matches!(body, Body::SessionStart { .. }));
        let ends = count(|body| matches!(body, Body::SessionEnd { .. }));
        prop_assert_eq!(starts, ends);
        prop_assert_eq!(script.correlator.totals().live, 0);
        prop_assert_eq!(script.correlator.next_deadline().is_none_or(|at| at > script.now), true);
    }
}

#[test]
fn garbage_on_the_control_port_is_reported_and_bounded() {
    let mut script = Script::new();
    script.connect();
    for _ in 0..1000 {
        script.segment(Party::Client, &[Flags::ACK], b"GET / HTTP/1.1\r\nHost: vpn1\r\n\r\n");
    }
    script.segment(Party::Client, &[Flags::FIN], &[]);
    let reports =
        script.events.iter().filter(|event| matches!(event.body, Body::ControlGarbage { .. })).count();
    assert!((1..=20).contains(&reports), "{reports} reports");
}
