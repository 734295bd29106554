//! What this host, and several calls together, show.

use pptpscope_common::drop::Reason;

use super::control::NOTHING_SAID;
use super::times;
use crate::event::session::Cause;
use crate::finding::clock::LogClock;
use crate::finding::dossier::Dossier;
use crate::finding::fact::Reading;
use crate::finding::history::History;

/// Calls of one client that end within ten minutes, and are no chance any more.
const ENOUGH_ENDS: usize = 5;
/// A call that was up longer than this is none of a flapping client.
const SHORT_NS: u64 = 120_000_000_000;
/// Connections without a word that make a scanner.
const ENOUGH_CONNECTS: u32 = 3;

/// Packets without a reason that are no error of counting.
const ENOUGH_MISSING: u64 = 10;

facts! { Dossier;
    NO_LISTENER: Kernel, "nobody listens on port 1723 of this host" => |call| {
        let dropped = call.traffic.drops_of(Reason::NoListener);
        Reading::of(dropped.map(|dropped| (dropped.reports.first, format!("{} segments", dropped.packets))))
    };
    SYN_DROPPED: Kernel, "a firewall rule of this host drops segments of port 1723" => |call| {
        let dropped = call.traffic.drops_of(Reason::NetfilterDrop).filter(|dropped| {
            dropped.stage == Some(crate::event::drop::DropStage::Control)
        });
        Reading::of(dropped.map(|dropped| (dropped.reports.first, format!("{} segments", dropped.packets))))
    };
    UNACCOUNTED: Kernel, "packets of the call are missing between two stages of this host without a reason" => |call| {
        let gap = call.told.gap().filter(|gap| gap.missing >= ENOUGH_MISSING && gap.missing * 100 >= gap.of);
        Reading::of(gap.map(|gap| {
            let stage = format!("{:?}", gap.stage).to_lowercase();
            (gap.at, format!("{} of {} packets behind {stage}", gap.missing, gap.of))
        }))
    };
    FAILED: Control, "the call ended without ever being up" => |call| {
        if !call.sources.wire {
            let began = call.logs.first(&["pppd.connect", "accel-ppp.connect"]);
            let up = call.logs.first(&["pppd.local_ip_address", "pppd.remote_ip_address"]);
            let cause = call.logs.first_cause();
            let at = cause.or(began).map(|line| line.at);
            let is_so = call.over && (cause.is_some() || (began.is_some() && up.is_none()));
            return Reading::of(at.filter(|_| is_so).map(|at| (at, String::new())));
        }
        let nobodys_fault = call.ending.is_some_and(|end| {
            matches!(end.cause, Cause::Evicted | Cause::ConnectionReused | Cause::CallIdReused)
        });
        let is_so = call.over && call.failed() && call.is_whole() && !nobodys_fault && !NOTHING_SAID.read(call).is_seen();
        Reading::of(call.ending.filter(|_| is_so).map(|end| {
            (end.at, format!("{:?} in phase {:?}", end.cause, end.phase).to_lowercase())
        }))
    };
}

facts! { History;
    CALLS_END_AGAIN_AND_AGAIN: History, "calls of the client end again and again" => |history| {
        let recent: Vec<_> = history.recent().filter(|ended| ended.up_ns < SHORT_NS).collect();
        let Some(first) = recent.first().filter(|_| recent.len() >= ENOUGH_ENDS) else { return Reading::Silent };
        let causes: std::collections::BTreeSet<_> = recent.iter().filter_map(|ended| ended.cause).collect();
        let causes: Vec<_> = causes.into_iter().collect();
        let causes = if causes.is_empty() { String::new() } else { format!(", because of {}", causes.join(", ")) };
        let minutes = history.now.ns_since(first.at) as f64 / 60e9;
        Reading::of(Some((first.at, format!("{} calls in {minutes:.1} min{causes}", recent.len()))))
    };
    BARE_CONNECTS: History, "connections to port 1723 without a word" => |history| {
        let enough = history.bare.count >= ENOUGH_CONNECTS;
        Reading::of(enough.then(|| (history.bare.first, times(&history.bare, "connection"))))
    };
    NOT_PPTP_LOGGED: History, "the daemon was sent something that is not PPTP" => |history| {
        let tally = &history.not_pptp_logged;
        Reading::of(tally.any().then(|| (tally.first, times(tally, "line"))))
    };
}

facts! { LogClock;
    CLOCK_OFF: Log, "what log and packets both tell of has two times" => |clock| {
        let words = || format!("the log is {}, by {} events", clock.words(), clock.samples);
        Reading::of(clock.off_since.map(|since| (since, words())))
    };
}
