//! The agent under test, and what it says.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use pptpscope_tests::generate::Ends;
use pptpscope_tests::statistics::Sample;
use serde_json::Value;

use crate::traffic::Sent;
use crate::{Error, daemons};

/// How often memory is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// What it said of all calls.
#[derive(Debug, Default)]
pub(crate) struct Saw {
    started: u64,
    up: u64,
    ended: u64,
    from_clients: u64,
    from_server: u64,
    /// Clients that take turns.
    clients: u64,
    /// Lines of daemons that were joined to a call of their client.
    lines: u64,
    /// Events by their names.
    events: BTreeMap<String, u64>,
    /// Losses that it reports itself, in words.
    pub(crate) losses: Vec<String>,
    status: Value,
}

impl Saw {
    fn take(&mut self, event: &Value) {
        let name = event["event"].as_str().unwrap_or_default();
        *self.events.entry(name.to_owned()).or_default() += 1;
        match name {
            "session.start" => self.started += 1,
            "session.up" => self.up += 1,
            "session.end" => {
                self.ended += 1;
                let packets = |end: &str| event["session_end"][end]["packets"].as_u64().unwrap_or(0);
                self.from_clients += packets("from_client");
                self.from_server += packets("from_server");
            }
            "log" => self.lines += u64::from(self.is_of_its_call(event)),
            "agent.loss" => self.losses.push(format!("it reports a loss: {}", event["agent_loss"])),
            "agent.stop" => self.status = event["agent_stop"]["status"].clone(),
            _ => {}
        }
    }

    /// Whether a line was joined to a call of the client that its process serves.
    fn is_of_its_call(&self, line: &Value) -> bool {
        let number = line["log"]["pid"].as_u64().and_then(daemons::number_of);
        let client = number.map(|number| Ends::of((number % self.clients) as u32).client.to_string());
        line["session"]["client"].as_str() == client.as_deref()
    }

    /// Where this is not what was sent.
    pub(crate) fn differences(&self, sent: &Sent) -> Vec<String> {
        let evicted = self.status["sessions_evicted"].as_u64().unwrap_or(u64::MAX);
        [
            ("calls that started", self.started, sent.calls),
            ("calls that came up", self.up, sent.calls),
            ("calls that ended", self.ended, sent.calls),
            ("GRE packets of clients", self.from_clients, sent.from_clients),
            ("GRE packets of the server", self.from_server, sent.from_server),
            ("lines that are of a call", self.lines, sent.lines),
            ("calls for which there was no room", evicted, 0),
        ]
        .into_iter()
        .filter(|(_, saw, sent)| saw != sent)
        .map(|(what, saw, sent)| format!("{what}: {saw}, not {sent}"))
        .collect()
    }
}

/// What it took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    pub(crate) events_per_second: f64,
    /// At most, and the average of the second and of the last quarter.
    pub(crate) resident_mib: [f64; 3],
    pub(crate) processor_percent: f64,
}

pub(crate) struct Agent {
    child: Child,
    reader: Option<JoinHandle<Saw>>,
    events: Arc<AtomicU64>,
    /// When measuring began, and events and processor time then.
    begun: (Instant, u64, f64),
    next_look: Duration,
    resident: [Sample; 4],
}

impl Agent {
    /// Starts it and waits until it watches.
    pub(crate) fn start(
        program: &Path,
        interface: &str,
        log: Option<&Path>,
        stats_interval: u32,
        clients: u64,
    ) -> Result<Self, Error> {
        let mut command = Command::new(program);
        command.args(["run", "--no-config", "--interface", interface]);
        command.args(["--stats-interval", &stats_interval.to_string()]);
        match log {
            Some(log) => command.arg("--log").arg(log),
            None => command.arg("--no-logs"),
        };
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let lines = BufReader::new(child.stdout.take().ok_or("no standard output")?).lines();
        let events = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&events);
        let (started, starts) = mpsc::channel();
        let reader = thread::spawn(move || {
            let mut saw = Saw { clients, ..Saw::default() };
            for line in lines.map_while(Result::ok) {
                let Ok(event) = serde_json::from_str::<Value>(&line) else { continue };
                count.fetch_add(1, Ordering::Relaxed);
                if event["event"] == "agent.start" {
                    let _ = started.send(());
                }
                saw.take(&event);
            }
            saw
        });
        starts.recv_timeout(Duration::from_secs(20)).map_err(|_| "the agent does not start")?;
        let resident = std::array::from_fn(|_| Sample::default());
        let begun = (Instant::now(), 0, 0.0);
        Ok(Self { child, reader: Some(reader), events, begun, next_look: Duration::ZERO, resident })
    }

    pub(crate) fn begin_measuring(&mut self) -> Result<(), Error> {
        self.begun = (Instant::now(), self.events.load(Ordering::Relaxed), self.processor_seconds()?);
        Ok(())
    }

    /// Looks at its memory now and then; `elapsed` of `whole` have passed.
    pub(crate) fn look(&mut self, elapsed: Duration, whole: Duration) -> Result<(), Error> {
        if elapsed < self.next_look {
            return Ok(());
        }
        self.next_look = elapsed + LOOK;
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let resident =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
        let kib: f64 = resident.ok_or("the agent has ended")?.trim().parse()?;
        let quarter = (elapsed.as_secs_f64() / whole.as_secs_f64() * 4.0) as usize;
        if let Some(sample) = self.resident.get_mut(quarter) {
            sample.add(kib / 1024.0);
        }
        Ok(())
    }

    pub(crate) fn measured(&self) -> Result<Measured, Error> {
        let (begun, events, processor) = self.begun;
        let seconds = begun.elapsed().as_secs_f64();
        let [_, second, _, last] = &self.resident;
        let most = self.resident.iter().map(Sample::maximum).fold(f64::NAN, f64::max);
        Ok(Measured {
            events_per_second: (self.events.load(Ordering::Relaxed) - events) as f64 / seconds,
            resident_mib: [most, second.median(), last.median()],
            processor_percent: (self.processor_seconds()? - processor) / seconds * 100.0,
        })
    }

    /// Processor time that it has taken, user and system.
    fn processor_seconds(&self) -> Result<f64, Error> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let (_, fields) = stat.rsplit_once(") ").ok_or("no fields")?;
        // utime and stime are fields 14 and 15 (proc_pid_stat(5)); the state is field 3.
        let ticks: u64 =
            fields.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
        // SAFETY: a plain library call.
        let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
        Ok(ticks as f64 / per_second as f64)
    }

    /// Ends it; what it said.
    pub(crate) fn stop(mut self) -> Result<Saw, Error> {
        // SAFETY: a signal to our own child, which has not been waited for.
        unsafe { libc::kill(self.child.id().cast_signed(), libc::SIGTERM) };
        let saw = self.reader.take().ok_or("no reader")?.join().map_err(|_| "its output cannot be read")?;
        let status = self.child.wait()?;
        if !status.success() {
            return Err(format!("the agent ended with {status}").into());
        }
        println!("events: {:?}", saw.events);
        Ok(saw)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
