//! What came of each layer of a call, in a line each.

use serde::Serialize;

use super::words::{count, name, option, seconds};
use crate::event::Party;
use crate::event::auth::AuthResult;
use crate::event::echo::{Echo, EchoStats};
use crate::event::ppp::{Layer, Refused, Side, Summary};
use crate::event::radius::Exchange;

/// The layer's name, and how its negotiation went.
pub(super) fn layer(summary: &Summary) -> (&'static str, String) {
    match summary {
        Summary::Lcp(layer) => ("lcp", negotiation(layer)),
        Summary::Ccp(layer) => ("ccp", negotiation(layer)),
        Summary::Ipcp(layer) => ("ipcp", negotiation(layer)),
        Summary::Ipv6cp(layer) => ("ipv6cp", negotiation(layer)),
    }
}

fn negotiation<O: Serialize>(layer: &Layer<O>) -> String {
    let by = layer.by.map_or(String::new(), |party| format!(" by {}", name(party)));
    let outcome = name(layer.outcome).replace('_', " ");
    let mut words = vec![format!("{outcome}{by} after {}", seconds(layer.negotiation_ns))];
    words.extend([(Party::Client, &layer.client), (Party::Server, &layer.server)].map(|(party, side)| {
        let party = name(party);
        if side.requests == 0 {
            format!("{party} asked for nothing")
        } else {
            format!("{party} {}", asked(side))
        }
    }));
    words.join("; ")
}

fn asked<O: Serialize>(side: &Side<O>) -> String {
    let options: Vec<String> = side.offered.iter().map(value_of).collect();
    let agreed = if side.agreed { "agreed" } else { "not agreed" };
    let mut words = match options.is_empty() {
        true => vec![format!("defaults {agreed}")],
        false => vec![format!("{} {agreed}", options.join(", "))],
    };
    for (number, what) in
        [(side.retransmissions, "request repeated"), (side.unanswered, "request never answered")]
    {
        if number > 0 {
            words.push(format!("{what} {}", count(number.into(), "time")));
        }
    }
    words.extend(side.refused.iter().map(refused));
    words.join(", ")
}

fn refused<O: Serialize>(refused: &Refused<O>) -> String {
    match (&refused.offered, &refused.suggested) {
        (Some(offered), None) => format!("{} rejected", value_of(offered)),
        (Some(offered), Some(other)) => format!("{} refused for {}", value_of(offered), value_of(other)),
        (None, Some(wanted)) => format!("{} demanded", value_of(wanted)),
        (None, None) => String::new(),
    }
}

fn value_of(value: &impl Serialize) -> String {
    option(&serde_json::to_value(value).unwrap_or_default())
}

/// One proof of identity.
pub(super) fn authentication(result: &AuthResult) -> String {
    let mut words = vec![name(result.outcome).replace('_', " ")];
    words.extend(result.protocol.as_ref().map(name));
    words.extend(result.identity.clone());
    if let (Some(error), Some(code)) = (&result.error, result.error_code) {
        words.push(format!("error {code} {}", name(error)));
    }
    words.extend(result.message.as_ref().map(|message| format!("{message:?}")));
    words.extend(result.response_ns.map(|ns| format!("answered after {}", seconds(ns))));
    words.extend(result.result_ns.map(|ns| format!("decided after {}", seconds(ns))));
    words.join(", ")
}

/// One question to a RADIUS server.
pub(super) fn radius(exchange: &Exchange) -> String {
    let mut words = vec![format!(
        "{} to {}: {}",
        name(exchange.request),
        exchange.server,
        name(exchange.outcome).replace('_', " ")
    )];
    words.extend(exchange.latency_ns.map(|ns| format!("after {}", seconds(ns))));
    if exchange.retransmissions > 0 {
        words.push(format!("repeated {}", count(exchange.retransmissions.into(), "time")));
    }
    words.extend(exchange.facts.reply_message.as_ref().map(|message| format!("{message:?}")));
    words.join(", ")
}

/// Keep-alives of one kind, by who asked.
pub(super) fn keep_alive(echo: &Echo) -> String {
    let sides = [("client", &echo.from_client), ("server", &echo.from_server)];
    let said: Vec<String> = sides
        .iter()
        .filter_map(|(party, stats)| Some(format!("{party} {}", asked_for_echo((*stats).as_ref()?))))
        .collect();
    said.join("; ")
}

fn asked_for_echo(stats: &EchoStats) -> String {
    let mut words = vec![format!("{} of {} answered", stats.answered, stats.sent)];
    words.extend(stats.rtt_avg_ns.map(|ns| format!("in {} on average", seconds(ns))));
    if stats.missed > 0 {
        words.push(format!("{} missed", stats.missed));
    }
    words.join(" ")
}
