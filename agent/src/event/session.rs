//! `session.*`: the life of a call.

use std::net::Ipv4Addr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use super::Party;
use super::control::{ControlResult, Peer, TcpStats};
use super::echo::Echo;
use super::gre::Counters;
use super::mtu::InnerStats;
use super::ppp::{Summary, Termination};

/// Phases of a call, in their usual order. Each names what is being established.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// TCP connection to port 1723: SYN seen.
    Tcp,
    /// Control connection: Start-Control-Connection-Request and -Reply.
    Control,
    /// Call: Outgoing-Call-Request and -Reply.
    Call,
    /// LCP, the PPP link layer.
    Lcp,
    /// Authentication: PAP, CHAP or EAP.
    Auth,
    /// CCP: compression, in PPTP the MPPE encryption.
    Ccp,
    /// IPCP: the addresses.
    Ipcp,
    /// Up: carries traffic.
    Up,
    /// One end began to close.
    Closing,
    /// Over.
    Closed,
}

/// Why a call left a phase, or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The TCP connection stands (SYN was answered).
    TcpEstablished,
    /// Start-Control-Connection-Reply with result 1.
    ControlEstablished,
    /// The call reply accepts the call.
    CallEstablished,
    /// Both ends acknowledged the other's LCP options, with authentication agreed.
    LcpOpened,
    /// The server accepted the client's proof.
    Authenticated,
    /// LCP opened without an authentication protocol.
    NoAuthentication,
    /// Both ends acknowledged the other's CCP options.
    CcpOpened,
    /// A frame of a later phase was seen before the earlier one was seen to complete.
    LaterPhaseSeen,
    /// Both ends acknowledged the other's IPCP options.
    IpcpOpened,
    /// Tunnelled packets flow; the agent began to watch in mid-call.
    TrafficSeen,
    /// The client said with Set-Link-Info that LCP is open at its end.
    SetLinkInfo,
    /// An open link sent a new LCP Configure-Request.
    LcpRenegotiation,
    /// Start-Control-Connection-Reply with another result than 1.
    ControlRefused,
    /// The call reply refuses the call.
    CallRefused,
    /// PAP Nak, CHAP Failure or EAP Failure.
    AuthenticationFailed,
    /// LCP Terminate-Request.
    LcpTerminateRequest,
    /// Call-Clear-Request.
    CallClearRequest,
    /// Call-Disconnect-Notify.
    CallDisconnectNotify,
    /// Stop-Control-Connection-Request.
    StopControlConnectionRequest,
    /// FIN on the control connection.
    TcpFin,
    /// RST on the control connection.
    TcpReset,
    /// SYN was never answered.
    TcpTimeout,
    /// A new connection uses the addresses and ports of this one.
    ConnectionReused,
    /// A new call uses a call id of this one.
    CallIdReused,
    /// Neither control segment nor GRE packet for longer than the idle limit.
    Idle,
    /// The table of sessions is full; see `agent.status`.
    Evicted,
    /// A daemon says so; `log_message` names the line that tells why, where one does.
    LogMessage,
}

/// Where the agent first met a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// On its control connection.
    Control,
    /// By what its daemons say; there is no capture of it.
    Log,
    /// By its GRE packets: the call was up before the agent, or its control connection is not
    /// visible here.
    Traffic,
}

/// Payload of `session.start`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Start {
    /// Where the agent met the call.
    pub origin: Origin,
    /// Phase that it was met in.
    pub phase: Phase,
    /// TCP port of the client's end of the control connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_port: Option<u16>,
}

/// Payload of `session.phase`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PhaseChange {
    /// Phase entered.
    pub phase: Phase,
    /// Phase left.
    pub previous: Phase,
    /// Time spent in `previous`, nanoseconds.
    pub previous_ns: u64,
    /// What ended it.
    pub reason: Cause,
    /// Which end did that; absent where neither or both did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<Party>,
}

/// Time spent in one phase, summed over its visits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PhaseTime {
    /// The phase.
    pub phase: Phase,
    /// Time in it, nanoseconds.
    pub duration_ns: u64,
}

impl Phase {
    /// How many there are.
    pub const COUNT: usize = Self::Closed as usize + 1;
}

/// Encryption that both ends agreed on in CCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Mppe {
    /// Key length: 40, 56 or 128 bits.
    pub bits: u16,
    /// Stateful mode: one lost packet costs more than itself.
    pub stateful: bool,
}

/// A process that serves a call, as the logs name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Process {
    /// Name of the program.
    pub program: String,
    /// Its process id.
    pub pid: u32,
}

