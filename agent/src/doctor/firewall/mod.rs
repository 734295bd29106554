//! The path of PPTP's packets through this host's firewall: nftables and iptables rulesets are read
//! and asked, as the kernel would, what happens to a packet of the kind.

mod eval;
mod iptables;
mod model;
mod nft;
mod text;

use std::net::Ipv4Addr;

use super::facts::{Facts, Module, Seen};
use super::report::{Check, Problem, Status};

pub use eval::{Decision, Doubt, Packet, Verdict, decide};
pub use iptables::parse as parse_iptables;
pub use model::{Backend, Because, Clamp, Hook, Place, Range, Table, Wanted, state};
pub use nft::{Error as NftError, parse as parse_nft};

/// IPv4 protocol of GRE.
const GRE: u8 = 47;
/// IPv4 protocol of TCP.
const TCP: u8 = 6;
/// TCP port of the control connection (RFC 2637, section 3).
const PORT: u16 = 1723;

/// The rulesets of the host.
#[derive(Debug)]
pub struct Firewall {
    /// All tables.
    pub tables: Seen<Vec<Table>>,
    /// What was asked: for "seen".
    pub sources: Vec<String>,
    /// Parts that could not be read.
    pub unread: Vec<String>,
}

const GRE_WORDS: Wanted = Wanted { nft: "ip protocol gre", iptables: "-p 47" };
const CONTROL_IN: Wanted = Wanted { nft: "tcp dport 1723", iptables: "-p tcp --dport 1723" };
const CONTROL_OUT: Wanted = Wanted { nft: "tcp sport 1723", iptables: "-p tcp --sport 1723" };
const FROM_CALLS: Wanted = Wanted { nft: "iifname \"ppp*\"", iptables: "-i ppp+" };
const TO_CALLS: Wanted = Wanted { nft: "oifname \"ppp*\"", iptables: "-o ppp+" };

const INBOUND: [Hook; 3] = [Hook::Ingress, Hook::Prerouting, Hook::Input];
const OUTBOUND: [Hook; 2] = [Hook::Output, Hook::Postrouting];
const THROUGH: [Hook; 3] = [Hook::Prerouting, Hook::Forward, Hook::Postrouting];

/// All checks of the firewall.
pub(super) fn checks(facts: &Facts) -> Vec<Check> {
    vec![
        gre_in(facts),
        one_way(
            facts,
            "firewall.gre_out",
            "GRE from this host carries everything that clients receive: without it a call dies in LCP, 30 s \
             after it began.",
            GRE_WORDS,
            &OUTBOUND,
            &outbound(facts, GRE, state::NEW),
        ),
        one_way(
            facts,
            "firewall.control_in",
            "Clients open a TCP connection to port 1723 before anything else.",
            CONTROL_IN,
            &INBOUND,
            &inbound(facts, TCP, state::NEW),
        ),
        one_way(
            facts,
            "firewall.control_out",
            "The answers of the control connection leave from port 1723.",
            CONTROL_OUT,
            &OUTBOUND,
            &outbound(facts, TCP, state::ESTABLISHED),
        ),
        forward(facts),
        mss(facts),
    ]
}

fn inbound(facts: &Facts, protocol: u8, state: u8) -> Packet {
    let is_tcp = protocol == TCP;
    Packet {
        protocol,
        source: facts.client.into_iter().collect(),
        destination: own_addresses(facts),
        destination_port: is_tcp.then_some(PORT),
        input: facts.uplinks().iter().map(|device| device.name.clone()).collect(),
        state,
        flags: if is_tcp { 0x02 } else { 0 },
        to_this_host: true,
        ..Packet::default()
    }
}

fn outbound(facts: &Facts, protocol: u8, state: u8) -> Packet {
    let is_tcp = protocol == TCP;
    Packet {
        protocol,
        source: own_addresses(facts),
        destination: facts.client.into_iter().collect(),
        source_port: is_tcp.then_some(PORT),
        output: facts.uplinks().iter().map(|device| device.name.clone()).collect(),
        is_local: true,
        state,
        flags: if is_tcp { 0x12 } else { 0 },
        ..Packet::default()
    }
}

