//! Scenario files. Their meaning for an author is told in `docs/lab.md`.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::condition::Where;

/// Why a scenario cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The file cannot be read.
    #[error("cannot read scenario {path}: {source}")]
    Read {
        /// File.
        path: PathBuf,
        /// Reason.
        source: std::io::Error,
    },
    /// TOML error, unknown key, wrong type or value.
    #[error("{path}:{line}: {message}")]
    Parse {
        /// File.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong there.
        message: String,
    },
}

/// One scenario.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Name: that of the file, without `.toml`.
    pub name: String,
    /// What is played and what it proves, in a sentence.
    pub about: String,
    /// Seconds of wall time that the whole run may take, boot included.
    #[serde(default = "default_timeout")]
    pub timeout: u64,
    /// Number of clients: namespaces cli1, cli2, ….
    #[serde(default = "default_clients")]
    pub clients: u8,
    /// First kernel series on which it is possible, such as `5.17`; the matrix leaves out older ones.
    pub since: Option<String>,
    /// 802.1Q tag of the server's uplink: it is then `eth0.<vlan>`.
    pub vlan: Option<u16>,
    /// The server's daemons.
    #[serde(default)]
    pub server: Server,
    /// The clients.
    #[serde(default)]
    pub client: Client,
    /// The agent.
    #[serde(default)]
    pub agent: Agent,
    /// What the guest does: bash, with the functions of `tests/lab/guest/lab.sh`.
    pub script: String,
    /// Whether nothing may be lost inside the host, and nothing be missing.
    #[serde(default)]
    pub healthy: bool,
    /// What is broken by `break_it`.
    pub fault: Option<Fault>,
    /// What is compared with the ground truth as a whole.
    #[serde(default)]
    pub truth: TruthChecks,
    /// Events that must be there.
    #[serde(default)]
    pub expect: Vec<EventCheck>,
    /// Events that must not be there.
    #[serde(default)]
    pub forbid: Vec<EventCheck>,
    /// Calls that must be in the capture, as the judge computed them.
    #[serde(default)]
    pub capture: Vec<CallCheck>,
    /// Lines that must be in a log.
    #[serde(default)]
    pub log: Vec<LogCheck>,
    /// What the agent must conclude.
    #[serde(default)]
    pub finding: Vec<FindingCheck>,
}

impl Scenario {
    /// Whether the agent is given the server's log: always, unless the scenario has no log followed, or others only.
    pub fn follows_server_log(&self) -> bool {
        let follows_none = self.agent.args.iter().any(|argument| argument == "--no-logs")
            || self.script.contains("--no-logs");
        let names_logs = self.script.contains("--log \"$OUT/");
        !follows_none && (!names_logs || self.follows("server.log"))
    }

    /// Whether the script has the agent follow the log of this name, too.
    pub fn follows(&self, log: &str) -> bool {
        self.script.contains(&format!("--log \"$OUT/{log}\""))
    }

    /// Whether the agent writes an event for each line of the logs.
    pub fn writes_every_line(&self) -> bool {
        self.agent.args.iter().any(|argument| argument == "--all-log-lines")
    }
}

/// What takes calls on the server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Daemon {
    /// pptpd, started before the script.
    #[default]
    Pptpd,
    /// Nothing: the script makes its calls in the kernel, or none.
    None,
}

/// Options of the server, besides the lab's own.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// What takes calls.
    #[serde(default)]
    pub daemon: Daemon,
    /// Lines added to pppd's options: a later one overrides an earlier one.
    #[serde(default)]
    pub options: Vec<String>,
    /// Lines added to pptpd.conf.
    #[serde(default)]
    pub pptpd: Vec<String>,
}

/// Options of the clients, besides the lab's own.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Client {
    /// Options added to each client's pppd.
    #[serde(default)]
    pub options: Vec<String>,
}

/// Options of the agent.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    /// Arguments after `pptpscope run`.
    #[serde(default)]
    pub args: Vec<String>,
}

