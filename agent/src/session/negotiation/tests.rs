//! Layers: refusals, repetitions, times, bounds.

use super::*;
use crate::event::ppp::Outcome;

const CLIENT: Party = Party::Client;
const SERVER: Party = Party::Server;

fn at(ms: u64) -> Timestamp {
    Timestamp::from_unix_ns(1_000_000_000 + ms * 1_000_000)
}

fn mru(mru: u16) -> LcpOption {
    LcpOption::Mru { mru }
}

fn magic(magic: u32) -> LcpOption {
    LcpOption::MagicNumber { magic }
}

#[test]
fn a_layer_is_open_when_both_were_granted() {
    let mut layer = Layer::default();
    assert!(layer.request(at(0), CLIENT, 1, &[mru(1400), magic(5)]));
    assert!(!layer.answer(at(20), SERVER, 1, Answer::Reject, &[magic(5)]));
    assert!(!layer.request(at(30), CLIENT, 2, &[mru(1400)]));
    assert!(!layer.answer(at(90), SERVER, 2, Answer::Nak, &[mru(1300), LcpOption::Accm { accm: 0 }]));
    assert!(!layer.request(at(100), CLIENT, 3, &[mru(1300)]));
    assert!(!layer.answer(at(110), SERVER, 3, Answer::Ack, &[mru(1300)]));
    assert!(!layer.request(at(110), SERVER, 1, &[]));
    assert!(layer.answer(at(115), CLIENT, 1, Answer::Ack, &[]));
    let account = layer.report().unwrap();
    assert_eq!((account.outcome, account.negotiation_ns), (Outcome::Opened, 115_000_000));
    let client = &account.client;
    assert_eq!((client.requests, client.acks, client.naks, client.rejects), (3, 1, 1, 1));
    assert_eq!((client.unanswered, client.retransmissions), (0, 0));
    assert_eq!(client.answer_max_ns, Some(60_000_000));
    let refused: Vec<_> =
        client.refused.iter().map(|refused| (refused.offered.clone(), refused.suggested.clone())).collect();
    assert_eq!(
        refused,
        [
            (Some(magic(5)), None),
            (Some(mru(1400)), Some(mru(1300))),
            (None, Some(LcpOption::Accm { accm: 0 })),
        ]
    );
    assert_eq!(layer.of(CLIENT).agreed(), Some(&[mru(1300)][..]));
    assert!(layer.report().is_none(), "once");
    // Asked again: everything begins anew.
    assert!(layer.request(at(5000), SERVER, 9, &[]));
    assert!(!layer.is_open() && layer.of(CLIENT).agreed().is_none() && layer.account().is_none());
}

#[test]
fn repetitions_are_not_new_requests() {
    let mut layer = Layer::default();
    for number in 0..10 {
        // Windows counts the identifier up, pppd does not.
        layer.request(at(number * 3000), CLIENT, 1, &[mru(1400)]);
        layer.request(at(number * 3000), SERVER, number as u8, &[magic(7)]);
    }
    layer.answer(at(27_500), CLIENT, 9, Answer::Ack, &[magic(7)]);
    layer.give_up(at(30_000));
    let account = layer.account().unwrap();
    assert_eq!(account.outcome, Outcome::Unanswered);
    let counts = |side: &crate::event::ppp::Side<LcpOption>| {
        (side.requests, side.retransmissions, side.unanswered, side.agreed)
    };
    assert_eq!(counts(&account.client), (10, 9, 10, false));
    assert_eq!(counts(&account.server), (10, 9, 9, true));
    assert_eq!(account.server.answer_max_ns, Some(27_500_000_000));
}

#[test]
fn an_answer_to_an_old_request_is_discarded() {
    let mut layer = Layer::default();
    layer.request(at(0), SERVER, 1, &[]);
    layer.answer(at(1), CLIENT, 1, Answer::Ack, &[]);
    layer.request(at(2), CLIENT, 7, &[mru(1400)]);
    layer.request(at(3), CLIENT, 8, &[mru(1300)]);
    assert!(!layer.answer(at(4), SERVER, 7, Answer::Ack, &[mru(1400)]));
    // One that is ahead answers a request that was not seen.
    assert!(layer.answer(at(5), SERVER, 9, Answer::Ack, &[mru(1200)]));
    assert_eq!(layer.of(CLIENT).agreed(), Some(&[mru(1200)][..]));
}

#[test]
fn one_end_may_not_speak_the_protocol() {
    let mut negotiation = Negotiation::default();
    let bits = CcpOption::Mppe { bits: 0x0100_0040.into() };
    negotiation.ccp.request(at(0), SERVER, 1, &[bits]);
    negotiation.reject(at(10), CLIENT, Protocol::Ccp);
    let [Summary::Ccp(ccp)] = &negotiation.report().collect::<Vec<_>>()[..] else { panic!() };
    assert_eq!((ccp.outcome, ccp.by), (Outcome::Rejected, Some(CLIENT)));
    assert_eq!(negotiation.give_up(at(20)), []);
    assert_eq!(negotiation.report().count(), 0);
    assert_eq!(negotiation.summaries().len(), 1);
}

#[test]
fn hostile_requests_take_bounded_memory() {
    let mut layer = Layer::<LcpOption>::default();
    let unknown = |kind: u8, length: usize| LcpOption::Unknown { kind, value: vec![kind; length][..].into() };
    for round in 0..200u32 {
        let many: Vec<_> = (0..250).map(|kind| unknown(kind, (round % 200) as usize)).collect();
        layer.request(at(0), CLIENT, round as u8, &many);
        let suggested: Vec<_> = (0..250).map(|kind| unknown(kind, (round % 7) as usize)).collect();
        layer.answer(at(1), SERVER, round as u8, Answer::Nak, &suggested);
    }
    let client = layer.of(CLIENT);
    assert!(client.is_bounded());
    layer.give_up(at(2));
    let left_out = layer.account().unwrap().client.left_out;
    assert!(left_out > 200 * 226, "{left_out}");
}
