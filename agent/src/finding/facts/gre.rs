//! What GRE packets show, and what became of them.

use pptpscope_common::drop::Reason;

use crate::event::Party;
use crate::event::gre::{OneWay, OneWayState};
use crate::finding::dossier::{Dossier, Loss, Sums};
use crate::finding::fact::Reading;
use crate::time::Timestamp;

/// Losses below this share, in thousandths, are everyday life of the Internet.
const LOSS_PER_MILLE: u64 = 10;
/// Fewer packets than this make no share.
const ENOUGH_PACKETS: u64 = 200;
/// Fewer lost ones than this are chance.
const ENOUGH_LOST: u64 = 10;
/// Coherency counts of MPPE before they come again (RFC 3078, section 3).
const COHERENCY_COUNTS: u64 = 4096;
/// Reordering and duplication that an application may feel, in thousandths.
const DISORDER_PER_MILLE: u64 = 20;

fn dropped(call: &Dossier, reasons: &[Reason]) -> Reading {
    let found = reasons.iter().find_map(|reason| Some((reason, call.traffic.drops_of(*reason)?)));
    Reading::of(found.map(|(reason, dropped)| {
        let place = dropped.location.as_deref().map_or(String::new(), |place| format!(" at {place}"));
        let kernel = dropped
            .kernel_reason
            .as_deref()
            .map_or(String::new(), |reason| format!(", kernel reason {reason}"));
        let detail = format!("{} {} ({}){place}{kernel}", dropped.packets, reason.name(), reason.condition());
        (dropped.reports.first, detail)
    }))
}

fn loss(loss: Loss) -> bool {
    loss.of >= ENOUGH_PACKETS && loss.packets >= ENOUGH_LOST && loss.per_mille() >= LOSS_PER_MILLE
}

fn worst_loss(call: &Dossier) -> Option<(Party, Loss)> {
    [Party::Client, Party::Server]
        .into_iter()
        .map(|party| (party, call.traffic.loss(party)))
        .filter(|(_, of)| loss(*of))
        .max_by_key(|(_, loss)| loss.per_mille())
}

/// The direction with the highest share of `count`, and what it is, where it matters.
fn disorder(call: &Dossier, count: fn(&Sums) -> u64) -> Option<(Party, u64, u64)> {
    [Party::Client, Party::Server]
        .into_iter()
        .map(|party| {
            let sums = call.traffic.of(party);
            (party, count(&sums), sums.received)
        })
        .filter(|(_, number, of)| {
            *of >= ENOUGH_PACKETS && *number >= ENOUGH_LOST && number * 1000 / of >= DISORDER_PER_MILLE
        })
        .max_by_key(|(_, number, of)| number * 1000 / of)
}

/// What was told of a client that had been heard and fell silent.
fn silence(call: &Dossier, state: OneWayState) -> Option<&(Timestamp, OneWay)> {
    let is_it = |told: &OneWay| told.silent == Party::Client && told.was_heard && told.state == state;
    call.told.one_way.as_ref().filter(|(_, told)| is_it(told))
}

fn share(number: u64, of: u64, party: Party, what: &str) -> String {
    let percent = number as f64 * 100.0 / of.max(1) as f64;
    format!("{number} of {of} packets from {} {what} ({percent:.1} %)", crate::finding::dossier::the(party))
}

