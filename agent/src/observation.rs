//! The one input type of the correlator: everything that can be known about a call, whatever
//! told us.
//!
//! Secrets were dropped when the packet was decoded; nothing in here holds any.

use std::net::{Ipv4Addr, SocketAddrV4};

use bytes::Bytes;
pub use pptpscope_common::{Direction, Flow};
use serde::{Deserialize, Serialize};

use crate::event::Party;
use crate::event::drop::Drop;
use crate::time::Timestamp;
use crate::wire::{ppp, tcp};

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
}

/// A fact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A TCP segment from or to port 1723.
    Segment(Segment),
    /// A PPP negotiation frame in GRE.
    Ppp(PppFrame),
    /// Counters of one direction of one call, and which way its packets pass this host.
    Flow(FlowKey, Direction, Flow),
    /// A ppp interface appeared or changed.
    PppInterface(PppInterface),
    /// The interface with this index is gone.
    InterfaceGone(u32),
    /// Packets that this host let go of.
    Drop(Drop),
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

/// A pppN and its addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PppInterface {
    /// Interface index.
    pub index: u32,
    /// Its name.
    pub name: String,
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