/// A packet of a call, decrypted: from a pppN to an uplink, or back.
fn through(facts: &Facts, from_call: bool) -> Packet {
    let uplinks: Vec<String> = facts.uplinks().iter().map(|device| device.name.clone()).collect();
    let call = vec!["ppp0".to_owned()];
    let pool = super::pool::first_address(facts).into_iter().collect();
    let (input, output) = if from_call { (call, uplinks) } else { (uplinks, call) };
    let (source, destination) = if from_call { (pool, Vec::new()) } else { (Vec::new(), pool) };
    let state = if from_call { state::NEW } else { state::ESTABLISHED };
    // SYN on the way in, SYN and ACK on the way back: what a clamp looks at.
    let flags = if from_call { 0x02 } else { 0x12 };
    Packet { protocol: TCP, source, destination, input, output, state, flags, ..Packet::default() }
}

/// Addresses that clients may dial: those of the listener, or of the uplinks.
fn own_addresses(facts: &Facts) -> Vec<Ipv4Addr> {
    let listeners = facts.listeners.iter().flatten().filter_map(|listener| listener.address);
    let bound: Vec<_> = listeners.filter(|address| !address.is_unspecified()).collect();
    if !bound.is_empty() {
        return bound;
    }
    facts.uplinks().iter().flat_map(|device| &device.addresses).map(|address| address.local).collect()
}

/// Begins a check and hands over the tables, unless there are none to judge.
fn begin<'a>(facts: &'a Facts, id: &'static str, why: &'static str) -> Result<(Check, &'a [Table]), Check> {
    let mut check = Check::new(id, why);
    match &facts.firewall.tables {
        Err(super::facts::Unseen::OtherRoot) => {
            Err(check.skipped(super::facts::Unseen::OtherRoot.to_string()))
        }
        Err(why) => Err(check.unknown(why.to_string())),
        Ok(tables) => {
            let unread = facts.firewall.unread.join("; ");
            if tables.is_empty() && !unread.is_empty() {
                return Err(check.unknown(unread));
            }
            if !unread.is_empty() {
                let fix = "install nft and iptables, and run as root";
                check.problem(Problem {
                    status: Status::Unknown,
                    what: format!("only a part of the rules was read: {unread}"),
                    place: None,
                    fix: Some(fix.to_owned()),
                });
            }
            if tables.iter().all(|table| table.chains.iter().all(|chain| chain.base.is_none())) {
                check.saw(format!("no rule is loaded ({})", facts.firewall.sources.join(", ")));
            }
            Ok((check, tables))
        }
    }
}

fn one_way(
    facts: &Facts,
    id: &'static str,
    why: &'static str,
    wanted: Wanted,
    hooks: &[Hook],
    packet: &Packet,
) -> Check {
    match begin(facts, id, why) {
        Err(check) => check,
        Ok((mut check, tables)) => {
            judge(&mut check, &decide(tables, packet, hooks), &wanted, Status::Fail);
            check
        }
    }
}

