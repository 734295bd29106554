//! No password, challenge, response or hash survives decoding, in any form of output: whatever the secret
//! is, everything that comes out is the same.

use bytes::Bytes;
use proptest::prelude::*;

use super::{
    gre, ip,
    ppp::{Frame, Framed, Protocol, encode_frame},
};

fn control(code: u8, data: &[u8]) -> Vec<u8> {
    [&[code, 1], &(data.len() as u16 + 4).to_be_bytes()[..], data].concat()
}

/// Every packet in which a peer sends a secret, also inside a packet that quotes another.
fn packets(secret: &[u8]) -> Vec<(Protocol, Vec<u8>)> {
    let size = secret.len() as u8;
    let hex: String = secret.iter().map(|byte| format!("{byte:02X}")).collect();
    let value = [&[size], secret, b"anna"].concat();
    let pap = control(1, &[b"\x04anna", &[size][..], secret].concat());
    let chap = |code, data: &[u8]| (Protocol::Chap, control(code, data));
    let eap = |code, kind: u8| (Protocol::Eap, control(code, &[&[kind], secret].concat()));
    let eap_ms_chap =
        |operation: u8, data: &[u8]| (Protocol::Eap, control(1, &[&[26, operation, 1, 0, 0], data].concat()));
    let quote = |code, quoted: &[u8]| (Protocol::Lcp, control(code, quoted));
    let mut packets = vec![
        (Protocol::Pap, pap.clone()),
        (Protocol::Pap, control(77, secret)),
        chap(1, &value),
        chap(2, &value),
        chap(3, format!("S={hex} M=welcome").as_bytes()),
        chap(3, format!("S={}", hex.to_lowercase()).as_bytes()),
        chap(4, format!("E=691 R=1 C={hex} V=3 M=no").as_bytes()),
        chap(4, format!("M=C={hex} S={hex}").as_bytes()),
        chap(5, secret),
        chap(6, secret),
        chap(7, secret),
        chap(99, secret),
        eap(1, 4),
        eap(2, 4),
        eap(2, 6),
        eap(1, 26),
        eap(2, 26),
        eap(1, 2),
        eap(88, 1),
        quote(7, &pap),
        quote(8, &[&[0xc0, 0x23], pap.as_slice()].concat()),
        quote(9, &[&[0; 4], secret].concat()),
        // A telephone number.
        (Protocol::Cbcp, control(2, &[&[2, size + 3, 10], secret].concat())),
        eap_ms_chap(4, format!("E=691 R=1 C={hex} V=3 M=no").as_bytes()),
        eap_ms_chap(2, secret),
        (Protocol::Ecp, control(1, secret)),
        (Protocol::Ccp, control(14, secret)),
    ];
    packets.extend(packets.clone().into_iter().map(|(_, packet)| (Protocol::Compressed, packet)));
    packets
}

/// Everything that a program could print or send of a packet on its way through the decoders.
fn output(protocol: Protocol, packet: &[u8], missing: usize) -> String {
    let gre = gre::Packet {
        call_id: 1,
        payload_bytes: (packet.len() + 4 + missing) as u16,
        sequence: Some(1),
        acknowledgement: None,
        payload: Bytes::from(encode_frame(protocol, packet)).into(),
        missing_bytes: 0,
    };
    let bytes = gre.encode();
    let total = (bytes.len() + 20 + missing) as u16;
    let mut datagram = vec![0x45, 0];
    datagram.extend(total.to_be_bytes());
    datagram.extend([0, 0, 0, 0, 64, ip::PROTOCOL_GRE, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    datagram.extend(bytes);

    let packet = ip::Packet::decode(datagram.into()).unwrap();
    let mut out = format!("{packet:?}");
    let tunnel = gre::Packet::decode(packet.payload.into_bytes(), packet.missing_bytes).unwrap();
    out += &format!("{tunnel:?}");
    let framed = Framed::decode(tunnel.payload.into_bytes(), tunnel.missing_bytes).unwrap();
    out += &format!("{framed:?} {:?}", framed.mppe());
    match Frame::of(&framed) {
        Ok(frame) => out + &format!("{frame:?} {frame:#?}") + &serde_json::to_string(&frame).unwrap(),
        Err(error) => out + &format!("{error} {error:?}"),
    }
}

/// What comes out when one secret is replaced by another of the same length, where it differs.
fn leaks(one: &[u8], other: &[u8]) -> Vec<(String, String)> {
    let mut leaks = Vec::new();
    for ((protocol, a), (_, b)) in packets(one).into_iter().zip(packets(other)) {
        for kept in 4..=a.len() {
            let out = |packet: &[u8]| output(protocol, &packet[..kept], packet.len() - kept);
            let (a, b) = (out(&a), out(&b));
            if a != b {
                leaks.push((a, b));
            }
        }
    }
    leaks
}

#[test]
fn passwords_and_responses_change_nothing() {
    assert_eq!(leaks(b"correct horse battery staple", b"C=00 S=00 M= E=691 R=1 V=3 x"), []);
    assert_eq!(leaks(&(100..149).collect::<Vec<u8>>(), &[0; 49]), []);
}

#[test]
fn other_text_does() {
    let identification = |text: &[u8]| output(Protocol::Lcp, &control(12, text), 0);
    assert_ne!(identification(b"\0\0\0\0correct horse"), identification(b"\0\0\0\0battery stapl"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn no_secret_changes_anything(pair in proptest::collection::vec(any::<[u8; 2]>(), 1..50)) {
        let (one, other): (Vec<u8>, Vec<u8>) = pair.into_iter().map(|[one, other]| (one, other)).unzip();
        prop_assert_eq!(leaks(&one, &other), []);
    }
}
