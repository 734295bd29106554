//! A real Prometheus scrapes a real agent: over TLS, with a bearer token, with the alert rules of the package.
//!
//! `cargo xtask test` names an unpacked promtool in `PPTPSCOPE_PROMTOOL`, and Prometheus is beside it; without them,
//! or without root, the test is skipped.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "the helpers of a test may fail like the test itself"
)]

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use pptpscope_tests::flood::Sender;
use pptpscope_tests::generate::{Maker, data};
use pptpscope_tests::namespace;
use serde_json::Value;

/// Both are alone in their network.
const METRICS: &str = "127.0.0.1:9723";
const PROMETHEUS: &str = "127.0.0.1:9090";
const TOKEN: &str = "of-this-test-only";

/// Calls that are made, and how many of them end again.
const CALLS: u32 = 5;
const ENDED: u32 = 2;
/// Data packets of each end in a call.
const DATA: u32 = 3;

/// Only a failing test ever waits that long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process that does not outlive the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A folder with what both read.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("pptpscope-prometheus-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let place = Self(folder);
        let certified = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        place.write("certificate", &certified.cert.pem());
        place.write("key", &certified.signing_key.serialize_pem());
        place.write("token", TOKEN);
        let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/../package/prometheus/pptpscope.rules.yml");
        let tls = format!("scheme: https\n    tls_config: {{ca_file: {}}}", place.path("certificate"));
        let targets = format!("static_configs: [{{targets: ['{METRICS}']}}]");
        place.write(
            "prometheus.yml",
            &format!(
                "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
                 rule_files: [{rules}]\n\
                 scrape_configs:\n\
                 \x20 - job_name: pptpscope\n    {tls}\n    authorization: {{credentials_file: {}}}\n    {targets}\n\
                 \x20 - job_name: stranger\n    {tls}\n    {targets}\n",
                place.path("token")
            ),
        );
        place
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).unwrap();
        fs::set_permissions(self.0.join(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn agent(&self) -> Process {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pptpscope"));
        command.args(["run", "--no-config", "--no-logs", "--interface", "w0", "--metrics", METRICS]);
        command.args(["--metrics-token-file", &self.path("token")]);
        command.args(["--metrics-certificate-file", &self.path("certificate")]);
        command.args(["--metrics-key-file", &self.path("key")]);
        self.begin(&mut command, "agent")
    }

    fn prometheus(&self, program: &Path) -> Process {
        let mut command = Command::new(program);
        command.args([
            &format!("--config.file={}", self.path("prometheus.yml")),
            &format!("--storage.tsdb.path={}", self.path("data")),
            &format!("--web.listen-address={PROMETHEUS}"),
        ]);
        self.begin(&mut command, "prometheus")
    }

    fn begin(&self, command: &mut Command, name: &str) -> Process {
        let output = fs::File::create(self.0.join(name).with_extension("output")).unwrap();
        command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
        Process(command.spawn().unwrap())
    }

    /// What both have said, for a test that fails.
    fn said(&self) -> String {
        ["agent.output", "prometheus.output"]
            .map(|name| fs::read_to_string(self.0.join(name)).unwrap_or_default())
            .concat()
    }

    fn wait_for(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so() {
            assert!(Instant::now() < deadline, "{what}: not within a minute\n{}", self.said());
            thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// `data` of an answer of the HTTP API, null when there is none.
fn api(what: &str, query: Option<&str>) -> Value {
    let request = ureq::get(format!("http://{PROMETHEUS}/api/v1/{what}"));
    let request = query.into_iter().fold(request, |request, query| request.query("query", query));
    let Ok(mut answer) = request.call() else { return Value::Null };
    let text = answer.body_mut().read_to_string().unwrap();
    serde_json::from_str::<Value>(&text).unwrap()["data"].take()
}

/// The only value of an expression.
fn value(expression: &str) -> Option<f64> {
    api("query", Some(expression))["result"][0]["value"][1].as_str()?.parse().ok()
}

fn send_calls() {
    let [from_server, from_client] =
        ["w0", "p0"].map(|end| Sender::new(namespace::index_of(end).unwrap()).unwrap());
    let mut maker = Maker::new(|is_client, frame: &[u8]| -> io::Result<()> {
        if is_client { from_client.send(frame) } else { from_server.send(frame) }
    });
    let frame = data(100);
    for call in 0..CALLS {
        let mut next = maker.set_up(call).unwrap();
        for _ in 0..DATA {
            maker.carry(call, &mut next, &frame, &frame).unwrap();
        }
        if call < ENDED {
            maker.tear_down(call, next).unwrap();
        }
    }
}

fn scrape(prometheus: &Path) {
    for arguments in ["link add w0 type veth peer name p0", "link set w0 up", "link set p0 up"] {
        namespace::run("ip", arguments).unwrap();
    }
    let place = Place::new();
    let agent = place.agent();
    let _prometheus = place.prometheus(prometheus);
    place.wait_for("the agent is up", || value("up{job='pptpscope'}") == Some(1.0));
    send_calls();

    for (expression, expected) in [
        ("pptpscope_calls_started_total", CALLS),
        ("pptpscope_calls{phase='up'}", CALLS - ENDED),
        ("sum(pptpscope_calls_ended_total{was_up='true'})", ENDED),
    ] {
        place.wait_for(&format!("{expression} is {expected}"), || {
            value(expression) == Some(f64::from(expected))
        });
    }

    // Who does not show the token is refused, and Prometheus says why.
    let targets = api("targets", None);
    let targets = targets["activeTargets"].as_array().unwrap();
    let stranger = targets.iter().find(|target| target["labels"]["job"] == "stranger").unwrap();
    let error = stranger["lastError"].as_str().unwrap();
    assert!(stranger["health"] == "down" && error.contains("401"), "{stranger}");

    place.wait_for("every rule is well", || {
        let groups = api("rules", None);
        let rules = groups["groups"][0]["rules"].as_array().cloned().unwrap_or_default();
        !rules.is_empty() && rules.iter().all(|rule| rule["health"] == "ok")
    });

    let manual = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md")).unwrap();
    let names = api("label/__name__/values", None);
    let names = names.as_array().unwrap().iter().filter_map(Value::as_str);
    let ours: Vec<&str> = names.filter(|name| name.starts_with("pptpscope_")).collect();
    assert!(ours.len() > 20, "{ours:?}");
    for name in ours {
        let plain = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
        let is_told = |name: &str| manual.contains(&format!("`{name}`"));
        assert!(is_told(name) || plain.is_some_and(is_told), "docs/metrics.md does not have {name}");
    }

    drop(agent);
    place.wait_for("an alert that the agent is gone", || {
        let alerts = api("alerts", None);
        let alerts = alerts["alerts"].as_array().cloned().unwrap_or_default();
        alerts.iter().any(|alert| alert["labels"]["alertname"] == "PptpscopeDown")
    });
}

#[test]
fn prometheus_scrapes_the_agent() {
    let prometheus =
        std::env::var_os("PPTPSCOPE_PROMTOOL").map(|tool| Path::new(&tool).with_file_name("prometheus"));
    let is_required = std::env::var_os("PPTPSCOPE_NATIVE").is_some_and(|value| value == "require");
    let Some(prometheus) = prometheus.filter(|program| program.exists()) else {
        assert!(!is_required, "no Prometheus");
        eprintln!(
            "SKIPPED: PPTPSCOPE_PROMTOOL names no promtool with Prometheus beside it; `cargo xtask test` does"
        );
        return;
    };
    // A thread, because the namespaces belong to it and cannot be left.
    let result = thread::spawn(move || namespace::enter().map(|()| scrape(&prometheus))).join();
    match result {
        Ok(Ok(())) => {}
        Ok(Err(reason)) if is_required => panic!("cannot run: {reason}"),
        Ok(Err(reason)) => eprintln!("SKIPPED: {reason}"),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}
