//! Keep-alives: PPTP Echo on the control connection (RFC 2637 §2.5) and LCP Echo in the tunnel
//! (RFC 1661 §5.8).

use schemars::JsonSchema;
use serde::Serialize;

use super::Party;

/// Keep-alives of a call, by who asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "Echo")]
pub struct Echo {
    /// Requests of the client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_client: Option<EchoStats>,
    /// Requests of the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_server: Option<EchoStats>,
}

/// Keep-alives that one end asked for, since the start of the call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct EchoStats {
    /// Requests.
    pub sent: u64,
    /// Requests with a reply in time.
    pub answered: u64,
    /// Requests without a reply before the next one, or before the call closed.
    pub missed: u64,
    /// Replies that came after that.
    pub late: u64,
    /// Shortest time from request to reply where the agent watches, nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt_min_ns: Option<u64>,
    /// Mean time, nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt_avg_ns: Option<u64>,
    /// Longest time, nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt_max_ns: Option<u64>,
}

/// Payload of `control.echo_missed` and `ppp.echo_missed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct EchoMissed {
    /// Who asked.
    pub sender: Party,
    /// Identifier of the request.
    pub identifier: u32,
    /// How long it has been without reply, nanoseconds.
    pub waited_ns: u64,
    /// Misses in a row, with this one.
    pub consecutive: u64,
    /// Misses of the call.
    pub missed: u64,
}
