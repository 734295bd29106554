//! Everything the agent said, against everything that happened.

use serde_json::{Value, json};

use super::number;
use crate::events::{self, Event, Session};
use crate::payload::Acks;
use crate::pppd::Link;
use crate::truth::{Call, Direction, Truth};

/// What names a call: client, server, the client's call id, the server's.
type CallName = (String, String, u64, Option<u64>);

/// Samples from which on their mean is compared.
const MANY: u64 = 20;

fn call_name(call: &Call) -> CallName {
    let ids = (u64::from(call.client_call_id), call.server_call_id.map(u64::from));
    (call.client.to_string(), call.server.to_string(), ids.0, ids.1)
}

fn session_name(session: &Session) -> Option<CallName> {
    Some((session.client.clone()?, session.server.clone()?, session.client_call_id?, session.server_call_id))
}

fn show((client, server, client_call_id, server_call_id): &CallName) -> String {
    let id = server_call_id.map_or("none".to_owned(), |id| id.to_string());
    format!("{client} ({client_call_id}) - {server} ({id})")
}

/// Pairs each call of the window with the agent's session of the same name; of several with one name
/// the first with the first. Returns the pairs and what is left on either side.
fn pair<'a>(
    sessions: &'a [Session],
    truth: &'a Truth,
) -> (Vec<(&'a Call, &'a Session)>, Vec<&'a Call>, Vec<&'a Session>) {
    let mut left: Vec<&Session> = sessions.iter().filter(|session| session.is_call()).collect();
    let (mut pairs, mut unknown) = (Vec::new(), Vec::new());
    for call in truth.calls.iter().filter(|call| call.in_window) {
        let name = call_name(call);
        match left.iter().position(|session| session_name(session).as_ref() == Some(&name)) {
            Some(index) => pairs.push((call, left.remove(index))),
            None => unknown.push(call),
        }
    }
    (pairs, unknown, left)
}

/// The sessions that have a call are the calls of the capture.
pub(super) fn calls(events: &[Event], truth: &Truth) -> Result<String, String> {
    let sessions = events::sessions(events);
    let (pairs, unknown, invented) = pair(&sessions, truth);
    let mut problems: Vec<String> = Vec::new();
    for call in unknown {
        problems.push(format!("no session is the call {}", show(&call_name(call))));
    }
    for session in invented {
        let name = session_name(session).map_or_else(|| format!("{session:?}"), |name| show(&name));
        problems.push(format!("session {} is no call of the capture: {name}", session.id));
    }
    if pairs.is_empty() && problems.is_empty() {
        problems.push("neither the capture nor the events have a call".into());
    }
    if problems.is_empty() { Ok(format!("{} calls", pairs.len())) } else { Err(problems.join("; ")) }
}

/// The last `gre.stats` of each session are the packets of its call, and fragments that are nobody's
/// are counted as such.
pub(super) fn gre(events: &[Event], truth: &Truth) -> Result<String, String> {
    let sessions = events::sessions(events);
    let (pairs, unknown, _) = pair(&sessions, truth);
    let mut problems: Vec<String> = Vec::new();
    let (mut compared, mut packets) = (0, 0);
    for call in unknown {
        problems.push(format!("no session is the call {}", show(&call_name(call))));
    }
    for (call, session) in pairs {
        let carried = call.from_client.packets + call.from_server.packets;
        let Some(stats) = &session.gre_stats else {
            if carried > 0 {
                let name = show(&call_name(call));
                problems.push(format!("no gre.stats of {name}, which carried {carried} packets"));
            }
            continue;
        };
        compared += 1;
        packets += carried;
        for (name, direction) in [("from_client", &call.from_client), ("from_server", &call.from_server)] {
            for difference in differences(&stats[name], direction, session.is_met) {
                problems.push(format!("{} {name}.{difference}", show(&call_name(call))));
            }
        }
    }
    if let Some(stop) = events.iter().rfind(|event| event.name == "agent.stop") {
        let unmatched = number(stop.body(), "/status/refused/fragment_unmatched");
        let wanted = truth.unmatched_fragments;
        if unmatched != Some(wanted) {
            let shown = unmatched.map_or("absent".to_owned(), |found| found.to_string());
            problems.push(format!("status.refused.fragment_unmatched is {shown}, the capture has {wanted}"));
        }
    }
    if compared == 0 && problems.is_empty() {
        problems.push("there was nothing to compare".into());
    }
    if problems.is_empty() {
        Ok(format!("{packets} packets in {compared} sessions"))
    } else {
        Err(problems.join("; "))
    }
}

