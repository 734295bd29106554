//! What crosses the ring, whole or counted.

use pptpscope::kernel::Config;
use pptpscope_common::{Kind, SNAP_BYTES, TRUNCATED};

use crate::native::frame::{Gre, Ip, Tcp, ethernet};
use crate::native::{Bench, assert_balanced, data, echo};
use crate::{IPV4, on_every_path};

/// The protocol of a PPP frame, as `ppp_input` of the kernel reads it.
fn protocol_of(frame: &[u8]) -> Option<u16> {
    let frame = frame.strip_prefix(&[0xff, 0x03]).unwrap_or(frame);
    match frame {
        [first, ..] if first % 2 == 1 => Some(u16::from(*first)),
        [first, second, ..] => Some(u16::from_be_bytes([*first, *second])),
        _ => None,
    }
}

#[test]
fn ppp_framing_is_read_in_every_combination() {
    on_every_path("ppp_framing_is_read_in_every_combination", |path| {
        let mut bench = Bench::new(path);
        let (mut sent, mut expected, mut reported) = (0, Vec::new(), Vec::new());
        let mut send = |bench: &mut Bench, payload: Vec<u8>| {
            let packet = Gre { payload, ..data(3, sent, None) };
            bench.send(&packet.frame());
            if protocol_of(&packet.payload).is_some_and(|protocol| protocol >= 0x8000) {
                expected.push(packet.datagram());
            }
            sent += 1;
            if sent % 1000 == 0 {
                reported.extend(bench.settled_records());
            }
        };
        // Every two bytes that a frame can begin with, with and without address and control field.
        for bytes in 0..=u16::MAX {
            let [first, second] = bytes.to_be_bytes();
            send(&mut bench, vec![first, second, 1, 7]);
            send(&mut bench, vec![0xff, 0x03, first, second, 1, 7]);
        }
        // Frames that end within their own header, with more behind them in the datagram.
        let mut behind = 0;
        for frame in [&[0xc0][..], &[0xff, 0x03, 0xc0]] {
            let mut packet = Gre { payload: frame.to_vec(), ..data(3, 1 << 20, None) }.build();
            packet.extend([0x21, 1, 2, 3]);
            bench.send(&ethernet(IPV4, &Ip::new(47).build(&packet)));
            behind += 1;
        }
        // And at the end of the packet.
        for frame in
            [&[][..], &[0xc0], &[0xff], &[0x21], &[0xff, 0x03], &[0xff, 0x03, 0xc0], &[0xff, 0x03, 0x21]]
        {
            send(&mut bench, frame.to_vec());
        }
        send(&mut bench, vec![0xc0, 0x21]);
        send(&mut bench, vec![0xff, 0x03, 0xc0, 0x21]);
        reported.extend(bench.settled_records());

        // The first byte is even and has its top bit set: 64 values.
        assert_eq!(expected.len(), 2 * 64 * 256 + 2);
        assert_eq!(reported.len(), expected.len());
        for (record, packet) in reported.iter().zip(&expected) {
            assert_eq!(&record.packet, packet);
        }
        let flow = bench.flow(3).unwrap();
        assert_eq!((flow.packets, flow.negotiation), (u64::from(sent) + behind, expected.len() as u64));
        let account = bench.account(Kind::Ppp);
        assert_eq!((account.seen, account.submitted), (flow.negotiation, flow.negotiation));
        assert_balanced(&account);
    });
}

