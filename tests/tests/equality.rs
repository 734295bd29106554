//! Live events against the capture of the same run. Names a folder of lab runs in
//! `PPTPSCOPE_LAB_RUNS`; without it there is nothing to compare.
#![allow(clippy::expect_used, reason = "the helpers of a test may fail like the test itself")]

use std::fs;
use std::path::Path;
use std::time::Duration;

use pptpscope::analysis::{self, Options};
use pptpscope::source::capture::{Captures, Copies};
use pptpscope_tests::{equality, events, judge};

fn compare(run: &Path) -> Result<String, String> {
    let live = fs::read_to_string(run.join(judge::EVENTS)).map_err(|error| error.to_string())?;
    let live = events::parse(&live)?;
    let (first, last) = (live.first().ok_or("no events")?, live.last().ok_or("no events")?);
    let interval = first.body()["stats_interval_ns"].as_u64().ok_or("no agent.start")?;
    let options = Options {
        from: first.value["ts"].as_str().and_then(|at| at.parse().ok()),
        until: last.value["ts"].as_str().and_then(|at| at.parse().ok()),
        stats_interval: Duration::from_nanos(interval),
        copies: Copies::Auto,
        ..Options::default()
    };
    let mut text = String::new();
    let mut captures = Captures::open(&[run.join(judge::CAPTURE)]);
    let _ = analysis::run(
        &mut captures,
        &options,
        || {},
        |event| {
            text += &serde_json::to_string(event)?;
            text.push('\n');
            Ok::<(), serde_json::Error>(())
        },
    );
    equality::compare(&live, &events::parse(&text)?)
}

#[test]
fn captures_tell_what_the_live_runs_told() {
    let Some(runs) = std::env::var_os("PPTPSCOPE_LAB_RUNS") else {
        eprintln!("SKIPPED: PPTPSCOPE_LAB_RUNS names no folder of lab runs");
        return;
    };
    let mut failed = 0;
    let mut compared = 0;
    for run in fs::read_dir(runs).unwrap().map(|entry| entry.unwrap().path()) {
        if !run.join(judge::EVENTS).is_file() {
            continue;
        }
        compared += 1;
        match compare(&run) {
            Ok(what) => println!("equal      {}: {what}", run.display()),
            Err(why) => {
                failed += 1;
                println!("DIFFERENT  {}: {why}", run.display());
            }
        }
    }
    assert!(compared > 0 && failed == 0, "{failed} of {compared} differ");
}
