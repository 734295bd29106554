//! `agent.*`: what the agent says about itself.

use schemars::JsonSchema;
use serde::Serialize;

use super::books::HostBooks;

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
    /// The pppN that are watched as insides of tunnels.
    pub inner_interfaces: u64,
    /// Capabilities that the agent holds.
    pub capabilities: Vec<String>,
    /// Probes that look into the kernel's own functions.
    pub probes: Vec<Probe>,
    /// Packets that this host let go of.
    pub drops: Drops,
    /// Packets that are missing without a reason.
    pub books: Books,
    /// Directions of calls in the kernel map.
    pub flows: Table,
    /// Ppp units in the kernel map.
    pub units: Table,
    /// Calls that the correlator holds.
    pub sessions: Table,
    /// Sessions ended early because the table was full.
    pub sessions_evicted: u64,
    /// Ring records that user space could not read as what they claimed to be.
    pub undecodable: u64,
    /// Netlink messages lost by the device watch; the devices were listed anew.
    pub netlink_overruns: u64,
    /// Logs of this host that are followed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub logs: Vec<LogSource>,
    /// The clock of this host; absent where the kernel does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock: Option<HostClock>,
    /// Events that went out, over all sinks.
    pub events_written: u64,
    /// Events that a sink was too slow for, over all sinks.
    pub events_dropped: u64,
    /// Where the events go.
    pub sinks: Vec<Sink>,
    /// Resident memory of the agent, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rss_bytes: Option<u64>,
}

/// A followed log. `lines` is the sum of `recognised`, `unknown`, `foreign` and `unreadable`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LogSource {
    /// Its path, or `journal`.
    pub name: String,
    /// Lines read.
    pub lines: u64,
    /// Lines of the catalogue of messages.
    pub recognised: u64,
    /// Lines of its programs that it does not have.
    pub unknown: u64,
    /// Lines of other programs, and empty ones.
    pub foreign: u64,
    /// Entries of the journal that could not be read.
    pub unreadable: u64,
    /// Recognised and unknown lines without a time of their own.
    pub undated: u64,
    /// Lines that were too long to be read whole.
    pub cut: u64,
    /// Lines with bytes that are no UTF-8.
    pub not_utf8: u64,
    /// Times that the file was rotated, or journalctl was started again.
    pub rotations: u64,
    /// Bytes that were gone before they were read.
    pub lost_bytes: u64,
    /// Clock of the wire minus clock of the log, nanoseconds, from events that both have seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_offset_ns: Option<i64>,
    /// How many such events.
    pub clock_samples: u64,
    /// Why it cannot be read now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// The clock of this host, as the kernel knows it from NTP or PTP (adjtimex(2)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct HostClock {
    /// Whether somebody keeps it in step with the time.
    pub synchronised: bool,
    /// What is left of the last correction, nanoseconds.
    pub offset_ns: i64,
    /// How far from the true time it is at most, nanoseconds; grows by 0.5 ms a second while nobody corrects it.
    pub max_error_ns: u64,
    /// How far it is by estimation, nanoseconds.
    pub estimated_error_ns: u64,
}

/// A consumer of the events. Of those that it wants, each is written, dropped or waiting.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Sink {
    /// Its type, and where it writes to.
    pub name: String,
    /// Events that went out.
    pub written: u64,
    /// Events that found its buffer full, or that its receiver can never take.
    pub dropped: u64,
    /// Events that wait for the receiver.
    pub waiting: u64,
    /// Of these, the ones in its spool on disk, where they outlast the agent.
    pub spooled: u64,
    /// What is in the way now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
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
    /// It fires for every packet, so it looks only while armed.
    Idle,
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

/// What the books of all calls add up to, since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Books {
    /// User traffic that entered this host from the network, of calls whose interface is known.
    pub received: u64,
    /// User traffic that entered it from ppp interfaces.
    pub sent: u64,
    /// Packets that entered a stage, did not leave it, and whose loss nobody booked.
    pub unaccounted: u64,
    /// Whether the probes that fire for every packet are attached.
    pub armed: bool,
    /// The same stage by stage, as in `books`; one for each datapath that had calls.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub datapaths: Vec<HostBooks>,
}

/// Payload of `agent.armed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Armed {
    /// Why.
    pub reason: ArmReason,
    /// Packets that are unaccounted.
    pub unaccounted: u64,
    /// How long the probes stay at most, nanoseconds; absent: until the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ns: Option<u64>,
}

/// Why probes were armed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ArmReason {
    /// Packets are missing, and nobody booked them.
    Unaccounted,
    /// The user asked for it (`--deep`).
    Deep,
}

/// Payload of `agent.disarmed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Disarmed {
    /// Why.
    pub reason: DisarmReason,
    /// How long the probes were there, nanoseconds.
    pub armed_ns: u64,
    /// How often they fired.
    pub fired: u64,
    /// Packets that are unaccounted now.
    pub unaccounted: u64,
}

/// Why probes were disarmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DisarmReason {
    /// Their time was over.
    Time,
    /// They fired too often.
    Rate,
    /// The agent ends.
    End,
}

/// Accounting of the ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Ring {
    /// TCP segments from or to port 1723.
    pub control: Account,
    /// PPP negotiation frames.
    pub ppp: Account,
    /// ICMP errors about calls and control connections.
    pub icmp: Account,
    /// UDP datagrams from or to RADIUS servers.
    pub radius: Account,
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
    /// Packets beyond the limit of their remote address; `control.abuse` tells whose.
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
    /// A sink was too slow; `kind` names it.
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
    /// Which kind, where the stage has kinds: `control`, `ppp` or `icmp` of the ring, the name of a sink.
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
    /// SIGINT or SIGTERM; SIGHUP where no sink is a file.
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
