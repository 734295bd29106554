//! RADIUS: the examples of the RFCs, round trips, hostile bytes, and no secret in what comes out.

use std::fmt::Debug;
use std::net::Ipv4Addr;

use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use proptest::prelude::*;

use super::authenticator::{Authenticator, Verdict, check_answer, check_request};
use super::codes::{AcctStatusType, MppePolicy, RadiusMppeTypes, ServiceType, TunnelType};
use super::{Attribute, Code, Error, HEADER_BYTES, Packet};
use crate::wire::ppp::chap::FailureCode;
use crate::wire::ppp::lcp::AuthenticationMethod;

/// RFC 2865 §7.1: the user nemo, with PAP.
const REQUEST: &str = "010000380f403f9473978057bd83d5cb98f4227a\
    01066e656d6f02120dbe708d93d413ce3196e43f782a0aee0406c0a801100506\
    00000003";
const ACCEPT: &str = "0200002686fe220e7624ba2a1005f6bf9b55e0b2060600000001\
    0f06000000000e06c0a80103";
const SECRET: &[u8] = b"xyzzy5461";

fn bytes(hex: &str) -> Vec<u8> {
    hex.parse::<crate::wire::Hex>().unwrap().as_bytes().into()
}

#[test]
fn the_example_of_the_rfc() {
    let request = Packet::decode(&bytes(REQUEST)).unwrap();
    assert_eq!((request.code, request.id), (Code::AccessRequest, 0));
    assert_eq!(request.user_name(), Some("nemo"));
    assert_eq!(request.method(), Some(AuthenticationMethod::Pap));
    let rest = [Attribute::NasIpAddress(Ipv4Addr::new(192, 168, 1, 16)), Attribute::NasPort(3)];
    assert_eq!(request.attributes[2..], rest);
    let accept = Packet::decode(&bytes(ACCEPT)).unwrap();
    assert_eq!(accept.code, Code::AccessAccept);
    assert!(accept.code.is_answer() && !request.code.is_answer());
    assert_eq!(accept.attributes[0], Attribute::ServiceType(ServiceType::Login));
    let text = serde_json::to_string(&request).unwrap();
    assert_eq!(
        text,
        r#"{"code":"access_request","id":0,"attributes":[{"attribute":"user_name","value":"nemo"},"#
            .to_owned()
            + r#"{"attribute":"user_password"},{"attribute":"nas_ip_address","value":"192.168.1.16"},"#
            + r#"{"attribute":"nas_port","value":3}]}"#
    );
}

#[test]
fn the_shared_secret_shows_in_the_answer() {
    let (request, accept) = (bytes(REQUEST), bytes(ACCEPT));
    let authenticator = Authenticator::of(&request).unwrap();
    assert_eq!(check_answer(&accept, authenticator, SECRET), Ok(Verdict::Genuine));
    assert_eq!(check_answer(&accept, authenticator, b"other"), Ok(Verdict::Forged));
    let padded = [accept.as_slice(), &[0; 7]].concat();
    assert_eq!(check_answer(&padded, authenticator, SECRET), Ok(Verdict::Genuine));
    let mut changed = accept.clone();
    changed[25] = 2;
    assert_eq!(check_answer(&changed, authenticator, SECRET), Ok(Verdict::Forged));
    let other = Authenticator::of(&accept).unwrap();
    assert_eq!(check_answer(&accept, other, SECRET), Ok(Verdict::Forged));
    assert_eq!(check_request(&request, SECRET), Ok(Verdict::NoProof));
    assert_eq!(check_answer(&accept[..10], authenticator, SECRET), Err(Error::Short { present: 10 }));
}

#[test]
fn message_authenticator_is_checked_in_requests() {
    let attributes = vec![Attribute::UserName("nemo".into()), Attribute::MessageAuthenticator];
    let mut packet = Packet { code: Code::AccessRequest, id: 7, attributes }.encode(&[9; 16]);
    // The encoder leaves secrets empty: give it its sixteen bytes.
    let place = packet.len();
    packet[place - 1] = 18;
    packet.extend([0; 16]);
    let length = packet.len() as u16;
    packet[2..4].copy_from_slice(&length.to_be_bytes());
    let mac = Hmac::<Md5>::new_from_slice(SECRET).unwrap().chain_update(&packet);
    packet[place..].copy_from_slice(&mac.finalize().into_bytes());
    assert_eq!(check_request(&packet, SECRET), Ok(Verdict::Genuine));
    assert_eq!(check_request(&packet, b"other"), Ok(Verdict::Forged));
    packet[place] ^= 1;
    assert_eq!(check_request(&packet, SECRET), Ok(Verdict::Forged));
}