#[test]
fn records_carry_what_was_sent() {
    on_every_path("records_carry_what_was_sent", |path| {
        let mut bench = Bench::new(path);
        // Every length around the steps of the copy, and those around what a record can hold.
        let lengths = (0..200).chain(SNAP_BYTES - 100..SNAP_BYTES + 40);
        let mut packets = Vec::new();
        for length in lengths {
            let payload: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            packets.push(Tcp::control(Tcp::PSH | Tcp::ACK, &payload).datagram());
            let mut negotiation = echo(4, length as u32);
            negotiation.payload.extend(&payload);
            packets.push(negotiation.datagram());
        }
        let mut reported = Vec::new();
        for packet in &packets {
            // Padding behind the datagram is not part of it.
            bench.send(&ethernet(IPV4, &[&packet[..], &[0xee; 9]].concat()));
            if reported.len() % 100 == 0 {
                reported.extend(bench.settled_records());
            } else {
                reported.extend(bench.drain());
            }
        }
        reported.extend(bench.settled_records());
        assert_eq!(reported.len(), packets.len());
        let mut before = 0;
        for (record, packet) in reported.iter().zip(&packets) {
            let header = &record.header;
            let captured = packet.len().min(SNAP_BYTES);
            assert_eq!(record.packet, packet[..captured]);
            assert_eq!(
                (usize::from(header.total_bytes), usize::from(header.captured_bytes)),
                (packet.len(), captured)
            );
            assert_eq!(header.flags, if packet.len() > SNAP_BYTES { TRUNCATED } else { 0 });
            let kind = if packet[9] == 6 { Kind::Control } else { Kind::Ppp };
            assert_eq!((header.kind, header.direction), (kind as u8, bench.direction() as u8));
            assert_eq!(header.ifindex, bench.index);
            assert!(header.at_ns > before);
            before = header.at_ns;
        }
        for kind in [Kind::Control, Kind::Ppp] {
            let account = bench.account(kind);
            assert_balanced(&account);
            assert_eq!(account.suppressed, 0);
            let cut = packets
                .iter()
                .filter(|packet| packet.len() > SNAP_BYTES && (packet[9] == 6) == (kind == Kind::Control));
            assert_eq!(account.truncated, cut.count() as u64);
            assert!(account.truncated > 0);
        }
    });
}

#[test]
fn control_segments_are_reported_and_nothing_else() {
    on_every_path("control_segments_are_reported_and_nothing_else", |path| {
        let mut bench = Bench::new(path);
        let mut expect = |segment: &[u8], ip: Ip, reported: bool, seen: bool| {
            let before = bench.account(Kind::Control);
            let packet = ip.build(segment);
            bench.send(&ethernet(IPV4, &packet));
            let records: Vec<_> = bench.settled_records().into_iter().map(|record| record.packet).collect();
            assert_eq!(records, if reported { vec![packet] } else { vec![] }, "{segment:02x?}");
            let after = bench.account(Kind::Control);
            assert_eq!(after.seen - before.seen, u64::from(seen));
            assert_eq!(after.suppressed - before.suppressed, u64::from(seen && !reported));
            assert_balanced(&after);
        };
        let tcp = || Ip::new(6);
        let timestamps = vec![1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2];
        for options in [vec![], timestamps, vec![1; 40]] {
            let segment = |flags, payload: &[u8]| {
                Tcp { options: options.clone(), ..Tcp::control(flags, payload) }.build()
            };
            expect(&segment(Tcp::SYN, &[]), tcp(), true, true);
            expect(&segment(Tcp::SYN | Tcp::ACK, &[]), tcp(), true, true);
            expect(&segment(Tcp::ACK, &[]), tcp(), true, true);
            expect(&segment(Tcp::ACK, &[0]), tcp(), true, true);
            expect(&segment(Tcp::PSH | Tcp::ACK, &[7; 156]), tcp(), true, true);
            expect(&segment(Tcp::FIN | Tcp::ACK, &[]), tcp(), true, true);
            expect(&segment(Tcp::RST, &[]), tcp(), true, true);
            expect(&segment(Tcp::ACK, &[]), Ip { options: vec![1; 40], ..tcp() }, true, true);
            expect(&segment(Tcp::ACK, &[9]), Ip { options: vec![1; 40], ..tcp() }, true, true);
        }
        let between =
            |source, destination| Tcp { source, destination, ..Tcp::control(Tcp::ACK, &[1]) }.build();
        expect(&between(1723, 50_000), tcp(), true, true);
        expect(&between(1723, 1723), tcp(), true, true);
        for (source, destination) in [(443, 50_000), (1722, 1724), (0x06bb ^ 0x100, 443), (47, 0xbb06)] {
            expect(&between(source, destination), tcp(), false, false);
        }
        // UDP on the same port is somebody else's.
        expect(&between(1723, 50_000), Ip::new(17), false, false);
        // A data offset that cannot be: the decoder judges it.
        for offset in [0x00, 0x40, 0xf0] {
            let mut segment = Tcp::control(Tcp::ACK, &[]).build();
            segment[12] = offset;
            expect(&segment, tcp(), true, true);
        }
        // Cut within the header.
        let whole = Tcp::control(Tcp::ACK, &[]).build();
        for length in 0..20 {
            expect(&whole[..length], tcp(), length >= 4, length >= 4);
        }
        // A first fragment has ports, a later one only looks as if.
        expect(&between(50_000, 1723), Ip { more_fragments: true, ..tcp() }, true, true);
        expect(&between(50_000, 1723), Ip { fragment_offset: 8, ..tcp() }, false, false);
    });
}

