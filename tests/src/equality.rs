//! A capture, read by `pptpscope analyze --json`, against the events of the live run that it was
//! taken of: every session field by field, but for what a capture cannot know (`docs/analyze.md`).
//!
//! Left out, and why:
//!
//! * `agent.*`, `analysis.*`: each run's own affairs.
//! * `ts`, `*_ns`, `phases[].duration_ns`, session ids (derived from times), `host`: the capturing
//!   program and the kernel programs look at two clocks at two places.
//! * `interface`: a pppN is not on the wire.
//! * `session.stats` and all but the last `gre.stats`: their intervals begin at different times.
//!   The last `gre.stats` has the sums, and those are compared.
//! * The order of what the two ends said at the same time: two hooks see the two directions. Each
//!   end's own messages must be in order, and so must the phases.
//! * `session.end` of a call that was lingering when the agent stopped: time goes on for three
//!   seconds after a capture.

use serde_json::{Map, Value};

use crate::events::Event;

/// Keys that are left out wherever they are.
const UNKNOWABLE: [&str; 8] =
    ["previous_ns", "duration_ns", "setup_ns", "age_ns", "interval_ns", "phases", "interface", "final"];

/// One session, as far as both must agree.
#[derive(Debug, Default, PartialEq)]
struct Story {
    id: String,
    /// The latest reference to the session, without its id.
    reference: Value,
    /// Each kind of event with its objects, split by who sent it where somebody did.
    said: Map<String, Value>,
    ended: bool,
}

/// Compares the two; says how much was compared.
///
/// # Errors
/// All differences, one after the other.
pub fn compare(live: &[Event], capture: &[Event]) -> Result<String, String> {
    let (live, capture) = (stories(live), stories(capture));
    let mut problems = Vec::new();
    if live.len() != capture.len() {
        problems.push(format!("live has {} sessions, the capture {}", live.len(), capture.len()));
    }
    let mut events = 0;
    for (live, capture) in live.iter().zip(&capture) {
        problems.extend(differences(live, capture));
        events += live.said.values().map(|said| said.as_array().map_or(0, Vec::len)).sum::<usize>();
    }
    if live.is_empty() && problems.is_empty() {
        problems.push("there was nothing to compare".into());
    }
    if problems.is_empty() {
        Ok(format!("{events} events of {} sessions", live.len()))
    } else {
        Err(problems.join("; "))
    }
}

fn stories(events: &[Event]) -> Vec<Story> {
    let mut stories: Vec<Story> = Vec::new();
    for event in events {
        let Some(id) = event.session_id() else { continue };
        let index = stories.iter().position(|story| story.id == id).unwrap_or_else(|| {
            stories.push(Story { id: id.to_owned(), ..Story::default() });
            stories.len() - 1
        });
        let story = &mut stories[index];
        story.reference = known(&event.value["session"], &["id"]);
        let body = known(event.body(), &[]);
        let sender = body["sender"].as_str().map_or(String::new(), |sender| format!(" from {sender}"));
        match event.name.as_str() {
            "session.stats" => {}
            "gre.stats" => {
                story.said.insert(event.name.clone(), Value::Array(vec![body]));
            }
            name => {
                story.ended |= name == "session.end";
                let said =
                    story.said.entry(format!("{name}{sender}")).or_insert_with(|| Value::Array(Vec::new()));
                if let Value::Array(said) = said {
                    said.push(body);
                }
            }
        }
    }
    stories
}

/// The object without what a capture cannot know.
fn known(value: &Value, more: &[&str]) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .filter(|(key, _)| !UNKNOWABLE.contains(&key.as_str()) && !more.contains(&key.as_str()))
            .map(|(key, value)| (key.clone(), known(value, more)))
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(items) => items.iter().map(|item| known(item, more)).collect::<Vec<_>>().into(),
        other => other.clone(),
    }
}

fn differences(live: &Story, capture: &Story) -> Vec<String> {
    let name = format!("session {}", live.id);
    let mut problems = Vec::new();
    if live.reference != capture.reference {
        problems.push(format!("{name}: live {}, capture {}", live.reference, capture.reference));
    }
    let kinds: std::collections::BTreeSet<&String> = live.said.keys().chain(capture.said.keys()).collect();
    for kind in kinds {
        if kind == "session.end" && !live.ended {
            continue;
        }
        let none = Vec::new();
        let list = |story: &'_ Story| story.said.get(kind).and_then(Value::as_array).cloned();
        let (one, other) = (list(live).unwrap_or(none.clone()), list(capture).unwrap_or(none));
        if one.len() != other.len() {
            problems.push(format!("{name}: live has {} {kind}, the capture {}", one.len(), other.len()));
        }
        for (number, (one, other)) in one.iter().zip(&other).enumerate() {
            for field in unequal("", one, other) {
                problems.push(format!("{name}: {kind} {}: {field}", number + 1));
            }
        }
    }
    problems
}

/// The fields in which two values differ.
fn unequal(path: &str, live: &Value, capture: &Value) -> Vec<String> {
    match (live, capture) {
        (Value::Object(one), Value::Object(other)) => {
            let keys: std::collections::BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            keys.into_iter()
                .flat_map(|key| unequal(&format!("{path}/{key}"), &live[key], &capture[key]))
                .collect()
        }
        (one, other) if one == other => Vec::new(),
        (one, other) => vec![format!("{path} is {one} live and {other} in the capture")],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::parse;

    fn line(ts: &str, name: &str, id: &str, body: &str) -> String {
        let object = name.replace('.', "_");
        format!(
            r#"{{"ts":"2026-01-01T00:00:{ts}Z","event":"{name}","{object}":{body},"severity":"info","host":"h","session":{{"id":"{id}","client":"192.0.2.1","server":"192.0.2.2"}}}}"#
        ) + "\n"
    }

    fn run(id: &str, lost: u32, order: [&str; 2]) -> Vec<Event> {
        let mut text = line("01.5", "session.start", id, r#"{"origin":"control","phase":"tcp"}"#);
        for sender in order {
            text += &line("02.5", "ppp.negotiation", id, &format!(r#"{{"sender":"{sender}","id":1}}"#));
        }
        text += &line("03.5", "gre.stats", id, r#"{"from_client":{"lost":77},"final":false}"#);
        text +=
            &line("04.5", "gre.stats", id, &format!(r#"{{"from_client":{{"lost":{lost}}},"final":true}}"#));
        parse(&text).unwrap()
    }

    #[test]
    fn ids_times_and_the_order_of_two_ends_do_not_matter() {
        let live = run("a", 3, ["client", "server"]);
        let capture = run("b", 3, ["server", "client"]);
        assert_eq!(compare(&live, &capture), Ok("4 events of 1 sessions".into()));
    }

    #[test]
    fn a_different_count_is_found_and_named() {
        let error =
            compare(&run("a", 3, ["client", "server"]), &run("b", 4, ["client", "server"])).unwrap_err();
        assert!(error.contains("gre.stats 1: /from_client/lost is 3 live and 4 in the capture"), "{error}");
    }

    #[test]
    fn a_missing_message_or_session_is_found() {
        let live = run("a", 3, ["client", "server"]);
        let error = compare(&live, &run("b", 3, ["client", "client"])).unwrap_err();
        assert!(error.contains("live has 1 ppp.negotiation from server, the capture 0"), "{error}");
        assert!(compare(&live, &[]).unwrap_err().contains("live has 1 sessions, the capture 0"));
        assert!(compare(&[], &[]).is_err());
    }
}
