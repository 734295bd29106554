//! What the doctor says: one check per idea, each with what was seen, why it matters and what to do.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde::Serialize;

use crate::time::Timestamp;

/// Version of this report. Within it there are only additions.
pub const REPORT_VERSION: u32 = 1;

/// The outcome of a check. Ordered by what a person should look at first, last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Nothing is wrong.
    Ok,
    /// Not asked: it has no meaning here, and `seen` says why.
    Skipped,
    /// It could not be seen or not be decided, and `seen` or a problem says why.
    Unknown,
    /// Calls may work, but something is weak, unusual or will fail some of them.
    Warn,
    /// Calls cannot work, or some certainly fail.
    Fail,
}

impl Status {
    /// The word for people.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Skipped => "skipped",
            Self::Unknown => "unknown",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One thing that is wrong, or could not be decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Problem {
    /// How bad this one is.
    pub status: Status,
    /// What is wrong, naming the object.
    pub what: String,
    /// File and line, or table, chain and rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// The command or the line that mends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

/// One check. Its id is in the report exactly once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Check {
    /// Stable name, for scripts.
    pub id: &'static str,
    /// The worst of its problems; `ok` without any.
    pub status: Status,
    /// What was looked at and found.
    pub seen: String,
    /// What it means for calls.
    pub why: &'static str,
    /// What is wrong, in the order in which it was found: the first hundred.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
    /// Not all is in `problems`: mend these first.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub more_problems: bool,
}

/// Problems of a check that are kept. A file may have as many mistakes as lines.
const MAX_PROBLEMS: usize = 100;

impl Check {
    /// A check that found nothing wrong yet.
    pub(super) fn new(id: &'static str, why: &'static str) -> Self {
        Self { id, status: Status::Ok, seen: String::new(), why, problems: Vec::new(), more_problems: false }
    }

    /// Adds to what was seen.
    pub(super) fn saw(&mut self, seen: impl AsRef<str>) {
        if !self.seen.is_empty() {
            self.seen.push_str("; ");
        }
        self.seen.push_str(seen.as_ref());
    }

    /// It has no meaning here.
    pub(super) fn skipped(mut self, because: impl AsRef<str>) -> Self {
        self.saw(because);
        self.status = self.status.max(Status::Skipped);
        self
    }

    /// It could not be seen.
    pub(super) fn unknown(mut self, because: impl AsRef<str>) -> Self {
        self.saw(because);
        self.status = self.status.max(Status::Unknown);
        self
    }

    /// Something is wrong.
    pub(super) fn problem(&mut self, problem: Problem) {
        self.status = self.status.max(problem.status);
        self.more_problems |= self.is_full();
        if !self.is_full() {
            self.problems.push(problem);
        }
    }

    /// Another problem would not be kept.
    pub(super) fn is_full(&self) -> bool {
        self.problems.len() >= MAX_PROBLEMS
    }

    /// Calls fail.
    pub(super) fn fail(&mut self, what: impl Into<String>, fix: impl Into<String>) {
        self.add(Status::Fail, what, None, fix);
    }

    /// Something is weak.
    pub(super) fn warn(&mut self, what: impl Into<String>, fix: impl Into<String>) {
        self.add(Status::Warn, what, None, fix);
    }

    /// Something is wrong at a place.
    pub(super) fn at(
        &mut self,
        status: Status,
        place: impl Into<String>,
        what: impl Into<String>,
        fix: impl Into<String>,
    ) {
        self.add(status, what, Some(place.into()), fix);
    }

    fn add(
        &mut self,
        status: Status,
        what: impl Into<String>,
        place: Option<String>,
        fix: impl Into<String>,
    ) {
        let fix = Some(fix.into()).filter(|fix| !fix.is_empty());
        self.problem(Problem { status, what: what.into(), place, fix });
    }
}

/// How many checks ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Summary {
    /// Nothing wrong.
    pub ok: usize,
    /// Weak.
    pub warn: usize,
    /// Broken.
    pub fail: usize,
    /// Not decided.
    pub unknown: usize,
    /// Not asked.
    pub skipped: usize,
}

impl Summary {
    fn of(checks: &[Check]) -> Self {
        let count = |status| checks.iter().filter(|check| check.status == status).count();
        Self {
            ok: count(Status::Ok),
            warn: count(Status::Warn),
            fail: count(Status::Fail),
            unknown: count(Status::Unknown),
            skipped: count(Status::Skipped),
        }
    }
}

/// The whole report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Report {
    /// Version of this form.
    pub report_version: u32,
    /// When the host was looked at.
    pub ts: Timestamp,
    /// Version of pptpscope.
    pub version: &'static str,
    /// Name of the host; absent when another root was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The folder that was read instead of this host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// Whether it ran as root. What it could not see without is `unknown` and says so.
    pub privileged: bool,
    /// How many checks ended how.
    pub summary: Summary,
    /// The checks, always all of them and in the same order.
    pub checks: Vec<Check>,
}

impl Report {
    /// Puts checks into a report.
    pub(super) fn new(
        ts: Timestamp,
        host: Option<String>,
        root: Option<String>,
        privileged: bool,
        checks: Vec<Check>,
    ) -> Self {
        let version = env!("CARGO_PKG_VERSION");
        let summary = Summary::of(&checks);
        Self { report_version: REPORT_VERSION, ts, version, host, root, privileged, summary, checks }
    }
}

/// JSON Schema (2020-12) of the report.
pub fn schema() -> Schema {
    let mut schema =
        SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<Report>();
    schema.insert("title".into(), format!("pptpscope doctor report, version {REPORT_VERSION}").into());
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_as_bad_as_its_worst_problem() {
        let mut check = Check::new("a", "b");
        assert_eq!(check.status, Status::Ok);
        check.fail("x", "");
        check.warn("y", "z");
        check.saw("one");
        check.saw("two");
        assert_eq!((check.status, check.seen.as_str()), (Status::Fail, "one; two"));
        assert_eq!(check.problems[0].fix, None);
        assert_eq!(check.clone().skipped("three").status, Status::Fail, "a failure stays one");
    }

    #[test]
    fn what_is_too_much_is_said() {
        let mut check = Check::new("a", "b");
        for _ in 0..MAX_PROBLEMS {
            check.warn("x", "");
        }
        assert!(!check.more_problems);
        check.fail("y", "");
        assert_eq!(
            (check.problems.len(), check.more_problems, check.status),
            (MAX_PROBLEMS, true, Status::Fail)
        );
    }

    #[test]
    fn the_committed_schema_is_that_of_the_types() {
        let committed = include_str!("../../../docs/schema/doctor-1.json");
        // As values: in which order names come depends on what else is built.
        let committed: serde_json::Value = serde_json::from_str(committed).unwrap();
        let generated = serde_json::to_value(schema()).unwrap();
        assert_eq!(committed, generated, "run `pptpscope schema doctor > docs/schema/doctor-1.json`");
    }
}
