//! Which headers make a packet that of a call, and what becomes of the others.

use pptpscope_common::Refusal;

use crate::native::frame::{Gre, Ip, ethernet, tagged};
use crate::native::{Bench, Path, data, in_namespace};
use crate::{IPV4, on_every_path};

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