#[test]
fn accounting_requests_are_signed() {
    let attributes = vec![
        Attribute::AcctStatusType(AcctStatusType::Start),
        Attribute::AcctSessionId("5F3A".into()),
        Attribute::CallingStationId("198.51.100.7".into()),
    ];
    let mut packet = Packet { code: Code::AccountingRequest, id: 7, attributes }.encode(&[0; 16]);
    let hash = Md5::new().chain_update(&packet).chain_update(SECRET).finalize();
    packet[4..HEADER_BYTES].copy_from_slice(&hash);
    assert_eq!(check_request(&packet, SECRET), Ok(Verdict::Genuine));
    assert_eq!(check_request(&packet, b"other"), Ok(Verdict::Forged));
    assert_eq!(Packet::decode(&packet).unwrap().session_id(), Some("5F3A"));
}

fn vendor(microsoft: &[(u8, &[u8])]) -> Vec<u8> {
    let inner: Vec<u8> = microsoft
        .iter()
        .flat_map(|(kind, value)| [&[*kind, value.len() as u8 + 2], *value].concat())
        .collect();
    [&[26, inner.len() as u8 + 6, 0, 0, 1, 0x37], inner.as_slice()].concat()
}

fn packet(attributes: &[u8]) -> Vec<u8> {
    let length = (HEADER_BYTES + attributes.len()) as u16;
    [&[3, 1], length.to_be_bytes().as_slice(), &[0; 16], attributes].concat()
}

#[test]
fn microsofts_attributes_have_names() {
    let error = b"\x09E=691 R=1 C=0123456789ABCDEF0123456789ABCDEF V=3 M=Wrong password";
    let attributes = [
        vendor(&[(2, error)]),
        vendor(&[(7, &[0, 0, 0, 2]), (8, &[0, 0, 0, 4])]),
        vendor(&[(16, &[7; 34]), (17, &[8; 34])]),
        vendor(&[(26, b"\x09S=0123456789ABCDEF0123456789ABCDEF01234567")]),
        vec![26, 12, 0, 0, 0x3a, 0x8c, 1, 6, 1, 2, 3, 4],
        vec![64, 6, 1, 0, 0, 1],
    ];
    let list = Packet::decode(&packet(&attributes.concat())).unwrap().attributes;
    let Attribute::MsChapError(error) = &list[0] else { panic!("{list:?}") };
    assert_eq!((error.id, error.error, error.retry), (9, Some(FailureCode::from(691)), Some(true)));
    assert_eq!((error.version, error.message.as_str()), (Some(3), "Wrong password"));
    assert_eq!(list[1], Attribute::MsMppeEncryptionPolicy(MppePolicy::Required));
    assert_eq!(list[2], Attribute::MsMppeEncryptionTypes(RadiusMppeTypes::BITS_128));
    assert_eq!(list[3..6], [Attribute::MsMppeSendKey, Attribute::MsMppeRecvKey, Attribute::MsChap2Success]);
    let Attribute::Vendor(other) = &list[6] else { panic!("{list:?}") };
    assert_eq!((other.vendor, other.bytes), (Some(14988), 6));
    let Attribute::TunnelType(tunnel) = &list[7] else { panic!("{list:?}") };
    assert_eq!((tunnel.tag, tunnel.value), (1, TunnelType::Pptp));
}

#[test]
fn impossible_lengths_are_errors() {
    let whole = bytes(REQUEST);
    assert_eq!(Packet::decode(&whole[..19]), Err(Error::Short { present: 19 }));
    assert_eq!(Packet::decode(&whole[..55]), Err(Error::Length { length: 56, present: 55 }));
    assert_eq!(Packet::decode(&packet(&[1, 1])), Err(Error::Attribute { kind: 1 }));
    assert_eq!(Packet::decode(&packet(&[1, 9, 0])), Err(Error::Attribute { kind: 1 }));
    assert_eq!(Packet::decode(&packet(&[1])), Err(Error::Attribute { kind: 1 }));
    let mut small = whole.clone();
    small[3] = 19;
    assert_eq!(Packet::decode(&small), Err(Error::Length { length: 19, present: 56 }));
}

