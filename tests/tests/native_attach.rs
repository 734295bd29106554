//! Attaching to devices of this machine: which hook is taken, what is left behind, and devices
//! without link header.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod native;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write as _;
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use native::frame::{CLIENT, Gre, Ip, SERVER, Tcp, ethernet};
use native::{Bench, PEER, Path, WATCHED, Wire, data, device, echo, in_namespace, run, runtime};
use pptpscope::kernel::{
    AttachError, Config, DeviceChange, Devices, Ingress, IngressMode, Kernel, LinkLayer, LoadError,
    TcMechanism, TcMode,
};
use pptpscope_common::{Direction, Kind, Refusal};

/// TCX came with 6.6: on older kernels everything falls back to clsact.
fn has_tcx() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split('.').map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap(), numbers.next().unwrap()) >= (6u32, 6u32)
}

fn default_mechanism() -> TcMechanism {
    if has_tcx() { TcMechanism::Tcx } else { TcMechanism::Clsact }
}

/// A filter of somebody else: classic BPF that matches every packet, which ends the search.
const ACCEPT_ALL: &str = "bpf bytecode 1,6_0_0_4294967295, flowid 1:1";

fn clsact() -> Config {
    Config { tc: TcMode::Clsact, ..Config::default() }
}

fn with_runtime(test: impl FnOnce()) {
    let runtime = runtime();
    let _guard = runtime.enter();
    test();
}

#[test]
fn auto_takes_xdp_where_the_driver_has_it() {
    in_namespace("auto_takes_xdp_where_the_driver_has_it", || {
        with_runtime(|| {
            let mut kernel = Kernel::load(&Config::default()).unwrap();
            let attachment = kernel.attach(&device(WATCHED), IngressMode::Auto).unwrap();
            assert_eq!((attachment.ingress, attachment.tc), (Ingress::Xdp, default_mechanism()));
            assert_eq!(attachment.note, None);
            assert!(matches!(
                kernel.attach(&device(WATCHED), IngressMode::Auto),
                Err(AttachError::Already { name }) if name == WATCHED
            ));

            // The loopback driver has no XDP.
            let attachment = kernel.attach(&device("lo"), IngressMode::Auto).unwrap();
            assert_eq!(attachment.ingress, Ingress::Tc);
            assert!(attachment.note.unwrap().contains("no native XDP"));
            assert_eq!(kernel.attached().count(), 2);
            assert!(run("ip", "-d link show dev w0").unwrap().contains("xdp"));

            let index = device(WATCHED).index;
            assert!(kernel.detach(index));
            assert!(!kernel.detach(index));
            assert!(!run("ip", "-d link show dev w0").unwrap().contains("xdp"));
            kernel.attach(&device(WATCHED), IngressMode::Xdp).unwrap();
        });
    });
}

#[test]
fn a_refused_xdp_is_explained() {
    in_namespace("a_refused_xdp_is_explained", || {
        with_runtime(|| {
            let mut first = Kernel::load(&Config::default()).unwrap();
            first.attach(&device(WATCHED), IngressMode::Xdp).unwrap();
            // Its second instance stands for any other XDP program.
            let mut second = Kernel::load(&Config::default()).unwrap();
            let error = second.attach(&device(WATCHED), IngressMode::Xdp).unwrap_err();
            assert!(
                matches!(&error, AttachError::Xdp { reason, .. } if reason.contains("another")),
                "{error}"
            );
            assert!(error.to_string().contains("w0"));
            // Nothing was left of the failed attempt.
            let attachment = second.attach(&device(WATCHED), IngressMode::Auto).unwrap();
            assert_eq!(attachment.ingress, Ingress::Tc);
            assert!(attachment.note.unwrap().contains("another"));

            let error = second.attach(&device("lo"), IngressMode::Xdp).unwrap_err();
            assert!(error.to_string().contains("no native XDP"), "{error}");
        });
    });
}

#[test]
fn a_device_that_is_gone_is_named() {
    in_namespace("a_device_that_is_gone_is_named", || {
        with_runtime(|| {
            let mut kernel = Kernel::load(&Config::default()).unwrap();
            let gone = device(WATCHED);
            kernel.attach(&gone, IngressMode::Auto).unwrap();
            run("ip", "link del w0").unwrap();
            assert!(kernel.detach(gone.index));
            let error = kernel.attach(&gone, IngressMode::Auto).unwrap_err();
            assert!(matches!(&error, AttachError::Gone { name, .. } if name == WATCHED), "{error}");
        });
    });
}