facts! { Dossier;
    ANY_FROM_CLIENT: Gre, "GRE comes from the client" => |call| {
        let any = call.traffic.of(Party::Client).packets > 0 || call.lcp.frames.client.any();
        Reading::flag(any, call.lcp.frames.client.since())
            .unless_blind(call.beginning_unseen())
    };
    ANY_FROM_SERVER: Gre, "GRE comes from the server" => |call| {
        let any = call.traffic.of(Party::Server).packets > 0 || call.lcp.frames.server.any();
        Reading::flag(any, call.lcp.frames.server.since())
            .unless_blind(call.beginning_unseen())
    };
    DROPPED_BY_FIREWALL: Kernel, "a firewall rule of this host drops the call's GRE" => |call| {
        dropped(call, &[Reason::NetfilterDrop])
    };
    NOT_LOST_HERE: Kernel, "the kernel of this host has dropped none of it" => |call| {
        Reading::flag(call.sources.kernel && !call.traffic.drops.keys().any(|reason| reason.is_harmful()), None)
    };
    LOST_HERE: Kernel, "the kernel of this host has dropped packets of the call" => |call| {
        let lost: Vec<_> = call.traffic.drops.iter().filter(|(reason, _)| reason.is_harmful()).collect();
        let first = lost.iter().map(|(_, dropped)| dropped.reports.first).min();
        let words: Vec<String> = lost.iter().map(|(reason, dropped)| format!("{} {}", dropped.packets, reason.name())).collect();
        Reading::of(first.map(|first| (first, words.join(", "))))
    };
    NO_RECEIVER_HERE: Kernel, "nobody on this host takes the call's GRE: the client is told protocol unreachable" => |call| {
        dropped(call, &[Reason::NoReceiver, Reason::GreNoHandler])
    };
    SOCKET_FULL: Kernel, "the daemon's GRE socket is full" => |call| {
        dropped(call, &[Reason::RawSocketFull, Reason::PptpBacklog])
    };
    UNKNOWN_CALL: Kernel, "GRE of the client's address has a call id that no call has" => |call| {
        dropped(call, &[Reason::PptpUnknownCall])
    };
    OLD_SEQUENCE: Kernel, "pptp.ko discards what comes late" => |call| {
        dropped(call, &[Reason::PptpOldSequence])
    };
    IP_REFUSED: Kernel, "the IPv4 layer of this host refuses the call's GRE" => |call| {
        dropped(call, &[Reason::IpRefused])
    };
    RP_FILTER: Kernel, "the reverse path filter of this host drops the call's GRE" => |call| {
        let dropped = call.traffic.drops_of(Reason::IpRefused);
        let is_so = dropped.and_then(|dropped| dropped.kernel_reason.as_deref()).is_some_and(|reason| reason.contains("RPFILTER"));
        Reading::flag(is_so, dropped.map(|dropped| dropped.reports.first))
    };
    NO_ROUTE: Kernel, "this host has no route to the client" => |call| dropped(call, &[Reason::NoRoute, Reason::PptpNotSent]);
    QUEUE_FULL: Kernel, "a queue of this host is full" => |call| dropped(call, &[Reason::QueueFull, Reason::CpuBacklog]);
    REASSEMBLY_FAILED: Kernel, "fragments of the call's GRE do not become whole" => |call| {
        dropped(call, &[Reason::ReassemblyFailed])
    };
    ICMP_ERROR: Icmp, "an ICMP error came back for the call's GRE: the daemon's next read fails" => |call| {
        match &call.told.icmp_error {
            Some(told) => Reading::of(Some(told.clone())),
            // A router that says what fits ends no tunnel by that alone.
            None if call.told.path_mtu.is_some() => Reading::Silent,
            None => dropped(call, &[Reason::IcmpError]),
        }
    };
    TOO_LARGE: Icmp, "a router says that a packet of the call does not fit" => |call| {
        Reading::of(call.told.path_mtu.map(|(at, mtu, router)| (at, format!("{router} takes {mtu} bytes"))))
    };
    FRAGMENTATION_NEEDED_ENDS: Icmp, "the daemon's next read fails because of it" => |call| {
        let too_large = call.told.path_mtu.is_some();
        if too_large { dropped(call, &[Reason::IcmpError]) } else { Reading::Silent }
    };
    CLIENT_FELL_SILENT: Gre, "the server sends on, and nothing comes from the client any more" => |call| {
        Reading::of(silence(call, OneWayState::Begun).map(|(_, told)| {
            (told.since, format!("{} packets of the server in {} s", told.packets, told.duration_ns / 1_000_000_000))
        }))
    };
    CLIENT_IS_BACK: Gre, "the client is heard again" => |call| {
        Reading::of(silence(call, OneWayState::Ended).map(|(at, told)| {
            (*at, format!("after {} s", told.duration_ns / 1_000_000_000))
        }))
    };
    CONNTRACK_FULL: Kernel, "connection tracking of this host refuses the call's GRE: its table is full" => |call| {
        dropped(call, &[Reason::ConntrackFull])
    };
    INTERFACE_DOWN: Kernel, "the ppp interface was taken down" => |call| dropped(call, &[Reason::PppInterfaceDown]);
    PPPD_DOES_NOT_READ: Kernel, "pppd does not read its frames" => |call| {
        dropped(call, &[Reason::PppChannelQueueFull, Reason::PppUnitQueueFull])
    };
    LINK_DAMAGED: Kernel, "frames are damaged between the daemon and pppd" => |call| {
        dropped(call, &[Reason::PppLinkError])
    };
    LOST: Gre, "packets are lost on the way here" => |call| {
        Reading::of(worst_loss(call).map(|(party, loss)| {
            (call.traffic.counted_at, share(loss.packets, loss.of, party, "lost"))
        }))
    };
    OUT_OF_STEP: Gre, "more packets are lost than the coherency count of MPPE can tell" => |call| {
        let most = [Party::Client, Party::Server].map(|party| call.traffic.of(party).lost).into_iter().max();
        let most = most.filter(|lost| *lost >= COHERENCY_COUNTS);
        Reading::of(most.map(|lost| (call.traffic.counted_at, format!("{lost} packets are lost"))))
    };
    REORDERED: Gre, "packets arrive out of order" => |call| {
        Reading::of(disorder(call, |sums| sums.reordered).map(|(party, number, of)| {
            (call.traffic.counted_at, share(number, of, party, "out of order"))
        }))
    };
    DUPLICATED: Gre, "packets arrive twice" => |call| {
        Reading::of(disorder(call, |sums| sums.duplicate).map(|(party, number, of)| {
            (call.traffic.counted_at, share(number, of, party, "twice"))
        }))
    };
    FRAGMENTED: Gre, "GRE packets of the call are fragmented" => |call| {
        let of = |party| call.traffic.of(party).fragments;
        let (client, server) = (of(Party::Client), of(Party::Server));
        let is_so = client + server >= ENOUGH_LOST;
        Reading::of(is_so.then(|| (call.traffic.counted_at, format!("{client} fragments from the client, {server} from the server"))))
    };
    ONE_SIDED_LOOP: Gre, "the server sends much into the tunnel and nothing comes back" => |call| {
        let (sent, back) = (call.traffic.of(Party::Server), call.traffic.of(Party::Client));
        let is_so = call.up.is_some() && sent.packets > 1000 && back.packets * 100 < sent.packets;
        Reading::of(is_so.then(|| (call.traffic.counted_at, format!("{} packets out, {} in", sent.packets, back.packets))))
    };
}
