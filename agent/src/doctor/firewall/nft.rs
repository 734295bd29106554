//! `nft -j list ruleset` (libnftables-json(5)).

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde_json::Value;

use super::model::{
    Action, Backend, Base, Because, Chain, Clamp, Condition, Hook, Range, Rule, Table, Test, state,
};
use super::text::render;

/// The text is not what nft writes.
#[derive(Debug, thiserror::Error)]
#[error("nft's answer is not understood: {0}")]
pub struct Error(String);

/// Elements of named sets and maps, by family, table and name.
type Sets<'a> = BTreeMap<(&'a str, &'a str, &'a str), &'a Value>;

/// Reads a ruleset. Tables of families that see no IPv4 are left out.
///
/// # Errors
/// It is no such JSON.
pub fn parse(text: &str) -> Result<Vec<Table>, Error> {
    let root: Value = serde_json::from_str(text).map_err(|error| Error(error.to_string()))?;
    let objects = root.get("nftables").and_then(Value::as_array);
    let objects = objects.ok_or_else(|| Error("there is no \"nftables\" in it".to_owned()))?;
    let mut sets = Sets::new();
    for object in objects {
        for kind in ["set", "map"] {
            if let Some(set) = object.get(kind) {
                let key = (field(set, "family"), field(set, "table"), field(set, "name"));
                sets.insert(key, set.get("elem").unwrap_or(&Value::Null));
            }
        }
    }
    let mut tables: Vec<Table> = Vec::new();
    for object in objects {
        if let Some(chain) = object.get("chain") {
            let base = base(chain);
            let name = field(chain, "name").to_owned();
            if let Some(table) = table(&mut tables, chain) {
                table.chains.push(Chain { name, base, rules: Vec::new() });
            }
        } else if let Some(rule) = object.get("rule") {
            let read = read_rule(rule, &sets);
            if let Some(table) = table(&mut tables, rule)
                && let Some(chain) = table.chains.iter_mut().find(|chain| chain.name == field(rule, "chain"))
            {
                chain.rules.push(read);
            }
        }
    }
    Ok(tables)
}

fn field<'a>(object: &'a Value, name: &str) -> &'a str {
    object.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn table<'t>(tables: &'t mut Vec<Table>, object: &Value) -> Option<&'t mut Table> {
    let (family, name) = (field(object, "family"), field(object, "table"));
    if !matches!(family, "ip" | "inet" | "netdev") {
        return None;
    }
    let at = tables.iter().position(|table| table.family == family && table.name == name);
    let at = at.unwrap_or_else(|| {
        let (family, name) = (family.to_owned(), name.to_owned());
        tables.push(Table { backend: Backend::Nftables, family, name, chains: Vec::new() });
        tables.len() - 1
    });
    tables.get_mut(at)
}

fn base(chain: &Value) -> Option<Base> {
    Some(Base {
        hook: Hook::named(field(chain, "hook"))?,
        priority: chain.get("prio").and_then(Value::as_i64).unwrap_or(0),
        drops: field(chain, "policy") == "drop",
        is_nat: field(chain, "type") == "nat",
    })
}

