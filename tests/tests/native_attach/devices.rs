//! Devices that come, go, change their names, or have no link header.

use std::collections::BTreeSet;
use std::io::Write as _;

use pptpscope::kernel::{
    AttachError, Config, DeviceChange, Devices, Ingress, IngressMode, Kernel, LinkLayer, TcMode,
};
use pptpscope_common::{Direction, Kind, Refusal};

use crate::native::frame::{CLIENT, Ip, SERVER, Tcp};
use crate::native::{PATIENCE, WATCHED, Wire, data, device, echo, in_namespace, run, runtime, tun};
use crate::{clsact, with_runtime};

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
                    let next = tokio::time::timeout(PATIENCE, devices.next());
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
                let next = tokio::time::timeout(PATIENCE, devices.next());
                let change = next.await.expect("no change came").unwrap();
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