#[test]
fn a_segment_shorter_than_its_datagram_is_reported_as_far_as_it_goes() {
    on_every_path("a_segment_shorter_than_its_datagram_is_reported_as_far_as_it_goes", |path| {
        let mut bench = Bench::new(path);
        let ip = Ip { total: Some(1500), ..Ip::new(6) };
        let packet = ip.build(&Tcp::control(Tcp::ACK, &[5; 30]).build());
        bench.send(&ethernet(IPV4, &packet));
        let records = bench.settled_records();
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].packet, packet);
        assert_eq!((records[0].header.total_bytes, records[0].header.flags), (1500, 0));
    });
}

/// A UDP datagram with `payload` bytes behind its header.
fn udp(source: u16, destination: u16, payload: usize) -> Vec<u8> {
    let length = (8 + payload) as u16;
    let header = [source, destination, length, 0].into_iter().flat_map(u16::to_be_bytes);
    Ip::new(17).build(&header.chain(std::iter::repeat_n(7, payload)).collect::<Vec<_>>())
}

#[test]
fn datagrams_of_radius_servers_are_reported_and_no_others() {
    on_every_path("datagrams_of_radius_servers_are_reported_and_no_others", |path| {
        let mut bench = Bench::with(path, &Config { radius_ports: vec![1812, 4000], ..Config::default() });
        let later = Ip { fragment_offset: 1480, ..Ip::new(17) }.build(&udp(1812, 1812, 10)[20..]);
        for other in [udp(53, 5353, 40), udp(1813, 1645, 40), udp(0, 0, 40), later] {
            bench.send(&ethernet(IPV4, &other));
        }
        let sent = [udp(40_000, 1812, 120), udp(1812, 40_000, 20), udp(4000, 4000, 3)];
        for packet in &sent {
            bench.send(&ethernet(IPV4, packet));
        }
        let records = bench.settled_records();
        let packets: Vec<&[u8]> = records.iter().map(|record| record.packet.as_slice()).collect();
        assert_eq!(packets, sent.iter().map(Vec::as_slice).collect::<Vec<_>>());
        assert!(records.iter().all(|record| record.header.kind == Kind::Radius as u8));
        let account = bench.account(Kind::Radius);
        assert_balanced(&account);
        assert_eq!((account.seen, account.submitted), (3, 3));
        assert_eq!(bench.account(Kind::Control).seen, 0);
    });
}

#[test]
fn a_full_ring_loses_nothing_silently() {
    on_every_path("a_full_ring_loses_nothing_silently", |path| {
        let mut bench = Bench::with(path, &Config { ring_bytes: 4096, ..Config::default() });
        let negotiation = echo(6, 0).datagram();
        let control = Tcp::control(Tcp::PSH | Tcp::ACK, &[1; 156]).datagram();
        for _ in 0..500 {
            bench.send(&ethernet(IPV4, &negotiation));
            bench.send(&ethernet(IPV4, &control));
            bench.send(&ethernet(IPV4, &Tcp::control(Tcp::ACK, &[]).datagram()));
        }
        let flow = bench.flow(6).unwrap();
        assert_eq!((flow.packets, flow.negotiation), (500, 500));
        let records = bench.drain();
        let submitted =
            |kind| records.iter().filter(|record| record.header.kind == kind as u8).count() as u64;
        for (kind, seen) in [(Kind::Control, 1000), (Kind::Ppp, 500)] {
            let account = bench.account(kind);
            assert_balanced(&account);
            assert_eq!((account.seen, account.suppressed), (seen, 0));
            assert!(account.ring_full > 0, "{account:?}");
            assert_eq!(account.submitted, submitted(kind));
            assert!(account.submitted > 0, "{account:?}");
        }
        // What was read made room again.
        bench.send(&ethernet(IPV4, &negotiation));
        assert_eq!(bench.settled_records().len(), 1);
    });
}
