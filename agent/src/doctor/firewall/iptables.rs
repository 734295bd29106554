//! `iptables-save` (iptables-extensions(8)), of the old kernel interface and of that over nftables.

use std::net::Ipv4Addr;

use super::model::{
    Action, Backend, Base, Because, Chain, Clamp, Condition, Hook, Range, Rule, Table, Test, state,
};

/// Reads what iptables-save writes. Lines that are none of its own are passed over.
pub fn parse(text: &str, backend: Backend) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    for line in text.lines() {
        let line = line.trim();
        if let Some(name) = line.strip_prefix('*') {
            let (family, name) = ("ip".to_owned(), name.to_owned());
            tables.push(Table { backend, family, name, chains: Vec::new() });
            continue;
        }
        let Some(table) = tables.last_mut() else { continue };
        if let Some(declared) = line.strip_prefix(':') {
            let mut words = declared.split_ascii_whitespace();
            let name = words.next().unwrap_or_default().to_owned();
            let base = base(&table.name, &name, words.next().unwrap_or("-"));
            table.chains.push(Chain { name, base, rules: Vec::new() });
        } else if line.starts_with("-A ") {
            let words = split(line);
            let name = words.get(1).map(String::as_str).unwrap_or_default();
            if let Some(chain) = table.chains.iter_mut().find(|chain| chain.name == name) {
                let number = chain.rules.len() as u64 + 1;
                chain.rules.push(rule(line, words.get(2..).unwrap_or_default(), number));
            }
        }
    }
    tables
}

/// Built-in chains have a policy; priorities are those of linux/netfilter_ipv4.h.
fn base(table: &str, chain: &str, policy: &str) -> Option<Base> {
    let hook = Hook::named(chain).filter(|_| policy != "-")?;
    let priority = match (table, hook) {
        ("raw", _) => -300,
        ("mangle", _) => -150,
        ("nat", Hook::Prerouting | Hook::Output) => -100,
        ("nat", _) => 100,
        ("security", _) => 50,
        _ => 0,
    };
    Some(Base { hook, priority, drops: policy == "DROP", is_nat: table == "nat" })
}

/// Words, of which those in double quotes may hold blanks.
fn split(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted, mut any) = (Vec::new(), String::new(), false, false);
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => (quoted, any) = (!quoted, true),
            '\\' if quoted => word.extend(letters.next()),
            ' ' if !quoted => {
                if any || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                any = false;
            }
            letter => word.push(letter),
        }
    }
    if any || !word.is_empty() {
        words.push(word);
    }
    words
}

fn rule(line: &str, words: &[String], number: u64) -> Rule {
    let mut rule = Rule {
        number,
        text: line.to_owned(),
        conditions: Vec::new(),
        action: Action::Next,
        clamp: None,
        pptp_helper: false,
    };
    let mut at = Words { words: words.iter(), negated: false, module: String::new() };
    while let Some(word) = at.words.next() {
        if word == "!" {
            at.negated = true;
            continue;
        }
        at.option(word, &mut rule);
        at.negated = false;
    }
    rule
}

struct Words<'a> {
    words: std::slice::Iter<'a, String>,
    /// A `!` stood before.
    negated: bool,
    /// The match that was loaded last.
    module: String,
}

