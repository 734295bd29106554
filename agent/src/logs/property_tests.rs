//! Every message of the catalogue, and every format string of the research where it is at hand, written
//! with random values under every envelope and read back.

use std::fmt::Write as _;
use std::path::Path;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use super::catalogue::{Catalogue, Program, catalogue};
use super::envelope;
use super::pattern::{Conversion, Pattern, Piece};
use super::recognise;

/// An envelope around a text of a program.
type Wrap = fn(program: Program, pid: u32, text: &str) -> String;

fn ident(program: Program) -> &'static str {
    match program {
        Program::AccelPpp => "accel-pppd",
        Program::FreeRadius => "radiusd",
        other => other.name(),
    }
}

const ENVELOPES: [(&str, Wrap); 9] = [
    ("rfc3164", |program, pid, text| format!("Nov  6 20:31:31 vpn {}[{pid}]: {text}", ident(program))),
    ("rfc3164 year", |program, pid, text| {
        format!("<30>Nov 26 2026 20:31:31 vpn {}[{pid}]: {text}", ident(program))
    }),
    ("rsyslog", |program, pid, text| {
        format!("2026-11-22T08:39:01.123456+01:00 vpn {}[{pid}]: {text}", ident(program))
    }),
    ("rfc5424", |program, pid, text| {
        format!(
            "<29>1 2026-11-22T08:39:01.003Z vpn {} {pid} - [meta sequenceId=\"1\"] {text}",
            ident(program)
        )
    }),
    ("rfc5424 bare", |program, pid, text| {
        format!("2026-11-22T08:39:01.003Z vpn {} {pid} - - {text}", ident(program))
    }),
    ("openwrt", |program, pid, text| {
        format!("Thu Jan  1 00:00:00 2026 daemon.notice {}[{pid}]: {text}", ident(program))
    }),
    ("router", |program, pid, text| {
        format!("2022-05-25 10:26:41 daemon.info {}[{pid}]: {text}", ident(program))
    }),
    ("tag", |program, pid, text| format!("{}[{pid}]: {text}", ident(program))),
    ("journal", |program, pid, text| {
        let text = serde_json::to_string(text).unwrap();
        format!(
            r#"{{"__REALTIME_TIMESTAMP":"1700000000000000","_PID":"{pid}","SYSLOG_IDENTIFIER":"{}","MESSAGE":{text}}}"#,
            ident(program)
        )
    }),
];

/// Random values for a pattern. Texts are made of what names, paths and errors are made of.
fn values(runner: &mut TestRunner, pattern: &Pattern) -> Vec<String> {
    let mut draw = |strategy: &'static str| {
        proptest::string::string_regex(strategy).unwrap().new_tree(runner).unwrap().current()
    };
    let conversions = pattern.pieces().iter().filter_map(|piece| match piece {
        Piece::Value(conversion) => Some(*conversion),
        Piece::Literal(_) => None,
    });
    conversions
        .map(|conversion| match conversion {
            Conversion::Signed => draw("-?[1-9][0-9]{0,8}"),
            Conversion::Unsigned => draw("[1-9][0-9]{0,8}"),
            Conversion::Hex => draw("[0-9a-fA-F]{1,8}"),
            Conversion::Fraction => draw("[0-9]{1,4}\\.[0-9]{1,4}"),
            Conversion::Address => draw("[1-9][0-9]?\\.[1-9][0-9]?\\.[1-9][0-9]?\\.[1-9][0-9]?"),
            Conversion::Character => draw("[A-Za-z]"),
            // Upper case: no text of a pattern is made of that alone.
            Conversion::Text | Conversion::GreedyText => draw("[A-Z0-9][A-Z0-9_@\u{e9}-]{0,12}[A-Z0-9]"),
        })
        .collect()
}

/// Writes `pattern` with random values in the envelope and reads it back.
fn check(runner: &mut TestRunner, program: Program, pattern: &Pattern, wrong: &mut String) -> bool {
    let values = values(runner, pattern);
    let borrowed: Vec<&str> = values.iter().map(String::as_str).collect();
    let text = pattern.render(&borrowed);
    let mut good = true;
    for (pid, (name, wrap)) in (1000..).zip(ENVELOPES) {
        let whole = wrap(program, pid, &text);
        let entry = name.eq("journal").then(|| envelope::journal::parse(&whole).unwrap());
        let line = match &entry {
            Some(entry) => entry.line(),
            None => envelope::parse(&whole),
        };
        let found =
            line.ident.and_then(Program::of_ident).map(|program| recognise::of_program(program, line.text));
        let same_program = line.pid == Some(pid) && line.ident.and_then(Program::of_ident) == Some(program);
        let Some((entry, found)) = found.as_ref().and_then(|found| Some((found.entry?, found))) else {
            let _ = writeln!(wrong, "{name}: not recognised: {whole}");
            return false;
        };
        // Another message may say the same with more of its own text; the values must be there all the same.
        let is_same = entry.pattern == *pattern;
        let got = found.values.as_slice();
        if !same_program
            || (is_same && got != borrowed.as_slice())
            || (!is_same && entry.pattern.render(got) != line.text.trim())
        {
            let stands_behind = line.text.trim_end().ends_with(&entry.pattern.render(got));
            if !(same_program && !is_same && stands_behind) {
                let _ = writeln!(wrong, "{name}: {whole}\n    as {} with {got:?}", entry.id);
                good = false;
            }
        }
        if !is_same && name == "rfc3164" && got.join(" ").len() < borrowed.join(" ").len() / 2 {
            let _ = writeln!(wrong, "taken for {}: {whole}", entry.id);
            good = false;
        }
    }
    good
}

