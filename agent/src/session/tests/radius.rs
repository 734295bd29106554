//! RADIUS exchanges: how they end, and whose they are. Packets are made here, with real authenticators.

use std::net::Ipv4Addr;

use bytes::Bytes;
use hmac::digest::Digest as _;
use md5::Md5;

use super::script::{CLIENT, CLIENT_TUNNEL, SERVER, Script};
use crate::event::Body;
use crate::event::log::Key;
use crate::event::radius::{Exchange, Outcome};
use crate::observation::{Origin, Proof, What};
use crate::source::radius::{Inspector, Secrets, Settings};
use crate::wire::radius::codes::AcctStatusType;
use crate::wire::radius::{Attribute, Code, Packet};

const NAS: Ipv4Addr = SERVER;
const RADIUS: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 9);
const SECRET: &str = "s3cr3t-of-both";

struct Lab {
    script: Script,
    inspector: Inspector,
    id: u8,
}

impl Lab {
    fn new(secret: Option<&str>) -> Self {
        let secrets = secret.map(|secret| Secrets::parse(secret).unwrap()).unwrap_or_default();
        let inspector = Inspector::new(Settings { secrets, ..Settings::default() });
        Self { script: Script::new(), inspector, id: 0 }
    }

    fn datagram(&mut self, from: (Ipv4Addr, u16), to: (Ipv4Addr, u16), radius: &[u8]) {
        let length = 28 + radius.len() as u16;
        let mut bytes = vec![0x45, 0, 0, 0, 0, 1, 0, 0, 64, 17, 0, 0];
        bytes[2..4].copy_from_slice(&length.to_be_bytes());
        bytes.extend(from.0.octets());
        bytes.extend(to.0.octets());
        bytes.extend([from.1, to.1, length - 20, 0].into_iter().flat_map(u16::to_be_bytes));
        bytes.extend(radius);
        let radius = self.inspector.inspect(Bytes::from(bytes)).unwrap();
        self.script.observe(Origin::Counters, What::Radius(Box::new(radius)));
    }

    fn request(&mut self, code: Code, attributes: Vec<Attribute>) -> [u8; 16] {
        self.id += 1;
        self.repeat(code, attributes, [self.id; 16])
    }

    fn repeat(&mut self, code: Code, attributes: Vec<Attribute>, authenticator: [u8; 16]) -> [u8; 16] {
        let packet = Packet { code, id: self.id, attributes }.encode(&authenticator);
        let port = if code == Code::AccountingRequest { 1813 } else { 1812 };
        self.datagram((NAS, 50_000), (RADIUS, port), &packet);
        authenticator
    }

    fn answer(&mut self, code: Code, attributes: Vec<Attribute>, request: [u8; 16], secret: &str) {
        let mut packet = Packet { code, id: self.id, attributes }.encode(&request);
        let hash = Md5::new().chain_update(&packet).chain_update(secret).finalize();
        packet[4..20].copy_from_slice(&hash);
        let port = if code == Code::AccountingResponse { 1813 } else { 1812 };
        self.datagram((RADIUS, port), (NAS, 50_000), &packet);
    }

    fn exchanges(&self) -> Vec<(Exchange, bool)> {
        let of = |event: &crate::event::Event| match &event.body {
            Body::RadiusExchange { radius_exchange } => {
                Some((radius_exchange.clone(), event.session.is_some()))
            }
            _ => None,
        };
        self.script.events.iter().filter_map(of).collect()
    }
}

fn access(user: &str) -> Vec<Attribute> {
    vec![
        Attribute::UserName(user.into()),
        Attribute::CallingStationId(CLIENT.to_string()),
        Attribute::NasPort(0),
        Attribute::MsChap2Response,
    ]
}

