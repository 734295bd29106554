//! The public output. The serde form of these types is the schema (`pptpscope schema`): one JSON
//! object per line, the common fields, and one object named after the event.

pub mod agent;
pub mod analysis;
pub mod control;
pub mod drop;
pub mod gre;
pub mod ppp;
pub mod schema;
pub mod session;

use std::net::Ipv4Addr;

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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionRef>,
}

/// How much an event matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
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
    /// Address of the client (PNS) on the wire, behind NAT the translated one.
    pub client: Ipv4Addr,
    /// Address of the server (PAC).
    pub server: Ipv4Addr,
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
    /// The GRE counters of a call since its beginning.
    #[serde(rename = "gre.stats")]
    GreStats {
        /// Its payload.
        gre_stats: gre::GreStats,
    },
    /// This host lost packets of a call, or freed them as if it had.
    #[serde(rename = "drop")]
    Drop {
        /// Its payload.
        drop: drop::Drop,
    },
}
