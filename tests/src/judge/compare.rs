//! Everything the agent said, against everything that happened.

use serde_json::{Value, json};

use super::number;
use crate::events::{self, Event, Session};
use crate::pppd::Link;
use crate::truth::{Call, Direction, Truth};

/// What names a call: client, server, the client's call id, the server's.
type CallName = (String, String, u64, Option<u64>);

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
            for difference in differences(&stats[name], direction) {
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
fn differences(stats: &Value, direction: &Direction) -> Vec<String> {
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
    counters.iter().filter_map(differs).collect()
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

/// The books of the ring balance, and are the segments and frames of the capture. So no data packet
/// has made a record.
pub(super) fn ring(events: &[Event], truth: &Truth) -> Result<String, String> {
    let stop = events.iter().rfind(|event| event.name == "agent.stop").ok_or("no agent.stop")?;
    let mut problems = Vec::new();
    let mut shown = Vec::new();
    let kinds = [
        ("control", truth.control_segments, "TCP segments of port 1723 with payload, SYN, FIN or RST"),
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
        if submitted != captured {
            problems.push(format!("{kind}: submitted {submitted}, the capture has {captured} {what}"));
        }
        shown.push(format!("{submitted} {kind}"));
    }
    if problems.is_empty() { Ok(shown.join(", ")) } else { Err(problems.join("; ")) }
}
