//! Events as log records of OpenTelemetry, in the JSON form of OTLP.

use std::sync::Arc;

use serde_json::{Value, json};

use super::entry::{Entry, text};
use crate::event::Severity;

/// Number and text of a severity (OpenTelemetry logs data model).
const fn severity(severity: Severity) -> (u8, &'static str) {
    match severity {
        Severity::Info => (9, "INFO"),
        Severity::Notice => (10, "INFO2"),
        Severity::Warning => (13, "WARN"),
    }
}

/// An `ExportLogsServiceRequest`.
pub(super) fn request(entries: &[Arc<Entry>]) -> Value {
    let events: Vec<Value> = entries.iter().map(|entry| entry.value()).collect();
    // All events of a run are of the same host.
    let host = events.first().map_or(&Value::Null, |event| &event["host"]);
    let records: Vec<Value> =
        entries.iter().zip(&events).map(|(entry, event)| record(entry, event)).collect();
    json!({"resourceLogs": [{
        "resource": {"attributes": attributes(&[("service.name", &"pptpscope".into()), ("host.name", host)])},
        "scopeLogs": [{
            "scope": {"name": "pptpscope", "version": env!("CARGO_PKG_VERSION")},
            "logRecords": records,
        }],
    }]})
}

/// How many records the receiver did not take, and why, by its `ExportLogsServiceResponse`. None when it took all
/// of them, as an answer that cannot be read says too.
pub(super) fn refused(answer: &[u8]) -> Option<(u64, String)> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    let partial = &answer["partialSuccess"];
    let rejected = &partial["rejectedLogRecords"];
    // A 64-bit number is a string in the JSON form of protocol buffers; not all receivers know.
    let rejected = rejected.as_u64().or_else(|| rejected.as_str()?.parse().ok())?;
    let message = partial["errorMessage"].as_str().unwrap_or_default();
    (rejected > 0).then(|| (rejected, message.to_owned()))
}

fn record(entry: &Entry, event: &Value) -> Value {
    let (number, word) = severity(entry.severity);
    let session = &event["session"];
    let body = &event[entry.event.replace('.', "_")];
    let named = [
        ("event.name", &event["event"]),
        ("session.id", &session["id"]),
        ("client.address", &session["client"]),
        ("server.address", &session["server"]),
        ("network.interface.name", &session["interface"]),
        ("user.name", &session["user"]),
        ("pptpscope", body),
    ];
    json!({
        "timeUnixNano": nanoseconds(&event["ts"]),
        "severityNumber": number,
        "severityText": word,
        "eventName": entry.event,
        "body": {"stringValue": text(event)},
        "attributes": attributes(&named),
    })
}

/// A 64-bit number is a string in the JSON form of protocol buffers.
fn nanoseconds(ts: &Value) -> String {
    let ts = ts.as_str().and_then(|ts| ts.parse::<jiff::Timestamp>().ok());
    ts.map_or(0, |ts| ts.as_nanosecond()).to_string()
}

/// A `KeyValue` list; what is not known is left out.
fn attributes(named: &[(&str, &Value)]) -> Vec<Value> {
    let known = named.iter().filter(|(_, value)| !value.is_null());
    known.map(|(key, value)| json!({"key": key, "value": any(value)})).collect()
}

/// An `AnyValue`.
fn any(value: &Value) -> Value {
    match value {
        Value::Null => json!({}),
        Value::Bool(is) => json!({"boolValue": is}),
        Value::Number(number) => match number.as_i64() {
            Some(number) => json!({"intValue": number.to_string()}),
            None => json!({"doubleValue": number.as_f64()}),
        },
        Value::String(text) => json!({"stringValue": text}),
        Value::Array(items) => json!({"arrayValue": {"values": items.iter().map(any).collect::<Vec<_>>()}}),
        Value::Object(object) => {
            let named: Vec<(&str, &Value)> =
                object.iter().map(|(key, value)| (key.as_str(), value)).collect();
            json!({"kvlistValue": {"values": attributes(&named)}})
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_tells_what_was_not_taken() {
        let of = |answer: &str| refused(answer.as_bytes());
        let said = Some((7, "too old".to_owned()));
        assert_eq!(of(r#"{"partialSuccess":{"rejectedLogRecords":"7","errorMessage":"too old"}}"#), said);
        assert_eq!(of(r#"{"partialSuccess":{"rejectedLogRecords":7}}"#), Some((7, String::new())));
        // A warning: all were taken.
        assert_eq!(of(r#"{"partialSuccess":{"errorMessage":"slow down"}}"#), None);
        for none in ["", "{", "7", "[]", r#"{"partialSuccess":7}"#, r#"{"partialSuccess":{}}"#] {
            assert_eq!(of(none), None, "{none}");
        }
    }

    #[test]
    fn a_record_has_time_severity_and_the_whole_event() {
        let line = json!({
            "ts": "2026-01-01T00:00:00.000000001Z", "event": "session.end", "severity": "warning", "host": "vpn",
            "session": {"id": "x", "client": "192.0.2.1"},
            "session_end": {"was_up": false, "bytes": u64::MAX, "phases": [{"phase": "tcp", "duration_ns": 5}]},
        });
        let entry = Entry {
            event: "session.end".into(),
            severity: Severity::Warning,
            line: format!("{line}\n").into_bytes(),
        };
        let request = request(&[Arc::new(entry)]);
        let logs = &request["resourceLogs"][0];
        assert_eq!(
            logs["resource"]["attributes"][1],
            json!({"key": "host.name", "value": {"stringValue": "vpn"}})
        );
        let record = &logs["scopeLogs"][0]["logRecords"][0];
        assert_eq!(record["timeUnixNano"], "1767225600000000001");
        assert_eq!((&record["severityNumber"], &record["severityText"]), (&json!(13), &json!("WARN")));
        let attributes = record["attributes"].as_array().unwrap();
        let of = |key: &str| attributes.iter().find(|one| one["key"] == key).map(|one| &one["value"]);
        assert_eq!(of("client.address"), Some(&json!({"stringValue": "192.0.2.1"})));
        assert_eq!(of("user.name"), None);
        let event = of("pptpscope").unwrap()["kvlistValue"]["values"].as_array().unwrap();
        let phases = event.iter().find(|one| one["key"] == "phases").unwrap();
        let first = &phases["value"]["arrayValue"]["values"][0]["kvlistValue"]["values"];
        assert!(
            first.as_array().unwrap().contains(&json!({"key": "duration_ns", "value": {"intValue": "5"}}))
        );
    }
}
