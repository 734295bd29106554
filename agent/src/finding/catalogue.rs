//! The catalogue of findings: what each code means, what decides it, and what to do. One text for
//! `explain`, for the remedies in events, and for docs/findings.md.

use std::sync::LazyLock;

use serde::Deserialize;

use super::dossier::Daemon;
use crate::event::Severity;
use crate::event::finding::Remedy;

mod page;

pub use page::{list, manual, page};

/// What a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A call fails because of it: of several in one call, one is the cause.
    Failure,
    /// A call, or the host, works worse than it could.
    Quality,
    /// Works, and should be changed.
    Advice,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    finding: Vec<Entry>,
}

/// One code.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// `family.name`; never used for something else.
    pub code: String,
    /// In a few words.
    pub title: String,
    /// What it does to a call.
    pub kind: Kind,
    /// Severity of its events.
    #[serde(default = "warning", deserialize_with = "severity")]
    pub severity: Severity,
    /// What is wrong, for somebody who has not heard of it.
    pub meaning: String,
    /// What decides it.
    pub evidence: Vec<String>,
    /// What speaks against it.
    #[serde(default)]
    pub against: Vec<String>,
    /// Findings of kind quality and advice that follow from it.
    #[serde(default)]
    pub explains: Vec<String>,
    /// A statement of it, as it was made, and what it rested on.
    pub example: String,
    /// What to do, in the order in which to try.
    pub remedy: Vec<Advice>,
}

/// One thing to do.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Advice {
    /// In words.
    pub text: String,
    /// Only where this program takes the calls.
    daemon: Option<Daemon>,
    /// Commands, or lines of a file. `{client}` and such are filled in.
    #[serde(default)]
    pub lines: Vec<String>,
}

const fn warning() -> Severity {
    Severity::Warning
}

fn severity<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Severity, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "info" => Ok(Severity::Info),
        "notice" => Ok(Severity::Notice),
        "warning" => Ok(Severity::Warning),
        other => Err(serde::de::Error::custom(format!("no severity {other:?}"))),
    }
}

const FILES: &[&str] = &[
    include_str!("catalogue/control.toml"),
    include_str!("catalogue/daemon.toml"),
    include_str!("catalogue/gre.toml"),
    include_str!("catalogue/lcp.toml"),
    include_str!("catalogue/auth.toml"),
    include_str!("catalogue/radius.toml"),
    include_str!("catalogue/mppe.toml"),
    include_str!("catalogue/ipcp.toml"),
    include_str!("catalogue/mtu.toml"),
    include_str!("catalogue/session.toml"),
    include_str!("catalogue/witness.toml"),
    include_str!("catalogue/host.toml"),
];

static CATALOGUE: LazyLock<Result<Vec<Entry>, toml::de::Error>> = LazyLock::new(|| {
    let files = FILES.iter().map(|text| toml::from_str::<File>(text).map(|file| file.finding));
    files.collect::<Result<Vec<_>, _>>().map(|files| files.into_iter().flatten().collect())
});

/// Every code, by family.
pub fn catalogue() -> &'static [Entry] {
    // The files are part of the program: a test reads them.
    CATALOGUE.as_deref().unwrap_or_default()
}

/// The entry of a code.
pub fn entry(code: &str) -> Option<&'static Entry> {
    catalogue().iter().find(|entry| entry.code == code)
}

/// What takes the place of `{name}` in the lines of a remedy.
pub(super) type Fill<'a> = &'a [(&'a str, String)];

impl Entry {
    /// What to do where `daemon` takes the calls.
    pub(super) fn remedies(&self, daemon: Daemon, fill: Fill<'_>) -> Vec<Remedy> {
        let fits = |advice: &&Advice| {
            advice.daemon.is_none_or(|wanted| wanted == daemon || daemon == Daemon::Unknown)
        };
        let filled = |text: &String| {
            fill.iter().fold(text.clone(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
        };
        let remedy = |advice: &Advice| Remedy {
            text: filled(&advice.text),
            lines: advice.lines.iter().map(filled).collect(),
        };
        self.remedy.iter().filter(fits).map(remedy).collect()
    }

    /// Where the documents tell more.
    pub fn link(&self) -> String {
        format!("docs/findings.md#{}", self.code.replace(['.'], ""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::rules;

    #[test]
    fn every_file_can_be_read_and_every_code_is_there_once() {
        let entries = CATALOGUE.as_ref().map_err(ToString::to_string).unwrap();
        for (index, entry) in entries.iter().enumerate() {
            assert!(entries[..index].iter().all(|other| other.code != entry.code), "{} twice", entry.code);
            assert!(!entry.remedy.is_empty() && !entry.evidence.is_empty(), "{}", entry.code);
            for code in &entry.explains {
                assert!(entries.iter().any(|other| other.code == *code), "{} explains {code}", entry.code);
            }
        }
    }

    #[test]
    fn every_rule_has_its_entry() {
        let calls = rules::CALL.iter().copied().flatten().map(|rule| rule.code);
        let histories = rules::HISTORY.iter().copied().flatten().map(|rule| rule.code);
        for code in calls.chain(histories) {
            assert!(entry(code).is_some(), "{code} is not in the catalogue");
        }
    }

    #[test]
    fn remedies_are_those_of_the_daemon_and_filled_in() {
        let advice =
            |daemon, text: &str| Advice { text: text.into(), daemon, lines: vec!["at {client}".into()] };
        let entry = Entry {
            code: "a.b".into(),
            title: String::new(),
            kind: Kind::Failure,
            severity: Severity::Warning,
            meaning: String::new(),
            evidence: Vec::new(),
            against: Vec::new(),
            explains: Vec::new(),
            example: String::new(),
            remedy: vec![advice(None, "all"), advice(Some(Daemon::AccelPpp), "accel")],
        };
        let texts = |daemon| -> Vec<String> {
            entry
                .remedies(daemon, &[("client", "192.0.2.1".into())])
                .into_iter()
                .map(|remedy| remedy.text)
                .collect()
        };
        assert_eq!(texts(Daemon::Pptpd), ["all"]);
        assert_eq!(texts(Daemon::AccelPpp), ["all", "accel"]);
        assert_eq!(texts(Daemon::Unknown), ["all", "accel"]);
        assert_eq!(
            entry.remedies(Daemon::Pptpd, &[("client", "192.0.2.1".into())])[0].lines,
            ["at 192.0.2.1"]
        );
    }

    #[test]
    fn the_manual_is_generated() {
        let committed = include_str!("../../../docs/findings.md");
        assert!(
            manual() == committed,
            "docs/findings.md differs: cargo run -q -p pptpscope -- explain --manual > docs/findings.md"
        );
    }
}
