//! What a scenario asks for, one entry at a time.

use serde_json::Value;

use super::Check;
use crate::condition::{Where, unmet};
use crate::events::Event;
use crate::scenario::{CallCheck, EventCheck, LogCheck, Range};
use crate::truth::Call;

/// Events that must be there.
pub(super) fn event(check: &EventCheck, events: &[Event]) -> Check {
    let of_name: Vec<&Value> = named(events, &check.event).collect();
    let what = format!("{} event", check.event);
    let result = count(&what, &of_name, &check.conditions, check.range());
    Check::new(
        check.about.clone().unwrap_or_else(|| title("expect", &check.event, &check.conditions)),
        result,
    )
}

/// Events that must not be there.
pub(super) fn no_event(check: &EventCheck, events: &[Event]) -> Check {
    let found = named(events, &check.event).find(|value| unmet(&check.conditions, value).is_empty());
    let result = match found {
        Some(value) => Err(format!("there is one: {value}")),
        None => Ok("none".to_owned()),
    };
    Check::new(
        check.about.clone().unwrap_or_else(|| title("forbid", &check.event, &check.conditions)),
        result,
    )
}

/// Calls that must be in the capture.
pub(super) fn call(check: &CallCheck, calls: &[Call]) -> Check {
    let calls: Vec<Value> = calls.iter().map(|call| serde_json::json!(call)).collect();
    let all: Vec<&Value> = calls.iter().collect();
    let result = count("call", &all, &check.conditions, check.range());
    Check::new(check.about.clone().unwrap_or_else(|| title("capture", "call", &check.conditions)), result)
}

/// Lines that must be in a log.
pub(super) fn log(check: &LogCheck, text: Result<String, String>) -> Check {
    let name = check.about.clone().unwrap_or_else(|| format!("{}: {:?}", check.file, check.contains));
    let result = text.and_then(|text| {
        let found = text.lines().filter(|line| line.contains(&check.contains)).count() as u64;
        let detail = format!("{found} lines of {} with {:?}", check.file, check.contains);
        if check.range().contains(found) {
            Ok(detail)
        } else {
            Err(format!("{detail}, not {}", check.range()))
        }
    });
    Check::new(name, result)
}

fn named<'a>(events: &'a [Event], name: &'a str) -> impl Iterator<Item = &'a Value> {
    events.iter().filter(move |event| event.name == name).map(|event| &event.value)
}

fn title(kind: &str, what: &str, conditions: &Where) -> String {
    let conditions: Vec<String> =
        conditions.iter().map(|(path, wanted)| format!("{path} {wanted}")).collect();
    let conditions =
        if conditions.is_empty() { String::new() } else { format!(" with {}", conditions.join(", ")) };
    format!("{kind} {what}{conditions}")
}

/// Counts the values that satisfy the conditions; a failure shows the one that came nearest.
fn count(what: &str, values: &[&Value], conditions: &Where, range: Range) -> Result<String, String> {
    let misses: Vec<Vec<String>> = values.iter().map(|value| unmet(conditions, value)).collect();
    let found = misses.iter().filter(|miss| miss.is_empty()).count() as u64;
    if range.contains(found) {
        return Ok(format!("{found} of {} {what}s", values.len()));
    }
    let nearest = misses.iter().filter(|miss| !miss.is_empty()).min_by_key(|miss| miss.len());
    let hint = match nearest {
        Some(miss) if found < range.min => format!("; the nearest: {}", miss.join(", ")),
        _ => String::new(),
    };
    Err(format!("{found} of {} {what}s match, not {range}{hint}", values.len()))
}
