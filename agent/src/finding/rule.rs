//! What a rule is, and how sure its conclusion is.
//!
//! The rule of confidence, the same for all:
//!
//! 1. A rule states how sure it is when all that decides it is there: *high* where a party says it in
//!    so many words (a code, a kernel's verdict, a message of class cause), *medium* where a picture
//!    is told that has one usual reading, *low* where it has several.
//! 2. One step more when a source that is not among the deciding ones says so too.
//! 3. One step less for each thing that speaks against it; below *low* the rule concludes nothing.
//! 4. What could not be observed never counts as silence: a rule that needs the silence of a source
//!    that is blind concludes nothing.

use crate::event::finding::{Confidence, Evidence, Missing};
use crate::time::Timestamp;

use super::fact::{Fact, Reading, View};

/// A rule: when it concludes, what, and how sure.
#[derive(Debug)]
pub(super) struct Rule<V: 'static> {
    /// Code of the catalogue.
    pub(super) code: &'static str,
    /// All of these must be seen.
    pub(super) all: &'static [Fact<V>],
    /// One of these must be seen; empty: nothing more is asked.
    pub(super) any: &'static [Fact<V>],
    /// Each of these must be silent, with a source that would have spoken.
    pub(super) silent: &'static [Fact<V>],
    /// None of these may be seen: they explain the same better.
    pub(super) unless: &'static [Fact<V>],
    /// When one of these is seen, what was concluded was so, and is over.
    pub(super) over: &'static [Fact<V>],
    /// These make it surer.
    pub(super) supports: &'static [Fact<V>],
    /// These make it less sure.
    pub(super) against: &'static [Fact<V>],
    /// How sure it is by what decides it alone.
    pub(super) confidence: Confidence,
    /// The conclusion in one sentence.
    pub(super) say: fn(&V) -> String,
}

/// A rule that concluded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) code: &'static str,
    pub(super) confidence: Confidence,
    pub(super) statement: String,
    pub(super) evidence: Vec<Evidence>,
    pub(super) against: Vec<Evidence>,
    pub(super) missing: Vec<Missing>,
}

impl Verdict {
    /// When what it is about began, as far as the evidence tells.
    pub(super) fn since(&self) -> Option<Timestamp> {
        self.evidence.iter().filter_map(|evidence| evidence.at).min()
    }
}

impl<V: View> Rule<V> {
    /// A rule to fill in: nothing is asked, nothing said.
    pub(super) const BLANK: Self = Self {
        code: "",
        all: &[],
        any: &[],
        silent: &[],
        unless: &[],
        over: &[],
        supports: &[],
        against: &[],
        confidence: Confidence::Medium,
        say: |_| String::new(),
    };

    /// Whether what decides the rule is there.
    fn holds(&self, view: &V) -> bool {
        self.all.iter().all(|fact| fact.read(view).is_seen())
            && (self.any.is_empty() || self.any.iter().any(|fact| fact.read(view).is_seen()))
            && self.silent.iter().all(|fact| fact.read(view) == Reading::Silent)
            && !self.unless.iter().any(|fact| fact.read(view).is_seen())
    }

    /// Why what was concluded is over, in words; None when it is not.
    pub(super) fn over(&self, view: &V) -> Option<String> {
        let seen = self.over.iter().find(|fact| fact.read(view).is_seen());
        seen.map(|fact| fact.text.to_owned())
    }

    /// Why the rule does not conclude, in words; None when it does.
    pub(super) fn objection(&self, view: &V) -> Option<String> {
        let better = self.unless.iter().find(|fact| fact.read(view).is_seen());
        let broken = self.silent.iter().find(|fact| fact.read(view).is_seen());
        if let Some(fact) = better.or(broken) {
            return Some(format!("now seen: {}", fact.text));
        }
        let gone = self.all.iter().find(|fact| !fact.read(view).is_seen());
        if let Some(fact) = gone {
            return Some(format!("not so any more: {}", fact.text));
        }
        let contradicts = self.against.iter().find(|fact| fact.read(view).is_seen());
        contradicts.map(|fact| format!("against it: {}", fact.text))
    }

