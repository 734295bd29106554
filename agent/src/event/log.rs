//! `log`: what the daemons say about a call.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a message is good for when something failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Tells why something failed.
    Cause,
    /// Follows from a failure; tells nothing about why.
    Effect,
    /// Progress of a healthy call.
    Progress,
    /// Says nothing about the state of a call, however alarming it reads.
    Benign,
    /// Recognised; what it means depends on what is around it.
    Other,
}

/// How a program rates its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// For developers.
    Debug,
    /// Normal operation.
    Info,
    /// Normal but significant.
    Notice,
    /// Warning.
    Warning,
    /// Error.
    Error,
}

/// One value of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Value {
    /// A number.
    Unsigned(u64),
    /// A negative number.
    Signed(i64),
    /// Text, or an address.
    Text(String),
}

impl Value {
    /// The number, where it is one that is not negative.
    pub const fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Unsigned(number) => Some(*number),
            Self::Signed(_) | Self::Text(_) => None,
        }
    }

    /// The text, where it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Unsigned(_) | Self::Signed(_) => None,
        }
    }

    /// The address that the text is.
    pub fn as_address(&self) -> Option<Ipv4Addr> {
        self.as_str()?.parse().ok()
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsigned(number) => number.fmt(f),
            Self::Signed(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

/// The values of a message, by name.
pub type Fields = BTreeMap<Cow<'static, str>, Value>;

/// Where the time zone of a stamp comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Zone {
    /// The stamp names it, or counts from the epoch.
    Stated,
    /// Whoever started the program named it.
    Given,
    /// Neither: the zone of this host was taken.
    Assumed,
}

/// How good the time of a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Quality {
    /// The smallest difference that the stamp can show, nanoseconds; 0 when the line has no time of
    /// its own, and the time of its neighbours or of the reader was taken.
    pub resolution_ns: u64,
    /// Where the zone comes from.
    pub zone: Zone,
    /// The stamp has no year: the one nearest to the time of the file was taken.
    pub year_inferred: bool,
}

impl Quality {
    /// The line has no time of its own.
    pub const NONE: Self = Self { resolution_ns: 0, zone: Zone::Assumed, year_inferred: false };
}

/// Why a line was taken to be about a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Key {
    /// Process id of a process of the call.
    Pid,
    /// Its parent process belongs to the call.
    ParentPid,
    /// Address of the client, at the time when its control connection began.
    ClientAddress,
    /// Both call ids.
    CallIds,
    /// A negotiation frame that both the daemon and the wire have.
    Frame,
    /// Name of the pppN.
    Interface,
    /// Address that the client got.
    TunnelAddress,
    /// `Acct-Session-Id`, which holds the pid and the start of pppd.
    AcctSessionId,
    /// CoID, the GUID that client, server and NPS on Windows give to one call.
    CorrelationId,
    /// Name of the user, at the time of its authentication.
    User,
    /// The daemon started it within a second.
    Time,
}

/// How sure a conclusion is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// Nothing else fits better.
    Low,
    /// Another reading is possible but unlikely.
    Medium,
    /// Certain, as far as the log is true.
    High,
}

/// The link between a line and its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Join {
    /// What links them.
    pub key: Key,
    /// How sure that is.
    pub confidence: Confidence,
}

/// Payload of `log`: one line that was recognised.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Log {
    /// The log that it is from.
    pub source: Arc<str>,
    /// Program that wrote it.
    pub program: Cow<'static, str>,
    /// Process id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Host that the line names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_host: Option<String>,
    /// Id in the catalogue of messages; absent for a line that it does not have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<Cow<'static, str>>,
    /// What the message is good for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
    /// How the program rates it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
    /// What it says.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: Fields,
    /// Its text, without secrets.
    pub text: String,
    /// How often it was said, where the logger counted repetitions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// How good its time is; absent where the time is not the log's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<Quality>,
    /// What links it to its call; absent where it belongs to none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub join: Option<Join>,
}
