//! What the programs count of a call beyond sequence numbers: round trips, payloads, MPPE; the inside
//! of a tunnel; ICMP errors; and the limits of the ring. On a veth pair and a tun device of this machine,
//! against what was sent.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod native;

use std::io::Write as _;
use std::time::Duration;

use native::frame::{CLIENT, Gre, Ip, SERVER, Tcp, ethernet};
use native::{Bench, Path, Wire, assert_balanced, data, device, in_namespace, runtime, tun};
use pptpscope::kernel::{Config, Kernel};
use pptpscope_common::{Direction, Flow, FlowKey, Inner, Kind, Mppe};

const IPV4: u16 = 0x0800;

/// A datagram from the server to the client.
fn back(protocol: u8) -> Ip {
    Ip { source: SERVER, destination: CLIENT, ..Ip::new(protocol) }
}

/// An Outgoing-Call-Reply (RFC 2637, section 2.8).
fn call_reply(server_call_id: u16, client_call_id: u16, result: u8) -> Vec<u8> {
    let mut reply = vec![0, 32, 0, 1, 0x1a, 0x2b, 0x3c, 0x4d, 0, 8, 0, 0];
    reply.extend(server_call_id.to_be_bytes());
    reply.extend(client_call_id.to_be_bytes());
    reply.push(result);
    reply.resize(32, 0);
    reply
}

/// A call between the client, on the other end of the cable, and the server, here.
struct Call {
    bench: Bench,
    here: Wire,
}

impl Call {
    const CLIENT_ID: u16 = 7;
    const SERVER_ID: u16 = 9;

    fn new(path: Path) -> Self {
        let bench = Bench::new(path);
        let here = Wire::on(bench.index);
        Self { bench, here }
    }

    fn client_sends(&self, sequence: Option<u32>, ack: Option<u32>) {
        let packet = Gre { sequence, ack, ..data(Self::SERVER_ID, 0, None) };
        self.bench.send(&packet.frame());
    }

    fn server_sends(&self, sequence: Option<u32>, ack: Option<u32>) {
        let packet = Gre { sequence, ack, ..data(Self::CLIENT_ID, 0, None) };
        self.here.send(&ethernet(IPV4, &back(47).build(&packet.build())));
    }

    fn reply(&self, result: u8) {
        let payload = call_reply(Self::SERVER_ID, Self::CLIENT_ID, result);
        let segment = Tcp { source: 1723, destination: 50_000, ..Tcp::control(Tcp::ACK, &payload) };
        self.here.send(&ethernet(IPV4, &back(6).build(&segment.build())));
    }

    /// The flow of what the client sends, and that of what the server sends.
    fn flows(&self) -> (Flow, Flow) {
        let client = self.bench.flow(Self::SERVER_ID).unwrap();
        let key = FlowKey {
            source: SERVER,
            destination: CLIENT,
            call_id: Self::CLIENT_ID,
            direction: Direction::Egress as u8,
            _pad: 0,
        };
        (client, self.bench.kernel.flow(&key).unwrap().unwrap())
    }
}

#[test]
fn round_trips_of_both_directions() {
    for path in [Path::Xdp, Path::Ingress] {
        in_namespace(&format!("round_trips_of_both_directions ({path:?})"), move || {
            let call = Call::new(path);
            call.reply(1);
            // The other direction has to be there before a sample can begin.
            call.client_sends(Some(0), None);
            call.server_sends(Some(0), Some(0));
            // From here on one sample of the client's packets is in flight: number 1.
            call.client_sends(Some(1), None);
            call.client_sends(Some(2), None);
            call.client_sends(Some(3), Some(0));
            let (client, server) = call.flows();
            assert_eq!((client.round_trips.samples(), server.round_trips.samples()), (1, 0));
            assert_eq!((client.peer as u16, server.peer as u16), (Call::CLIENT_ID, Call::SERVER_ID));
            std::thread::sleep(Duration::from_millis(20));
            // An older acknowledgement does not answer it; a later one does, also without payload.
            call.server_sends(None, Some(0));
            assert_eq!(call.flows().1.round_trips.samples(), 0);
            call.server_sends(None, Some(2));
            let (client, server) = call.flows();
            let trips = server.round_trips;
            assert_eq!((trips.samples(), trips.timeouts), (1, 0));
            assert!(trips.min_ns >= 20_000_000 && trips.max_ns < 5_000_000_000, "{trips:?}");
            assert_eq!((trips.min_ns, trips.max_ns), (trips.sum_ns, trips.sum_ns));
            // 2^24 ns is 16.8 ms: nothing before that bucket.
            assert_eq!(trips.histogram[..11], [0; 11]);
            assert_eq!(server.outstanding, 1, "number 3 was sent after number 2");
            assert_eq!(client.sampled_ns, 0);
            // Acknowledged again: no sample waits.
            call.server_sends(None, Some(3));
            assert_eq!(call.flows().1.round_trips.samples(), 1);
        });
    }
}

