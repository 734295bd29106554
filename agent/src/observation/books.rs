//! What the stages of a call's way through this host count.

use serde::{Deserialize, Serialize};

use super::FlowKey;
use crate::time::Timestamp;

/// Counts of a ppp unit since it was made. What is not counted on this host is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitCounts {
    /// Interface index.
    pub index: u32,
    /// Since when the probes count.
    pub counted_since: Option<Timestamp>,
    /// Frames of user traffic that the channel handed to PPP.
    pub channel_in: Option<u64>,
    /// Those that the unit took.
    pub unit_in: Option<u64>,
    /// Negotiation frames that the unit took.
    pub unit_control: Option<u64>,
    /// Frames given to decryption.
    pub decryption_in: Option<u64>,
    /// Packets given to the unit to be sent.
    pub unit_out: Option<u64>,
    /// Frames of user traffic given to the PPTP socket to be sent.
    pub channel_out: Option<u64>,
    /// While armed: frames of user traffic that the pty took.
    pub pty_out: Option<u64>,
    /// Packets that the interface counts as received.
    pub rx_packets: Option<u64>,
}

/// Counts of one direction of a call in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallCounts {
    /// The direction.
    pub flow: FlowKey,
    /// User traffic that reached the PPTP socket; absent where the kernel has none for it.
    pub socket_in: Option<u64>,
    /// While armed: user traffic that the IPv4 layer delivered.
    pub delivered: Option<u64>,
    /// Interface of the unit that the socket feeds.
    pub interface: Option<u32>,
}
