//! `finding`: what is wrong, why the agent believes so, and what to do about it.

use std::net::Ipv4Addr;

use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

pub use super::log::Confidence;
use crate::time::Timestamp;

/// What became of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "FindingState")]
pub enum State {
    /// Said for the first time.
    Raised,
    /// Said before; something in it has changed: `reason` tells what.
    Updated,
    /// Taken back: it was wrong, or something else explains what was seen; `reason` tells why.
    Withdrawn,
    /// It was right, and is over: what was wrong has stopped.
    Resolved,
}

/// Who told a piece of evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "EvidenceSource")]
pub enum Source {
    /// TCP port 1723: segments and PPTP messages.
    Control,
    /// PPP negotiation frames on the wire.
    Negotiation,
    /// GRE packets and their counters.
    Gre,
    /// The kernel of this host: a packet that it let go of, a state that it is in.
    Kernel,
    /// ICMP errors about the tunnel.
    Icmp,
    /// Packets inside the tunnel, on the pppN.
    Inner,
    /// Lines of a log.
    Log,
    /// RADIUS packets.
    Radius,
    /// Several calls of the same client, or of the same host.
    History,
}

/// What words of others stand between in our sentences, and is in none of our own: there they can be told apart, and
/// taken out where names are private.
pub const QUOTES: [char; 2] = ['“', '”'];

/// Words of a log or a peer, for a sentence of ours.
pub fn quoted(words: &str) -> String {
    let [open, close] = QUOTES;
    format!("{open}{}{close}", words.replace(QUOTES, "\""))
}

/// One observation, for or against a finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Evidence {
    /// Who told it.
    pub source: Source,
    /// What is the case.
    pub fact: String,
    /// What exactly was seen.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// When it was seen first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

/// Evidence that could have decided and was not to be had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Missing {
    /// Who would have told it.
    pub source: Source,
    /// What is not known.
    pub fact: String,
    /// Why it could not be observed here.
    pub why: String,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Remedy {
    /// In words.
    pub text: String,
    /// Commands to enter, or lines of a configuration file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<String>,
}

/// A finding that follows from another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Consequence {
    /// Its code.
    pub code: String,
    /// What is the case, in one sentence.
    pub statement: String,
}

/// Payload of `finding`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Finding {
    /// Equal in all events about the same finding, and on replay.
    pub id: Uuid,
    /// What it is; `pptpscope explain CODE`.
    pub code: String,
    /// What became of it.
    pub state: State,
    /// How sure it is; docs/findings.md tells the rule.
    pub confidence: Confidence,
    /// Whether it is why the call failed.
    pub primary: bool,
    /// What is the case, in one sentence.
    pub statement: String,
    /// The client that it is about, where it is about more than one call of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<Ipv4Addr>,
    /// When it began, as far as the evidence tells.
    pub since: Timestamp,
    /// When it ended; absent while it lasts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Why the agent believes so.
    pub evidence: Vec<Evidence>,
    /// What speaks against it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub against: Vec<Evidence>,
    /// What was not observable here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<Missing>,
    /// What else is wrong, because of this.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub consequences: Vec<Consequence>,
    /// What to do, for the daemon in use.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remedy: Vec<Remedy>,
    /// Why it was updated, withdrawn or resolved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Where to read more: a place in the documents of the program.
    pub link: String,
}
