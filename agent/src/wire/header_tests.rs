//! Packet headers: IPv4, TCP, GRE, ICMP.

use std::net::Ipv4Addr;

use bytes::Bytes;
use pptpscope_common::Refusal;
use proptest::prelude::*;

use super::{gre, icmp, ip, tcp};

const SOURCE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const DESTINATION: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);

/// An IPv4 packet with words of options, flags and fragment offset as given.
fn datagram(protocol: u8, option_words: u8, fragment: u16, payload: &[u8]) -> Vec<u8> {
    let header = 20 + usize::from(option_words) * 4;
    let mut bytes = vec![0x45 + option_words, 0xb8];
    bytes.extend(((header + payload.len()) as u16).to_be_bytes());
    bytes.extend([0x12, 0x34]);
    bytes.extend(fragment.to_be_bytes());
    bytes.extend([63, protocol, 0, 0]);
    bytes.extend(SOURCE.octets());
    bytes.extend(DESTINATION.octets());
    bytes.resize(header, 1);
    bytes.extend(payload);
    bytes
}

fn ip(bytes: &[u8]) -> Result<ip::Packet, ip::Error> {
    ip::Packet::decode(Bytes::copy_from_slice(bytes))
}

#[test]
fn ipv4_header_with_options_and_padding() {
    for words in [0, 1, 10] {
        let mut bytes = datagram(47, words, 0x4000, b"abc");
        bytes.extend([0; 9]);
        let packet = ip(&bytes).unwrap();
        assert_eq!((packet.source, packet.destination), (SOURCE, DESTINATION));
        assert_eq!((packet.protocol, packet.ttl, packet.traffic_class), (47, 63, 0xb8));
        assert_eq!(packet.identification, 0x1234);
        assert_eq!((packet.dont_fragment, packet.is_fragment()), (true, false));
        assert_eq!((packet.header_bytes, packet.total_bytes), (20 + words * 4, 23 + u16::from(words) * 4));
        assert_eq!((&*packet.payload, packet.missing_bytes), (&b"abc"[..], 0));
    }
}

#[test]
fn ipv4_fragments() {
    let first = ip(&datagram(47, 0, 0x2000, &[0; 8])).unwrap();
    assert_eq!((first.more_fragments, first.fragment_offset, first.is_fragment()), (true, 0, true));
    let last = ip(&datagram(47, 0, 0x00b9, &[0; 8])).unwrap();
    assert_eq!((last.more_fragments, last.fragment_offset, last.is_fragment()), (false, 1480, true));
    let beyond = ip(&datagram(47, 0, 0x1fff, &[])).unwrap();
    assert_eq!(beyond.fragment_offset, 65_528);
}

#[test]
fn ipv4_cut_by_the_capture_is_visible() {
    let bytes = datagram(47, 0, 0, &[7; 100]);
    let packet = ip(&bytes[..30]).unwrap();
    assert_eq!((packet.payload.len(), packet.missing_bytes), (10, 90));
    assert_eq!(ip(&bytes[..19]), Err(ip::Error::Short(19)));
    assert_eq!(ip(&[]), Err(ip::Error::Short(0)));
    assert_eq!(ip(&datagram(47, 2, 0, &[])[..24]), Err(ip::Error::Short(24)));
}

#[test]
fn ipv4_that_contradicts_itself() {
    let mut bytes = datagram(47, 0, 0, &[]);
    bytes[0] = 0x60;
    assert_eq!(ip(&bytes), Err(ip::Error::NotIpv4(6)));
    bytes[0] = 0x44;
    assert_eq!(ip(&bytes), Err(ip::Error::BadHeaderLength(16)));
    bytes[0] = 0x45;
    bytes[3] = 19;
    assert_eq!(ip(&bytes), Err(ip::Error::BadTotalLength { total_bytes: 19, header_bytes: 20 }));
}

