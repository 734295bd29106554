//! What was said about a call, and what must be said now.
//!
//! One cause of a failed call is primary; other failures of the same call are its consequences and
//! are attached to it. What is said is a finding that stands for itself.

use std::collections::BTreeMap;

use super::catalogue::{Entry, Kind, catalogue};
use super::rule::Verdict;
use crate::event::finding::{Confidence, Consequence, State};

/// Code of the finding that no cause is known.
pub(super) const UNDECIDED: &str = "undecided";

/// A verdict that is told on its own, and what is attached to it.
#[derive(Clone, Debug)]
pub(super) struct Conclusion {
    pub(super) entry: &'static Entry,
    pub(super) verdict: Verdict,
    pub(super) primary: bool,
    pub(super) consequences: Vec<Consequence>,
}

/// What of a finding was told; a change of it is worth another event.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    confidence: Confidence,
    primary: bool,
    consequences: Vec<String>,
    facts: Vec<String>,
}

impl Told {
    fn of(conclusion: &Conclusion) -> Self {
        let verdict = &conclusion.verdict;
        Self {
            confidence: verdict.confidence,
            primary: conclusion.primary,
            consequences: conclusion.consequences.iter().map(|other| other.code.clone()).collect(),
            facts: verdict
                .evidence
                .iter()
                .chain(&verdict.against)
                .map(|evidence| evidence.fact.clone())
                .collect(),
        }
    }

    /// What is new since `before`, in words.
    fn news(&self, before: &Self) -> String {
        let mut news = Vec::new();
        if self.confidence != before.confidence {
            news.push(
                format!("confidence {:?} instead of {:?}", self.confidence, before.confidence).to_lowercase(),
            );
        }
        news.extend(
            self.facts
                .iter()
                .filter(|fact| !before.facts.contains(fact))
                .map(|fact| format!("also seen: {fact}")),
        );
        news.extend(
            before
                .facts
                .iter()
                .filter(|fact| !self.facts.contains(fact))
                .map(|fact| format!("not so any more: {fact}")),
        );
        let attached = self.consequences.iter().filter(|code| !before.consequences.contains(code));
        news.extend(attached.map(|code| format!("{code} follows from it")));
        if self.primary && !before.primary {
            news.push("the call failed because of it".into());
        }
        if news.is_empty() { "less follows from it".into() } else { news.join("; ") }
    }
}

/// What was said.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    told: BTreeMap<&'static str, (Told, Conclusion)>,
}

/// Something to say.
#[derive(Clone, Debug)]
pub(super) struct Saying {
    pub(super) state: State,
    pub(super) conclusion: Conclusion,
    pub(super) reason: Option<String>,
}

impl Ledger {
    /// Code of the finding that is primary now.
    pub(super) fn primary(&self) -> Option<&'static str> {
        self.told.iter().find(|(_, (told, _))| told.primary).map(|(code, _)| *code)
    }

    /// Compares with what was said. `failed`: the call is over or will be. `objection` tells why a
    /// rule does not conclude any more, and whether what it said was so.
    pub(super) fn settle(
        &mut self,
        verdicts: Vec<Verdict>,
        failed: bool,
        objection: impl Fn(&'static str) -> Option<(State, String)>,
    ) -> Vec<Saying> {
        let conclusions = conclude(verdicts, failed);
        let mut sayings = Vec::new();
        let attached_to = |code: &str| {
            let owner = conclusions
                .iter()
                .find(|other| other.consequences.iter().any(|attached| attached.code == code));
            owner.map(|owner| format!("it follows from {}", owner.entry.code))
        };
        self.told.retain(|code, (_, conclusion)| {
            if conclusions.iter().any(|other| other.entry.code == *code) {
                return true;
            }
            let withdrawn = |reason| (State::Withdrawn, reason);
            let (state, reason) = attached_to(code)
                .map(withdrawn)
                .or_else(|| objection(code))
                .unwrap_or_else(|| withdrawn("what it rested on is not so any more".into()));
            sayings.push(Saying { state, conclusion: conclusion.clone(), reason: Some(reason) });
            false
        });
        for conclusion in conclusions {
            let told = Told::of(&conclusion);
            let (state, reason) = match self.told.get(conclusion.entry.code.as_str()) {
                None => (State::Raised, None),
                Some((before, _)) if *before == told => continue,
                Some((before, _)) => (State::Updated, Some(told.news(before))),
            };
            self.told.insert(conclusion.entry.code.as_str(), (told, conclusion.clone()));
            sayings.push(Saying { state, conclusion, reason });
        }
        sayings
    }

    /// Takes everything back as over.
    pub(super) fn resolve(&mut self, reason: &str) -> Vec<Saying> {
        let told = std::mem::take(&mut self.told);
        let over = told.into_values().map(|(_, conclusion)| Saying {
            state: State::Resolved,
            conclusion,
            reason: Some(reason.to_owned()),
        });
        over.collect()
    }
}

