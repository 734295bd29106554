//! Rulesets and what they do with a packet. The JSON is in the form that nft 1.0.6 writes.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::*;

const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
const SERVER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);

fn gre_in(state: u8) -> Packet {
    Packet {
        protocol: GRE,
        destination: vec![SERVER],
        input: vec!["eth0".to_owned()],
        state,
        to_this_host: true,
        ..Packet::default()
    }
}

fn tcp_in() -> Packet {
    Packet { protocol: TCP, destination_port: Some(PORT), flags: 0x02, ..gre_in(state::NEW) }
}

fn gre_out() -> Packet {
    Packet {
        protocol: GRE,
        source: vec![SERVER],
        output: vec!["eth0".to_owned()],
        is_local: true,
        state: state::NEW,
        ..Packet::default()
    }
}

/// An inet table with one input chain.
fn input(policy: &str, rules: &[Value]) -> Vec<Table> {
    ruleset(policy, rules, &[])
}

fn ruleset(policy: &str, rules: &[Value], more: &[Value]) -> Vec<Table> {
    let mut objects = vec![
        json!({"metainfo": {"version": "1.0.6"}}),
        json!({"table": {"family": "inet", "name": "filter", "handle": 1}}),
        json!({"chain": {"family": "inet", "table": "filter", "name": "input", "handle": 1, "type": "filter",
            "hook": "input", "prio": 0, "policy": policy}}),
        json!({"chain": {"family": "inet", "table": "filter", "name": "vpn", "handle": 2}}),
    ];
    objects.extend_from_slice(more);
    for (number, rule) in rules.iter().enumerate() {
        objects.push(json!({"rule": {"family": "inet", "table": "filter", "chain": "input",
            "handle": number + 10, "expr": rule}}));
    }
    parse_nft(&json!({ "nftables": objects }).to_string()).unwrap()
}

fn field(protocol: &str, name: &str, right: Value) -> Value {
    json!({"match": {"op": "==", "left": {"payload": {"protocol": protocol, "field": name}}, "right": right}})
}

fn meta(key: &str, right: Value) -> Value {
    json!({"match": {"op": "==", "left": {"meta": {"key": key}}, "right": right}})
}

fn states(right: Value) -> Value {
    json!({"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": right}})
}

fn accept() -> Value {
    json!({ "accept": null })
}

fn drop() -> Value {
    json!({ "drop": null })
}

fn verdict(tables: &[Table], packet: &Packet) -> Verdict {
    decide(tables, packet, &INBOUND).verdict
}

fn named(tables: &[Table], packet: &Packet, hooks: &[Hook]) -> String {
    let decision = decide(tables, packet, hooks);
    let (table, chain, rule) = decision.by.unwrap();
    table.place(chain, rule).to_string()
}

