//! Numbers and structures in words.

use serde_json::Value;

use crate::event::Party;
use crate::event::session::Cause;

/// `1 packet`, `2 packets`.
pub(super) fn count(number: u64, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// `1.5 MB`, in powers of 1000.
pub(super) fn bytes(number: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if number < 1000 {
        return count(number, "byte");
    }
    let mut value = number as f64;
    let mut unit = "";
    for next in UNITS {
        if value < 999.95 {
            break;
        }
        value /= 1000.0;
        unit = next;
    }
    format!("{value:.1} {unit}")
}

/// Seconds with as many digits as matter.
pub(super) fn seconds(ns: u64) -> String {
    let seconds = ns as f64 / 1e9;
    if ns < 10_000_000_000 { format!("{seconds:.3} s") } else { format!("{seconds:.1} s") }
}

/// The name of a value whose serde form is a string.
pub(super) fn name(value: impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(name)) => name,
        _ => String::new(),
    }
}

/// Why a call ended, and who did that.
pub(super) fn cause(cause: Cause, by: Option<Party>) -> String {
    let by = by.map_or(String::new(), |party| format!(" by {}", name(party)));
    format!("{}{by}", name(cause).replace('_', " "))
}

/// The fields of an object in one line, without `hidden` ones and without what says nothing: zero,
/// empty, none.
pub(super) fn fields(value: &Value, hidden: &[&str]) -> String {
    let Value::Object(fields) = value else { return String::new() };
    let shown = fields.iter().filter(|(key, value)| {
        !hidden.contains(&key.as_str()) && !matches!(value, Value::Null) && !is_empty(value)
    });
    let words: Vec<String> = shown
        .map(|(key, value)| match value {
            Value::Array(options) if key == "options" => {
                let options: Vec<String> = options.iter().map(option).collect();
                options.join(", ")
            }
            value => format!("{key} {}", plain(key, value)),
        })
        .collect();
    words.join(", ")
}

/// One option of a configure packet.
pub(super) fn option(value: &Value) -> String {
    let name = value.get("option").and_then(Value::as_str).unwrap_or("?");
    let Value::Object(fields) = value else { return name.to_owned() };
    let values: Vec<String> =
        fields.iter().filter(|(key, _)| *key != "option").map(|(key, value)| plain(key, value)).collect();
    if values.is_empty() { name.to_owned() } else { format!("{name} {}", values.join(" ")) }
}

fn plain(key: &str, value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => match number.as_u64() {
            Some(number) if key == "magic" || key == "accm" || key.ends_with("_accm") => {
                format!("0x{number:08x}")
            }
            _ => number.to_string(),
        },
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| plain(key, item)).collect();
            items.join("+")
        }
        Value::Object(fields) => {
            let fields: Vec<String> = fields.iter().map(|(key, value)| plain(key, value)).collect();
            fields.join(" ")
        }
        other => other.to_string(),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.as_u64() == Some(0),
        Value::String(text) => text.is_empty() || text == "none",
        // A request without options says that the defaults are meant.
        Value::Array(_) => value == &Value::Array(Vec::new()),
        _ => false,
    }
}
