//! A rule of nft's JSON in about the words in which it was written.

use serde_json::Value;

/// A whole rule.
pub(super) fn render(expressions: &[Value]) -> String {
    let words: Vec<String> = expressions.iter().map(expression).filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

fn expression(expression: &Value) -> String {
    let Some((kind, body)) = expression.as_object().and_then(|object| object.iter().next()) else {
        return String::new();
    };
    let part = |name: &str| body.get(name).map(value).unwrap_or_default();
    match kind.as_str() {
        "match" => match body.get("op").and_then(Value::as_str) {
            None | Some("==" | "in") => format!("{} {}", part("left"), part("right")),
            Some(op) => format!("{} {op} {}", part("left"), part("right")),
        },
        "counter" => "counter".to_owned(),
        "vmap" => format!("{} vmap {}", part("key"), part("data")),
        "mangle" => format!("{} set {}", part("key"), part("value")),
        "jump" | "goto" => format!("{kind} {}", part("target")),
        "limit" => format!("limit rate {}/{}", part("rate"), part("per")),
        "log" | "reject" => kind.clone(),
        "xt" => format!("[{} {}]", part("type"), part("name")),
        _ if body.is_null() => kind.clone(),
        _ => format!("{kind} {}", value(body)),
    }
}

/// One side of a match.
pub(super) fn value(body: &Value) -> String {
    let join = |list: &[Value], by: &str| list.iter().map(value).collect::<Vec<_>>().join(by);
    let object = match body {
        Value::String(text) => return text.clone(),
        Value::Null => return String::new(),
        Value::Array(list) => return join(list, ","),
        Value::Object(object) => object,
        other => return other.to_string(),
    };
    let Some((kind, inner)) = object.iter().next() else { return String::new() };
    let part = |name: &str| inner.get(name).map(value).unwrap_or_default();
    match kind.as_str() {
        "payload" => format!("{} {}", part("protocol"), part("field")),
        "meta" => part("key"),
        "ct" => format!("ct {}", part("key")),
        "tcp option" => format!("tcp option {} {}", part("name"), part("field")),
        "rt" => format!("rt {}", part("key")),
        "prefix" => format!("{}/{}", part("addr"), part("len")),
        "range" => match inner {
            Value::Array(ends) => join(ends, "-"),
            other => value(other),
        },
        "set" => match inner {
            Value::Array(list) => format!("{{ {} }}", join(list, ", ")),
            other => value(other),
        },
        "&" | "|" => match inner {
            Value::Array(list) => join(list, &format!(" {kind} ")),
            other => value(other),
        },
        "fib" => format!("fib {} {}", part("flags"), part("result")),
        _ => match inner {
            Value::Null => kind.clone(),
            other => format!("{kind} {}", value(other)),
        },
    }
}
