//! The programs of the wire tier on a veth pair of this machine: what they count and what they
//! report, against what was sent.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod native;

use native::frame::{Gre, Ip, Tcp, ethernet, tagged};
use native::{Bench, Path, assert_balanced, data, echo, in_namespace};
use pptpscope::kernel::Config;
use pptpscope_common::{Direction, Kind, Refusal, SNAP_BYTES, Sequence, TRUNCATED};

const IPV4: u16 = 0x0800;

/// Runs a test once on every path that a packet can take into the programs.
fn on_every_path(name: &str, test: fn(Path)) {
    for path in Path::ALL {
        in_namespace(&format!("{name} ({path:?})"), move || test(path));
    }
}

#[test]
fn a_healthy_call_is_counted() {
    on_every_path("a_healthy_call_is_counted", |path| {
        let mut bench = Bench::new(path);
        let mut bytes = 0;
        for number in 0..100 {
            let ack = (number % 4 == 0).then_some(7000 + number);
            let packet = data(77, number, ack);
            bytes += packet.datagram().len() as u64;
            bench.send(&packet.frame());
        }
        let ack_only = Gre { call_id: 77, ack: Some(8000), ..Gre::default() };
        bytes += ack_only.datagram().len() as u64;
        bench.send(&ack_only.frame());

        let flow = bench.flow(77).unwrap();
        assert_eq!((flow.packets, flow.bytes), (101, bytes));
        assert_eq!((flow.ack_only, flow.acks, flow.last_ack), (1, 26, 8000));
        assert_eq!((flow.sequence.received, flow.sequence.first, flow.sequence.highest), (100, 0, 99));
        assert_eq!((flow.sequence.lost, flow.sequence.missing(), flow.sequence.duplicate), (0, 0, 0));
        assert_eq!((flow.fragments, flow.negotiation, flow.ifindex), (0, 0, bench.index));
        assert!(0 < flow.first_ns && flow.first_ns < flow.last_ns);
        // Data never reaches the ring.
        assert_eq!(bench.settled_records(), []);
        assert_eq!(bench.account(Kind::Ppp).seen, 0);
        assert_eq!(bench.kernel.flows().unwrap().len(), 1);
        bench.kernel.remove_flow(&bench.key(77)).unwrap();
        bench.kernel.remove_flow(&bench.key(77)).unwrap();
        assert_eq!(bench.flow(77), None);
    });
}

#[test]
fn loss_reordering_and_duplicates_are_counted_as_defined() {
    on_every_path("loss_reordering_and_duplicates_are_counted_as_defined", |path| {
        let bench = Bench::new(path);
        // 10 is lost, 20 and 21 change places, 30 comes twice, 40 comes 100 packets late.
        let mut numbers: Vec<u32> = (0..200).filter(|number| ![10, 40].contains(number)).collect();
        numbers.swap(19, 20);
        numbers.insert(31, 30);
        let late = numbers.iter().position(|number| *number == 140).unwrap();
        numbers.insert(late + 1, 40);
        // And across the wrap of the number.
        let numbers: Vec<u32> = numbers.iter().map(|number| number.wrapping_sub(100)).collect();

        let mut same = Sequence::default();
        for number in numbers {
            bench.send(&data(1, number, None).frame());
            same.record(number);
        }
        let sequence = bench.flow(1).unwrap().sequence;
        assert_eq!((sequence.received, sequence.lost, sequence.missing()), (199, 1, 0));
        assert_eq!((sequence.reordered, sequence.late, sequence.duplicate), (2, 1, 1));
        assert_eq!((sequence.first, sequence.highest), (0u32.wrapping_sub(100), 99));
        assert_eq!(sequence, same);
    });
}

