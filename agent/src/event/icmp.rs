//! `icmp.error`: what routers and hosts say about the packets of a call.

use std::net::Ipv4Addr;

use schemars::JsonSchema;
use serde::Serialize;

use super::Party;
use crate::wire::icmp::{Kind, Unreachable};

/// Payload of `icmp.error` (RFC 792): somebody could not pass a packet on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "IcmpError")]
pub struct Error {
    /// Who says so.
    pub reporter: Ipv4Addr,
    /// Who is told: the sender of the packet.
    pub receiver: Ipv4Addr,
    /// Type of the message.
    pub kind: Kind,
    /// Its code.
    pub code: u8,
    /// Meaning of the code, where the destination is unreachable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreachable: Option<Unreachable>,
    /// Largest packet that the next link takes, bytes: with `fragmentation_needed`, from routers that
    /// know RFC 1191.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_hop_mtu_bytes: Option<u16>,
    /// What the packet was.
    pub quoted: QuotedProtocol,
    /// Which end had sent it; absent where the call is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quoted_sender: Option<Party>,
    /// Total length of the packet, bytes.
    pub quoted_bytes: u16,
    /// Whether the packet forbade fragments (DF).
    pub dont_fragment: bool,
}

/// What an ICMP error quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum QuotedProtocol {
    /// A GRE packet of the call.
    Gre,
    /// A segment of the control connection.
    Control,
}
