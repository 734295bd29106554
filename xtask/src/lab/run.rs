//! One guest, from power-on to judgement.

use std::fs;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use pptpscope_tests::judge::{self, Check, Row};
use pptpscope_tests::scenario::Scenario;
use serde::Serialize;
use serde_json::json;

use super::qemu::{Console, Machine};
use super::{Lab, equal};
use crate::command::last_lines;
use crate::paths;

/// What happens in a running guest.
pub(crate) enum Progress<'a> {
    /// Its kernel and init are up.
    Booted(&'a str),
    /// The script does something.
    Step(&'a str),
    /// A heading of the script.
    Say(&'a str),
    /// The agent has written a line.
    Event(&'a str),
}

/// A finished run; `result.json`.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Played {
    /// Name of the scenario.
    pub(crate) scenario: String,
    /// Kernel series.
    pub(crate) kernel: String,
    /// Kernel release.
    pub(crate) kernel_release: String,
    /// Whether the agent took part.
    pub(crate) agent: bool,
    /// Whether all checks passed.
    pub(crate) passed: bool,
    /// Every check.
    pub(crate) checks: Vec<Check>,
    /// Each fault with an expectation, and what the agent concluded.
    pub(crate) findings: Vec<Row>,
    /// From power-on until the guest's init ran.
    pub(crate) boot_seconds: f64,
    /// From power-on to judgement.
    pub(crate) wall_seconds: f64,
}

/// Characters of a detail in a summary.
const BRIEF: usize = 240;

impl Played {
    /// What failed, a line each, in brief.
    pub(crate) fn failures(&self) -> impl Iterator<Item = String> {
        self.checks.iter().filter(|check| !check.passed).map(|check| {
            let detail: String = check.detail.chars().take(BRIEF).collect();
            format!("{}: {}: {detail}", self.scenario, check.name)
        })
    }
}

/// How the guest ended.
struct Ended {
    /// What the guest's kernel calls itself.
    release: Option<String>,
    boot: Option<Duration>,
    script: Result<String, String>,
}

/// Boots a guest, plays the scenario and judges it.
///
/// # Errors
/// When QEMU cannot be started or the folder cannot be written. A guest that fails is no error but a
/// failed check.
pub(crate) fn play(
    lab: &Lab,
    scenario: &Scenario,
    out: &Path,
    timeout: Duration,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Played> {
    prepare_folder(out)?;
    write_scenario(out, scenario, "play", lab.agent.is_some())?;
    let start = Instant::now();
    let ended = boot(lab, out, start + timeout, timeout, progress)?;
    let mut checks = vec![Check::new("guest plays the script to its end", ended.script)];
    let verdict = judge::judge(&scenario.judged_on(&lab.kernel.series), out, lab.agent.is_some());
    checks.extend(verdict.checks);
    if let Some(programs) = &lab.agent {
        checks.push(equal::check(programs, scenario, out)?);
    }
    let truth = json!({ "truth": verdict.truth, "links": verdict.links });
    fs::write(out.join("truth.json"), format!("{truth:#}\n"))?;
    let played = Played {
        scenario: scenario.name.clone(),
        kernel: lab.kernel.series.clone(),
        kernel_release: ended.release.unwrap_or_else(|| lab.kernel.release.clone()),
        agent: lab.agent.is_some(),
        passed: checks.iter().all(|check| check.passed),
        checks,
        findings: verdict.findings,
        boot_seconds: ended.boot.map_or(0.0, |boot| boot.as_secs_f64()),
        wall_seconds: start.elapsed().as_secs_f64(),
    };
    fs::write(out.join("result.json"), serde_json::to_string_pretty(&played)? + "\n")?;
    Ok(played)
}

/// Makes the folder of a run, or empties that of an earlier one.
pub(super) fn prepare_folder(out: &Path) -> Result<()> {
    if out.exists() {
        let empty =
            fs::read_dir(out).with_context(|| format!("{} is no folder", out.display()))?.next().is_none();
        if !empty && !out.join("scenario").is_dir() {
            bail!("{} holds something else than a run of the lab: name another folder", out.display());
        }
        fs::remove_dir_all(out).with_context(|| format!("cannot empty {}", out.display()))?;
    }
    fs::create_dir_all(out.join("scenario")).with_context(|| format!("cannot make {}", out.display()))
}

/// Writes what the guest reads of a scenario: one small file for each part, so that shell needs to
/// parse nothing.
pub(super) fn write_scenario(out: &Path, scenario: &Scenario, mode: &str, agent: bool) -> Result<()> {
    let lines = |items: &[String]| items.iter().map(|item| format!("{item}\n")).collect::<String>();
    let fault = scenario.fault.as_ref();
    let text = |part: Option<&String>| part.cloned().unwrap_or_default();
    let files = [
        ("mode", mode.to_owned()),
        ("agent", if agent { "yes" } else { "no" }.to_owned()),
        ("clients", scenario.clients.to_string()),
        ("vlan", scenario.vlan.map(|tag| tag.to_string()).unwrap_or_default()),
        ("server-daemon", format!("{:?}", scenario.server.daemon).to_lowercase()),
        ("server-options", lines(&scenario.server.options)),
        ("server-pptpd", lines(&scenario.server.pptpd)),
        ("client-options", lines(&scenario.client.options)),
        ("agent-args", lines(&scenario.agent.args)),
        ("script", scenario.script.clone()),
        ("fault-about", text(fault.map(|fault| &fault.about))),
        ("fault", text(fault.and_then(|fault| fault.run.as_ref()))),
        ("undo", text(fault.and_then(|fault| fault.undo.as_ref()))),
    ];
    for (name, content) in files {
        fs::write(out.join("scenario").join(name), content)?;
    }
    Ok(())
}

fn boot(
    lab: &Lab,
    out: &Path,
    deadline: Instant,
    timeout: Duration,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Ended> {
    let guest = paths::guest();
    let machine = Machine {
        accel: lab.accel,
        kernel: &lab.kernel,
        initramfs: &lab.initramfs,
        root: &lab.root,
        guest: &guest,
        agent: lab.agent.as_deref().unwrap_or(&guest),
        out,
        console: Console::File,
    };
    let start = Instant::now();
    let mut qemu = machine.start()?;
    let reports = lines_of(qemu.0.stdout.take().context("QEMU has no standard output")?);
    let complaints = lines_of(qemu.0.stderr.take().context("QEMU has no standard error")?);
    let mut events = Tail::new(out.join(judge::EVENTS));
    let mut ended = Ended { release: None, boot: None, script: Ok("exit code 0".into()) };
    let mut exit = None;
    let mut last_step = "power-on".to_owned();
    let timed_out = loop {
        events.read(|line| progress(Progress::Event(line)));
        let line = match reports.recv_timeout(Duration::from_millis(100)) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) if Instant::now() < deadline => continue,
            Err(RecvTimeoutError::Timeout) => break true,
            Err(RecvTimeoutError::Disconnected) => break false,
        };
        match line.split_once(' ').unwrap_or((&line, "")) {
            ("booted", release) => {
                ended.boot = Some(start.elapsed());
                ended.release = Some(release.to_owned());
                progress(Progress::Booted(release));
            }
            ("step", text) => {
                text.clone_into(&mut last_step);
                progress(Progress::Step(text));
            }
            ("say", text) => progress(Progress::Say(text)),
            ("fail", text) if ended.script.is_ok() => ended.script = Err(text.to_owned()),
            ("exit", code) => exit = Some(code.to_owned()),
            _ => {}
        }
    };
    // Dropping QEMU kills it; only then is its standard error at its end.
    drop(qemu);
    events.read(|line| progress(Progress::Event(line)));
    let console = fs::read(machine.serial_log()).unwrap_or_default();
    let console = String::from_utf8_lossy(&console);
    match exit {
        _ if timed_out => {
            let (limit, last) = (timeout.as_secs(), last_lines(&console, 15));
            ended.script =
                Err(format!("killed: {limit} s are over, last was \"{last_step}\"; console:\n{last}"));
        }
        Some(code) if code != "0" && ended.script.is_ok() => ended.script = Err(format!("exit code {code}")),
        Some(_) => {}
        None => {
            let said: Vec<String> = complaints.iter().collect();
            let last = format!("{}\n{}", death(&console), said.join("\n"));
            ended.script = Err(format!("the guest died, last was \"{last_step}\"; console:\n{last}"));
        }
    }
    Ok(ended)
}

/// The lines of a console that tell why a kernel died: from the first sign of it on, or the last ones.
fn death(console: &str) -> String {
    const SIGNS: [&str; 4] = ["Kernel panic", "BUG: ", "Oops: ", "general protection fault"];
    let lines: Vec<&str> = console.lines().collect();
    match lines.iter().position(|line| SIGNS.iter().any(|sign| line.contains(sign))) {
        Some(first) => lines[first..lines.len().min(first + 30)].join("\n"),
        None => last_lines(console, 15),
    }
}

/// The lines of a pipe, read by a thread of its own until the pipe ends.
fn lines_of(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut reader = BufReader::new(pipe);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            line.clear();
            if sender.send(text).is_err() {
                break;
            }
        }
    });
    receiver
}