fn segment(offset_words: u8, options: &[u8], payload: &[u8]) -> Result<tcp::Segment, tcp::Error> {
    let mut bytes = vec![0x06, 0xbb, 0xc0, 0x01, 0, 0, 0, 1, 0xff, 0, 0, 2, offset_words << 4, 0x12, 0x20, 0];
    bytes.extend([0; 4]);
    bytes.extend(options);
    bytes.extend(payload);
    tcp::Segment::decode(bytes.into())
}

#[test]
fn tcp_header() {
    let segment_of = |options: &[u8]| segment(5 + options.len() as u8 / 4, options, b"xy").unwrap();
    let plain = segment_of(&[]);
    assert_eq!((plain.source_port, plain.destination_port), (tcp::PPTP_PORT, 0xc001));
    assert_eq!((plain.sequence, plain.acknowledgement, plain.window), (1, 0xff00_0002, 0x2000));
    assert!(plain.flags.contains(tcp::Flags::SYN) && plain.flags.contains(tcp::Flags::ACK));
    assert!(!plain.flags.contains(tcp::Flags::FIN));
    assert_eq!(plain.flags.names().collect::<Vec<_>>(), ["syn", "ack"]);
    assert_eq!((&*plain.payload, plain.maximum_segment), (&b"xy"[..], None));

    assert_eq!(segment_of(&[2, 4, 5, 0xb4]).maximum_segment, Some(1460));
    assert_eq!(segment_of(&[1, 1, 4, 2, 2, 4, 5, 0xb4]).maximum_segment, Some(1460));
    // Garbled options are no error, and end of options is the end.
    for garbled in [[2, 3, 5, 0], [2, 5, 5, 0xb4], [2, 0, 5, 0xb4], [9, 1, 2, 4], [0, 0, 0, 0], [1, 1, 1, 2]]
    {
        assert_eq!(segment_of(&garbled).maximum_segment, None, "{garbled:?}");
    }
    assert_eq!(segment_of(&[0, 2, 4, 5, 0xb4, 0, 0, 0]).maximum_segment, None);
}

#[test]
fn tcp_cut_or_impossible() {
    assert_eq!(tcp::Segment::decode(Bytes::from_static(&[0; 19])), Err(tcp::Error::Short(19)));
    assert_eq!(segment(4, &[], b""), Err(tcp::Error::BadDataOffset(16)));
    assert_eq!(segment(0, &[], b""), Err(tcp::Error::BadDataOffset(0)));
    assert_eq!(segment(6, &[], b"xy"), Err(tcp::Error::Short(22)));
}

fn gre(bytes: &[u8], missing: usize) -> Result<gre::Packet, gre::Error> {
    gre::Packet::decode(Bytes::copy_from_slice(bytes), missing)
}

#[test]
fn gre_data_and_acknowledgement() {
    let data = [0x30, 0x81, 0x88, 0x0b, 0, 3, 0x12, 0x34, 0, 0, 0, 7, 0, 0, 0, 6, 0xfd, 0x90, 0x01, 0, 0];
    let packet = gre(&data, 0).unwrap();
    assert_eq!((packet.call_id, packet.payload_bytes), (0x1234, 3));
    assert_eq!((packet.sequence, packet.acknowledgement), (Some(7), Some(6)));
    assert_eq!((&*packet.payload, packet.missing_bytes), (&[0xfd, 0x90, 0x01][..], 0));
    assert!(!packet.is_ack_only());
    assert_eq!(packet.encode(), data[..19]);

    let data = [0x30, 0x01, 0x88, 0x0b, 0, 1, 0, 1, 0, 0, 0, 7, 0x21];
    let packet = gre(&data, 0).unwrap();
    assert_eq!((packet.sequence, packet.acknowledgement, &*packet.payload), (Some(7), None, &[0x21][..]));

    // Where the sequence number would be.
    let ack = [0x20, 0x81, 0x88, 0x0b, 0, 0, 0, 1, 0, 0, 0, 9];
    let packet = gre(&ack, 0).unwrap();
    assert_eq!((packet.sequence, packet.acknowledgement, packet.is_ack_only()), (None, Some(9), true));
    let bare = gre(&[0x20, 0x01, 0x88, 0x0b, 0, 0, 0, 1], 0).unwrap();
    assert_eq!((bare.sequence, bare.acknowledgement, bare.is_ack_only()), (None, None, false));
}

