//! A firewall as the kernel sees it: hooks, chains in the order of their priorities, rules. What
//! nftables and iptables say is brought into this one form.

use std::fmt;

/// Where in the kernel a chain is hooked in (net/netfilter).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hook {
    /// At the device, before anything else.
    Ingress,
    /// Before routing.
    Prerouting,
    /// To this host.
    Input,
    /// Through this host.
    Forward,
    /// From this host.
    Output,
    /// After routing.
    Postrouting,
}

impl Hook {
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "ingress" => Self::Ingress,
            "prerouting" | "PREROUTING" => Self::Prerouting,
            "input" | "INPUT" => Self::Input,
            "forward" | "FORWARD" => Self::Forward,
            "output" | "OUTPUT" => Self::Output,
            "postrouting" | "POSTROUTING" => Self::Postrouting,
            _ => return None,
        })
    }
}

/// Who made a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// nft.
    Nftables,
    /// iptables, over nftables.
    IptablesNft,
    /// iptables, over its old kernel interface.
    IptablesLegacy,
}

impl fmt::Display for Backend {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Nftables => "nftables",
            Self::IptablesNft => "iptables-nft",
            Self::IptablesLegacy => "iptables-legacy",
        })
    }
}

/// An inclusive range of numbers: protocols, ports, addresses, marks.
pub type Range = (u32, u32);

/// States of connection tracking, as a set of bits.
pub mod state {
    /// A packet that conntrack cannot place.
    pub const INVALID: u8 = 1;
    /// Belongs to a known connection that has seen both directions.
    pub const ESTABLISHED: u8 = 2;
    /// Was announced by another connection.
    pub const RELATED: u8 = 4;
    /// The first of a connection.
    pub const NEW: u8 = 8;
    /// Is not tracked.
    pub const UNTRACKED: u8 = 16;

    /// The bit of a name, as nft and iptables write it.
    pub fn named(name: &str) -> Option<u8> {
        Some(match name.to_ascii_lowercase().as_str() {
            "invalid" => INVALID,
            "established" => ESTABLISHED,
            "related" => RELATED,
            "new" => NEW,
            "untracked" => UNTRACKED,
            // SNAT and DNAT are states to iptables: none of ours is translated when it arrives.
            "snat" | "dnat" => 0,
            _ => return None,
        })
    }
}

/// What makes the outcome of a test open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Because {
    /// It depends on who sends, which is anybody.
    Peer,
    /// It depends on how much is sent.
    Rate,
    /// It is not understood, or depends on what cannot be known.
    Other,
}

/// A field with values, or what is not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// Protocol of IP.
    Protocol(Vec<Range>),
    /// Source address.
    Source(Vec<Range>),
    /// Destination address.
    Destination(Vec<Range>),
    /// Source port of TCP or UDP.
    SourcePort(Vec<Range>),
    /// Destination port of TCP or UDP.
    DestinationPort(Vec<Range>),
    /// Interface it came by; a `*` at the end stands for anything.
    Input(Vec<String>),
    /// Interface it leaves by.
    Output(Vec<String>),
    /// State of connection tracking: one of these bits.
    State(u8),
    /// Flags of TCP: those of the first that are set are exactly the second.
    TcpFlags(u8, u8),
    /// The destination is an address of this host.
    ToThisHost,
    /// The mark is one of these.
    Mark(Vec<Range>),
    /// Holds for every packet (true) or none.
    Constant(bool),
    /// Cannot be decided here; the text says what it is.
    Open(Because, String),
}

/// A test, perhaps turned round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The rule applies when the test does not hold.
    pub negated: bool,
    /// The test.
    pub test: Test,
}

impl From<Test> for Condition {
    fn from(test: Test) -> Self {
        Self { negated: false, test }
    }
}

