//! The network devices of the agent's namespace and their IPv4 addresses, followed live.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io;
use std::net::Ipv4Addr;

use libc::{
    AF_INET, AF_UNSPEC, IFF_UP, IFLA_IFNAME, IFLA_LINK, IFLA_LINKINFO, IFLA_MASTER, IFLA_MTU, IFLA_WIRELESS,
    RTM_DELADDR, RTM_DELLINK, RTM_GETADDR, RTM_GETLINK, RTM_NEWADDR, RTM_NEWLINK,
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::netlink::{Message, Requests, attributes, messages, string, u16_at, u32_at};

/// What libc lacks (linux/if_arp.h, linux/if_link.h, linux/if_addr.h).
const IFLA_STATS64: u16 = 23;
const ARPHRD_RAWIP: u16 = 519;
const IFLA_LINK_NETNSID: u16 = 37;
const IFLA_INFO_KIND: u16 = 1;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;

/// Multicast groups (linux/rtnetlink.h): links, IPv4 addresses.
const GROUPS: u32 = 0x1 | 0x10;

/// Buffer for changes that were not read yet, bytes. A thousand calls that end at once say about
/// three things of each pppN, of about 1.5 KiB.
const BUFFER: usize = 4 << 20;

/// What a packet of a device begins with (ARPHRD_*, linux/if_arp.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkLayer {
    /// An Ethernet header.
    Ethernet,
    /// An Ethernet header of zeros: the loopback device.
    Loopback,
    /// The IP header: tun, WireGuard, mobile broadband.
    Ip,
    /// The IP header; the PPP header is added and removed beyond. Usually the inside of a call.
    Ppp,
    /// Anything else.
    Other(u16),
}

impl LinkLayer {
    fn of(hardware: u16) -> Self {
        match hardware {
            libc::ARPHRD_ETHER => Self::Ethernet,
            libc::ARPHRD_LOOPBACK => Self::Loopback,
            libc::ARPHRD_NONE | ARPHRD_RAWIP => Self::Ip,
            libc::ARPHRD_PPP => Self::Ppp,
            other => Self::Other(other),
        }
    }
}

impl fmt::Display for LinkLayer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ethernet => formatter.write_str("ethernet"),
            Self::Loopback => formatter.write_str("loopback"),
            Self::Ip => formatter.write_str("ip"),
            Self::Ppp => formatter.write_str("ppp"),
            Self::Other(hardware) => write!(formatter, "of type {hardware}"),
        }
    }
}

/// An IPv4 address of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The host's own.
    pub local: Ipv4Addr,
    /// Prefix length.
    pub prefix: u8,
    /// The other end of a point-to-point link.
    pub peer: Option<Ipv4Addr>,
}

/// A network device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Interface index.
    pub index: u32,
    /// Name.
    pub name: String,
    /// What its packets begin with.
    pub layer: LinkLayer,
    /// The device that carries its packets (VLAN, macvlan, ipvlan), when it is in this namespace.
    pub lower: Option<u32>,
    /// The bridge, bond, team or VRF that it is part of.
    pub master: Option<u32>,
    /// Whether it is a VRF: a routing domain, which packets pass in addition to the real device.
    pub is_vrf: bool,
    /// Whether it is an end of a veth pair, as containers have.
    pub is_veth: bool,
    /// Administratively up (IFF_UP).
    pub up: bool,
    /// Bytes.
    pub mtu: u32,
    /// IPv4 addresses.
    pub addresses: Vec<Address>,
}

/// What a device has counted since it was made (struct rtnl_link_stats64).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkStats {
    /// Packets received.
    pub rx_packets: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Packets that were received damaged.
    pub rx_errors: u64,
    /// Packets that could not be sent.
    pub tx_errors: u64,
    /// Packets received and dropped for want of room.
    pub rx_dropped: u64,
    /// Packets to be sent that were dropped.
    pub tx_dropped: u64,
}

/// Something happened to a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceChange {
    /// It appeared or is different now.
    Changed(Device),
    /// It is gone, or went to another namespace.
    Removed {
        /// Interface index.
        index: u32,
        /// Its last name.
        name: String,
        /// What it had counted in the end, when the kernel told.
        stats: Option<LinkStats>,
    },
}

