//! `mppe.*`: encryption that is not what the two ends agreed on, and decryption that stops.

use pptpscope_common::drop::Reason;
use schemars::JsonSchema;
use serde::Serialize;

use super::Party;
use super::drop::DropReason;
use super::session::Mppe;

/// Payload of `mppe.cleartext`: IP packets in clear on a call whose ends agreed on encryption. Linux
/// takes them all the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "MppeCleartext")]
pub struct Cleartext {
    /// Who sent them.
    pub sender: Party,
    /// Packets since the last report.
    pub packets: u64,
    /// Packets since encryption was agreed on.
    pub total: u64,
    /// What was agreed on.
    pub agreed: Mppe,
}

/// Payload of `mppe.reset_storm`: one end asks for a new start of the encryption again and again, as
/// it cannot decrypt what it gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "MppeResetStorm")]
pub struct ResetStorm {
    /// Who sent the CCP Reset-Requests.
    pub sender: Party,
    /// Reset-Requests within `window_ns`.
    pub requests: u64,
    /// Reset-Requests of this end since the call began.
    pub total: u64,
    /// Time in which they came, nanoseconds.
    pub window_ns: u64,
}

/// Drops that stop decryption. Header compression has receive errors too, but no call carries it together with MPPE.
pub const STALL_CAUSES: [Reason; 7] = [
    Reason::MppeShort,
    Reason::MppeTooLong,
    Reason::MppeBadBits,
    Reason::MppeLate,
    Reason::MppeDesynchronised,
    Reason::MppeStalled,
    Reason::PppReceiveError,
];

/// Payload of `mppe.stall`: one frame could not be decrypted, and from then on the kernel decrypts
/// none until the peer acknowledges a reset of CCP (SC_DC_ERROR). The interface counts what it receives
/// all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Stall {
    /// What happens to it.
    pub state: StallState,
    /// What stopped decryption.
    pub cause: DropReason,
    /// Frames that were not decrypted since, the first one included.
    pub frames: u64,
    /// Since it began, nanoseconds; as the drops were seen, which is to the second.
    pub duration_ns: u64,
}

/// What happens to a stall.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StallState {
    /// Decryption has stopped.
    Begun,
    /// The peer has acknowledged a reset; decryption goes on.
    Ended,
    /// Too many errors: decryption has stopped for good (SC_DC_FERROR); pppd will end the call.
    Fatal,
    /// The call has ended first.
    CallEnded,
}
