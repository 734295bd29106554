//! `gre.*`: what the GRE packets of a call add up to.

use std::net::Ipv4Addr;

use pptpscope_common::{Flow, LENGTH_BUCKETS, ROUND_TRIP_BUCKETS};
use schemars::JsonSchema;
use serde::Serialize;

use super::Party;
use crate::time::Timestamp;

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

/// Payload of `gre.routing_loop`: GRE to the outer address of a call's other end is sent into the call's own
/// tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RoutingLoop {
    /// Which end of the call sends them: this host.
    pub sender: Party,
    /// Where they should go, and do not: the other end.
    pub destination: Ipv4Addr,
    /// Such packets since the last report.
    pub packets: u64,
    /// GRE packets that this host sent into the tunnel since the interface appeared.
    pub total: u64,
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
    /// Packets with a sequence number by the payload length in their GRE header: up to 63, 127, 255,
    /// 511, 1023, 1279, 1399 bytes, and more.
    pub payload_lengths: [u64; LENGTH_BUCKETS],
    /// IP packets in clear among the payloads (PPP protocols 0x0021 and 0x0057).
    pub cleartext: u64,
    /// MPPE on the wire; absent before the first frame of PPP protocol 0x00FD.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mppe: Option<MppeCounters>,
    /// CCP Reset-Requests that this end sent: it could not decrypt.
    pub ccp_reset_requests: u64,
    /// CCP Reset-Acks that this end sent.
    pub ccp_reset_acks: u64,
    /// How long the other end took to acknowledge; absent before the first sample or timeout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ack_rtt: Option<RoundTrips>,
    /// Packets that this end may have outstanding: the receive window that the other end advertised
    /// when the call was set up. Linux and Windows ignore it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<u16>,
    /// Packets outstanding now: highest sequence number minus the last acknowledgement of the other
    /// end. Absent before the first acknowledgement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outstanding: Option<u32>,
    /// Most packets that were outstanding behind an acknowledged one when a sample of `ack_rtt` ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outstanding_max: Option<u32>,
}

/// MPPE on the wire, one direction (RFC 3078, section 3). Of no meaning where CCP agreed on another
/// compression.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct MppeCounters {
    /// Frames with the header of MPPE.
    pub frames: u64,
    /// Of these, not encrypted (bit D clear).
    pub unencrypted: u64,
    /// Of these, with the FLUSHED bit (A); in stateless mode all have it.
    pub flushed: u64,
    /// Times that the coherency count jumped ahead.
    pub gaps: u64,
    /// Counts that were jumped over.
    pub skipped: u64,
    /// Frames whose count was not ahead of the highest one: copies and reordered ones.
    pub behind: u64,
    /// Frames whose count ends in 0xFF: in stateful mode the key changes there, in stateless mode it
    /// changes with every frame.
    pub flags: u64,
    /// Coherency count of the first frame.
    pub first_count: u16,
    /// Highest coherency count, modulo 4096.
    pub last_count: u16,
}

/// Acknowledgement round trips: from a packet to the first one of the other direction that
/// acknowledges it, one sample at a time.
///
/// For what this host receives it is the time that this host takes to answer; for what it sends,
/// network and peer together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RoundTrips {
    /// Samples that were answered.
    pub samples: u64,
    /// Samples that were not answered within 3 s.
    pub timeouts: u64,
    /// Shortest, nanoseconds.
    pub min_ns: u64,
    /// Longest, nanoseconds.
    pub max_ns: u64,
    /// Sum, nanoseconds: divided by `samples` it is the mean.
    pub sum_ns: u64,
    /// Samples by duration: below 2^14 ns (16.4 µs), then one bucket for each doubling, the last one
    /// from 2^31 ns (2.1 s) on.
    pub histogram: [u64; ROUND_TRIP_BUCKETS],
}

/// Payload of `gre.one_way`: one end of a call sends, and nothing comes from the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct OneWay {
    /// Whether it begins or ends.
    pub state: OneWayState,
    /// The end whose packets are seen.
    pub heard: Party,
    /// The end whose packets are not.
    pub silent: Party,
    /// When the silent end was last heard; for one that was never heard, when the other began.
    pub since: Timestamp,
    /// Time from `since` to the last packet of the end that is heard, or to the end of the silence,
    /// nanoseconds.
    pub duration_ns: u64,
    /// Packets of the end that is heard in that time.
    pub packets: u64,
    /// Whether the silent end sent any GRE packet before.
    pub was_heard: bool,
}

/// Whether one-way traffic begins or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OneWayState {
    /// Packets of one end for 9 s and more, and none of the other, while the control connection is
    /// well.
    Begun,
    /// The other end is heard again.
    Ended,
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
            payload_lengths: flow.lengths.counts,
            cleartext: flow.cleartext,
            mppe: (flow.mppe.frames > 0).then(|| MppeCounters::from(&flow.mppe)),
            // The rest is not in the entry of this direction.
            ..Self::default()
        }
    }
}

impl From<&pptpscope_common::Mppe> for MppeCounters {
    fn from(mppe: &pptpscope_common::Mppe) -> Self {
        Self {
            frames: mppe.frames,
            unencrypted: mppe.unencrypted,
            flushed: mppe.flushed,
            gaps: mppe.gaps,
            skipped: mppe.skipped,
            behind: mppe.behind,
            flags: mppe.flags,
            first_count: mppe.first,
            last_count: mppe.last,
        }
    }
}

impl RoundTrips {
    /// What the acknowledgements of one direction say; None when they say nothing yet.
    pub fn of(trips: &pptpscope_common::RoundTrips) -> Option<Self> {
        let samples = trips.samples();
        (samples > 0 || trips.timeouts > 0).then_some(Self {
            samples,
            timeouts: trips.timeouts,
            min_ns: trips.min_ns,
            max_ns: trips.max_ns,
            sum_ns: trips.sum_ns,
            histogram: trips.histogram,
        })
    }
}
