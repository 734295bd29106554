use serde_json::json;
use uuid::Uuid;

use super::classes::CLASSES;
use super::*;
use crate::event::schema::schema;

const ADDRESS: &str = "192.0.2.77";
const USER: &str = "alice";

fn key() -> Key {
    Key::new("0123456789abcdef").unwrap()
}

fn privacy(user: Mode, address: Mode) -> Privacy {
    Privacy::new(user, address, Some(key())).unwrap()
}

#[test]
fn every_string_of_the_schema_is_classified() {
    let (_, strings) = plan::read();
    let known = |holder: &str, field: &str| classes::class_of(holder, field).is_some();
    let new: Vec<_> = strings.iter().filter(|(holder, field)| !known(holder, field)).collect();
    assert!(new.is_empty(), "say in agent/src/privacy/classes.rs what these are: {new:?}");
    let gone = CLASSES
        .iter()
        .filter(|(holder, field, _)| !strings.contains(&((*holder).to_owned(), (*field).to_owned())));
    assert_eq!(gone.map(|(holder, field, _)| (holder, field)).collect::<Vec<_>>(), []);
}

/// A second opinion, by the names of the fields: the classes cannot vouch for themselves.
#[test]
fn nothing_that_sounds_like_a_person_is_neutral() {
    let telling =
        ["user", "identity", "peer_id", "host_name", "client", "server", "station", "address", "number"];
    let wrong = CLASSES.iter().filter(|(holder, field, class)| {
        let sounds = telling.iter().any(|word| field.contains(word)) || (*holder, *field) == ("Log", "text");
        sounds && *class == Class::Neutral
    });
    assert_eq!(wrong.map(|(holder, field, _)| (holder, field)).collect::<Vec<_>>(), []);
}

/// An event of every kind with a value in every field that there can be, made from the schema. Whatever can
/// hold a name or an address holds one.
fn fill(schema: &Value, definitions: &Value, holder: &str, field: &str) -> Value {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/")) {
        let mut value = fill(&definitions[name], definitions, name, "");
        merge(&mut value, properties(schema, definitions, holder));
        return value;
    }
    if let Some(fixed) = schema.get("const") {
        return fixed.clone();
    }
    if let Some(words) = schema["enum"].as_array() {
        return words[0].clone();
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    // The alternative with the most in it: strings before numbers, objects before both.
    for key in ["anyOf", "oneOf"] {
        if let Some(all) = schema[key].as_array() {
            let mut value = Value::Null;
            for one in all {
                let next = fill(one, definitions, holder, field);
                if next.is_object() && value.is_object() || weight(&next) > weight(&value) {
                    merge(&mut value, next);
                }
            }
            merge(&mut value, properties(schema, definitions, holder));
            return value;
        }
    }
    if types.contains(&"string") {
        return match schema["format"].as_str() {
            Some("ipv4") => ADDRESS.into(),
            Some("uuid") => Uuid::from_u128(7).to_string().into(),
            Some("date-time") => "2026-01-01T00:00:00Z".into(),
            _ => match classes::class_of(holder, field).unwrap_or(Class::Foreign) {
                Class::User => USER.into(),
                Class::Address => format!("{ADDRESS}:1812").into(),
                Class::Value => USER.into(),
                Class::Neutral | Class::Id => "word".into(),
                Class::Text | Class::Foreign => format!("{USER} from {ADDRESS}, {USER}@{ADDRESS}:5.").into(),
            },
        };
    }
    if types.contains(&"array") {
        return json!([fill(&schema["items"], definitions, holder, field)]);
    }
    if types.contains(&"object") {
        let mut value = properties(schema, definitions, holder);
        if schema["additionalProperties"].is_object() {
            let other = &schema["additionalProperties"];
            merge(&mut value, json!({"user": fill(other, definitions, holder, field), "peer": ADDRESS}));
        }
        return value;
    }
    if types.contains(&"boolean") { true.into() } else { 1.into() }
}

fn properties(schema: &Value, definitions: &Value, holder: &str) -> Value {
    let all = schema["properties"].as_object().into_iter().flatten();
    all.map(|(name, schema)| (name.clone(), fill(schema, definitions, holder, name)))
        .collect::<Map<_, _>>()
        .into()
}

fn weight(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Bool(_) | Value::Number(_) => 1,
        Value::String(_) => 2,
        Value::Array(_) => 3,
        Value::Object(_) => 4,
    }
}

fn merge(value: &mut Value, more: Value) {
    match (value, more) {
        (Value::Object(value), Value::Object(more)) => value.extend(more),
        (value, more) if weight(&more) > weight(value) => *value = more,
        _ => {}
    }
}

/// Every kind of event, full.
fn events() -> Vec<Value> {
    let schema = schema().to_value();
    let definitions = schema["$defs"].clone();
    let kinds = schema["oneOf"].as_array().expect("events are alternatives").clone();
    let common = properties(&schema, &definitions, "Event");
    kinds
        .iter()
        .map(|kind| {
            let mut event = common.clone();
            merge(&mut event, properties(kind, &definitions, "Event"));
            event
        })
        .collect()
}

