//! `control.*`: what the two ends say on TCP port 1723.

use schemars::JsonSchema;
use serde::Serialize;

use super::Party;
use crate::wire::pptp::Message;

/// Payload of `control.message`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ControlMessage {
    /// Who sent it.
    pub sender: Party,
    /// `message`, its standard name, and its fields.
    #[serde(flatten)]
    pub message: Message,
}

/// Payload of `control.garbage`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ControlGarbage {
    /// Whose bytes they are.
    pub sender: Party,
    /// How many.
    pub bytes: u64,
    /// What is wrong with them.
    pub reason: String,
}
