//! What is counted of a call.

use std::time::Duration;

use pptpscope::kernel::Config;
use pptpscope_common::{Direction, Kind, Refusal, Sequence};

use crate::native::frame::{Gre, Ip, ethernet};
use crate::native::{Bench, Path, Wire, data, echo, in_namespace};
use crate::{IPV4, on_every_path};

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
        assert!(0 < flow.first_ns && flow.first_ns <= flow.last_ns);
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
fn the_last_packet_is_timed_to_the_tick() {
    on_every_path("the_last_packet_is_timed_to_the_tick", |path| {
        const TICK: Duration = Duration::from_millis(10);
        let bench = Bench::new(path);
        bench.send(&data(77, 0, None).frame());
        let first = bench.flow(77).unwrap();
        std::thread::sleep(TICK * 3);
        bench.send(&data(77, 1, None).frame());
        let last = bench.flow(77).unwrap();
        assert_eq!((last.packets, last.first_ns), (2, first.first_ns));
        assert!(Duration::from_nanos(last.last_ns - first.first_ns) > TICK * 2, "{last:?}");
        let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the structure is valid for the call.
        unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
        let now = now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64;
        assert!(last.last_ns < now, "{last:?}");
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
                // Around the width of the window.
                0 => at.wrapping_add(60 + (random >> 28)),
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
        let out = Wire::on(bench.index);
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