#[test]
fn a_walk_agrees_with_the_reader_of_captures() {
    on_every_path("a_walk_agrees_with_the_reader_of_captures", |path| {
        let bench = Bench::new(path);
        let mut same = Sequence::default();
        let (mut random, mut at) = (0x9e37_79b9u32, u32::MAX - 2000);
        for _ in 0..20_000 {
            // xorshift: mostly forward by one, sometimes a gap, a jump, or back.
            random ^= random << 13;
            random ^= random >> 17;
            random ^= random << 5;
            let number = match random % 100 {
                0 => at.wrapping_add(150),
                1..5 => at.wrapping_sub(random >> 25),
                5..15 => at.wrapping_add(random >> 29),
                _ => at.wrapping_add(1),
            };
            if number.wrapping_sub(at) < 1 << 31 {
                at = number;
            }
            bench.send(&data(1, number, None).frame());
            same.record(number);
        }
        let flow = bench.flow(1).unwrap();
        assert_eq!(flow.sequence, same);
        assert_eq!(flow.packets, 20_000);
    });
}

/// RFC 2637, section 4.1, bit by bit, and the order in which the refusals are told apart.
fn refusal_of(first: u8, second: u8) -> Option<Refusal> {
    let bit = |byte: u8, number: u8| byte >> (7 - number) & 1 == 1;
    let version = second % 8;
    if version == 0 {
        return Some(Refusal::Version0);
    }
    if version != 1 {
        return Some(Refusal::VersionUnknown);
    }
    let (checksum, routing, key, strict) = (bit(first, 0), bit(first, 1), bit(first, 2), bit(first, 4));
    let recursion = first % 8;
    let flags = second / 8 % 16;
    let fine = !checksum && !routing && key && !strict && recursion == 0 && flags == 0;
    if fine { None } else { Some(Refusal::NotPptp) }
}

#[test]
fn every_combination_of_header_bits_is_judged() {
    on_every_path("every_combination_of_header_bits_is_judged", |path| {
        let bench = Bench::new(path);
        let mut refused = [0; Refusal::ALL.len()];
        let (mut accepted, mut with_sequence, mut with_ack, mut ack_only) = (0, 0, 0, 0);
        for bits in 0..=u16::MAX {
            let [first, second] = bits.to_be_bytes();
            let (has_sequence, has_ack) = (first & 0x10 != 0, second & 0x80 != 0);
            let packet = Gre {
                call_id: 5,
                sequence: has_sequence.then_some(with_sequence),
                ack: has_ack.then_some(u32::from(bits)),
                payload: vec![0, 0x21, 1, 2, 3],
            };
            bench.send(&ethernet(IPV4, &Ip::new(47).build(&packet.build_with(first, second, 0x880b))));
            match refusal_of(first, second) {
                Some(refusal) => refused[refusal as usize] += 1,
                None => {
                    accepted += 1;
                    with_sequence += u32::from(has_sequence);
                    with_ack += u64::from(has_ack);
                    ack_only += u64::from(has_ack && !has_sequence);
                }
            }
        }
        // Exactly one value of each of the four combinations of S and A is good.
        assert_eq!((accepted, with_sequence, with_ack, ack_only), (4, 2, 2, 1));
        assert_eq!(bench.refusals(), refused);
        let flow = bench.flow(5).unwrap();
        assert_eq!((flow.packets, flow.sequence.received), (accepted, u64::from(with_sequence)));
        assert_eq!((flow.acks, flow.ack_only), (with_ack, ack_only));
        assert_eq!(bench.kernel.flows().unwrap().len(), 1);
    });
}

#[test]
fn every_other_protocol_type_is_refused() {
    on_every_path("every_other_protocol_type_is_refused", |path| {
        let bench = Bench::new(path);
        for protocol in 0..=u16::MAX {
            let packet = data(5, 0, None).build_with(0x30, 0x01, protocol);
            bench.send(&ethernet(IPV4, &Ip::new(47).build(&packet)));
        }
        let mut refused = [0; Refusal::ALL.len()];
        refused[Refusal::NotPptp as usize] = u64::from(u16::MAX);
        assert_eq!(bench.refusals(), refused);
        assert_eq!(bench.flow(5).unwrap().packets, 1);
    });
}