/// Chooses the cause and attaches what follows from it. `verdicts` are in the order of the rules.
fn conclude(verdicts: Vec<Verdict>, failed: bool) -> Vec<Conclusion> {
    let mut best: Vec<(&'static Entry, Verdict)> = Vec::new();
    for verdict in verdicts {
        let Some(entry) = catalogue().iter().find(|entry| entry.code == verdict.code) else { continue };
        match best.iter_mut().find(|(known, _)| known.code == entry.code) {
            // The same conclusion by two rules: the surer one is told.
            Some((_, known)) if known.confidence < verdict.confidence => *known = verdict,
            Some(_) => {}
            None => best.push((entry, verdict)),
        }
    }
    // That nothing is known is no consequence of something that is.
    let is_failure = |entry: &Entry| entry.kind == Kind::Failure && entry.code != UNDECIDED;
    if best.iter().any(|(entry, _)| is_failure(entry)) {
        best.retain(|(entry, _)| entry.code != UNDECIDED);
    }
    let cause = best.iter().filter(|(entry, _)| entry.kind == Kind::Failure).fold(
        None,
        |cause: Option<&(&Entry, Verdict)>, one| match cause {
            Some(known) if known.1.confidence >= one.1.confidence => Some(known),
            _ => Some(one),
        },
    );
    let cause = cause.map(|(entry, _)| *entry);
    let owner_of = |entry: &Entry| -> Option<&'static Entry> {
        if entry.kind == Kind::Failure {
            return cause.filter(|cause| cause.code != entry.code);
        }
        best.iter().map(|(other, _)| *other).find(|other| {
            other.code != entry.code
                && other.explains.contains(&entry.code)
                && (other.kind != Kind::Failure || cause.is_some_and(|cause| cause.code == other.code))
        })
    };
    let attached: Vec<(&'static Entry, Consequence)> = best
        .iter()
        .filter_map(|(entry, verdict)| {
            let consequence = Consequence { code: entry.code.clone(), statement: verdict.statement.clone() };
            Some((owner_of(entry)?, consequence))
        })
        .collect();
    let alone: Vec<bool> = best.iter().map(|(entry, _)| owner_of(entry).is_none()).collect();
    best.into_iter()
        .zip(alone)
        .filter(|(_, alone)| *alone)
        .map(|((entry, verdict), _)| Conclusion {
            primary: failed && cause.is_some_and(|cause| cause.code == entry.code),
            consequences: attached
                .iter()
                .filter(|(owner, _)| owner.code == entry.code)
                .map(|(_, consequence)| consequence.clone())
                .collect(),
            entry,
            verdict,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(code: &'static str, confidence: Confidence) -> Verdict {
        let (statement, evidence) = (format!("{code} is the case."), Vec::new());
        Verdict { code, confidence, statement, evidence, against: Vec::new(), missing: Vec::new() }
    }

    fn said(sayings: &[Saying]) -> Vec<(State, &str, bool)> {
        sayings
            .iter()
            .map(|saying| (saying.state, saying.conclusion.entry.code.as_str(), saying.conclusion.primary))
            .collect()
    }

    #[test]
    fn one_cause_is_primary_and_the_rest_is_attached() {
        let mut ledger = Ledger::default();
        let verdicts = vec![
            verdict("gre.blocked_inbound", Confidence::Medium),
            verdict("lcp.timeout", Confidence::Medium),
            verdict("auth.weak", Confidence::High),
        ];
        let sayings = ledger.settle(verdicts.clone(), true, |_| None);
        assert_eq!(
            said(&sayings),
            [(State::Raised, "gre.blocked_inbound", true), (State::Raised, "auth.weak", false)]
        );
        assert_eq!(sayings[0].conclusion.consequences[0].code, "lcp.timeout");
        assert!(ledger.settle(verdicts, true, |_| None).is_empty(), "nothing new, nothing said");
    }

    #[test]
    fn the_surer_cause_wins_and_the_other_is_taken_back() {
        let mut ledger = Ledger::default();
        ledger.settle(vec![verdict("lcp.timeout", Confidence::Medium)], false, |_| None);
        let verdicts =
            vec![verdict("gre.blocked_local", Confidence::High), verdict("lcp.timeout", Confidence::Medium)];
        let sayings = ledger.settle(verdicts, true, |_| None);
        assert_eq!(
            said(&sayings),
            [(State::Withdrawn, "lcp.timeout", false), (State::Raised, "gre.blocked_local", true)]
        );
        assert_eq!(sayings[0].reason.as_deref(), Some("it follows from gre.blocked_local"));
    }

    #[test]
    fn what_does_not_hold_any_more_is_taken_back_with_the_reason() {
        let mut ledger = Ledger::default();
        ledger.settle(vec![verdict("gre.blocked_inbound", Confidence::Medium)], false, |_| None);
        let sayings = ledger
            .settle(Vec::new(), false, |_| Some((State::Withdrawn, "GRE comes from the client".into())));
        assert_eq!(said(&sayings), [(State::Withdrawn, "gre.blocked_inbound", false)]);
        assert_eq!(sayings[0].reason.as_deref(), Some("GRE comes from the client"));
    }

    #[test]
    fn more_confidence_is_an_update() {
        let mut ledger = Ledger::default();
        ledger.settle(vec![verdict("auth.rejected", Confidence::Medium)], false, |_| None);
        let sayings = ledger.settle(vec![verdict("auth.rejected", Confidence::High)], false, |_| None);
        assert_eq!(sayings[0].reason.as_deref(), Some("confidence high instead of medium"));
        assert_eq!(sayings[0].state, State::Updated);
    }
}
