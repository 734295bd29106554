//! What a firewall does with a packet of a kind, when not everything about the packet is known.
//!
//! Logic of three values: a test holds, does not hold, or is open. A rule that is open may decide; it
//! is remembered as a doubt, and the next rule is asked as if it had not applied.

use std::net::Ipv4Addr;

use super::model::{Action, Base, Because, Chain, Clamp, Condition, Hook, Place, Range, Rule, Table, Test};

/// The packets that are asked about. An empty list: anything is possible.
#[derive(Clone, Debug, Default)]
pub struct Packet {
    /// Protocol of IP.
    pub protocol: u8,
    /// Possible sources.
    pub source: Vec<Ipv4Addr>,
    /// Possible destinations.
    pub destination: Vec<Ipv4Addr>,
    /// Port of TCP.
    pub source_port: Option<u16>,
    /// Port of TCP.
    pub destination_port: Option<u16>,
    /// Interfaces that it may come by.
    pub input: Vec<String>,
    /// It comes by no interface: it is from this host.
    pub is_local: bool,
    /// Interfaces that it may leave by.
    pub output: Vec<String>,
    /// Its state for connection tracking: one bit.
    pub state: u8,
    /// Flags of TCP.
    pub flags: u8,
    /// It is for this host.
    pub to_this_host: bool,
}

/// Whether a test holds.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Truth {
    Yes,
    No,
    Open(Because, String),
}

/// What happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It passes.
    Accept,
    /// It is lost.
    Drop,
    /// It is lost, and the sender is told.
    Reject,
    /// A program decides.
    Queue,
    /// It goes elsewhere.
    Divert(String),
    /// Not understood.
    Unknown(String),
}

impl Verdict {
    /// Whether the packet arrives where it was meant to.
    pub const fn passes(&self) -> bool {
        matches!(self, Self::Accept)
    }

    /// For people.
    pub fn words(&self) -> String {
        match self {
            Self::Accept => "accepted".to_owned(),
            Self::Drop => "dropped".to_owned(),
            Self::Reject => "rejected".to_owned(),
            Self::Queue => "handed to a program (queue)".to_owned(),
            Self::Divert(to) => format!("sent elsewhere ({to})"),
            Self::Unknown(what) => format!("given to something that is not understood ({what})"),
        }
    }
}

/// A rule that decides for some packets of the kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// What it would do.
    pub verdict: Verdict,
    /// Which rule.
    pub place: Place,
    /// The rule itself.
    pub text: String,
    /// On what it depends.
    pub because: Because,
}

/// The outcome.
#[derive(Clone, Debug)]
pub struct Decision<'a> {
    /// What happens to packets to which no doubt applies.
    pub verdict: Verdict,
    /// The rule, or the policy, that decided; for an accepted packet the last one.
    pub by: Option<(&'a Table, &'a Chain, Option<&'a Rule>)>,
    /// Rules that may decide before, otherwise.
    pub doubts: Vec<Doubt>,
    /// Rules that lower its maximum segment size, and whether they certainly apply.
    pub clamps: Vec<(Clamp, String, bool)>,
    /// It gets the PPTP helper, and whether certainly.
    pub helper: Option<bool>,
}

/// Chains that a chain may jump through; nft itself allows 16.
const MAX_DEPTH: u32 = 32;
/// Doubts that are kept; the first ones are the ones that count.
const MAX_DOUBTS: usize = 32;

/// What happens to `packet` at these hooks, in this order.
pub fn decide<'a>(tables: &'a [Table], packet: &Packet, hooks: &[Hook]) -> Decision<'a> {
    let mut walk = Walk {
        packet,
        decision: Decision {
            verdict: Verdict::Accept,
            by: None,
            doubts: Vec::new(),
            clamps: Vec::new(),
            helper: None,
        },
    };
    for hook in hooks {
        let mut chains: Vec<(&Table, &Chain, &Base)> = tables
            .iter()
            .flat_map(|table| table.chains.iter().map(move |chain| (table, chain)))
            .filter_map(|(table, chain)| Some((table, chain, chain.base.as_ref()?)))
            .filter(|(_, _, base)| base.hook == *hook)
            .collect();
        chains.sort_by_key(|(_, _, base)| base.priority);
        for (table, chain, base) in chains {
            match walk.chain(table, chain, None, 0) {
                Some((verdict, at, rule)) => {
                    let passes = verdict.passes();
                    walk.decision.verdict = verdict;
                    walk.decision.by = Some((table, at, Some(rule)));
                    if !passes {
                        return walk.decision;
                    }
                }
                // Translation of addresses drops nothing by policy that it has not seen.
                None if base.drops => {
                    walk.decision.verdict = Verdict::Drop;
                    walk.decision.by = Some((table, chain, None));
                    return walk.decision;
                }
                None => {}
            }
        }
    }
    walk.decision
}

