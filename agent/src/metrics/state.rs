//! The agent's own state as metrics, made when somebody asks.

use std::collections::HashMap;

use super::book::Book;
use super::{Error, word};
use crate::event::agent::{Account, ProbeState, Status};
use crate::kernel::Load;

fn one(label: &str) -> [String; 1] {
    [label.to_owned()]
}

fn two(label: &str, other: &str) -> [String; 2] {
    [label.to_owned(), other.to_owned()]
}

fn yes(is: bool) -> f64 {
    if is { 1.0 } else { 0.0 }
}

/// `status`, how many calls are in which phase, and what watching takes in the kernel.
pub(super) fn book(status: &Status, phases: &HashMap<String, u64>, load: &Load) -> Result<Book, Error> {
    let mut book = Book::default();
    own(&mut book, status)?;
    kernel(&mut book, status)?;
    surroundings(&mut book, status)?;
    costs(&mut book, load)?;
    book.values(
        "calls",
        "Calls that are open, by phase.",
        ["phase"],
        phases.iter().map(|(phase, count)| (one(phase), *count as f64)),
    )?;
    Ok(book)
}

fn costs(book: &mut Book, load: &Load) -> Result<(), Error> {
    let programs = || load.programs.iter();
    book.sums(
        "program_runs_total",
        "Times that a program ran in the kernel, while kernel.bpf_stats_enabled is 1.",
        ["program"],
        programs().map(|program| (one(&program.name), program.count)),
    )?;
    book.amounts(
        "program_run_seconds_total",
        "How long it ran in all, while kernel.bpf_stats_enabled is 1. The measuring costs as well.",
        ["program"],
        programs().map(|program| (one(&program.name), program.time.as_secs_f64())),
    )?;
    book.values(
        "ring_used_bytes",
        "Most that was in the ring during the last second, when the agent came to read it.",
        [],
        load.ring.map(|level| ([], level.recent as f64)),
    )?;
    book.values(
        "ring_highest_bytes",
        "Most that was in the ring since the start.",
        [],
        load.ring.map(|level| ([], level.highest as f64)),
    )?;
    book.values(
        "ring_limit_bytes",
        "What the ring holds.",
        [],
        (load.ring_bytes > 0).then_some(([], load.ring_bytes as f64)),
    )
}

fn own(book: &mut Book, status: &Status) -> Result<(), Error> {
    book.values(
        "info",
        "Always 1; the version is a label.",
        ["version"],
        [(one(env!("CARGO_PKG_VERSION")), 1.0)],
    )?;
    book.values(
        "uptime_seconds",
        "Time since the agent began to watch.",
        [],
        [([], status.uptime_ns as f64 / 1e9)],
    )?;
    book.values(
        "process_resident_memory_bytes",
        "Resident memory of the agent.",
        [],
        status.rss_bytes.map(|bytes| ([], bytes as f64)),
    )?;
    let losses = [
        ("ring", "control", status.ring.control.ring_full),
        ("ring", "ppp", status.ring.ppp.ring_full),
        ("ring", "icmp", status.ring.icmp.ring_full),
        ("ring", "radius", status.ring.radius.ring_full),
        ("flows", "", status.refused.flows_full),
        ("sessions", "", status.sessions_evicted),
        ("netlink", "", status.netlink_overruns),
        ("decode", "", status.undecodable),
        ("drops", "", status.drops.unbooked),
    ];
    let sinks = status.sinks.iter().map(|sink| (two("output", &sink.name), sink.dropped));
    book.sums(
        "losses_total",
        "What the agent itself lost, by stage and kind; agent.loss tells each.",
        ["stage", "kind"],
        losses.map(|(stage, kind, lost)| (two(stage, kind), lost)).into_iter().chain(sinks),
    )?;
    let tables = [("flows", &status.flows), ("units", &status.units), ("sessions", &status.sessions)];
    book.values(
        "table_entries",
        "Entries in use of a bounded table.",
        ["table"],
        tables.map(|(name, table)| (one(name), table.used as f64)),
    )?;
    book.values(
        "table_limit",
        "Entries that a bounded table can hold.",
        ["table"],
        tables.map(|(name, table)| (one(name), table.limit as f64)),
    )?;
    let sinks = || status.sinks.iter();
    book.sums(
        "sink_events_total",
        "Events by sink and what became of them.",
        ["sink", "result"],
        sinks().flat_map(|sink| {
            [(two(&sink.name, "written"), sink.written), (two(&sink.name, "dropped"), sink.dropped)]
        }),
    )?;
    book.values(
        "sink_waiting_events",
        "Events that wait for the receiver of a sink.",
        ["sink"],
        sinks().map(|sink| (one(&sink.name), sink.waiting as f64)),
    )?;
    book.values(
        "sink_spooled_events",
        "Of these, the ones on disk, where they outlast the agent.",
        ["sink"],
        sinks().map(|sink| (one(&sink.name), sink.spooled as f64)),
    )?;
    book.values(
        "sink_up",
        "Whether a sink delivers.",
        ["sink"],
        sinks().map(|sink| (one(&sink.name), yes(sink.error.is_none()))),
    )
}