#[test]
fn a_renamed_device_is_found() {
    in_namespace("a_renamed_device_is_found", || {
        with_runtime(|| {
            let known = device(WATCHED);
            run("ip", "link set w0 down").unwrap();
            run("ip", "link set w0 name uplink").unwrap();
            run("ip", "link set uplink up").unwrap();
            let mut kernel = Kernel::load(&clsact()).unwrap();
            kernel.attach(&known, IngressMode::Tc).unwrap();
            assert!(run("tc", "filter show dev uplink egress").unwrap().contains("pptpscope_out"));
        });
    });
}

/// What of ours hangs on the watched device at clsact.
fn filters() -> usize {
    let show = |hook| run("tc", &format!("filter show dev w0 {hook}")).unwrap_or_default();
    ["ingress", "egress"].map(|hook| show(hook).matches("pptpscope_").count()).into_iter().sum()
}

fn qdiscs() -> String {
    run("tc", "qdisc show dev w0").unwrap()
}

#[test]
fn clsact_is_tidied_up() {
    in_namespace("clsact_is_tidied_up", || {
        with_runtime(|| {
            let mut kernel = Kernel::load(&clsact()).unwrap();
            let attachment = kernel.attach(&device(WATCHED), IngressMode::Tc).unwrap();
            assert_eq!((attachment.ingress, attachment.tc), (Ingress::Tc, TcMechanism::Clsact));
            assert!(filters() >= 2 && qdiscs().contains("clsact"));
            kernel.detach(device(WATCHED).index);
            assert!(filters() == 0 && !qdiscs().contains("clsact"), "{}", qdiscs());

            // Dropping does the same.
            kernel.attach(&device(WATCHED), IngressMode::Tc).unwrap();
            drop(kernel);
            assert!(filters() == 0 && !qdiscs().contains("clsact"), "{}", qdiscs());
        });
    });
}

#[test]
fn clsact_of_others_stays() {
    in_namespace("clsact_of_others_stays", || {
        with_runtime(|| {
            // The discipline was there.
            run("tc", "qdisc add dev w0 clsact").unwrap();
            let mut kernel = Kernel::load(&clsact()).unwrap();
            kernel.attach(&device(WATCHED), IngressMode::Tc).unwrap();
            kernel.detach(device(WATCHED).index);
            assert!(qdiscs().contains("clsact"));
            run("tc", "qdisc del dev w0 clsact").unwrap();

            // Ours, but somebody began to use it.
            kernel.attach(&device(WATCHED), IngressMode::Tc).unwrap();
            run("tc", &format!("filter add dev w0 ingress pref 7 {ACCEPT_ALL}")).unwrap();
            kernel.detach(device(WATCHED).index);
            assert_eq!(filters(), 0);
            assert!(run("tc", "filter show dev w0 ingress").unwrap().contains("pref 7"));
        });
    });
}

#[test]
fn leftovers_of_a_killed_agent_are_removed() {
    in_namespace("leftovers_of_a_killed_agent_are_removed", || {
        let killed = {
            let runtime = runtime();
            let _guard = runtime.enter();
            let mut kernel = ManuallyDrop::new(Kernel::load(&clsact()).unwrap());
            kernel.attach(&device(WATCHED), IngressMode::Tc).unwrap();
            kernel
        };
        let left = filters();
        assert!(left >= 2);
        let bench = Bench::with(Path::Ingress, &clsact());
        assert_eq!(filters(), left);
        bench.send(&data(1, 0, None).frame());
        assert_eq!(bench.flow(1).unwrap().packets, 1);
        assert_eq!(killed.flows().unwrap().len(), 0);
        drop(bench);
        // The discipline was the dead agent's, and so ours.
        assert!(filters() == 0 && !qdiscs().contains("clsact"), "{}", qdiscs());

        // Also when TCX is used now.
        let mut kernel = ManuallyDrop::new(Kernel::load(&clsact()).unwrap());
        with_runtime(|| {
            kernel.attach(&device(WATCHED), IngressMode::Tc).unwrap();
        });
        let bench = Bench::new(Path::Egress);
        bench.send(&data(1, 0, None).frame());
        assert_eq!(bench.flow(1).unwrap().packets, 1);
        assert_eq!(kernel.flows().unwrap().len(), 0);
    });
}

