//! `ppp.*`: what the two ends negotiate inside the tunnel.

use schemars::JsonSchema;
use serde::Serialize;

use super::Party;
use crate::wire::ppp::ccp::CcpOption;
use crate::wire::ppp::ipcp::IpcpOption;
use crate::wire::ppp::ipv6cp::Ipv6cpOption;
use crate::wire::ppp::lcp::LcpOption;
use crate::wire::ppp::ras::RasError;
use crate::wire::ppp::{Frame, Protocol};

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

/// Payload of `ppp.summary`, and part of `session.end`: how the two ends agreed on a layer, or did not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "protocol", rename_all = "snake_case")]
#[schemars(rename = "PppSummary")]
pub enum Summary {
    /// The link.
    Lcp(Layer<LcpOption>),
    /// Encryption.
    Ccp(Layer<CcpOption>),
    /// IPv4 addresses.
    Ipcp(Layer<IpcpOption>),
    /// IPv6 addresses.
    Ipv6cp(Layer<Ipv6cpOption>),
}

impl Summary {
    /// Whether the layer opened.
    pub fn is_open(&self) -> bool {
        let outcome = match self {
            Self::Lcp(layer) => layer.outcome,
            Self::Ccp(layer) => layer.outcome,
            Self::Ipcp(layer) => layer.outcome,
            Self::Ipv6cp(layer) => layer.outcome,
        };
        outcome == Outcome::Opened
    }
}

/// The negotiation of one layer. Each end asks for its own options and is granted them by the other: what
/// an end asks for says how it wants to *receive*.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "PppLayer_of_{O}")]
pub struct Layer<O> {
    /// How it ended, or stands.
    pub outcome: Outcome,
    /// Which end rejected or closed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<Party>,
    /// From its first request, nanoseconds.
    pub negotiation_ns: u64,
    /// What the client asked for.
    pub client: Side<O>,
    /// What the server asked for.
    pub server: Side<O>,
}

/// How the negotiation of a layer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "PppOutcome")]
pub enum Outcome {
    /// Both ends were granted what they asked for.
    Opened,
    /// One end does not speak the protocol: LCP Protocol-Reject.
    Rejected,
    /// One end closed it before it was open.
    Terminated,
    /// Requests were answered, but not with an agreement of both.
    NotAgreed,
    /// An end's requests were never answered.
    Unanswered,
}

/// What one end asked for in a layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "PppSide_of_{O}")]
pub struct Side<O> {
    /// Configure-Requests that it sent.
    pub requests: u32,
    /// Those among them that repeat the one before because no answer came.
    pub retransmissions: u32,
    /// Those that were never answered.
    pub unanswered: u32,
    /// Answers: agreed.
    pub acks: u32,
    /// Answers: other values, please.
    pub naks: u32,
    /// Answers: not these options.
    pub rejects: u32,
    /// Options of the last request.
    pub offered: Vec<O>,
    /// Whether the other end agreed to them.
    pub agreed: bool,
    /// Options that the other end refused on the way.
    pub refused: Vec<Refused<O>>,
    /// Options and refusals that were too many to be kept.
    #[serde(skip_serializing_if = "is_zero")]
    pub left_out: u32,
    /// Longest time from a request to its answer, nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer_max_ns: Option<u64>,
}

/// An option that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "PppRefused_of_{O}")]
pub struct Refused<O> {
    /// What was asked for; absent where the other end wants an option that was not in the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offered: Option<O>,
    /// What the other end wants instead (Configure-Nak); absent where it does not want the option at all
    /// (Configure-Reject).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suggested: Option<O>,
    /// How often.
    pub times: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// A Terminate-Request: what the end that closed says about why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "PppTermination")]
pub struct Termination {
    /// Who sent it.
    pub by: Party,
    /// Layer that was closed.
    pub protocol: Protocol,
    /// Why, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Error of Microsoft's remote access, where it has that form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<RasError>,
    /// The number of `error`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<u32>,
}
