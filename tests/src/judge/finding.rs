//! What the agent concluded, against what was broken.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::events::Event;
use crate::scenario::{FindingCheck, NO_FINDING};
use crate::time::Nanos;

/// The file in which a script notes when it began to break what.
pub(super) const MARKS: &str = "marks.tsv";

/// One fault, and what the agent said of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// What was broken.
    pub fault: String,
    /// The code that was expected, or `none`.
    pub expected: String,
    /// Codes that the agent gave as causes, or else what it said.
    pub got: String,
    /// Whether that is right.
    pub right: bool,
    /// Seconds from the fault to the finding.
    pub after_fault: Option<f64>,
    /// Seconds from the last piece of evidence to the finding.
    pub after_evidence: Option<f64>,
    /// What the finding rested on.
    pub evidence: String,
}

/// A finding as it stood at the end of its window.
struct Standing<'a> {
    code: &'a str,
    primary: bool,
    harmful: bool,
    raised: Nanos,
    latest: &'a Value,
}

/// Time and name of each mark, in order.
pub(super) fn marks(text: &str) -> Vec<(Nanos, String)> {
    let mark = |line: &str| {
        let (at, name) = line.split_once('\t')?;
        Some((at.parse().ok()?, name.to_owned()))
    };
    text.lines().filter_map(mark).collect()
}

/// Judges one expectation. `marks` tell when each fault of the run began.
pub(super) fn judge(check: &FindingCheck, events: &[Event], marks: &[(Nanos, String)]) -> Row {
    let index = check.fault.as_ref().and_then(|name| marks.iter().position(|(_, mark)| mark == name));
    let began = index.map(|index| marks[index].0);
    let ended = index.and_then(|index| marks.get(index + 1)).map(|(at, _)| *at);
    let is_inside = |at: Nanos| began.is_none_or(|began| at >= began) && ended.is_none_or(|ended| at < ended);
    let standing = standing(events, is_inside);
    let fault = check.about.clone().or_else(|| check.fault.clone()).unwrap_or_else(|| check.expect.clone());
    let mut row = Row {
        fault,
        expected: check.expect.clone(),
        got: got(&standing),
        right: false,
        after_fault: None,
        after_evidence: None,
        evidence: String::new(),
    };
    if check.fault.is_some() && index.is_none() {
        row.got = "the script never came to it".into();
        return row;
    }
    let causes: Vec<&str> = standing.iter().filter(|one| one.primary).map(|one| one.code).collect();
    let is_allowed = |code: &str| code == check.expect || check.also.iter().any(|also| also == code);
    if check.expect == NO_FINDING {
        row.right = standing.iter().all(|one| !(one.harmful || one.primary) || is_allowed(one.code));
        return row;
    }
    let expected = standing.iter().find(|one| one.code == check.expect);
    let harmful_others = standing.iter().any(|one| one.harmful && !is_allowed(one.code));
    row.right = expected.is_some() && causes.iter().all(|code| is_allowed(code)) && !harmful_others;
    if let Some(one) = expected.or(standing.first()) {
        row.after_fault = began.map(|began| seconds(one.raised, began));
        let evidence = one.latest["finding"]["evidence"].as_array().cloned().unwrap_or_default();
        row.evidence =
            evidence.iter().filter_map(|piece| piece["fact"].as_str()).collect::<Vec<_>>().join("; ");
        row.after_evidence = after_evidence(events, one);
    }
    row
}

/// How long after its last piece of evidence the finding was raised.
fn after_evidence(events: &[Event], one: &Standing<'_>) -> Option<f64> {
    let raised = events.iter().find(|event| event.at == one.raised && event.body()["code"] == one.code)?;
    let times = raised.body()["evidence"].as_array()?.iter().filter_map(|piece| piece["at"].as_str());
    let last = times.filter_map(crate::time::parse_rfc3339).filter(|at| *at <= one.raised).max()?;
    Some(seconds(one.raised, last))
}

fn seconds(later: Nanos, earlier: Nanos) -> f64 {
    (later - earlier) as f64 / 1e9
}

