//! `auth.*`: one end proves to the other who it is.

use schemars::JsonSchema;
use serde::Serialize;

use super::Party;
use crate::wire::ppp::chap::FailureCode;
use crate::wire::ppp::lcp::AuthenticationMethod;

/// Payload of `auth.result`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "AuthResult")]
pub struct AuthResult {
    /// Which end demanded the proof; the server, unless the client authenticates the server too.
    pub authenticator: Party,
    /// Protocol: as LCP agreed, else as the packets show; absent where neither tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<AuthenticationMethod>,
    /// Name that the other end gave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// How it went.
    pub outcome: Outcome,
    /// `E=` of MS-CHAP: why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<FailureCode>,
    /// The number of `error`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<u32>,
    /// `R=` of MS-CHAP: whether the other end may try again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_allowed: Option<bool>,
    /// What the authenticator said in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Which proof of the call this was, from 1.
    pub attempt: u32,
    /// Challenges, without repetitions; with EAP all its requests.
    pub challenges: u32,
    /// Challenges that were sent again because no response came.
    pub challenge_retransmissions: u32,
    /// Responses, without repetitions.
    pub responses: u32,
    /// Responses that were sent again because no result came.
    pub response_retransmissions: u32,
    /// From the first sending of the last challenge to its response, nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_ns: Option<u64>,
    /// From the first sending of the last response to the result, nanoseconds: with RADIUS, mostly its time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result_ns: Option<u64>,
}

/// How a proof went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "AuthOutcome")]
pub enum Outcome {
    /// Accepted.
    Success,
    /// Refused.
    Failure,
    /// The challenge was never answered.
    NoResponse,
    /// The response was never answered.
    NoResult,
}
