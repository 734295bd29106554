//! Which rule of the firewall drops a packet. The kernel does not tell, but whoever reads the rules can.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use tokio::task::{JoinHandle, spawn_blocking};
use tracing::debug;

use crate::doctor::firewall::{Firewall, Hook, Packet, Place, Table, Verdict, decide, state};
use crate::doctor::gather;
use crate::event::drop::{DropHook, DropRule, DropStage};

/// How long a ruleset is believed at least. Rules change under way, and reading them starts a program.
const FRESH: Duration = Duration::from_secs(10);
/// A large ruleset takes long to read: it is believed for so many times as long, that anybody's packets may
/// not keep this host busy.
const TIMES: u32 = 100;

/// States of a connection that a dropped packet may have had, the likeliest first.
const STATES: [u8; 3] = [state::NEW, state::INVALID, state::ESTABLISHED];

/// Protocols of IPv4.
const TCP: u8 = 6;
const GRE: u8 = 47;
/// TCP port of the control connection (RFC 2637, section 3).
const PORT: u16 = 1723;

/// A packet that the firewall dropped.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dropped<'a> {
    pub(super) stage: DropStage,
    pub(super) hook: DropHook,
    pub(super) source: Ipv4Addr,
    pub(super) destination: Ipv4Addr,
    /// Name of the interface that it was on.
    pub(super) interface: Option<&'a str>,
    /// Whether `destination` is an address of this host.
    pub(super) is_local: bool,
}

/// The ruleset, as it was read last.
#[derive(Debug, Default)]
pub(super) struct Rules {
    tables: Vec<Table>,
    /// Whether those are all that there are.
    is_whole: bool,
    /// Until when it is believed.
    good_until: Option<Instant>,
    search: Option<JoinHandle<(Firewall, Duration)>>,
}

impl Rules {
    /// Whether the ruleset is being read.
    pub(super) const fn is_reading(&self) -> bool {
        self.search.is_some()
    }

    /// Reads the ruleset in another thread when it is not fresh. With `wait`, returns when it was read.
    pub(super) async fn refresh(&mut self, wait: bool) {
        self.take(wait).await;
        if self.search.is_none() && self.good_until.is_none_or(|end| end < Instant::now()) {
            self.search = Some(spawn_blocking(|| {
                let start = Instant::now();
                (gather::firewall(), start.elapsed())
            }));
            self.take(wait).await;
        }
    }

    /// Takes what was read, if it was.
    pub(super) async fn take(&mut self, wait: bool) {
        let Some(search) = self.search.take_if(|search| wait || search.is_finished()) else { return };
        let Ok((firewall, took)) = search.await else {
            self.good_until = Some(Instant::now() + FRESH);
            return;
        };
        for why in &firewall.unread {
            debug!("a part of the firewall's rules cannot be read: {why}");
        }
        self.good_until = Some(Instant::now() + FRESH.max(took.saturating_mul(TIMES)));
        self.is_whole = firewall.unread.is_empty();
        self.tables = firewall.tables.unwrap_or_else(|why| {
            debug!("the firewall's rules cannot be read: {why}");
            Vec::new()
        });
    }

    /// The rule that such a packet ends at.
    pub(super) fn deciding(&self, dropped: &Dropped<'_>) -> Option<DropRule> {
        let rule = deciding(&self.tables, dropped)?;
        Some(DropRule { certain: rule.certain && self.is_whole, ..rule })
    }
}