/// Types whose values are secret, in standard attributes and in Microsoft's.
const SECRETS: [u8; 12] = [2, 3, 24, 60, 69, 70, 74, 79, 80, 84, 26, 26];
const MICROSOFT_SECRETS: [u8; 17] = [1, 3, 4, 5, 6, 11, 12, 16, 17, 19, 20, 25, 26, 27, 33, 99, 13];

fn with_secret(secret: &[u8]) -> Vec<u8> {
    let mut attributes: Vec<u8> =
        SECRETS.iter().flat_map(|kind| [&[*kind, secret.len() as u8 + 2], secret].concat()).collect();
    for kind in MICROSOFT_SECRETS {
        attributes.extend(vendor(&[(kind, secret)]));
    }
    let hex: String = secret.iter().map(|byte| format!("{byte:02X}")).collect();
    attributes.extend(vendor(&[(2, format!("\x01E=691 R=1 C={hex} V=3 M=no").as_bytes())]));
    packet(&attributes)
}

fn output(packet: &[u8]) -> String {
    let decoded = Packet::decode(packet);
    let json = decoded.as_ref().ok().map(|packet| serde_json::to_string(packet).unwrap());
    format!("{decoded:?} {decoded:#?} {json:?} {:?}", Authenticator::of(packet))
}

/// An attribute of any type, mostly with a value that its type likes.
fn any_attribute() -> impl Strategy<Value = Vec<Attribute>> {
    let words = "([g-z]{1,9}( [g-z]{1,9}){0,3})?".prop_map(String::into_bytes);
    let value = prop_oneof![words, any::<[u8; 4]>().prop_map(Vec::from), Just(Vec::new())];
    (any::<u8>(), value, any::<bool>()).prop_map(|(kind, value, microsoft)| {
        let bytes = if microsoft {
            vendor(&[(kind % 40, value.get(..value.len().min(240)).unwrap())])
        } else {
            [&[kind, value.len() as u8 + 2], value.as_slice()].concat()
        };
        Packet::decode(&packet(&bytes)).unwrap().attributes
    })
}

fn survives<T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + Debug>(value: &T) {
    let text = serde_json::to_string(value).unwrap();
    assert_eq!(&serde_json::from_str::<T>(&text).unwrap(), value);
}

proptest! {
    #[test]
    fn encode_then_decode_gives_the_same(
        code in any::<u8>(),
        id in any::<u8>(),
        attributes in proptest::collection::vec(any_attribute(), 0..9),
    ) {
        let attributes: Vec<_> = attributes.into_iter().flatten().collect();
        let packet = Packet { code: code.into(), id, attributes };
        prop_assert_eq!(Packet::decode(&packet.encode(&[1; 16])), Ok(packet.clone()));
        survives(&packet);
    }

    #[test]
    fn any_bytes_are_survived(mut bytes in proptest::collection::vec(any::<u8>(), 0..300), sound in any::<bool>()) {
        if sound && bytes.len() >= HEADER_BYTES {
            let length = bytes.len() as u16;
            bytes[2..4].copy_from_slice(&length.to_be_bytes());
        }
        if let Ok(packet) = Packet::decode(&bytes) {
            survives(&packet);
            let _ = check_request(&bytes, SECRET);
            let _ = check_answer(&bytes, Authenticator::of(&bytes).unwrap(), SECRET);
        }
    }

    #[test]
    fn no_secret_comes_out(pair in proptest::collection::vec(any::<[u8; 2]>(), 5..50)) {
        let (one, other): (Vec<u8>, Vec<u8>) = pair.into_iter().map(|[one, other]| (one, other)).unzip();
        // The two vendors' attributes among them begin with the number of the vendor, which is none.
        let known = |bytes: &[u8]| [&[0, 0, 0, 9], bytes.get(4..).unwrap()].concat();
        prop_assert_eq!(output(&with_secret(&known(&one))), output(&with_secret(&known(&other))));
    }
}
