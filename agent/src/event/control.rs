//! `control.*`: what the two ends say on TCP port 1723.

use std::net::Ipv4Addr;

use schemars::JsonSchema;
use serde::Serialize;

use super::Party;
use crate::wire::pptp::Message;
use crate::wire::pptp::codes::{GeneralError, MessageType};
use crate::wire::pptp::peer::Software;

/// Payload of `control.message`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ControlMessage {
    /// Who sent it.
    pub sender: Party,
    /// `message`, its standard name, and its fields.
    #[serde(flatten)]
    pub message: Message,
}

/// Payload of `control.garbage`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ControlGarbage {
    /// Whose bytes they are.
    pub sender: Party,
    /// How many.
    pub bytes: u64,
    /// What is wrong with them.
    pub reason: String,
}

/// TCP port 1723 of one call: how well the control connection is carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TcpStats {
    /// From the client's SYN to the server's answer, nanoseconds; absent when one was sent again or
    /// not seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub syn_rtt_ns: Option<u64>,
    /// What the client sent.
    pub from_client: TcpCounters,
    /// What the server sent.
    pub from_server: TcpCounters,
}

/// TCP segments of one end of a control connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TcpCounters {
    /// Segments.
    pub segments: u64,
    /// Of these, sent again: SYN, FIN or payload that was sent before.
    pub retransmissions: u64,
    /// Of these, with RST.
    pub resets: u64,
    /// Payload, bytes; what was sent again counts again.
    pub payload_bytes: u64,
    /// Round trips from a segment to its acknowledgement by the other end. Segments sent again are left
    /// out, as it cannot be told which one was acknowledged.
    pub rtt_samples: u64,
    /// Shortest, nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt_min_ns: Option<u64>,
    /// Longest, nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt_max_ns: Option<u64>,
    /// Sum, nanoseconds.
    pub rtt_sum_ns: u64,
}

/// Payload of `control.abuse`: what one address tried on port 1723 within an interval, summed up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Abuse {
    /// The address.
    pub source: Ipv4Addr,
    /// Length of the interval, nanoseconds.
    pub interval_ns: u64,
    /// Connections that it opened.
    pub connections: u64,
    /// Connections that ended without a call.
    pub without_call: u64,
    /// Connections on which it sent something that is not PPTP.
    pub garbage: u64,
    /// Proofs of identity that were refused.
    pub authentication_failures: u64,
    /// Packets over the limit of its address: the agent did not look at them.
    pub limited: u64,
}

/// What one end is, by how it introduced itself in Start-Control-Connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "ControlPeer")]
pub struct Peer {
    /// Implementation, where its words are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub software: Option<Software>,
    /// Vendor, in its words.
    pub vendor: String,
    /// Host name, in its words.
    pub host_name: String,
    /// Firmware revision; old versions of Windows put their build number here.
    pub firmware_revision: u16,
}

impl Peer {
    /// The sender of a Start-Control-Connection-Request or -Reply.
    pub fn of(message: &Message) -> Option<Self> {
        let (vendor, host_name, firmware_revision) = match message {
            Message::StartControlConnectionRequest(body) => {
                (&body.vendor, &body.host_name, body.firmware_revision)
            }
            Message::StartControlConnectionReply(body) => {
                (&body.vendor, &body.host_name, body.firmware_revision)
            }
            _ => return None,
        };
        Some(Self {
            software: Software::of(message),
            vendor: vendor.clone(),
            host_name: host_name.clone(),
            firmware_revision,
        })
    }
}

/// A control message that refuses or ends a call, with its codes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ControlResult {
    /// Who sent it.
    pub sender: Party,
    /// Which message.
    pub message: MessageType,
    /// Its result or reason: a name of RFC 2637 for this message.
    pub result: String,
    /// Its general error, unless there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<GeneralError>,
    /// Its cause code, unless it is zero or the message has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause_code: Option<u16>,
}

impl ControlResult {
    /// The codes of a message that has some; None for others.
    pub fn of(sender: Party, message: &Message) -> Option<Self> {
        let (result, error, cause_code) = match message {
            Message::StartControlConnectionReply(body) => (body.result.to_string(), body.error, 0),
            Message::StopControlConnectionRequest(body) => (body.reason.to_string(), GeneralError::None, 0),
            Message::OutgoingCallReply(body) => (body.result.to_string(), body.error, body.cause_code),
            Message::IncomingCallReply(body) => (body.result.to_string(), body.error, 0),
            Message::CallDisconnectNotify(body) => (body.result.to_string(), body.error, body.cause_code),
            _ => return None,
        };
        Some(Self {
            sender,
            message: message.message_type(),
            result,
            error: (error != GeneralError::None).then_some(error),
            cause_code: (cause_code != 0).then_some(cause_code),
        })
    }
}
