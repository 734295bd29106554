//! One event, encoded once for all sinks.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::Severity;

/// An event on its way out. Sinks share it.
#[derive(Debug)]
pub struct Entry {
    /// Dotted name of the event.
    pub event: String,
    /// How much it matters.
    pub severity: Severity,
    /// The event as one JSON object and the newline after it.
    pub line: Vec<u8>,
}

/// What is read back of a line: its name stands in the serde form of the event only.
#[derive(Deserialize)]
struct Head<'line> {
    event: &'line str,
    severity: Severity,
}

impl Entry {
    /// Encodes an event.
    ///
    /// # Errors
    /// When it cannot be written as JSON: a fault of this program.
    pub fn of(event: &impl Serialize) -> serde_json::Result<Arc<Self>> {
        let mut line = serde_json::to_vec(event)?;
        let Head { event, severity } = serde_json::from_slice(&line)?;
        let event = event.to_owned();
        line.push(b'\n');
        Ok(Arc::new(Self { event, severity, line }))
    }

    /// An event that comes back from a disk. One that cannot be read, which a test excludes, has no name.
    pub fn of_line(line: Vec<u8>) -> Self {
        let (event, severity) = serde_json::from_slice::<Head<'_>>(&line)
            .map_or((String::new(), Severity::Info), |head| (head.event.to_owned(), head.severity));
        Self { event, severity, line }
    }

    /// The JSON object, without the newline.
    pub fn json(&self) -> &[u8] {
        self.line.strip_suffix(b"\n").unwrap_or(&self.line)
    }

    /// The event as a tree, for sinks that name its parts. Null when it cannot be read back, which a
    /// test excludes.
    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.line).unwrap_or(Value::Null)
    }
}

/// A line for people: name, whose call, and the plain facts.
///
/// Nested facts are left out: the whole event goes beside it.
pub fn text(event: &Value) -> String {
    let name = event["event"].as_str().unwrap_or("event");
    let mut text = name.to_owned();
    let session = &event["session"];
    for part in ["client", "user", "interface"] {
        if let Some(part) = session[part].as_str() {
            text.push(' ');
            text.push_str(&printable(part));
        }
    }
    let body = &event[name.replace('.', "_")];
    if let Some(statement) = body["statement"].as_str() {
        let code = body["code"].as_str().unwrap_or_default();
        return format!("{text} {code}: {}", printable(statement));
    }
    text.push(':');
    // In the order of the alphabet, whichever order serde_json was built to keep.
    let mut facts: Vec<_> = body.as_object().into_iter().flatten().collect();
    facts.sort_unstable_by_key(|(key, _)| *key);
    for (key, value) in facts {
        let value = match (value, key.strip_suffix("_ns")) {
            (Value::Number(ns), Some(key)) => {
                let seconds = ns.as_f64().unwrap_or_default() / 1e9;
                text.push_str(&format!(" {key}={seconds:.3}s"));
                continue;
            }
            (Value::String(word), _) => printable(word),
            (Value::Number(_) | Value::Bool(_), _) => value.to_string(),
            (Value::Null | Value::Array(_) | Value::Object(_), _) => continue,
        };
        text.push_str(&format!(" {key}={value}"));
    }
    text
}

/// A client chooses its name: nothing that it sends may look like a line of its own in somebody's log.
fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn text_names_the_call_and_the_plain_facts() {
        let event = json!({
            "event": "session.end",
            "session": {"client": "192.0.2.10", "user": "al\nice"},
            "session_end": {"reason": "idle", "duration_ns": 1_500_000_000u64, "phases": [1, 2], "was_up": true},
        });
        assert_eq!(
            text(&event),
            "session.end 192.0.2.10 al\u{fffd}ice: duration=1.500s reason=idle was_up=true"
        );
    }

    #[test]
    fn text_of_a_finding_is_its_statement() {
        let event =
            json!({"event": "finding", "finding": {"code": "gre.loss", "statement": "The path loses."}});
        assert_eq!(text(&event), "finding gre.loss: The path loses.");
    }
}
