//! `agent.*`: what the agent says about itself.

use schemars::JsonSchema;
use serde::Serialize;

/// Payload of `agent.start`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Start {
    /// Version of the schema of the lines that follow.
    pub schema_version: String,
    /// Version of the agent.
    pub version: String,
    /// Process id of the agent.
    pub pid: u32,
    /// Release of the running kernel.
    pub kernel_release: String,
    /// Interval of `gre.stats` and `session.stats`, nanoseconds.
    pub stats_interval_ns: u64,
    /// Calls that the kernel maps hold at most.
    pub max_sessions: u32,
    /// Size of the ring between kernel and agent, bytes.
    pub ring_bytes: u32,
}

/// Payload of `agent.status`, and part of `agent.stop`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Status {
    /// Time since `agent.start`, nanoseconds.
    pub uptime_ns: u64,
    /// Interfaces that are watched, or should be.
    pub interfaces: Vec<Interface>,
    /// Accounting of the ring, per kind.
    pub ring: Ring,
    /// GRE packets that were not booked on a call.
    pub refused: Refused,
    /// Probes that look into the kernel's own functions.
    pub probes: Vec<Probe>,
    /// Packets that this host let go of.
    pub drops: Drops,
    /// Directions of calls in the kernel map.
    pub flows: Table,
    /// Calls that the correlator holds.
    pub sessions: Table,
    /// Sessions ended early because the table was full.
    pub sessions_evicted: u64,
    /// Ring records that user space could not read as what they claimed to be.
    pub undecodable: u64,
    /// Netlink messages lost by the device watch; the devices were listed anew.
    pub netlink_overruns: u64,
    /// Lines written to the sink.
    pub events_written: u64,
    /// Lines that the sink was too slow for.
    pub events_dropped: u64,
    /// Resident memory of the agent, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rss_bytes: Option<u64>,
}

/// How one interface is watched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its index; absent while it does not exist.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<u32>,
    /// Hook of received packets: `xdp`, `tcx` or `clsact`; absent when not attached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress: Option<String>,
    /// Hook of sent packets: `tcx` or `clsact`; absent when not attached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub egress: Option<String>,
    /// Why a better hook, or any, was not possible.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A probe in a function of the kernel, or on a tracepoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Probe {
    /// Name of its program.
    pub name: String,
    /// Where it is: function with its module, or tracepoint with its group.
    pub target: String,
    /// Whether it looks.
    pub state: ProbeState,
    /// Why it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Whether a probe looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProbeState {
    /// It looks.
    Attached,
    /// It will once a module is loaded.
    Waiting,
    /// The kernel refused it.
    Refused,
    /// It would read something that this kernel does not have.
    Disabled,
}

/// Packets that this host let go of, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Drops {
    /// Lost, or otherwise harmful; `drop` events tell each.
    pub harmful: u64,
    /// Freed as if they were lost, but nobody needed them.
    pub benign: u64,
    /// Not counted, for want of room.
    pub unbooked: u64,
}

/// Accounting of the ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Ring {
    /// TCP segments from or to port 1723.
    pub control: Account,
    /// PPP negotiation frames.
    pub ppp: Account,
}

/// Accounting of one kind: `seen = submitted + ring_full + suppressed`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Account {
    /// Packets of this kind.
    pub seen: u64,
    /// Records that entered the ring.
    pub submitted: u64,
    /// Records that found the ring full.
    pub ring_full: u64,
    /// Packets with nothing to tell: bare TCP acknowledgements.
    pub suppressed: u64,
    /// Records that were cut.
    pub truncated: u64,
}

/// GRE packets that were not booked on a call, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Refused {
    /// Shorter than their own headers say.
    pub short: u64,
    /// GRE version 0: another tunnel's.
    pub version_0: u64,
    /// GRE version 2 or above.
    pub version_unknown: u64,
    /// Version 1 that breaks RFC 2637.
    pub not_pptp: u64,
    /// The flow map was full.
    pub flows_full: u64,
    /// Fragments whose first fragment was not seen.
    pub fragment_unmatched: u64,
}

/// How full a bounded table is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Table {
    /// Entries in use.
    pub used: u64,
    /// Entries that it can hold.
    pub limit: u64,
}

/// Where something was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LossStage {
    /// The ring was full of control segments or negotiation frames not yet read.
    Ring,
    /// The flow map was full.
    Flows,
    /// The table of sessions was full.
    Sessions,
    /// The reader of the events was too slow.
    Output,
    /// The kernel dropped messages about devices.
    Netlink,
    /// A record could not be decoded.
    Decode,
    /// The table of drops was full.
    Drops,
}

/// Payload of `agent.loss`: the losses of one stage since the last report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Loss {
    /// Where.
    pub stage: LossStage,
    /// Which kind, where the stage has kinds: `control` or `ppp`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// How many since the last report.
    pub lost: u64,
    /// How many since the start.
    pub total: u64,
    /// What to do about it.
    pub remedy: String,
}

/// Why the agent ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// SIGINT, SIGTERM or SIGHUP.
    Signal,
    /// The time given by `--duration` is over.
    Duration,
    /// The reader of standard output is gone.
    OutputClosed,
}

/// Payload of `agent.stop`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Stop {
    /// Why.
    pub reason: StopReason,
    /// The last status, read after everything was detached.
    pub status: Status,
}
