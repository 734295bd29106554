//! `gre.*`: what the GRE packets of a call add up to.

use pptpscope_common::Flow;
use schemars::JsonSchema;
use serde::Serialize;

/// Payload of `gre.stats`: sums since the agent first saw the call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct GreStats {
    /// Packets that the client sent.
    pub from_client: Counters,
    /// Packets that the server sent.
    pub from_server: Counters,
    /// Whether these are the last figures of the call.
    #[serde(rename = "final")]
    pub is_final: bool,
}

/// One direction of a call, as counted where the agent watches.
///
/// For the direction that this host sends, losses are those before the wire; what the network
/// loses afterwards only the other end can count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Counters {
    /// GRE packets; a fragmented one counts once.
    pub packets: u64,
    /// Bytes of these packets as IPv4 total length, every fragment included.
    pub bytes: u64,
    /// Packets with an acknowledgement and no payload.
    pub ack_only: u64,
    /// Packets with a sequence number, duplicates excluded.
    pub received: u64,
    /// Sequence numbers that never came: older than the 64-packet window.
    pub lost: u64,
    /// Sequence numbers inside the window that have not come yet.
    pub missing: u64,
    /// First arrivals below the highest number seen.
    pub reordered: u64,
    /// Reordered by more than the window: each had been counted as lost and was taken back.
    pub late: u64,
    /// Numbers seen before, inside the window.
    pub duplicate: u64,
    /// IPv4 fragments of GRE packets.
    pub fragments: u64,
    /// PPP negotiation frames among the packets.
    pub negotiation: u64,
    /// First sequence number; absent before one was seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_sequence: Option<u32>,
    /// Highest sequence number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub highest_sequence: Option<u32>,
    /// Last acknowledgement that this direction carried for the other one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_acknowledgement: Option<u32>,
}

impl Counters {
    /// Packets that carry tunnelled traffic: neither negotiation nor bare acknowledgement.
    pub const fn data_packets(&self) -> u64 {
        self.packets.saturating_sub(self.ack_only).saturating_sub(self.negotiation)
    }
}

impl From<&Flow> for Counters {
    fn from(flow: &Flow) -> Self {
        let started = flow.sequence.is_started();
        Self {
            packets: flow.packets,
            bytes: flow.bytes,
            ack_only: flow.ack_only,
            received: flow.sequence.received,
            lost: flow.sequence.lost,
            missing: u64::from(flow.sequence.missing()),
            reordered: flow.sequence.reordered,
            late: flow.sequence.late,
            duplicate: flow.sequence.duplicate,
            fragments: flow.fragments,
            negotiation: flow.negotiation,
            first_sequence: started.then_some(flow.sequence.first),
            highest_sequence: started.then_some(flow.sequence.highest),
            last_acknowledgement: (flow.acks > 0).then_some(flow.last_ack),
        }
    }
}
