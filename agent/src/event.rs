//! The public output. The serde form of these types is the schema (`pptpscope schema`): one JSON
//! object per line, the common fields, and one object named after the event.

pub mod agent;
pub mod analysis;
pub mod auth;
pub mod books;
pub mod control;
pub mod drop;
pub mod echo;
pub mod finding;
pub mod gre;
pub mod icmp;
pub mod log;
pub mod mppe;
pub mod mtu;
pub mod ppp;
pub mod radius;
pub mod schema;
pub mod session;

use std::net::Ipv4Addr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::time::Timestamp;

/// Version of the schema, in every `agent.start`. Within a major version fields and events are
/// only added; a reader ignores what it does not know.
pub const SCHEMA_VERSION: &str = "1.0";

/// One line of output.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Event {
    /// When the fact was seen.
    pub ts: Timestamp,
    /// `event`, and the object named after it.
    #[serde(flatten)]
    pub body: Body,
    /// How much it matters.
    pub severity: Severity,
    /// Name of the host that the agent runs on.
    pub host: String,
    /// The call that the event is about; absent where there is none.
    // Shared by the events of a call until something of it changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<Arc<SessionRef>>,
}

/// How much an event matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Normal operation.
    Info,
    /// Normal but worth a look.
    Notice,
    /// Something failed or was lost.
    Warning,
}

/// The call that an event is about. What is not known (yet) is absent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SessionRef {
    /// Derived from the call, equal on replay (UUID version 5).
    pub id: Uuid,
    /// Address of the client (PNS) on the wire, behind NAT the translated one. Absent only where a log
    /// is all there is and does not say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<Ipv4Addr>,
    /// Address of the server (PAC); absent where a log is all there is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<Ipv4Addr>,
    /// Call id that the client assigned: in the GRE packets sent to the client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_call_id: Option<u16>,
    /// Call id that the server assigned: in the GRE packets sent to the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_call_id: Option<u16>,
    /// The pppN of the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// Name that the client authenticated with, or tried to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

impl SessionRef {
    /// A call of which nothing is known but that it is one.
    pub(crate) const fn nameless(id: Uuid) -> Self {
        Self {
            id,
            client: None,
            server: None,
            client_call_id: None,
            server_call_id: None,
            interface: None,
            user: None,
        }
    }
}

/// Which end of a call did something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Party {
    /// The end that dialled (PNS).
    Client,
    /// The end that listens on port 1723 (PAC).
    Server,
}

impl Party {
    /// The other end.
    #[must_use]
    pub const fn peer(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// One value for each end of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerParty<T> {
    /// The client's.
    pub client: T,
    /// The server's.
    pub server: T,
}

impl<T> PerParty<T> {
    /// The value of `party`.
    pub const fn of(&self, party: Party) -> &T {
        match party {
            Party::Client => &self.client,
            Party::Server => &self.server,
        }
    }

