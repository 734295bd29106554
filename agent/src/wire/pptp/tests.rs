use std::ops::Range;

use proptest::prelude::*;

use super::{
    Error, MAGIC_COOKIE, MAX_BYTES, Message,
    codes::{
        Bearer, DisconnectResult, Framing, GeneralError, MessageType, OutgoingCallResult, StartResult,
        StopReason,
    },
    message::{
        CallClearRequest, CallDisconnectNotify, EchoReply, IncomingCallConnected, OutgoingCallReply,
        OutgoingCallRequest, SetLinkInfo, StartControlConnectionReply, StopControlConnectionRequest,
        WanErrorNotify,
    },
    peer::Software,
};

/// A message as on the wire: fields at their offsets (RFC 2637 §2), everything else zero.
fn raw(message_type: u16, length: usize, fields: &[(usize, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let header =
        [&(length as u16).to_be_bytes()[..], &[0, 1, 0x1a, 0x2b, 0x3c, 0x4d], &message_type.to_be_bytes()]
            .concat();
    for (offset, field) in [(0, header.as_slice())].iter().chain(fields) {
        bytes[*offset..*offset + field.len()].copy_from_slice(field);
    }
    bytes
}

#[track_caller]
fn check(bytes: &[u8], expected: impl Into<Message>) {
    let expected = expected.into();
    assert_eq!(Message::decode(bytes), Ok(expected.clone()));
    assert_eq!(expected.encode(), bytes);
}

#[test]
fn start_control_connection_reply() {
    let bytes = raw(
        2,
        156,
        &[
            (12, &[1, 0, 2, 4]),
            (16, &[0, 0, 0, 3]),
            (20, &[0, 0, 0, 9]),
            (24, &[0, 1, 0x22, 0x33]),
            (28, b"local"),
            (92, b"linux"),
        ],
    );
    let reply = StartControlConnectionReply {
        protocol_version: 0x0100,
        result: StartResult::GeneralError,
        error: GeneralError::NoResource,
        framing_capabilities: Framing(3),
        bearer_capabilities: Bearer(9),
        maximum_channels: 1,
        firmware_revision: 0x2233,
        host_name: "local".into(),
        vendor: "linux".into(),
    };
    check(&bytes, reply.clone());
    let message = Message::from(reply);
    assert_eq!(message.name(), "start_control_connection_reply");
    assert_eq!(Software::of(&message), Some(Software::Pptpd));
    assert_eq!(
        serde_json::to_value(&message).unwrap(),
        serde_json::json!({
            "message": "start_control_connection_reply", "protocol_version": 256, "result": "general_error",
            "error": "no_resource", "framing_capabilities": ["asynchronous", "synchronous"],
            "bearer_capabilities": ["analog", "bit_3"], "maximum_channels": 1, "firmware_revision": 0x2233,
            "host_name": "local", "vendor": "linux",
        })
    );
}

#[test]
fn outgoing_call() {
    let request = raw(
        7,
        168,
        &[
            (12, &[0x12, 0x34, 0, 7]),
            (16, &[0, 0, 1, 44, 5, 0xf5, 0xe1, 0]),
            (24, &[0, 0, 0, 3, 0, 0, 0, 2]),
            (32, &[0, 64, 0, 1, 0, 3]),
            (40, b"110"),
            (104, b"x"),
        ],
    );
    check(
        &request,
        OutgoingCallRequest {
            call_id: 0x1234,
            call_serial_number: 7,
            minimum_bps: 300,
            maximum_bps: 100_000_000,
            bearer_type: Bearer(3),
            framing_type: Framing::SYNCHRONOUS,
            receive_window_size: 64,
            packet_processing_delay: 1,
            phone_number_length: 3,
            phone_number: "110".into(),
            subaddress: "x".into(),
        },
    );
    let reply = raw(
        8,
        32,
        &[
            (12, &[0, 2, 0x12, 0x34, 7, 0, 0, 17]),
            (20, &[0, 0, 0xfa, 0]),
            (24, &[0, 3, 0, 4]),
            (28, &[0, 0, 0, 5]),
        ],
    );
    check(
        &reply,
        OutgoingCallReply {
            call_id: 2,
            peer_call_id: 0x1234,
            result: OutgoingCallResult::DoNotAccept,
            error: GeneralError::None,
            cause_code: 17,
            connect_speed: 64_000,
            receive_window_size: 3,
            packet_processing_delay: 4,
            physical_channel_id: 5,
        },
    );
}

#[test]
fn end_of_a_call_and_of_a_connection() {
    check(
        &raw(13, 148, &[(12, &[0, 2, 1, 6, 0, 16]), (20, b"rx 7")]),
        CallDisconnectNotify {
            call_id: 2,
            result: DisconnectResult::LostCarrier,
            error: GeneralError::PacError,
            cause_code: 16,
            call_statistics: "rx 7".into(),
        },
    );
    check(&raw(12, 16, &[(12, &[0x12, 0x34])]), CallClearRequest { call_id: 0x1234 });
    check(&raw(3, 16, &[(12, &[3])]), StopControlConnectionRequest { reason: StopReason::StopLocalShutdown });
    let vendor = raw(3, 16, &[(12, &[77])]);
    check(&vendor, StopControlConnectionRequest { reason: StopReason::Unknown(77) });
    let json = serde_json::to_value(Message::decode(&vendor).unwrap()).unwrap();
    assert_eq!(json["reason"], "unknown_77");
}

#[test]
fn small_messages() {
    check(
        &raw(6, 20, &[(12, &[0, 0, 1, 0, 1, 0])]),
        EchoReply { identifier: 256, result: super::codes::SimpleResult::Ok, error: GeneralError::None },
    );
    check(
        &raw(15, 24, &[(12, &[0, 9]), (16, &[0xff; 4]), (20, &[0, 0, 0, 1])]),
        SetLinkInfo { peer_call_id: 9, send_accm: 0xffff_ffff, receive_accm: 1 },
    );
    check(
        &raw(11, 28, &[(12, &[0, 9]), (16, &[0, 0, 0, 1, 0, 2, 0, 3]), (24, &[0, 0, 0, 1])]),
        IncomingCallConnected {
            peer_call_id: 9,
            connect_speed: 1,
            receive_window_size: 2,
            packet_transmit_delay: 3,
            framing_type: Framing::ASYNCHRONOUS,
        },
    );
    let counters: Vec<u8> = (1..=6).flat_map(u32::to_be_bytes).collect();
    check(
        &raw(14, 40, &[(12, &[0, 9]), (16, &counters)]),
        WanErrorNotify {
            peer_call_id: 9,
            crc_errors: 1,
            framing_errors: 2,
            hardware_overruns: 3,
            buffer_overruns: 4,
            time_out_errors: 5,
            alignment_errors: 6,
        },
    );
}

#[test]
fn refuses_what_is_not_a_control_message() {
    let good = raw(5, 16, &[]);
    assert_eq!(Message::decode(&good[..11]), Err(Error::Short { present: 11, needed: 12 }));
    assert_eq!(Message::decode(&good[..15]), Err(Error::Short { present: 15, needed: 16 }));
    let broken = |offset: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[offset] = value;
        Message::decode(&bytes)
    };
    assert_eq!(broken(4, 0), Err(Error::BadMagic(MAGIC_COOKIE & 0xff_ffff)));
    assert_eq!(broken(3, 2), Err(Error::NotControl(2)));
    assert_eq!(broken(9, 16), Err(Error::UnknownType(16)));
    assert_eq!(broken(9, 0), Err(Error::UnknownType(0)));
    let wrong_length = Error::BadLength { message_type: MessageType::EchoRequest, length: 0xff10 };
    assert_eq!(broken(0, 0xff), Err(wrong_length));
    assert_eq!(wrong_length.to_string(), "echo_request of 65296 bytes");
}

#[test]
fn the_longest_message_is_the_incoming_call_request() {
    let longest = (1..=15).filter_map(|number| MessageType::from(number).length()).max();
    assert_eq!(longest, Some(MAX_BYTES));
    assert_eq!(MessageType::from(9).length(), Some(MAX_BYTES));
}

/// Where a message has text.
fn text(message_type: u16) -> Range<usize> {
    match message_type {
        1 | 2 => 28..156,
        7 => 40..168,
        9 => 28..220,
        13 => 20..148,
        _ => 0..0,
    }
}

/// Any of the fifteen messages with any fields, its text printable.
pub(in crate::wire) fn any_message() -> impl Strategy<Value = Message> {
    (1u16..=15, proptest::collection::vec(any::<u8>(), MAX_BYTES)).prop_map(|(number, noise)| {
        let length = MessageType::from(number).length().unwrap();
        let mut bytes = raw(number, length, &[(12, &noise[12..length])]);
        for byte in &mut bytes[text(number)] {
            *byte = if *byte < 8 { 0 } else { 0x20 + *byte % 0x5f };
        }
        Message::decode(&bytes).unwrap()
    })
}

proptest! {
    #[test]
    fn encode_then_decode_gives_the_same(message in any_message()) {
        prop_assert_eq!(Message::decode(&message.encode()), Ok(message));
    }

    #[test]
    fn any_bytes_are_survived(mut bytes in proptest::collection::vec(any::<u8>(), 0..300), sound in any::<bool>()) {
        if sound && bytes.len() > 12 {
            let number = 1 + u16::from(bytes[9] % 15);
            let length = MessageType::from(number).length().unwrap();
            bytes[..10].copy_from_slice(&raw(number, length, &[])[..10]);
        }
        if let Ok(message) = Message::decode(&bytes) {
            // Text never grows beyond its escaped form.
            prop_assert!(serde_json::to_string(&message).unwrap().len() < 2000);
        }
    }
}