#[test]
fn an_accepted_user_and_the_accounting_of_the_call() {
    let mut lab = Lab::new(Some(SECRET));
    lab.script.connect();
    lab.script.call();
    lab.script.lcp();
    lab.script.challenge_and_response("alice");
    let request = lab.request(Code::AccessRequest, access("alice"));
    lab.answer(Code::AccessAccept, vec![Attribute::MsMppeSendKey], request, SECRET);
    let (exchange, joined) = lab.exchanges().remove(0);
    assert!(joined);
    assert_eq!((exchange.outcome, exchange.answer), (Outcome::Accepted, Some(Code::AccessAccept)));
    assert_eq!((exchange.latency_ns, exchange.retransmissions), (Some(10_000_000), 0));
    assert_eq!((exchange.proof, exchange.facts.mppe_keys), (Proof::Genuine, Some(true)));
    assert_eq!(exchange.facts.method.as_deref(), Some("ms_chap_v2"));
    assert_eq!(exchange.join.map(|join| join.key), Some(Key::ClientAddress));
    lab.script.chap_success();
    lab.script.ccp();
    lab.script.ipcp();
    lab.script.interface(0);
    let start = vec![
        Attribute::AcctStatusType(AcctStatusType::Start),
        Attribute::AcctSessionId("65F1A2B304D200".into()),
        Attribute::FramedIpAddress(CLIENT_TUNNEL),
        Attribute::UserName("alice".into()),
    ];
    let request = lab.request(Code::AccountingRequest, start);
    lab.answer(Code::AccountingResponse, vec![], request, SECRET);
    // Nothing but the name of the session.
    let stop = vec![
        Attribute::AcctStatusType(AcctStatusType::Stop),
        Attribute::AcctSessionId("65F1A2B304D200".into()),
        Attribute::AcctInputOctets(5),
        Attribute::AcctInputGigawords(1),
    ];
    let request = lab.request(Code::AccountingRequest, stop);
    lab.answer(Code::AccountingResponse, vec![], request, SECRET);
    let [_, (start, one), (stop, two)] = lab.exchanges().try_into().unwrap();
    assert!(one && two);
    assert_eq!(start.join.map(|join| join.key), Some(Key::TunnelAddress));
    assert_eq!((start.facts.pppd_pid, start.facts.pppd_time), (Some(1234), Some(0x65f1_a2b3)));
    assert_eq!(stop.join.map(|join| join.key), Some(Key::AcctSessionId));
    assert_eq!(stop.facts.input_bytes, Some((1 << 32) + 5));
}

/// pppd 2.4.9 gives the calls of one second the same name.
#[test]
fn a_name_without_process_id_is_not_enough() {
    let mut lab = Lab::new(Some(SECRET));
    lab.script.up();
    let named = |status, address| {
        let address = Attribute::FramedIpAddress(address);
        let id = Attribute::AcctSessionId("%lX6b06acde%hX".into());
        vec![Attribute::AcctStatusType(status), id, address]
    };
    let other = Ipv4Addr::new(10, 9, 9, 9);
    for (status, address) in [
        (AcctStatusType::Start, CLIENT_TUNNEL),
        (AcctStatusType::Stop, other),
        (AcctStatusType::Stop, CLIENT_TUNNEL),
    ] {
        let request = lab.request(Code::AccountingRequest, named(status, address));
        lab.answer(Code::AccountingResponse, vec![], request, SECRET);
    }
    let [(start, _), (foreign, is_joined), (stop, _)] = lab.exchanges().try_into().unwrap();
    assert_eq!((start.facts.pppd_time, start.facts.pppd_pid), (Some(0x6b06_acde), None));
    assert_eq!(start.join.map(|join| join.key), Some(Key::TunnelAddress));
    assert_eq!((is_joined, foreign.join), (false, None));
    assert_eq!(stop.join.map(|join| join.key), Some(Key::AcctSessionId));
}

#[test]
fn a_rejection_says_why() {
    let mut lab = Lab::new(None);
    let request = lab.request(Code::AccessRequest, access("mallory"));
    lab.answer(Code::AccessReject, vec![Attribute::ReplyMessage("go away".into())], request, SECRET);
    let (exchange, joined) = lab.exchanges().remove(0);
    assert_eq!((exchange.outcome, joined, exchange.join.is_some()), (Outcome::Rejected, false, false));
    assert_eq!(exchange.facts.reply_message.as_deref(), Some("go away"));
    assert_eq!(exchange.proof, Proof::Unchecked);
}

#[test]
fn silence_is_a_timeout_with_its_repetitions() {
    let mut lab = Lab::new(None);
    let authenticator = lab.request(Code::AccessRequest, access("alice"));
    for _ in 0..2 {
        lab.script.wait_ms(10_000);
        lab.repeat(Code::AccessRequest, access("alice"), authenticator);
    }
    assert_eq!(lab.exchanges().len(), 0);
    lab.script.wait_ms(16_000);
    let [(exchange, _)] = lab.exchanges().try_into().unwrap();
    assert_eq!((exchange.outcome, exchange.retransmissions), (Outcome::Timeout, 2));
    lab.script.wait_ms(60_000);
    assert_eq!(lab.exchanges().len(), 1);
}