#[test]
fn gre_refuses_what_is_not_pptp() {
    use gre::Error;
    let refused = |flags: u16, protocol: u16| {
        let mut bytes = [flags.to_be_bytes(), protocol.to_be_bytes()].concat();
        bytes.resize(24, 0);
        gre(&bytes, 0).unwrap_err()
    };
    assert_eq!(refused(0x0000, 0x0800), Error::Version0);
    assert_eq!(refused(0x3000, 0x880b), Error::Version0);
    assert_eq!(refused(0x3002, 0x880b), Error::VersionUnknown(2));
    assert_eq!(refused(0x3007, 0x880b), Error::VersionUnknown(7));
    assert_eq!(refused(0x3001, 0x0800), Error::NotPpp(0x0800));
    assert_eq!(refused(0x1001, 0x880b), Error::NoKey);
    for bit in [0x8000, 0x4000, 0x0800, 0x0400, 0x0200, 0x0100, 0x0040, 0x0020, 0x0010, 0x0008] {
        assert_eq!(refused(0x3001 | bit, 0x880b), Error::ForbiddenBits(bit));
        assert_eq!(refused(0x3001 | bit, 0x880b).refusal(), Refusal::NotPptp);
    }
    assert_eq!(refused(0, 0x880b).refusal(), Refusal::Version0);
    assert_eq!(refused(2, 0x880b).refusal(), Refusal::VersionUnknown);
}

#[test]
fn gre_shorter_than_it_says() {
    let data = [0x30, 0x81, 0x88, 0x0b, 0, 3, 0, 1, 0, 0, 0, 7, 0, 0, 0, 6, 0xfd, 0x90, 0x01];
    for kept in 0..16 {
        let error = gre(&data[..kept], 0).unwrap_err();
        assert_eq!((error, error.refusal()), (gre::Error::Short(kept), Refusal::Short));
    }
    let short = gre::Error::ShortPayload { call_id: 1, declared: 3, present: 2 };
    assert_eq!(gre(&data[..18], 0), Err(short));
    assert_eq!(short.to_string(), "GRE payload of call 1: 3 bytes declared, 2 present");
    let cut = gre(&data[..18], 1).unwrap();
    assert_eq!((cut.payload.len(), cut.missing_bytes), (2, 1));
    // What other fragments or padding hold may be more than the frame lacks.
    assert_eq!(gre(&data[..18], usize::MAX).unwrap().missing_bytes, 1);
}

fn icmp(head: &[u8], quoted: &[u8]) -> Result<icmp::Error, icmp::DecodeError> {
    icmp::Error::decode([head, quoted].concat().into())
}

#[test]
fn icmp_quotes_the_call() {
    let gre = [0x30, 0x01, 0x88, 0x0b, 5, 0, 0x12, 0x34];
    let mut quoted = datagram(47, 0, 0x4000, &gre);
    quoted[2..4].copy_from_slice(&1540u16.to_be_bytes());
    let error = icmp(&[3, 4, 0, 0, 0, 0, 0x05, 0xd4], &quoted).unwrap();
    assert_eq!(error.unreachable(), Some(icmp::Unreachable::FragmentationNeeded));
    assert_eq!(error.next_hop_mtu, Some(1492));
    assert_eq!((error.quoted.source, error.quoted.destination), (SOURCE, DESTINATION));
    assert_eq!((error.quoted.total_bytes, error.quoted.dont_fragment), (1540, true));
    assert_eq!(error.quoted.transport, icmp::Transport::Gre { call_id: 0x1234 });

    let protocol = icmp(&[3, 2, 0, 0, 0, 0, 0x05, 0xd4], &quoted).unwrap();
    assert_eq!((protocol.unreachable(), protocol.next_hop_mtu), (Some(icmp::Unreachable::Protocol), None));
    let exceeded = icmp(&[11, 1, 0, 0, 0, 0, 0, 0], &quoted).unwrap();
    assert_eq!((exceeded.kind, exceeded.unreachable()), (icmp::Kind::TimeExceeded, None));
}

