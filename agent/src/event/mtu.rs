//! `mtu.*`: packets that do not fit.

use schemars::JsonSchema;
use serde::Serialize;

use super::Party;

/// Payload of `mtu.mss_violation`: TCP connections inside the tunnel announce segments that cannot
/// pass it. A clamp (`TCPMSS --clamp-mss-to-pmtu`, `tcp option maxseg size set rt mtu`) corrects them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct MssViolation {
    /// Which end of the tunnel sent the segments with SYN. For the end that is this host they are
    /// counted after the firewall.
    pub sender: Party,
    /// Such segments since the last report.
    pub segments: u64,
    /// Such segments since the interface appeared.
    pub total: u64,
    /// MSS of the last one, bytes.
    pub mss_bytes: u32,
    /// MTU of the interface then, bytes: an MSS of 40 less (IPv6: 60) is the largest that fits.
    pub mtu_bytes: u32,
}

/// The inside of a tunnel, one direction, since the interface appeared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct InnerCounters {
    /// TCP segments with SYN that name a maximum segment size.
    pub syn: u64,
    /// Of these, with an MSS that does not fit the MTU of the interface.
    pub mss_violations: u64,
    /// Segments with SYN that name none.
    pub without_mss: u64,
    /// IP fragments.
    pub fragments: u64,
    /// GRE packets over IPv4.
    pub gre: u64,
    /// Largest MSS, bytes; absent before one was seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub largest_mss_bytes: Option<u32>,
}

/// The inside of a tunnel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct InnerStats {
    /// MTU of the interface, bytes.
    pub mtu_bytes: u32,
    /// What the client sends.
    pub from_client: InnerCounters,
    /// What is sent to the client.
    pub from_server: InnerCounters,
}

impl From<&pptpscope_common::Inner> for InnerCounters {
    fn from(inner: &pptpscope_common::Inner) -> Self {
        Self {
            syn: inner.syn,
            mss_violations: inner.violations,
            without_mss: inner.without_mss,
            fragments: inner.fragments,
            gre: inner.gre,
            largest_mss_bytes: (inner.largest_mss > 0).then_some(inner.largest_mss),
        }
    }
}