fn got(standing: &[Standing<'_>]) -> String {
    let mut codes: Vec<String> =
        standing.iter().filter(|one| one.primary).map(|one| one.code.to_owned()).collect();
    let others = standing.iter().filter(|one| !one.primary).map(|one| format!("({})", one.code));
    codes.extend(others);
    codes.sort();
    codes.dedup();
    if codes.is_empty() { NO_FINDING.to_owned() } else { codes.join(" ") }
}

/// Findings that were raised inside the window and stand at its end. One that was withdrawn does not.
fn standing<'a>(events: &'a [Event], is_inside: impl Fn(Nanos) -> bool) -> Vec<Standing<'a>> {
    let mut found: BTreeMap<&str, Standing<'a>> = BTreeMap::new();
    for event in events.iter().filter(|event| event.name == "finding" && is_inside(event.at)) {
        let body = event.body();
        let (Some(id), Some(code)) = (body["id"].as_str(), body["code"].as_str()) else { continue };
        match body["state"].as_str() {
            Some("withdrawn") => {
                found.remove(id);
            }
            Some("resolved") => {}
            _ => {
                let raised = found.get(id).map_or(event.at, |one| one.raised);
                let (primary, harmful) = (body["primary"] == true, event.value["severity"] == "warning");
                found.insert(id, Standing { code, primary, harmful, raised, latest: &event.value });
            }
        }
    }
    let mut found: Vec<_> = found.into_values().collect();
    found.sort_by_key(|one| (!one.primary, one.raised));
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events;

    fn line(second: u32, id: &str, code: &str, state: &str, primary: bool, severity: &str) -> String {
        format!(
            r#"{{"ts":"2026-01-01T00:00:{second:02}.000000000Z","event":"finding","severity":"{severity}","host":"h","finding":{{"id":"{id}","code":"{code}","state":"{state}","primary":{primary},"evidence":[{{"fact":"f","at":"2026-01-01T00:00:{:02}.500000000Z"}}]}}}}"#,
            second.saturating_sub(1)
        )
    }

    fn check(expect: &str, fault: Option<&str>) -> FindingCheck {
        FindingCheck {
            expect: expect.into(),
            fault: fault.map(Into::into),
            about: None,
            also: Vec::new(),
            since: None,
        }
    }

    #[test]
    fn windows_separate_faults() {
        let text = [
            line(5, "1", "a.b", "raised", true, "warning"),
            line(15, "2", "c.d", "raised", true, "warning"),
            line(16, "3", "e.f", "raised", true, "warning"),
            line(17, "3", "e.f", "withdrawn", false, "info"),
        ]
        .join("\n");
        let events = events::parse(&text).unwrap();
        let at = |second: i64| events[0].at + (second - 5) * 1_000_000_000;
        let marks = vec![(at(3), "one".to_owned()), (at(10), "two".to_owned()), (at(20), "three".to_owned())];
        let one = judge(&check("a.b", Some("one")), &events, &marks);
        assert!(one.right, "{one:?}");
        assert_eq!((one.after_fault, one.after_evidence), (Some(2.0), Some(0.5)));
        assert!(judge(&check("c.d", Some("two")), &events, &marks).right);
        assert!(!judge(&check("a.b", Some("two")), &events, &marks).right);
        assert!(judge(&check(NO_FINDING, Some("three")), &events, &marks).right);
        assert!(!judge(&check(NO_FINDING, Some("two")), &events, &marks).right);
        assert!(!judge(&check("a.b", Some("four")), &events, &marks).right, "a mark that never came");
    }

    #[test]
    fn another_harmful_finding_is_wrong_and_a_notice_is_not() {
        let with = |severity: &str| {
            let text = [
                line(5, "1", "a.b", "raised", true, "warning"),
                line(6, "2", "c.d", "raised", false, severity),
            ]
            .join("\n");
            let events = events::parse(&text).unwrap();
            judge(&check("a.b", None), &events, &[])
        };
        assert!(with("notice").right);
        assert!(!with("warning").right);
        assert_eq!(with("notice").got, "(c.d) a.b");
    }
}