#[test]
fn truncated_packets_are_counted_and_nothing_else() {
    on_every_path("truncated_packets_are_counted_and_nothing_else", |path| {
        let bench = Bench::new(path);
        let whole = data(5, 1, Some(2)).build();
        let mut short = 0;
        for length in 0..whole.len() {
            // Cut, with an honest total length.
            bench.send(&ethernet(IPV4, &Ip::new(47).build(&whole[..length])));
            // Cut, with the total length that it had.
            let total = Some((20 + whole.len()) as u16);
            bench.send(&ethernet(IPV4, &Ip { total, ..Ip::new(47) }.build(&whole[..length])));
            // Whole, but the total length says less; the rest is padding of the frame.
            let total = Some((20 + length) as u16);
            bench.send(&ethernet(IPV4, &Ip { total, ..Ip::new(47) }.build(&whole)));
            short += 3;
        }
        // A payload length beyond the packet.
        let mut packet = whole.clone();
        packet[5] += 1;
        bench.send(&ethernet(IPV4, &Ip::new(47).build(&packet)));
        short += 1;
        let mut refused = [0; Refusal::ALL.len()];
        refused[Refusal::Short as usize] = short;
        assert_eq!(bench.refusals(), refused);
        assert_eq!(bench.flow(5), None);

        // Headers of IPv4 that cannot be: nobody's packets.
        let good = ethernet(IPV4, &Ip::new(47).build(&whole));
        for first in (0x40..0x45).chain([0x55, 0x65, 0x05]) {
            let mut frame = good.clone();
            frame[14] = first;
            bench.send(&frame);
        }
        for length in 0..34 {
            // The socket takes no frame without a whole Ethernet header.
            if length >= 14 {
                bench.send(&good[..length]);
            }
        }
        for total in 0..20 {
            bench.send(&ethernet(IPV4, &Ip { total: Some(total), ..Ip::new(47) }.build(&whole)));
        }
        assert_eq!(bench.refusals()[Refusal::Short as usize], short);
        // More in the packet than the payload length says: the frame ends where it says.
        let mut packet = whole.clone();
        packet.extend([0xc0, 0x21, 1, 1]);
        bench.send(&ethernet(IPV4, &Ip::new(47).build(&packet)));
        assert_eq!(bench.flow(5).unwrap().packets, 1);
    });
}

#[test]
fn link_headers_and_options_are_skipped() {
    on_every_path("link_headers_and_options_are_skipped", |path| {
        let bench = Bench::new(path);
        let mut call_id = 0;
        let mut expect = |frame: fn(&[u8]) -> Vec<u8>, options: usize, counted: bool| {
            call_id += 1;
            let ip = Ip { options: vec![1; options], ..Ip::new(47) };
            bench.send(&frame(&ip.build(&data(call_id, 0, None).build())));
            assert_eq!(bench.flow(call_id).is_some(), counted, "call id {call_id}");
        };
        expect(|packet| ethernet(IPV4, packet), 0, true);
        expect(|packet| tagged(&[(0x8100, 7)], IPV4, packet), 0, true);
        expect(|packet| tagged(&[(0x88a8, 7)], IPV4, packet), 0, true);
        expect(|packet| tagged(&[(0x88a8, 7), (0x8100, 8)], IPV4, packet), 0, true);
        expect(|packet| tagged(&[(0x8100, 7), (0x8100, 8)], IPV4, packet), 0, true);
        for options in (4..=40).step_by(4) {
            expect(|packet| ethernet(IPV4, packet), options, true);
            expect(|packet| tagged(&[(0x88a8, 7), (0x8100, 8)], IPV4, packet), options, true);
        }
        expect(|packet| ethernet(0x86dd, packet), 0, false);
        expect(|packet| ethernet(0x8864, packet), 0, false);
        expect(|packet| tagged(&[(0x8100, 7)], 0x86dd, packet), 0, false);
        expect(|packet| tagged(&[(0x9100, 7)], IPV4, packet), 0, false);
    });
}

