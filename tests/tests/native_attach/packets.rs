//! What is read of packets once the programs are attached.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use pptpscope::kernel::{Config, Kernel, LoadError};
use pptpscope_common::{Kind, Refusal};

use crate::native::frame::{Gre, Ip, SERVER, ethernet};
use crate::native::{Bench, PATIENCE, Path, data, echo, in_namespace, run, runtime};

/// A raw socket as pptpd has it, that gives the kernel a packet in two pieces: the second lies in a
/// page, so that not even the GRE header is in the linear part of the skb.
fn send_in_pieces(payload: &[u8], first: usize) {
    // SAFETY: plain system calls; the descriptor is owned from here on.
    let socket = unsafe { OwnedFd::from_raw_fd(libc::socket(libc::AF_INET, libc::SOCK_RAW, 47)) };
    // SAFETY: all zeros are a valid sockaddr_in.
    let mut address: libc::sockaddr_in = unsafe { std::mem::zeroed() };
    address.sin_family = libc::AF_INET as u16;
    address.sin_addr.s_addr = u32::from_ne_bytes(SERVER);
    for (piece, flags) in [(&payload[..first], libc::MSG_MORE), (&payload[first..], 0)] {
        // SAFETY: buffer and address are valid for their lengths.
        let sent = unsafe {
            libc::sendto(
                socket.as_raw_fd(),
                piece.as_ptr().cast(),
                piece.len(),
                flags,
                (&raw const address).cast(),
                size_of_val(&address) as u32,
            )
        };
        assert_eq!(sent, piece.len() as isize, "{}", std::io::Error::last_os_error());
    }
}

#[test]
fn headers_outside_the_linear_part_are_read() {
    in_namespace("headers_outside_the_linear_part_are_read", || {
        let mut bench = Bench::new(Path::Egress);
        run("ip", "addr add 192.0.2.10/24 dev w0").unwrap();
        run("ip", "route add default dev w0").unwrap();
        run("ip", "neigh add 198.51.100.1 lladdr 02:00:00:00:00:01 dev w0").unwrap();
        let mut packets = 0;
        for first in 1..16 {
            send_in_pieces(&data(1, packets, Some(7)).build(), first);
            packets += 1;
            send_in_pieces(&echo(1, packets).build(), first);
            packets += 1;
        }
        let flow = bench.flow(1).unwrap();
        assert_eq!((flow.packets, flow.sequence.received, flow.acks), (30, 30, 15));
        assert_eq!(flow.negotiation, 15);
        let records = bench.settled_records();
        assert_eq!(records.len(), 15);
        for (record, number) in records.iter().zip((1..).step_by(2)) {
            assert_eq!(record.packet[20..], echo(1, number).build());
        }
        // What the kernel fragments is one packet.
        let large = Gre { payload: vec![0; 5000], ..data(2, 0, None) }.build();
        send_in_pieces(&large, 100);
        let flow = bench.flow(2).unwrap();
        assert_eq!((flow.packets, flow.fragments), (1, 2));
        assert_eq!(flow.bytes, large.len() as u64 + 2 * 20);
    });
}

#[test]
fn records_are_waited_for() {
    in_namespace("records_are_waited_for", || {
        let mut bench = Bench::new(Path::Xdp);
        let frame = echo(1, 0).frame();
        for round in 0..200 {
            bench.send(&frame);
            if round % 3 == 0 {
                bench.send(&frame);
            }
            let mut seen = 0;
            let expected = if round % 3 == 0 { 2 } else { 1 };
            // A wake-up that is missed would wait for ever.
            bench.runtime.block_on(async {
                while seen < expected {
                    let wait = bench.records.readable();
                    tokio::time::timeout(PATIENCE, wait).await.unwrap().unwrap();
                    // A limit of one: the rest must be offered again.
                    seen += bench.records.drain(1, |_, _| {});
                }
            });
            assert_eq!(bench.records.drain(usize::MAX, |_, _| {}), 0);
        }
        assert_eq!(bench.account(Kind::Ppp).submitted, 267);
    });
}

#[test]
fn debug_records_come_only_when_asked_for() {
    in_namespace("debug_records_come_only_when_asked_for", || {
        for (debug, expected) in [(true, 1), (false, 0)] {
            let log = tracing_test::Lines::default();
            let mut bench = Bench::with(Path::Ingress, &Config { debug, ..Config::default() });
            let runtime = runtime();
            let _guard = runtime.enter();
            let debug_log = bench.kernel.debug_log().unwrap().unwrap();
            assert!(bench.kernel.debug_log().unwrap().is_none());
            bench.send(&data(4711, 0, None).frame());
            bench.send(&data(4711, 1, None).frame());
            assert_eq!(bench.flow(4711).unwrap().packets, 2);
            tracing::subscriber::with_default(log.clone(), || {
                runtime.block_on(async {
                    // It reads what there is before it waits.
                    let _ = tokio::time::timeout(std::time::Duration::from_millis(50), debug_log.run()).await;
                });
            });
            let lines = log.containing("new flow 192.0.2.10 -> 198.51.100.1, call id 4711");
            assert_eq!(lines, expected, "debug: {debug}");
        }
    });
}

#[test]
fn sizes_out_of_range_are_named() {
    let bad = [
        Config { max_sessions: 0, ..Config::default() },
        Config { max_sessions: u32::MAX, ..Config::default() },
        Config { ring_bytes: u32::MAX, ..Config::default() },
        Config { fragment_entries: 0, ..Config::default() },
    ];
    for config in bad {
        assert!(matches!(Kernel::load(&config), Err(LoadError::Size { .. })));
    }
}

/// A subscriber that keeps the messages.
mod tracing_test {
    use std::fmt::{Debug, Write as _};
    use std::sync::{Arc, Mutex};

    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Metadata, Subscriber};

    #[derive(Clone, Default)]
    pub(crate) struct Lines(Arc<Mutex<String>>);

    impl Lines {
        pub(crate) fn containing(&self, text: &str) -> usize {
            self.0.lock().unwrap().lines().filter(|line| line.contains(text)).count()
        }
    }

    impl Visit for Lines {
        fn record_debug(&mut self, _: &Field, value: &dyn Debug) {
            writeln!(self.0.lock().unwrap(), "{value:?}").unwrap();
        }
    }

    impl Subscriber for Lines {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }
        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }
        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn event(&self, event: &Event<'_>) {
            event.record(&mut self.clone());
        }
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }
}

#[test]
fn frames_of_other_protocols_pass_unseen() {
    in_namespace("frames_of_other_protocols_pass_unseen", || {
        let mut bench = Bench::new(Path::Xdp);
        for protocol in 0..=255 {
            if ![6, 47].contains(&protocol) {
                bench.send(&ethernet(0x0800, &Ip::new(protocol).build(&data(1, 0, None).build())));
            }
        }
        assert_eq!(bench.refusals(), [0; Refusal::ALL.len()]);
        assert_eq!(bench.kernel.flows().unwrap(), []);
        assert_eq!(bench.settled_records(), []);
    });
}
