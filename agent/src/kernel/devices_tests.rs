//! Messages as the kernel sends them, built by hand from the headers of linux/rtnetlink.h.

use proptest::prelude::*;

use super::super::netlink::push_attribute;
use super::*;

const WLAN_EVENT: u16 = IFLA_WIRELESS;

/// A whole netlink message around a payload.
fn wrapped(kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    message.extend((16 + payload.len() as u32).to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend([0; 10]);
    message.extend(payload);
    message
}

fn change(known: &mut Known, kind: u16, payload: &[u8]) -> Option<DeviceChange> {
    apply(known, &messages(&wrapped(kind, payload)).next().unwrap())
}

struct Link<'a> {
    family: u8,
    hardware: u16,
    index: u32,
    up: bool,
    name: &'a str,
    kind: &'a str,
    attributes: &'a [(u16, u32)],
}

const ETH0: Link<'static> = Link {
    family: 0,
    hardware: 1,
    index: 2,
    up: true,
    name: "eth0",
    kind: "",
    attributes: &[(IFLA_MTU, 1500)],
};

impl Link<'_> {
    fn payload(&self) -> Vec<u8> {
        let mut payload = vec![self.family, 0];
        payload.extend(self.hardware.to_ne_bytes());
        payload.extend(self.index.to_ne_bytes());
        payload.extend(u32::from(self.up).to_ne_bytes());
        payload.extend([0; 4]);
        push_attribute(&mut payload, IFLA_IFNAME, &[self.name.as_bytes(), &[0]].concat()).unwrap();
        for (attribute, value) in self.attributes {
            push_attribute(&mut payload, *attribute, &value.to_ne_bytes()).unwrap();
        }
        let mut info = Vec::new();
        push_attribute(&mut info, IFLA_INFO_KIND, &[self.kind.as_bytes(), &[0]].concat()).unwrap();
        // With the flag for nested attributes, as some kernels set it.
        push_attribute(&mut payload, IFLA_LINKINFO | 0x8000, &info).unwrap();
        payload
    }
}

fn address(index: u32, attributes: &[(u16, [u8; 4])]) -> Vec<u8> {
    let mut payload = vec![AF_INET as u8, 24, 0, 0];
    payload.extend(index.to_ne_bytes());
    for (attribute, octets) in attributes {
        push_attribute(&mut payload, *attribute, octets).unwrap();
    }
    payload
}

#[test]
fn follows_a_device_from_birth_to_death() {
    let mut known = Known::new();
    let DeviceChange::Changed(eth0) = change(&mut known, RTM_NEWLINK, &ETH0.payload()).unwrap() else {
        panic!("removed")
    };
    assert_eq!(
        (eth0.name.as_str(), eth0.layer, eth0.up, eth0.mtu),
        ("eth0", LinkLayer::Ethernet, true, 1500)
    );
    // The same again is no change.
    assert_eq!(change(&mut known, RTM_NEWLINK, &ETH0.payload()), None);

    let own = address(2, &[(IFA_ADDRESS, [10, 0, 0, 1]), (IFA_LOCAL, [10, 0, 0, 1])]);
    let with_peer = address(2, &[(IFA_ADDRESS, [10, 9, 9, 9]), (IFA_LOCAL, [10, 0, 0, 2])]);
    assert!(change(&mut known, RTM_NEWADDR, &own).is_some());
    assert_eq!(change(&mut known, RTM_NEWADDR, &own), None);
    assert!(change(&mut known, RTM_NEWADDR, &with_peer).is_some());
    assert_eq!(known[&2].addresses[0], Address { local: [10, 0, 0, 1].into(), prefix: 24, peer: None });
    assert_eq!(known[&2].addresses[1].peer, Some([10, 9, 9, 9].into()));

    // A change of the link keeps the addresses.
    let renamed = Link { name: "wan", up: false, ..ETH0 };
    let DeviceChange::Changed(wan) = change(&mut known, RTM_NEWLINK, &renamed.payload()).unwrap() else {
        panic!("removed")
    };
    assert_eq!((wan.name.as_str(), wan.up, wan.addresses.len()), ("wan", false, 2));

    assert!(change(&mut known, RTM_DELADDR, &own).is_some());
    assert_eq!(change(&mut known, RTM_DELADDR, &own), None);
    assert_eq!(known[&2].addresses.len(), 1);
    let removed = DeviceChange::Removed { index: 2, name: "wan".into(), stats: None };
    assert_eq!(change(&mut known, RTM_DELLINK, &renamed.payload()), Some(removed));
    assert_eq!(change(&mut known, RTM_DELLINK, &renamed.payload()), None);
    assert_eq!(change(&mut known, RTM_NEWADDR, &own), None);
}

