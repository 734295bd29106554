//! A capture, read by `pptpscope analyze --json`, against the events of the live run that it was
//! taken of: every session field by field, but for what a capture cannot know (`docs/analyze.md`).
//!
//! Left out, and why:
//!
//! * `agent.*`, `analysis.*`: each run's own affairs.
//! * `drop`, `books`, `mppe.stall`, `mtu.mss_violation`, `gre.routing_loop`, RADIUS of this host, and what else is not on the wire of the uplink;
//!   `control.abuse` and `mppe.cleartext`, whose intervals begin at different times (the sums of packets in
//!   clear are compared); `gre.one_way`, which is looked for with each statistics interval: of a short
//!   silence one may tell and the other not ([`ELSEWHERE`]).
//! * `ts`, `*_ns`, `phases[].duration_ns`, session ids (derived from times), `host`: the capturing
//!   program and the kernel programs look at two clocks at two places.
//! * `interface`, `inner`: a pppN is not on the wire.
//! * Of `log` the `join`, which live operation takes from the process table, and the `source`; lines of
//!   which the capture says that their call is a guess (two calls began in the same moment); lines of
//!   processes that spoke before the agent came, and what only those told. Without a log all of `log`.
//!   `processes` and `log_message` are compared where the session ends.
//! * `ack_rtt`, `outstanding`, `tcp`: what crosses on the wire is in another order at two places. The
//!   judge of a run compares their samples with the capture's.
//! * `session.stats` and all but the last `gre.stats`: their intervals begin at different times.
//!   The last `gre.stats` has the sums, and those are compared.
//! * The order of what the two ends said at the same time: two hooks see the two directions. Each
//!   end's own messages must be in order, and so must the phases.
//! * What closed a call that was already closing: FIN and RST of the two ends cross. The cause of its end
//!   (`session.end`) is compared.
//! * Findings, but for the cause of each call: the capture must find the same one, or none.
//! * `session.end` of a call that was lingering when the agent stopped: time goes on for three
//!   seconds after a capture.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::events::Event;
use crate::time::Nanos;

/// Keys that are left out wherever they are, with every key that ends with `_ns`.
const UNKNOWABLE: [&str; 10] = [
    "phases",
    "interface",
    "final",
    "log_message",
    "processes",
    "ack_rtt",
    "outstanding",
    "outstanding_max",
    "tcp",
    "inner",
];

/// Events that are not on the wire of the uplink, or not told at the same times, by how their names begin.
const ELSEWHERE: [&str; 9] = [
    "drop",
    "control.abuse",
    "books",
    "gre.one_way",
    "mppe.cleartext",
    "mppe.stall",
    "gre.routing_loop",
    "mtu.mss_violation",
    "radius.",
];

/// One session, as far as both must agree.
#[derive(Debug, Default, PartialEq)]
struct Story {
    id: String,
    /// The latest reference to the session, without its id.
    reference: Value,
    /// Each kind of event with its objects, split by who sent it where somebody did.
    said: Map<String, Value>,
    ended: bool,
    /// Codes of the findings that are causes.
    causes: Vec<String>,
    /// The cause is not known, and no evidence is named that is missing.
    unexplained: bool,
    /// The agent met it in mid-call.
    met: bool,
    /// A line of it came when its end was told: the logger was slow.
    late: bool,
}

/// What the logs say, and what the comparison makes of it.
struct Logs {
    /// Whether both have read them.
    are_read: bool,
    /// Processes that spoke before the agent began.
    older: BTreeSet<u64>,
    /// Process id and text of the lines whose call the capture guesses.
    guesses: BTreeSet<(u64, String)>,
}

impl Logs {
    /// Whether the line is one that both have read.
    fn compares(&self, event: &Event, begun: Nanos) -> bool {
        let Some(spoken) = spoken(event) else { return self.are_read && event.at >= begun };
        let is_left_out = self.older.contains(&spoken.0) || self.guesses.contains(&spoken);
        self.are_read && event.at >= begun && !is_left_out
    }
}

/// Who said what.
fn spoken(line: &Event) -> Option<(u64, String)> {
    let body = line.body();
    Some((body["pid"].as_u64()?, body["text"].as_str()?.to_owned()))
}

/// Differences that are told one by one: one line too many makes all behind it different.
const SHOWN: usize = 12;

/// Codes that say that the cause is not known.
const UNKNOWN: [&str; 2] = ["undecided", "lcp.timeout"];

impl Story {
    fn say(&mut self, kind: String, body: Value) {
        let said = self.said.entry(kind).or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(said) = said {
            said.push(body);
        }
    }

    /// Takes a finding: the causes are those that stand at the end.
    fn conclude(&mut self, finding: &Value) {
        let Some(code) = finding["code"].as_str() else { return };
        self.causes.retain(|cause| cause != code);
        if finding["primary"] == true {
            self.causes.push(code.to_owned());
            let missing = finding["missing"].as_array().is_some_and(|missing| !missing.is_empty());
            self.unexplained = UNKNOWN.contains(&code) && !missing;
        }
    }
}

