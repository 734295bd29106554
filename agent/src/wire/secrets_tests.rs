//! No password, challenge, response or hash survives decoding, in any form of output.

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
        (Protocol::Cbcp, control(2, secret)),
        (Protocol::Ecp, control(1, secret)),
        (Protocol::Ccp, control(14, secret)),
    ];
    packets.extend(packets.clone().into_iter().map(|(_, packet)| (Protocol::Compressed, packet)));
    packets
}

/// The ways in which bytes may show up in text.
fn traces(secret: &[u8]) -> Vec<String> {
    // Six bytes in a row are no accident.
    secret
        .windows(6)
        .flat_map(|part| {
            let join = |format: fn(&u8) -> String, with: &str| {
                part.iter().map(format).collect::<Vec<_>>().join(with)
            };
            [
                join(|byte| format!("{byte:02x}"), ""),
                join(|byte| format!("{byte:02X}"), ""),
                join(|byte| byte.to_string(), ", "),
                join(|byte| byte.to_string(), ","),
                String::from_utf8_lossy(part).into_owned(),
                super::text::escape(part),
                part.escape_ascii().to_string(),
            ]
        })
        .collect()
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

fn leaks(secret: &[u8]) -> Vec<String> {
    let traces = traces(secret);
    let mut leaks = Vec::new();
    for (protocol, packet) in packets(secret) {
        for kept in 4..=packet.len() {
            let out = output(protocol, &packet[..kept], packet.len() - kept);
            if traces.iter().any(|trace| out.contains(trace)) {
                leaks.push(out);
            }
        }
    }
    leaks
}

#[test]
fn a_password_and_a_response_are_nowhere() {
    assert_eq!(leaks(b"correct horse battery staple"), Vec::<String>::new());
    assert_eq!(leaks(&(100..149).collect::<Vec<u8>>()), Vec::<String>::new());
}

#[test]
fn the_search_finds_what_is_there() {
    let out = output(Protocol::Lcp, &control(12, b"\0\0\0\0correct horse"), 0);
    assert!(traces(b"correct horse").iter().any(|trace| out.contains(trace)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]
    #[test]
    fn no_secret_is_anywhere(secret in proptest::collection::vec(any::<u8>(), 6..50)) {
        prop_assert_eq!(leaks(&secret), Vec::<String>::new());
    }
}
