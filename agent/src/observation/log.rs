//! A line of a log, or a record of an event log, as an observation.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use crate::event::log::{Class, Fields, Level, Quality, Value, Zone};

/// Longest text of a line that is kept, bytes; what is beyond is cut and says so.
pub const MAX_TEXT: usize = 1024;

/// One line of a log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Log {
    /// The log that it was read from: a path, or `journal`.
    pub source: Arc<str>,
    /// Host that the line names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Program, by the name that the catalogue has for it (`pppd`, `pptpd`, `accel-ppp`, ...).
    pub program: Cow<'static, str>,
    /// Process id that the line names, or that the journal knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// What was recognised; None for a line that the catalogue does not have.
    pub message: Option<Message>,
    /// The text after the envelope, without secrets, control characters escaped, at most
    /// [`MAX_TEXT`] bytes.
    pub text: String,
    /// Whether `text` is the beginning of a longer one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
    /// How many times the line was said: more than 1 where the logger counted repetitions.
    pub times: u32,
}

/// A line of the catalogue, with what it said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Id in the catalogue.
    pub id: Cow<'static, str>,
    /// What it is good for.
    pub class: Class,
    /// How the program rates it.
    pub level: Level,
    /// What it says, by name.
    pub fields: Fields,
    /// The negotiation frame that it shows: a line of the debug dump of a daemon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dump: Option<Dump>,
}

/// A negotiation frame as the debug dump of a daemon shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dump {
    /// Whether the daemon sent it; else it received it.
    pub sent: bool,
    /// The frame, as the decoder of the wire gives it.
    pub frame: crate::wire::ppp::Frame,
    /// Whether the dump is cut: options at its end may be missing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
}