#[test]
fn a_third_tag_is_not_looked_behind() {
    // Ingress TC sees the frame after the kernel has taken the outermost tag off.
    for path in [Path::Xdp, Path::Egress] {
        in_namespace(&format!("a_third_tag_is_not_looked_behind ({path:?})"), move || {
            let bench = Bench::new(path);
            let packet = data(1, 0, None).datagram();
            bench.send(&tagged(&[(0x88a8, 7), (0x8100, 8), (0x8100, 9)], IPV4, &packet));
            assert_eq!(bench.flow(1), None);
        });
    }
}

#[test]
fn fragments_belong_to_the_call_of_the_first() {
    on_every_path("fragments_belong_to_the_call_of_the_first", |path| {
        let mut bench = Bench::new(path);
        let send = |bench: &Bench, identification, more_fragments, fragment_offset, payload: &[u8]| {
            let ip = Ip { identification, more_fragments, fragment_offset, ..Ip::new(47) };
            bench.send(&ethernet(IPV4, &ip.build(payload)));
        };
        let whole = Gre { payload: vec![0; 1400], ..data(9, 0, Some(1)) }.build();
        send(&bench, 1, true, 0, &whole[..800]);
        send(&bench, 1, true, 800, &whole[800..1200]);
        send(&bench, 1, false, 1200, &whole[1200..]);
        let flow = bench.flow(9).unwrap();
        assert_eq!((flow.packets, flow.fragments, flow.sequence.received), (1, 3, 1));
        assert_eq!(flow.bytes, 3 * 20 + whole.len() as u64);

        // The next datagram: its last fragment overtakes the one in the middle.
        let next = Gre { payload: vec![0; 1400], ..data(9, 1, None) }.build();
        send(&bench, 2, true, 0, &next[..800]);
        send(&bench, 2, false, 1200, &next[1200..]);
        send(&bench, 2, true, 800, &next[800..1200]);
        let flow = bench.flow(9).unwrap();
        assert_eq!((flow.packets, flow.fragments, flow.sequence.received), (2, 6, 2));

        // Nobody's: unknown datagram, and one between other addresses.
        send(&bench, 3, false, 800, &next[800..]);
        let elsewhere = Ip { source: [10, 0, 0, 1], identification: 2, fragment_offset: 800, ..Ip::new(47) };
        bench.send(&ethernet(IPV4, &elsewhere.build(&next[800..])));
        // A first fragment without the whole header, as an evasion would send it.
        send(&bench, 4, true, 0, &next[..8]);
        send(&bench, 4, false, 8, &next[8..]);
        let mut refused = [0; Refusal::ALL.len()];
        refused[Refusal::FragmentUnmatched as usize] = 3;
        refused[Refusal::Short as usize] = 1;
        assert_eq!(bench.refusals(), refused);
        assert_eq!(bench.flow(9).unwrap(), flow);

        // A negotiation frame is reported by its first fragment.
        let mut negotiation = echo(9, 2);
        negotiation.payload.resize(1000, 0);
        let negotiation = negotiation.build();
        send(&bench, 5, true, 0, &negotiation[..400]);
        send(&bench, 5, false, 400, &negotiation[400..]);
        let records = bench.settled_records();
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].packet[20..], negotiation[..400]);
        assert_eq!(bench.flow(9).unwrap().negotiation, 1);
    });
}

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
        // Frames that end within their own header.
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
        assert_eq!((flow.packets, flow.negotiation), (u64::from(sent), expected.len() as u64));
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
        // The very first segment had no payload: a bare acknowledgement.
        packets.remove(0);
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
        for kind in Kind::ALL {
            let account = bench.account(kind);
            assert_balanced(&account);
            let cut = packets
                .iter()
                .filter(|packet| packet.len() > SNAP_BYTES && (packet[9] == 6) == (kind == Kind::Control));
            assert_eq!(account.truncated, cut.count() as u64);
            assert!(account.truncated > 0);
        }
        assert_eq!(bench.account(Kind::Control).suppressed, 1);
    });
}

