//! journald, in its native protocol: each event is an entry with fields, so that
//! `journalctl PPTPSCOPE_USER=alice` finds a customer's calls.

use std::io;
use std::sync::Arc;

use libsystemd::logging::{Priority, journal_send};
use serde_json::Value;
use uuid::Uuid;

use super::entry::{Entry, text};
use super::worker::{Outlet, Progress};
use crate::event::Severity;
use crate::event::schema::schema;

/// Namespace of the MESSAGE_IDs. Never to be changed: catalogues and filters name what follows from it.
const MESSAGE_IDS: Uuid = Uuid::from_u128(0x6b1f_0d57_5d3c_4f0e_9a4e_7d2c_1723_0047);

/// The journal of this host.
#[derive(Debug, Default)]
pub struct Journal;

/// The MESSAGE_ID of an event: the same on every host and in every version.
pub fn message_id(event: &str) -> Uuid {
    Uuid::new_v5(&MESSAGE_IDS, event.as_bytes())
}

/// The message catalogue of the journal: what `journalctl -x` says beside each event.
pub fn catalogue() -> String {
    let schema = schema().to_value();
    let mut text = String::new();
    for kind in schema["oneOf"].as_array().into_iter().flatten() {
        let Some(event) = kind["properties"]["event"]["const"].as_str() else { continue };
        let meaning = kind["description"].as_str().unwrap_or_default();
        let advice = match event {
            "finding" => "More: pptpscope explain @PPTPSCOPE_FINDING@\n",
            _ => "",
        };
        text.push_str(&format!(
            "-- {}\nSubject: PPTP: {event}\nDefined-By: pptpscope\n\n{meaning}\n{advice}\
             The whole event is in the field PPTPSCOPE_JSON: journalctl -o json MESSAGE_ID={0}\n\n",
            message_id(event).simple()
        ));
    }
    text
}

const fn priority(severity: Severity) -> Priority {
    match severity {
        Severity::Info => Priority::Info,
        Severity::Notice => Priority::Notice,
        Severity::Warning => Priority::Warning,
    }
}

/// The fields of an event besides MESSAGE and PRIORITY.
fn fields(event: &str, value: &Value, json: &str) -> Vec<(&'static str, String)> {
    let mut fields = vec![
        ("SYSLOG_IDENTIFIER", "pptpscope".to_owned()),
        ("MESSAGE_ID", message_id(event).simple().to_string()),
        ("PPTPSCOPE_EVENT", event.to_owned()),
    ];
    let mut add = |name, value: &Value| match value {
        Value::String(text) => fields.push((name, text.clone())),
        Value::Number(number) => fields.push((name, number.to_string())),
        _ => {}
    };
    let session = &value["session"];
    add("PPTPSCOPE_SESSION", &session["id"]);
    add("PPTPSCOPE_CLIENT", &session["client"]);
    add("PPTPSCOPE_SERVER", &session["server"]);
    add("PPTPSCOPE_INTERFACE", &session["interface"]);
    add("PPTPSCOPE_USER", &session["user"]);
    add("PPTPSCOPE_FINDING", &value["finding"]["code"]);
    fields.push(("PPTPSCOPE_JSON", json.to_owned()));
    fields
}

impl Outlet for Journal {
    fn deliver(&mut self, entries: &[Arc<Entry>], progress: &mut Progress) -> io::Result<()> {
        for entry in entries {
            let value = entry.value();
            let json = String::from_utf8_lossy(entry.json());
            let fields = fields(&entry.event, &value, &json);
            journal_send(priority(entry.severity), &text(&value), fields.into_iter())
                .map_err(io::Error::other)?;
            progress.written += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_name_the_call() {
        let value = json!({"event": "finding", "finding": {"code": "gre.loss"},
            "session": {"id": "x", "client": "192.0.2.10", "user": "alice"}});
        let fields = fields("finding", &value, "{}");
        let of = |name| fields.iter().find(|(field, _)| *field == name).map(|(_, value)| value.as_str());
        assert_eq!(of("PPTPSCOPE_USER"), Some("alice"));
        assert_eq!(of("PPTPSCOPE_FINDING"), Some("gre.loss"));
        assert_eq!(of("PPTPSCOPE_INTERFACE"), None);
    }

    #[test]
    fn message_ids_never_change() {
        assert_eq!(message_id("session.end").simple().to_string(), "9012a3961d205c4390333e81177ff03f");
    }
}