/// Compares the two; says how much was compared. `with_logs`: `analyze` was given the logs that the agent
/// has followed.
///
/// # Errors
/// The differences, one after the other, at most [`SHOWN`] of them.
pub fn compare(live: &[Event], capture: &[Event], with_logs: bool) -> Result<String, String> {
    let begun = live.first().map_or(0, |first| first.at);
    let spoke_before = live.iter().filter(|event| event.name == "log" && event.at < begun);
    let older = spoke_before.filter_map(|event| event.body()["pid"].as_u64()).collect();
    let is_guess = |event: &&Event| event.name == "log" && event.body()["join"]["confidence"] == "low";
    let guesses = capture.iter().filter(is_guess).filter_map(spoken).collect();
    let logs = Logs { are_read: with_logs, older, guesses };
    let mut problems = Vec::new();
    let (one, other) = (nobodys(live, &logs, begun), nobodys(capture, &logs, begun));
    if one != other {
        let only = |these: &[String], those: &[String]| {
            these.iter().find(|line| !those.contains(line)).cloned().unwrap_or_default()
        };
        let (here, there) = (only(&one, &other), only(&other, &one));
        problems.push(format!(
            "lines of no session: live {} ({here}), capture {} ({there})",
            one.len(),
            other.len()
        ));
    }
    let (live, capture) = (stories(live, &logs, begun), stories(capture, &logs, begun));
    if live.len() != capture.len() {
        problems.push(format!("live has {} sessions, the capture {}", live.len(), capture.len()));
    }
    let mut events = 0;
    for (live, capture) in live.iter().zip(&capture) {
        problems.extend(differences(live, capture));
        events += live.said.values().map(|said| said.as_array().map_or(0, Vec::len)).sum::<usize>();
    }
    if problems.is_empty() {
        Ok(format!("{events} events of {} sessions", live.len()))
    } else {
        let more = problems.len().saturating_sub(SHOWN);
        problems.truncate(SHOWN);
        if more > 0 {
            problems.push(format!("and {more} more"));
        }
        Err(problems.join("; "))
    }
}

/// The lines that are about no call.
fn nobodys(events: &[Event], logs: &Logs, begun: Nanos) -> Vec<String> {
    let lines = events.iter().filter(|event| event.name == "log" && event.session_id().is_none());
    let shown = |event: &Event| {
        let body = event.body();
        format!("{}[{}]: {}", body["program"], body["pid"], body["text"])
    };
    // The order of lines of different logs is that in which they were read.
    let mut lines: Vec<_> = lines.filter(|event| logs.compares(event, begun)).map(shown).collect();
    lines.sort_unstable();
    lines
}

fn stories(events: &[Event], logs: &Logs, begun: Nanos) -> Vec<Story> {
    let mut stories: Vec<Story> = Vec::new();
    for event in events {
        let Some(id) = event.session_id() else { continue };
        let index = stories.iter().position(|story| story.id == id).unwrap_or_else(|| {
            stories.push(Story { id: id.to_owned(), ..Story::default() });
            stories.len() - 1
        });
        let story = &mut stories[index];
        story.late |= story.ended && event.name == "log";
        story.reference = known(&event.value["session"], &["id"]);
        let mut body = known(event.body(), &[]);
        if event.name == "session.phase" && body["phase"] == "closed" {
            body = json!({ "phase": "closed" });
        }
        let sender = body["sender"].as_str().map_or(String::new(), |sender| format!(" from {sender}"));
        match event.name.as_str() {
            "session.stats" => {}
            // What the kernel or a log decided, a capture may leave undecided; causes are compared.
            "finding" => story.conclude(event.body()),
            name if ELSEWHERE.iter().any(|begin| name.starts_with(begin)) => {}
            "log" if logs.compares(event, begun) => {
                let line = known(event.body(), &["join", "source"]);
                story.say(format!("log of {}[{}]", line["program"], line["pid"]), line);
            }
            "log" => {}
            "gre.stats" => {
                story.said.insert(event.name.clone(), Value::Array(vec![body]));
            }
            name => {
                story.ended |= name == "session.end";
                story.met |= name == "session.start" && body["origin"] == "traffic";
                if name == "session.end" && logs.are_read && !story.met {
                    story.say("what the daemons of the session tell".into(), daemons(event.body()));
                }
                story.say(format!("{name}{sender}"), body);
            }
        }
    }
    stories
}

/// What `session.end` has from the logs. Processes may speak at the same time.
fn daemons(end: &Value) -> Value {
    let mut processes: Vec<String> =
        end["processes"].as_array().into_iter().flatten().map(ToString::to_string).collect();
    processes.sort_unstable();
    json!({ "log_message": end["log_message"], "processes": processes })
}

