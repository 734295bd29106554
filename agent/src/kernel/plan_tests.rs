//! The plan, by example and over random device trees.

use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;
use crate::kernel::devices::Address;

fn device(index: u32, name: &str) -> Device {
    let address = Address { local: Ipv4Addr::new(192, 0, 2, index as u8), prefix: 24, peer: None };
    Device {
        index,
        name: name.to_owned(),
        layer: LinkLayer::Ethernet,
        lower: None,
        master: None,
        is_vrf: false,
        is_veth: false,
        up: true,
        mtu: 1500,
        addresses: vec![address],
    }
}

fn unaddressed(index: u32, name: &str) -> Device {
    Device { addresses: Vec::new(), ..device(index, name) }
}

fn verdicts(devices: &[Device], wanted: &Wanted) -> Vec<Verdict> {
    plan(devices, wanted).into_iter().map(|choice| choice.verdict).collect()
}

fn watched(devices: &[Device], wanted: &Wanted) -> Vec<String> {
    plan(devices, wanted).into_iter().filter(Choice::is_watched).map(|choice| choice.name).collect()
}

fn named(names: &[&str]) -> Wanted {
    Wanted::Named(names.iter().map(|name| (*name).to_owned()).collect())
}

const WATCH: Verdict = Verdict::Watch { twice_with: None };

#[test]
fn takes_uplinks_and_says_why_not_the_others() {
    let devices = [
        Device { layer: LinkLayer::Loopback, ..device(1, "lo") },
        device(2, "eth0"),
        unaddressed(3, "eth1"),
        Device { layer: LinkLayer::Ppp, ..device(4, "ppp0") },
        Device { layer: LinkLayer::Ip, ..device(5, "wg0") },
        Device { layer: LinkLayer::Other(778), ..device(6, "gre1") },
        Device { is_vrf: true, ..device(7, "red") },
        Device { up: false, ..device(8, "eth2") },
    ];
    let expected = [
        Verdict::Loopback,
        WATCH,
        Verdict::NoAddress,
        Verdict::Inner,
        WATCH,
        Verdict::UnknownLayer(778),
        Verdict::Vrf,
        WATCH,
    ];
    assert_eq!(verdicts(&devices, &Wanted::Auto), expected);
}

#[test]
fn a_vlan_over_a_watched_device_is_seen_there() {
    let mut devices = [device(1, "eth0"), Device { lower: Some(1), ..device(2, "eth0.7") }];
    assert_eq!(verdicts(&devices, &Wanted::Auto), [WATCH, Verdict::Over("eth0".into())]);
    // Without an address on the device below, the VLAN is the uplink.
    devices[0].addresses.clear();
    assert_eq!(verdicts(&devices, &Wanted::Auto), [Verdict::NoAddress, WATCH]);
}

#[test]
fn a_bridge_is_watched_unless_a_port_is() {
    let port = |index, name: &str| Device { master: Some(9), ..unaddressed(index, name) };
    let mut devices = [port(1, "eth0"), port(2, "tap0"), device(9, "br0")];
    assert_eq!(watched(&devices, &Wanted::Auto), ["br0"]);
    devices[0].addresses = device(1, "eth0").addresses;
    assert_eq!(verdicts(&devices, &Wanted::Auto)[2], Verdict::Over("eth0".into()));
}

#[test]
fn looks_through_devices_that_are_not_watched() {
    // A VLAN with an address over a bond without one over a device with one.
    let devices = [
        Device { master: Some(2), ..device(1, "eth0") },
        unaddressed(2, "bond0"),
        Device { lower: Some(2), ..device(3, "bond0.5") },
    ];
    assert_eq!(verdicts(&devices, &Wanted::Auto), [WATCH, Verdict::NoAddress, Verdict::Over("eth0".into())]);
}

#[test]
fn names_override() {
    let devices = [
        Device { layer: LinkLayer::Loopback, ..device(1, "lo") },
        device(2, "eth0"),
        Device { lower: Some(2), ..unaddressed(3, "eth0.7") },
        Device { layer: LinkLayer::Ppp, ..device(4, "ppp0") },
    ];
    assert_eq!(watched(&devices, &named(&["ppp0", "lo", "eth9"])), ["lo", "ppp0"]);
    assert_eq!(watched(&devices, &named(&["eth0.7"])), ["eth0.7"]);
    assert_eq!(watched(&devices, &named(&["eth9"])), [""; 0]);
    let both = verdicts(&devices, &named(&["eth0", "eth0.7"]));
    assert_eq!(both[1..3], [WATCH, Verdict::Watch { twice_with: Some("eth0".into()) }]);
}

proptest! {
    /// Whatever is stacked on what, cycles included (half a change may be known): no two watched
    /// devices carry the same packets, and nothing with an address goes unseen.
    #[test]
    fn every_address_is_seen_and_no_packet_twice(
        links in prop::collection::vec((prop::option::of(0..12u32), prop::option::of(0..12u32), any::<bool>()), 1..12)
    ) {
        let devices: Vec<_> = links
            .iter()
            .zip(0..)
            .map(|((lower, master, addressed), index)| {
                let name = format!("d{index}");
                let base = if *addressed { device(index, &name) } else { unaddressed(index, &name) };
                // A tree: what is below has a smaller index, what is above a larger one.
                Device { lower: lower.filter(|lower| *lower < index), master: master.filter(|up| *up > index), ..base }
            })
            .collect();
        let below = |index: u32| {
            let mut found = BTreeSet::new();
            let mut queue = vec![index];
            while let Some(at) = queue.pop() {
                let direct = devices.iter().filter(|other| {
                    devices[at as usize].lower == Some(other.index) || other.master == Some(at)
                });
                queue.extend(direct.map(|other| other.index).filter(|other| found.insert(*other)));
            }
            found
        };
        let choices = plan(&devices, &Wanted::Auto);
        for (device, choice) in devices.iter().zip(&choices) {
            let watched_below = below(device.index).iter().any(|lower| choices[*lower as usize].is_watched());
            prop_assert_eq!(choice.is_watched(), !device.addresses.is_empty() && !watched_below);
        }
    }

    #[test]
    fn cycles_end(links in prop::collection::vec((0..8u32, 0..8u32), 8)) {
        let devices: Vec<_> = links
            .iter()
            .zip(0..)
            .map(|((lower, master), index)| {
                Device { lower: Some(*lower), master: Some(*master), ..device(index, &format!("d{index}")) }
            })
            .collect();
        prop_assert_eq!(plan(&devices, &Wanted::Auto).len(), 8);
    }
}