#[test]
fn nothing_plain_is_left_in_any_event() {
    let events = events();
    assert!(events.len() > 25);
    let full: Vec<String> = events.iter().map(Value::to_string).collect();
    assert!(full.iter().all(|event| event.contains(USER) && event.contains(ADDRESS)), "session has both");
    for name in
        ["radius.exchange", "finding", "log", "session.up", "ppp.negotiation", "control.message", "drop"]
    {
        let event = events.iter().find(|event| event["event"] == name).unwrap();
        let mut inner = event.clone();
        inner.as_object_mut().unwrap().remove("session");
        let inner = inner.to_string();
        assert!(inner.contains(USER) || inner.contains(ADDRESS), "{name} was not filled: {inner}");
    }
    for (user, address) in [
        (Mode::Hash, Mode::Hash),
        (Mode::Omit, Mode::Omit),
        (Mode::Hash, Mode::Plain),
        (Mode::Plain, Mode::Omit),
    ] {
        let privacy = privacy(user, address);
        for event in &events {
            let mut changed = event.clone();
            privacy.change(&mut changed);
            let text = changed.to_string();
            assert!(user == Mode::Plain || !text.contains(USER), "{user:?}: {text}");
            assert!(address == Mode::Plain || !text.contains(ADDRESS), "{address:?}: {text}");
            assert_eq!(changed["event"], event["event"]);
            assert_eq!(changed["ts"], event["ts"]);
        }
    }
}

#[test]
fn what_is_plain_stays_and_what_is_hashed_can_be_joined() {
    let event = json!({
        "ts": "2026-01-01T00:00:00Z", "event": "radius.exchange", "severity": "info", "host": "vpn",
        "session": {"id": Uuid::from_u128(7), "client": ADDRESS, "user": USER, "interface": "ppp0"},
        "radius_exchange": {
            "client": "192.0.2.77:4711", "server": "198.51.100.1:1812", "id": 7, "request": "access_request",
            "outcome": "rejected", "retransmissions": 0, "proof": "unchecked", "user": USER,
            "reply_message": "no, alice",
        },
    });
    let hash = |user, address| {
        let mut changed = event.clone();
        privacy(user, address).change(&mut changed);
        changed
    };
    let both = hash(Mode::Hash, Mode::Hash);
    let (session, exchange) = (&both["session"], &both["radius_exchange"]);
    assert_eq!(session["user"], exchange["user"]);
    assert_eq!(exchange["client"], format!("{}:4711", session["client"].as_str().unwrap()));
    assert!(session["client"].as_str().unwrap().starts_with("a-"), "{session}");
    assert_eq!(session["user"].as_str().unwrap().len(), 18);
    assert_ne!(session["id"], event["session"]["id"]);
    assert!(session["id"].as_str().unwrap().parse::<Uuid>().is_ok());
    assert_eq!((&session["interface"], &both["host"]), (&json!("ppp0"), &json!("vpn")));
    assert!(exchange.get("reply_message").is_none());
    assert_eq!(hash(Mode::Hash, Mode::Hash), both, "stable");

    let users = hash(Mode::Hash, Mode::Plain);
    assert_eq!(users["session"]["client"], ADDRESS);
    assert_eq!(users["session"]["user"], both["session"]["user"]);

    let omitted = hash(Mode::Omit, Mode::Omit);
    assert!(omitted["session"].get("user").is_none() && omitted["session"].get("client").is_none());
    assert_eq!(omitted["radius_exchange"]["client"], "-", "the schema requires it");

    let mut other = event.clone();
    let key = Key::new("another key of a site").unwrap();
    Privacy::new(Mode::Hash, Mode::Hash, Some(key)).unwrap().change(&mut other);
    assert_ne!(other["session"]["user"], both["session"]["user"]);
}

#[test]
fn a_name_that_was_seen_is_found_in_later_words() {
    let privacy = privacy(Mode::Omit, Mode::Omit);
    let session = json!({"event": "session.up", "session": {"user": "bob"}});
    privacy.change(&mut session.clone());
    let mut finding = json!({"event": "finding", "finding": {"statement": "bob at 10.0.0.9: rejected."}});
    privacy.change(&mut finding);
    assert_eq!(finding["finding"]["statement"], "[user] at [address]: rejected.");
}

#[test]
fn a_new_configuration_leaves_calls_their_ids_and_names_known() {
    let id = |privacy: &Privacy| {
        let mut event = json!({"event": "session.up", "session": {"id": "2ff1ab74-6dd3-5a33-8a5e-0b4e9e0c5a11", "user": "bob"}});
        privacy.change(&mut event);
        event["session"]["id"].clone()
    };
    let without_key = || Privacy::new(Mode::Omit, Mode::Omit, None).unwrap();
    let first = without_key();
    let before = id(&first);
    let second = without_key().after(first);
    let mut finding = json!({"event": "finding", "finding": {"statement": "bob is rejected."}});
    second.change(&mut finding);
    assert_eq!(finding["finding"]["statement"], "[user] is rejected.");
    assert_eq!(id(&second), before);
    let keyed = privacy(Mode::Hash, Mode::Hash).after(second);
    assert_ne!(id(&keyed), before);
    assert_ne!(id(&without_key().after(keyed)), before);
}

#[test]
fn a_field_that_the_schema_does_not_have_goes() {
    let mut event = json!({"event": "drop", "news": "alice", "more": {"deep": ["alice"], "number": 3}});
    privacy(Mode::Hash, Mode::Plain).change(&mut event);
    assert_eq!(event, json!({"event": "drop", "more": {"deep": [], "number": 3}}));
}

#[test]
fn nothing_is_done_where_all_is_plain_and_short_keys_are_refused() {
    assert!(Privacy::new(Mode::Plain, Mode::Plain, Some(key())).is_none());
    assert!(Key::new("  short \n").is_err());
    assert_eq!(format!("{:?}", key()), "Key");
    assert_ne!(Key::unknown().hash("user", "x"), Key::unknown().hash("user", "x"));
}