#[test]
fn the_whole_catalogue_reads_back_what_it_writes() {
    let mut runner = TestRunner::deterministic();
    let mut wrong = String::new();
    let mut checked = 0;
    for program in Program::ALL {
        for entry in catalogue(program).entries() {
            // What the dump says is read by another grammar; its tests are there.
            if !entry.id.ends_with(".rcvd") && !entry.id.ends_with(".sent") {
                check(&mut runner, program, &entry.pattern, &mut wrong);
                checked += 1;
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(checked > 2500, "{checked}");
}

/// The pattern of a C format string; None when it is a piece of a line, or says nothing of its own.
fn of_format(program: Program, format: &str) -> Option<Pattern> {
    let mut text = format.replace("\\\"", "\"").replace("\\t", "\t");
    while let Some(rest) = text.strip_suffix("\\n") {
        text = rest.to_owned();
    }
    // `<5>`: the level of old kernel messages; `<PPP_VERSION>`: a macro.
    for macro_name in ["<PPTP_DRIVER_VERSION>", "<PPP_VERSION>", "<PPTP_CTRL_BIN>"] {
        text = text.replace(macro_name, "X");
    }
    if text.contains('\\') || text.contains("%<") {
        return None;
    }
    let mut out = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        out.push(c);
        if c != '%' {
            continue;
        }
        while chars.peek().is_some_and(|c| !c.is_ascii_alphabetic() && *c != '%') {
            chars.next();
        }
        while chars.peek().is_some_and(|c| matches!(c, 'l' | 'h' | 'z' | 'j')) {
            chars.next();
        }
        out.push(match chars.next()? {
            'i' => 'd',
            'X' => 'x',
            'B' | 'p' | 'o' | 'D' | 't' | 'H' | 'r' => 's',
            'v' | 'q' | 'P' | 'm' => 's',
            'I' if program != Program::Pppd => 's',
            other => other,
        });
    }
    let pattern = Pattern::new(out.trim()).ok()?;
    let letters: usize = pattern
        .pieces()
        .iter()
        .map(|piece| match piece {
            Piece::Literal(text) => text.chars().filter(|c| c.is_alphanumeric()).count(),
            Piece::Value(_) => 0,
        })
        .sum();
    (letters >= 5 && pattern.longest().chars().filter(|c| c.is_alphanumeric()).count() >= 4)
        .then_some(pattern)
}

#[test]
fn every_format_string_of_the_research_is_read_back() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/research/formats");
    if !folder.is_dir() {
        eprintln!("SKIPPED: {} is not here; the catalogue itself is tested all the same", folder.display());
        return;
    }
    let files = [
        ("pppd-247", Program::Pppd),
        ("pppd-249", Program::Pppd),
        ("pppd-252", Program::Pppd),
        ("pppd-253", Program::Pppd),
        ("pptpd-1.4.0", Program::Pptpd),
        ("pptpd-1.5.0", Program::Pptpd),
        ("pptp-linux-1.10.0", Program::Pptp),
        ("accel-ppp-git", Program::AccelPpp),
        ("freeradius-3.2.7", Program::FreeRadius),
        ("linux-6.1", Program::Kernel),
    ];
    // What never reaches a log: allocation helpers, standard error, dynamic debug of the kernel.
    let silent = ["novm", "fprintf", "syslog_perror", "REMARKER", "RATE_LIMIT", "pr_debug"];
    let mut runner = TestRunner::deterministic();
    let mut wrong = String::new();
    for (file, program) in files {
        let text = std::fs::read(folder.join(format!("{file}.tsv"))).unwrap();
        let text = String::from_utf8_lossy(&text);
        let (mut checked, mut pieces) = (0, 0);
        for line in text.lines() {
            let mut columns = line.split('\t').skip(1);
            let (Some(function), Some(format)) = (columns.next(), columns.next()) else { continue };
            if silent.iter().any(|silent| function.starts_with(silent)) {
                continue;
            }
            // accel-ppp and the kernel put one line together of several calls.
            let is_piece =
                program == Program::AccelPpp && function.starts_with("log_ppp") && !format.ends_with("\\n")
                    || function == "printk";
            // The kernel puts the device in front of these.
            let device = if function.starts_with("netdev_") { "%s: " } else { "" };
            match of_format(program, &format!("{device}{format}")).filter(|_| !is_piece) {
                Some(pattern) => {
                    checked += 1;
                    check(&mut runner, program, &pattern, &mut wrong);
                }
                None => pieces += 1,
            }
        }
        eprintln!("{file}: {checked} messages read back, {pieces} pieces of lines left out");
        assert!(checked > 30, "{file}: only {checked}");
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn any_bytes_are_read_without_harm() {
    use proptest::prelude::*;
    let mut runner = TestRunner::deterministic();
    let strategy = proptest::collection::vec(any::<u8>(), 0..200);
    let _ = Catalogue::entries;
    for _ in 0..2000 {
        let bytes = strategy.new_tree(&mut runner).unwrap().current();
        let text = String::from_utf8_lossy(&bytes);
        let line = envelope::parse(&text);
        recognise::of_anybody(line.text);
        let _ = super::dump::parse(&format!("rcvd [LCP ConfReq id=0x1 {text}"));
    }
}