/// The devices cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum DevicesError {
    /// No netlink socket.
    #[error("cannot listen for changes of the network interfaces: {0}")]
    Listen(#[source] io::Error),
    /// A dump failed.
    #[error("cannot list the network interfaces: {0}")]
    List(#[source] io::Error),
}

type Known = BTreeMap<u32, Device>;

/// Follows the devices of the namespace.
#[derive(Debug)]
pub struct Devices {
    changes: AsyncFd<Socket>,
    known: Known,
    pending: VecDeque<DeviceChange>,
    overflows: u64,
}

impl Devices {
    /// Lists the devices and begins to listen. Needs a tokio runtime.
    ///
    /// # Errors
    /// Netlink is not to be had.
    pub fn open() -> Result<Self, DevicesError> {
        // Listening starts before listing, so that no change falls in between. A change that is
        // older than the list is applied again, which ends in the same state.
        let changes = listen().map_err(DevicesError::Listen)?;
        let known = list().map_err(DevicesError::List)?;
        Ok(Self { changes, known, pending: VecDeque::new(), overflows: 0 })
    }

    /// The devices now, by index.
    pub fn current(&self) -> impl Iterator<Item = &Device> {
        self.known.values()
    }

    /// How often changes came faster than they were read. The devices were listed again then.
    pub fn overflows(&self) -> u64 {
        self.overflows
    }

    /// The next change; [`current`](Self::current) is at least that new. Cancel safe.
    ///
    /// # Errors
    /// Netlink failed for good.
    pub async fn next(&mut self) -> Result<DeviceChange, DevicesError> {
        loop {
            if let Some(change) = self.pending.pop_front() {
                return Ok(change);
            }
            let mut ready = self.changes.readable().await.map_err(DevicesError::Listen)?;
            match ready.try_io(|socket| socket.get_ref().recv_from_full()) {
                Ok(Ok((buffer, from))) => {
                    // Other processes can send to this socket; only the kernel has port 0.
                    if from.port_number() == 0 {
                        for message in messages(&buffer) {
                            self.pending.extend(apply(&mut self.known, &message));
                        }
                    }
                }
                Ok(Err(error)) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    self.overflows += 1;
                    let now = list().map_err(DevicesError::List)?;
                    self.pending.extend(difference(&self.known, &now));
                    self.known = now;
                }
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(Err(error)) => return Err(DevicesError::Listen(error)),
                // Not readable after all.
                Err(_) => {}
            }
        }
    }
}

/// The devices now, without following them.
///
/// # Errors
/// Netlink is not to be had.
pub fn devices() -> Result<Vec<Device>, DevicesError> {
    Ok(list().map_err(DevicesError::List)?.into_values().collect())
}

fn listen() -> io::Result<AsyncFd<Socket>> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind(&SocketAddr::new(0, GROUPS))?;
    socket.set_rx_buf_sz(BUFFER as libc::c_int)?;
    socket.set_non_blocking(true)?;
    // SAFETY: the socket owns its descriptor, which stays the same and open while it lives.
    Ok(unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) }?)
}

fn list() -> io::Result<Known> {
    let mut requests = Requests::open()?;
    let collect = |known: &mut Known, message: &Message<'_>| {
        apply(known, message);
    };
    // struct ifinfomsg, struct ifaddrmsg: the family is enough.
    let mut request = [0; 16];
    request[0] = AF_UNSPEC as u8;
    let mut known = requests.dump(RTM_GETLINK, &request, collect)?;
    request[0] = AF_INET as u8;
    let addresses: Vec<(u32, Address)> =
        requests.dump(RTM_GETADDR, &request[..8], |all: &mut Vec<_>, message| {
            all.extend(parse_address(message.payload));
        })?;
    for (index, address) in addresses {
        add_address(&mut known, index, address);
    }
    Ok(known)
}

/// Applies one message and says what it changed.
fn apply(known: &mut Known, message: &Message<'_>) -> Option<DeviceChange> {
    match message.kind {
        RTM_NEWLINK => {
            let mut device = parse_link(message.payload)?;
            let before = known.get(&device.index);
            if let Some(before) = before {
                device.addresses.clone_from(&before.addresses);
            }
            if before == Some(&device) {
                return None;
            }
            known.insert(device.index, device.clone());
            Some(DeviceChange::Changed(device))
        }
        RTM_DELLINK => {
            let device = known.remove(&parse_link(message.payload)?.index)?;
            let stats = parse_stats(message.payload);
            Some(DeviceChange::Removed { index: device.index, name: device.name, stats })
        }
        RTM_NEWADDR => {
            let (index, address) = parse_address(message.payload)?;
            add_address(known, index, address)
        }
        RTM_DELADDR => {
            let (index, address) = parse_address(message.payload)?;
            let device = known.get_mut(&index)?;
            let before = device.addresses.len();
            device.addresses.retain(|other| *other != address);
            (device.addresses.len() != before).then(|| DeviceChange::Changed(device.clone()))
        }
        _ => None,
    }
}

fn add_address(known: &mut Known, index: u32, address: Address) -> Option<DeviceChange> {
    let device = known.get_mut(&index)?;
    if device.addresses.contains(&address) {
        return None;
    }
    device.addresses.push(address);
    Some(DeviceChange::Changed(device.clone()))
}

