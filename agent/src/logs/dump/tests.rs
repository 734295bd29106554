use super::*;
use crate::wire::ppp::cp::{Body, TerminateReason};
use crate::wire::ppp::lcp::{AuthenticationMethod, LcpOption};
use crate::wire::ppp::{ccp, chap, encode_frame, ipcp, lcp, pap};

fn frame(text: &str) -> Frame {
    let dump = parse(text).unwrap();
    assert!(!dump.cut, "{text}");
    dump.frame
}

#[test]
fn a_request_is_the_packet_of_the_wire() {
    let text = "sent [LCP ConfReq id=0x1 <mru 1400> <asyncmap 0x0> <auth chap MS-v2> <magic 0x5d2a0102> \
                <pcomp> <accomp> <endpoint [MAC:00:11:22:33:44:55]>]";
    let bytes = [
        &[1u8, 1, 0, 40][..],
        &[1, 4, 0x05, 0x78],
        &[2, 6, 0, 0, 0, 0],
        &[3, 5, 0xc2, 0x23, 0x81],
        &[5, 6, 0x5d, 0x2a, 1, 2],
        &[7, 2],
        &[8, 2],
        &[19, 9, 3, 0, 0x11, 0x22, 0x33, 0x44, 0x55],
    ]
    .concat();
    let mut bytes = bytes;
    bytes[3] = u8::try_from(bytes.len()).unwrap();
    let wire = Frame::decode(encode_frame(Protocol::Lcp, &bytes).into(), 0).unwrap();
    assert_eq!(frame(text), wire);
    assert!(parse(text).unwrap().sent);
}

#[test]
fn mppe_with_names_and_as_bytes_is_the_same() {
    let named = frame("rcvd [CCP ConfReq id=0x1 <mppe +H -M +S -L -D -C>]");
    let raw = frame("rcvd [CCP ConfReq id=0x1 < 12 06 01 00 00 40>]");
    assert_eq!(named, raw);
    let Frame::Ccp(ccp::Packet { body: Body::ConfigureRequest { options }, .. }) = named else { panic!() };
    let [ccp::CcpOption::Mppe { bits }] = options.as_slice() else { panic!("{options:?}") };
    assert_eq!(bits.key_bits(), Some(128));
}

#[test]
fn secrets_are_counted_and_not_read() {
    let hash = "0123456789abcdef".repeat(6) + "01";
    let text = format!(r#"rcvd [CHAP Response id=0x8e <{hash}>, name = "DOM\\anna"]"#);
    let Frame::Chap(chap::Packet { id: 0x8e, body: chap::Body::Response { value_size, name } }) =
        frame(&text)
    else {
        panic!()
    };
    assert_eq!((value_size, name.as_str()), (49, "DOM\\anna"));
    let Frame::Pap(pap::Packet { body: pap::Body::AuthenticateRequest { peer_id }, .. }) =
        frame("rcvd [PAP AuthReq id=0x1 user=\"anna\" password=\"geheim\"]")
    else {
        panic!()
    };
    assert_eq!(peer_id, "anna");
}

#[test]
fn terminate_requests_say_why() {
    let reason = |text: &str| match frame(text) {
        Frame::Lcp(lcp::Packet { body: Body::TerminateRequest { reason }, .. }) => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        reason("sent [LCP TermReq id=0x2 \"MPPE required but not available\"]"),
        Some(TerminateReason::Text("MPPE required but not available".into()))
    );
    assert_eq!(
        reason("rcvd [LCP TermReq id=0x3 02 8c 39 0e 00 3c cd 74 00 00 02 b3]"),
        Some(TerminateReason::Microsoft { magic: 0x028c_390e, error: 691 })
    );
    assert_eq!(
        reason("rcvd [LCP TermReq id=0x3 \"+s\\000\\033\\000<\\315t\\000\\000\\003\\242\"]"),
        Some(TerminateReason::Microsoft { magic: 0x2b73_001b, error: 930 })
    );
}

#[test]
fn a_cut_line_keeps_what_is_there() {
    let dump = parse("sent [LCP ConfReq id=0x1 <mru 1400> <auth chap MS-v2> <magic 0x5d2").unwrap();
    assert!(dump.cut);
    let Frame::Lcp(lcp::Packet { body: Body::ConfigureRequest { options }, .. }) = dump.frame else {
        panic!()
    };
    assert_eq!(
        options,
        [
            LcpOption::Mru { mru: 1400 },
            LcpOption::AuthenticationProtocol { method: AuthenticationMethod::MsChapV2 }
        ]
    );
}

#[test]
fn addresses() {
    let Frame::Ipcp(ipcp::Packet { body: Body::ConfigureNak { options }, .. }) =
        frame("sent [IPCP ConfNak id=0x4 <addr 10.9.0.20> <ms-dns1 10.9.0.1> <ms-dns2 10.9.0.2>]")
    else {
        panic!()
    };
    assert_eq!(options.len(), 3);
    assert_eq!(options[0], ipcp::IpcpOption::IpAddress { address: [10, 9, 0, 20].into() });
    frame("sent [IPV6CP ConfReq id=0x1 <addr fe80::0211:22ff:fe33:4455>]");
    frame("rcvd [IPCP ConfReq id=0x5 <compress VJ 0f 01> <addr 10.20.17.14>]");
    frame("sent [CCP ConfReq id=0x1 <deflate 15> <deflate(old#) 15> <bsd v1 15>]");
    frame("sent [LCP EchoReq id=0x3 magic=0x12345678]");
    frame("rcvd [LCP Ident id=0x2 magic=0x6a5b1c2d \"MSRASV5.20\"]");
    frame("rcvd [LCP ProtRej id=0x8 80 fd 01 01 00 0a 12 06 01 00 00 40]");
}

#[test]
fn anything_else_is_no_dump() {
    for text in
        ["", "sent [", "sent []", "rcvd [LCP", "rcvd [LCP Foo id=0x1]", "rcvd [IP data] 45 00", "Sent 1"]
    {
        assert_eq!(parse(text), None, "{text}");
    }
}