#[test]
fn icmp_quotes_the_control_connection() {
    let quoted = datagram(6, 3, 0, &[0xc0, 0x01, 0x06, 0xbb, 1, 2, 3, 4]);
    let error = icmp(&[3, 13, 0, 0, 0, 0, 0, 0], &quoted).unwrap();
    assert_eq!(
        error.quoted.transport,
        icmp::Transport::Tcp { source_port: 0xc001, destination_port: 1723, sequence: 0x0102_0304 }
    );
}

#[test]
fn icmp_about_something_else() {
    use icmp::{DecodeError, Transport};
    let head = [3, 1, 0, 0, 0, 0, 0, 0];
    let other = |quoted: &[u8]| icmp(&head, quoted).map(|error| error.quoted.transport);
    let version0 = [0x20, 0x00, 0x08, 0x00, 0, 0, 0, 1];
    assert_eq!(other(&datagram(47, 0, 0, &version0)), Ok(Transport::Other { protocol: 47 }));
    assert_eq!(other(&datagram(17, 0, 0, &[0; 8])), Ok(Transport::Other { protocol: 17 }));
    assert_eq!(other(&datagram(47, 0, 100, &[])), Ok(Transport::Other { protocol: 47 }));
    assert_eq!(other(&datagram(47, 0, 0, &[0; 7])), Err(DecodeError::QuotedShort));
    assert_eq!(other(&[0x45; 19]), Err(DecodeError::Quoted(ip::Error::Short(19))));
    assert_eq!(icmp(&[8, 0, 0, 0, 0, 0, 0, 0], &[]), Err(DecodeError::NotError(8)));
    assert_eq!(icmp(&[3, 1, 0, 0, 0, 0, 0], &[]), Err(DecodeError::Short(7)));
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..120), missing in any::<usize>()) {
        let bytes = Bytes::from(bytes);
        if let Ok(packet) = ip::Packet::decode(bytes.clone()) {
            let whole = packet.payload.len() + packet.missing_bytes + usize::from(packet.header_bytes);
            prop_assert_eq!(whole, usize::from(packet.total_bytes));
        }
        let _ = tcp::Segment::decode(bytes.clone());
        let _ = icmp::Error::decode(bytes.clone());
        let _ = gre::Packet::decode(bytes, missing);
    }

    #[test]
    fn any_gre_header_is_either_refused_or_written_the_same(
        head in any::<[u8; 2]>(),
        rest in proptest::collection::vec(any::<u8>(), 4..80),
        version_1 in any::<bool>(),
    ) {
        let flags = if version_1 { [head[0] & 0x30 | 0x20, head[1] & 0x80 | 1] } else { head };
        let bytes = [&flags[..], &[0x88, 0x0b, 0], &rest].concat();
        if let Ok(packet) = gre(&bytes, 0) {
            let written = packet.encode();
            prop_assert_eq!(&written[..], &bytes[..written.len()]);
            prop_assert_eq!(gre(&written, 0), Ok(packet));
        }
    }

    #[test]
    fn encoded_gre_decodes_the_same(
        call_id in any::<u16>(),
        sequence in any::<Option<u32>>(),
        acknowledgement in any::<Option<u32>>(),
        payload in proptest::collection::vec(any::<u8>(), 0..80),
    ) {
        let packet = gre::Packet {
            call_id,
            payload_bytes: payload.len() as u16,
            sequence,
            acknowledgement,
            payload: Bytes::from(payload).into(),
            missing_bytes: 0,
        };
        prop_assert_eq!(gre(&packet.encode(), 0), Ok(packet));
    }
}