#[test]
fn clsact_counts_as_tcx_does() {
    for path in Path::ALL {
        in_namespace(&format!("clsact_counts_as_tcx_does ({path:?})"), move || {
            let mut bench = Bench::with(path, &clsact());
            assert_eq!(bench.attachment.tc, TcMechanism::Clsact);
            for number in 0..50 {
                bench.send(&data(1, number, Some(number)).frame());
            }
            bench.send(&echo(1, 50).frame());
            let flow = bench.flow(1).unwrap();
            assert_eq!((flow.packets, flow.acks, flow.sequence.received), (51, 50, 51));
            assert_eq!(bench.settled_records().len(), 1);
        });
    }
}

#[test]
fn both_directions_or_none() {
    in_namespace("both_directions_or_none", || {
        with_runtime(|| {
            // An ingress qdisc takes clsact's place. It has no egress side, but takes the filter.
            run("tc", "qdisc add dev w0 ingress").unwrap();
            let mut kernel = Kernel::load(&clsact()).unwrap();
            for mode in [IngressMode::Xdp, IngressMode::Tc] {
                let error = kernel.attach(&device(WATCHED), mode).unwrap_err();
                assert!(
                    matches!(&error, AttachError::Tc { reason, .. } if reason.contains("ingress")),
                    "{error}"
                );
                assert_eq!((filters(), kernel.attached().count()), (0, 0));
                assert!(!run("ip", "-d link show dev w0").unwrap().contains("xdp"));
            }
            assert!(qdiscs().contains("ingress"));
        });
    });
}

#[test]
fn filters_that_accept_everything_hide_nothing() {
    for tc in [TcMode::Auto, TcMode::Clsact] {
        for path in [Path::Ingress, Path::Egress] {
            in_namespace(
                &format!("filters_that_accept_everything_hide_nothing ({tc:?}, {path:?})"),
                move || {
                    run("tc", "qdisc add dev w0 clsact").unwrap();
                    for hook in ["ingress", "egress"] {
                        run("tc", &format!("filter add dev w0 {hook} pref 7 {ACCEPT_ALL}")).unwrap();
                    }
                    let bench = Bench::with(path, &Config { tc, ..Config::default() });
                    bench.send(&data(1, 0, None).frame());
                    assert_eq!(bench.flow(1).unwrap().packets, 1);
                },
            );
        }
    }
}

#[test]
fn a_filter_that_cannot_be_preceded_is_reported() {
    in_namespace("a_filter_that_cannot_be_preceded_is_reported", || {
        with_runtime(|| {
            run("tc", "qdisc add dev lo clsact").unwrap();
            run("tc", &format!("filter add dev lo egress pref 1 protocol ip {ACCEPT_ALL}")).unwrap();
            let mut kernel = Kernel::load(&clsact()).unwrap();
            let note = kernel.attach(&device("lo"), IngressMode::Auto).unwrap().note.unwrap();
            assert!(note.contains("not XDP") && note.contains("first at TC egress"), "{note}");
            assert!(!note.contains("TC ingress"), "{note}");
        });
    });
}

#[test]
fn packets_pass_unchanged() {
    for path in Path::ALL {
        in_namespace(&format!("packets_pass_unchanged ({path:?})"), move || {
            let bench = Bench::new(path);
            // What came in at the other side of the programs: the watched end's own packet sockets
            // for ingress, the peer's for egress.
            let other_side = if path == Path::Egress { PEER } else { WATCHED };
            let listener = Wire::on(runtime().block_on(async { device(other_side) }).index);
            listener.receive_all();
            let frames = [
                data(1, 0, Some(1)).frame(),
                echo(1, 1).frame(),
                ethernet(0x0800, &Tcp::control(Tcp::SYN, &[]).datagram()),
                ethernet(0x0800, &Ip::new(17).build(&[1; 60])),
                ethernet(0x86dd, &[0x60; 60]),
            ];
            for frame in &frames {
                bench.send(frame);
            }
            bench.refusals();
            for frame in &frames {
                assert_eq!(&listener.receive(), frame);
            }
        });
    }
}

