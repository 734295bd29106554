//! Conditions on JSON values: the `where` tables of a scenario.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Number, Value};

/// Conditions by path; all of them must hold.
pub type Where = BTreeMap<Path, Condition>;

/// Where a value is: names and list indices joined by dots. `*` stands for any element of a list,
/// `[key=value]` for the first element whose `key` has the text or number `value`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path(String);

impl<'de> Deserialize<'de> for Path {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let well_formed = text.split('.').all(|segment| match segment.strip_prefix('[') {
            Some(rest) => rest.strip_suffix(']').is_some_and(|rest| rest.contains('=')),
            None => !segment.is_empty(),
        });
        if !well_formed {
            return Err(D::Error::custom(format!(
                "`{text}` is no path: names, list indices, `*` or `[key=value]`, joined by dots"
            )));
        }
        Ok(Self(text))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Path {
    /// Every value that the path leads to: none, one, or several when it has a `*`.
    pub fn find<'v>(&self, root: &'v Value) -> Vec<&'v Value> {
        let mut found = vec![root];
        for segment in self.0.split('.') {
            found = found.into_iter().flat_map(|value| step(value, segment)).collect();
        }
        found
    }
}

fn step<'v>(value: &'v Value, segment: &str) -> Vec<&'v Value> {
    match value {
        Value::Object(fields) => fields.get(segment).into_iter().collect(),
        Value::Array(items) if segment == "*" => items.iter().collect(),
        Value::Array(items) => {
            let selector = segment.strip_prefix('[').and_then(|s| s.strip_suffix(']')?.split_once('='));
            match selector {
                Some((key, text)) => {
                    let wanted = |item: &&Value| match item.get(key) {
                        Some(Value::String(string)) => string == text,
                        Some(Value::Number(number)) => {
                            text.parse().is_ok_and(|wanted: Number| wanted == *number)
                        }
                        _ => false,
                    };
                    items.iter().find(wanted).into_iter().collect()
                }
                None => {
                    segment.parse::<usize>().ok().and_then(|index| items.get(index)).into_iter().collect()
                }
            }
        }
        _ => Vec::new(),
    }
}

/// What a value must be.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// Exactly this.
    Equals(Value),
    /// A table of tests: all that are given must hold.
    Tests(Tests),
}

/// The tests that a condition may have.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tests {
    /// A number, at least this.
    pub min: Option<f64>,
    /// A number, at most this.
    pub max: Option<f64>,
    /// Whether there is a value at all; `null` counts as none.
    pub exists: Option<bool>,
    /// A value that is present and not this.
    pub not: Option<Value>,
    /// One of these.
    pub one_of: Option<Vec<Value>>,
    /// A text that has this part.
    pub contains: Option<String>,
}

impl<'de> Deserialize<'de> for Condition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        if !value.is_object() {
            return Ok(Self::Equals(value));
        }
        let tests: Tests = serde_json::from_value(value).map_err(D::Error::custom)?;
        if tests == Tests::default() {
            return Err(D::Error::custom("an empty condition is always true: say what the value must be"));
        }
        Ok(Self::Tests(tests))
    }
}

impl Condition {
    /// Whether one of the values found at the path satisfies the condition.
    pub fn holds(&self, found: &[&Value]) -> bool {
        let present = || found.iter().filter(|value| !value.is_null());
        match self {
            Self::Equals(wanted) => found.iter().any(|value| equal(value, wanted)),
            Self::Tests(tests) => match tests.exists {
                Some(false) => present().next().is_none(),
                _ => present().any(|value| tests.hold(value)),
            },
        }
    }
}

impl Tests {
    fn hold(&self, value: &Value) -> bool {
        let number = value.as_f64();
        self.min.is_none_or(|min| number.is_some_and(|number| number >= min))
            && self.max.is_none_or(|max| number.is_some_and(|number| number <= max))
            && self.not.as_ref().is_none_or(|not| !equal(value, not))
            && self.one_of.as_ref().is_none_or(|choices| choices.iter().any(|choice| equal(value, choice)))
            && self
                .contains
                .as_ref()
                .is_none_or(|part| value.as_str().is_some_and(|text| text.contains(part.as_str())))
    }
}