struct Walk<'a, 'p> {
    packet: &'p Packet,
    decision: Decision<'a>,
}

type Ending<'a> = Option<(Verdict, &'a Chain, &'a Rule)>;

impl<'a> Walk<'a, '_> {
    /// Walks a chain; `open` is the doubt under which it was entered. None at its end.
    fn chain(
        &mut self,
        table: &'a Table,
        chain: &'a Chain,
        open: Option<&(Because, String)>,
        depth: u32,
    ) -> Ending<'a> {
        for rule in &chain.rules {
            let mut open = open.cloned();
            match self.applies(&rule.conditions) {
                Truth::No => continue,
                Truth::Yes => {}
                Truth::Open(because, what) => {
                    open = Some(match open {
                        Some(outer) if outer.0 >= because => outer,
                        _ => (because, what),
                    });
                }
            }
            if let Some(clamp) = rule.clamp {
                self.decision.clamps.push((
                    clamp,
                    table.place(chain, Some(rule)).to_string(),
                    open.is_none(),
                ));
            }
            if rule.pptp_helper {
                self.decision.helper = Some(self.decision.helper == Some(true) || open.is_none());
            }
            match self.act(table, chain, rule, &rule.action, open.as_ref(), depth) {
                Step::On => {}
                Step::Back => return None,
                Step::End(ending) => return Some(ending),
            }
        }
        None
    }

    fn act(
        &mut self,
        table: &'a Table,
        chain: &'a Chain,
        rule: &'a Rule,
        action: &'a Action,
        open: Option<&(Because, String)>,
        depth: u32,
    ) -> Step<'a> {
        let verdict = match action {
            Action::Next => return Step::On,
            Action::Return if open.is_none() => return Step::Back,
            // Whether it returns is open: what follows is asked, which may decide what it would not.
            Action::Return => return Step::On,
            Action::Jump(to) | Action::Goto(to) => {
                let Some(target) = table.chain(to).filter(|_| depth < MAX_DEPTH) else {
                    return self.end(table, chain, rule, Verdict::Unknown(format!("jump to {to}")), open);
                };
                return match self.chain(table, target, open, depth + 1) {
                    Some(ending) => Step::End(ending),
                    None if open.is_none() && matches!(action, Action::Goto(_)) => Step::Back,
                    None => Step::On,
                };
            }
            Action::Map(entries) => {
                for (test, action) in entries {
                    let open = match self.test(test) {
                        Truth::No => continue,
                        Truth::Yes => open.cloned(),
                        Truth::Open(because, what) => Some((because, what)),
                    };
                    let certain = open.is_none();
                    match self.act(table, chain, rule, action, open.as_ref(), depth) {
                        Step::On if certain => return Step::On,
                        Step::On => {}
                        other => return other,
                    }
                }
                return Step::On;
            }
            Action::Accept => Verdict::Accept,
            Action::Drop => Verdict::Drop,
            Action::Reject => Verdict::Reject,
            Action::Queue => Verdict::Queue,
            Action::Divert(to) => Verdict::Divert(to.clone()),
            Action::Unknown(what) => Verdict::Unknown(what.clone()),
        };
        self.end(table, chain, rule, verdict, open)
    }

    fn end(
        &mut self,
        table: &Table,
        chain: &'a Chain,
        rule: &'a Rule,
        verdict: Verdict,
        open: Option<&(Because, String)>,
    ) -> Step<'a> {
        let Some((because, _)) = open else { return Step::End((verdict, chain, rule)) };
        if self.decision.doubts.len() < MAX_DOUBTS {
            let (place, text) = (table.place(chain, Some(rule)), rule.text.clone());
            self.decision.doubts.push(Doubt { verdict, place, text, because: *because });
        }
        Step::On
    }

    fn applies(&self, conditions: &[Condition]) -> Truth {
        let mut open = None;
        for condition in conditions {
            let truth = match (self.test(&condition.test), condition.negated) {
                (Truth::Yes, true) => Truth::No,
                (Truth::No, true) => Truth::Yes,
                (truth, _) => truth,
            };
            match truth {
                Truth::Yes => {}
                Truth::No => return Truth::No,
                Truth::Open(because, what) => {
                    // The least certain of them counts.
                    open = Some(match open {
                        Some((known, text)) if known >= because => (known, text),
                        _ => (because, what),
                    });
                }
            }
        }
        open.map_or(Truth::Yes, |(because, what)| Truth::Open(because, what))
    }

    fn test(&self, test: &Test) -> Truth {
        let packet = self.packet;
        let has_ports = matches!(packet.protocol, 6 | 17 | 33 | 132 | 136);
        match test {
            Test::Protocol(ranges) => yes(within(ranges, packet.protocol.into())),
            Test::Source(ranges) => addresses(ranges, &packet.source),
            Test::Destination(ranges) => addresses(ranges, &packet.destination),
            Test::SourcePort(_) | Test::DestinationPort(_) if !has_ports => Truth::No,
            Test::SourcePort(ranges) => port(ranges, packet.source_port),
            Test::DestinationPort(ranges) => port(ranges, packet.destination_port),
            Test::Input(_) if packet.is_local => Truth::No,
            Test::Input(names) => interfaces(names, &packet.input),
            Test::Output(names) => interfaces(names, &packet.output),
            Test::State(bits) => yes(bits & packet.state != 0),
            Test::TcpFlags(..) if packet.protocol != 6 => Truth::No,
            Test::TcpFlags(mask, value) => yes(packet.flags & mask == *value),
            Test::ToThisHost => yes(packet.to_this_host),
            // Rules that set marks are not followed.
            Test::Mark(_) => Truth::Open(Because::Other, "mark".to_owned()),
            Test::Constant(holds) => yes(*holds),
            Test::Open(because, what) => Truth::Open(*because, what.clone()),
        }
    }
}

