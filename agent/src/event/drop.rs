//! `drop`: what this host lost of a call, where and why.

use std::borrow::Cow;
use std::net::Ipv4Addr;

use pptpscope_common::drop::Reason;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Payload of `drop`: packets of one call that met the same fate in the same place since the last
/// report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Drop {
    /// Why; docs/drops.md tells what each means.
    pub reason: DropReason,
    /// Whether the call lost something that it needed. Harmless ones are told apart because the
    /// kernel frees them in the same way.
    pub harmful: bool,
    /// How many since the last report of the same.
    pub count: u64,
    /// How many since the agent started.
    pub total: u64,
    /// Where on its way the packet was.
    pub stage: DropStage,
    /// The kernel function that freed it, and the bytes from its beginning; absent where the packet
    /// was not freed or the kernel hides its symbols.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// The kernel's own reason, without prefix; absent before Linux 5.17.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel_reason: Option<String>,
    /// Netfilter's hook, as far as the state of the packet tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hook: Option<DropHook>,
    /// The rule of the firewall that drops packets of this kind, as its ruleset says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<Box<DropRule>>,
    /// Sender of the outer packet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Ipv4Addr>,
    /// Receiver of the outer packet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<Ipv4Addr>,
    /// Call id in the GRE header: the receiver's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call_id: Option<u16>,
    /// Index of the interface that the packet was on, or of the ppp unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ifindex: Option<u32>,
}

/// Where on its way a packet was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DropStage {
    /// A GRE packet in the IPv4 stack of this host.
    Outer,
    /// A segment of the control connection.
    Control,
    /// A packet on a ppp interface.
    Inner,
    /// In the kernel's GRE, PPTP and PPP modules.
    Stack,
}

/// Netfilter's hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DropHook {
    /// Before routing: ingress, prerouting.
    Prerouting,
    /// After routing, received: input, forward, postrouting.
    Routed,
    /// Sent by this host: output, postrouting.
    Output,
}

/// Where in the firewall's ruleset a packet ends: found by reading the rules, as the kernel does not tell.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct DropRule {
    /// Who made the table: `nftables`, `iptables-nft`, `iptables-legacy`.
    pub backend: String,
    /// Family of the table: `ip`, `inet`, `netdev`.
    pub family: String,
    /// Name of the table.
    pub table: String,
    /// Name of the chain.
    pub chain: String,
    /// The rule's handle with nftables, its number in the chain with iptables; absent for the policy of the
    /// chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<u64>,
    /// Whether it is certain; false where it depends on something that only the kernel knows, as the state of
    /// a connection or the members of a set.
    pub certain: bool,
}

/// A [`Reason`] by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DropReason(pub Reason);

impl Serialize for DropReason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.name())
    }
}

impl<'de> Deserialize<'de> for DropReason {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let mut all = Reason::ALL.iter().chain([&Reason::Undecided]);
        let reason = all.find(|reason| reason.name() == name);
        reason.copied().map(Self).ok_or_else(|| serde::de::Error::custom(format!("no drop reason {name:?}")))
    }
}

impl JsonSchema for DropReason {
    fn schema_name() -> Cow<'static, str> {
        "DropReason".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let all = Reason::ALL.iter().chain([&Reason::Undecided]);
        let names: Vec<_> = all.map(|reason| reason.name()).collect();
        json_schema!({
            "description": "Why a packet was let go of; docs/drops.md",
            "type": "string",
            "enum": names
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_tells_every_reason_as_the_code_has_it() {
        let manual = include_str!("../../../docs/drops.md");
        for reason in Reason::ALL {
            let kind = if reason.is_harmful() { "harmful" } else { "benign" };
            let row = format!("| `{}` | {kind} |", reason.name());
            let line = manual.lines().find(|line| line.starts_with(&row));
            let line = line.unwrap_or_else(|| panic!("docs/drops.md has no row {row}"));
            for function in reason.function().split([',', ';', ' ']).filter(|word| word.contains('_')) {
                assert!(line.contains(function), "{}: {function} is not in its row", reason.name());
            }
        }
        let rows = manual.lines().filter(|line| line.contains("| harmful |") || line.contains("| benign |"));
        assert_eq!(rows.count(), Reason::ALL.len() + 1, "one row each, and one for undecided");
        let version = format!("version {}", pptpscope_common::drop::REASONS_VERSION);
        assert!(manual.contains(&version), "docs/drops.md does not name {version}");
    }
}
