//! `cargo xtask lab faults`: what was broken, and what the agent concluded, as a table.

use anyhow::Result;
use clap::Args;
use pptpscope_tests::judge::Row;

use super::qemu::Accel;
use super::{Lab, MachineArguments, begins_like, play_all, project_runs};
use crate::console::{Style, paint, progress};

/// `cargo xtask lab faults …`.
#[derive(Args)]
pub(crate) struct FaultsArguments {
    /// Kernel series.
    #[arg(long, default_value = "6.1", value_name = "SERIES")]
    kernel: String,
    /// Scenarios whose names begin like this; may be given several times. All when none is given.
    #[arg(long = "scenario", value_name = "PREFIX")]
    scenarios: Vec<String>,
    /// Guests at the same time.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=16))]
    jobs: u8,
}

/// Plays the scenarios that expect findings and prints the table; `false` when a finding is wrong.
///
/// # Errors
/// When a guest cannot be started.
pub(super) fn faults(arguments: &FaultsArguments) -> Result<bool> {
    let machine = MachineArguments { kernel: arguments.kernel.clone(), accel: Accel::Tcg, no_agent: false };
    let lab = Lab::prepare(&machine)?;
    let runs = project_runs(&lab.kernel.series, |scenario| {
        begins_like(scenario, &arguments.scenarios) && !scenario.finding.is_empty()
    })?;
    anyhow::ensure!(!runs.is_empty(), "no scenario with [[finding]] begins like this");
    let mut played = play_all(&lab, runs, None, arguments.jobs)?;
    played.sort_by(|one, other| one.scenario.cmp(&other.scenario));
    let rows: Vec<(&str, &Row)> =
        played.iter().flat_map(|run| run.findings.iter().map(|row| (run.scenario.as_str(), row))).collect();
    show(&rows);
    Ok(rows.iter().all(|(_, row)| row.right))
}

fn show(rows: &[(&str, &Row)]) {
    let width =
        |text: fn(&Row) -> &str| rows.iter().map(|(_, row)| text(row).chars().count()).max().unwrap_or(0);
    let (fault, expected, got) =
        (width(|row| &row.fault), width(|row| &row.expected), width(|row| &row.got).min(48));
    let head = format!(
        "     {:fault$}  {:expected$}  {:got$}  {:>7}  {:>8}  evidence",
        "fault", "expected", "got", "fault +", "evid. +"
    );
    println!("{}", paint(Style::Heading, &head));
    for (scenario, row) in rows {
        let (mark, style) = if row.right { ("ok  ", Style::Good) } else { ("FAIL", Style::Bad) };
        let seconds = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.2} s"));
        println!(
            "{} {:fault$}  {:expected$}  {:got$}  {:>7}  {:>8}  {}{}",
            paint(style, mark),
            row.fault,
            row.expected,
            row.got,
            seconds(row.after_fault),
            seconds(row.after_evidence),
            row.evidence,
            if row.right { String::new() } else { format!("  [{scenario}]") },
        );
    }
    let right = rows.iter().filter(|(_, row)| row.right).count();
    let healthy = rows.iter().filter(|(_, row)| row.expected == "none").count();
    let slowest = rows.iter().filter_map(|(_, row)| row.after_evidence).fold(0.0, f64::max);
    progress(&format!(
        "{right} of {} right: {} faults, {healthy} healthy situations; at most {slowest:.2} s from evidence to finding",
        rows.len(),
        rows.len() - healthy
    ));
}