enum Step<'a> {
    On,
    Back,
    End((Verdict, &'a Chain, &'a Rule)),
}

const fn yes(holds: bool) -> Truth {
    if holds { Truth::Yes } else { Truth::No }
}

fn within(ranges: &[Range], value: u32) -> bool {
    ranges.iter().any(|(first, last)| (*first..=*last).contains(&value))
}

/// Holds for all, none or some of the possible values.
fn all_or_none<T>(values: &[T], because: Because, what: &str, holds: impl Fn(&T) -> bool) -> Truth {
    let count = values.iter().filter(|value| holds(value)).count();
    match count {
        0 if !values.is_empty() => Truth::No,
        count if count == values.len() && count > 0 => Truth::Yes,
        _ => Truth::Open(because, what.to_owned()),
    }
}

fn addresses(ranges: &[Range], possible: &[Ipv4Addr]) -> Truth {
    if within(ranges, 0) && ranges.contains(&(0, u32::MAX)) {
        return Truth::Yes;
    }
    // Nobody sends from an address of the loopback network, over a wire.
    let is_loopback =
        |range: &Range| Ipv4Addr::from(range.0).is_loopback() && Ipv4Addr::from(range.1).is_loopback();
    if ranges.iter().all(is_loopback) && !possible.iter().any(Ipv4Addr::is_loopback) {
        return Truth::No;
    }
    all_or_none(possible, Because::Peer, "address", |address| within(ranges, u32::from(*address)))
}

fn port(ranges: &[Range], port: Option<u16>) -> Truth {
    match port {
        Some(port) => yes(within(ranges, port.into())),
        // The ports that clients choose from (RFC 6056, section 3.2), which is what rules mean by them.
        None if ranges.iter().any(|(first, last)| *first <= 1024 && *last >= 65535) => Truth::Yes,
        None => Truth::Open(Because::Peer, "port of the client".to_owned()),
    }
}

fn interfaces(patterns: &[String], possible: &[String]) -> Truth {
    let holds = |name: &String| {
        patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => name == pattern,
        })
    };
    // A call or a client comes by no loopback device, whatever else is open.
    if possible.is_empty() && patterns.iter().all(|pattern| pattern == "lo") {
        return Truth::No;
    }
    all_or_none(possible, Because::Other, "interface", holds)
}