/// Equality in which `1` and `1.0` are the same number.
fn equal(left: &Value, right: &Value) -> bool {
    match (left.as_f64(), right.as_f64()) {
        (Some(left_number), Some(right_number)) => left == right || left_number == right_number,
        _ => left == right,
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tests = match self {
            Self::Equals(value) => return write!(f, "= {value}"),
            Self::Tests(tests) => tests,
        };
        let mut parts = Vec::new();
        parts.extend(tests.min.map(|min| format!(">= {min}")));
        parts.extend(tests.max.map(|max| format!("<= {max}")));
        parts.extend(tests.exists.map(|exists| if exists { "is present" } else { "is absent" }.to_owned()));
        parts.extend(tests.not.as_ref().map(|not| format!("is not {not}")));
        parts.extend(tests.one_of.as_ref().map(|some| format!("is one of {}", Value::from(some.clone()))));
        parts.extend(tests.contains.as_ref().map(|part| format!("contains {part:?}")));
        f.write_str(&parts.join(" and "))
    }
}

/// The conditions that `value` does not satisfy, each with what was found instead.
pub fn unmet(conditions: &Where, value: &Value) -> Vec<String> {
    let mut unmet = Vec::new();
    for (path, condition) in conditions {
        let found = path.find(value);
        if !condition.holds(&found) {
            let found: Vec<String> = found.iter().map(|value| value.to_string()).collect();
            let found = if found.is_empty() { "absent".to_owned() } else { found.join(", ") };
            unmet.push(format!("{path} {condition}, but is {found}"));
        }
    }
    unmet
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn conditions(toml: &str) -> Result<Where, toml::de::Error> {
        toml::from_str(toml)
    }

    #[track_caller]
    fn check(toml: &str, value: &Value, holds: bool) {
        let unmet = unmet(&conditions(toml).unwrap(), value);
        assert_eq!(unmet.is_empty(), holds, "{toml}: {unmet:?}");
    }

    #[test]
    fn paths_and_tests() {
        let value = json!({
            "event": "session.up",
            "session_up": {
                "setup_ns": 5,
                "gone": null,
                "mppe": {"bits": 128, "stateful": false},
                "phases": [{"phase": "lcp", "duration_ns": 3}, {"phase": "auth", "duration_ns": 9}],
            }
        });
        for toml in [
            "event = 'session.up'",
            "'session_up.mppe.bits' = 128",
            "'session_up.mppe.bits' = 128.0",
            "'session_up.mppe.stateful' = false",
            "'session_up.phases.0.phase' = 'lcp'",
            "'session_up.phases.*.phase' = 'auth'",
            "'session_up.phases.[phase=auth].duration_ns' = { min = 9, max = 9 }",
            "'session_up.phases.[duration_ns=9].phase' = 'auth'",
            "'session_up.setup_ns' = { min = 5 }",
            "'session_up.setup_ns' = { one_of = [4, 5] }",
            "'session_up.setup_ns' = { not = 4 }",
            "'session_up.none' = { exists = false }",
            "'session_up.gone' = { exists = false }",
            "'session_up.mppe' = { exists = true }",
            "event = { contains = 'ion.u' }",
        ] {
            check(toml, &value, true);
        }
        for toml in [
            "event = 'session.down'",
            "'session_up.mppe.bits' = '128'",
            "'session_up.mppe.bits' = 40",
            "'session_up.phases.2.phase' = 'lcp'",
            "'session_up.phases.[phase=auth].duration_ns' = { max = 8 }",
            "'session_up.setup_ns' = { min = 6 }",
            "'session_up.setup_ns' = { one_of = [] }",
            "'session_up.setup_ns' = { not = 5 }",
            "'session_up.none' = { not = 5 }",
            "'session_up.none' = { min = 0 }",
            "'session_up.gone' = { exists = true }",
            "event = { min = 0 }",
            "'session_up.setup_ns' = { contains = '5' }",
        ] {
            check(toml, &value, false);
        }
    }

    #[test]
    fn large_numbers_are_compared_exactly() {
        check("n = 9007199254740993", &json!({"n": 9_007_199_254_740_993_u64}), true);
    }

    #[test]
    fn refuses_unknown_tests_empty_tables_and_odd_paths() {
        for toml in ["a = { least = 1 }", "a = {}", "'a..b' = 1", "'a.[b]' = 1", "'' = 1"] {
            assert!(conditions(toml).is_err(), "{toml}");
        }
    }
}
