//! `radius.*`: what VPN servers ask RADIUS servers.

use std::net::{Ipv4Addr, SocketAddrV4};

use schemars::JsonSchema;
use serde::Serialize;

use super::log::Join;
use crate::observation::Proof;
use crate::wire::radius::Code;
use crate::wire::radius::codes::{AcctStatusType, TerminateCause};

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "RadiusOutcome")]
pub enum Outcome {
    /// The server said yes, or took note.
    Accepted,
    /// The server said no.
    Rejected,
    /// The server wants another round (EAP).
    Challenged,
    /// No answer came: the server is down, does not know the client, or has another secret for it; or the
    /// request or the answer is lost on the way.
    Timeout,
    /// The answer was made with another secret than the given one, or changed on its way: the client
    /// throws it away.
    WrongSecret,
    /// An answer came, and the client repeated its request all the same: it lost the answer, or threw it
    /// away because of another secret.
    AnswerIgnored,
    /// There was no room to wait for the answer.
    Unknown,
}

impl Outcome {
    /// All.
    pub const ALL: [Self; 7] = [
        Self::Accepted,
        Self::Rejected,
        Self::Challenged,
        Self::Timeout,
        Self::WrongSecret,
        Self::AnswerIgnored,
        Self::Unknown,
    ];
}

/// Payload of `radius.exchange`: one request, with its repetitions, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "RadiusExchange")]
pub struct Exchange {
    /// Who asked: the VPN server, or a proxy.
    #[schemars(with = "String")]
    pub client: SocketAddrV4,
    /// Who was asked.
    #[schemars(with = "String")]
    pub server: SocketAddrV4,
    /// Identifier of request and answer.
    pub id: u8,
    /// What was asked.
    pub request: Code,
    /// What was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<Code>,
    /// How it ended.
    pub outcome: Outcome,
    /// From the first request to the answer, nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ns: Option<u64>,
    /// How often the request was repeated.
    pub retransmissions: u32,
    /// What the check of the answer's authenticator (else the request's) with the given secret found.
    pub proof: Proof,
    /// What the packets say about the call.
    #[serde(flatten)]
    pub facts: Facts,
    /// What links it to its call; absent where it belongs to none that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub join: Option<Join>,
}

/// What request and answer say about a call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "RadiusFacts")]
pub struct Facts {
    /// Name of the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// How the user proves who they are: `pap`, `chap_md5`, `ms_chap`, `ms_chap_v2`, `eap`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// `Calling-Station-Id`: the client, by address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calling_station: Option<String>,
    /// `Called-Station-Id`: the VPN server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub called_station: Option<String>,
    /// Address of the VPN server, as it names itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nas_address: Option<Ipv4Addr>,
    /// Name of the VPN server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nas_identifier: Option<String>,
    /// Its port: with pppd the unit of the pppN.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nas_port: Option<u32>,
    /// Its port by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nas_port_id: Option<String>,
    /// Address of the user inside the tunnel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub framed_address: Option<Ipv4Addr>,
    /// Name of the session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acct_session_id: Option<String>,
    /// Process id of pppd, from the name of the session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pppd_pid: Option<u32>,
    /// When pppd began the session, seconds since 1970, from its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pppd_time: Option<u32>,
    /// What an accounting request tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acct_status: Option<AcctStatusType>,
    /// How long the call has lasted, seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_time_s: Option<u32>,
    /// Bytes from the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_bytes: Option<u64>,
    /// Bytes to the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_bytes: Option<u64>,
    /// Why the call ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terminate_cause: Option<TerminateCause>,
    /// Text for the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_message: Option<String>,
    /// `E=` of MS-CHAP-Error: why, as CHAP Failure will say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chap_error: Option<u32>,
    /// Whether the answer has keys for MPPE. Without them a call with encryption cannot come up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mppe_keys: Option<bool>,
}