fn read_rule(rule: &Value, sets: &Sets<'_>) -> Rule {
    let empty = Vec::new();
    let expressions = rule.get("expr").and_then(Value::as_array).unwrap_or(&empty);
    let scope = Scope { sets, family: field(rule, "family"), table: field(rule, "table") };
    let mut read = Rule {
        number: rule.get("handle").and_then(Value::as_u64).unwrap_or(0),
        text: render(expressions),
        conditions: Vec::new(),
        action: Action::Next,
        clamp: None,
        pptp_helper: false,
    };
    for expression in expressions {
        let Some((kind, body)) = expression.as_object().and_then(|object| object.iter().next()) else {
            continue;
        };
        match kind.as_str() {
            "match" => read.conditions.extend(scope.condition(body)),
            "vmap" => read.action = scope.map(body, &mut read.conditions),
            "limit" => {
                let condition = Test::Open(Because::Rate, "limit".to_owned());
                read.conditions.push(condition.into());
            }
            "ct count" | "quota" | "meter" => {
                let condition = Test::Open(Because::Rate, kind.clone());
                read.conditions.push(condition.into());
            }
            "mangle" => read.clamp = clamp(body),
            "ct helper" => read.pptp_helper = body.as_str().is_some_and(|name| name.contains("pptp")),
            // What changes nothing about where the packet goes.
            "counter" | "log" | "comment" | "masquerade" | "snat" | "notrack" | "set" | "map" | "flow"
            | "ct timeout" | "ct expectation" | "secmark" | "dup" => {}
            "redirect" => {}
            // Half of a rule of iptables: what it is was not said.
            "xt" => {
                let what = format!("{} {} of iptables", field(body, "type"), field(body, "name"));
                if field(body, "type") == "match" {
                    read.conditions.push(Test::Open(Because::Other, what).into());
                } else {
                    read.action = xt_target(field(body, "name"), what);
                }
            }
            _ => read.action = verdict(kind, body),
        }
    }
    read
}

/// Targets of iptables that let a packet go on.
fn xt_target(name: &str, what: String) -> Action {
    match name {
        "LOG" | "NFLOG" | "MARK" | "CONNMARK" | "TCPMSS" | "CT" | "MASQUERADE" | "SNAT" | "DSCP" => {
            Action::Next
        }
        "REJECT" => Action::Reject,
        _ => Action::Unknown(what),
    }
}

fn verdict(kind: &str, body: &Value) -> Action {
    let target = || field(body, "target").to_owned();
    match kind {
        "accept" => Action::Accept,
        "drop" => Action::Drop,
        "reject" => Action::Reject,
        "return" => Action::Return,
        "continue" => Action::Next,
        "jump" => Action::Jump(target()),
        "goto" => Action::Goto(target()),
        "queue" => Action::Queue,
        "dnat" | "tproxy" | "fwd" => Action::Divert(format!("{kind} {}", super::text::value(body))),
        other => Action::Unknown(other.to_owned()),
    }
}

/// `tcp option maxseg size set …`.
fn clamp(body: &Value) -> Option<Clamp> {
    let option = body.get("key")?.get("tcp option")?;
    if field(option, "name") != "maxseg" {
        return None;
    }
    let value = body.get("value")?;
    match value.as_u64() {
        Some(size) => u32::try_from(size).ok().map(Clamp::Size),
        None => value.get("rt").map(|_| Clamp::PathMtu { both_ways: false }),
    }
}

/// In which table names of sets are looked up.
struct Scope<'a> {
    sets: &'a Sets<'a>,
    family: &'a str,
    table: &'a str,
}

