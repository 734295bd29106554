//! From an event of a file to what the correlator wants to know: a line of a log, with its fields by
//! name, and what its codes mean.

use std::net::Ipv4Addr;

use super::catalogue::Basis;
use super::record::Record;
use super::{Options, accounting, catalogue, message};
use crate::observation::log::{Class, Fields, Level, MAX_TEXT, Message, Quality, Value};
use crate::observation::{Clock, Log, Observation, Origin, What};
use crate::time::Timestamp;
use crate::wire::text;

/// Fields that are numbers, decimal or after `0x` hexadecimal.
const NUMBERS: [&str; 16] = [
    "acct_delay",
    "acct_status",
    "bytes_received",
    "bytes_sent",
    "minutes",
    "mppe_policy",
    "mppe_types",
    "nas_port",
    "nps_reason",
    "packets_received",
    "packets_sent",
    "ras_error",
    "seconds",
    "session_time",
    "session_timeout",
    "terminate_cause",
];

/// Codes in the binary data of an event that are taken for errors of Remote Access.
const RAS_ERRORS: std::ops::Range<u32> = 600..1000;

/// Makes an observation of an event.
pub(super) fn observation(
    record: &Record,
    (at, quality): (Timestamp, Quality),
    options: &Options,
) -> Observation {
    let program = catalogue::program(&record.provider, record.id).unwrap_or_default();
    let mut fields = Fields::new();
    let (mut message, template) = if record.provider == accounting::PROVIDER {
        (accounting_message(record, &mut fields), None)
    } else {
        event_message(program, record, &mut fields)
    };
    explain(record, &mut fields);
    let text = text_of(record, &message, template, &fields);
    message.fields = fields;
    let cut = text.len() > MAX_TEXT;
    let log = Log {
        source: options.source.as_str().into(),
        host: (!record.computer.is_empty()).then(|| text::escape(record.computer.as_bytes())),
        program: program.to_owned().into(),
        pid: record.pid,
        message: Some(message),
        text: text.get(..text.floor_char_boundary(MAX_TEXT)).unwrap_or("").to_owned(),
        cut,
        times: 1,
    };
    Observation { at, clock: Clock::Log(quality), origin: Origin::Log, what: What::Log(Box::new(log)) }
}

fn event_message(program: &str, record: &Record, fields: &mut Fields) -> (Message, Option<&'static str>) {
    let event = catalogue::event(program, record.id);
    let (coid, sentence) = message::split_prefix(&record.message);
    if let Some(coid) = coid {
        insert_guid(fields, coid);
    }
    let template = event.and_then(|event| event.message.as_deref());
    if record.parameters.is_empty() {
        for (name, value) in
            template.and_then(|template| message::parse(template, sentence)).unwrap_or_default()
        {
            insert(fields, name, &value);
        }
        let mut labelled = Record::default();
        message::labels(&record.message, &mut labelled);
        for parameter in &labelled.parameters {
            insert(fields, &parameter.name, &parameter.value);
        }
    } else {
        parameters(record, event.map_or(&[], |event| event.fields.as_slice()), fields);
    }
    if let Some(settings) = fields.remove("settings") {
        for (name, value) in message::settings(&settings.to_string()) {
            insert(fields, name, &value);
        }
    }
    if let Some(event) = event {
        insert(fields, "meaning", &event.meaning);
        if let Some(stage) = event.stage {
            insert(fields, "stage", stage.name());
        }
        if event.basis == Basis::Recalled {
            insert(fields, "catalogue_basis", "recalled");
        }
    }
    let message = Message {
        id: format!("windows.{}.{}", program.to_ascii_lowercase(), record.id).into(),
        class: event.map_or(Class::Other, |event| event.class),
        level: event.map_or(Level::Info, |event| event.level),
        fields: Fields::new(),
        dump: None,
    };
    (message, template)
}

/// Names the parameters of an event: by their own names, else by their position behind the GUIDs.
fn parameters(record: &Record, names: &[String], fields: &mut Fields) {
    let mut unnamed = record.parameters.iter().filter(|one| one.name.is_empty()).peekable();
    while let Some(guid) = unnamed.next_if(|one| one.value.starts_with('{') && one.value.ends_with('}')) {
        // Behind the routing domain comes the CoID; {NA} stands for none.
        insert_guid(fields, guid.value.trim_matches(['{', '}']));
    }
    for (index, parameter) in unnamed.enumerate() {
        match names.get(index) {
            Some(name) if name != "-" => insert(fields, name, &parameter.value),
            _ => insert(fields, &format!("parameter_{}", index + 1), &parameter.value),
        }
    }
    for parameter in record.parameters.iter().filter(|one| !one.name.is_empty()) {
        if let Some(name) = catalogue::names().parameters.get(&parameter.name) {
            insert(fields, name, &parameter.value);
        }
    }
}

