//! The catalogue as text: for a terminal, and as the manual.

use std::fmt::Write as _;

use super::super::dossier::Daemon;
use super::{Entry, Kind, catalogue};

/// The words before the catalogue in docs/findings.md.
const INTRODUCTION: &str = include_str!("introduction.md");

const fn kind(entry: &Entry) -> &'static str {
    match entry.kind {
        Kind::Failure => "a call fails because of it",
        Kind::Quality => "something works worse than it could",
        Kind::Advice => "works, and should be changed",
    }
}

const fn daemon(daemon: Daemon) -> &'static str {
    match daemon {
        Daemon::Pptpd => "pptpd and pppd",
        Daemon::AccelPpp => "accel-ppp",
        Daemon::Rras => "Windows RRAS",
        Daemon::Unknown => "any",
    }
}

/// One line for each code.
pub fn list() -> String {
    let width = catalogue().iter().map(|entry| entry.code.len()).max().unwrap_or(0);
    let line = |entry: &Entry| format!("{:width$}  {}\n", entry.code, entry.title);
    catalogue().iter().map(line).collect()
}

/// Everything about a code.
pub fn page(entry: &Entry) -> String {
    let mut text = String::new();
    let heading = format!("{}: {}", entry.code, entry.title);
    // Writing into a String cannot fail.
    let _ = write!(
        text,
        "{heading}\n{}\n\n{}\n\nKind: {}.\n",
        "=".repeat(heading.chars().count()),
        entry.meaning.trim(),
        kind(entry)
    );
    for (title, items) in [("Decided by", &entry.evidence), ("Against it speaks", &entry.against)] {
        if !items.is_empty() {
            let _ = writeln!(text, "\n{title}:");
            for item in items {
                let _ = writeln!(text, "  * {item}");
            }
        }
    }
    let _ = writeln!(text, "\nWhat to do:");
    for (number, advice) in entry.remedy.iter().enumerate() {
        let only = advice.daemon.map_or(String::new(), |which| format!(" ({})", daemon(which)));
        let _ = writeln!(text, "  {}. {}{only}", number + 1, advice.text);
        for line in &advice.lines {
            let _ = writeln!(text, "         {line}");
        }
    }
    let _ = writeln!(text, "\nExample:\n{}", indented(&entry.example));
    text
}

fn indented(text: &str) -> String {
    text.trim().lines().map(|line| format!("  {line}\n")).collect()
}

/// docs/findings.md.
pub fn manual() -> String {
    let mut text = INTRODUCTION.to_owned();
    text.push_str("\n## All codes\n\n| code | what is wrong |\n|---|---|\n");
    for entry in catalogue() {
        let anchor = entry.code.replace('.', "");
        let _ = writeln!(text, "| [`{}`](#{anchor}) | {} |", entry.code, entry.title);
    }
    for entry in catalogue() {
        let _ = write!(
            text,
            "\n## {}\n\n**{}** ({}).\n\n{}\n",
            entry.code,
            entry.title,
            kind(entry),
            entry.meaning.trim()
        );
        for (title, items) in [("Decided by", &entry.evidence), ("Against it speaks", &entry.against)] {
            if !items.is_empty() {
                let _ = writeln!(text, "\n{title}:\n");
                for item in items {
                    let _ = writeln!(text, "* {item}");
                }
            }
        }
        let _ = writeln!(text, "\nWhat to do:\n");
        for (number, advice) in entry.remedy.iter().enumerate() {
            let only = advice.daemon.map_or(String::new(), |which| format!(" ({})", daemon(which)));
            let _ = writeln!(text, "{}. {}{only}", number + 1, advice.text);
            if !advice.lines.is_empty() {
                let lines: String = advice.lines.iter().map(|line| format!("   {line}\n")).collect();
                let _ = write!(text, "\n   ```\n{lines}   ```\n");
            }
        }
        let _ = write!(text, "\nExample:\n\n```\n{}\n```\n", entry.example.trim());
    }
    text
}