impl Scope<'_> {
    /// `left op right`, and what it takes for granted: ports need their protocol.
    fn condition(&self, body: &Value) -> Vec<Condition> {
        let (Some(left), Some(right)) = (body.get("left"), body.get("right")) else {
            return vec![Test::Open(Because::Other, "match".to_owned()).into()];
        };
        let op = field(body, "op");
        let mut conditions: Vec<Condition> = implied_protocol(left)
            .map(|protocol| Test::Protocol(vec![protocol]).into())
            .into_iter()
            .collect();
        let test = match op {
            "<" | ">" | "<=" | ">=" => self.compared(left, op, right),
            _ => self.test(left, right),
        };
        // `tcp flags == syn` is SYN alone, `tcp flags syn` any segment with it.
        let test = match test {
            Test::TcpFlags(_, value) if op == "==" && left.get("payload").is_some() => {
                Test::TcpFlags(0xff, value)
            }
            other => other,
        };
        conditions.push(Condition { negated: op == "!=", test });
        conditions
    }

    fn compared(&self, left: &Value, op: &str, right: &Value) -> Test {
        let Some(bound) = right.as_u64().and_then(|bound| u32::try_from(bound).ok()) else {
            return open(left);
        };
        let range = match op {
            "<" => bound.checked_sub(1).map(|last| (0, last)),
            "<=" => Some((0, bound)),
            ">" => bound.checked_add(1).map(|first| (first, u32::MAX)),
            _ => Some((bound, u32::MAX)),
        };
        match range {
            Some((first, last)) => self.test(left, &serde_json::json!({ "range": [first, last] })),
            None => Test::Constant(false),
        }
    }

    fn test(&self, left: &Value, right: &Value) -> Test {
        let payload = left.get("payload");
        let protocol = payload.map(|payload| field(payload, "protocol")).unwrap_or_default();
        let name = payload.map(|payload| field(payload, "field")).unwrap_or_default();
        let meta = left.get("meta").map(|meta| field(meta, "key")).unwrap_or_default();
        let ct = left.get("ct").map(|ct| field(ct, "key")).unwrap_or_default();
        let ranges = |number: fn(&str) -> Option<u32>| self.ranges(right, number);
        let result = match (protocol, name, meta, ct) {
            ("ip", "protocol", _, _) | (_, _, "l4proto", _) => ranges(protocol_number).map(Test::Protocol),
            ("ip", "saddr", _, _) => ranges(address_number).map(Test::Source),
            ("ip", "daddr", _, _) => ranges(address_number).map(Test::Destination),
            ("ip6" | "icmpv6" | "arp", ..) => Some(Test::Constant(false)),
            ("tcp" | "udp" | "th" | "sctp" | "dccp", "sport", _, _) => {
                ranges(port_number).map(Test::SourcePort)
            }
            ("tcp" | "udp" | "th" | "sctp" | "dccp", "dport", _, _) => {
                ranges(port_number).map(Test::DestinationPort)
            }
            ("tcp", "flags", _, _) => flags(right).map(|set| Test::TcpFlags(set, set)),
            (_, _, "iifname" | "iif", _) => self.names(right).map(Test::Input),
            (_, _, "oifname" | "oif", _) => self.names(right).map(Test::Output),
            (_, _, "nfproto", _) => {
                self.words(right).map(|words| Test::Constant(words.iter().any(|word| word == "ipv4")))
            }
            (_, _, "protocol", _) => {
                self.words(right).map(|words| Test::Constant(words.iter().any(|word| word == "ip")))
            }
            (_, _, "mark", _) => Some(Test::Mark(Vec::new())),
            (_, _, "pkttype", _) => self
                .words(right)
                .map(|words| Test::Constant(words.iter().any(|word| word == "host" || word == "unicast"))),
            (_, _, _, "state") => self.states(right).map(Test::State),
            _ => None,
        };
        result.or_else(|| special(left, right)).unwrap_or_else(|| open(left))
    }

    /// The values of the right side, with sets and lists taken apart; None when a set is not known.
    fn leaves<'v>(&'v self, right: &'v Value) -> Option<Vec<&'v Value>> {
        let mut out = Vec::new();
        let mut stack = vec![right];
        while let Some(value) = stack.pop() {
            if let Some(name) = value.as_str().and_then(|text| text.strip_prefix('@')) {
                stack.push(self.sets.get(&(self.family, self.table, name))?);
            } else if let Some(list) = value.as_array() {
                stack.extend(list);
            } else if let Some(inner) = value.get("set") {
                stack.push(inner);
            } else if let Some(inner) = value.get("elem") {
                stack.push(inner.get("val").unwrap_or(inner));
            } else if !value.is_null() {
                out.push(value);
            }
        }
        Some(out)
    }

    fn ranges(&self, right: &Value, number: fn(&str) -> Option<u32>) -> Option<Vec<Range>> {
        self.leaves(right)?.into_iter().map(|leaf| range(leaf, number)).collect()
    }

    fn words(&self, right: &Value) -> Option<Vec<String>> {
        self.leaves(right)?.into_iter().map(|leaf| leaf.as_str().map(str::to_owned)).collect()
    }

    fn names(&self, right: &Value) -> Option<Vec<String>> {
        self.words(right)
    }

    fn states(&self, right: &Value) -> Option<u8> {
        self.words(right)?.iter().try_fold(0, |bits, word| {
            word.split(',').try_fold(bits, |bits, name| Some(bits | state::named(name.trim())?))
        })
    }

    fn map(&self, body: &Value, conditions: &mut Vec<Condition>) -> Action {
        let (Some(key), Some(data)) = (body.get("key"), body.get("data")) else {
            return Action::Unknown("vmap".to_owned());
        };
        conditions.extend(implied_protocol(key).map(|protocol| Test::Protocol(vec![protocol]).into()));
        let data = match data.as_str().and_then(|name| name.strip_prefix('@')) {
            Some(name) => self.sets.get(&(self.family, self.table, name)).copied(),
            None => data.get("set"),
        };
        let Some(pairs) = data.and_then(Value::as_array) else {
            return match data {
                Some(Value::Null) => Action::Next,
                _ => Action::Unknown("vmap".to_owned()),
            };
        };
        let entry = |pair: &Value| {
            let (value, action) = (pair.get(0)?, pair.get(1)?.as_object()?.iter().next()?);
            Some((
                self.test(key, value.get("elem").and_then(|elem| elem.get("val")).unwrap_or(value)),
                verdict(action.0, action.1),
            ))
        };
        let entries: Option<Vec<_>> = pairs.iter().map(entry).collect();
        entries.map_or_else(|| Action::Unknown("vmap".to_owned()), Action::Map)
    }
}