/// What turns one state into the other.
fn difference(before: &Known, after: &Known) -> Vec<DeviceChange> {
    let removed = before.values().filter(|device| !after.contains_key(&device.index));
    let changed = after.values().filter(|device| before.get(&device.index) != Some(device));
    removed
        .map(|device| DeviceChange::Removed { index: device.index, name: device.name.clone(), stats: None })
        .chain(changed.cloned().map(DeviceChange::Changed))
        .collect()
}

/// A link message about the device itself (struct ifinfomsg and attributes).
fn parse_link(payload: &[u8]) -> Option<Device> {
    // A bridge speaks of its ports in the same messages: one leaving it is not gone.
    if *payload.first()? != AF_UNSPEC as u8 {
        return None;
    }
    let mut device = Device {
        index: u32_at(payload, 4)?,
        name: String::new(),
        layer: LinkLayer::of(u16_at(payload, 2)?),
        lower: None,
        master: None,
        is_vrf: false,
        is_veth: false,
        up: u32_at(payload, 8)? & IFF_UP as u32 != 0,
        mtu: 0,
        addresses: Vec::new(),
    };
    let (mut link, mut kind, mut elsewhere) = (None, String::new(), false);
    for (attribute, value) in attributes(payload.get(16..)?) {
        match attribute {
            IFLA_IFNAME => device.name = string(value),
            IFLA_MTU => device.mtu = u32_at(value, 0)?,
            IFLA_LINK => link = u32_at(value, 0),
            IFLA_MASTER => device.master = u32_at(value, 0),
            IFLA_LINK_NETNSID => elsewhere = true,
            IFLA_LINKINFO => {
                let info = attributes(value).find(|(attribute, _)| *attribute == IFLA_INFO_KIND);
                kind = info.map(|(_, value)| string(value)).unwrap_or_default();
            }
            // Events of the old wireless extensions have hardly any of the other attributes.
            IFLA_WIRELESS => return None,
            _ => {}
        }
    }
    // IFLA_LINK is the peer of a veth and the outside of a tunnel: their packets are others.
    let carried = matches!(kind.as_str(), "vlan" | "macvlan" | "macvtap" | "ipvlan" | "ipvtap");
    device.lower = link.filter(|_| carried && !elsewhere);
    device.is_vrf = kind == "vrf";
    device.is_veth = kind == "veth";
    (!device.name.is_empty()).then_some(device)
}

/// The counters of a link message.
fn parse_stats(payload: &[u8]) -> Option<LinkStats> {
    let (_, stats) = attributes(payload.get(16..)?).find(|(attribute, _)| *attribute == IFLA_STATS64)?;
    let counter = |index: usize| {
        let bytes = stats.get(index * 8..)?.first_chunk()?;
        Some(u64::from_ne_bytes(*bytes))
    };
    Some(LinkStats {
        rx_packets: counter(0)?,
        tx_packets: counter(1)?,
        rx_errors: counter(4)?,
        tx_errors: counter(5)?,
        rx_dropped: counter(6)?,
        tx_dropped: counter(7)?,
    })
}

/// What the ppp units of the namespace have counted, by index.
///
/// # Errors
/// Netlink is not to be had.
pub fn ppp_stats() -> Result<BTreeMap<u32, LinkStats>, DevicesError> {
    let stats = || {
        // struct ifinfomsg: the family is enough.
        let mut request = [0; 16];
        request[0] = AF_UNSPEC as u8;
        Requests::open()?.dump(RTM_GETLINK, &request, |all: &mut BTreeMap<_, _>, message| {
            let ppp = parse_link(message.payload).filter(|device| device.layer == LinkLayer::Ppp);
            all.extend(ppp.and_then(|device| Some((device.index, parse_stats(message.payload)?))));
        })
    };
    stats().map_err(DevicesError::List)
}

/// An address message: the interface and the address (struct ifaddrmsg and attributes).
fn parse_address(payload: &[u8]) -> Option<(u32, Address)> {
    if *payload.first()? != AF_INET as u8 {
        return None;
    }
    let (mut local, mut address) = (None, None);
    for (attribute, value) in attributes(payload.get(8..)?) {
        let octets = || value.first_chunk::<4>().map(|octets| Ipv4Addr::from(*octets));
        match attribute {
            IFA_LOCAL => local = octets(),
            IFA_ADDRESS => address = octets(),
            _ => {}
        }
    }
    // On a point-to-point link IFA_ADDRESS is the other end, elsewhere it repeats IFA_LOCAL.
    let own = local.or(address)?;
    let peer = address.filter(|address| *address != own);
    Some((u32_at(payload, 4)?, Address { local: own, prefix: *payload.get(1)?, peer }))
}

#[cfg(test)]
#[path = "devices_tests.rs"]
mod tests;