/// A growing file, line by line.
struct Tail {
    path: std::path::PathBuf,
    position: u64,
    partial: Vec<u8>,
}

impl Tail {
    fn new(path: std::path::PathBuf) -> Self {
        Self { path, position: 0, partial: Vec::new() }
    }

    /// Calls `each` with every line that has become complete.
    fn read(&mut self, mut each: impl FnMut(&str)) {
        let Ok(mut file) = fs::File::open(&self.path) else { return };
        let read =
            file.seek(SeekFrom::Start(self.position)).and_then(|_| file.read_to_end(&mut self.partial));
        self.position += read.unwrap_or(0) as u64;
        while let Some(end) = self.partial.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.partial.drain(..=end).collect();
            each(String::from_utf8_lossy(&line).trim_end());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_death_is_told_from_its_first_sign() {
        let many = "line\n".repeat(40);
        assert_eq!(death(&format!("{many}BUG: x\ntrace\n")), "BUG: x\ntrace");
        assert_eq!(death(&many).lines().count(), 15);
    }

    #[test]
    fn a_growing_file_is_read_by_whole_lines() {
        let path = std::env::temp_dir().join(format!("pptpscope-tail-{}", std::process::id()));
        let mut tail = Tail::new(path.clone());
        let mut read = |more: &str| {
            let old = fs::read_to_string(&path).unwrap_or_default();
            fs::write(&path, old + more).unwrap();
            let mut lines = Vec::new();
            tail.read(|line| lines.push(line.to_owned()));
            lines
        };
        assert_eq!(read("a\nb"), ["a"]);
        assert_eq!(read(""), Vec::<String>::new());
        assert_eq!(read("c\nd\n"), ["bc", "d"]);
        fs::remove_file(&path).unwrap();
    }
}