fn open(left: &Value) -> Test {
    Test::Open(Because::Other, super::text::value(left))
}

/// Left sides that need more than a field: masked flags, and what fib says of an address.
fn special(left: &Value, right: &Value) -> Option<Test> {
    if let Some(masked) = left.get("&").and_then(Value::as_array)
        && let [inner, mask] = masked.as_slice()
        && inner.get("payload").is_some_and(|payload| field(payload, "field") == "flags")
    {
        return Some(Test::TcpFlags(flags(mask)?, flags(right)?));
    }
    let fib = left.get("fib")?;
    let of = fib.get("flags").and_then(Value::as_array)?;
    let by_destination = of.iter().any(|flag| flag == "daddr");
    (field(fib, "result") == "type" && by_destination && right == "local").then_some(Test::ToThisHost)
}

fn implied_protocol(left: &Value) -> Option<Range> {
    let left = left.get("&").and_then(|masked| masked.get(0)).unwrap_or(left);
    let number = match field(left.get("payload")?, "protocol") {
        "tcp" => 6,
        "udp" => 17,
        "icmp" => 1,
        "gre" | "grev1" => 47,
        "sctp" => 132,
        "dccp" => 33,
        "esp" => 50,
        "ah" => 51,
        _ => return None,
    };
    Some((number, number))
}

fn range(leaf: &Value, number: fn(&str) -> Option<u32>) -> Option<Range> {
    let one = |value: &Value| match value {
        Value::Number(given) => given.as_u64().and_then(|given| u32::try_from(given).ok()),
        Value::String(text) => number(text),
        _ => None,
    };
    if let Some(ends) = leaf.get("range") {
        return Some((one(ends.get(0)?)?, one(ends.get(1)?)?));
    }
    if let Some(prefix) = leaf.get("prefix") {
        let length = u32::try_from(prefix.get("len")?.as_u64()?).ok()?;
        return super::network(one(prefix.get("addr")?)?, length);
    }
    one(leaf).map(|value| (value, value))
}

fn flags(value: &Value) -> Option<u8> {
    let flag = |name: &str| super::tcp_flag(name);
    match value {
        Value::String(name) => {
            name.split(['|', ',']).try_fold(0, |bits, name| Some(bits | flag(name.trim())?))
        }
        Value::Number(bits) => bits.as_u64().and_then(|bits| u8::try_from(bits).ok()),
        Value::Array(list) => list.iter().try_fold(0, |bits, one| Some(bits | flags(one)?)),
        Value::Object(object) => flags(object.get("|").or_else(|| object.get("set"))?),
        _ => None,
    }
}

fn protocol_number(name: &str) -> Option<u32> {
    super::protocol(name)
}

fn address_number(text: &str) -> Option<u32> {
    text.parse::<Ipv4Addr>().ok().map(u32::from)
}

fn port_number(name: &str) -> Option<u32> {
    super::port(name)
}