/// A tun device and its other side: packets written there are received, packets sent are read.
fn tun() -> File {
    let path = c"/dev/net/tun";
    // SAFETY: a valid path; the descriptor is owned from here on.
    let fd = unsafe { libc::open(path.as_ptr(), libc::O_RDWR | libc::O_CLOEXEC) };
    assert!(fd >= 0, "no /dev/net/tun: {}", std::io::Error::last_os_error());
    // SAFETY: fresh from the system call.
    let file = File::from(unsafe { OwnedFd::from_raw_fd(fd) });
    // SAFETY: all zeros are a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"t0") {
        *to = *from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as i16;
    // SAFETY: the request is valid for the call.
    let made = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &request) };
    assert_eq!(made, 0, "{}", std::io::Error::last_os_error());
    run("ip", "link set t0 up").unwrap();
    file
}

#[test]
fn a_device_without_link_header_is_watched() {
    for tc in [TcMode::Auto, TcMode::Clsact] {
        in_namespace(&format!("a_device_without_link_header_is_watched ({tc:?})"), move || {
            let mut outside = tun();
            let runtime = runtime();
            let _guard = runtime.enter();
            let device = device("t0");
            assert_eq!(device.layer, LinkLayer::Ip);
            let mut kernel = Kernel::load(&Config { tc, ..Config::default() }).unwrap();
            let error = kernel.attach(&device, IngressMode::Xdp).unwrap_err();
            assert!(matches!(error, AttachError::Layer { layer: LinkLayer::Ip, .. }), "{error}");
            let attachment = kernel.attach(&device, IngressMode::Auto).unwrap();
            assert_eq!((attachment.ingress, attachment.note), (Ingress::Tc, None));
            let mut records = kernel.records().unwrap().unwrap();

            let inside = Wire::on(device.index);
            let control = Tcp::control(Tcp::SYN, &[]).datagram();
            let options = Ip { options: vec![1; 8], ..Ip::new(47) };
            let mut ipv6 = data(1, 0, None).datagram();
            ipv6[0] = 0x65;
            for packet in [
                data(1, 0, None).datagram(),
                echo(1, 1).datagram(),
                control.clone(),
                options.build(&data(1, 2, None).build()),
                ipv6,
            ] {
                // A write is received before it returns.
                outside.write_all(&packet).unwrap();
                inside.send(&packet);
            }
            let flows = kernel.flows().unwrap();
            assert_eq!(flows.len(), 2);
            for (key, flow) in &flows {
                assert_eq!((key.source, key.destination, key.call_id), (CLIENT, SERVER, 1));
                assert_eq!((flow.packets, flow.negotiation), (3, 1), "{key:?}");
            }
            let directions: BTreeSet<_> = flows.iter().map(|(key, _)| key.direction).collect();
            assert_eq!(directions, BTreeSet::from([Direction::Ingress as u8, Direction::Egress as u8]));
            let mut seen = Vec::new();
            records.drain(100, |header, packet| seen.push((header.kind, header.direction, packet.to_vec())));
            for direction in [Direction::Ingress as u8, Direction::Egress as u8] {
                assert!(seen.contains(&(Kind::Control as u8, direction, control.clone())));
                assert!(seen.contains(&(Kind::Ppp as u8, direction, echo(1, 1).datagram())));
            }
            assert_eq!(seen.len(), 4);
            assert_eq!(kernel.refusals().unwrap(), [0; Refusal::ALL.len()]);
        });
    }
}

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
        let waiting = runtime();
        let frame = echo(1, 0).frame();
        for round in 0..200 {
            bench.send(&frame);
            if round % 3 == 0 {
                bench.send(&frame);
            }
            let mut seen = 0;
            let expected = if round % 3 == 0 { 2 } else { 1 };
            // A wake-up that is missed would wait for ever.
            waiting.block_on(async {
                while seen < expected {
                    let wait = bench.records.readable();
                    tokio::time::timeout(std::time::Duration::from_secs(10), wait).await.unwrap().unwrap();
                    // A limit of one: the rest must be offered again.
                    seen += bench.records.drain(1, |_, _| {});
                }
            });
        }
        assert_eq!(bench.account(Kind::Ppp).submitted, 267);
    });
}

