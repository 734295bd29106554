//! The agent at work, for someone who has never seen it.

use std::collections::HashMap;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use pptpscope_tests::scenario;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::console::{Style, outcome, paint, seconds};
use crate::lab::qemu::Accel;
use crate::lab::run::{self, Progress};
use crate::lab::{Lab, MachineArguments};
use crate::paths;

/// `cargo xtask demo`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Kernel series: 5.10, 6.1, 6.12 or 7.
    #[arg(long, default_value = "6.1", value_name = "SERIES")]
    kernel: String,
    /// What executes the guest: QEMU itself, or KVM where it really works.
    #[arg(long, value_enum, default_value_t = Accel::Tcg)]
    accel: Accel,
}

/// Boots the lab, shows the agent's lines as they come, and ends with two lines; `false` when the demo
/// did not go as it should.
///
/// # Errors
/// When something that it needs cannot be had.
pub(crate) fn demo(arguments: &Arguments) -> Result<bool> {
    let machine =
        MachineArguments { kernel: arguments.kernel.clone(), accel: arguments.accel, no_agent: false };
    let lab = Lab::prepare(&machine)?;
    let scenario = scenario::load(&paths::workspace().join("tests/lab/demo.toml"))?;
    let out = paths::target().join("lab/demo");
    let width = terminal_width();
    println!("Booting a virtual machine with a PPTP server, a router and a client: some seconds.");
    let (mut lines, mut sessions) = (0_u32, 0_u32);
    let limit = Duration::from_secs(scenario.timeout);
    let played = run::play(&lab, &scenario, &out, limit, &mut |what| match what {
        Progress::Booted(release) => println!("{}", paint(Style::Quiet, &format!("Linux {release} is up"))),
        Progress::Step(text) => println!("{}", paint(Style::Quiet, &format!("--- {text}"))),
        Progress::Say(text) => println!("\n{}", paint(Style::Heading, &format!("=== {text}"))),
        Progress::Event(line) => {
            lines += 1;
            sessions += u32::from(line.contains(r#""event":"session.end""#));
            println!("{}", shorten(&readable(line), width));
        }
    })?;
    println!();
    for check in played.checks.iter().filter(|check| !check.passed) {
        println!("{} {}: {}", paint(Style::Bad, "FAIL"), check.name, check.detail);
    }
    let time = seconds(Duration::from_secs_f64(played.wall_seconds));
    println!(
        "{}: {sessions} calls, {lines} lines, {} checks, {time}",
        outcome(played.passed),
        played.checks.len()
    );
    println!("the whole lines, the capture and the daemons' logs are in {}", out.display());
    Ok(played.passed)
}

/// Time of day, name, who, and what the event says: the line without what is the same in all of them.
/// What is no event is shown as it is.
fn readable(line: &str) -> String {
    let Ok(event) = serde_json::from_str::<HashMap<String, Box<RawValue>>>(line) else {
        return line.to_owned();
    };
    let text = |field: &str| event.get(field).and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
    let (Some(ts), Some(name)) = (text("ts"), text("event")) else { return line.to_owned() };
    let time = ts.split_once('T').map_or("", |(_, time)| time);
    let time = time.get(..12).unwrap_or(time);
    let session = event.get("session").and_then(|raw| serde_json::from_str::<Value>(raw.get()).ok());
    let client = session.as_ref().and_then(|session| session["client"].as_str()).unwrap_or("");
    // As it was written: a parsed object would lose the order of its fields.
    let body = event.get(&name.replace('.', "_")).map_or("", |raw| raw.get());
    format!("{time} {name:15} {client:10} {body}")
}

fn shorten(text: &str, width: Option<usize>) -> String {
    match width {
        Some(width) if text.chars().count() > width => {
            text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
        }
        _ => text.to_owned(),
    }
}

/// Columns of the terminal; none when standard output is no terminal, where lines stay whole.
fn terminal_width() -> Option<usize> {
    use std::io::IsTerminal;
    if !std::io::stdout().is_terminal() {
        return None;
    }
    let size = Command::new("stty").arg("size").stdin(Stdio::inherit()).output().ok()?;
    let size = String::from_utf8(size.stdout).ok()?;
    size.split_whitespace().nth(1)?.parse().ok().filter(|&columns| columns >= 40)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_readable_and_fit() {
        let line = r#"{"ts":"2001-01-01T12:34:56.789012345Z","event":"session.end","severity":"info","host":"vpn","session":{"client":"192.0.2.10"},"session_end":{"was_up":true,"by":1}}"#;
        assert_eq!(readable(line), "12:34:56.789 session.end     192.0.2.10 {\"was_up\":true,\"by\":1}");
        assert_eq!(readable("no event"), "no event");
        assert_eq!(shorten("abcdef", Some(4)), "abc…");
        assert_eq!(shorten("abcdef", Some(6)), "abcdef");
        assert_eq!(shorten("abcdef", None), "abcdef");
    }
}