impl Words<'_> {
    fn next(&mut self) -> &str {
        self.words.next().map(String::as_str).unwrap_or_default()
    }

    fn add(&self, rule: &mut Rule, test: Option<Test>, option: &str, given: &str) {
        let test = test.unwrap_or_else(|| Test::Open(Because::Other, format!("{option} {given}")));
        rule.conditions.push(Condition { negated: self.negated, test });
    }

    fn option(&mut self, option: &str, rule: &mut Rule) {
        match option {
            "-m" | "--match" => {
                self.module = self.next().to_owned();
                let (module, negated) = (self.module.clone(), self.negated);
                if let Some(because) = undecidable(&module) {
                    let test = Test::Open(because, format!("-m {module}"));
                    rule.conditions.push(Condition { negated, test });
                }
            }
            "-j" | "--jump" => {
                let target = self.next().to_owned();
                self.target(&target, rule);
            }
            "-g" | "--goto" => rule.action = Action::Goto(self.next().to_owned()),
            "--clamp-mss-to-pmtu" => rule.clamp = Some(Clamp::PathMtu { both_ways: true }),
            "--set-mss" => rule.clamp = self.next().parse().ok().map(Clamp::Size),
            // Of the helper match when it is a condition, of the CT target otherwise.
            "--helper" if self.module == "helper" && matches!(rule.action, Action::Next) => {
                let given = self.next().to_owned();
                self.add(rule, None, option, &given);
            }
            "--helper" => rule.pptp_helper = self.next().contains("pptp"),
            "-f" | "--fragment" => self.add(rule, Some(Test::Constant(false)), option, ""),
            "--syn" => self.add(rule, Some(Test::TcpFlags(0x17, 0x02)), option, ""),
            "--tcp-flags" => {
                let (mask, value) = (flags(self.next()), flags(self.next()));
                let test = mask.zip(value).map(|(mask, value)| Test::TcpFlags(mask, value));
                self.add(rule, test, option, "");
            }
            _ => self.field(option, rule),
        }
    }

    /// Options with a value that says which packets are meant.
    fn field(&mut self, option: &str, rule: &mut Rule) {
        let test: fn(&str) -> Option<Test> = match option {
            "-p" | "--protocol" => |given| {
                if matches!(given, "all" | "0") {
                    return Some(Test::Constant(true));
                }
                let number = super::protocol(given)?;
                Some(Test::Protocol(vec![(number, number)]))
            },
            "-s" | "--source" => |given| networks(given).map(Test::Source),
            "-d" | "--destination" => |given| networks(given).map(Test::Destination),
            "-i" | "--in-interface" => |given| Some(Test::Input(vec![pattern(given)])),
            "-o" | "--out-interface" => |given| Some(Test::Output(vec![pattern(given)])),
            "--sport" | "--sports" | "--source-port" | "--source-ports" => {
                |given| ports(given).map(Test::SourcePort)
            }
            "--dport" | "--dports" | "--destination-port" | "--destination-ports" => {
                |given| ports(given).map(Test::DestinationPort)
            }
            "--ctstate" | "--state" => |given| {
                let bits = given.split(',').try_fold(0, |bits, name| Some(bits | state::named(name)?));
                bits.map(Test::State)
            },
            "--dst-type" => |given| (given == "LOCAL").then_some(Test::ToThisHost),
            "--src-range" => |given| address_range(given).map(Test::Source),
            "--dst-range" => |given| address_range(given).map(Test::Destination),
            "--pkt-type" => |given| Some(Test::Constant(given == "unicast")),
            "--mark" => |_| Some(Test::Mark(Vec::new())),
            // Says nothing about which packets.
            "--comment" => {
                self.next();
                return;
            }
            // Values of a target, or of a match that is open already.
            _ => return,
        };
        let given = self.next().to_owned();
        self.add(rule, test(&given), option, &given);
    }

    fn target(&mut self, target: &str, rule: &mut Rule) {
        self.module.clear();
        rule.action = match target {
            "ACCEPT" => Action::Accept,
            "DROP" => Action::Drop,
            "REJECT" | "TARPIT" => Action::Reject,
            "RETURN" => Action::Return,
            "QUEUE" | "NFQUEUE" => Action::Queue,
            "DNAT" => {
                let words: Vec<&str> = self.words.by_ref().map(String::as_str).collect();
                Action::Divert(words.last().copied().unwrap_or("DNAT").to_owned())
            }
            "LOG" | "NFLOG" | "ULOG" | "MARK" | "CONNMARK" | "TCPMSS" | "CT" | "NOTRACK" | "TRACE"
            | "DSCP" | "TOS" | "TTL" | "CLASSIFY" | "SET" | "RATEEST" | "AUDIT" | "SECMARK"
            | "CONNSECMARK" | "MASQUERADE" | "SNAT" | "NETMAP" | "REDIRECT" | "CHECKSUM" | "TEE" | "LED"
            | "IDLETIMER" => Action::Next,
            // A chain of the user; one that does not exist is reported when it is asked.
            chain => Action::Jump(chain.to_owned()),
        };
    }
}

/// Matches that cannot be decided, and on what they depend.
fn undecidable(module: &str) -> Option<Because> {
    Some(match module {
        "limit" | "hashlimit" | "connlimit" | "quota" | "statistic" | "connbytes" | "length" => Because::Rate,
        "recent" | "set" | "geoip" | "mac" => Because::Peer,
        "u32" | "string" | "bpf" | "time" | "owner" | "physdev" | "policy" | "rpfilter" | "cgroup"
        | "connlabel" | "connmark" | "socket" | "devgroup" | "osf" | "nfacct" | "ttl" | "dscp" | "tos"
        | "ecn" => Because::Other,
        _ => return None,
    })
}

/// eth+ stands for every name that begins with eth.
fn pattern(given: &str) -> String {
    match given.strip_suffix('+') {
        Some(prefix) => format!("{prefix}*"),
        None => given.to_owned(),
    }
}

fn networks(given: &str) -> Option<Vec<Range>> {
    given.split(',').map(network).collect()
}

/// Address, address/length or address/mask.
fn network(given: &str) -> Option<Range> {
    let (address, length) = given.split_once('/').unwrap_or((given, "32"));
    let address = u32::from(address.parse::<Ipv4Addr>().ok()?);
    let length = match length.parse::<u32>() {
        Ok(length) => length,
        Err(_) => {
            let mask = u32::from(length.parse::<Ipv4Addr>().ok()?);
            // A mask with a hole in it is no range.
            (mask.leading_ones() == mask.count_ones()).then(|| mask.leading_ones())?
        }
    };
    super::network(address, length)
}

fn address_range(given: &str) -> Option<Vec<Range>> {
    let (first, last) = given.split_once('-')?;
    let address = |text: &str| text.parse::<Ipv4Addr>().ok().map(u32::from);
    Some(vec![(address(first)?, address(last)?)])
}

fn ports(given: &str) -> Option<Vec<Range>> {
    let one = |text: &str| match text.split_once(':') {
        None => super::port(text).map(|port| (port, port)),
        Some((first, last)) => {
            let first = if first.is_empty() { Some(0) } else { super::port(first) };
            let last = if last.is_empty() { Some(65535) } else { super::port(last) };
            first.zip(last)
        }
    };
    given.split(',').map(one).collect()
}

fn flags(given: &str) -> Option<u8> {
    match given {
        "NONE" => Some(0),
        "ALL" => Some(0x3f),
        _ => given.split(',').try_fold(0, |bits, name| Some(bits | super::tcp_flag(name)?)),
    }
}
