//! The catalogue: every message that the daemons can write, as data.
//!
//! One file a program in `catalogue/`, tab-separated: id, versions that have the message, level,
//! class, pattern ([`super::pattern`]), names of its values, meaning. An automaton over the texts of
//! the patterns names the few that a line can be an instance of, and those are tried, the one that says
//! most first. So the cost of a line does not depend on the size of the catalogue.

use std::collections::HashMap;
use std::sync::LazyLock;

use aho_corasick::automaton::OverlappingState;
use aho_corasick::{AhoCorasick, AhoCorasickKind, Anchored, Input, StartKind};

use super::pattern::{self, Pattern, Values};
use crate::event::log::{Class, Level};

/// Patterns tried for one line at most. Texts of different patterns are so different that a line has
/// a handful of candidates.
const MAX_CANDIDATES: usize = 24;

/// Patterns that may be found by the same beginning; more are found by their longest text.
const MAX_SAME: usize = 8;

/// A program whose messages the catalogue has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Program {
    /// pppd and its plugins.
    Pppd,
    /// The Poptop server: manager and worker processes.
    Pptpd,
    /// The pptp-linux client.
    Pptp,
    /// accel-ppp.
    AccelPpp,
    /// FreeRADIUS.
    FreeRadius,
    /// Linux.
    Kernel,
}

impl Program {
    /// All of them. Lines that do not name their program are tried in this order.
    pub const ALL: [Self; 6] =
        [Self::Pppd, Self::Pptpd, Self::Pptp, Self::AccelPpp, Self::FreeRadius, Self::Kernel];

    /// Its name in observations and events.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pppd => "pppd",
            Self::Pptpd => "pptpd",
            Self::Pptp => "pptp",
            Self::AccelPpp => "accel-ppp",
            Self::FreeRadius => "freeradius",
            Self::Kernel => "kernel",
        }
    }

    /// The program that calls itself so in a log.
    pub fn of_ident(ident: &str) -> Option<Self> {
        Some(match ident {
            "pppd" => Self::Pppd,
            "pptpd" | "pptpctrl" | "bcrelay" => Self::Pptpd,
            "pptp" | "pptpcm" | "pptpgw" => Self::Pptp,
            "accel-pppd" | "accel-ppp" | "accel-pptp" => Self::AccelPpp,
            "freeradius" | "radiusd" => Self::FreeRadius,
            "kernel" => Self::Kernel,
            _ => return None,
        })
    }

    const fn source(self) -> &'static str {
        match self {
            Self::Pppd => include_str!("catalogue/pppd.tsv"),
            Self::Pptpd => include_str!("catalogue/pptpd.tsv"),
            Self::Pptp => include_str!("catalogue/pptp.tsv"),
            Self::AccelPpp => include_str!("catalogue/accel-ppp.tsv"),
            Self::FreeRadius => include_str!("catalogue/freeradius.tsv"),
            Self::Kernel => include_str!("catalogue/kernel.tsv"),
        }
    }
}

/// One message.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Name: the program, a point, and the first words of the message.
    pub id: Box<str>,
    /// Versions of the program that have it, separated by blanks.
    pub versions: &'static str,
    /// How the program rates it.
    pub level: Level,
    /// What it is good for.
    pub class: Class,
    /// Its text.
    pub pattern: Pattern,
    /// Names of the values, in the order of the pattern.
    pub fields: Box<[&'static str]>,
    /// What it means; empty where it speaks for itself.
    pub meaning: &'static str,
}