fn kernel(book: &mut Book, status: &Status) -> Result<(), Error> {
    let kinds = [
        ("control", &status.ring.control),
        ("ppp", &status.ring.ppp),
        ("icmp", &status.ring.icmp),
        ("radius", &status.ring.radius),
    ];
    book.sums(
        "ring_packets_total",
        "Packets that had something to tell, by kind: submitted, ring_full and suppressed add up to them.",
        ["kind"],
        kinds.map(|(kind, account)| (one(kind), account.seen)),
    )?;
    let results = |(kind, account): (&str, &Account)| {
        [
            (two(kind, "submitted"), account.submitted),
            (two(kind, "ring_full"), account.ring_full),
            (two(kind, "suppressed"), account.suppressed),
        ]
    };
    book.sums(
        "ring_results_total",
        "What became of them: submitted, ring_full (lost), suppressed (beyond the limit of an address).",
        ["kind", "result"],
        kinds.into_iter().flat_map(results),
    )?;
    book.sums(
        "ring_truncated_total",
        "Records that were cut.",
        ["kind"],
        kinds.map(|(kind, account)| (one(kind), account.truncated)),
    )?;
    let refused = &status.refused;
    let reasons = [
        ("short", refused.short),
        ("version_0", refused.version_0),
        ("version_unknown", refused.version_unknown),
        ("not_pptp", refused.not_pptp),
        ("flows_full", refused.flows_full),
        ("fragment_unmatched", refused.fragment_unmatched),
    ];
    book.sums(
        "refused_packets_total",
        "GRE packets that were not booked on a call, by reason.",
        ["reason"],
        reasons.map(|(reason, packets)| (one(reason), packets)),
    )?;
    let states = [
        ProbeState::Attached,
        ProbeState::Waiting,
        ProbeState::Refused,
        ProbeState::Disabled,
        ProbeState::Idle,
    ];
    let count = |state| status.probes.iter().filter(|probe| probe.state == state).count();
    book.values(
        "probes",
        "Probes in the kernel's functions, by state.",
        ["state"],
        states.map(|state| ([word(&state)], count(state) as f64)),
    )?;
    book.values(
        "probe_attached",
        "Whether a probe looks, by its program and target.",
        ["probe", "target"],
        status
            .probes
            .iter()
            .map(|probe| (two(&probe.name, &probe.target), yes(probe.state == ProbeState::Attached))),
    )?;
    book.values(
        "probes_armed",
        "Whether the probes that fire for every packet are attached.",
        [],
        [([], yes(status.books.armed))],
    )?;
    let books = &status.books;
    book.sums(
        "books_packets_total",
        "User traffic that entered this host, of calls whose interface is known.",
        ["direction"],
        [(one("received"), books.received), (one("sent"), books.sent)],
    )?;
    book.values(
        "books_unaccounted_packets",
        "Packets that entered a stage, did not leave it, and whose loss nobody booked.",
        [],
        [([], books.unaccounted as f64)],
    )
}

fn surroundings(book: &mut Book, status: &Status) -> Result<(), Error> {
    let interfaces = status.interfaces.iter();
    book.values(
        "interface_watched",
        "Whether both directions of an interface are watched.",
        ["interface"],
        interfaces
            .map(|one_of| (one(&one_of.name), yes(one_of.ingress.is_some() && one_of.egress.is_some()))),
    )?;
    let logs = || status.logs.iter();
    book.sums(
        "log_lines_total",
        "Lines of followed logs, by what they were.",
        ["log", "result"],
        logs().flat_map(|log| {
            [
                (two(&log.name, "recognised"), log.recognised),
                (two(&log.name, "unknown"), log.unknown),
                (two(&log.name, "foreign"), log.foreign),
                (two(&log.name, "unreadable"), log.unreadable),
            ]
        }),
    )?;
    book.sums(
        "log_lost_bytes_total",
        "Bytes of followed logs that were gone before they were read.",
        ["log"],
        logs().map(|log| (one(&log.name), log.lost_bytes)),
    )?;
    book.values(
        "log_up",
        "Whether a followed log can be read.",
        ["log"],
        logs().map(|log| (one(&log.name), yes(log.problem.is_none()))),
    )?;
    book.values(
        "log_clock_offset_seconds",
        "Clock of the wire minus clock of the log.",
        ["log"],
        logs().filter_map(|log| Some((one(&log.name), log.clock_offset_ns? as f64 / 1e9))),
    )
}