fn accounting_message(record: &Record, fields: &mut Fields) -> Message {
    for parameter in &record.parameters {
        insert(fields, &parameter.name, &parameter.value);
    }
    let status =
        fields.get("acct_status").and_then(Value::as_u64).and_then(|status| u32::try_from(status).ok());
    let kind = catalogue::accounting_record(record.id, status);
    if let Some(kind) = kind {
        insert(fields, "meaning", &kind.meaning);
    }
    Message {
        id: match kind {
            Some(kind) => format!("windows.ias.{}", kind.name).into(),
            None => format!("windows.ias.packet_{}", record.id).into(),
        },
        class: kind.map_or(Class::Other, |kind| kind.class),
        level: kind.map_or(Level::Info, |kind| kind.level),
        fields: Fields::new(),
        dump: None,
    }
}

/// Adds what follows from the fields: the client's address, and what codes mean.
fn explain(record: &Record, fields: &mut Fields) {
    if !fields.contains_key("client_address") {
        let address = ["client_endpoint", "calling_station"]
            .iter()
            .find_map(|name| fields.get(*name)?.as_str()?.parse::<Ipv4Addr>().ok());
        if let Some(address) = address {
            insert(fields, "client_address", &address.to_string());
        }
    }
    if !fields.contains_key("ras_error")
        && let Some(bytes) = record.binary.first_chunk::<4>()
    {
        let code = u32::from_le_bytes(*bytes);
        if record.binary.len() == 4 && RAS_ERRORS.contains(&code) {
            fields.insert("ras_error".into(), Value::Unsigned(code.into()));
        }
    }
    let code = |fields: &Fields, name: &str| u32::try_from(fields.get(name)?.as_u64()?).ok();
    for (name, entry) in [
        ("ras_error", code(fields, "ras_error").and_then(catalogue::ras_error)),
        ("nps_reason", code(fields, "nps_reason").and_then(catalogue::nps_reason)),
    ] {
        // Accounting records have reason 0, whatever happened.
        let Some(entry) = entry.filter(|entry| entry.code > 0) else { continue };
        if let Some(constant) = &entry.name {
            insert(fields, &format!("{name}_name"), constant);
        }
        insert(fields, &format!("{name}_meaning"), &entry.meaning);
        if let Some(stage) = entry.stage {
            insert(fields, &format!("{name}_stage"), stage.name());
        }
        if let Some(evidence) = &entry.evidence {
            insert(fields, &format!("{name}_evidence"), evidence);
        }
    }
}

/// The text of the event: its own, else the documented one with its parameters, else what it means.
fn text_of(record: &Record, message: &Message, template: Option<&str>, fields: &Fields) -> String {
    if !record.message.is_empty() {
        let line = record.message.split_whitespace().collect::<Vec<_>>().join(" ");
        return text::escape(line.as_bytes());
    }
    if let Some(template) = template {
        return message::render(template, |name| match fields.get(name)? {
            Value::Text(text) => Some(text),
            Value::Unsigned(_) | Value::Signed(_) => None,
        });
    }
    let value = |name: &str| fields.get(name).map(ToString::to_string);
    let words = ["user", "client_address", "tunnel_address", "nps_reason_meaning"];
    let known: Vec<String> = words.iter().filter_map(|name| value(name)).collect();
    let meaning = value("meaning").unwrap_or_else(|| message.id.to_string());
    if known.is_empty() { meaning } else { format!("{meaning}: {}", known.join(", ")) }
}

/// Adds a field, as a number where it is one. Values are the peer's: control characters are escaped.
fn insert(fields: &mut Fields, name: &str, value: &str) {
    let value = value.trim();
    if value.is_empty() || value == "-" || (name == "client_address" && value.parse::<Ipv4Addr>().is_err()) {
        return;
    }
    // Parameters of several lines are lists.
    let value = &value.replace(['\r', '\n', '\t'], " ");
    // A challenge follows C= in the error that MS-CHAP gives.
    let value = if name == "chap_error" { without_challenge(value) } else { value.to_owned() };
    let number = match value.strip_prefix("0x") {
        _ if !NUMBERS.contains(&name) => None,
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => value.parse().ok(),
    };
    let value = number.map_or_else(|| Value::Text(text::escape(value.as_bytes())), Value::Unsigned);
    fields.insert(name.to_owned().into(), value);
}

/// Sets the CoID, which joins the events of client, server and NPS about one call.
fn insert_guid(fields: &mut Fields, guid: &str) {
    match uuid::Uuid::try_parse(guid) {
        Ok(guid) if !guid.is_nil() => {
            fields.insert("coid".into(), Value::Text(guid.to_string()));
        }
        _ => {
            fields.remove("coid");
        }
    }
}

/// `E=691 R=1 C=0123… V=3` without what follows `C=`; hexadecimal text is decoded before.
fn without_challenge(value: &str) -> String {
    let decoded = value.strip_prefix("0x").map(|digits| {
        let digits: Vec<u8> =
            digits.chars().filter_map(|one| one.to_digit(16)).map(|one| one as u8).collect();
        digits
            .chunks_exact(2)
            .map(|pair| char::from(pair.iter().fold(0, |byte, digit| byte << 4 | digit)))
            .collect()
    });
    let text: String = decoded.unwrap_or_else(|| value.to_owned());
    text.split(' ').filter(|word| !word.contains("C=")).collect::<Vec<_>>().join(" ")
}