#[test]
fn a_sample_that_is_not_answered_is_a_timeout() {
    in_namespace("a_sample_that_is_not_answered_is_a_timeout", || {
        let call = Call::new(Path::Xdp);
        call.reply(1);
        call.client_sends(Some(0), None);
        call.server_sends(Some(0), Some(0));
        call.client_sends(Some(1), None);
        // The bound is 3 s.
        std::thread::sleep(Duration::from_millis(3100));
        call.client_sends(Some(2), None);
        assert_eq!(call.flows().1.round_trips.timeouts, 1);
        // That began a new one, which is answered, and another, which is answered too late.
        call.server_sends(None, Some(2));
        assert_eq!(call.flows().1.round_trips.samples(), 1);
        call.client_sends(Some(3), None);
        std::thread::sleep(Duration::from_millis(3100));
        call.server_sends(None, Some(3));
        let (_, server) = call.flows();
        assert_eq!((server.round_trips.samples(), server.round_trips.timeouts), (1, 2));
    });
}

#[test]
fn a_call_that_was_refused_has_no_other_direction() {
    in_namespace("a_call_that_was_refused_has_no_other_direction", || {
        let mut call = Call::new(Path::Xdp);
        call.reply(2);
        for number in 0..100 {
            call.client_sends(Some(number), None);
            call.server_sends(Some(number), Some(number));
        }
        let (client, server) = call.flows();
        assert_eq!((client.peer, server.peer), (0, 0));
        assert_eq!(client.round_trips.samples() + server.round_trips.samples(), 0);
        // The agent has found out: known from the first packet of the kernel's next tick on.
        let (one, other) = (
            call.bench.key(Call::SERVER_ID),
            FlowKey {
                source: SERVER,
                destination: CLIENT,
                call_id: Call::CLIENT_ID,
                direction: Direction::Egress as u8,
                _pad: 0,
            },
        );
        call.bench.kernel.pair(&one, &other).unwrap();
        std::thread::sleep(Duration::from_millis(20));
        call.client_sends(Some(100), None);
        call.server_sends(Some(100), Some(100));
        assert_eq!(call.flows().1.round_trips.samples(), 1);
        for number in 101..200 {
            call.client_sends(Some(number), None);
            call.server_sends(Some(number), Some(number));
        }
        let (_, server) = call.flows();
        assert_eq!(server.round_trips.samples(), 100);
    });
}

#[test]
fn lengths_and_mppe_are_those_of_the_packets() {
    for path in Path::ALL {
        in_namespace(&format!("lengths_and_mppe_are_those_of_the_packets ({path:?})"), move || {
            let bench = Bench::new(path);
            let (mut mppe, mut lengths, mut cleartext) = (Mppe::default(), [0; 8], 0);
            let mut random = 0x9e37_79b9u32;
            let mut count = 0u16;
            for number in 0..20_000 {
                random ^= random << 13;
                random ^= random >> 17;
                random ^= random << 5;
                count = match random % 50 {
                    0 => count.wrapping_sub(random as u16 >> 10),
                    1 => count.wrapping_add(random as u16 >> 8),
                    _ => count.wrapping_add(1),
                };
                let bits = [0x9000, 0x1000, 0x8000, 0x0000][(random >> 20) as usize % 4];
                let header = (bits | count & 0xfff).to_be_bytes();
                let (mut payload, kind) = match random % 7 {
                    0 => (vec![0xff, 0x03, 0x00, 0xfd], 1),
                    1 => (vec![0x00, 0xfd], 1),
                    2 => (vec![0xff, 0x03, 0xfd], 1),
                    3 => (vec![0xfd], 1),
                    4 => (vec![0x00, 0x57], 2),
                    5 => (vec![0xff, 0x03, 0x21], 2),
                    // Van Jacobson's compression: neither.
                    _ => (vec![0x00, 0x2d], 0),
                };
                match kind {
                    1 => {
                        payload.extend(header);
                        mppe.record(u16::from_be_bytes(header));
                    }
                    2 => cleartext += 1,
                    _ => {}
                }
                payload.resize(payload.len().max((random >> 8) as usize % 1500), 0xee);
                let bucket = match payload.len() {
                    0..64 => 0,
                    64..128 => 1,
                    128..256 => 2,
                    256..512 => 3,
                    512..1024 => 4,
                    1024..1280 => 5,
                    1280..1400 => 6,
                    _ => 7,
                };
                lengths[bucket] += 1;
                bench.send(&Gre { payload, ..data(3, number, None) }.frame());
            }
            let flow = bench.flow(3).unwrap();
            assert_eq!(flow.mppe, mppe);
            assert!(mppe.gaps > 50 && mppe.behind > 50, "the walk was too dull: {mppe:?}");
            assert_eq!((flow.lengths.counts, flow.cleartext), (lengths, cleartext));
        });
    }
}