/// Counters in which the agent differs from the capture. A direction that the agent leaves out is one
/// without packets.
fn differences(stats: &Value, direction: &Direction, is_met: bool) -> Vec<String> {
    if stats.is_null() && *direction == Direction::default() {
        return Vec::new();
    }
    let books = &direction.books;
    let counters = [
        ("packets", direction.packets),
        ("bytes", direction.bytes),
        ("ack_only", direction.ack_only),
        ("fragments", direction.fragments),
        ("received", books.received),
        ("lost", books.lost),
        ("missing", books.missing),
        ("reordered", books.reordered),
        ("late", books.late),
        ("duplicate", books.duplicate),
    ];
    let differs = |&(name, wanted): &(&str, u64)| {
        let found = stats[name].as_u64();
        let shown = found.map_or("absent".to_owned(), |found| found.to_string());
        (found != Some(wanted)).then(|| format!("{name} is {shown}, the capture has {wanted}"))
    };
    let mut all: Vec<String> = counters.iter().filter_map(differs).collect();
    all.extend(payload_differences(stats, direction));
    all.extend(round_trip_difference(&stats["ack_rtt"], &direction.acks, is_met));
    all
}

/// Payloads: to the packet.
fn payload_differences(stats: &Value, direction: &Direction) -> Vec<String> {
    let payloads = &direction.payloads;
    let mppe = &payloads.mppe;
    let zero = |found: &Value| if found.is_null() { json!(0) } else { found.clone() };
    let wanted = [
        ("payload_lengths", stats["payload_lengths"].clone(), json!(payloads.lengths)),
        ("cleartext", stats["cleartext"].clone(), json!(payloads.cleartext)),
        ("mppe.frames", zero(&stats["mppe"]["frames"]), json!(mppe.frames)),
        ("mppe.unencrypted", zero(&stats["mppe"]["unencrypted"]), json!(mppe.unencrypted)),
        ("mppe.flushed", zero(&stats["mppe"]["flushed"]), json!(mppe.flushed)),
        ("mppe.gaps", zero(&stats["mppe"]["gaps"]), json!(mppe.gaps)),
        ("mppe.skipped", zero(&stats["mppe"]["skipped"]), json!(mppe.skipped)),
        ("mppe.behind", zero(&stats["mppe"]["behind"]), json!(mppe.behind)),
    ];
    let differs = |(name, found, wanted): (&str, Value, Value)| {
        (found != wanted).then(|| format!("{name} is {found}, the capture has {wanted}"))
    };
    wanted.into_iter().filter_map(differs).collect()
}

/// Round trips. The two hooks of the agent and the capture are at three places, so that packets that
/// cross each other may be in another order: the number of samples is the same within 2 % and a few,
/// and so is the mean time within a quarter and 0.5 ms.
///
/// Of a call that the agent met in mid-call it has none before it knows which flows belong together:
/// fewer are as good, but not none of [`MANY`].
fn round_trip_difference(found: &Value, acks: &Acks, is_met: bool) -> Option<String> {
    let of = |name: &str| found[name].as_u64().unwrap_or(0);
    let near = |one: u64, other: u64, slack: u64| one.abs_diff(other) <= slack;
    let mean = |sum: u64, samples: u64| sum.checked_div(samples).unwrap_or(0);
    let (samples, sum) = (acks.samples, acks.sum_ns.cast_unsigned());
    let (here, there) = (mean(of("sum_ns"), of("samples")), mean(sum, samples));
    let slack = 5 + samples / 50;
    let are_enough = if is_met {
        of("samples") <= samples + slack && (samples < MANY || of("samples") > 0)
    } else {
        near(of("samples"), samples, slack)
    };
    let fine = are_enough
        && near(of("timeouts"), acks.timeouts, 1)
        && (of("samples").min(samples) < MANY || near(here, there, 500_000 + there / 4));
    let shown = format!(
        "ack_rtt is {} samples of {here} ns and {} timeouts, the capture has {samples} of {there} ns and {}",
        of("samples"),
        of("timeouts"),
        acks.timeouts
    );
    (!fine).then_some(shown)
}