/// What a client's Set-Link-Info says about LCP at its end (RFC 2637 §2.15). It comes on the control
/// connection, so it tells whether PPP passed even where GRE is not seen. Windows sends it; most other
/// clients do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LinkState {
    /// It never left the default map, which holds before LCP is open.
    NotOpened,
    /// It announced a negotiated map: LCP is open.
    Opened,
    /// It went back to the default map: LCP was open, and is not any more.
    Closed,
}

/// Payload of `session.up`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Up {
    /// Name that the client authenticated with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Authentication protocol: `pap`, `chap_md5`, `ms_chap`, `ms_chap_v2`, `eap` or
    /// `unknown_` and its number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_protocol: Option<String>,
    /// The pppN of the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// The server's end of the tunnel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_address: Option<Ipv4Addr>,
    /// The address that the client got.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_address: Option<Ipv4Addr>,
    /// Encryption; absent when none was agreed or its negotiation was not seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mppe: Option<Mppe>,
    /// What the client is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_peer: Option<Arc<Peer>>,
    /// What the server is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_peer: Option<Arc<Peer>>,
    /// Time in each phase before this one.
    pub phases: Vec<PhaseTime>,
    /// From the first packet to `up`, nanoseconds.
    pub setup_ns: u64,
    /// Processes of the call, as far as logs have named them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub processes: Vec<Process>,
}

/// Payload of `session.stats`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Stats {
    /// Phase that the call is in.
    pub phase: Phase,
    /// Time since the first packet, nanoseconds.
    pub age_ns: u64,
    /// Length of the interval that the rates are for, nanoseconds.
    pub interval_ns: u64,
    /// What the client sent in the interval.
    pub from_client: Rate,
    /// What the server sent in the interval.
    pub from_server: Rate,
    /// Control messages since the start.
    pub control_messages: u64,
    /// PPP negotiation frames since the start.
    pub negotiation_frames: u64,
    /// The control connection, since the start; absent when none was seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp: Option<TcpStats>,
    /// The inside of the tunnel; absent when its interface is not on this host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inner: Option<InnerStats>,
    /// PPTP Echo on the control connection since the start; absent when there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control_echo: Option<Box<Echo>>,
    /// LCP Echo in the tunnel since the start; absent when there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lcp_echo: Option<Box<Echo>>,
}

/// What one direction carried in one interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Rate {
    /// GRE packets in the interval.
    pub packets: u64,
    /// Bytes in the interval (IPv4 total length).
    pub bytes: u64,
    /// Packets lost in the interval. Negative when late arrivals took more losses back than were
    /// added.
    pub lost: i64,
}

/// Payload of `session.end`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct End {
    /// What began the end.
    pub reason: Cause,
    /// Which end did that; absent where neither did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<Party>,
    /// Last phase before closing: how far the call got.
    pub last_phase: Phase,
    /// Whether the call was ever up.
    pub was_up: bool,
    /// From the first packet to the end, nanoseconds.
    pub duration_ns: u64,
    /// Time in each phase.
    pub phases: Vec<PhaseTime>,
    /// What the client sent; absent where no packets were seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_client: Option<Counters>,
    /// What the server sent; absent where no packets were seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_server: Option<Counters>,
    /// The control connection; absent when none was seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp: Option<TcpStats>,
    /// The inside of the tunnel; absent when its interface is not on this host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inner: Option<InnerStats>,
    /// The first message of its daemons that tells a cause, by its id in the catalogue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_message: Option<String>,
    /// Processes of the call, as far as logs have named them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub processes: Vec<Process>,
    /// What the client is, by its own words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_peer: Option<Arc<Peer>>,
    /// What the server is, by its own words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_peer: Option<Arc<Peer>>,
    /// The first control message that refused or ended the call, with its codes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control_result: Option<ControlResult>,
    /// The first Terminate-Request in the tunnel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub termination: Option<Box<Termination>>,
    /// What the client said about its LCP; absent when it said nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_lcp: Option<LinkState>,
    /// How each layer of PPP was negotiated.
    pub negotiation: Vec<Summary>,
    /// PPTP Echo on the control connection; absent when there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control_echo: Option<Box<Echo>>,
    /// LCP Echo in the tunnel; absent when there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lcp_echo: Option<Box<Echo>>,
}

impl End {
    /// An end of which only the cause, and how far the call got, are known.
    pub(crate) const fn bare(reason: Cause, last_phase: Phase, was_up: bool, duration_ns: u64) -> Self {
        Self {
            reason,
            by: None,
            last_phase,
            was_up,
            duration_ns,
            phases: Vec::new(),
            from_client: None,
            from_server: None,
            tcp: None,
            inner: None,
            log_message: None,
            processes: Vec::new(),
            client_peer: None,
            server_peer: None,
            control_result: None,
            termination: None,
            client_lcp: None,
            negotiation: Vec::new(),
            control_echo: None,
            lcp_echo: None,
        }
    }
}