/// An ICMP error that quotes `quoted`.
fn icmp(kind: u8, code: u8, quoted: &[u8]) -> Vec<u8> {
    let mut message = vec![kind, code, 0, 0, 0, 0, 0x05, 0x78];
    message.extend(&quoted[..quoted.len().min(28)]);
    ethernet(IPV4, &Ip { source: [203, 0, 113, 9], ..Ip::new(1) }.build(&message))
}

#[test]
fn icmp_errors_about_calls_are_reported_up_to_a_limit() {
    for path in Path::ALL {
        in_namespace(&format!("icmp_errors_about_calls_are_reported_up_to_a_limit ({path:?})"), move || {
            let mut bench = Bench::new(path);
            let gre = data(9, 1, None).datagram();
            let control = Tcp::control(Tcp::ACK, &[1; 20]).datagram();
            let other = |protocol, payload: &[u8]| Ip::new(protocol).build(payload);
            let web = Tcp { destination: 443, ..Tcp::control(Tcp::ACK, &[]) }.datagram();
            let mut expect = |frame: Vec<u8>, reported: usize| {
                bench.send(&frame);
                let records = bench.settled_records();
                assert_eq!(records.len(), reported, "{frame:02x?}");
                for record in records {
                    assert_eq!((record.header.kind, &record.packet[..]), (Kind::Icmp as u8, &frame[14..]));
                }
            };
            for kind in 0..=20 {
                let is_error = matches!(kind, 3 | 4 | 5 | 11 | 12);
                expect(icmp(kind, 0, &gre), usize::from(is_error));
            }
            expect(icmp(3, 4, &control), 1);
            expect(icmp(3, 4, &web), 0);
            expect(icmp(3, 2, &other(47, &[0, 0, 0x08, 0, 0, 0, 0, 0])), 0);
            expect(icmp(3, 2, &other(17, &1723u16.to_be_bytes().repeat(4))), 0);
            expect(icmp(3, 2, &gre[..24]), 0);
            expect(icmp(3, 2, &[]), 0);
            // 64 at once, then 8 a second.
            for _ in 0..200 {
                bench.send(&icmp(3, 4, &gre));
            }
            let records = bench.settled_records().len() as u64;
            let account = bench.account(Kind::Icmp);
            assert_balanced(&account);
            assert_eq!((account.seen, account.submitted), (206, records + 6));
            assert!((58..80).contains(&records), "{records}");
            let limited = bench.kernel.limited_sources().unwrap();
            assert_eq!(limited.len(), 1);
            assert_eq!((limited[0].kind, limited[0].limited), (Kind::Icmp, account.suppressed));
            assert!(bench.kernel.limited_sources().unwrap().is_empty(), "told once");
        });
    }
}

#[test]
fn a_flood_from_one_address_starves_nobody() {
    in_namespace("a_flood_from_one_address_starves_nobody", || {
        let mut bench = Bench::new(Path::Xdp);
        let from = |source, flags| {
            let segment = Tcp::control(flags, &[]).build();
            ethernet(IPV4, &Ip { source, ..Ip::new(6) }.build(&segment))
        };
        let mut records = 0;
        for step in 0..10_000u32 {
            bench.send(&from([198, 18, 0, 1], Tcp::SYN));
            if step % 1000 == 0 {
                records += bench.drain().len() as u64;
            }
        }
        bench.send(&from([192, 0, 2, 77], Tcp::ACK));
        let last = bench.settled_records();
        assert_eq!(last.last().unwrap().packet[12..16], [192, 0, 2, 77]);
        records += last.len() as u64;
        let account = bench.account(Kind::Control);
        assert_balanced(&account);
        assert_eq!((account.seen, account.ring_full), (10_001, 0));
        assert_eq!(account.submitted, records);
        assert!((4097..6000).contains(&records), "{records}");
        let limited = bench.kernel.limited_sources().unwrap();
        assert_eq!((limited[0].address.octets(), limited[0].limited), ([198, 18, 0, 1], account.suppressed));
    });
}

