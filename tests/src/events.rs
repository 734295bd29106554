//! The agent's output: JSON Lines, read as plain JSON.

use serde_json::Value;

use crate::time::{self, Nanos};

/// One line.
#[derive(Debug, Clone)]
pub struct Event {
    /// Line in the file, from 1.
    pub line: usize,
    /// `ts`.
    pub at: Nanos,
    /// `event`.
    pub name: String,
    /// The whole object.
    pub value: Value,
}

impl Event {
    /// The object that is named after the event, dots as underscores: `session_up` of `session.up`.
    pub fn body(&self) -> &Value {
        &self.value[self.name.replace('.', "_")]
    }

    /// Identity of the session, `None` for events without one.
    pub fn session_id(&self) -> Option<&str> {
        self.value["session"]["id"].as_str()
    }
}

/// Reads every line.
///
/// # Errors
/// What is wrong with a line, with its number: no JSON object, or without `ts`, `event`, `severity` or
/// `host`.
pub fn parse(text: &str) -> Result<Vec<Event>, String> {
    let mut events = Vec::new();
    for (index, text) in text.lines().enumerate() {
        let line = index + 1;
        let value: Value = serde_json::from_str(text).map_err(|error| format!("line {line}: {error}"))?;
        if !value.is_object() {
            return Err(format!("line {line} is no JSON object"));
        }
        let field = |name: &str| {
            let found = value[name].as_str().filter(|text| !text.is_empty());
            found.ok_or_else(|| format!("line {line} has no text in \"{name}\""))
        };
        let ts = field("ts")?;
        let at = time::parse_rfc3339(ts)
            .ok_or_else(|| format!("line {line}: ts \"{ts}\" is no RFC 3339 timestamp"))?;
        let name = field("event")?.to_owned();
        field("severity")?;
        field("host")?;
        events.push(Event { line, at, name, value });
    }
    Ok(events)
}

/// What the agent knew of one session in the end: the newest value of every field.
#[derive(Debug, Clone, Default)]
pub struct Session {
    /// `session.id`.
    pub id: String,
    /// `session.client`.
    pub client: Option<String>,
    /// `session.server`.
    pub server: Option<String>,
    /// `session.client_call_id`.
    pub client_call_id: Option<u64>,
    /// `session.server_call_id`.
    pub server_call_id: Option<u64>,
    /// Body of its last `gre.stats`.
    pub gre_stats: Option<Value>,
    /// It was up before the agent, and met by its traffic.
    pub is_met: bool,
}

impl Session {
    /// Whether it has come to a call: a control connection alone has no call id.
    pub fn is_call(&self) -> bool {
        self.client_call_id.is_some() || self.server_call_id.is_some()
    }
}

/// All sessions of the events, in the order of their first event.
pub fn sessions(events: &[Event]) -> Vec<Session> {
    let mut sessions: Vec<Session> = Vec::new();
    for event in events {
        let Some(id) = event.session_id() else { continue };
        let known = sessions.iter().position(|session| session.id == id);
        let index = known.unwrap_or_else(|| {
            sessions.push(Session { id: id.to_owned(), ..Session::default() });
            sessions.len() - 1
        });
        let session = &mut sessions[index];
        let from = &event.value["session"];
        let text = |name: &str, old: &mut Option<String>| {
            if let Some(text) = from[name].as_str() {
                *old = Some(text.to_owned());
            }
        };
        text("client", &mut session.client);
        text("server", &mut session.server);
        session.client_call_id = from["client_call_id"].as_u64().or(session.client_call_id);
        session.server_call_id = from["server_call_id"].as_u64().or(session.server_call_id);
        if event.name == "gre.stats" {
            session.gre_stats = Some(event.body().clone());
        }
        session.is_met |= event.name == "session.start" && event.body()["origin"] == "traffic";
    }
    sessions
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"ts":"2001-01-01T00:00:00Z","event":"session.up","severity":"info","host":"h","session":{"id":"a","client":"192.0.2.10","client_call_id":7},"session_up":{"user":"u"}}"#;

    #[test]
    fn reads_lines_and_merges_sessions() {
        let later =
            LINE.replace("\"client_call_id\":7", "\"server_call_id\":8").replace("session.up", "gre.stats");
        let events = parse(&format!("{LINE}\n{later}\n")).unwrap();
        assert_eq!(events[0].body()["user"], "u");
        let sessions = sessions(&events);
        assert_eq!(sessions.len(), 1);
        assert_eq!((sessions[0].client_call_id, sessions[0].server_call_id), (Some(7), Some(8)));
        assert_eq!(sessions[0].client.as_deref(), Some("192.0.2.10"));
        assert!(sessions[0].gre_stats.is_some() && sessions[0].is_call());
    }

    #[test]
    fn refuses_broken_lines() {
        let cases = [
            (LINE[..40].to_owned(), "line 2"),
            ("[]".to_owned(), "no JSON object"),
            (String::new(), "line 2"),
            (LINE.replace("\"ts\"", "\"time\""), "\"ts\""),
            (LINE.replace("2001-01-01T", "2001-01-01 at "), "RFC 3339"),
            (LINE.replace("\"severity\":\"info\",", ""), "severity"),
            (LINE.replace("\"h\"", "\"\""), "host"),
        ];
        for (line, part) in cases {
            let error = parse(&format!("{LINE}\n{line}\n")).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