/// The object without what a capture cannot know.
fn known(value: &Value, more: &[&str]) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .filter(|(key, _)| {
                let key = key.as_str();
                !key.ends_with("_ns") && !UNKNOWABLE.contains(&key) && !more.contains(&key)
            })
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
    // Who the user of an older call is only its older lines may tell.
    let user = |story: &Story| known(&story.reference, if live.met { &["user"] } else { &[] });
    if user(live) != user(capture) {
        problems.push(format!("{name}: live {}, capture {}", live.reference, capture.reference));
    }
    let undecided = capture.causes.iter().all(|cause| UNKNOWN.contains(&cause.as_str()));
    if live.ended && live.causes != capture.causes && !undecided {
        problems.push(format!("{name}: causes live {:?}, capture {:?}", live.causes, capture.causes));
    }
    // What a capture leaves open it must say what for.
    if undecided && capture.unexplained && !live.causes.iter().all(|cause| UNKNOWN.contains(&cause.as_str()))
    {
        problems.push(format!(
            "{name}: causes live {:?}, capture {:?}, which names no missing evidence",
            live.causes, capture.causes
        ));
    }
    let kinds: BTreeSet<&String> = live.said.keys().chain(capture.said.keys()).collect();
    for kind in kinds {
        let is_of_the_end = kind == "session.end" || kind.starts_with("what the daemons");
        if is_of_the_end && !live.ended || live.late && kind.starts_with("what the daemons") {
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
            let keys: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
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
        assert_eq!(compare(&live, &capture, true), Ok("4 events of 1 sessions".into()));
    }

    #[test]
    fn a_different_count_is_found_and_named() {
        let error = compare(&run("a", 3, ["client", "server"]), &run("b", 4, ["client", "server"]), true)
            .unwrap_err();
        assert!(error.contains("gre.stats 1: /from_client/lost is 3 live and 4 in the capture"), "{error}");
    }

    #[test]
    fn a_missing_message_or_session_is_found() {
        let live = run("a", 3, ["client", "server"]);
        let error = compare(&live, &run("b", 3, ["client", "client"]), true).unwrap_err();
        assert!(error.contains("live has 1 ppp.negotiation from server, the capture 0"), "{error}");
        assert!(compare(&live, &[], true).unwrap_err().contains("live has 1 sessions, the capture 0"));
        assert!(compare(&[], &live, true).unwrap_err().contains("live has 0 sessions, the capture 1"));
    }

    #[test]
    fn lines_of_the_daemons_are_compared_unless_they_are_older() {
        let with = |id: &str, at: &str, text: &str| {
            let body = format!(r#"{{"program":"pppd","pid":7,"text":"{text}","join":{{"key":"{id}"}}}}"#);
            let mut events = run(id, 3, ["client", "server"]);
            events.extend(parse(&line(at, "log", id, &body)).unwrap());
            events
        };
        let live = with("a", "03.5", "Exit.");
        assert_eq!(compare(&live, &with("b", "03.5", "Exit."), true), Ok("5 events of 1 sessions".into()));
        let error = compare(&live, &with("b", "03.5", "Hangup"), true).unwrap_err();
        assert!(error.contains("/text is \"Exit.\" live and \"Hangup\" in the capture"), "{error}");
        let error = compare(&live, &run("b", 3, ["client", "server"]), true).unwrap_err();
        assert!(error.contains("live has 1 log of \"pppd\"[7], the capture 0"), "{error}");
        assert!(compare(&live, &run("b", 3, ["client", "server"]), false).is_ok());
        // Which of two calls this process serves the capture guesses.
        let guess = |id| {
            let mut events = run(id, 3, ["client", "server"]);
            let body =
                r#"{"program":"pppd","pid":7,"text":"Exit.","join":{"key":"time","confidence":"low"}}"#;
            events.extend(parse(&line("03.5", "log", id, body)).unwrap());
            events
        };
        assert_eq!(compare(&live, &guess("b"), true), Ok("4 events of 1 sessions".into()));
        // Read back: what this process says is not compared.
        let older = with("a", "00.5", "Exit.");
        assert!(compare(&older, &run("b", 3, ["client", "server"]), true).is_ok());
    }

    #[test]
    fn a_capture_finds_the_same_cause_or_says_what_is_missing() {
        let with = |code: &str, missing: &str| {
            let mut events = run("a", 3, ["client", "server"]);
            let body = format!(r#"{{"id":"f","code":"{code}","primary":true,"missing":[{missing}]}}"#);
            events.extend(parse(&line("05.5", "finding", "a", &body)).unwrap());
            events.extend(parse(&line("05.6", "session.end", "a", "{}")).unwrap());
            events
        };
        let live = with("gre.blocked_local", "");
        assert!(compare(&live, &live, true).is_ok());
        assert!(compare(&live, &with("undecided", r#"{"source":"kernel"}"#), true).is_ok());
        let error = compare(&live, &with("undecided", ""), true).unwrap_err();
        assert!(error.contains("names no missing evidence"), "{error}");
        let error = compare(&live, &with("gre.blocked_inbound", ""), true).unwrap_err();
        assert!(error.contains("causes live"), "{error}");
    }
}
