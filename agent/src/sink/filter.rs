//! Which events a sink wants.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::config::file::nearest;
use crate::event::Severity;
use crate::event::schema::names;

use super::entry::Entry;

/// By name and by severity; both must fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Names of events; empty: all.
    pub events: Vec<Pattern>,
    /// Lowest severity; absent: all.
    pub severity: Option<Severity>,
}

/// `session.end`, or `session.*` for a family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// One event.
    Name(String),
    /// Events whose name begins like this, its dot included.
    Family(String),
}

/// Why a pattern is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPattern {
    /// It looks like none.
    #[error("`{0}` is neither the name of an event (session.end) nor of a family (session.*)")]
    Malformed(String),
    /// There is no such event.
    #[error(
        "there is no event `{text}`; {}",
        nearest.as_ref().map_or_else(|| "all: pptpscope schema".into(), |nearest| format!("did you mean `{nearest}`?"))
    )]
    Unknown {
        /// What was asked for.
        text: String,
        /// What was meant.
        nearest: Option<String>,
    },
}

impl FromStr for Pattern {
    type Err = NoPattern;

    fn from_str(text: &str) -> Result<Self, NoPattern> {
        let is_word = |word: &str| {
            !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        };
        let (words, is_family) = match text.strip_suffix(".*") {
            Some(family) => (family, true),
            None => (text, false),
        };
        if !words.split('.').all(is_word) {
            return Err(NoPattern::Malformed(text.to_owned()));
        }
        let pattern =
            if is_family { Self::Family(format!("{words}.")) } else { Self::Name(words.to_owned()) };
        if names().iter().any(|event| pattern.fits(event)) {
            return Ok(pattern);
        }
        let families = names().iter().filter_map(|event| Some(format!("{}.*", event.split_once('.')?.0)));
        let all: BTreeSet<String> = families.chain(names().iter().cloned()).collect();
        let nearest = nearest(text, all.iter().map(String::as_str)).map(str::to_owned);
        Err(NoPattern::Unknown { text: text.to_owned(), nearest })
    }
}

impl Pattern {
    fn fits(&self, event: &str) -> bool {
        match self {
            Self::Name(name) => name == event,
            Self::Family(family) => event.starts_with(family),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => formatter.write_str(name),
            Self::Family(family) => write!(formatter, "{family}*"),
        }
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Pattern {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Pattern".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string"})
    }
}

impl Filter {
    /// Whether the sink wants this one. What the agent says of itself at start and stop frames every
    /// stream and is never filtered.
    pub fn wants(&self, entry: &Entry) -> bool {
        if matches!(entry.event.as_str(), "agent.start" | "agent.stop") {
            return true;
        }
        let by_name = self.events.is_empty() || self.events.iter().any(|pattern| pattern.fits(&entry.event));
        by_name && self.severity.is_none_or(|lowest| entry.severity >= lowest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wants(patterns: &[&str], severity: Option<Severity>, event: &str, of: Severity) -> bool {
        let events = patterns.iter().map(|pattern| pattern.parse().unwrap()).collect();
        let entry = Entry { event: event.into(), severity: of, line: Vec::new() };
        Filter { events, severity }.wants(&entry)
    }

    #[test]
    fn by_name_family_and_severity() {
        use Severity::{Info, Notice, Warning};
        assert!(wants(&[], None, "drop", Info));
        assert!(wants(&["session.*", "drop"], None, "session.end", Info));
        assert!(wants(&["session.*", "drop"], None, "drop", Info));
        assert!(!wants(&["session.*"], None, "sessions", Info));
        assert!(!wants(&[], Some(Warning), "session.end", Notice));
        assert!(wants(&["finding"], Some(Warning), "agent.stop", Info));
    }

    #[test]
    fn what_is_no_pattern() {
        for text in ["", "*", "session.", ".end", "Session.end", "session.*.end", "a b"] {
            assert!(text.parse::<Pattern>().is_err(), "{text}");
        }
        for (text, meant) in [
            ("findings", "`finding`?"),
            ("sesion.*", "`session.*`?"),
            ("sesion.end", "`session.end`?"),
            ("xyz", "pptpscope schema"),
        ] {
            let error = text.parse::<Pattern>().unwrap_err().to_string();
            assert!(error.contains(meant), "{error}");
        }
    }
}
