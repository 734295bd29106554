//! The journal of systemd as `journalctl -o json` exports it: one JSON object a line.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;

use super::{Line, When};

/// An entry of the journal.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Nanoseconds since 1970 at which it was said.
    pub at_ns: Option<u64>,
    /// Host that said it.
    pub host: Option<String>,
    /// What the program calls itself.
    pub ident: Option<String>,
    /// Its process id, as the kernel vouched for it where it did.
    pub pid: Option<u32>,
    /// What was said; None where the journal left it out for its length.
    pub text: Option<String>,
    /// Whether the text had bytes that are no UTF-8.
    pub lossy: bool,
    /// Where in the journal it is.
    pub cursor: Option<String>,
}

impl Entry {
    /// The entry as a line.
    pub fn line(&self) -> Line<'_> {
        Line {
            when: self.at_ns.map_or(When::Unknown, When::Epoch),
            host: self.host.as_deref(),
            ident: self.ident.as_deref(),
            pid: self.pid,
            program: None,
            text: self.text.as_deref().unwrap_or_default(),
        }
    }
}

/// The fields that are read. A field that was given more than once is an array: its first value counts.
#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(rename = "MESSAGE", default)]
    message: Value,
    #[serde(rename = "__REALTIME_TIMESTAMP", default, borrow)]
    realtime: Option<Cow<'a, str>>,
    #[serde(rename = "_SOURCE_REALTIME_TIMESTAMP", default)]
    source_realtime: Value,
    #[serde(rename = "_HOSTNAME", default)]
    host: Value,
    #[serde(rename = "SYSLOG_IDENTIFIER", default)]
    identifier: Value,
    #[serde(rename = "_COMM", default)]
    comm: Value,
    #[serde(rename = "_TRANSPORT", default)]
    transport: Value,
    #[serde(rename = "_PID", default)]
    pid: Value,
    #[serde(rename = "SYSLOG_PID", default)]
    syslog_pid: Value,
    #[serde(rename = "__CURSOR", default, borrow)]
    cursor: Option<Cow<'a, str>>,
}

/// Whether a line is an export of the journal.
pub fn is_entry(line: &str) -> bool {
    line.starts_with('{') && line.contains("\"__REALTIME_TIMESTAMP\"")
}

/// Reads an exported entry.
///
/// # Errors
///
/// When the line is no such JSON.
pub fn parse(line: &str) -> Result<Entry, serde_json::Error> {
    let raw: Raw<'_> = serde_json::from_str(line)?;
    let number = |value: &Value| text_of(value).and_then(|(text, _)| text.parse::<u64>().ok());
    let word = |value: &Value| text_of(value).map(|(text, _)| text);
    let microseconds = number(&raw.source_realtime).or_else(|| raw.realtime.as_deref()?.parse().ok());
    let is_kernel = raw.transport.as_str() == Some("kernel");
    let ident = if is_kernel { Some("kernel".to_owned()) } else { word(&raw.identifier) };
    let message = text_of(&raw.message);
    Ok(Entry {
        at_ns: microseconds.and_then(|microseconds| microseconds.checked_mul(1000)),
        host: word(&raw.host),
        ident: ident.or_else(|| word(&raw.comm)),
        pid: number(&raw.pid).or_else(|| number(&raw.syslog_pid)).and_then(|pid| u32::try_from(pid).ok()),
        lossy: message.as_ref().is_some_and(|(_, lossy)| *lossy),
        text: message.map(|(text, _)| text),
        cursor: raw.cursor.map(Cow::into_owned),
    })
}

/// A value as text, and whether that lost something: a string, an array of the bytes of one that is no
/// UTF-8, or an array of several values.
fn text_of(value: &Value) -> Option<(String, bool)> {
    match value {
        Value::String(text) => Some((text.clone(), false)),
        Value::Number(number) => Some((number.to_string(), false)),
        Value::Array(items) if items.iter().all(Value::is_u64) && !items.is_empty() => {
            let bytes: Vec<u8> = items
                .iter()
                .map(|item| item.as_u64().and_then(|byte| u8::try_from(byte).ok()))
                .collect::<Option<_>>()?;
            match String::from_utf8(bytes) {
                Ok(text) => Some((text, false)),
                Err(error) => Some((String::from_utf8_lossy(error.as_bytes()).into_owned(), true)),
            }
        }
        Value::Array(items) => {
            items.first().filter(|first| !first.is_array()).or_else(|| items.first()).and_then(|first| {
                // One level only: arrays of arrays of arrays are nobody's.
                match first {
                    Value::Array(inner) if inner.iter().any(Value::is_array) => None,
                    first => text_of(first),
                }
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_strings_bytes_and_nothing() {
        let entry = |message: &str| {
            parse(&format!(
                r#"{{"__CURSOR":"s=1","__REALTIME_TIMESTAMP":"1700000000123456","_PID":"77","SYSLOG_PID":"9","SYSLOG_IDENTIFIER":"pppd","_HOSTNAME":"vpn","MESSAGE":{message}}}"#
            ))
            .unwrap()
        };
        let whole = entry(r#""Exit.""#);
        assert_eq!(whole.at_ns, Some(1_700_000_000_123_456_000));
        assert_eq!((whole.pid, whole.text.as_deref()), (Some(77), Some("Exit.")));
        assert_eq!(whole.cursor.as_deref(), Some("s=1"));
        let bytes = entry("[69,120,105,116,46,255]");
        assert_eq!((bytes.text.as_deref(), bytes.lossy), (Some("Exit.\u{fffd}"), true));
        assert_eq!(entry("null").text, None);
        assert_eq!(entry(r#"["first","second"]"#).text.as_deref(), Some("first"));
        assert!(parse("{\"MESSAGE\":").is_err());
    }
}
