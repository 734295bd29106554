use std::{fmt::Debug, net::Ipv4Addr};

use bytes::Bytes;
use serde_json::json;

use super::{
    Error, Frame, Framed, Protocol,
    ccp::{self, CcpOption, MppeBits},
    chap,
    cp::{Body, Code, ConfigureOption, Packet, TerminateReason},
    eap, encode_frame,
    ipcp::{Compression, IpcpOption},
    ipv6cp::{InterfaceIdentifier, Ipv6cpOption},
    lcp::{AuthenticationMethod, Callback, Endpoint, EndpointClass, LcpOption, Quality},
    mppe, pap,
};
use crate::wire::pptp::{Message, peer::Software};

fn decode(bytes: &[u8]) -> Result<Frame, Error> {
    Frame::decode(Bytes::copy_from_slice(bytes), 0)
}

/// A frame in full framing: protocol, code, identifier, data.
fn frame(protocol: Protocol, code: u8, id: u8, data: &[u8]) -> Vec<u8> {
    let head = [&[code, id], &(data.len() as u16 + 4).to_be_bytes()[..]].concat();
    encode_frame(protocol, &[&head, data].concat())
}

fn lcp(code: u8, data: &[u8]) -> Body<LcpOption> {
    match decode(&frame(Protocol::Lcp, code, 7, data)) {
        Ok(Frame::Lcp(Packet { id: 7, body })) => body,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn check_options<O: ConfigureOption + Clone + Debug + PartialEq>(bytes: &[u8], options: &[O]) {
    let raw = [&[1, 7], &(bytes.len() as u16 + 4).to_be_bytes()[..], bytes].concat();
    let packet = Packet { id: 7, body: Body::ConfigureRequest { options: options.to_vec() } };
    assert_eq!(Packet::decode(&raw, 0), Ok(packet.clone()));
    assert_eq!(packet.encode(), raw);
    assert_eq!((packet.code(), packet.options()), (Code::ConfigureRequest, Some(options)));
}

#[test]
fn framing_in_every_combination() {
    let packet = [5, 1, 0, 4];
    for (header, address_control_compressed) in [(&[0xff, 0x03][..], false), (&[], true)] {
        for (protocol, protocol_compressed) in [(&[0x00, 0xfd][..], false), (&[0xfd], true)] {
            let bytes = [header, protocol, &packet].concat();
            let framed = Framed::decode(bytes.into(), 3).unwrap();
            assert_eq!(framed.protocol, Protocol::Compressed);
            assert_eq!(framed.address_control_compressed, address_control_compressed);
            assert_eq!(framed.protocol_compressed, protocol_compressed);
            assert_eq!((&*framed.information, framed.missing_bytes), (&packet[..], 3));
        }
        let bytes = [header, &[0xc0, 0x21], &packet].concat();
        assert!(matches!(decode(&bytes), Ok(Frame::Lcp(Packet { id: 1, .. }))));
    }
    assert_eq!(decode(&[]), Err(Error::ShortFrame(0)));
    assert_eq!(decode(&[0xff, 0x03]), Err(Error::ShortFrame(2)));
    assert_eq!(decode(&[0xff, 0x03, 0xc0]), Err(Error::ShortFrame(3)));
    assert_eq!(decode(&[0xc0, 0x20]), Err(Error::BadProtocol(0xc020)));
    assert_eq!(decode(&[0x21]), Ok(Frame::Data { protocol: Protocol::Ip }));
    assert_eq!(decode(&[0x00, 0x57, 1]), Ok(Frame::Data { protocol: Protocol::Ipv6 }));
}

#[test]
fn mppe_header() {
    let framed = Framed::decode(Bytes::from_static(&[0xfd, 0x90, 0x05, 1, 2]), 0).unwrap();
    let header = mppe::Header { flushed: true, compressed: false, encrypted: true, coherency_count: 5 };
    assert_eq!(framed.mppe(), Some(header));
    let framed = Framed::decode(Bytes::from_static(&[0xfd, 0x90]), 0).unwrap();
    assert_eq!(framed.mppe(), None);
}

#[test]
fn lcp_options() {
    let method = |method| LcpOption::AuthenticationProtocol { method };
    let unknown = AuthenticationMethod::Unknown { protocol: 0xc025, data: [1u8].as_slice().into() };
    assert_eq!(unknown.to_string(), "unknown_c02501");
    check_options(
        &[
            &[1, 4, 0x05, 0x78][..],
            &[2, 6, 0, 0, 0, 0],
            &[3, 4, 0xc0, 0x23],
            &[3, 5, 0xc2, 0x23, 0x05],
            &[3, 5, 0xc2, 0x23, 0x80],
            &[3, 5, 0xc2, 0x23, 0x81],
            &[3, 4, 0xc2, 0x27],
            &[3, 5, 0xc0, 0x25, 1],
            &[4, 8, 0xc0, 0x25, 0, 0, 0, 100],
            &[5, 6, 1, 2, 3, 4],
            &[7, 2, 8, 2, 9, 3, 2, 10, 3, 8],
            &[13, 3, 6],
            &[17, 4, 0x06, 0x4e, 18, 2],
            &[19, 6, 1, 0xaa, 0xbb, 0xcc],
            &[23, 4, 0, 5],
        ]
        .concat(),
        &[
            LcpOption::Mru { mru: 1400 },
            LcpOption::Accm { accm: 0 },
            method(AuthenticationMethod::Pap),
            method(AuthenticationMethod::ChapMd5),
            method(AuthenticationMethod::MsChap),
            method(AuthenticationMethod::MsChapV2),
            method(AuthenticationMethod::Eap),
            method(unknown),
            LcpOption::QualityProtocol {
                quality: Quality { protocol: Protocol::Lqr, reporting_period: 100 },
            },
            LcpOption::MagicNumber { magic: 0x0102_0304 },
            LcpOption::ProtocolFieldCompression,
            LcpOption::AddressControlFieldCompression,
            LcpOption::FcsAlternatives { alternatives: 2 },
            LcpOption::SelfDescribingPadding { maximum: 8 },
            LcpOption::Callback { callback: Callback { operation: 6, message: Default::default() } },
            LcpOption::Mrru { mrru: 1614 },
            LcpOption::ShortSequenceNumbers,
            LcpOption::EndpointDiscriminator {
                endpoint: Endpoint {
                    class: EndpointClass::Local,
                    address: [0xaa, 0xbb, 0xcc].as_slice().into(),
                },
            },
            LcpOption::LinkDiscriminator { discriminator: 5 },
        ],
    );
}

#[test]
fn unknown_and_misshapen_options_are_kept_raw() {
    let raw = |kind, value: &[u8]| LcpOption::Unknown { kind, value: value.into() };
    check_options(
        &[
            &[200, 4, 0xde, 0xad, 1, 3, 5, 5, 7, 1, 2, 3, 4, 5, 7, 3, 0, 3, 3, 0xc2][..],
            &[4, 9, 0xc0, 0x25, 0, 0, 0, 100, 1],
        ]
        .concat(),
        &[
            raw(200, &[0xde, 0xad]),
            raw(1, &[5]),
            raw(5, &[1, 2, 3, 4, 5]),
            raw(7, &[0]),
            raw(3, &[0xc2]),
            raw(4, &[0xc0, 0x25, 0, 0, 0, 100, 1]),
        ],
    );
}

#[test]
fn options_with_impossible_lengths_are_an_error() {
    for bytes in [&[1, 1][..], &[1, 0, 5, 5], &[1, 5, 5, 120], &[1]] {
        let error = decode(&frame(Protocol::Lcp, 1, 0, bytes));
        assert_eq!(error, Err(Error::Option { protocol: Protocol::Lcp, kind: 1 }), "{bytes:?}");
    }
    assert_eq!(
        Error::Option { protocol: Protocol::Lcp, kind: 1 }.to_string(),
        "lcp option 1 has an impossible length"
    );
}

#[test]
fn lengths_of_packets() {
    // Padding after the length is no option.
    let padded = [frame(Protocol::Lcp, 1, 1, &[7, 2]), vec![0, 0, 0]].concat();
    let Ok(Frame::Lcp(packet)) = decode(&padded) else { panic!() };
    assert_eq!(packet.options(), Some([LcpOption::ProtocolFieldCompression].as_slice()));

    let wrong = |length, present| Error::Length { protocol: Protocol::Lcp, length, present };
    assert_eq!(decode(&[0xc0, 0x21, 1, 1, 0, 3]), Err(wrong(3, 4)));
    assert_eq!(decode(&[0xc0, 0x21, 1, 1, 0, 5]), Err(wrong(5, 4)));
    assert_eq!(decode(&[0xc0, 0x21, 1, 1, 0]), Err(Error::Short { protocol: Protocol::Lcp, present: 3 }));
    assert_eq!(
        decode(&frame(Protocol::Lcp, 9, 1, &[0, 0, 0])),
        Err(Error::Field { protocol: Protocol::Lcp, code: 9 })
    );
}

#[test]
fn what_the_capture_cut_leaves_code_and_identifier() {
    let cut = |bytes: &[u8], missing| Frame::decode(Bytes::copy_from_slice(bytes), missing);
    let response = frame(Protocol::Chap, 2, 9, &[&[49][..], &[0x55; 49], b"anna"].concat());
    for kept in 8..response.len() {
        let frame = cut(&response[..kept], response.len() - kept).unwrap();
        assert_eq!(frame, Frame::Other { protocol: Protocol::Chap, code: 2, id: 9 });
        assert_eq!((frame.code_name(), frame.id()), (Some("response"), Some(9)));
    }
    assert!(cut(&response[..20], response.len() - 21).is_err());
    // Some of the options would look like all of them.
    let request = frame(Protocol::Lcp, 1, 9, &[7, 2, 8, 2]);
    let cut_request = cut(&request[..request.len() - 2], 2).unwrap();
    assert_eq!(cut_request, Frame::Other { protocol: Protocol::Lcp, code: 1, id: 9 });
    // An echo needs no more than its magic number.
    let echo = frame(Protocol::Lcp, 9, 1, &[0; 100]);
    let decoded = cut(&echo[..12], echo.len() - 12).unwrap();
    assert_eq!(decoded, Frame::Lcp(Packet { id: 1, body: Body::EchoRequest { magic: 0 } }));
}

#[test]
fn lcp_codes() {
    let microsoft = [0x41, 0x42, 0x43, 0x44, 0x00, 0x3c, 0xcd, 0x74, 0, 0, 2, 0xb3];
    let reason = Some(TerminateReason::Microsoft { magic: 0x4142_4344, error: 691 });
    assert_eq!(lcp(5, &microsoft), Body::TerminateRequest { reason });
    let reason = Some(TerminateReason::Text("User request".into()));
    assert_eq!(lcp(5, b"User request"), Body::TerminateRequest { reason });
    assert_eq!(lcp(5, b""), Body::TerminateRequest { reason: None });
    assert_eq!(lcp(6, b""), Body::TerminateAck);
    assert_eq!(lcp(7, &[14, 3, 0, 4]), Body::CodeReject { rejected_code: 14, rejected_id: Some(3) });
    let rejected_protocol = Protocol::Ccp;
    assert_eq!(lcp(8, &[0x80, 0xfd, 1, 1, 0, 4]), Body::ProtocolReject { rejected_protocol });
    assert_eq!(lcp(9, &[0, 0, 0, 1]), Body::EchoRequest { magic: 1 });
    assert_eq!(lcp(10, &[0, 0, 0, 2, 9, 9]), Body::EchoReply { magic: 2 });
    assert_eq!(lcp(11, &[0, 0, 0, 3]), Body::DiscardRequest { magic: 3 });
    let message = "MSRASV5.20".to_owned();
    assert_eq!(lcp(12, b"\0\0\0\x04MSRASV5.20"), Body::Identification { magic: 4, message });
    let message = "soon".to_owned();
    assert_eq!(
        lcp(13, b"\0\0\0\x05\0\0\x0e\x10soon"),
        Body::TimeRemaining { magic: 5, seconds: 3600, message }
    );
    // CCP's codes mean nothing in LCP, and LCP's nothing in IPCP.
    assert_eq!(lcp(14, b""), Body::Unknown { code: 14 });
    let Ok(Frame::Ipcp(packet)) = decode(&frame(Protocol::Ipcp, 9, 1, &[0; 4])) else { panic!() };
    assert_eq!(packet.body, Body::Unknown { code: 9 });
}

#[test]
fn ccp() {
    check_options(
        &[18, 6, 0x01, 0, 0, 0x60, 26, 4, 0x78, 0, 24, 4, 0x78, 0, 21, 3, 0x2f, 1, 2, 17, 5, 0, 1, 4],
        &[
            CcpOption::Mppe { bits: MppeBits(0x0100_0060) },
            CcpOption::Deflate { parameters: 0x7800 },
            CcpOption::DeflateDraft { parameters: 0x7800 },
            CcpOption::BsdCompress { parameters: 0x2f },
            CcpOption::Predictor1,
            CcpOption::StacLzs { value: [0, 1, 4].as_slice().into() },
        ],
    );
    let bits = MppeBits(0x0100_0040);
    assert_eq!(bits.to_string(), "+H -M +S -L -D -C");
    assert!(bits.contains(MppeBits::STATELESS) && !bits.contains(MppeBits::MPPC));
    assert_eq!(bits.key_bits(), Some(128));
    assert_eq!([0x81, 0x21, 0x01].map(|bits| MppeBits(bits).key_bits()), [Some(56), Some(40), None]);
    let Ok(Frame::Ccp(packet)) = decode(&frame(Protocol::Ccp, 14, 2, &[])) else { panic!() };
    assert_eq!(packet, ccp::Packet { id: 2, body: Body::ResetRequest });
    let Ok(Frame::Ccp(packet)) = decode(&frame(Protocol::Ccp, 15, 2, &[])) else { panic!() };
    assert_eq!(packet.code().name(), "reset_ack");
}

#[test]
fn ipcp_and_ipv6cp() {
    let address = Ipv4Addr::new(192, 168, 0, 10);
    let zero = Ipv4Addr::UNSPECIFIED;
    check_options(
        &[
            &[2, 6, 0, 0x2d, 15, 1, 3, 6, 192, 168, 0, 10, 129, 6, 0, 0, 0, 0, 130, 6, 0, 0, 0, 0][..],
            &[131, 6, 0, 0, 0, 0, 132, 6, 0, 0, 0, 0, 2, 6, 0, 0x2d, 15, 2],
        ]
        .concat(),
        &[
            IpcpOption::IpCompression {
                compression: Compression {
                    protocol: Protocol::VjCompressed,
                    max_slot_id: 15,
                    compress_slot_id: true,
                },
            },
            IpcpOption::IpAddress { address },
            IpcpOption::PrimaryDns { address: zero },
            IpcpOption::PrimaryNbns { address: zero },
            IpcpOption::SecondaryDns { address: zero },
            IpcpOption::SecondaryNbns { address: zero },
            IpcpOption::Unknown { kind: 2, value: [0, 0x2d, 15, 2].as_slice().into() },
        ],
    );
    let identifier = InterfaceIdentifier(0x0211_22ff_fe33_4455);
    check_options(
        &[1, 10, 0x02, 0x11, 0x22, 0xff, 0xfe, 0x33, 0x44, 0x55],
        &[Ipv6cpOption::InterfaceIdentifier { identifier }],
    );
    assert_eq!(identifier.to_string(), "0211:22ff:fe33:4455");
}

#[test]
fn pap() {
    let body = |code, data: &[u8]| match decode(&frame(Protocol::Pap, code, 1, data)) {
        Ok(Frame::Pap(packet)) => packet.body,
        other => panic!("{other:?}"),
    };
    let peer_id = "CORP\\anna".to_owned();
    assert_eq!(body(1, b"\x09CORP\\anna\x06s3cret"), pap::Body::AuthenticateRequest { peer_id });
    assert_eq!(body(2, b"\x08Login ok"), pap::Body::AuthenticateAck { message: "Login ok".into() });
    assert_eq!(body(3, b""), pap::Body::AuthenticateNak { message: String::new() });
    assert_eq!(body(9, b"s3cret"), pap::Body::Unknown { code: 9 });
    let field = Error::Field { protocol: Protocol::Pap, code: 1 };
    assert_eq!(decode(&frame(Protocol::Pap, 1, 1, b"\x09anna")), Err(field));
}

fn chap(code: u8, data: &[u8]) -> chap::Body {
    match decode(&frame(Protocol::Chap, code, 1, data)) {
        Ok(Frame::Chap(packet)) => packet.body,
        other => panic!("{other:?}"),
    }
}

#[test]
fn chap_packets() {
    let challenge = [&[16][..], &[7; 16], b"pptpd"].concat();
    assert_eq!(chap(1, &challenge), chap::Body::Challenge { value_size: 16, name: "pptpd".into() });
    let response = [&[49][..], &[7; 49], b"CORP\\anna"].concat();
    assert_eq!(chap(2, &response), chap::Body::Response { value_size: 49, name: "CORP\\anna".into() });
    assert_eq!(chap(6, &[7; 600]), chap::Body::ChangePassword2);
    assert_eq!(chap(99, &[7; 16]), chap::Body::Unknown { code: 99 });
    let field = Error::Field { protocol: Protocol::Chap, code: 2 };
    assert_eq!(decode(&frame(Protocol::Chap, 2, 1, &[49, 1, 2])), Err(field));
}

#[test]
fn chap_messages() {
    let failure = |data: &[u8]| match chap(4, data) {
        chap::Body::Failure { error, retry, version, message } => (error, retry, version, message),
        other => panic!("{other:?}"),
    };
    use chap::FailureCode;
    assert_eq!(
        failure(b"E=691 R=1 C=0123456789ABCDEF0123456789ABCDEF V=3 M=Access denied"),
        (Some(FailureCode::AuthenticationFailure), Some(true), Some(3), "Access denied".into())
    );
    assert_eq!(
        failure(b"E=648 R=0 V=3"),
        (Some(FailureCode::PasswordExpired), Some(false), Some(3), String::new())
    );
    assert_eq!(failure(b"E=7 M=E=9 R=1"), (Some(FailureCode::Unknown(7)), None, None, "E=9 R=1".into()));
    assert_eq!(failure(b"No, thanks"), (None, None, None, "No, thanks".into()));
    assert_eq!(failure(b"E=lots R=1"), (None, None, None, "E=lots R=1".into()));
    assert_eq!(failure(b""), (None, None, None, String::new()));

    let success = |data: &[u8]| match chap(3, data) {
        chap::Body::Success { message } => message,
        other => panic!("{other:?}"),
    };
    assert_eq!(success(b"S=6B01D1DAE8D308F1A13FF4C0F1E4ED147A9538CE M=Access granted"), "Access granted");
    assert_eq!(success(b"S=6B01D1DAE8D308F1A13FF4C0F1E4ED147A9538CE"), "");
    assert_eq!(success(b"Welcome to pptpd"), "Welcome to pptpd");
    assert_eq!(success(b"M=a S=12 b 0123456789abcdef"), "a S= b ");
}

#[test]
fn eap_packets() {
    let eap = |code, data: &[u8]| match decode(&frame(Protocol::Eap, code, 4, data)) {
        Ok(Frame::Eap(packet)) => packet,
        other => panic!("{other:?}"),
    };
    let plain =
        |code, kind| eap::Packet { id: 4, code, kind, identity: None, desired: vec![], failure: None };
    let identity = eap(2, b"\x01anna@example.org");
    assert_eq!(identity.identity.as_deref(), Some("anna@example.org"));
    assert_eq!(eap(1, b"\x01who?"), plain(eap::Code::Request, Some(eap::Type::Identity)));
    assert_eq!(eap(2, &[3, 26, 25]).desired, [eap::Type::MsChapV2, eap::Type::Peap]);
    assert_eq!(eap(1, &[13, 0x20]), plain(eap::Code::Request, Some(eap::Type::Tls)));
    assert_eq!(eap(3, b""), plain(eap::Code::Success, None));
    assert_eq!(
        decode(&frame(Protocol::Eap, 1, 4, b"")),
        Err(Error::Field { protocol: Protocol::Eap, code: 1 })
    );
}

#[test]
fn callback_without_its_telephone_numbers() {
    // No callback, or to a number that the client gives: ten seconds, then type 1 and the number.
    let options = [&[1, 2, 2, 10, 10, 1][..], b"55512"].concat();
    let refused = decode(&frame(Protocol::Cbcp, 1, 3, &options[..9]));
    assert_eq!(refused, Err(Error::Option { protocol: Protocol::Cbcp, kind: 2 }));
    let frame = decode(&frame(Protocol::Cbcp, 1, 3, &[&options[..], &[0]].concat())).unwrap();
    assert_eq!((frame.id(), frame.code_name()), (Some(3), Some("callback_request")));
    assert_eq!(
        serde_json::to_value(&frame).unwrap(),
        json!({
            "protocol": "cbcp", "code": "callback_request", "id": 3,
            "options": [{ "option": "no_callback" }, { "option": "user_specified", "delay_seconds": 10 }],
        })
    );
}

#[test]
fn eap_ms_chap_says_why_it_failed() {
    let failure = [&[26, 4, 7, 0, 60][..], b"E=691 R=1 C=0123456789ABCDEF0123456789ABCDEF V=3 M=no"].concat();
    let Frame::Eap(packet) = decode(&frame(Protocol::Eap, 1, 7, &failure)).unwrap() else { panic!() };
    let failure = packet.failure.unwrap();
    assert_eq!((failure.error, failure.retry), (chap::FailureCode::AuthenticationFailure, Some(true)));
}

#[test]
fn other_protocols() {
    let other = decode(&frame(Protocol::Ecp, 1, 3, &[9])).unwrap();
    assert_eq!(other, Frame::Other { protocol: Protocol::Ecp, code: 1, id: 3 });
    let other = decode(&frame(Protocol::Unknown(0x8281), 1, 3, &[])).unwrap();
    assert_eq!(
        serde_json::to_value(&other).unwrap(),
        json!({ "protocol": "other", "name": "unknown_33409", "code": 1, "id": 3 })
    );
    let quality = decode(&encode_frame(Protocol::Lqr, &[0; 48])).unwrap();
    assert_eq!(quality, Frame::Data { protocol: Protocol::Lqr });
    assert_eq!((quality.id(), quality.code_name()), (None, None));
}

#[test]
fn json_of_a_request() {
    let options =
        [&[1, 4, 0x05, 0x78, 3, 5, 0xc2, 0x23, 0x81, 7, 2][..], &[13, 3, 6], &[200, 3, 0xab]].concat();
    assert_eq!(
        serde_json::to_value(decode(&frame(Protocol::Lcp, 1, 2, &options)).unwrap()).unwrap(),
        json!({
            "protocol": "lcp", "code": "configure_request", "id": 2,
            "options": [
                { "option": "mru", "mru": 1400 },
                { "option": "authentication_protocol", "method": "ms_chap_v2" },
                { "option": "protocol_field_compression" },
                { "option": "callback", "callback": { "operation": 6, "message": "" } },
                { "option": "unknown", "type": 200, "value": "ab" },
            ],
        })
    );
    assert_eq!(
        serde_json::to_value(decode(&frame(Protocol::Ccp, 3, 2, &[18, 6, 1, 0, 0, 0x40])).unwrap()).unwrap(),
        json!({
            "protocol": "ccp", "code": "configure_nak", "id": 2,
            "options": [{ "option": "mppe", "bits": ["128_bit", "stateless"] }],
        })
    );
    let terminate = decode(&frame(Protocol::Lcp, 5, 2, b"User request")).unwrap();
    assert_eq!(
        serde_json::to_value(terminate).unwrap(),
        json!({ "protocol": "lcp", "code": "terminate_request", "id": 2, "reason": { "text": "User request" } })
    );
}

#[test]
fn json_leaves_out_what_is_unknown() {
    let json = |frame: &[u8]| serde_json::to_value(decode(frame).unwrap()).unwrap();
    assert_eq!(
        json(&frame(Protocol::Chap, 4, 1, b"E=691 R=0")),
        json!({
            "protocol": "chap", "code": "failure", "id": 1, "error": "authentication_failure", "retry": false,
            "message": "",
        })
    );
    assert_eq!(
        json(&frame(Protocol::Eap, 3, 1, b"")),
        json!({ "protocol": "eap", "code": "success", "id": 1 })
    );
    assert_eq!(
        json(&frame(Protocol::Lcp, 5, 1, b"")),
        json!({ "protocol": "lcp", "code": "terminate_request", "id": 1 })
    );
}

/// Types that share a name would be numbered in the schema, and links to Rust mean nothing there.
#[test]
fn the_schema_has_names_of_its_own() {
    let schema = serde_json::to_value(schemars::schema_for!((Frame, Message, Software))).unwrap();
    let names: Vec<_> = schema["$defs"].as_object().unwrap().keys().collect();
    assert!(names.iter().all(|name| !name.ends_with(|end: char| end.is_ascii_digit())), "{names:?}");
    assert!(
        !names.iter().any(|name| ["Code", "Type", "Body", "Packet"].contains(&name.as_str())),
        "{names:?}"
    );
    assert!(!schema.to_string().contains("[`"));
}
