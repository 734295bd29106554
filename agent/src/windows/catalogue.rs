//! The tables of `catalogue/`: what events and codes mean.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use super::accounting;
use crate::observation::log::{Class, Level};

/// How far a call had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Stage {
    Dialling,
    Tcp,
    Call,
    Lcp,
    Auth,
    Ccp,
    Ncp,
    Up,
}

impl Stage {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Dialling => "dialling",
            Self::Tcp => "tcp",
            Self::Call => "call",
            Self::Lcp => "lcp",
            Self::Auth => "auth",
            Self::Ccp => "ccp",
            Self::Ncp => "ncp",
            Self::Up => "up",
        }
    }
}

/// Where the knowledge about an event comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Basis {
    /// Microsoft's documents.
    Documented,
    /// Exports of others.
    Observed,
    /// Not confirmed.
    Recalled,
}

/// An event of an event log.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Event {
    provider: String,
    id: u32,
    pub(super) class: Class,
    pub(super) level: Level,
    /// Names of its parameters after the GUIDs.
    pub(super) fields: Vec<String>,
    /// Its text.
    pub(super) message: Option<String>,
    pub(super) meaning: String,
    pub(super) stage: Option<Stage>,
    pub(super) basis: Basis,
}

/// A record of an accounting log.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Accounting {
    packet: u32,
    status: Option<u32>,
    pub(super) name: String,
    pub(super) class: Class,
    pub(super) level: Level,
    pub(super) meaning: String,
}

/// An error code of Remote Access, or a reason code of NPS.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Code {
    pub(super) code: u32,
    pub(super) name: Option<String>,
    pub(super) meaning: String,
    pub(super) stage: Option<Stage>,
    /// What the packets of the call show.
    pub(super) evidence: Option<String>,
}

/// Names of parameters, labels and attributes.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Names {
    pub(super) parameters: BTreeMap<String, String>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) settings: BTreeMap<String, String>,
    pub(super) attributes: BTreeMap<String, String>,
    pub(super) numbers: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
struct Tables {
    #[serde(default)]
    event: Vec<Event>,
    #[serde(default)]
    record: Vec<Accounting>,
    #[serde(default)]
    error: Vec<Code>,
    #[serde(default)]
    reason: Vec<Code>,
}

/// A table that does not parse would be empty; a test reads each of them.
fn table(text: &str) -> Tables {
    toml::from_str(text).unwrap_or_default()
}

static EVENTS: LazyLock<Vec<Event>> = LazyLock::new(|| table(include_str!("catalogue/events.toml")).event);
static RECORDS: LazyLock<Vec<Accounting>> =
    LazyLock::new(|| table(include_str!("catalogue/accounting.toml")).record);
static ERRORS: LazyLock<Vec<Code>> = LazyLock::new(|| table(include_str!("catalogue/ras-errors.toml")).error);
static REASONS: LazyLock<Vec<Code>> =
    LazyLock::new(|| table(include_str!("catalogue/nps-reasons.toml")).reason);
static NAMES: LazyLock<Names> =
    LazyLock::new(|| toml::from_str(include_str!("catalogue/names.toml")).unwrap_or_default());

/// The provider of NPS events in the Security log.
const AUDITING: &str = "Microsoft-Windows-Security-Auditing";

/// Ids of NPS events in the Security log.
const NPS_IDS: std::ops::RangeInclusive<u32> = 6272..=6279;

/// Our short name of a provider whose events are about remote access.
pub(super) fn program(provider: &str, id: u32) -> Option<&'static str> {
    Some(match provider {
        "RemoteAccess" | "Microsoft-Windows-RemoteAccess" | "Router" => "RemoteAccess",
        "RasClient" | "Microsoft-Windows-RasClient" => "RasClient",
        "RasMan" | "Rasman" => "RasMan",
        "NPS" | "IAS" => "NPS",
        AUDITING if NPS_IDS.contains(&id) => "NPS",
        // Event Viewer and Get-WinEvent shorten it in tables.
        "Microsoft Windows security auditing." if NPS_IDS.contains(&id) => "NPS",
        accounting::PROVIDER => "IAS",
        _ => return None,
    })
}

/// Whether an event is about remote access.
pub(super) fn is_related(provider: &str, id: u32) -> bool {
    program(provider, id).is_some()
}

/// The event with this id of the program with this short name.
pub(super) fn event(program: &str, id: u32) -> Option<&'static Event> {
    EVENTS.iter().find(|event| event.id == id && self::program(&event.provider, id) == Some(program))
}

/// The accounting record of this packet type and status.
pub(super) fn accounting_record(packet: u32, status: Option<u32>) -> Option<&'static Accounting> {
    let of = |status| RECORDS.iter().find(move |one| one.packet == packet && one.status == status);
    status.and_then(|status| of(Some(status))).or_else(|| of(None))
}

/// An error code of Remote Access.
pub(super) fn ras_error(code: u32) -> Option<&'static Code> {
    ERRORS.iter().find(|one| one.code == code)
}

/// A reason code of NPS.
pub(super) fn nps_reason(code: u32) -> Option<&'static Code> {
    REASONS.iter().find(|one| one.code == code)
}

/// Names of parameters, labels and attributes.
pub(super) fn names() -> &'static Names {
    &NAMES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_parses() {
        for text in [
            include_str!("catalogue/events.toml"),
            include_str!("catalogue/accounting.toml"),
            include_str!("catalogue/ras-errors.toml"),
            include_str!("catalogue/nps-reasons.toml"),
        ] {
            toml::from_str::<Tables>(text).unwrap();
        }
        toml::from_str::<Names>(include_str!("catalogue/names.toml")).unwrap();
        assert!(EVENTS.len() >= 30 && RECORDS.len() >= 10 && ERRORS.len() >= 70 && REASONS.len() >= 45);
    }

    #[test]
    fn codes_are_unique_and_in_order() {
        for table in [&*ERRORS, &*REASONS] {
            assert!(table.is_sorted_by(|one, other| one.code < other.code));
        }
        for (index, event) in EVENTS.iter().enumerate() {
            let same = |other: &&Event| other.id == event.id && other.provider == event.provider;
            assert_eq!(EVENTS.iter().filter(same).count(), 1, "{} {index}", event.id);
            assert!(is_related(&event.provider, event.id), "{}", event.provider);
        }
    }

    #[test]
    fn every_parameter_of_a_message_has_a_name_in_the_fields_or_is_the_last_text() {
        for event in EVENTS.iter() {
            let Some(message) = &event.message else { continue };
            for part in message.split('{').skip(1) {
                let name = part.split('}').next().unwrap();
                assert!(
                    event.fields.iter().any(|field| field == name) || name == "reason_text",
                    "{}",
                    event.id
                );
            }
        }
    }

    #[test]
    fn recalled_events_are_marked() {
        let recalled = |id| event("RemoteAccess", id).unwrap().basis == Basis::Recalled;
        assert!(recalled(20209) && recalled(20106) && !recalled(20271));
    }
}