/// Every link that came up has one `session.up` with what pppd logged, and there are no others.
pub(super) fn up(events: &[Event], links: &[Link]) -> Result<String, String> {
    let mut logged: Vec<Value> = links.iter().filter(|link| link.is_up()).map(link_facts).collect();
    let mut said: Vec<Value> =
        events.iter().filter(|event| event.name == "session.up").map(session_up_facts).collect();
    let both = logged.len();
    logged.retain(|link| match said.iter().position(|up| up == link) {
        Some(index) => {
            said.remove(index);
            false
        }
        None => true,
    });
    if both == 0 && said.is_empty() {
        return Err("pppd logged no link that came up, and there is no session.up".into());
    }
    let mut problems: Vec<String> = Vec::new();
    problems.extend(logged.iter().map(|link| format!("pppd logged {link}, no session.up says so")));
    problems.extend(said.iter().map(|up| format!("session.up says {up}, pppd logged no such link")));
    if problems.is_empty() { Ok(format!("{both} links")) } else { Err(problems.join("; ")) }
}

fn link_facts(link: &Link) -> Value {
    json!({
        "client": link.client,
        "user": link.user,
        "interface": link.interface,
        "server_address": link.local_address,
        "client_address": link.remote_address,
        "mppe": link.mppe,
    })
}

fn session_up_facts(event: &Event) -> Value {
    let up = event.body();
    let mppe = &up["mppe"];
    json!({
        "client": event.value["session"]["client"],
        "user": up["user"],
        "interface": up["interface"],
        "server_address": up["server_address"],
        "client_address": up["client_address"],
        "mppe": if mppe.is_null() {
            Value::Null
        } else {
            json!({ "bits": mppe["bits"], "stateful": mppe["stateful"] })
        },
    })
}

/// Segments of port 1723 that `control.abuse` says were over the limit of their address.
fn limited(events: &[Event]) -> u64 {
    events
        .iter()
        .filter_map(|event| number(event.body(), "/limited").filter(|_| event.name == "control.abuse"))
        .sum()
}

/// The books of the ring balance, and are the segments and frames of the capture. So no data packet
/// has made a record, and what the limits held back is told.
pub(super) fn ring(events: &[Event], truth: &Truth) -> Result<String, String> {
    let stop = events.iter().rfind(|event| event.name == "agent.stop").ok_or("no agent.stop")?;
    let mut problems = Vec::new();
    let mut shown = Vec::new();
    let kinds = [
        ("control", truth.control_segments, "TCP segments of port 1723"),
        ("ppp", truth.negotiation_frames, "PPP negotiation frames"),
    ];
    for (kind, captured, what) in kinds {
        let count = |name: &str| {
            number(stop.body(), &format!("/status/ring/{kind}/{name}"))
                .ok_or_else(|| format!("agent.stop has no status.ring.{kind}.{name}"))
        };
        let (seen, submitted) = (count("seen")?, count("submitted")?);
        let (ring_full, suppressed) = (count("ring_full")?, count("suppressed")?);
        if seen != submitted + ring_full + suppressed {
            problems.push(format!(
                "{kind}: seen {seen} is not submitted {submitted} + ring_full {ring_full} + suppressed {suppressed}"
            ));
        }
        if ring_full != 0 {
            problems.push(format!("{kind}: the ring was full {ring_full} times"));
        }
        if seen != captured {
            problems.push(format!("{kind}: seen {seen}, the capture has {captured} {what}"));
        }
        let told = if kind == "control" { limited(events) } else { 0 };
        if suppressed != told {
            problems.push(format!("{kind}: suppressed {suppressed}, control.abuse tells of {told}"));
        }
        shown.push(format!("{submitted} {kind}"));
    }
    if problems.is_empty() { Ok(shown.join(", ")) } else { Err(problems.join("; ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_those_of_the_capture_and_fewer_of_a_call_met() {
        let mut acks = Acks::default();
        (acks.samples, acks.sum_ns) = (40, 40_000_000);
        let differs = |samples: u64, mean_ns: u64, is_met: bool| {
            let found = json!({ "samples": samples, "timeouts": 0, "sum_ns": samples * mean_ns });
            round_trip_difference(&found, &acks, is_met).is_some()
        };
        assert!(!differs(40, 1_000_000, false) && !differs(36, 1_200_000, false));
        assert!(
            differs(30, 1_000_000, false) && differs(50, 1_000_000, false) && differs(40, 2_000_000, false)
        );
        assert!(!differs(1, 1_000_000, true) && !differs(30, 1_000_000, true));
        assert!(differs(0, 0, true) && differs(50, 1_000_000, true) && differs(30, 2_000_000, true));
        let late = json!({ "samples": 40, "timeouts": 3, "sum_ns": 40_000_000 });
        assert!(round_trip_difference(&late, &acks, false).is_some());
    }
}