fn deciding(tables: &[Table], dropped: &Dropped<'_>) -> Option<DropRule> {
    let hooks: &[Hook] = match dropped.hook {
        DropHook::Prerouting => &[Hook::Ingress, Hook::Prerouting],
        DropHook::Routed if dropped.is_local => &[Hook::Input],
        DropHook::Routed => &[Hook::Forward, Hook::Postrouting],
        DropHook::Output => &[Hook::Output, Hook::Postrouting],
    };
    let found: Vec<(Place, bool)> = STATES
        .iter()
        .filter_map(|state| {
            let decision = decide(tables, &packet(dropped, *state), hooks);
            let ends = |verdict: &Verdict| matches!(verdict, Verdict::Drop | Verdict::Reject);
            // What may decide comes before what certainly does.
            let doubt = decision.doubts.into_iter().find(|doubt| ends(&doubt.verdict));
            let certain = ends(&decision.verdict).then_some(decision.by).flatten();
            match (doubt, certain) {
                (None, Some((table, chain, rule))) => Some((table.place(chain, rule), true)),
                (Some(doubt), _) => Some((doubt.place, false)),
                (None, None) => None,
            }
        })
        .collect();
    // One that drops the packet in whatever state its connection is, is the one.
    let is_same = found.len() == STATES.len() && found.windows(2).all(|pair| pair[0] == pair[1]);
    let (place, certain) = found.into_iter().max_by_key(|(_, certain)| *certain)?;
    Some(DropRule {
        backend: place.backend.to_string(),
        family: place.family,
        table: place.table,
        chain: place.chain,
        rule: place.rule,
        certain: certain && is_same,
    })
}

fn packet(dropped: &Dropped<'_>, state: u8) -> Packet {
    let interface: Vec<String> = dropped.interface.map(str::to_owned).into_iter().collect();
    let is_sent = dropped.hook == DropHook::Output;
    let is_control = dropped.stage == DropStage::Control;
    let (input, output) = if is_sent { (Vec::new(), interface) } else { (interface, Vec::new()) };
    let port = is_control.then_some(PORT);
    Packet {
        protocol: if is_control { TCP } else { GRE },
        source: vec![dropped.source],
        destination: vec![dropped.destination],
        source_port: port.filter(|_| is_sent),
        destination_port: port.filter(|_| !is_sent),
        input,
        output,
        is_local: is_sent,
        state,
        to_this_host: dropped.is_local,
        ..Packet::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::firewall::parse_nft;

    const RULES: &str = r#"{"nftables": [
        {"table": {"family": "ip", "name": "lab", "handle": 1}},
        {"chain": {"family": "ip", "table": "lab", "name": "input", "handle": 1, "type": "filter", "hook": "input", "prio": 0, "policy": "accept"}},
        {"rule": {"family": "ip", "table": "lab", "chain": "input", "handle": 4, "expr": [
            {"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "eth1"}}, {"drop": null}]}},
        {"rule": {"family": "ip", "table": "lab", "chain": "input", "handle": 5, "expr": [
            {"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "protocol"}}, "right": 47}}, {"drop": null}]}},
        {"chain": {"family": "ip", "table": "lab", "name": "output", "handle": 2, "type": "filter", "hook": "output", "prio": 0, "policy": "drop"}}
    ]}"#;

    fn dropped(hook: DropHook, stage: DropStage) -> Dropped<'static> {
        Dropped {
            stage,
            hook,
            source: Ipv4Addr::new(192, 0, 2, 1),
            destination: Ipv4Addr::new(203, 0, 113, 2),
            interface: Some("eth0"),
            is_local: hook == DropHook::Routed,
        }
    }

    #[test]
    fn names_the_rule_or_the_policy() {
        let tables = parse_nft(RULES).unwrap();
        let found = |hook, stage| {
            deciding(&tables, &dropped(hook, stage)).map(|rule| (rule.chain, rule.rule, rule.certain))
        };
        assert_eq!(found(DropHook::Routed, DropStage::Outer), Some(("input".into(), Some(5), true)));
        assert_eq!(found(DropHook::Output, DropStage::Outer), Some(("output".into(), None, true)));
        assert_eq!(found(DropHook::Routed, DropStage::Control), None);
        assert_eq!(found(DropHook::Prerouting, DropStage::Outer), None);
        assert_eq!(deciding(&[], &dropped(DropHook::Routed, DropStage::Outer)), None);
    }

    #[test]
    fn a_rule_that_asks_for_the_state_of_a_connection_is_not_certain() {
        let asks =
            r#"{"match": {"op": "==", "left": {"ct": {"key": "state"}}, "right": "new"}}, {"drop": null}"#;
        let always = r#"{"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "protocol"}}, "right": 47}}, {"drop": null}"#;
        let tables = parse_nft(&RULES.replace(always, asks)).unwrap();
        let rule = deciding(&tables, &dropped(DropHook::Routed, DropStage::Outer)).unwrap();
        assert_eq!((rule.chain.as_str(), rule.rule, rule.certain), ("input", Some(5), false));
    }
}