/// The fault.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What is broken.
    pub about: String,
    /// Bash that `break_it` runs; without it `break_it` does nothing.
    pub run: Option<String>,
    /// Bash that `mend_it` runs.
    pub undo: Option<String>,
}

/// Comparisons of everything the agent said with the ground truth.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TruthChecks {
    /// Which ones.
    #[serde(default)]
    pub compare: Vec<Compare>,
}

/// One comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compare {
    /// The sessions are the calls of the capture.
    Calls,
    /// Each `session.up` is what pppd logged.
    Up,
    /// The last `gre.stats` of each session are the packets of the capture.
    Gre,
    /// The frames of pppd's debug dump are those that the agent saw on the wire. For runs in which no frame
    /// is lost.
    Dump,
    /// The books of the ring are the control segments and negotiation frames of the capture. Always
    /// compared; may be named for the reader.
    Ring,
}

/// How many matches there must be. One or more when nothing is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// At least.
    pub min: u64,
    /// At most.
    pub max: u64,
}

fn range(count: Option<u64>, min: Option<u64>, max: Option<u64>) -> Range {
    match (count, min, max) {
        (Some(count), ..) => Range { min: count, max: count },
        (None, None, None) => Range { min: 1, max: u64::MAX },
        (None, min, max) => Range { min: min.unwrap_or(0), max: max.unwrap_or(u64::MAX) },
    }
}

/// Events of a name that satisfy conditions.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventCheck {
    /// Name, such as `session.up`.
    pub event: String,
    /// Why it matters: the name of the check.
    pub about: Option<String>,
    /// Conditions.
    #[serde(default, rename = "where")]
    pub conditions: Where,
    /// Exactly so many.
    pub count: Option<u64>,
    /// At least so many.
    pub min: Option<u64>,
    /// At most so many.
    pub max: Option<u64>,
}

/// Calls of the capture that satisfy conditions.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallCheck {
    /// Why it matters: the name of the check.
    pub about: Option<String>,
    /// Conditions.
    #[serde(default, rename = "where")]
    pub conditions: Where,
    /// Exactly so many.
    pub count: Option<u64>,
    /// At least so many.
    pub min: Option<u64>,
    /// At most so many.
    pub max: Option<u64>,
}

/// Lines of a log that contain a text.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogCheck {
    /// File in the folder of the run, such as `server.log`.
    pub file: String,
    /// Why it matters: the name of the check.
    pub about: Option<String>,
    /// Text in the line.
    pub contains: String,
    /// Exactly so many.
    pub count: Option<u64>,
    /// At least so many.
    pub min: Option<u64>,
    /// At most so many.
    pub max: Option<u64>,
}

/// The `expect` of a situation in which nothing harmful may be concluded.
pub const NO_FINDING: &str = "none";

/// What the agent must conclude about a fault.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FindingCheck {
    /// Code of the finding: it must stand, and no other cause and nothing else that is harmful.
    /// [`NO_FINDING`]: nothing harmful may stand.
    pub expect: String,
    /// The `mark` of the script that the fault began with; without it the whole run is meant.
    pub fault: Option<String>,
    /// What is broken, in words.
    pub about: Option<String>,
    /// Codes that may stand besides.
    #[serde(default)]
    pub also: Vec<String>,
    /// The first kernel series that shows it. On older ones nothing harmful may be said.
    pub since: Option<String>,
}

/// Whether a kernel of this series is not older than `since`.
fn is_since(since: Option<&str>, series: &str) -> bool {
    let numbers = |text: &str| text.split('.').map(|part| part.parse().unwrap_or(0)).collect::<Vec<u32>>();
    since.is_none_or(|since| numbers(since) <= numbers(series))
}

impl Scenario {
    /// Whether it is possible on a kernel of this series.
    pub fn runs_on(&self, series: &str) -> bool {
        is_since(self.since.as_deref(), series)
    }

