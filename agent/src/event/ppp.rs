//! `ppp.*`: what the two ends negotiate inside the tunnel.

use schemars::JsonSchema;
use serde::Serialize;

use super::Party;
use crate::wire::ppp::Frame;

/// Payload of `ppp.negotiation`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Negotiation {
    /// Who sent it.
    pub sender: Party,
    /// GRE sequence number of the packet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gre_sequence: Option<u32>,
    /// The same GRE packet again: the network made a copy, neither end takes it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub copy: bool,
    /// The frame: `protocol`, `code`, `id` and what they carry. Secrets were dropped. Absent when the
    /// frame cannot be read.
    #[serde(flatten)]
    pub frame: Option<Frame>,
    /// Why the frame cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
