//! The books of a host that loses nothing.

use serde_json::Value;

use super::number;
use crate::events::Event;
use crate::truth::Truth;

/// Stages of which each must have seen every packet.
const STAGES: usize = 2;

/// Nothing was lost and nothing is missing, neither in the sums nor in any call; and the books were
/// really kept: what they say entered is the user traffic of the capture.
pub(super) fn healthy(events: &[Event], truth: &Truth) -> Result<String, String> {
    let stop = events.iter().rfind(|event| event.name == "agent.stop").ok_or("there is no agent.stop")?;
    let mut problems = Vec::new();
    for (pointer, what) in [
        ("/status/drops/harmful", "harmful drops"),
        ("/status/drops/unbooked", "unbooked drops"),
        ("/status/books/unaccounted", "unaccounted packets"),
    ] {
        match number(stop.body(), pointer) {
            Some(0) => {}
            Some(count) => problems.push(format!("{count} {what}")),
            None => problems.push(format!("agent.stop has no {pointer}")),
        }
    }
    if let Some(armed) = events.iter().find(|event| event.name == "agent.armed")
        && armed.body()["reason"] == "unaccounted"
    {
        problems.push(format!("probes were armed: {}", armed.value));
    }
    let books: Vec<&Event> = events.iter().filter(|event| event.name == "books").collect();
    for event in &books {
        for side in ["received", "sent"] {
            let unaccounted = event.body()[side]["unaccounted"].as_u64();
            if unaccounted.is_some_and(|count| count > 0) {
                problems.push(format!("line {}: {side}: {unaccounted:?} unaccounted", event.line));
            }
        }
    }
    let finals: Vec<&Value> =
        books.iter().map(|event| event.body()).filter(|body| body["final"] == true).collect();
    let mut shown = Vec::new();
    for body in &finals {
        for side in ["received", "sent"] {
            let stages = body[side]["stages"].as_array().map_or(&[][..], Vec::as_slice);
            if stages.len() < STAGES {
                problems.push(format!("{side}: only {} stages are counted: {body}", stages.len()));
            }
            if body[side]["in_transit"] != 0 {
                problems.push(format!("{side}: the call ended with packets in transit: {}", body[side]));
            }
            let packets = stages.first().and_then(|stage| stage["packets"].as_u64()).unwrap_or(0);
            shown.push(format!("{packets} {side}"));
        }
    }
    let calls = || truth.calls.iter().filter(|call| call.in_window);
    let carried = [
        ("received", calls().map(|call| call.from_client.data()).sum::<u64>()),
        ("sent", calls().map(|call| call.from_server.data()).sum()),
    ];
    for (side, captured) in carried {
        let found = number(stop.body(), &format!("/status/books/{side}")).unwrap_or(0);
        if found != captured {
            problems.push(format!("status.books.{side} is {found}, the capture has {captured}"));
        }
    }
    if problems.is_empty() { Ok(shown.join(", ")) } else { Err(problems.join("; ")) }
}