    /// As it is judged on a kernel of this series.
    #[must_use]
    pub fn judged_on(&self, series: &str) -> Self {
        let mut judged = self.clone();
        for check in judged.finding.iter_mut().filter(|check| !is_since(check.since.as_deref(), series)) {
            NO_FINDING.clone_into(&mut check.expect);
        }
        judged
    }
}

macro_rules! has_range {
    ($($check:ty),+) => {$(
        impl $check {
            /// How many matches there must be.
            pub fn range(&self) -> Range {
                range(self.count, self.min, self.max)
            }
        }
    )+};
}
has_range!(EventCheck, CallCheck, LogCheck);

impl Range {
    /// Whether a number of matches is right.
    pub fn contains(self, found: u64) -> bool {
        (self.min..=self.max).contains(&found)
    }
}

impl std::fmt::Display for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.min, self.max) {
            (min, max) if min == max => write!(f, "exactly {min}"),
            (min, u64::MAX) => write!(f, "at least {min}"),
            (0, max) => write!(f, "at most {max}"),
            (min, max) => write!(f, "{min} to {max}"),
        }
    }
}

/// For what hangs: a slow machine must not come near it.
fn default_timeout() -> u64 {
    600
}

fn default_clients() -> u8 {
    1
}

/// Most clients that the guest has addresses for.
pub const MAX_CLIENTS: u8 = 99;

/// Reads a scenario file.
///
/// # Errors
/// [`ScenarioError`] with file and line.
pub fn load(path: &Path) -> Result<Scenario, ScenarioError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ScenarioError::Read { path: path.to_owned(), source })?;
    let expected_name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    parse(&text, expected_name.as_deref()).map_err(|(line, message)| ScenarioError::Parse {
        path: path.to_owned(),
        line,
        message,
    })
}

