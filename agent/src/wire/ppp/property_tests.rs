//! Any packet survives being written and read; any bytes are survived.

use std::fmt::Debug;

use bytes::Bytes;
use proptest::prelude::*;

use super::{
    Error, Frame, Protocol, cbcp,
    ccp::CcpOption,
    chap,
    cp::{Body, ConfigureOption, Packet, TerminateReason},
    eap, encode_frame,
    ipcp::IpcpOption,
    ipv6cp::Ipv6cpOption,
    lcp::LcpOption,
    pap,
};

fn decode(bytes: &[u8]) -> Result<Frame, Error> {
    Frame::decode(Bytes::copy_from_slice(bytes), 0)
}

/// Printable text that is neither a `name=value` word nor hexadecimal digits.
fn words() -> &'static str {
    "([g-z]{1,9}( [g-z]{1,9}){0,3})?"
}

/// Any option, known ones half the time with a value of the right length.
fn any_option<O: ConfigureOption + Debug>() -> impl Strategy<Value = O> {
    let kind = prop_oneof![0u8..27, 129u8..133, any::<u8>()];
    let length = prop_oneof![Just(0usize), Just(1), Just(2), Just(3), Just(4), Just(6), Just(8), 0..20usize];
    (kind, length.prop_flat_map(|length| proptest::collection::vec(any::<u8>(), length)))
        .prop_map(|(kind, value)| O::decode(kind, &value))
}

fn any_packet<O: ConfigureOption + Clone + Debug + 'static>() -> impl Strategy<Value = Packet<O>> {
    let options = proptest::collection::vec(any_option::<O>(), 0..8);
    let numbers = (any::<u8>(), any::<u8>(), any::<u32>(), any::<u32>(), any::<u16>());
    (1u8..17, numbers, words(), options).prop_map(
        |(code, (id, byte, magic, seconds, number), message, options)| {
            let lcp = O::PROTOCOL == Protocol::Lcp;
            let ccp = O::PROTOCOL == Protocol::Ccp;
            let body = match code {
                1 => Body::ConfigureRequest { options },
                2 => Body::ConfigureAck { options },
                3 => Body::ConfigureNak { options },
                4 => Body::ConfigureReject { options },
                5 if byte % 3 == 0 => Body::TerminateRequest {
                    reason: Some(TerminateReason::Microsoft { magic, error: seconds }),
                },
                5 => Body::TerminateRequest {
                    reason: Some(message).filter(|m| !m.is_empty()).map(TerminateReason::Text),
                },
                6 => Body::TerminateAck,
                7 => Body::CodeReject { rejected_code: byte, rejected_id: (byte % 3 > 0).then_some(id) },
                8 if lcp => Body::ProtocolReject { rejected_protocol: number.into() },
                9 if lcp => Body::EchoRequest { magic },
                10 if lcp => Body::EchoReply { magic },
                11 if lcp => Body::DiscardRequest { magic },
                12 if lcp => Body::Identification { magic, message },
                13 if lcp => Body::TimeRemaining { magic, seconds, message },
                14 if ccp => Body::ResetRequest,
                15 if ccp => Body::ResetAck,
                code => Body::Unknown { code },
            };
            Packet { id, body }
        },
    )
}

fn any_pap() -> impl Strategy<Value = pap::Packet> {
    (any::<u8>(), 1u8..6, words()).prop_map(|(id, code, text)| {
        let body = match code {
            1 => pap::Body::AuthenticateRequest { peer_id: text },
            2 => pap::Body::AuthenticateAck { message: text },
            3 => pap::Body::AuthenticateNak { message: text },
            code => pap::Body::Unknown { code },
        };
        pap::Packet { id, body }
    })
}

fn any_chap() -> impl Strategy<Value = chap::Packet> {
    let failure = (any::<Option<u32>>(), any::<Option<bool>>(), any::<Option<u32>>());
    (any::<u8>(), 1u8..10, any::<u8>(), words(), failure).prop_map(|(id, code, value_size, text, failure)| {
        let body = match code {
            1 => chap::Body::Challenge { value_size, name: text },
            2 => chap::Body::Response { value_size, name: text },
            3 => chap::Body::Success { message: text },
            4 => chap::Body::Failure {
                error: failure.0.map(Into::into),
                retry: failure.1,
                version: failure.2,
                message: text,
            },
            5 => chap::Body::ChangePassword1,
            6 => chap::Body::ChangePassword2,
            7 => chap::Body::ChangePassword3,
            code => chap::Body::Unknown { code },
        };
        chap::Packet { id, body }
    })
}