    /// What the rule concludes about `view`.
    pub(super) fn conclude(&self, view: &V) -> Option<Verdict> {
        if !self.holds(view) {
            return None;
        }
        let seen = |facts: &[Fact<V>]| -> Vec<Evidence> {
            facts.iter().filter_map(|fact| fact.evidence(view)).collect()
        };
        let mut evidence = seen(self.all);
        evidence.extend(seen(self.any));
        evidence.extend(self.silent.iter().map(|fact| Evidence {
            source: fact.source,
            fact: format!("not seen, although it would have been: {}", fact.text),
            detail: String::new(),
            at: None,
        }));
        let deciding: Vec<_> = evidence.iter().map(|evidence| evidence.source).collect();
        let supports = seen(self.supports);
        let against = seen(self.against);
        let mut confidence = self.confidence;
        if supports.iter().any(|support| !deciding.contains(&support.source)) {
            confidence = raised(confidence);
        }
        for _ in &against {
            confidence = lowered(confidence)?;
        }
        evidence.extend(supports);
        let mut missing: Vec<Missing> = Vec::new();
        for fact in [self.any, self.unless, self.supports, self.against].into_iter().flatten() {
            // A fact may both prove and support.
            missing.extend(fact.missing(view).filter(|new| !missing.contains(new)));
        }
        Some(Verdict { code: self.code, confidence, statement: (self.say)(view), evidence, against, missing })
    }
}

const fn raised(confidence: Confidence) -> Confidence {
    match confidence {
        Confidence::Low => Confidence::Medium,
        Confidence::Medium | Confidence::High => Confidence::High,
    }
}

const fn lowered(confidence: Confidence) -> Option<Confidence> {
    match confidence {
        Confidence::High => Some(Confidence::Medium),
        Confidence::Medium => Some(Confidence::Low),
        Confidence::Low => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::finding::Source;

    /// What four sources say; None: blind.
    struct Four([Option<bool>; 4]);

    impl View for Four {
        fn blind(&self, _: Source) -> Option<&'static str> {
            None
        }
    }

    const fn fact(source: Source, read: fn(&Four) -> Reading) -> Fact<Four> {
        Fact { text: "it is so", source, read }
    }

    fn reading(value: Option<bool>) -> Reading {
        value.map_or(Reading::Blind("no source"), |value| Reading::flag(value, None))
    }

    const RULE: Rule<Four> = Rule {
        code: "test",
        all: &[fact(Source::Control, |view| reading(view.0[0]))],
        silent: &[fact(Source::Gre, |view| reading(view.0[1]))],
        supports: &[fact(Source::Log, |view| reading(view.0[2]))],
        against: &[fact(Source::Kernel, |view| reading(view.0[3]))],
        ..Rule::BLANK
    };

    #[test]
    fn silence_of_a_blind_source_concludes_nothing() {
        assert!(RULE.conclude(&Four([Some(true), Some(false), None, None])).is_some());
        assert!(RULE.conclude(&Four([Some(true), None, None, None])).is_none());
        assert!(RULE.conclude(&Four([Some(true), Some(true), None, None])).is_none());
        assert!(RULE.conclude(&Four([Some(false), Some(false), None, None])).is_none());
    }

    #[test]
    fn another_source_makes_surer_and_a_contradiction_less_sure() {
        let confidence = |support, against| {
            RULE.conclude(&Four([Some(true), Some(false), support, against])).unwrap().confidence
        };
        assert_eq!(confidence(None, None), Confidence::Medium);
        assert_eq!(confidence(Some(true), Some(false)), Confidence::High);
        assert_eq!(confidence(None, Some(true)), Confidence::Low);
        assert_eq!(confidence(Some(true), Some(true)), Confidence::Medium);
        let low = Rule { confidence: Confidence::Low, ..RULE };
        assert!(low.conclude(&Four([Some(true), Some(false), None, Some(true)])).is_none());
    }

    #[test]
    fn what_could_not_be_seen_is_told() {
        let verdict = RULE.conclude(&Four([Some(true), Some(false), None, Some(false)])).unwrap();
        let missing: Vec<_> = verdict.missing.iter().map(|missing| missing.source).collect();
        assert_eq!(missing, [Source::Log]);
        assert_eq!(verdict.evidence.len(), 2);
        // One that both proves and supports is missed once.
        let twice = Rule { any: RULE.supports, all: &[], silent: &[], against: RULE.all, ..RULE };
        let missing = |rule: &Rule<Four>, view| rule.conclude(view).map(|verdict| verdict.missing.len());
        assert_eq!(missing(&twice, &Four([None, None, Some(true), None])), Some(1));
        let unless = Rule { unless: RULE.supports, ..RULE };
        assert_eq!(missing(&unless, &Four([Some(true), Some(false), None, Some(false)])), Some(1));
    }
}