#[test]
fn a_wrong_secret_is_named_where_the_secret_is_known_and_suspected_where_not() {
    for (known, outcomes) in
        [(Some(SECRET), vec![Outcome::WrongSecret]), (None, vec![Outcome::Accepted, Outcome::AnswerIgnored])]
    {
        let mut lab = Lab::new(known);
        let authenticator = lab.request(Code::AccessRequest, access("alice"));
        lab.answer(Code::AccessAccept, vec![], authenticator, "another");
        lab.script.wait_ms(10_000);
        lab.repeat(Code::AccessRequest, access("alice"), authenticator);
        lab.answer(Code::AccessAccept, vec![], authenticator, "another");
        lab.script.wait_ms(60_000);
        let found: Vec<Outcome> = lab.exchanges().iter().map(|(exchange, _)| exchange.outcome).collect();
        assert_eq!(found, outcomes);
    }
}

#[test]
fn an_identifier_that_is_used_again_ends_the_old_exchange() {
    let mut lab = Lab::new(None);
    lab.request(Code::AccessRequest, access("alice"));
    lab.repeat(Code::AccessRequest, access("bob"), [77; 16]);
    let [(exchange, _)] = lab.exchanges().try_into().unwrap();
    assert_eq!((exchange.outcome, exchange.facts.user.as_deref()), (Outcome::Timeout, Some("alice")));
    let now = lab.script.now;
    assert!(lab.script.correlator.finish(now, &mut lab.script.events));
    assert_eq!(lab.exchanges()[1].0.outcome, Outcome::Unknown);
}

#[test]
fn the_table_of_exchanges_is_bounded() {
    let mut lab = Lab::new(None);
    for number in 0..5000u32 {
        let port = 1024 + (number % 60_000) as u16;
        let packet =
            Packet { code: Code::AccessRequest, id: 1, attributes: vec![] }.encode(&[number as u8; 16]);
        lab.datagram((NAS, port), (RADIUS, 1812), &packet);
    }
    let unknown = lab.exchanges().iter().filter(|(exchange, _)| exchange.outcome == Outcome::Unknown).count();
    let timeouts =
        lab.exchanges().iter().filter(|(exchange, _)| exchange.outcome == Outcome::Timeout).count();
    assert_eq!((unknown, timeouts), (5000 - 4096, 0));
}

/// Causes that stand.
fn causes(lab: &Lab) -> Vec<String> {
    let mut standing = Vec::new();
    for event in &lab.script.events {
        let Body::Finding { finding } = &event.body else { continue };
        standing.retain(|code| *code != finding.code);
        if finding.primary {
            standing.push(finding.code.clone());
        }
    }
    standing
}

fn at_the_challenge(secret: Option<&str>) -> Lab {
    let mut lab = Lab::new(secret);
    lab.script.connect();
    lab.script.call();
    lab.script.lcp();
    lab.script.challenge_and_response("alice");
    lab
}

#[test]
fn a_user_whom_radius_never_answered_about_is_not_refused() {
    let mut lab = at_the_challenge(None);
    let authenticator = lab.request(Code::AccessRequest, access("alice"));
    lab.script.wait_ms(3_000);
    lab.repeat(Code::AccessRequest, access("alice"), authenticator);
    lab.script.wait_ms(3_000);
    lab.script.chap_failure();
    let [(exchange, joined)] = lab.exchanges().try_into().unwrap();
    assert_eq!((exchange.outcome, exchange.retransmissions, joined), (Outcome::Timeout, 1, true));
    assert_eq!(causes(&lab), ["radius.timeout"]);
    lab.script.wait_ms(60_000);
    assert_eq!(lab.exchanges().len(), 1, "told once");
}

#[test]
fn a_request_that_has_just_been_sent_is_not_given_up() {
    let mut lab = at_the_challenge(None);
    lab.request(Code::AccessRequest, access("alice"));
    lab.script.chap_failure();
    assert_eq!(lab.exchanges().len(), 0);
    assert_eq!(causes(&lab), ["auth.rejected"]);
}

#[test]
fn what_radius_packets_show_is_the_cause() {
    for (known, cause) in [(Some(SECRET), "radius.secret_mismatch"), (None, "radius.secret_mismatch")] {
        let mut lab = at_the_challenge(known);
        let authenticator = lab.request(Code::AccessRequest, access("alice"));
        lab.answer(Code::AccessAccept, vec![], authenticator, "another");
        lab.script.wait_ms(3_000);
        lab.repeat(Code::AccessRequest, access("alice"), authenticator);
        lab.script.wait_ms(3_000);
        lab.script.chap_failure();
        assert_eq!(causes(&lab), [cause]);
    }
    let mut lab = at_the_challenge(Some(SECRET));
    let authenticator = lab.request(Code::AccessRequest, access("alice"));
    lab.answer(Code::AccessReject, vec![Attribute::ReplyMessage("go away".into())], authenticator, SECRET);
    lab.script.chap_failure();
    assert_eq!(causes(&lab), ["auth.rejected"]);
}