/// What a rule does with a packet to which it applies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing that matters here: the next rule is asked.
    Next,
    /// This chain is done with it.
    Accept,
    /// It is gone.
    Drop,
    /// It is gone, and the sender is told.
    Reject,
    /// Back to where the jump was.
    Return,
    /// Asks another chain, and comes back.
    Jump(String),
    /// Asks another chain, and does not come back.
    Goto(String),
    /// A program in user space decides.
    Queue,
    /// It is sent elsewhere (DNAT).
    Divert(String),
    /// The first entry whose test holds says what happens.
    Map(Vec<(Test, Action)>),
    /// Not understood.
    Unknown(String),
}

/// To what a rule lowers the maximum segment size of TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clamp {
    /// What the route allows; iptables looks at the way back too.
    PathMtu {
        /// Whether the way back counts.
        both_ways: bool,
    },
    /// This many bytes.
    Size(u32),
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// nftables: the handle by which it is deleted. iptables: its number in the chain.
    pub number: u64,
    /// As the user would read it.
    pub text: String,
    /// All of them must hold.
    pub conditions: Vec<Condition>,
    /// What then happens.
    pub action: Action,
    /// It lowers the maximum segment size.
    pub clamp: Option<Clamp>,
    /// It gives the PPTP helper of connection tracking to the connection.
    pub pptp_helper: bool,
}

/// How a chain is hooked in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// Where.
    pub hook: Hook,
    /// The lower, the earlier.
    pub priority: i64,
    /// What becomes of packets that no rule decides about: dropped (true) or accepted.
    pub drops: bool,
    /// It translates addresses: only the first packet of a connection passes it.
    pub is_nat: bool,
}

/// A chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Name.
    pub name: String,
    /// None for a chain that is only jumped to.
    pub base: Option<Base>,
    /// In order.
    pub rules: Vec<Rule>,
}

/// Where a rule, or a policy, is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Who made the table.
    pub backend: Backend,
    /// Family of the table.
    pub family: String,
    /// Name of the table.
    pub table: String,
    /// Name of the chain.
    pub chain: String,
    /// [`Rule::number`]; None for the policy of the chain.
    pub rule: Option<u64>,
}

/// As in nft's own commands.
impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { backend, family, table, chain, rule } = self;
        match backend {
            Backend::Nftables => write!(formatter, "{family} {table}, chain {chain}, ")?,
            _ => write!(formatter, "{backend} table {table}, chain {chain}, ")?,
        }
        match (backend, rule) {
            (Backend::Nftables, Some(handle)) => write!(formatter, "handle {handle}"),
            (_, Some(number)) => write!(formatter, "rule {number}"),
            (_, None) => formatter.write_str("policy"),
        }
    }
}

/// A table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Who made it.
    pub backend: Backend,
    /// Family: ip, inet, netdev.
    pub family: String,
    /// Name.
    pub name: String,
    /// Chains.
    pub chains: Vec<Chain>,
}

impl Table {
    /// The chain of a name.
    pub fn chain(&self, name: &str) -> Option<&Chain> {
        self.chains.iter().find(|chain| chain.name == name)
    }

    /// Where a rule, or a policy, is.
    pub fn place(&self, chain: &Chain, rule: Option<&Rule>) -> Place {
        Place {
            backend: self.backend,
            family: self.family.clone(),
            table: self.name.clone(),
            chain: chain.name.clone(),
            rule: rule.map(|rule| rule.number),
        }
    }

    /// The command that puts a rule which accepts `what` first in the chain.
    pub fn accept_first(&self, chain: &Chain, what: &Wanted) -> String {
        match self.backend {
            Backend::Nftables => {
                format!("nft insert rule {} {} {} {} accept", self.family, self.name, chain.name, what.nft)
            }
            Backend::IptablesNft | Backend::IptablesLegacy => {
                let program = match self.backend {
                    Backend::IptablesLegacy => "iptables-legacy",
                    _ => "iptables",
                };
                let table = if self.name == "filter" { String::new() } else { format!(" -t {}", self.name) };
                format!("{program}{table} -I {} {} -j ACCEPT", chain.name, what.iptables)
            }
        }
    }
}

/// How to say which packets are meant.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// In nft's words.
    pub nft: &'static str,
    /// In iptables' words.
    pub iptables: &'static str,
}
