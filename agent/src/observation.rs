//! The one input type of the correlator: everything that can be known about a call, whatever
//! told us.
//!
//! Secrets were dropped when the packet was decoded; nothing in here holds any.

mod books;
pub mod log;

use std::net::{Ipv4Addr, SocketAddrV4};

pub use books::{CallCounts, UnitCounts};
use bytes::Bytes;
pub use log::Log;
pub use pptpscope_common::{Direction, Flow, Inner};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::Party;
use crate::event::drop::Drop;
use crate::time::Timestamp;
use crate::wire::{ppp, radius, tcp};

/// One fact, and when and by whom it was seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// When.
    pub at: Timestamp,
    /// How good `at` is.
    pub clock: Clock,
    /// Who saw it.
    pub origin: Origin,
    /// The fact.
    pub what: What,
}

/// Where the time of an observation comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clock {
    /// Taken by the kernel at the packet, in nanoseconds.
    Kernel,
    /// Taken by the agent when it read the fact.
    Agent,
    /// Taken from a capture: as good as the program that wrote it.
    Capture,
    /// Taken from a line of a log.
    Log(log::Quality),
}

/// Who saw a fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", rename_all_fields = "snake_case")]
pub enum Origin {
    /// A program of the wire tier, on the interface with this index.
    Wire {
        /// Interface index.
        ifindex: u32,
        /// Which way the packet passed it.
        direction: Direction,
    },
    /// A capture. Which way a packet passed the VPN host is not in it; `sender` is what the reader
    /// concludes from the packets about the end that sends this one, where it concludes anything.
    Capture {
        /// Which end sent it.
        sender: Option<Party>,
    },
    /// The flow map of the wire tier.
    Counters,
    /// The kernel's device notifications.
    Devices,
    /// The path tier: what became of packets behind the wire.
    Path,
    /// A log of a daemon.
    Log,
    /// The process table of this host.
    Processes,
}

/// A fact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
pub enum What {
    /// A TCP segment from or to port 1723.
    Segment(Segment),
    /// A PPP negotiation frame in GRE.
    Ppp(PppFrame),
    /// Counters of one direction of one call, and which way its packets pass this host.
    Flow(FlowKey, Direction, Flow),
    /// An ICMP error about a call or a control connection.
    Icmp(IcmpError),
    /// Segments of port 1723 of one address that made no record, because it sends too many.
    Limited {
        /// The remote address.
        source: Ipv4Addr,
        /// How many since the last time.
        packets: u64,
    },
    /// Counters of one direction of the ppp interface with this index.
    Inner(u32, Direction, Inner),
    /// A ppp interface appeared or changed.
    PppInterface(PppInterface),
    /// The interface with this index is gone.
    InterfaceGone(u32),
    /// What passed the stages of a ppp unit.
    Unit(UnitCounts),
    /// What passed the stages of one direction of a call in the kernel.
    Call(CallCounts),
    /// All counters of all calls were observed: time to compare them. Drops that were made until then
    /// have been observed.
    Look {
        /// When drops were read.
        drops_at: Timestamp,
    },
    /// Packets that this host let go of.
    Drop(Drop),
    /// A line of a log.
    Log(Box<Log>),
    /// A RADIUS packet.
    Radius(Box<Radius>),
    /// A process, and the one that started it.
    Process(Process),
}

/// A TCP segment of a control connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    /// Sender.
    pub source: SocketAddrV4,
    /// Receiver.
    pub destination: SocketAddrV4,
    /// TCP flags.
    pub flags: tcp::Flags,
    /// Sequence number of the first byte.
    pub sequence: u32,
    /// Next byte that the sender expects from the other end; absent without ACK.
    pub acknowledgement: Option<u32>,
    /// Its payload, as far as it was captured.
    #[serde(with = "hex")]
    pub payload: Bytes,
}

/// A PPP negotiation frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PppFrame {
    /// The direction of the call that carried it.
    pub flow: FlowKey,
    /// Its GRE sequence number, where it has one.
    pub gre_sequence: Option<u32>,
    /// The frame, or why it cannot be read.
    pub frame: Result<ppp::Frame, ppp::Error>,
}

/// An ICMP error that quotes a packet of a call or of a control connection (RFC 792).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IcmpError {
    /// Who sent the error.
    pub reporter: Ipv4Addr,
    /// Who receives it: the sender of the quoted packet.
    pub receiver: Ipv4Addr,
    /// Type of the message.
    pub kind: u8,
    /// Code of the message.
    pub code: u8,
    /// Largest packet that the next link takes, bytes (RFC 1191).
    pub next_hop_mtu: Option<u16>,
    /// Total length of the quoted packet, bytes.
    pub quoted_bytes: u16,
    /// Whether the quoted packet had DF set.
    pub dont_fragment: bool,
    /// What the quoted packet was.
    pub about: Quoted,
}

/// What an ICMP error complains about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quoted {
    /// A GRE packet of this direction of a call.
    Gre(FlowKey),
    /// A TCP segment from or to port 1723.
    Tcp {
        /// Its sender.
        source: SocketAddrV4,
        /// Its receiver.
        destination: SocketAddrV4,
    },
}

/// A RADIUS packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Radius {
    /// Who asks.
    pub client: SocketAddrV4,
    /// Who is asked.
    pub server: SocketAddrV4,
    /// The packet, without secrets.
    pub packet: radius::Packet,
    /// A request that is the same as the last one with its identifier: it was sent again.
    pub repeated: bool,
    /// Whether it was made with the shared secret.
    pub proof: Proof,
}

/// What the check of a RADIUS packet with the shared secret found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "RadiusProof")]
pub enum Proof {
    /// The secret is not known here, or the request was not seen.
    Unchecked,
    /// Its sender has the secret.
    Genuine,
    /// Its sender has another secret, or it was changed on its way.
    Forged,
    /// It proves nothing: a request for access without Message-Authenticator.
    None,
}

/// One direction of one call: who sends to whom, and the call id that the receiver assigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FlowKey {
    /// Sender.
    pub source: Ipv4Addr,
    /// Receiver.
    pub destination: Ipv4Addr,
    /// Call id that the receiver assigned.
    pub call_id: u16,
}

/// A process whose lines are in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Id of its parent.
    pub parent: u32,
}

/// A pppN and its addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PppInterface {
    /// Interface index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its MTU, bytes; zero where it is not known.
    #[serde(default)]
    pub mtu: u32,
    /// Address of this end; absent before IPCP has set it.
    pub local: Option<Ipv4Addr>,
    /// Address of the other end.
    pub peer: Option<Ipv4Addr>,
}

/// Bytes as hexadecimal digits.
mod hex {
    use bytes::Bytes;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::wire::Hex;

    pub(super) fn serialize<S: Serializer>(bytes: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
        Hex::from(bytes.as_ref()).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        Ok(Bytes::copy_from_slice(Hex::deserialize(deserializer)?.as_bytes()))
    }
}