/// GRE to this host. For conntrack the packets of both directions belong together only when the PPTP
/// helper has seen the call (nf_conntrack_proto_gre: the key of the other direction is the helper's).
fn gre_in(facts: &Facts) -> Check {
    let why = "GRE to this host carries everything that clients send: without it a call dies in LCP, 30 s \
               after it began.";
    let (mut check, tables) = match begin(facts, "firewall.gre_in", why) {
        Err(check) => return check,
        Ok(begun) => begun,
    };
    let new = decide(tables, &inbound(facts, GRE, state::NEW), &INBOUND);
    let known = decide(tables, &inbound(facts, GRE, state::ESTABLISHED), &INBOUND);
    if !new.verdict.passes() && known.verdict.passes() {
        let control = decide(tables, &inbound(facts, TCP, state::NEW), &[Hook::Prerouting]);
        let automatic = facts.conntrack.as_ref().ok().and_then(|conntrack| conntrack.automatic_helpers);
        // The kernel takes no rule that names a helper which it does not have.
        let has_module = facts.modules.as_ref().map_or(true, |modules| {
            matches!(modules.states.get("nf_conntrack_pptp"), Some(Module::Loaded | Module::BuiltIn))
        });
        let assigned = control.helper == Some(true) || automatic == Some(true);
        if assigned && has_module {
            check.saw("accepted as part of a connection that the PPTP helper of conntrack has announced");
            return check;
        }
        if control.helper == Some(false) && has_module {
            return check.unknown(
                "accepted only as part of a connection that the PPTP helper of conntrack announces; whether it \
                 is assigned to these connections could not be decided",
            );
        }
        check.saw("accepted only as part of an announced connection, and no PPTP helper announces it");
    }
    judge(&mut check, &new, &GRE_WORDS, Status::Fail);
    check
}

fn forward(facts: &Facts) -> Check {
    let id = "firewall.forward";
    let why = "What clients send into the tunnel is forwarded between pppN and the network behind this host.";
    if facts.sysctls.get("net.ipv4.ip_forward").is_some_and(|value| value == "0") {
        let because = "net.ipv4.ip_forward is 0: nothing is forwarded (see sysctl.forward)";
        return Check::new(id, why).skipped(because);
    }
    let (mut check, tables) = match begin(facts, id, why) {
        Err(check) => return check,
        Ok(begun) => begun,
    };
    judge(&mut check, &decide(tables, &through(facts, true), &THROUGH), &FROM_CALLS, Status::Warn);
    judge(&mut check, &decide(tables, &through(facts, false), &THROUGH), &TO_CALLS, Status::Warn);
    check
}

/// Whether TCP's segment size is lowered for what goes through calls.
fn mss(facts: &Facts) -> Check {
    let id = "firewall.mss_clamp";
    let why = "The tunnel's MTU is smaller than that of the networks behind both ends. Without a clamp TCP \
               relies on ICMP, which is filtered often enough: connections open, then large packets vanish.";
    if facts.sysctls.get("net.ipv4.ip_forward").is_some_and(|value| value == "0") {
        let because = "net.ipv4.ip_forward is 0: nothing is forwarded (see sysctl.forward)";
        return Check::new(id, why).skipped(because);
    }
    let (mut check, tables) = match begin(facts, id, why) {
        Err(check) => return check,
        Ok(begun) => begun,
    };
    let fix = "nft add table ip mss; nft 'add chain ip mss forward { type filter hook forward priority mangle; }'; \
               nft 'add rule ip mss forward tcp flags syn iifname \"ppp*\" tcp option maxseg size set 1356'; \
               nft 'add rule ip mss forward tcp flags syn oifname \"ppp*\" tcp option maxseg size set rt mtu' \
               (or: iptables -t mangle -A FORWARD -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu)";
    let mut missing = Vec::new();
    for (from_call, words) in [(true, "from calls (pppN in)"), (false, "to calls (pppN out)")] {
        let decision = decide(tables, &through(facts, from_call), &THROUGH);
        // By the route alone a connection from a call is not clamped: its way leads to the uplink.
        let works = |clamp: &Clamp| !(from_call && matches!(clamp, Clamp::PathMtu { both_ways: false }));
        let certain = decision.clamps.iter().find(|(clamp, _, certain)| *certain && works(clamp));
        let open = decision.clamps.iter().find(|(clamp, _, _)| works(clamp));
        match (certain, open) {
            (Some((_, place, _)), _) => check.saw(format!("{words}: clamped by {place}")),
            (None, Some((_, place, _))) => {
                check.at(
                    Status::Unknown,
                    place,
                    format!("{words}: whether this clamp applies could not be decided"),
                    "",
                );
            }
            (None, None) => missing.push(words),
        }
    }
    if !missing.is_empty() {
        check.warn(format!("no MSS clamp for connections {}", missing.join(" and ")), fix);
    }
    check
}