#[test]
fn devices_are_followed() {
    in_namespace("devices_are_followed", || {
        let runtime = runtime();
        runtime.block_on(async {
            let mut devices = Devices::open().unwrap();
            let names: BTreeSet<_> = devices.current().map(|device| device.name.clone()).collect();
            assert_eq!(names, ["lo", "p0", "w0"].map(str::to_owned).into());
            let w0 = devices.current().find(|device| device.name == WATCHED).unwrap();
            assert_eq!((w0.layer, w0.up, w0.mtu, w0.lower), (LinkLayer::Ethernet, true, 3000, None));
            let index = w0.index;

            // Waits for a device to be as it should; what comes before is passed over.
            async fn until(devices: &mut Devices, done: impl Fn(&DeviceChange) -> bool) -> DeviceChange {
                loop {
                    let next = tokio::time::timeout(std::time::Duration::from_secs(10), devices.next());
                    let change = next.await.expect("no change came").unwrap();
                    if done(&change) {
                        return change;
                    }
                }
            }
            let changed = |change: &DeviceChange, name: &str| {
                matches!(change, DeviceChange::Changed(device) if device.name == name)
            };

            run("ip", "addr add 192.0.2.1/24 dev w0").unwrap();
            let DeviceChange::Changed(w0) = until(&mut devices, |change| changed(change, WATCHED)).await else {
                unreachable!()
            };
            assert_eq!(w0.addresses[0].local.octets(), [192, 0, 2, 1]);
            assert_eq!((w0.addresses[0].prefix, w0.addresses[0].peer), (24, None));
            run("ip", "addr add 10.0.0.1 peer 10.0.0.2 dev p0").unwrap();
            let DeviceChange::Changed(p0) = until(&mut devices, |change| changed(change, "p0")).await else {
                unreachable!()
            };
            assert_eq!(p0.addresses[0].local.octets(), [10, 0, 0, 1]);
            assert_eq!(p0.addresses[0].peer.unwrap().octets(), [10, 0, 0, 2]);

            run("ip", "addr del 192.0.2.1/24 dev w0").unwrap();
            until(&mut devices, |change| {
                matches!(change, DeviceChange::Changed(device) if device.index == index && device.addresses.is_empty())
            })
            .await;
            run("ip", "link set w0 mtu 1400 down").unwrap();
            until(&mut devices, |change| {
                matches!(change, DeviceChange::Changed(device)
                    if device.index == index && !device.up && device.mtu == 1400)
            })
            .await;
            run("ip", "link set w0 name uplink").unwrap();
            until(&mut devices, |change| changed(change, "uplink")).await;

            // A port that leaves its bridge is not gone.
            run("ip", "link add b0 type bridge").unwrap();
            let DeviceChange::Changed(bridge) = until(&mut devices, |change| changed(change, "b0")).await else {
                unreachable!()
            };
            run("ip", "link set uplink master b0").unwrap();
            until(&mut devices, |change| {
                matches!(change, DeviceChange::Changed(device)
                    if device.index == index && device.master == Some(bridge.index))
            })
            .await;
            run("ip", "link set uplink nomaster").unwrap();
            until(&mut devices, |change| {
                matches!(change, DeviceChange::Changed(device) if device.index == index && device.master.is_none())
            })
            .await;
            run("ip", "link del b0").unwrap();
            until(&mut devices, |change| matches!(change, DeviceChange::Removed { name, .. } if name == "b0")).await;
            assert!(devices.current().any(|device| device.index == index));

            let _tun = tun();
            let DeviceChange::Changed(tun) = until(&mut devices, |change| changed(change, "t0")).await else {
                unreachable!()
            };
            assert_eq!(tun.layer, LinkLayer::Ip);
            assert_eq!(devices.overflows(), 0);
        });
    });
}

#[test]
fn an_overflow_of_changes_ends_in_the_right_state() {
    in_namespace("an_overflow_of_changes_ends_in_the_right_state", || {
        let runtime = runtime();
        runtime.block_on(async {
            let mut devices = Devices::open().unwrap();
            // About 1.2 KiB per change of a link: more than the buffer takes.
            let mut batch = String::new();
            for round in 0..6000 {
                batch += &format!("link set w0 mtu {}\n", 1000 + round % 1000);
            }
            batch += "link set w0 mtu 1234\naddr add 192.0.2.1/24 dev w0\nlink del p0\n";
            let path = std::env::temp_dir().join(format!("pptpscope-batch-{}", std::process::id()));
            std::fs::write(&path, batch).unwrap();
            run("ip", &format!("-batch {}", path.display())).unwrap();
            std::fs::remove_file(&path).unwrap();
            // The pair of a deleted veth goes with it.
            loop {
                let change = devices.next().await.unwrap();
                if matches!(&change, DeviceChange::Removed { name, .. } if name == WATCHED) {
                    break;
                }
            }
            assert!(devices.overflows() > 0);
            let names: Vec<_> = devices.current().map(|device| device.name.as_str()).collect();
            assert_eq!(names, ["lo"]);
        });
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
