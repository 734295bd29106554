//! What a hostile network can do to the correlator: not much.

use std::net::{Ipv4Addr, SocketAddrV4};

use bytes::Bytes;
use proptest::prelude::*;

use super::super::Config;
use super::script::{Script, carried};
use crate::event::{Body, Party};
use crate::observation::{Direction, FlowKey, Origin, PppFrame, Segment, What};
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
    let request = (0..4u16).prop_map(|id| crate::wire::pptp::Message::from(super::script::call_request(id)));
    let reply = (0..4u16, 0..4u16, 0..8u8).prop_map(|(id, peer, result)| {
        crate::wire::pptp::Message::from(super::script::call_reply(
            id,
            peer,
            OutgoingCallResult::from(result),
        ))
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
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn any_observations_keep_it_within_its_bounds(
        steps in prop::collection::vec((what(), 0..3000u64), 0..120),
    ) {
        let mut script = Script::with(small());
        for (what, wait) in steps {
            script.observe(Origin::Wire { ifindex: 2, direction: Direction::Ingress }, what);
            prop_assert!(script.correlator.totals().live <= 16);
            script.wait_ms(wait);
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