/// Says what a decision means.
fn judge(check: &mut Check, decision: &Decision<'_>, wanted: &Wanted, bad: Status) {
    let place = decision.by.map(|(table, chain, rule)| {
        let text = rule.map(|rule| format!(": {}", rule.text)).unwrap_or_default();
        (table.place(chain, rule).to_string(), text, table.accept_first(chain, wanted))
    });
    let passes = decision.verdict.passes();
    let contrary: Vec<&Doubt> =
        decision.doubts.iter().filter(|doubt| doubt.verdict.passes() != passes).collect();
    let open = contrary.iter().find(|doubt| doubt.because == Because::Other);
    let words = decision.verdict.words();
    match (&place, passes) {
        (None, _) => check.saw(format!("{}: {words}: no rule is against it", wanted.nft)),
        (Some((place, text, _)), true) => check.saw(format!("{}: {words} by {place}{text}", wanted.nft)),
        (Some((place, text, fix)), false) => {
            check.saw(format!("{}: {words} by {place}{text}", wanted.nft));
            if open.is_none() {
                let (status, what) = match contrary.first() {
                    None => (bad, format!("{} is {words} here", wanted.nft)),
                    Some(doubt) => (
                        Status::Warn,
                        format!(
                            "{} is {words} here, except for what {} accepts: {}",
                            wanted.nft, doubt.place, doubt.text
                        ),
                    ),
                };
                check.at(status, format!("{place}{text}"), what, fix.clone());
            }
        }
    }
    if let Some(doubt) = open {
        check.at(
            Status::Unknown,
            format!("{}: {}", doubt.place, doubt.text),
            format!(
                "{}: this rule may decide ({}), and whether it applies could not be decided",
                wanted.nft,
                doubt.verdict.words()
            ),
            "read the rule; nft monitor trace shows what it does to a real packet",
        );
    } else if passes && let Some(doubt) = contrary.first() {
        let what = if doubt.because == Because::Rate { "above a rate" } else { "some clients" };
        check.saw(format!("{what}: {} by {}", doubt.verdict.words(), doubt.place));
    }
}

/// The range of a network.
fn network(address: u32, length: u32) -> Option<Range> {
    let host = match length {
        0 => u32::MAX,
        1..=31 => (1 << (32 - length)) - 1,
        32 => 0,
        _ => return None,
    };
    Some((address & !host, address | host))
}

/// Protocols that rules of VPN hosts name; others by number.
fn protocol(name: &str) -> Option<u32> {
    Some(match name.to_ascii_lowercase().as_str() {
        "icmp" => 1,
        "igmp" => 2,
        "ipencap" | "ipip" => 4,
        "tcp" => 6,
        "udp" => 17,
        "dccp" => 33,
        "ipv6" => 41,
        "gre" => 47,
        "esp" => 50,
        "ah" => 51,
        "icmpv6" | "ipv6-icmp" => 58,
        "ospf" => 89,
        "vrrp" => 112,
        "l2tp" => 115,
        "sctp" => 132,
        "udplite" => 136,
        other => return other.parse().ok().filter(|number| *number <= 255),
    })
}

/// Ports by name as nft and iptables write them when asked to; ours has one.
fn port(name: &str) -> Option<u32> {
    match name {
        "pptp" => Some(1723),
        "ssh" => Some(22),
        "domain" => Some(53),
        "http" => Some(80),
        "https" => Some(443),
        "radius" => Some(1812),
        other => other.parse::<u16>().ok().map(u32::from),
    }
}

/// Bits of TCP's flags (RFC 9293, section 3.1).
fn tcp_flag(name: &str) -> Option<u8> {
    Some(match name.to_ascii_lowercase().as_str() {
        "fin" => 0x01,
        "syn" => 0x02,
        "rst" => 0x04,
        "psh" => 0x08,
        "ack" => 0x10,
        "urg" => 0x20,
        "ecn" => 0x40,
        "cwr" => 0x80,
        _ => return None,
    })
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
