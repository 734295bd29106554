//! The report for people.

use std::io::{self, Write};

use super::report::{Check, Report, Status};

/// Columns of the word and the id before what was seen.
const WORD: usize = 8;
const ID: usize = 22;

/// Writes the report; in colour for a terminal.
///
/// # Errors
/// Those of the output.
pub fn write_text(report: &Report, colour: bool, out: &mut impl Write) -> io::Result<()> {
    for check in &report.checks {
        write_check(check, colour, out)?;
    }
    let summary = report.summary;
    writeln!(
        out,
        "\n{} ok, {} warn, {} fail, {} unknown, {} skipped",
        summary.ok, summary.warn, summary.fail, summary.unknown, summary.skipped
    )?;
    if !report.privileged && summary.unknown > 0 {
        writeln!(out, "Not all can be seen by this user: run it as root for the rest.")?;
    }
    Ok(())
}

fn write_check(check: &Check, colour: bool, out: &mut impl Write) -> io::Result<()> {
    let word = paint(check.status, colour, &format!("{:WORD$}", check.status.word()));
    writeln!(out, "{word}{:ID$} {}", check.id, check.seen)?;
    let indent = " ".repeat(WORD);
    for problem in &check.problems {
        let word = paint(problem.status, colour, problem.status.word());
        let place = problem.place.as_deref().filter(|place| !place.is_empty());
        let place = place.map(|place| format!("{place}: ")).unwrap_or_default();
        writeln!(out, "{indent}{word}: {place}{}", problem.what)?;
        if let Some(fix) = &problem.fix {
            writeln!(out, "{indent}  fix: {fix}")?;
        }
    }
    if check.more_problems {
        writeln!(out, "{indent}and more: mend these first")?;
    }
    if matches!(check.status, Status::Warn | Status::Fail) {
        writeln!(out, "{indent}why: {}", check.why)?;
    }
    Ok(())
}

fn paint(status: Status, colour: bool, text: &str) -> String {
    let code = match status {
        Status::Ok => "32",
        Status::Skipped => "2",
        Status::Unknown => "36",
        Status::Warn => "33",
        Status::Fail => "1;31",
    };
    if colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}