/// Reads a scenario; an error is a line and a message.
fn parse(text: &str, expected_name: Option<&str>) -> Result<Scenario, (usize, String)> {
    let scenario: Scenario = toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        (line_of(text, at), error.message().to_owned())
    })?;
    let key = |key: &str| {
        let found = text.lines().position(|line| line.trim_start().starts_with(key));
        found.map_or(1, |index| index + 1)
    };
    if expected_name.is_some_and(|expected| expected != scenario.name) {
        let expected = expected_name.unwrap_or_default();
        return Err((key("name"), format!("name must be that of the file, \"{expected}\"")));
    }
    if scenario.timeout == 0 {
        return Err((key("timeout"), "timeout must be at least one second".into()));
    }
    if !(1..=MAX_CLIENTS).contains(&scenario.clients) {
        return Err((key("clients"), format!("clients must be 1 to {MAX_CLIENTS}")));
    }
    if scenario.vlan.is_some_and(|tag| !(1..=4094).contains(&tag)) {
        return Err((key("vlan"), "vlan must be 1 to 4094".into()));
    }
    if let Some(log) = scenario.log.iter().find(|log| log.file.contains(['/', '\\'])) {
        return Err((key("file"), format!("\"{}\" must be a file of the run, without a folder", log.file)));
    }
    for forbidden in &scenario.forbid {
        if forbidden.count.or(forbidden.min).or(forbidden.max).is_some() {
            return Err((key("[[forbid]]"), "[[forbid]] means none: it has no count, min or max".into()));
        }
    }
    Ok(scenario)
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|&byte| byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
name = "x"
about = "y"
script = "true"
[server]
options = ["debug"]
[fault]
about = "z"
run = "false"
[truth]
compare = ["calls", "gre"]
[[expect]]
event = "session.up"
where = { "session.user" = "alice", "session_up.setup_ns" = { min = 1 } }
[[log]]
file = "server.log"
contains = "a"
max = 3
"#;

    #[test]
    fn reads_everything_and_defaults() {
        let scenario = parse(GOOD, Some("x")).unwrap();
        assert_eq!((scenario.timeout, scenario.clients), (600, 1));
        assert_eq!(scenario.expect[0].range(), Range { min: 1, max: u64::MAX });
        assert_eq!(scenario.expect[0].conditions.len(), 2);
        assert_eq!(scenario.log[0].range(), Range { min: 0, max: 3 });
        assert_eq!(scenario.truth.compare, [Compare::Calls, Compare::Gre]);
    }

    #[test]
    fn a_scenario_without_fault_or_run_is_whole() {
        let without_run = GOOD.replace("run = \"false\"\n", "");
        assert!(parse(&without_run, None).unwrap().fault.unwrap().run.is_none());
        let without_fault = without_run.replace("[fault]\nabout = \"z\"\n", "");
        assert!(parse(&without_fault, None).unwrap().fault.is_none());
    }

    #[test]
    fn errors_name_the_line() {
        let cases = [
            (GOOD.replace("about = \"y\"", "abuot = \"y\""), 3, "abuot"),
            (GOOD.replace("options", "option"), 6, "option"),
            (GOOD.replace("\"gre\"", "\"gree\""), 11, "gree"),
            (GOOD.replace("min = 1", "least = 1"), 14, "least"),
            (GOOD.replace("script = \"true\"", "script = 1"), 4, "invalid type"),
            (GOOD.replace("event = \"session.up\"", "event = \"session.up"), 13, ""),
            (GOOD.replace("name = \"x\"", "name = \"w\""), 2, "that of the file"),
            (GOOD.replace("script", "timeout = 0\nscript"), 4, "at least one"),
            (GOOD.replace("script", "clients = 100\nscript"), 4, "1 to 99"),
            (GOOD.replace("script", "vlan = 4095\nscript"), 4, "4094"),
            (GOOD.replace("\"server.log\"", "\"../server.log\""), 16, "without a folder"),
            (format!("{GOOD}[[forbid]]\nevent = \"a\"\ncount = 1\n"), 19, "means none"),
        ];
        for (text, line, part) in cases {
            let (found, message) = parse(&text, Some("x")).unwrap_err();
            assert_eq!(found, line, "{message}\n{text}");
            assert!(message.contains(part), "{message}");
        }
        let (_, message) = parse("name = \"x\"\nabout = \"y\"\n", None).unwrap_err();
        assert!(message.contains("script"), "{message}");
    }

    #[test]
    fn ranges_in_words() {
        assert_eq!(range(Some(2), None, None).to_string(), "exactly 2");
        assert_eq!(range(None, Some(2), None).to_string(), "at least 2");
        assert_eq!(range(None, None, Some(2)).to_string(), "at most 2");
        assert_eq!(range(None, Some(1), Some(2)).to_string(), "1 to 2");
        assert!(range(None, None, None).contains(1) && !range(None, None, None).contains(0));
    }

    #[test]
    fn kernels_are_compared_by_number() {
        let since = |since: &str| {
            let text = GOOD.replace("about = \"y\"", &format!("about = \"y\"\nsince = \"{since}\""));
            toml::from_str::<Scenario>(&text).unwrap()
        };
        let scenario = since("5.17");
        assert!(!scenario.runs_on("5.10") && scenario.runs_on("6.1") && scenario.runs_on("7"));
        assert!(!since("6.12").runs_on("6.1"));
        assert!(toml::from_str::<Scenario>(GOOD).unwrap().runs_on("5.10"));
    }

    #[test]
    fn a_kernel_that_cannot_show_it_must_not_show_anything_else() {
        let finding = "\n[[finding]]\nexpect = \"host.rp_filter\"\nsince = \"6.1\"\n";
        let scenario: Scenario = toml::from_str(&format!("{GOOD}{finding}")).unwrap();
        let expected = |series| scenario.judged_on(series).finding[0].expect.clone();
        assert_eq!([expected("5.10"), expected("6.1")], [NO_FINDING.to_owned(), "host.rp_filter".to_owned()]);
    }
}