fn any_eap() -> impl Strategy<Value = eap::Packet> {
    let desired = proptest::collection::vec(any::<u8>(), 0..4);
    let failure = any::<Option<(u32, Option<bool>)>>();
    let numbers = (any::<u8>(), any::<u8>(), any::<u8>());
    (numbers, words(), desired, failure).prop_map(|((id, code, kind), text, desired, failure)| {
        let (code, kind) = (eap::Code::from(code % 6), eap::Type::from(kind % 28));
        let carries = matches!(code, eap::Code::Request | eap::Code::Response);
        let named = code == eap::Code::Response && kind == eap::Type::Identity;
        let failed = code == eap::Code::Request && kind == eap::Type::MsChapV2;
        let refused = carries && kind == eap::Type::Nak;
        eap::Packet {
            id,
            code,
            kind: carries.then_some(kind),
            identity: named.then_some(text),
            failure: if failed {
                failure.map(|(error, retry)| eap::Failure { error: error.into(), retry })
            } else {
                None
            },
            desired: if refused { desired.into_iter().map(Into::into).collect() } else { vec![] },
        }
    })
}

fn any_cbcp() -> impl Strategy<Value = cbcp::Packet> {
    let options = proptest::collection::vec((any::<u8>(), any::<Option<u8>>()), 0..4);
    (any::<u8>(), 0u8..6, options).prop_map(|(id, code, options)| {
        let callback = |(kind, delay_seconds): (u8, _)| cbcp::Callback { option: kind.into(), delay_seconds };
        let code = cbcp::Code::from(code);
        let known = !matches!(code, cbcp::Code::Unknown(_));
        let options = if known { options.into_iter().map(callback).collect() } else { vec![] };
        cbcp::Packet { id, code, options }
    })
}

fn any_frame() -> impl Strategy<Value = (Frame, Vec<u8>)> {
    let with =
        |frame: Frame, information: Vec<u8>| (frame.clone(), encode_frame(frame.protocol(), &information));
    prop_oneof![
        any_packet::<LcpOption>().prop_map(move |packet| with(Frame::Lcp(packet.clone()), packet.encode())),
        any_packet::<CcpOption>().prop_map(move |packet| with(Frame::Ccp(packet.clone()), packet.encode())),
        any_packet::<IpcpOption>().prop_map(move |packet| with(Frame::Ipcp(packet.clone()), packet.encode())),
        any_packet::<Ipv6cpOption>()
            .prop_map(move |packet| with(Frame::Ipv6cp(packet.clone()), packet.encode())),
        any_pap().prop_map(move |packet| with(Frame::Pap(packet.clone()), packet.encode())),
        any_chap().prop_map(move |packet| with(Frame::Chap(packet.clone()), packet.encode())),
        any_eap().prop_map(move |packet| with(Frame::Eap(packet.clone()), packet.encode())),
        any_cbcp().prop_map(move |packet| with(Frame::Cbcp(packet.clone()), packet.encode())),
    ]
}

const CONTROL: [u16; 9] = [0xc021, 0xc023, 0xc223, 0xc227, 0x80fd, 0x8021, 0x8057, 0x8053, 0xc029];

proptest! {
    #[test]
    fn encode_then_decode_gives_the_same((frame, bytes) in any_frame()) {
        prop_assert_eq!(decode(&bytes), Ok(frame.clone()));
        // A recording holds frames in their serialised form.
        let text = serde_json::to_string(&frame).unwrap();
        prop_assert_eq!(serde_json::from_str::<Frame>(&text).unwrap(), frame);
    }

    #[test]
    fn any_bytes_are_survived(
        protocol in prop::sample::select(CONTROL.to_vec()),
        mut bytes in proptest::collection::vec(any::<u8>(), 0..200),
        sound in any::<bool>(),
        missing in 0usize..3,
    ) {
        let _ = decode(&bytes);
        if sound && bytes.len() >= 4 {
            bytes[0] %= 16;
            let length = bytes.len() as u16;
            bytes[2..4].copy_from_slice(&length.to_be_bytes());
        }
        let framed = encode_frame(protocol.into(), &bytes);
        if let Ok(frame) = Frame::decode(framed.into(), missing) {
            let text = serde_json::to_string(&frame).unwrap();
            prop_assert_eq!(serde_json::from_str::<Frame>(&text).unwrap(), frame.clone());
            let _ = format!("{frame:?} {:?} {:?}", frame.id(), frame.code_name());
        }
    }
}
