//! `analysis.*`: what `pptpscope analyze` says about itself and the captures.

use schemars::JsonSchema;
use serde::Serialize;

use super::agent::{Account, Refused, Table};
use crate::source::capture::Copies;
use crate::time::Timestamp;

/// Payload of `analysis.start`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "AnalysisStart")]
pub struct Start {
    /// Version of the schema of the lines that follow.
    pub schema_version: String,
    /// Version of the program.
    pub version: String,
    /// The captures, as they were named.
    pub files: Vec<String>,
    /// What each file was recognised as, by its content; captures, then the others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recognised: Vec<Recognised>,
    /// Interval of `gre.stats` and `session.stats` in the time of the packets, nanoseconds.
    pub stats_interval_ns: u64,
    /// Calls held at most.
    pub max_sessions: u32,
    /// What is done with packets that a capture holds more than once.
    pub copies: Copies,
    /// Packets before this time are left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// Packets after this time are left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// Payload of `analysis.stop`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "AnalysisStop")]
pub struct Stop {
    /// Time of the earliest packet; absent when there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<Timestamp>,
    /// Time of the latest packet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Timestamp>,
    /// Packets read.
    pub packets: u64,
    /// Captured bytes of them.
    pub bytes: u64,
    /// Packets outside of `from` and `until`.
    pub outside: u64,
    /// Packets that are neither TCP, GRE, RADIUS nor ICMP errors about them in IPv4, or on a link of a type
    /// that is not known.
    pub other: u64,
    /// Packets that the captures hold more than once; they count once.
    pub copies: u64,
    /// TCP segments of port 1723, as the kernel programs would account for them.
    pub control: Account,
    /// PPP negotiation frames, likewise.
    pub ppp: Account,
    /// ICMP errors about calls and control connections, likewise.
    pub icmp: Account,
    /// RADIUS packets, likewise.
    pub radius: Account,
    /// GRE packets that were not booked on a call.
    pub refused: Refused,
    /// Segments and frames that could not be read as what they claim to be.
    pub undecodable: u64,
    /// Calls that are not over.
    pub sessions: Table,
    /// Calls ended early because the table was full.
    pub sessions_evicted: u64,
    /// Each capture.
    pub files: Vec<CaptureFile>,
    /// Each file that is no capture.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub documents: Vec<DocumentFile>,
}

/// What a file is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Recognised {
    /// As it was named.
    pub name: String,
    /// What it was recognised as, in words.
    pub kind: String,
}

/// One file of logs or events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DocumentFile {
    /// As it was named.
    pub name: String,
    /// What it was recognised as, in words.
    pub kind: String,
    /// Lines or records read from it.
    pub records: u64,
    /// Those that `log` events were made of, or could have been.
    pub observed: u64,
    /// Those about something else.
    pub unrelated: u64,
    /// Those that cannot be read, or have no time.
    pub damaged: u64,
    /// Those that there was no room for.
    pub beyond: u64,
    /// Why it was not read to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// One capture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CaptureFile {
    /// As it was named.
    pub name: String,
    /// Packets read from it.
    pub packets: u64,
    /// Why it was not read to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}