    /// The value of `party`, to change.
    pub const fn of_mut(&mut self, party: Party) -> &mut T {
        match party {
            Party::Client => &mut self.client,
            Party::Server => &mut self.server,
        }
    }
}

/// The fact itself. Each variant holds one object whose name is the event's with `_` for `.`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(tag = "event")]
#[expect(clippy::large_enum_variant, reason = "written as a line as soon as it is made; none are kept")]
pub enum Body {
    /// The agent watches from now on. First line of every stream.
    #[serde(rename = "agent.start")]
    AgentStart {
        /// Its payload.
        agent_start: agent::Start,
    },
    /// State of the agent itself: probes, accounting, memory.
    #[serde(rename = "agent.status")]
    AgentStatus {
        /// Its payload.
        agent_status: agent::Status,
    },
    /// The agent lost something; nothing is ever lost without this.
    #[serde(rename = "agent.loss")]
    AgentLoss {
        /// Its payload.
        agent_loss: agent::Loss,
    },
    /// The agent ends; everything is detached.
    #[serde(rename = "agent.stop")]
    AgentStop {
        /// Its payload.
        agent_stop: agent::Stop,
    },
    /// Captures are being read instead of a host being watched. First line of `analyze --json`.
    #[serde(rename = "analysis.start")]
    AnalysisStart {
        /// Its payload.
        analysis_start: analysis::Start,
    },
    /// The captures are read. Last line of `analyze --json`.
    #[serde(rename = "analysis.stop")]
    AnalysisStop {
        /// Its payload.
        analysis_stop: analysis::Stop,
    },
    /// A call begins: its first packet was seen.
    #[serde(rename = "session.start")]
    SessionStart {
        /// Its payload.
        session_start: session::Start,
    },
    /// A call moved to another phase.
    #[serde(rename = "session.phase")]
    SessionPhase {
        /// Its payload.
        session_phase: session::PhaseChange,
    },
    /// A call carries traffic.
    #[serde(rename = "session.up")]
    SessionUp {
        /// Its payload.
        session_up: session::Up,
    },
    /// How a call is doing, at every interval in which something happened.
    #[serde(rename = "session.stats")]
    SessionStats {
        /// Its payload.
        session_stats: session::Stats,
    },
    /// A call is over.
    #[serde(rename = "session.end")]
    SessionEnd {
        /// Its payload.
        session_end: session::End,
    },
    /// One PPTP control message.
    #[serde(rename = "control.message")]
    ControlMessage {
        /// Its payload.
        control_message: control::ControlMessage,
    },
    /// Bytes on the control connection that are no PPTP message.
    #[serde(rename = "control.garbage")]
    ControlGarbage {
        /// Its payload.
        control_garbage: control::ControlGarbage,
    },
    /// One PPP negotiation frame.
    #[serde(rename = "ppp.negotiation")]
    PppNegotiation {
        /// Its payload.
        ppp_negotiation: ppp::Negotiation,
    },
    /// A layer of PPP opened, or failed to.
    #[serde(rename = "ppp.summary")]
    PppSummary {
        /// Its payload.
        ppp_summary: ppp::Summary,
    },
    /// One end proved to the other who it is, or failed to.
    #[serde(rename = "auth.result")]
    AuthResult {
        /// Its payload.
        auth_result: auth::AuthResult,
    },
    /// A PPTP Echo-Request had no reply.
    #[serde(rename = "control.echo_missed")]
    ControlEchoMissed {
        /// Its payload.
        control_echo_missed: echo::EchoMissed,
    },
    /// An LCP Echo-Request had no reply.
    #[serde(rename = "ppp.echo_missed")]
    PppEchoMissed {
        /// Its payload.
        ppp_echo_missed: echo::EchoMissed,
    },
    /// The GRE counters of a call since its beginning.
    #[serde(rename = "gre.stats")]
    GreStats {
        /// Its payload.
        gre_stats: gre::GreStats,
    },
    /// One end of a call sends, and nothing comes from the other.
    #[serde(rename = "gre.one_way")]
    GreOneWay {
        /// Its payload.
        gre_one_way: gre::OneWay,
    },
    /// The tunnel of a call is routed into itself.
    #[serde(rename = "gre.routing_loop")]
    GreRoutingLoop {
        /// Its payload.
        gre_routing_loop: gre::RoutingLoop,
    },
    /// IP packets in clear on a call whose ends agreed on encryption.
    #[serde(rename = "mppe.cleartext")]
    MppeCleartext {
        /// Its payload.
        mppe_cleartext: mppe::Cleartext,
    },
    /// One end cannot decrypt, again and again.
    #[serde(rename = "mppe.reset_storm")]
    MppeResetStorm {
        /// Its payload.
        mppe_reset_storm: mppe::ResetStorm,
    },
    /// TCP connections inside the tunnel announce segments that do not fit it.
    #[serde(rename = "mtu.mss_violation")]
    MtuMssViolation {
        /// Its payload.
        mtu_mss_violation: mtu::MssViolation,
    },
    /// An ICMP error about a packet of a call or a control connection.
    #[serde(rename = "icmp.error")]
    IcmpError {
        /// Its payload.
        icmp_error: icmp::Error,
    },
    /// What one address tried on port 1723.
    #[serde(rename = "control.abuse")]
    ControlAbuse {
        /// Its payload.
        control_abuse: control::Abuse,
    },
    /// Decryption of a call stops, or goes on.
    #[serde(rename = "mppe.stall")]
    MppeStall {
        /// Its payload.
        mppe_stall: mppe::Stall,
    },
    /// What entered each stage of a call's way through this host, and what became of it.
    #[serde(rename = "books")]
    Books {
        /// Its payload.
        books: books::Books,
    },
    /// The books have a difference that nobody booked: probes that fire for every packet are attached
    /// for a time.
    #[serde(rename = "agent.armed")]
    AgentArmed {
        /// Its payload.
        agent_armed: agent::Armed,
    },
    /// These probes are gone again.
    #[serde(rename = "agent.disarmed")]
    AgentDisarmed {
        /// Its payload.
        agent_disarmed: agent::Disarmed,
    },
    /// This host lost packets of a call, or freed them as if it had.
    #[serde(rename = "drop")]
    Drop {
        /// Its payload.
        drop: drop::Drop,
    },
    /// A VPN server asked a RADIUS server something, and what became of it.
    #[serde(rename = "radius.exchange")]
    RadiusExchange {
        /// Its payload.
        radius_exchange: radius::Exchange,
    },
    /// A line of a log.
    #[serde(rename = "log")]
    Log {
        /// Its payload.
        log: log::Log,
    },
    /// What is wrong, and what to do about it.
    #[serde(rename = "finding")]
    Finding {
        /// Its payload.
        finding: Box<finding::Finding>,
    },
}