/// Why a line of a catalogue file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}.tsv line {line}: {what}")]
pub struct Error {
    /// Which file.
    pub file: &'static str,
    /// Number of the line.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

/// The messages of one program.
pub struct Catalogue {
    program: Program,
    /// The one that says most first.
    entries: Vec<Entry>,
    /// Over the beginnings of the patterns that begin with text.
    beginnings: Option<AhoCorasick>,
    /// For each needle of `beginnings`, the numbers of the entries with it.
    begin_with: Vec<Vec<u32>>,
    /// Over the longest texts of the others.
    insides: Option<AhoCorasick>,
    contain: Vec<Vec<u32>>,
}

static CATALOGUES: LazyLock<Vec<Catalogue>> = LazyLock::new(|| {
    // A test reads every line of every file; what could not be read here would be a smaller catalogue.
    Program::ALL.into_iter().map(|program| Catalogue::read(program, |_| {})).collect()
});

/// The messages of `program`.
pub fn catalogue(program: Program) -> &'static Catalogue {
    static EMPTY: LazyLock<Catalogue> = LazyLock::new(|| Catalogue::index(Program::Kernel, Vec::new()));
    CATALOGUES.iter().find(|catalogue| catalogue.program == program).unwrap_or(&EMPTY)
}

/// The entry with this id, and its program.
pub fn by_id(id: &str) -> Option<(Program, &'static Entry)> {
    static IDS: LazyLock<HashMap<&'static str, (Program, &'static Entry)>> = LazyLock::new(|| {
        let all = Program::ALL.into_iter().map(|program| (program, catalogue(program)));
        all.flat_map(|(program, catalogue)| {
            catalogue.entries.iter().map(move |entry| (entry.id.as_ref(), (program, entry)))
        })
        .collect()
    });
    IDS.get(id).copied()
}

impl Catalogue {
    /// Reads the catalogue file of `program`; lines that cannot be used are given to `refuse`.
    pub(super) fn read(program: Program, mut refuse: impl FnMut(Error)) -> Self {
        let mut entries = Vec::new();
        for (index, line) in program.source().lines().enumerate() {
            if line.starts_with('#') || line.is_empty() {
                continue;
            }
            match entry(program, line) {
                Ok(entry) => entries.push(entry),
                Err(what) => refuse(Error { file: program.name(), line: index + 1, what }),
            }
        }
        Self::index(program, entries)
    }

    fn index(program: Program, mut entries: Vec<Entry>) -> Self {
        // Of two that say as much, the later one.
        entries.reverse();
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.pattern.weight()));
        let mut beginnings = Needles::default();
        let mut insides = Needles::default();
        let mut same: HashMap<&str, usize> = HashMap::new();
        for prefix in entries.iter().filter_map(|entry| entry.pattern.prefix()) {
            *same.entry(prefix).or_default() += 1;
        }
        for (number, entry) in (0..).zip(&entries) {
            match entry.pattern.prefix() {
                // A beginning that many share says little.
                Some(prefix) if same.get(prefix).is_some_and(|many| *many <= MAX_SAME) => {
                    beginnings.add(prefix, number);
                }
                _ => insides.add(entry.pattern.longest(), number),
            }
        }
        let (beginnings, begin_with) = beginnings.build(StartKind::Anchored);
        let (insides, contain) = insides.build(StartKind::Unanchored);
        Self { program, entries, beginnings, begin_with, insides, contain }
    }

    /// All messages.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The message that `text` is, and its values.
    pub fn recognise<'a>(&self, text: &'a str) -> Option<(&Entry, Values<'a>)> {
        let anchored = Input::new(text).anchored(Anchored::Yes);
        self.first_of(self.beginnings.as_ref(), &self.begin_with, &anchored, text)
            .or_else(|| self.first_of(self.insides.as_ref(), &self.contain, &Input::new(text), text))
    }

    fn first_of<'a>(
        &self,
        automaton: Option<&AhoCorasick>,
        groups: &[Vec<u32>],
        input: &Input<'_>,
        text: &'a str,
    ) -> Option<(&Entry, Values<'a>)> {
        let automaton = automaton?;
        let mut candidates = [0u32; MAX_CANDIDATES];
        let mut count = 0;
        let mut state = OverlappingState::start();
        loop {
            // Fails only where automaton and kind of search do not fit, which the tests would show.
            automaton.try_find_overlapping(input.clone(), &mut state).ok()?;
            let Some(found) = state.get_match() else { break };
            for number in groups.get(found.pattern().as_usize()).into_iter().flatten() {
                if let Some(slot) = candidates.get_mut(count) {
                    *slot = *number;
                    count += 1;
                }
            }
        }
        let candidates = candidates.get_mut(..count)?;
        if count > 1 {
            candidates.sort_unstable();
        }
        candidates.iter().find_map(|number| {
            let entry = self.entries.get(*number as usize)?;
            Some((entry, entry.pattern.extract(text)?))
        })
    }
}

