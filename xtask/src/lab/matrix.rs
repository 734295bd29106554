//! `cargo xtask lab matrix`: scenarios on several kernels, as a table.

use std::collections::BTreeMap;

use anyhow::Result;
use clap::Args;

use super::qemu::Accel;
use super::{Lab, MachineArguments, begins_like, play_all, project_runs};
use crate::console::{Style, outcome, paint, progress};

/// Every series that must work.
pub(super) const KERNELS: [&str; 4] = ["5.10", "6.1", "6.12", "7"];

/// `cargo xtask lab matrix …`.
#[derive(Args)]
pub(crate) struct MatrixArguments {
    /// Kernel series; may be given several times. All four when none is given.
    #[arg(long = "kernel", value_name = "SERIES")]
    kernels: Vec<String>,
    /// Scenarios whose names begin like this; may be given several times. All when none is given.
    #[arg(long = "scenario", value_name = "PREFIX")]
    scenarios: Vec<String>,
    /// Guests at the same time.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=16))]
    jobs: u8,
}

/// Plays the scenarios on each kernel and prints the table; `false` when one did not pass.
///
/// # Errors
/// When a kernel cannot be had or a guest cannot be started.
pub(super) fn matrix(arguments: &MatrixArguments) -> Result<bool> {
    let mut kernels: Vec<&str> = arguments.kernels.iter().map(String::as_str).collect();
    if kernels.is_empty() {
        kernels.extend(KERNELS);
    }
    // By scenario and kernel: whether it passed.
    let mut results: BTreeMap<(String, usize), bool> = BTreeMap::new();
    for (column, kernel) in kernels.iter().enumerate() {
        progress(&format!("kernel {kernel}"));
        let machine = MachineArguments { kernel: (*kernel).to_owned(), accel: Accel::Tcg, no_agent: false };
        let lab = Lab::prepare(&machine)?;
        let runs = project_runs(&lab.kernel.series, |scenario| {
            begins_like(scenario, &arguments.scenarios) && scenario.runs_on(&lab.kernel.series)
        })?;
        anyhow::ensure!(!runs.is_empty(), "no scenario begins like this: `cargo xtask lab list` shows them");
        for played in play_all(&lab, runs, None, arguments.jobs)? {
            results.insert((played.scenario, column), played.passed);
        }
    }
    show(&kernels, &results);
    Ok(results.values().all(|passed| *passed))
}

fn show(kernels: &[&str], results: &BTreeMap<(String, usize), bool>) {
    let width = results.keys().map(|(name, _)| name.len()).max().unwrap_or(0);
    let heads: String = kernels.iter().map(|kernel| format!("  {kernel:8}")).collect();
    println!("{}", paint(Style::Heading, &format!("{:width$}{heads}", "scenario")));
    let mut last = None;
    for name in results.keys().map(|(name, _)| name) {
        if last.replace(name) == Some(name) {
            continue;
        }
        print!("{name:width$}");
        for column in 0..kernels.len() {
            match results.get(&(name.clone(), column)) {
                Some(passed) => print!("  {}  ", outcome(*passed)),
                None => print!("  {:8}", "-"),
            }
        }
        println!();
    }
}