#[test]
fn control_segments_are_reported_and_bare_acknowledgements_are_not() {
    on_every_path("control_segments_are_reported_and_bare_acknowledgements_are_not", |path| {
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
            expect(&segment(Tcp::ACK, &[]), tcp(), false, true);
            expect(&segment(Tcp::ACK, &[0]), tcp(), true, true);
            expect(&segment(Tcp::PSH | Tcp::ACK, &[7; 156]), tcp(), true, true);
            expect(&segment(Tcp::FIN | Tcp::ACK, &[]), tcp(), true, true);
            expect(&segment(Tcp::RST, &[]), tcp(), true, true);
            expect(&segment(Tcp::ACK, &[]), Ip { options: vec![1; 40], ..tcp() }, false, true);
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
        for (kind, seen, suppressed) in [(Kind::Control, 1000, 500), (Kind::Ppp, 500, 0)] {
            let account = bench.account(kind);
            assert_balanced(&account);
            assert_eq!((account.seen, account.suppressed), (seen, suppressed));
            assert!(account.ring_full > 0, "{account:?}");
            assert_eq!(account.submitted, submitted(kind));
            assert!(account.submitted > 0, "{account:?}");
        }
        // What was read made room again.
        bench.send(&ethernet(IPV4, &negotiation));
        assert_eq!(bench.settled_records().len(), 1);
    });
}

#[test]
fn a_flood_of_call_ids_does_not_evict_live_calls() {
    on_every_path("a_flood_of_call_ids_does_not_evict_live_calls", |path| {
        let mut bench = Bench::with(path, &Config { max_sessions: 4, ..Config::default() });
        assert_eq!(bench.kernel.max_flows(), 8);
        bench.send(&data(1, 0, None).frame());
        for call_id in 2..1002 {
            bench.send(&data(call_id, 0, None).frame());
        }
        for number in 1..100 {
            bench.send(&data(1, number, None).frame());
        }
        let mut refused = [0; Refusal::ALL.len()];
        refused[Refusal::FlowsFull as usize] = 1000 - 7;
        assert_eq!(bench.refusals(), refused);
        assert_eq!(bench.kernel.flows().unwrap().len(), 8);
        assert_eq!(bench.flow(1).unwrap().packets, 100);
        // Who is refused is still heard.
        bench.send(&echo(2000, 0).frame());
        assert_eq!(bench.settled_records().len(), 1);
        assert_eq!(bench.refusals()[Refusal::FlowsFull as usize], 1000 - 7 + 1);
        // A call that ended makes room.
        bench.kernel.remove_flow(&bench.key(1)).unwrap();
        bench.send(&data(2000, 0, None).frame());
        assert!(bench.flow(2000).is_some());
    });
}

#[test]
fn a_forwarded_packet_is_counted_once_per_direction() {
    in_namespace("a_forwarded_packet_is_counted_once_per_direction", || {
        let bench = Bench::new(Path::Ingress);
        let out = native::Wire::on(bench.index);
        for number in 0..10 {
            bench.send(&data(1, number, None).frame());
            out.send(&data(1, number, None).frame());
        }
        assert_eq!(bench.flow(1).unwrap().packets, 10);
        let flows = bench.kernel.flows().unwrap();
        assert_eq!(flows.len(), 2);
        for (key, flow) in flows {
            assert!(Direction::from_byte(key.direction).is_some());
            assert_eq!((flow.packets, flow.sequence.duplicate), (10, 0));
        }
    });
}