/// Texts to search for, each once, with the entries that have it.
#[derive(Default)]
struct Needles {
    numbers: HashMap<String, usize>,
    texts: Vec<String>,
    groups: Vec<Vec<u32>>,
}

impl Needles {
    fn add(&mut self, text: &str, entry: u32) {
        let next = self.texts.len();
        let number = *self.numbers.entry(text.to_owned()).or_insert(next);
        if number == next {
            self.texts.push(text.to_owned());
            self.groups.push(Vec::new());
        }
        if let Some(group) = self.groups.get_mut(number) {
            group.push(entry);
        }
    }

    fn build(self, start: StartKind) -> (Option<AhoCorasick>, Vec<Vec<u32>>) {
        let automaton = AhoCorasick::builder()
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .start_kind(start)
            .build(&self.texts)
            .ok();
        (automaton, self.groups)
    }
}

fn entry(program: Program, line: &'static str) -> Result<Entry, String> {
    let columns: Vec<&'static str> = line.split('\t').collect();
    let [id, versions, level, class, pattern, fields, meaning] = columns.as_slice() else {
        return Err(format!("{} columns instead of 7", columns.len()));
    };
    let level = match *level {
        "debug" => Level::Debug,
        "info" => Level::Info,
        "notice" => Level::Notice,
        "warning" => Level::Warning,
        "error" => Level::Error,
        other => return Err(format!("unknown level {other:?}")),
    };
    let class = match *class {
        "cause" => Class::Cause,
        "effect" => Class::Effect,
        "progress" => Class::Progress,
        "benign" => Class::Benign,
        "other" => Class::Other,
        other => return Err(format!("unknown class {other:?}")),
    };
    let pattern = Pattern::new(&pattern.replace("\\t", "\t"))
        .map_err(|error: pattern::Error| format!("pattern {pattern:?}: {error}"))?;
    let fields: Box<[_]> = if fields.is_empty() { Box::default() } else { fields.split(',').collect() };
    if fields.len() != pattern.values() {
        return Err(format!("{} names for {} values", fields.len(), pattern.values()));
    }
    let id = format!("{}.{id}", program.name()).into();
    Ok(Entry { id, versions, level, class, pattern, fields, meaning })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_line_of_every_file_can_be_used() {
        let mut ids = BTreeSet::new();
        for program in Program::ALL {
            let mut refused = Vec::new();
            let catalogue = Catalogue::read(program, |error| refused.push(error.to_string()));
            assert_eq!(refused, Vec::<String>::new());
            assert!(catalogue.entries.len() > 50 && catalogue.beginnings.is_some(), "{program:?}");
            for entry in &catalogue.entries {
                assert!(ids.insert(entry.id.clone()), "{} twice", entry.id);
                let names: BTreeSet<_> = entry.fields.iter().collect();
                assert_eq!(names.len(), entry.fields.len(), "{}: a name twice", entry.id);
            }
        }
    }

    #[test]
    fn the_message_that_says_most_wins() {
        let id = |program, text| catalogue(program).recognise(text).map(|(entry, _)| entry.id.to_string());
        assert_eq!(
            id(Program::Pppd, "MPPE disabled, closing LCP").as_deref(),
            Some("pppd.mppe_disabled_closing_lcp")
        );
        assert_eq!(id(Program::Pppd, "MPPE disabled").as_deref(), Some("pppd.mppe_disabled"));
        assert_eq!(
            id(Program::Pppd, "LCP: timeout sending Config-Requests").as_deref(),
            Some("pppd.timeout_sending_config_requests")
        );
        assert_eq!(id(Program::Pppd, "nobody says this"), None);
    }
}
