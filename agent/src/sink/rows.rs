//! Events as rows of ClickHouse: columns that one looks for, and the whole event as text beside them. Objects in a
//! row only the newer servers take, and each in another way.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::entry::{Entry, text};
use crate::time::Timestamp;

/// Where ClickHouse takes rows. Columns that the table does not have are left out.
pub(super) fn url(server: &str, table: &str) -> String {
    let join = if server.contains('?') { '&' } else { '?' };
    format!(
        "{server}{join}input_format_skip_unknown_fields=1&date_time_input_format=best_effort\
         &query=INSERT%20INTO%20{table}%20FORMAT%20JSONEachRow"
    )
}

/// A row. What an event does not have is empty.
#[derive(Serialize)]
struct Row<'event> {
    /// RFC 3339, UTC.
    ts: &'event str,
    /// The same in nanoseconds since the epoch, for servers without DateTime64.
    unix_ns: u64,
    event: &'event str,
    severity: &'event str,
    host: &'event str,
    /// Id of the call.
    session: &'event str,
    client: &'event str,
    server: &'event str,
    interface: &'event str,
    user: &'event str,
    /// Of a finding, its code.
    code: &'event str,
    /// The event in words.
    text: String,
    /// The event, whole.
    json: &'event str,
}

/// The body of an INSERT: an object on each line.
pub(super) fn body(entries: &[Arc<Entry>]) -> serde_json::Result<Vec<u8>> {
    let mut body = Vec::new();
    for entry in entries {
        let event = entry.value();
        let row = row(entry, &event);
        serde_json::to_writer(&mut body, &row)?;
        body.push(b'\n');
    }
    Ok(body)
}

fn row<'event>(entry: &'event Entry, event: &'event Value) -> Row<'event> {
    let word = |value: &'event Value| value.as_str().unwrap_or_default();
    let session = &event["session"];
    let ts = word(&event["ts"]);
    Row {
        ts,
        unix_ns: ts.parse::<Timestamp>().map_or(0, Timestamp::unix_ns),
        event: &entry.event,
        severity: word(&event["severity"]),
        host: word(&event["host"]),
        session: word(&session["id"]),
        client: word(&session["client"]),
        server: word(&session["server"]),
        interface: word(&session["interface"]),
        user: word(&session["user"]),
        code: word(&event["finding"]["code"]),
        text: text(event),
        json: std::str::from_utf8(entry.json()).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_looked_for_is_a_column_and_the_event_is_beside_it() {
        let line = r#"{"ts":"2026-11-30T18:00:00.5Z","event":"finding","finding":{"code":"gre.loss","statement":"It loses."},"severity":"notice","host":"vpn","session":{"id":"7","client":"192.0.2.10"}}"#;
        let entry = Arc::new(Entry::of_line(format!("{line}\n").into_bytes()));
        let body = body(&[Arc::clone(&entry), entry]).unwrap();
        let rows: Vec<Value> =
            body.split(|byte| *byte == b'\n').filter_map(|row| serde_json::from_slice(row).ok()).collect();
        assert_eq!((rows.len(), &rows[0]), (2, &rows[1]));
        assert_eq!(
            rows[0],
            serde_json::json!({
                "ts": "2026-11-30T18:00:00.5Z", "unix_ns": 1_796_061_600_500_000_000_u64, "event": "finding",
                "severity": "notice", "host": "vpn", "session": "7", "client": "192.0.2.10", "server": "",
                "interface": "", "user": "", "code": "gre.loss", "text": "finding 192.0.2.10 gre.loss: It loses.",
                "json": line,
            })
        );
    }

    #[test]
    fn the_table_is_in_the_address() {
        assert!(
            url("http://db:8123", "vpn.events")
                .ends_with("&query=INSERT%20INTO%20vpn.events%20FORMAT%20JSONEachRow")
        );
        assert!(url("http://db:8123/?user=x", "t").starts_with("http://db:8123/?user=x&input_format"));
    }
}