#[test]
fn only_stacked_devices_have_a_lower_one() {
    let lower = |kind, attributes: &[(u16, u32)]| {
        parse_link(&Link { kind, attributes, ..ETH0 }.payload()).unwrap().lower
    };
    for kind in ["vlan", "macvlan", "macvtap", "ipvlan", "ipvtap"] {
        assert_eq!(lower(kind, &[(IFLA_LINK, 7)]), Some(7), "{kind}");
        // Its index belongs to another namespace.
        assert_eq!(lower(kind, &[(IFLA_LINK, 7), (IFLA_LINK_NETNSID, 0)]), None, "{kind}");
    }
    for kind in ["veth", "vxlan", "ipip", ""] {
        assert_eq!(lower(kind, &[(IFLA_LINK, 7)]), None, "{kind}");
    }
    let port = parse_link(&Link { attributes: &[(IFLA_MASTER, 9)], ..ETH0 }.payload()).unwrap();
    assert_eq!((port.master, port.is_vrf), (Some(9), false));
    assert!(parse_link(&Link { kind: "vrf", ..ETH0 }.payload()).unwrap().is_vrf);
    assert!(parse_link(&Link { kind: "veth", ..ETH0 }.payload()).unwrap().is_veth);
    assert!(!parse_link(&ETH0.payload()).unwrap().is_veth);
}

#[test]
fn tells_link_layers_apart() {
    let layer = |hardware| parse_link(&Link { hardware, ..ETH0 }.payload()).unwrap().layer;
    assert_eq!(layer(1), LinkLayer::Ethernet);
    assert_eq!(layer(772), LinkLayer::Loopback);
    assert_eq!(layer(512), LinkLayer::Ppp);
    assert_eq!((layer(0xfffe), layer(519)), (LinkLayer::Ip, LinkLayer::Ip));
    assert_eq!(layer(778), LinkLayer::Other(778));
}

#[test]
fn a_port_leaving_its_bridge_is_not_gone() {
    let mut known = Known::new();
    change(&mut known, RTM_NEWLINK, &ETH0.payload());
    let of_the_bridge = Link { family: libc::AF_BRIDGE as u8, ..ETH0 };
    assert_eq!(change(&mut known, RTM_DELLINK, &of_the_bridge.payload()), None);
    assert_eq!(known.len(), 1);
}

#[test]
fn a_wireless_event_does_not_wipe_a_device() {
    let mut known = Known::new();
    change(&mut known, RTM_NEWLINK, &ETH0.payload());
    let event = Link { attributes: &[(WLAN_EVENT, 0)], ..ETH0 };
    assert_eq!(change(&mut known, RTM_NEWLINK, &event.payload()), None);
    assert_eq!(known[&2].mtu, 1500);
}

#[test]
fn a_difference_leads_from_one_state_to_the_other() {
    let (mut before, mut after) = (Known::new(), Known::new());
    for known in [&mut before, &mut after] {
        change(known, RTM_NEWLINK, &ETH0.payload());
    }
    change(&mut before, RTM_NEWLINK, &Link { index: 3, name: "gone", ..ETH0 }.payload());
    change(&mut before, RTM_NEWLINK, &Link { index: 4, name: "same", ..ETH0 }.payload());
    change(&mut after, RTM_NEWLINK, &Link { index: 4, name: "other", ..ETH0 }.payload());
    change(&mut after, RTM_NEWLINK, &Link { index: 5, name: "new", ..ETH0 }.payload());
    let expected = [
        DeviceChange::Removed { index: 3, name: "gone".into(), stats: None },
        DeviceChange::Changed(after[&4].clone()),
        DeviceChange::Changed(after[&5].clone()),
    ];
    assert_eq!(difference(&before, &after), expected);
    assert_eq!(difference(&after, &after), []);
}

proptest! {
    #[test]
    fn hostile_messages_are_passed_over(
        kind in prop::sample::select(vec![RTM_NEWLINK, RTM_DELLINK, RTM_NEWADDR, RTM_DELADDR]),
        payload in prop::collection::vec(any::<u8>(), 0..120),
        cut in 0..60usize,
    ) {
        let mut known = Known::new();
        change(&mut known, kind, &payload);
        let whole = ETH0.payload();
        change(&mut known, kind, &whole[..cut.min(whole.len())]);
    }
}