#[test]
fn a_flood_from_invented_addresses_is_limited_and_known_ones_are_heard() {
    in_namespace("a_flood_from_invented_addresses_is_limited_and_known_ones_are_heard", || {
        let mut bench = Bench::new(Path::Xdp);
        let from = |source: [u8; 4]| {
            ethernet(IPV4, &Ip { source, ..Ip::new(6) }.build(&Tcp::control(Tcp::SYN, &[]).build()))
        };
        bench.send(&from([192, 0, 2, 77]));
        for number in 0..20_000u32 {
            let [_, b, c, d] = number.to_be_bytes();
            bench.send(&from([10, b, c, d]));
            if number % 1000 == 0 {
                bench.drain();
            }
        }
        bench.drain();
        bench.send(&from([192, 0, 2, 77]));
        let last = bench.settled_records();
        assert_eq!(last.last().unwrap().packet[12..16], [192, 0, 2, 77]);
        let account = bench.account(Kind::Control);
        assert_balanced(&account);
        assert!((4096..8000).contains(&account.submitted), "{account:?}");
        assert_eq!(account.ring_full, 0);
    });
}

/// A TCP segment in IPv4 or IPv6, with these options.
fn segment(is_ipv6: bool, flags: u8, options: &[u8]) -> Vec<u8> {
    let tcp = Tcp { destination: 80, options: options.to_vec(), ..Tcp::control(flags, &[]) }.build();
    if !is_ipv6 {
        return Ip::new(6).build(&tcp);
    }
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((tcp.len() as u16).to_be_bytes());
    packet.extend([6, 64]);
    packet.extend([0; 32]);
    packet.extend(tcp);
    packet
}

#[test]
fn segment_sizes_and_fragments_inside_a_tunnel() {
    in_namespace("segment_sizes_and_fragments_inside_a_tunnel", || {
        let mut outside = tun();
        native::run("ip", "link set t0 mtu 1396").unwrap();
        let runtime = runtime();
        let _guard = runtime.enter();
        let device = device("t0");
        let mut kernel = Kernel::load(&Config::default()).unwrap();
        kernel.attach_inner(&device).unwrap();
        let inside = Wire::on(device.index);
        let mss = |bytes: u16| [&[2, 4], &bytes.to_be_bytes()[..]].concat();
        let mut wanted = Inner::default();
        let mut send = |packet: &[u8]| {
            outside.write_all(packet).unwrap();
            inside.send(packet);
        };
        for (is_ipv6, fits) in [(false, 1356), (true, 1336)] {
            for flags in [Tcp::SYN, Tcp::SYN | Tcp::ACK] {
                for (bytes, violates) in [(536, 0), (fits, 0), (fits + 1, 1), (1460, 1)] {
                    send(&segment(is_ipv6, flags, &mss(bytes)));
                    wanted.syn += 1;
                    wanted.violations += violates;
                }
                // Behind other options, and none at all.
                send(&segment(is_ipv6, flags, &[&[1, 1, 4, 2][..], &mss(1460)].concat()));
                send(&segment(is_ipv6, flags, &[&[3, 3, 7, 1][..], &mss(1400)].concat()));
                wanted.syn += 2;
                wanted.violations += 2;
                for options in [&[][..], &[0, 2, 4, 5], &[5, 0, 1, 1], &[1, 1, 1, 2], &[8, 40, 1, 1]] {
                    send(&segment(is_ipv6, flags, options));
                    wanted.without_mss += 1;
                }
                // Not the option: its length is another.
                send(&segment(is_ipv6, flags, &[2, 3, 5, 0]));
                wanted.without_mss += 1;
            }
            send(&segment(is_ipv6, Tcp::ACK, &mss(1460)));
        }
        for (more_fragments, fragment_offset) in [(true, 0), (true, 8), (false, 8)] {
            send(&Ip { more_fragments, fragment_offset, ..Ip::new(17) }.build(&[0; 16]));
            wanted.fragments += 1;
        }
        let mut fragment = segment(true, Tcp::SYN, &[]);
        fragment[6] = 44;
        send(&fragment);
        wanted.fragments += 1;
        send(&Ip::new(17).build(&[0; 16]));
        send(&[0x45]);
        wanted.largest_mss = 1460;
        wanted.violating_mss = 1400;
        wanted.violated_mtu = 1396;
        let counters = kernel.inner(device.index).unwrap();
        let directions: Vec<_> = counters.iter().map(|(direction, _)| *direction).collect();
        assert_eq!(directions, [Direction::Ingress, Direction::Egress]);
        for (direction, inner) in counters {
            assert_eq!(inner, wanted, "{direction:?}");
        }
        // A larger MTU: nothing is too large any more.
        kernel.set_inner_mtu(device.index, 1500).unwrap();
        send(&segment(false, Tcp::SYN, &mss(1460)));
        for (_, inner) in kernel.inner(device.index).unwrap() {
            assert_eq!((inner.syn, inner.violations), (wanted.syn + 1, wanted.violations));
        }
        kernel.detach_inner(device.index);
        assert!(kernel.inner(device.index).unwrap().is_empty());
    });
}