#[test]
fn without_rules_everything_passes() {
    assert_eq!(verdict(&[], &gre_in(state::NEW)), Verdict::Accept);
    assert!(parse_nft("{}").is_err());
    assert!(parse_nft("nonsense").is_err());
    assert!(parse_nft(r#"{"nftables": [{"rule": {}}, 7, {"chain": {"family": "ip"}}]}"#).is_ok());
}

#[test]
fn the_deciding_rule_is_named() {
    let tables = input(
        "accept",
        &[
            json!([field("tcp", "dport", json!(22)), accept()]),
            json!([field("ip", "protocol", json!("gre")), {"counter": {"packets": 0, "bytes": 0}}, drop()]),
        ],
    );
    assert_eq!(verdict(&tables, &gre_in(state::NEW)), Verdict::Drop);
    assert_eq!(named(&tables, &gre_in(state::NEW), &INBOUND), "inet filter, chain input, handle 11");
    assert_eq!(tables[0].chains[0].rules[1].text, "ip protocol gre counter drop");
    assert_eq!(verdict(&tables, &tcp_in()), Verdict::Accept);
}

#[test]
fn the_policy_decides_at_the_end_and_is_named() {
    let tables = input(
        "drop",
        &[
            json!([states(json!(["established", "related"])), accept()]),
            json!([meta("iifname", json!("lo")), accept()]),
            json!([field("tcp", "dport", json!({"set": [22, 1723]})), accept()]),
        ],
    );
    assert_eq!(verdict(&tables, &gre_in(state::NEW)), Verdict::Drop);
    assert_eq!(named(&tables, &gre_in(state::NEW), &INBOUND), "inet filter, chain input, policy");
    assert_eq!(verdict(&tables, &gre_in(state::ESTABLISHED)), Verdict::Accept);
    assert_eq!(verdict(&tables, &tcp_in()), Verdict::Accept);
}

#[test]
fn matches_of_every_kind() {
    let first_verdict = |rule: Value, packet: &Packet| {
        verdict(&input("accept", &[json!([rule, { "drop": null }])]), packet) == Verdict::Drop
    };
    let gre = gre_in(state::NEW);
    let from_client = Packet { source: vec![CLIENT], ..gre_in(state::NEW) };
    let prefix = |address: &str, len: u32| json!({"prefix": {"addr": address, "len": len}});
    let not = |rule: &Value| {
        let mut rule = rule.clone();
        rule["match"]["op"] = json!("!=");
        rule
    };
    let cases = [
        (meta("l4proto", json!("gre")), &gre, true),
        (meta("l4proto", json!(47)), &gre, true),
        (meta("l4proto", json!({"set": ["tcp", "udp"]})), &gre, false),
        (not(&meta("l4proto", json!("tcp"))), &gre, true),
        (meta("iifname", json!("eth*")), &gre, true),
        (meta("iifname", json!("eth1")), &gre, false),
        (meta("nfproto", json!("ipv6")), &gre, false),
        (meta("nfproto", json!("ipv4")), &gre, true),
        (field("ip6", "saddr", prefix("fe80::", 10)), &gre, false),
        (field("ip", "daddr", json!("203.0.113.2")), &gre, true),
        (field("ip", "daddr", prefix("198.51.100.0", 24)), &gre, false),
        (field("ip", "saddr", prefix("192.0.2.0", 24)), &from_client, true),
        (field("ip", "saddr", json!({"range": ["192.0.2.0", "192.0.2.9"]})), &from_client, false),
        (field("ip", "saddr", prefix("127.0.0.0", 8)), &gre, false),
        (field("tcp", "dport", json!({"range": [1000, 2000]})), &gre, false),
        (field("th", "dport", json!(1723)), &gre, false),
        (states(json!("new")), &gre, true),
        (states(json!(["invalid", "established"])), &gre, false),
        (
            json!({"match": {"op": "==", "left": {"fib": {"result": "type", "flags": ["daddr"]}}, "right": "local"}}),
            &gre,
            true,
        ),
    ];
    for (rule, packet, expected) in cases {
        assert_eq!(first_verdict(rule.clone(), packet), expected, "{rule}");
    }
    let syn = json!({"match": {"op": "==", "left": {"&": [{"payload": {"protocol": "tcp", "field": "flags"}},
        {"|": ["syn", "ack"]}]}, "right": "syn"}});
    assert!(first_verdict(syn.clone(), &tcp_in()));
    assert!(!first_verdict(syn, &Packet { flags: 0x12, ..tcp_in() }));
    let flags = |op: &str| json!({"match": {"op": op, "left": {"payload": {"protocol": "tcp", "field": "flags"}}, "right": "syn"}});
    let answer = Packet { flags: 0x12, ..tcp_in() };
    assert!(first_verdict(flags("in"), &answer) && !first_verdict(flags("=="), &answer));
    assert!(first_verdict(field("tcp", "dport", json!({"range": [1000, 2000]})), &tcp_in()));
    let above = json!({"match": {"op": ">", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 1722}});
    assert!(first_verdict(above, &tcp_in()));
}

#[test]
fn sets_and_maps_by_name() {
    let set = |elements: Value| json!({"set": {"family": "inet", "table": "filter", "name": "banned", "type": "ipv4_addr", "elem": elements}});
    let rule = json!([field("ip", "saddr", json!("@banned")), { "drop": null }]);
    let from_client = Packet { source: vec![CLIENT], ..gre_in(state::NEW) };
    let full = ruleset(
        "accept",
        std::slice::from_ref(&rule),
        &[set(json!([{"elem": {"val": "192.0.2.10", "timeout": 60}}]))],
    );
    assert_eq!(verdict(&full, &from_client), Verdict::Drop);
    let empty = ruleset("accept", std::slice::from_ref(&rule), &[set(Value::Null)]);
    assert_eq!(verdict(&empty, &from_client), Verdict::Accept);
    // Anybody: passes, but not everybody.
    let decision = decide(&full, &gre_in(state::NEW), &INBOUND);
    assert_eq!((decision.verdict, decision.doubts[0].because), (Verdict::Accept, Because::Peer));

    let by_state = json!([{"vmap": {"key": {"ct": {"key": "state"}}, "data": {"set": [
        ["established", {"accept": null}], ["invalid", {"drop": null}], ["new", {"jump": {"target": "vpn"}}]]}}}]);
    let jump = json!({"rule": {"family": "inet", "table": "filter", "chain": "vpn", "handle": 90,
        "expr": [field("ip", "protocol", json!("gre")), {"reject": {"type": "icmp"}}]}});
    let tables = ruleset("accept", &[by_state], &[jump]);
    assert_eq!(verdict(&tables, &gre_in(state::ESTABLISHED)), Verdict::Accept);
    assert_eq!(verdict(&tables, &gre_in(state::INVALID)), Verdict::Drop);
    assert_eq!(verdict(&tables, &gre_in(state::NEW)), Verdict::Reject);
    assert_eq!(named(&tables, &gre_in(state::NEW), &INBOUND), "inet filter, chain vpn, handle 90");
}

#[test]
fn what_is_not_understood_is_open() {
    let odd = json!({"match": {"op": "==", "left": {"osf": {"key": "name"}}, "right": "Windows"}});
    let tables = input("accept", &[json!([odd, { "drop": null }])]);
    let decision = decide(&tables, &gre_in(state::NEW), &INBOUND);
    assert_eq!((decision.verdict.clone(), decision.doubts[0].because), (Verdict::Accept, Because::Other));
    let mut check = Check::new("x", "");
    judge(&mut check, &decision, &GRE_WORDS, Status::Fail);
    assert_eq!(check.status, Status::Unknown);

    // A rate that is accepted before a policy that drops: not all pass, and it is said.
    let limit =
        json!([field("ip", "protocol", json!("gre")), {"limit": {"rate": 10, "per": "second"}}, accept()]);
    let tables = input("drop", &[limit]);
    let mut check = Check::new("x", "");
    judge(&mut check, &decide(&tables, &gre_in(state::NEW), &INBOUND), &GRE_WORDS, Status::Fail);
    assert_eq!(check.status, Status::Warn);
    assert!(check.problems[0].fix.as_deref().unwrap().starts_with("nft insert rule inet filter input"));
}

#[test]
fn chains_are_asked_in_the_order_of_their_priorities() {
    let chain = |table: &str, prio: i64, policy: &str| {
        json!({"chain": {"family": "ip", "table": table, "name": "in", "handle": 1, "type": "filter",
            "hook": "input", "prio": prio, "policy": policy}})
    };
    let rule = |table: &str, verdict: &str| json!({"rule": {"family": "ip", "table": table, "chain": "in", "handle": 5, "expr": [{verdict: null}]}});
    // An accept ends its own chain only; a drop is a drop.
    let text = json!({"nftables": [chain("late", 10, "accept"), chain("early", -10, "accept"),
        rule("late", "drop"), rule("early", "accept")]});
    let tables = parse_nft(&text.to_string()).unwrap();
    assert_eq!(named(&tables, &gre_in(state::NEW), &INBOUND), "ip late, chain in, handle 5");
}

const IPTABLES: &str = r#"# Generated by iptables-save v1.8.9
*raw
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A PREROUTING -p tcp -m tcp --dport 1723 -j CT --helper pptp
COMMIT
*mangle
:FORWARD ACCEPT [0:0]
-A FORWARD -o ppp+ -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu
COMMIT
*filter
:INPUT DROP [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:VPN - [0:0]
:F2B - [0:0]
-A INPUT -i lo -j ACCEPT
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INPUT -p tcp -m multiport --dports 22,1723 -m comment --comment "the \"VPN\" -j DROP" -j VPN
-A INPUT ! -i eth+ -p gre -j ACCEPT
-A VPN -s 192.0.2.0/24 -j RETURN
-A VPN -m limit --limit 5/min -j ACCEPT
-A VPN -p tcp -m tcp --dport 1723 -j ACCEPT
-A OUTPUT -p 47 -d 192.0.2.10/32 -j REJECT --reject-with icmp-port-unreachable
COMMIT
"#;

#[test]
fn iptables_is_asked_in_the_same_way() {
    let tables = parse_iptables(IPTABLES, Backend::IptablesLegacy);
    assert_eq!(verdict(&tables, &gre_in(state::NEW)), Verdict::Drop);
    assert_eq!(
        named(&tables, &gre_in(state::NEW), &INBOUND),
        "iptables-legacy table filter, chain INPUT, policy"
    );
    assert_eq!(verdict(&tables, &gre_in(state::RELATED)), Verdict::Accept);
    assert_eq!(verdict(&tables, &tcp_in()), Verdict::Accept);
    let from_client = Packet { source: vec![CLIENT], ..tcp_in() };
    assert_eq!(verdict(&tables, &from_client), Verdict::Drop, "it returns to INPUT, whose policy drops it");
    assert_eq!(decide(&tables, &tcp_in(), &[Hook::Prerouting]).helper, Some(true));
    assert_eq!(decide(&tables, &gre_out(), &OUTBOUND).verdict, Verdict::Accept);
    let to_client = Packet { destination: vec![CLIENT], ..gre_out() };
    let decision = decide(&tables, &to_client, &OUTBOUND);
    assert_eq!(decision.verdict, Verdict::Reject);
    let (table, chain, _) = decision.by.unwrap();
    assert_eq!(table.accept_first(chain, &GRE_WORDS), "iptables-legacy -I OUTPUT -p 47 -j ACCEPT");
}

#[test]
fn clamps_are_found_for_the_way_on_which_they_work() {
    let tables = parse_iptables(IPTABLES, Backend::IptablesLegacy);
    let to_call = Packet {
        protocol: TCP,
        input: vec!["eth0".to_owned()],
        output: vec!["ppp0".to_owned()],
        flags: 0x12,
        state: state::ESTABLISHED,
        ..Packet::default()
    };
    let place = "iptables-legacy table mangle, chain FORWARD, rule 1".to_owned();
    let clamps = decide(&tables, &to_call, &THROUGH).clamps;
    assert_eq!(clamps, [(Clamp::PathMtu { both_ways: true }, place, true)]);
    let reset = Packet { flags: 0x06, ..to_call.clone() };
    assert!(decide(&tables, &reset, &THROUGH).clamps.is_empty());
    let from_call = Packet { output: vec!["eth0".to_owned()], ..to_call };
    assert!(decide(&tables, &from_call, &THROUGH).clamps.is_empty());
}

#[test]
fn a_circle_of_jumps_ends() {
    let text = "*filter\n:INPUT ACCEPT [0:0]\n:A - [0:0]\n-A INPUT -j A\n-A A -j A\nCOMMIT\n";
    let tables = parse_iptables(text, Backend::IptablesNft);
    assert!(matches!(verdict(&tables, &gre_in(state::NEW)), Verdict::Unknown(_)));
}

#[test]
fn nft_clamps() {
    let rule = json!({"rule": {"family": "ip", "table": "m", "chain": "f", "handle": 3, "expr": [
        meta("oifname", json!("ppp*")),
        {"mangle": {"key": {"tcp option": {"name": "maxseg", "field": "size"}}, "value": {"rt": {"key": "mtu"}}}}]}});
    let chain = json!({"chain": {"family": "ip", "table": "m", "name": "f", "handle": 1, "type": "filter",
        "hook": "forward", "prio": -150, "policy": "accept"}});
    let tables = parse_nft(&json!({"nftables": [chain, rule]}).to_string()).unwrap();
    let to_call = Packet { protocol: TCP, output: vec!["ppp0".to_owned()], flags: 0x12, ..Packet::default() };
    let clamps = decide(&tables, &to_call, &THROUGH).clamps;
    assert_eq!(clamps, [(Clamp::PathMtu { both_ways: false }, "ip m, chain f, handle 3".to_owned(), true)]);
    let from_call = Packet { output: vec!["eth0".to_owned()], ..to_call };
    assert!(decide(&tables, &from_call, &THROUGH).clamps.is_empty());
}

/// What nft 1.0.6 wrote about a table with a named set, a map of states, flags of TCP and a limit.
const WRITTEN_BY_NFT: &str = include_str!("nft-1.0.6.json");

#[test]
fn a_ruleset_that_nft_wrote() {
    let tables = parse_nft(WRITTEN_BY_NFT).unwrap();
    let texts: Vec<_> = tables[0].chains[0].rules.iter().map(|rule| rule.text.as_str()).collect();
    assert_eq!(
        texts,
        [
            "iifname lo accept",
            "ip saddr @banned drop",
            "tcp dport { 22, 1723 } accept",
            "ct state vmap { invalid,drop, established,accept, related,accept }",
            "tcp flags & syn,ack syn limit rate 5/second accept",
            "tcp flags syn counter",
            "ip protocol gre counter drop",
        ]
    );
    assert_eq!(named(&tables, &gre_in(state::NEW), &INBOUND), "inet lab, chain input, handle 11");
    assert_eq!(verdict(&tables, &gre_in(state::INVALID)), Verdict::Drop);
    assert_eq!(verdict(&tables, &tcp_in()), Verdict::Accept);
    let banned = Packet { source: vec![Ipv4Addr::new(10, 9, 1, 1)], ..tcp_in() };
    assert_eq!(verdict(&tables, &banned), Verdict::Drop);
}

mod hostile {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_text_of_iptables_panics(words in prop::collection::vec(
            prop::sample::select(vec!["-A", "INPUT", "!", "-j", "-m", "-p", "--dport", "gre", "\"", "*filter\n",
                ":INPUT DROP\n", "\n", "-s", "1.2.3.4/99", "--tcp-flags", "--helper", "pptp", "A", ":A -\n", "\\"]), 0..60))
        {
            let text = words.join(" ");
            let tables = parse_iptables(&text, Backend::IptablesLegacy);
            decide(&tables, &tcp_in(), &INBOUND);
        }

        #[test]
        fn no_json_panics(text in "[\\[\\]{}:,\"a-z0-9@ ]{0,80}") {
            let _ = parse_nft(&text);
        }
    }
}
